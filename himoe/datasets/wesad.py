"""WESAD, wrist part: 15 people with an Empatica E4 through a laboratory session of five conditions.

A session is one person's whole recording, a trial one condition: ``Base`` (reading, about 20 min), ``TSST`` (stress,
10 min), ``Fun`` (amusement, 6.5 min), ``Medi1`` and ``Medi2`` (meditation, 7 min each). Valence and arousal (SAM, 1 to
9) were rated once after each.

**Times.** ``S*_quest.csv`` gives minutes and seconds as ``mm.ss``, not decimal minutes, and drops a last zero: ``78.1``
is 78 min 10 s, ``2.5`` is 2 min 50 s. They count from the start of the chest device, which has a clock of its own.
``estimated_e4_offsets_s.json`` says when that was, in seconds from the start of the wrist device, by person. The
offsets are estimates (from how still the wrist is in meditation) and may be wrong by tens of seconds, so ``TRIM_S`` is
left out at both ends of a condition.

**Order.** People had one of two orders, and S14 meditated in the other order: conditions go by the names in the file.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import error as ZlibError

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json, require_file, require_folder
from himoe.core.recordings import Session, Signal, Trial
from himoe.datasets.base import Channels, Dataset, Inventory, NotedSession

# modality -> (file in the archive, form)
STREAMS = {
    "PPG": ("BVP.csv", Channels(("BVP",), 64.0, "a.u.")),
    "EDA": ("EDA.csv", Channels(("EDA",), 4.0, "uS")),
    "TEMP": ("TEMP.csv", Channels(("TEMP",), 4.0, "degC")),
    "ACC": ("ACC.csv", Channels(("x", "y", "z"), 32.0, "g")),
}
CONDITIONS = ("Base", "TSST", "Fun", "Medi1", "Medi2")
UNRATED = ("sRead", "fRead", "bRead")  # readings between the conditions
DIMENSIONS = ("valence", "arousal")
SCALE = (1.0, 9.0)
OFFSETS = "estimated_e4_offsets_s.json"
E4, QUEST = "{}_E4_Data.zip", "{}_quest.csv"
SUBJECT = re.compile(r"S\d+")
MINUTES = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?")
TRIM_S = 60.0
ACC_PER_G = 64.0
NO_SENSOR_DEGC = 100.0  # the E4 writes 382.21 before its first measurement
LONGEST_S = 86400.0  # a day: what an archive may hold
LINE_BYTES = 100


@dataclass(frozen=True)
class Condition:
    """A rated condition: seconds on the chest device's clock, SAM ratings."""

    name: str
    start_s: float
    end_s: float
    valence: float
    arousal: float


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    """Who has an archive, a questionnaire and an offset; what is absent of those, and of the conditions, by name."""
    del options
    offsets_s = _offsets(root)
    found = {path.name.partition("_")[0] for pattern in (E4, QUEST) for place in ("", "S*/")
             for path in root.glob(place + pattern.format("S*"))}
    subjects, missing, problems = [], [], []
    for subject in sorted((name for name in found if SUBJECT.fullmatch(name)), key=lambda name: int(name[1:])):
        absent = [form.format(subject) for form in (E4, QUEST) if not _path(root, form, subject).is_file()]
        missing += absent
        if absent:
            continue
        try:
            names = {condition.name for condition in read_conditions(_path(root, QUEST, subject))}
            _offset(root, offsets_s, subject)
        except InputError as error:  # the person is left out, the others are read
            problems.append(str(error))
            continue
        subjects.append(subject)
        missing += [f"{QUEST.format(subject)}: {name}" for name in CONDITIONS if name not in names]
    if not subjects:
        raise bad_input(root, problems[0] if problems else "no person's files", "S2_E4_Data.zip and S2_quest.csv, "
                        f"S3_..., and {OFFSETS}", "give the folder that holds them")
    return Inventory(tuple(subjects), tuple(missing), tuple(problems))


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """Yield a person's one session.

    Raises
    ------
    InputError
        For an absent file, an archive or a stream that is not the wrist device's, a questionnaire that cannot be as
        it is, a person without an offset, or a condition that the recording does not hold.
    """
    del options
    offset_s = _offset(root, _offsets(root), subject)
    quest, archive = _path(root, QUEST, subject), _path(root, E4, subject)
    conditions = read_conditions(quest)
    signals = read_archive(archive)
    end_s = min(signal.start_s + signal.duration_s for signal in signals.values())
    trials, notes = [], []
    for condition in conditions:
        first_s, last_s = condition.start_s + offset_s, condition.end_s + offset_s
        duration_s = last_s - first_s - 2 * TRIM_S
        if duration_s <= 0 or first_s + TRIM_S < 0 or last_s - 2 * TRIM_S > end_s:
            raise bad_input(f"{quest}: {condition.name}", f"{first_s:g} to {last_s:g} s on the wrist device's clock",
                            f"more than {2 * TRIM_S:g} s, inside its {end_s:g} s", f"correct the times or {OFFSETS}")
        if last_s - TRIM_S > end_s:
            notes.append(f"{quest}: {condition.name}: the last {last_s - TRIM_S - end_s:.0f} s were not recorded.")
        trials.append(Trial(condition.name, condition.name, first_s + TRIM_S, duration_s,
                            {"valence": condition.valence, "arousal": condition.arousal}))
    yield NotedSession(subject, signals, tuple(sorted(trials, key=lambda trial: trial.start_s)), tuple(notes))


