"""``himoe inspect FOLDER --write-yaml``: a ``dataset.yaml`` for a folder with recordings of devices, to be edited.

What the files say is filled in (names, channels, rates, units, which clock); what they cannot say is marked ``EDIT``.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_folder, write_text
from himoe.core.recordings import DIMENSIONS
from himoe.datasets.description import DESCRIPTION
from himoe.datasets.devices import FORMATS, ending_of, open_device, text_format
from himoe.datasets.devices.contract import DeviceFile, Stream
from himoe.datasets.devices.units import unit_factor
from himoe.datasets.pattern import as_glob, in_order
from himoe.datasets.texttable import read_names
from himoe.inspection.devices import is_e4_folder
from himoe.prepare.signals import standard_places

LEVELS = 4  # folders below the given one that are looked into
TRIED = 8  # recordings of one kind that are opened until one tells its modalities
MARKERS = 8  # that are listed
BIDS = re.compile(r"sub-([0-9A-Za-z]+)")
RUN = re.compile(r"(?<=[_/-])((?:run|part)[_-]?)\d+(?=[_.-][^/]*$|$)", re.IGNORECASE)
EVENTS = "_events.tsv"
# modality -> what its streams or channels are called; the first that fits
NAMES: Mapping[str, re.Pattern[str]] = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in {
    "EDA": r"\beda\b|gsr|skin_?cond|conductance", "PPG": r"\bbvp\b|\bppg\b|\bplet|pulse", "TEMP": r"temp",
    "ACC": r"\bacc|accel", "ECG": r"\becg|\bekg", "EOG": r"eog", "EMG": r"emg", "RSP": r"\bresp|\brsp",
    "IBI": r"\bibi\b", "HR": r"\bhr\b|heart.?rate"}.items()}
NOT_DATA = re.compile(r"gyro|mag(_|$)|batt|digital|analog|not used|other|hsi|headband|range|resistance|ext_|int_|wr_|"
                      r"pressure|status|marker|event|trig|(delta|theta|alpha|beta|gamma)_", re.IGNORECASE)
EEG_NAME = re.compile(r"(?:EEG|RAW|EXG Channel)[ _]?(.+)", re.IGNORECASE)
USUAL: Mapping[str, str] = {"EEG": "uV", "EOG": "uV", "EMG": "uV", "ECG": "uV", "EDA": "uS", "TEMP": "degC"}


@dataclass(frozen=True)
class Found:
    """Recordings of one format whose names fit one pattern; the first was opened."""

    pattern: str
    form: str
    paths: tuple[Path, ...]
    first: DeviceFile


def write_description(folder: Path) -> tuple[Path, str]:
    """Write ``folder/dataset.yaml``; its path and its text.

    Raises
    ------
    InputError
        If there is one already, or no recording that can be opened.
    """
    root = require_folder(folder)
    path = root / DESCRIPTION
    if path.exists():
        raise bad_input(path, "a file that is there already", "none", "edit it, or move it away first")
    text = proposal(root)
    write_text(path, text)
    return path, text


def proposal(root: Path) -> str:
    """The text of a ``dataset.yaml`` for the recordings in *root*."""
    found, left_out = search(root)
    if not found:
        raise bad_input(root, "no recording of a device" + (f" that can be opened ({left_out[0]})" if left_out else ""),
                        "files of one of the formats in docs/devices.md",
                        "describe tables by hand: docs/your-own-data.md")
    entries: dict[str, list[str]] = {}
    for one in found:
        for stream in one.first.streams:
            for name, columns in modalities(stream):
                if name not in entries and stream.n_samples:
                    entries[name] = _entry(one, stream, columns, clock=found[0])
    if not entries:
        raise bad_input(root, f"no channel whose modality can be told in {found[0].first.path}", "EEG, EDA, ...",
                        "see himoe inspect FILE and docs/devices.md, and write dataset.yaml by hand")
    return "\n".join([*_head(root, found), "modalities:",
                      *(line for name, lines in entries.items() for line in (f"  {name}:", *lines)),
                      *(f"# left out: {said}" for said in left_out), ""])


# --- which files there are ----------------------------------------------------------------------


def search(root: Path) -> tuple[list[Found], list[str]]:
    """Recordings in *root* by format and pattern, those with the most files first; what could not be opened."""
    groups: dict[tuple[str, str], list[Path]] = {}
    by_form: dict[str, list[Path]] = {}
    for path, form in recordings(root):
        by_form.setdefault(form, []).append(path)
    for form, paths in by_form.items():
        for pattern, members in patterns(root, paths).items():
            groups.setdefault((pattern, form), []).extend(members)
    found, left_out = [], []
    for (pattern, form), paths in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        file, said = _telling(paths, form)
        left_out += said
        if file is not None:
            found.append(Found(pattern, form, tuple(paths), file))
    return found, left_out


def _telling(paths: Sequence[Path], form: str) -> tuple[DeviceFile | None, list[str]]:
    """The first of a few recordings that can be opened and has channels that are told; what the others said."""
    opened, said = None, []
    for path in paths[:TRIED]:
        try:
            file = open_device(path, form)
        except InputError as error:
            said.append(str(error))
            continue
        if any(stream.n_samples and any(modalities(stream)) for stream in file.streams):
            return file, said
        opened = opened or file
    return opened, said


def recordings(root: Path) -> Iterator[tuple[Path, str]]:
    """Every recording in *root* and the folders below it, and its format."""
    endings = {ending: name for name, form in FORMATS.items() for ending in form.endings}
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders.sort()
        if len(here.relative_to(root).parts) >= LEVELS:
            folders.clear()
        if here != root and is_e4_folder(here):
            folders.clear()
            yield here, "e4"
            continue
        for name in sorted(files):
            form = endings.get(ending_of(name))
            if form is None and ending_of(name) in (".csv", ".txt"):
                form = text_format(here / name)
            if form is not None and (form != "openbci" or text_format(here / name) == form):
                yield here / name, form


def patterns(root: Path, paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Names with {subject} (and {trial} or {run}) for recordings of one format, and which they stand for."""
    found: dict[str, list[Path]] = {}
    names = [path.relative_to(root) for path in paths]
    in_runs = [Path(without_run(name.as_posix())) for name in names]
    if len(set(in_runs)) < len(names):  # some differ by their run alone
        names = in_runs
    inside: dict[Path, list[str]] = {}
    for name in dict.fromkeys(names):
        inside.setdefault(name.parent, []).append(name.name)
    for path, name in zip(paths, names, strict=True):
        found.setdefault(_pattern(name, inside), []).append(path)
    return found


