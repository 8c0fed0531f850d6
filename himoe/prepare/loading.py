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
from himoe.core.params import FilterParams, WindowParams
from himoe.core.progress import progress
from himoe.core.recordings import Recording, Session
from himoe.datasets import DATASETS, get_dataset
from himoe.datasets.base import Dataset, require_no_doubt
from himoe.datasets.fetch import PROVENANCE, read_provenance
from himoe.datasets.folder import DESCRIPTION, folder_dataset
from himoe.prepare.filters import USUAL, fitting_filter
from himoe.prepare.signals import preprocess_session
from himoe.prepare.windows import window_starts, write_shard
from himoe.prepare.windowset import Windows


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
        """Where the files come from: their ``provenance.json``, or that they are local ones."""
        if (self.root / PROVENANCE).is_file():
            return dict(read_provenance(self.root))
        return {"source": "local", "simulated": False, "label": f"{self.dataset.name} (real, local files)"}

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
                 cache: str | Path | None = None) -> Windows:
    """Filter, resample and cut a data set's trials.

    Parameters
    ----------
    data : Data
    length_s : float
        Length of a window, in seconds.
    step_s : float
        Distance between the starts of two, in seconds.
    filters : {modality: FilterParams}, optional
        Target rates and pass bands; default :data:`himoe.prepare.filters.USUAL`, as far as the recorded rate allows.
    modalities : sequence of str, optional
        Which to read; default all.
    subjects : sequence of str, optional
        Likewise.
    labels : str
        ``trial``, ``continuous`` or ``auto`` (annotations over time where there are any).
    cache : path, optional
        A folder for the windows, one Parquet file per person; what is there is not made again. Without it they are in
        memory alone.
    """
    chosen = tuple(data.subjects if subjects is None else subjects)
    unknown = [name for name in chosen if name not in data.subjects]
    if unknown:
        raise bad_input(f"{data.root}: subjects", repr(unknown[0]), f"one of {' '.join(data.subjects[:20])}",
                        "correct the name")
    params = WindowParams(length_s, step_s, labels, 0.5)
    parts = []
    for subject in progress(chosen, f"windows of {data.dataset.name}", "person", len(chosen)):
        path = None if cache is None else Path(cache) / f"{subject}.parquet"
        if path is None or not path.is_file():
            part = _person(data, subject, params, filters, modalities)
            if part is None:
                continue
            if path is None:
                parts.append(part)
            else:
                arrays = {m: np.asarray(array) for m, array in part.arrays.items()}
                write_shard(path, part.index, arrays, part.meta)
    if cache is not None:
        return Windows.read(cache, modalities)
    if not parts:
        raise bad_input(data.root, f"no trial of {length_s:g} s", "at least one", "choose shorter windows")
    return join(parts)


def _person(data: Data, subject: str, params: WindowParams, filters: Mapping[str, FilterParams] | None,
            modalities: Sequence[str] | None) -> Windows | None:
    """One person's windows; None if every trial is shorter than a window."""
    used: dict[str, FilterParams] = {}
    recordings = [one for one in clean_recordings(data.sessions(subject), params.step_s, filters, modalities, used)
                  if len(window_starts(one.duration_s, params, f"subject {subject} trial {one.trial}"))]
    if not recordings:
        return None
    form = data.dataset
    return Windows.from_recordings(recordings, params.length_s, params.step_s, dimensions=form.dimensions,
                                   scale=form.scale, thresholds=form.thresholds, labels=params.labels, name=form.name,
                                   provenance=data.provenance | {"filters": {m: asdict(f) for m, f in used.items()}})


def clean_recordings(sessions: Iterable[Session], step_s: float, filters: Mapping[str, FilterParams] | None = None,
                     modalities: Sequence[str] | None = None,
                     used: dict[str, FilterParams] | None = None) -> Iterator[Recording]:
    """Trials of *sessions*, filtered and resampled; *filters* None = the usual ones that each rate can hold.

    What was used is noted in *used*.
    """
    for session in sessions:
        signals = {m: s for m, s in session.signals.items() if modalities is None or m in modalities}
        if not signals:
            raise bad_input(f"subject {session.subject}", f"the modalities {' '.join(session.signals)}",
                            f"some of {' '.join(modalities or ())}", "choose among those recorded")
        chosen = {m: fitting_filter(USUAL.get(m, FilterParams()), s.sfreq_hz, step_s) for m, s in signals.items()
                  } if filters is None else {m: filters.get(m, FilterParams()) for m in signals}
        if used is not None:
            used.update(chosen)
        yield from preprocess_session(replace(session, signals=signals), chosen)


def join(parts: Sequence[Windows]) -> Windows:
    """Windows of several people as one; a modality that somebody lacks is missing there.

    Raises
    ------
    InputError
        If a modality differs in channels or rate, or the windows differ in length, step or dimensions.
    """
    first = parts[0].meta
    entries: dict[str, Mapping[str, Any]] = {}
    for part in parts:
        same = (part.meta.length_s, part.meta.step_s, part.meta.dimensions, part.meta.label_source)
        if same != (first.length_s, first.step_s, first.dimensions, first.label_source):
            raise InputError(f"windows of {part.groups[0]}: found {same}, expected {first.length_s, first.step_s} s, "
                             f"{first.dimensions} and labels by {first.label_source}; make all windows alike.")
        for name, entry in part.meta.modalities.items():
            if entries.setdefault(name, entry) != entry:
                raise bad_input(f"windows of {part.groups[0]}: {name}", f"{len(entry['channels'])} channels at "
                                f"{entry['sfreq_hz']:g} Hz", f"{len(entries[name]['channels'])} at "
                                f"{entries[name]['sfreq_hz']:g} Hz as before", "give filters with one rate for all")
    meta = replace(first, modalities=dict(sorted(entries.items())))
    frames = [part.index.assign(**{f"completeness_{m}": np.float32(0) for m in entries if m not in part.arrays})
              for part in parts]
    arrays = {m: np.concatenate([_array(part, m, meta) for part in parts]) for m in meta.modalities}
    return Windows(pd.concat(frames, ignore_index=True), arrays, meta)


def _array(part: Windows, modality: str, meta: Any) -> np.ndarray:
    if modality in part.arrays:
        return np.asarray(part.arrays[modality])
    shape = meta.shape(modality)
    return np.full((len(part), shape.channels, shape.samples), np.nan, np.float32)