def _path(root: Path, form: str, subject: str) -> Path:
    """A person's file, in the folder itself or in one of the person's name, as the set is published."""
    name = form.format(subject)
    own = root / subject / name
    return own if own.is_file() else root / name


def _offsets(root: Path) -> dict[str, float]:
    """Person -> start of the chest device in seconds from the start of the wrist device."""
    path = require_folder(root) / OFFSETS
    values = read_json(path)
    if not isinstance(values, dict):
        raise bad_input(path, type(values).__name__, "an object of seconds by person", "correct the file")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise bad_input(f"{path}: {name}", repr(value), "seconds", "correct the file")
    return {name: float(value) for name, value in values.items()}


def _offset(root: Path, offsets_s: Mapping[str, float], subject: str) -> float:
    if subject not in offsets_s:
        raise bad_input(f"{root / OFFSETS}: {subject}", "no entry", "seconds from the wrist device's start to the "
                        "chest device's", "add it, or leave the person out")
    return offsets_s[subject]


# --- the questionnaire ----------------------------------------------------------------------------------------------
def read_conditions(path: Path) -> tuple[Condition, ...]:
    """The rated conditions of a questionnaire, in its order.

    Raises
    ------
    InputError
        For a line that is absent or twice, times that are no ``mm.ss``, conditions that overlap, a rating that is
        off the scale, and more or fewer ratings than conditions.
    """
    lines = _quest_lines(path)
    names = [name.replace(" ", "") for name in _one_line(path, lines, "ORDER")]
    starts, ends = ([_seconds(f"{path}: # {key}, entry {k + 1}", text) for k, text in
                     enumerate(_one_line(path, lines, key))] for key in ("START", "END"))
    if not len(names) == len(starts) == len(ends):
        raise bad_input(f"{path}: # ORDER, # START, # END", f"{len(names)}, {len(starts)} and {len(ends)} entries",
                        "as many of each", "correct the file")
    for k, name in enumerate(names):
        if name not in CONDITIONS + UNRATED or name in names[:k]:
            raise bad_input(f"{path}: # ORDER", repr(name) + (" again" if name in names[:k] else ""),
                            f"each at most once of {' '.join(CONDITIONS + UNRATED)}", "correct the name")
    rated = [k for k, name in enumerate(names) if name in CONDITIONS]
    ratings = [row for key, row in lines if key == "DIM"]
    if len(ratings) != len(rated):
        raise bad_input(f"{path}: # DIM", f"{len(ratings)} lines", f"{len(rated)}, one for each condition of # ORDER",
                        "correct the file")
    found = [Condition(names[k], starts[k], ends[k], *_ratings(path, names[k], row))
             for k, row in zip(rated, ratings, strict=True)]
    _check_times(path, found)
    return tuple(found)