def without_run(name: str) -> str:
    """``anna/run2.xdf`` as ``anna/run{run}.xdf``; ``part2.xdf`` alone may be a person."""
    return RUN.sub(r"\1{run}", name, count=1)


def _pattern(name: Path, inside: Mapping[Path, list[str]]) -> str:
    bids = BIDS.match(name.as_posix())
    if bids is not None:
        return name.as_posix().replace(bids[0], "sub-{subject}")
    ending = "".join(name.suffixes[-2:]) if name.suffix == ".gz" else name.suffix
    if len(name.parts) == 1:
        run = re.search(r"[_-][A-Za-z]+[_-]?\{run\}", name.name)
        return "{subject}" + (name.name[run.start():] if run else ending)
    below = Path(*name.parts[1:])
    if "{run}" in below.name and below.name.startswith(name.parts[0]):  # anna/anna_run2.xdf
        return (Path("{subject}") / below.parent / below.name.replace(name.parts[0], "{subject}", 1)).as_posix()
    others = [names for folder, names in inside.items() if folder != Path(".")]
    a_person = all(below.name in names for names in others)  # the same name in everybody's folder ...
    trial = any(len(names) > 1 for names in others) and re.search(r"\d", below.stem)  # ... but t1, t2 are trials
    last = below.name if a_person and not trial else f"{{trial}}{_tail(inside[name.parent], ending)}"
    return (Path("{subject}") / below.parent / last).as_posix()


