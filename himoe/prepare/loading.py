"""From a folder of raw files to windows, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_folder
from himoe.core.long_arrays import is_long, on_disk
from himoe.core.params import FilterParams, WindowParams, parse
from himoe.core.progress import count_text, note, progress
from himoe.core.recordings import Recording, Session
from himoe.datasets import DATASETS, get_dataset
from himoe.datasets.base import Dataset, require_no_doubt
from himoe.datasets.fetch import PROVENANCE, label, read_provenance
from himoe.datasets.folder import DESCRIPTION, folder_dataset
from himoe.prepare.asynchrony import Asynchrony
from himoe.prepare.filters import fitting_filter, usual_filters
from himoe.prepare.signals import preprocess_session
from himoe.prepare.window_arrays import WindowArray, stacked
from himoe.prepare.windows import read_meta, window_starts, write_shard
from himoe.prepare.windowset import Windows
from himoe.simulate.request import TRUTH_FILE


@dataclass(frozen=True)
class Data:
    """A data set's raw folder, to be read person by person.

    ``subjects`` are the people found; ``dataset`` is the set's form (citation, licence, dimensions, scale).
    """

    dataset: Dataset
    root: Path
    options: Mapping[str, str]
    subjects: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<{self.label}: {len(self.subjects)} people in {self.root}>"

    @property
    def label(self) -> str:
        """How the data is called in print; simulated data says so."""
        return str(self.provenance["label"])

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the files come from: their ``provenance.json``, else what the simulator left beside them or did not."""
        if (self.root / PROVENANCE).is_file():
            return dict(read_provenance(self.root))
        simulated = (self.root / TRUTH_FILE).is_file()
        about = {"set": self.dataset.name, "title": self.dataset.title, "source": "simulate" if simulated else "local",
                 "simulated": simulated}
        return about | {"label": label(about)}

    def sessions(self, subject: str) -> Iterator[Session]:
        """One person's recordings as they are in the files, one session at a time."""
        for session in self.dataset.read(self.root, subject, self.options):
            yield require_no_doubt(session)


def load(name: str | Path, folder: str | Path | None = None, **options: str) -> Data:
    """Find a data set's raw files; nothing is read yet.

    Parameters
    ----------
    name : str
        A set's name (``deap``, ``dreamer``, ...), or a folder of one's own with a ``dataset.yaml``.
    folder : path, optional
        Where the raw files of the set *name* are.
    **options : str
        Of the set's reader, e.g. ``layout="dat"`` for DEAP.

    Raises
    ------
    InputError
        If there is no such set or folder, or nothing in it can be read.
    """
    if folder is None:
        root = require_folder(Path(name).expanduser())
        if not (root / DESCRIPTION).is_file():
            raise bad_input(root, f"no {DESCRIPTION}", "a folder of one's own, or a set's name and its folder",
                            f"call load(name, folder) with one of {' '.join(DATASETS)}")
        dataset = folder_dataset(root)
    else:
        root = require_folder(Path(folder).expanduser())
        dataset = get_dataset(str(name), root)
    found = dataset.layouts_in(root)
    if found and "layout" not in options:
        options["layout"] = found[0]
    return Data(dataset, root, options, dataset.inspect(root, options).subjects)