def _quest_lines(path: Path) -> list[tuple[str, list[str]]]:
    """(key, fields that are not empty) of every line ``# KEY;...``."""
    try:
        text = require_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_input(path, "bytes that are not text", "lines such as # ORDER;Base;...", "fetch it again") from error
    rows = [[field.strip() for field in line.split(";")] for line in text.splitlines() if line.startswith("#")]
    return [(row[0].lstrip("# ").upper(), [field for field in row[1:] if field]) for row in rows]


def _one_line(path: Path, lines: list[tuple[str, list[str]]], key: str) -> list[str]:
    found = [row for name, row in lines if name == key]
    if len(found) != 1:
        raise bad_input(f"{path}: # {key}", f"{len(found)} lines", "one, fields separated by semicolons",
                        "see whether this is the set's own questionnaire")
    return found[0]


def _seconds(where: str, text: str) -> float:
    """``78.1`` is 78 min 10 s."""
    match = MINUTES.fullmatch(text)
    seconds = int((match[2] or "").ljust(2, "0")) if match else 60
    if match is None or seconds >= 60:
        raise bad_input(where, repr(text), "minutes.seconds, such as 78.05", "correct the time")
    return 60.0 * int(match[1]) + seconds


def _ratings(path: Path, name: str, row: list[str]) -> tuple[float, float]:
    values = [float(text) if re.fullmatch(r"\d", text) else 0.0 for text in row]
    if len(values) != len(DIMENSIONS) or not all(SCALE[0] <= value <= SCALE[1] for value in values):
        raise bad_input(f"{path}: # DIM of {name}", ";".join(row) or "nothing",
                        "valence;arousal, whole numbers from 1 to 9", "correct the rating")
    return values[0], values[1]


def _check_times(path: Path, conditions: list[Condition]) -> None:
    in_time = sorted(conditions, key=lambda condition: condition.start_s)
    for condition, after in zip(in_time, [*in_time[1:], None], strict=True):
        until_s = math.inf if after is None else after.start_s
        if not condition.start_s < condition.end_s <= until_s:
            raise bad_input(f"{path}: {condition.name}", f"{condition.start_s:g} to {condition.end_s:g} s"
                            + (f", {after.name} from {after.start_s:g} s on" if after else ""),
                            "an end after the start and before the next condition", "correct # START and # END")


# --- the wrist device's archive ---------------------------------------------------------------------------------------
def read_archive(path: Path) -> dict[str, Signal]:
    """The streams of an E4's archive; ``start_s`` counts from the earliest start among them."""
    try:
        with zipfile.ZipFile(require_file(path)) as archive:
            texts = {modality: _member(path, archive, name, form) for modality, (name, form) in STREAMS.items()}
    except (zipfile.BadZipFile, ZlibError, EOFError, NotImplementedError, RuntimeError) as error:
        raise bad_input(path, f"an archive that cannot be opened ({error})", "a whole zip file",
                        "fetch it again") from error
    streams = {modality: _stream(f"{path}: {STREAMS[modality][0]}", text, STREAMS[modality][1])
               for modality, text in texts.items()}
    first_s = min(start_s for start_s, _ in streams.values())
    signals = {}
    for modality, (start_s, data) in streams.items():
        form = STREAMS[modality][1]
        if start_s - first_s > LONGEST_S:
            raise bad_input(f"{path}: {STREAMS[modality][0]}", f"a start {start_s - first_s:g} s after another file's",
                            "files of one recording", "fetch it again")
        if modality == "TEMP":
            data[data > NO_SENSOR_DEGC] = np.nan
        if modality == "ACC":
            data /= ACC_PER_G
        signals[modality] = Signal(data, form.sfreq_hz or 0.0, form.names, form.unit, start_s - first_s)
    return signals