def _tail(names: Sequence[str], ending: str) -> str:
    """What the names of one folder have in common at their end, from a _ or - on."""
    ends = zip(*(name[::-1] for name in names)) if len(names) > 1 else iter([])
    tail = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, ends))[::-1]
    mark = re.search(r"[_-][^_-]*$", tail.removesuffix(ending))
    return tail[mark.start():] if mark else ending


# --- what is in them ----------------------------------------------------------------------------


def modalities(stream: Stream) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The modalities that a stream's names tell, and their channels."""
    columns: dict[str, list[str]] = {}
    for channel in stream.channels:
        name = _modality(stream, channel)
        if name is not None and stream.channels.count(channel) == 1:
            columns.setdefault(name, []).append(channel)
    yield from ((name, tuple(channels)) for name, channels in columns.items())


def _modality(stream: Stream, channel: str) -> str | None:
    if not NOT_DATA.search(channel):
        told = next((name for name, pattern in NAMES.items() if pattern.search(channel.replace("_", " "))), None)
        if told is not None:
            return told
        if standard_places((_place(channel),)) or channel.startswith("EXG Channel") or stream.kind.upper() == "EEG":
            return "EEG"
        return next((name for name, pattern in NAMES.items() if pattern.search(f"{stream.kind} {stream.name}")), None)
    return None


def _place(channel: str) -> str:
    """``EEG Fp1-Ref`` and ``RAW_Fp1`` are ``Fp1``."""
    electrode = EEG_NAME.fullmatch(channel)
    return electrode[1].split("-")[0] if electrode else channel


def _entry(found: Found, stream: Stream, columns: Sequence[str], clock: Found) -> list[str]:
    """The lines of one modality."""
    name = _modality(stream, columns[0]) or ""
    unit = stream.units[stream.channels.index(columns[0])]
    usual = USUAL.get(name)
    said = usual if usual is not None and unit_factor(unit, usual) is not None else unit or "a.u."
    lines = [f"    file: {_quoted(found.pattern)}"]
    if ending_of(found.pattern) not in FORMATS[found.form].endings:
        lines.append(f"    format: {found.form}")
    if sum(set(columns) <= set(one.channels) for one in found.first.streams) > 1:
        lines.append(f"    stream: {_quoted(stream.name)}")
    places = [_place(column) for column in columns]
    if name == "EEG" and places != list(columns) and len(set(places)) == len(places) and all(
            len(standard_places((place,))) for place in places):
        pairs = ", ".join(f"{_quoted(column)}: {_quoted(place)}" for column, place in zip(columns, places, strict=True))
        lines.append(f"    columns: {{{pairs}}}")
    else:
        lines.append(f"    columns: [{', '.join(map(_quoted, columns))}]")
    if stream.sfreq_hz is None:
        lines += ["    sfreq_hz: 4            # of the grid that values at times of their own are put on",
                  "    max_gap_s: 3"]
    else:
        lines.append(f"    sfreq_hz: {_rate(stream)}")
    lines.append(f"    unit: {_quoted(said)}" + ("" if unit else "            # EDIT: the file does not say"))
    if found.pattern != clock.pattern and (found.first.start is None or clock.first.start is None):
        lines.append("    offset_s: 0            # " + (
            "BIDS: counts from the beginning of the recording" if found.form == "bids_physio" else
            f"EDIT: seconds from the beginning of {clock.pattern} to that of this file"))
    return lines


def _rate(stream: Stream) -> str:
    """The rate: what the file calls it, or what its time stamps say where that is another."""
    assert stream.sfreq_hz is not None
    rate_hz = stream.sfreq_hz
    if stream.times_s is not None and stream.n_samples > 1:
        times_s = stream.times_s()
        measured_hz = (len(times_s) - 1) / (times_s[-1] - times_s[0]) if times_s[-1] > times_s[0] else rate_hz
        if abs(measured_hz / rate_hz - 1) > 0.01:
            return f"{measured_hz:.4g}            # EDIT: it calls itself {rate_hz:g} Hz; see whether samples are lost"
    return f"{rate_hz:.6g}"