def make_windows(data: Data, length_s: float = 4.0, step_s: float = 2.0, *,
                 filters: Mapping[str, FilterParams] | None = None, modalities: Sequence[str] | None = None,
                 subjects: Sequence[str] | None = None, labels: str = "auto",
                 cache: str | Path | None = None, asynchrony: Asynchrony | None = None,
                 begin_s: float = 0.0) -> Windows:
    """Filter, resample and cut a data set's trials.

    Parameters
    ----------
    data : Data
    length_s : float
        Length of a window, in seconds.
    step_s : float
        Distance between the starts of two, in seconds.
    filters : {modality: FilterParams}, optional
        Target rates and pass bands; default :func:`himoe.prepare.filters.usual_filters`, as far as the recorded rate
        allows.
    modalities : sequence of str, optional
        Which to read; default all.
    subjects : sequence of str, optional
        Likewise.
    labels : str
        ``trial``, ``continuous`` or ``auto`` (annotations over time where there are any).
    cache : path, optional
        A folder for the windows, one Parquet file per person; what is there is not made again. Without it they are in
        memory alone.
    asynchrony : Asynchrony, optional
        Sensors to put out of step on purpose (:mod:`himoe.prepare.asynchrony`), to see what a model makes of it.
    begin_s : float
        When the first window of each trial begins, in seconds from the trial's start (to the nearest sample).
    """
    if not 0 <= begin_s < float("inf"):
        raise bad_input("make_windows: begin_s", f"{begin_s:g} s", "seconds from 0 on", "correct it")
    chosen = tuple(data.subjects if subjects is None else subjects)
    unknown = [name for name in chosen if name not in data.subjects]
    if unknown:
        raise bad_input(f"{data.root}: subjects", repr(unknown[0]), f"one of {' '.join(data.subjects[:20])}",
                        "correct the name")
    params = parse(WindowParams, {"length_s": length_s, "step_s": step_s, "labels": labels, "min_completeness": 0.5},
                   "make_windows")
    parts, cached = [], []
    for subject in progress(chosen, f"windows of {data.dataset.name}", "person", len(chosen)):
        path = None if cache is None else Path(cache) / f"{subject}.parquet"
        if path is not None and path.is_file():
            require_same_cut(path, params, filters, asynchrony, begin_s)
            cached.append(subject)
        else:
            part = _person(data, subject, params, filters, modalities, asynchrony, begin_s)
            if part is None:
                continue
            if path is None:
                parts.append(part)
            else:
                write_shard(path, part.index, part.arrays, part.meta)
                cached.append(subject)
    if cached and cache is not None:
        windows = Windows.read(cache, modalities)  # of others, too, whom an earlier call has asked for
        return windows if set(windows.groups) == set(cached) else windows.people(*cached)
    if not parts:
        signals = "" if modalities is None else f" with any of {' '.join(modalities)}"
        raise bad_input(data.root, f"no trial of {length_s:g} s{signals}", "at least one",
                        "choose shorter windows, or what was recorded")
    return join(one_source(parts) if labels == "auto" else parts)


def require_same_cut(path: Path, params: WindowParams, filters: Mapping[str, FilterParams] | None,
                     asynchrony: Asynchrony | None = None, begin_s: float = 0.0) -> None:
    """Refuse windows in a cache that were cut, filtered or put out of step otherwise than is asked for now."""
    meta = read_meta(path)
    if meta.provenance.get("begin_s", 0.0) != begin_s:
        raise bad_input(path, f"windows from {meta.provenance.get('begin_s', 0.0):g} s on", f"from {begin_s:g} s on",
                        "give another folder as cache, or remove this one")
    told, asked = meta.provenance.get("asynchrony"), None if asynchrony is None else asynchrony.told()
    if told != asked:
        raise bad_input(path, f"windows with the asynchrony {told or 'none'}", asked or "none",
                        "give another folder as cache, or remove this one")
    found, expected = (meta.length_s, meta.step_s), (params.length_s, params.step_s)
    made = {m: parse(FilterParams, entry, path, f"filters.{m}")
            for m, entry in (meta.provenance.get("filters") or {}).items()}
    same = filters is None or all(made[m] == filters.get(m, FilterParams()) for m in meta.modalities if m in made)
    if found != expected or not same:
        raise bad_input(path, f"windows of {found[0]:g} s every {found[1]:g} s" if same else "other filters",
                        f"{expected[0]:g} s every {expected[1]:g} s and the filters asked for",
                        "give another folder as cache, or remove this one")


def _person(data: Data, subject: str, params: WindowParams, filters: Mapping[str, FilterParams] | None,
            modalities: Sequence[str] | None, asynchrony: Asynchrony | None, begin_s: float) -> Windows | None:
    """One person's windows; None if every trial is shorter than a window."""
    used: dict[str, FilterParams] = {}
    cleaned = clean_recordings(data.sessions(subject), params.step_s, filters, modalities, used)
    if begin_s:
        cleaned = (later(one, begin_s) for one in cleaned)
    recordings = list(kept_on_disk(one for one in cleaned if len(window_starts(
        one.duration_s, params, f"subject {subject} trial {one.trial}"))))
    if not recordings:
        return None
    form = data.dataset
    about = data.provenance | {"filters": {m: asdict(f) for m, f in used.items()}}
    windows = Windows.from_recordings(recordings, params.length_s, params.step_s, dimensions=form.dimensions,
                                      scale=form.scale, thresholds=form.thresholds, labels=params.labels,
                                      name=form.name, provenance=about | ({"begin_s": begin_s} if begin_s else {}),
                                      asynchrony=asynchrony)
    return replace(windows, index=windows.index.assign(start_s=windows.index["start_s"] + begin_s))


