"""HKU956: 30 people who listened to 956 songs with an Empatica E4 on the wrist.

A session is one listening record, named ``<song_no>_<song_id>`` in the files; all streams start with
the song. Listeners chose when to skip, so lengths differ; a trial lasts as long as the shortest of
BVP, EDA, TEMP and HR. **Length can tell what a listener likes: never use it as a feature.**

IBI files hold intervals without times, and the E4 leaves out beats it is unsure of. They are read as if
laid end to end from the song's start: at each moment of a 4 Hz grid the interval that started last,
NaN after the last one. The first beat's onset and left-out beats are unknown, so the times are
approximate (on the published files the intervals cover about half of a typical song).

An EDA record whose standard deviation is below 0.001 uS (the sensor steps by about 0.0013 uS) is flat:
the electrodes had no contact. Such a record is NaN all through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_folder
from himoe.core.recordings import Session, Signal, Trial
from himoe.datasets.base import Channels, Dataset, Inventory
from himoe.datasets.texttable import cell_error, read_text_table

# modality -> (folder, form)
STREAMS = {
    "PPG": ("BVP", Channels(("BVP",), 64.0, "a.u.")),
    "EDA": ("EDA", Channels(("EDA",), 4.0, "uS")),
    "TEMP": ("TEMP", Channels(("TEMP",), 4.0, "degC")),
    "HR": ("HR", Channels(("HR",), 1.0, "1/min")),
}
IBI_HZ = 4.0
FLAT_EDA_SD_US = 0.001
SIGNALS = ("1. physiological_signals", "1. physiological signals")
RATINGS = "3. AV_ratings.csv"
FOLDERS = ("BVP", "EDA", "TEMP", "HR", "IBI")
RECORD = re.compile(r"(\d+)_(\d+)")
Record = tuple[int, int]


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    """Which people have records; missing and empty files by name."""
    del options
    ratings, base = _ratings(root), _signals_folder(root)
    subjects, missing, empty, unrated = [], [], [], 0
    for folder in sorted(path for path in base.iterdir() if path.is_dir() and path.name.startswith("hku")):
        records = _records(folder)
        expected = records | {record for person, record in ratings if person == folder.name}
        unrated += len({record for record in records if (folder.name, record) not in ratings})
        for stream in FOLDERS:
            for record in sorted(expected):
                path = folder / stream / _file(record)
                if not path.is_file():
                    missing.append(path.relative_to(root).as_posix())
                elif path.stat().st_size == 0:
                    empty.append(path.relative_to(root).as_posix())
        if any(_regular_files(folder, record) for record in records):
            subjects.append(folder.name)
    missing += [f"{base.name}/{person}" for person in sorted({person for person, _ in ratings} - set(subjects))]
    if not subjects:
        raise bad_input(base, "no person with a BVP, EDA, TEMP or HR file", "folders hku1903, hku1904, ...",
                        "give the folder that holds the unpacked data set")
    problems = []
    if empty:
        problems.append(f"{len(empty)} files are empty, the first is {empty[0]}: that modality is missing there.")
    if unrated:
        problems.append(f"{unrated} records have no row in {RATINGS}: their ratings are missing.")
    return Inventory(tuple(subjects), tuple(missing), tuple(problems))


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """Yield one session a listening record, in listening order.

    A record without any of BVP, EDA, TEMP, HR is left out (its length is unknown).
    Raises InputError for an unknown person or a line that is not a number.
    """
    del options
    ratings, folder = _ratings(root), _signals_folder(root) / subject
    require_folder(folder)
    for record in sorted(_records(folder)):
        signals = _signals(folder, record)
        if not set(signals) & set(STREAMS):
            continue
        duration_s = min(signals[modality].duration_s for modality in STREAMS if modality in signals)
        rating = ratings.get((subject, record), {"valence": float("nan"), "arousal": float("nan")})
        trial = Trial(f"{record[0]:02d}_{record[1]}", str(record[1]), 0.0, duration_s, rating)
        yield Session(subject, signals, (trial,))


def _signals_folder(root: Path) -> Path:
    for name in SIGNALS:
        if (root / name).is_dir():
            return root / name
    return require_folder(root / SIGNALS[0])


def _file(record: Record) -> str:
    return f"{record[0]}_{record[1]}.csv"


def _records(folder: Path) -> set[Record]:
    """(song_no, song_id) of every file of one person."""
    records = set()
    for path in (path for stream in FOLDERS for path in (folder / stream).glob("[!.]*.csv")):
        match = RECORD.fullmatch(path.stem)
        if match is None:
            raise bad_input(path, f"the name {path.name}", "<song_no>_<song_id>.csv", "rename or remove the file")
        records.add((int(match[1]), int(match[2])))
    return records


def _regular_files(folder: Path, record: Record) -> list[Path]:
    paths = [folder / stream / _file(record) for stream, _ in STREAMS.values()]
    return [path for path in paths if path.is_file() and path.stat().st_size > 0]


def _ratings(root: Path) -> dict[tuple[str, Record], dict[str, float]]:
    """(person, record) -> ratings; NaN where the file has none."""
    path = root / RATINGS
    columns = ("song_no", "song_id", "valence_rating", "arousal_rating")
    table = read_text_table(path, ("participant_id",), columns)
    for column in columns[:2]:
        values = table.numbers[column]
        for row in np.flatnonzero(~(values == np.round(values))):
            raise cell_error(path, int(row), column, f"{values[row]:g}", "a whole number")
    rows = zip(table.texts["participant_id"], *(table.numbers[column] for column in columns), strict=True)
    return {(person, (int(song_no), int(song_id))): {"valence": float(valence), "arousal": float(arousal)}
            for person, song_no, song_id, valence, arousal in rows}


def _signals(folder: Path, record: Record) -> dict[str, Signal]:
    signals = {}
    for modality, (stream, form) in STREAMS.items():
        values = _numbers(folder / stream / _file(record))
        if values.size:
            if modality == "EDA" and np.nanstd(values, dtype=float) < FLAT_EDA_SD_US:
                values = np.full_like(values, np.nan)
            signals[modality] = Signal(values[None], form.sfreq_hz or 0.0, form.names, form.unit)
    intervals_s = _numbers(folder / "IBI" / _file(record))
    if intervals_s.size:
        signals["IBI"] = Signal(interval_grid(folder / "IBI" / _file(record), intervals_s), IBI_HZ, ("IBI",), "s")
    return signals


def _numbers(path: Path) -> np.ndarray:
    """One number per line, float32 (N,); nothing if the file is absent or empty."""
    if not path.is_file():
        return np.zeros(0, dtype=np.float32)
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: found bytes that are not text, expected one number per line; "
                         "fetch the file again.") from error
    if "" in map(str.strip, lines[1:]):
        blank = [line.strip() for line in lines].index("", 1)
        raise bad_input(f"{path}: value {blank + 1}", "a blank line", "a number in every line: a line is a time",
                        "fetch the file again")
    try:
        values = np.array(lines if lines != [""] else [], dtype=np.float32)
    except ValueError as error:
        line = next(index for index, text in enumerate(lines) if not _is_number(text))
        raise bad_input(f"{path}: value {line + 1}", repr(lines[line]), "a number", "fetch the file again") from error
    if np.isinf(values).any():
        raise bad_input(path, "an infinite value", "finite numbers", "fetch the file again")
    return values if np.isfinite(values).any() else np.zeros(0, dtype=np.float32)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def interval_grid(where: object, intervals_s: np.ndarray) -> np.ndarray:
    """Intervals (K,) in s laid end to end from 0, sampled at 4 Hz: (1, N) float32.

    Sample k is the interval i with onset_i <= k / 4 s < onset_i + interval_i.
    """
    if not np.all(intervals_s > 0):
        raise bad_input(where, "an interval that is missing or not above 0", "seconds above 0", "fetch the file again")
    ends_s = np.cumsum(intervals_s, dtype=float)
    grid_s = np.arange(int(np.ceil(ends_s[-1] * IBI_HZ))) / IBI_HZ
    return intervals_s[np.searchsorted(ends_s, grid_s, side="right")][None].astype(np.float32)


DATASET = Dataset(
    name="hku956",
    title="HKU956",
    citation="X. Hu, F. Li, R. Liu: Detecting Music-Induced Emotion Based on Acoustic Analysis and Physiological "
             "Sensing: A Multimodal Approach. Applied Sciences 12, 9354, 2022.",
    doi="10.3390/app12189354",
    licence="CC BY-NC 4.0",
    access="Ask the authors through their open-access article, https://doi.org/10.3390/app12189354.",
    patterns=("1. physiological?signals/*/*/*.csv", "3. AV_ratings.csv"),
    redistributable=False,
    dimensions=("valence", "arousal"),
    scale=(-10.0, 10.0),
    thresholds=(0.0,),
    modalities={**{modality: form for modality, (_, form) in STREAMS.items()},
                "IBI": Channels(("IBI",), None, "s")},
    inspect=inspect,
    read=read,
    published={"subjects": "30", "trials": "956", "songs": "592"},
)