def _member(path: Path, archive: zipfile.ZipFile, name: str, form: Channels) -> str:
    """A file of the archive, unpacked only if it is no longer than a day's recording."""
    found = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == name]
    if len(found) != 1:
        raise bad_input(path, f"{len(found)} files {name}", "one", "see whether this is the wrist device's archive")
    most = int(LONGEST_S * (form.sfreq_hz or 0.0)) * LINE_BYTES
    if found[0].file_size > most:
        raise bad_input(f"{path}: {name}", f"{found[0].file_size} bytes", f"at most {most}, a day's recording",
                        "do not use this archive")
    try:
        return archive.read(found[0]).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_input(f"{path}: {name}", "bytes that are not text", "numbers", "fetch it again") from error


def _stream(where: str, text: str, form: Channels) -> tuple[float, np.ndarray]:
    """Start (s, Unix time) and samples (C, N) float32: two lines of start and rate, then a line for each sample."""
    lines = text.rstrip().split("\n")
    channels = len(form.names)
    for k, line in enumerate(lines):
        if line.count(",") != channels - 1:
            raise bad_input(f"{where}: line {k + 1}", repr(line[:40]), f"{channels} number{'s' * (channels > 1)}",
                            "fetch it again")
    try:
        values = np.array(",".join(lines).split(","), dtype=np.float64).reshape(-1, channels)
    except ValueError:
        raise _not_a_number(where, lines) from None
    if not np.isfinite(values).all():
        raise bad_input(where, "a value that is not finite", "finite numbers", "fetch it again")
    if len(values) < 3 or not (values[:2] == values[:2, :1]).all() or values[1, 0] != form.sfreq_hz:
        raise bad_input(f"{where}: lines 1 and 2", " and ".join(repr(line[:60]) for line in lines[:2]),
                        f"a start in Unix time, a rate of {form.sfreq_hz:g} Hz, then samples",
                        "see whether this is the wrist device's file")
    return float(values[0, 0]), np.ascontiguousarray(values[2:].T, dtype=np.float32)


def _not_a_number(where: str, lines: list[str]) -> InputError:
    for k, line in enumerate(lines):
        try:
            np.array(line.split(","), dtype=np.float64)
        except ValueError:
            return bad_input(f"{where}: line {k + 1}", repr(line[:40]), "a number", "fetch it again")
    return bad_input(where, "text", "numbers", "fetch it again")


DATASET = Dataset(
    name="wesad",
    title="WESAD",
    citation="P. Schmidt, A. Reiss, R. Duerichen, C. Marberger, K. Van Laerhoven: Introducing WESAD, a Multimodal "
             "Dataset for Wearable Stress and Affect Detection. ICMI 2018.",
    doi="10.1145/3242969.3242985",
    licence="scientific, non-commercial use (authors' page)",
    access="UCI Machine Learning Repository, data set 465, or the authors' page. Put the wrist archives "
           f"(S2_E4_Data.zip, ...), the questionnaires (S2_quest.csv, ...) and {OFFSETS} into one folder.",
    patterns=("S*_E4_Data.zip", "S*_quest.csv", "S*/S*_E4_Data.zip", "S*/S*_quest.csv",
              "estimated_e4_offsets_s.json"),
    redistributable=False,
    dimensions=DIMENSIONS,
    scale=SCALE,
    thresholds=(5.0,),
    modalities={modality: form for modality, (_, form) in STREAMS.items()},
    inspect=inspect,
    read=read,
    published={"subjects": "15", "trials": "75", "annotation": "once after each condition"},
)