def kept_on_disk(recordings: Iterable[Recording]) -> Iterator[Recording]:
    """Trials of one person; once those before fill ``LONG_BYTES`` of memory, signals go to disk."""
    held = 0
    for one in recordings:
        held += sum(signal.data.nbytes for signal in one.signals.values() if not isinstance(signal.data, np.memmap))
        yield replace(one, signals={m: replace(signal, data=on_disk(signal.data)) for m, signal in one.signals.items()}
                      ) if is_long(held) else one


def later(recording: Recording, begin_s: float) -> Recording:
    """What is left of a trial from *begin_s* on (to the nearest sample of each sensor); may be nothing."""
    left_s = max(recording.duration_s - begin_s, 0.0)
    told = recording.annotations
    return replace(recording, duration_s=left_s,
                   signals={m: signal.cut(begin_s, left_s) for m, signal in recording.signals.items()},
                   annotations=None if told is None else replace(told, time_s=told.time_s - begin_s))


def clean_recordings(sessions: Iterable[Session], step_s: float, filters: Mapping[str, FilterParams] | None = None,
                     modalities: Sequence[str] | None = None,
                     used: dict[str, FilterParams] | None = None) -> Iterator[Recording]:
    """Trials of *sessions*, filtered and resampled; *filters* None = the usual ones that each rate can hold.

    What was used is noted in *used*. A session with none of the *modalities* is left out, and that is said.
    """
    left_out: dict[str, int] = {}
    for session in sessions:
        signals = {m: s for m, s in session.signals.items() if modalities is None or m in modalities}
        if not signals:
            left_out[session.subject] = left_out.get(session.subject, 0) + len(session.trials)
            continue
        chosen = {m: fitting_filter(usual_filters().get(m, FilterParams()), s.sfreq_hz, step_s)
                  for m, s in signals.items()
                  } if filters is None else {m: filters.get(m, FilterParams()) for m in signals}
        if used is not None:
            used.update(chosen)
        yield from preprocess_session(replace(session, signals=signals), chosen)
    for subject, trials in left_out.items():
        names = " ".join(modalities or ())
        note(f"subject {subject}: {count_text(trials, None, 'trial')} left out, none of {names} was recorded.")


def one_source(parts: Sequence[Windows]) -> list[Windows]:
    """Labels over time for everybody where anybody has them: who has none has no label then, as in the pipeline."""
    if len({part.meta.label_source for part in parts}) == 1:
        return list(parts)
    return [part if part.meta.label_source == "continuous" else replace(
        part, meta=replace(part.meta, label_source="continuous"),
        index=part.index.assign(**dict.fromkeys(part.dimensions, np.nan))) for part in parts]


def join(parts: Sequence[Windows]) -> Windows:
    """Windows of several people as one; a modality that somebody lacks, or has no sample of, is missing there.

    Raises
    ------
    InputError
        If a modality differs in channels, rate or unit, or the windows differ in length, step or dimensions.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0].meta
    entries: dict[str, Mapping[str, Any]] = {}
    for part in parts:
        same = (part.meta.length_s, part.meta.step_s, part.meta.dimensions, part.meta.label_source)
        if same != (first.length_s, first.step_s, first.dimensions, first.label_source):
            raise InputError(f"windows of {part.groups[0]}: found {same}, expected {first.length_s, first.step_s} s, "
                             f"{first.dimensions} and labels by {first.label_source}; make all windows alike.")
        for name, entry in part.meta.modalities.items():
            if part.index[f"completeness_{name}"].any() and entries.setdefault(name, entry) != entry:
                raise bad_input(f"windows of {part.groups[0]}: {name}", _form(entry),
                                f"{_form(entries[name])} as before",
                                "give filters with one rate for all, or do without this modality")
    for part in parts:  # what nobody has a sample of is still a modality
        entries = {**part.meta.modalities, **entries}
    meta = replace(first, modalities=dict(sorted(entries.items())))
    frames = [part.index.assign(**{f"completeness_{m}": np.float32(0) for m in entries if m not in part.arrays})
              for part in parts]
    arrays = {m: stacked([_array(part, m, meta) for part in parts]) for m in meta.modalities}
    return Windows(pd.concat(frames, ignore_index=True), arrays, meta)


def _form(entry: Mapping[str, Any]) -> str:
    names = " ".join(entry["channels"]) if len(entry["channels"]) <= 4 else f"{len(entry['channels'])} channels"
    return f"{names} at {entry['sfreq_hz']:g} Hz in {entry['unit'] or 'no unit'}"


def _array(part: Windows, modality: str, meta: Any) -> WindowArray:
    if modality in part.arrays and part.meta.modalities[modality] == meta.modalities[modality]:
        return part.arrays[modality]
    shape = meta.shape(modality)
    return np.full((len(part), shape.channels, shape.samples), np.nan, np.float32)