def _head(root: Path, found: Sequence[Found]) -> list[str]:
    """What stands above the modalities: names, ratings, trials, and comments on what was found."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", root.resolve().name).strip("-") or "recordings"
    clock = found[0]
    starts = [one.first.start for one in found]
    lines = ["# Proposed from the files; edit what is marked EDIT. Every key: docs/devices.md.",
             *(f"# {len(one.paths)} of {one.pattern} ({one.form})" for one in found),
             f"name: {name}", f"title: {_quoted(root.resolve().name)}            # EDIT", "licence: private"]
    events = next((pattern for pattern in _events(root, "{run}" in clock.pattern)), None)
    dimensions = _rated(root, events)
    lines += [f"dimensions: [{', '.join(dimensions or DIMENSIONS[:2])}]", "scale: [1, 9]            # EDIT",
              "threshold: 5            # EDIT"]
    if any(start is not None and not start.zoned for start in starts):
        lines.append("# time_zone: Europe/Berlin            # where the wall clock hung; needed beside files in UTC")
    lines += _offsets(root, found)
    if events is not None and dimensions:
        lines += ["ratings:", f"  events: {_quoted(events)}"]
    else:
        lines.append("ratings: ratings.csv            # EDIT: subject, trial, stimulus and a column for each dimension")
    return [*lines, *_trials(clock, events is not None and bool(dimensions))]


def _offsets(root: Path, found: Sequence[Found]) -> list[str]:
    """What is asked of a person where the files of one recording carry no date."""
    later = []
    for one in found:
        if "{run}" in one.pattern and one.first.start is None and one.form != "bids_physio":
            names = sorted((path.relative_to(root).as_posix() for path in one.paths), key=in_order)
            seen = [without_run(name) for name in names]
            later += [name for k, name in enumerate(names) if seen[k] in seen[:k]]
    if not later:
        return []
    return ["offsets_s:            # EDIT: seconds from the beginning of a person's first file to that of each below",
            *(f"  {_quoted(name)}: 0" for name in later)]


def _trials(clock: Found, by_events: bool) -> list[str]:
    """Where trials lie, as far as it can be told."""
    marks = Counter(mark.text for mark in clock.first.markers())
    listed = [f"# markers of {clock.first.path.name}: " + ", ".join(f"{_quoted(text)} ({count})" for text, count in
                                                                  marks.most_common(MARKERS))] if marks else []
    name = next((name for stream in clock.first.streams if stream.n_samples for name, _ in modalities(stream)), None)
    if "{trial}" in clock.pattern or name is None:
        return listed
    if by_events:
        return [f"trials: {{clock: {name}}}"]
    return [*listed, f"trials: {{clock: {name}}}            # EDIT: start_s and end_s in the ratings, or markers here: "
            "start, end"]


def _events(root: Path, by_runs: bool) -> list[str]:
    """Patterns of tables of events of a BIDS folder."""
    names = [path.relative_to(root).as_posix() for path in sorted(root.glob(f"sub-*/**/*{EVENTS}"))]
    found = Counter((without_run(name) if by_runs else name).replace(match[0], "sub-{subject}") for name in names
                    if (match := BIDS.match(name)) is not None)
    return [pattern for pattern, _ in found.most_common()]


def _rated(root: Path, events: str | None) -> list[str]:
    """Dimensions that are columns of the tables of events."""
    from himoe.datasets.devices.bids import TABS

    if events is None:
        return []
    path = next(iter(sorted(root.glob(as_glob(events)))))
    names, _ = read_names(path, TABS)
    return [name for name in DIMENSIONS if name in names]


def _quoted(text: str) -> str:
    """As YAML reads it back: plain where that is safe."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_ /().-]*", text) and text.lower() not in ("y", "n", "yes", "no", "on", "off",
                                                                                  "true", "false", "null"):
        return text.strip() if text == text.strip() else f'"{text}"'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


