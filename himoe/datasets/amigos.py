"""AMIGOS: 40 people, 16 short and 4 long videos, EEG, ECG and skin response, one MATLAB file per person.

``data_preprocessed/Data_Preprocessed_P01.mat`` to ``P40.mat`` hold ``joined_data`` (20 cells of samples x 17) and
``labels_selfassessment`` (20 cells of 1 x 12). Cells 1 to 16 are the short videos, 17 to 20 the long ones: two
experiments, read as the visits ``short`` and ``long``. A trial is all that follows a cell's 5 s baseline.

The file names neither channels nor a rate: count and orientation of the columns are checked, and the rate by the
length of the short videos. Columns in another order cannot be seen.

The file gives no unit for the skin response either. It is taken as a resistance in Ohm (published analyses take its
reciprocal as the conductance; see docs/datasets.md). Skin sensors measure from 10 kOhm on: where a person's median
lies below, the values stay as they are (``a.u.``), and this is reported.

Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file
from himoe.core.progress import progress
from himoe.core.recordings import Session, Signal, Trial
from himoe.datasets._annotations import check_scale, read_annotations
from himoe.datasets._mat import cells, check_version
from himoe.datasets.base import Channels, Dataset, Inventory
from himoe.datasets.deap import conductance_us
from himoe.datasets.gaps import mark_flat

FOLDER = "data_preprocessed"
DATA, LABELS, NAMES = "joined_data", "labels_selfassessment", "VideoIDs"
N_PARTICIPANTS = 40
N_CELLS = 20
N_SHORT = 16
SCALE = (1.0, 9.0)
SFREQ_HZ = 128.0
BASELINE_S = 5.0
EEG_CHANNELS = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
MODALITIES = {
    "EEG": Channels(EEG_CHANNELS, SFREQ_HZ, "uV"), "ECG": Channels(("ECG_right", "ECG_left"), SFREQ_HZ, "a.u."),
    "EDA": Channels(("GSR",), SFREQ_HZ, "uS"),
}
COLUMNS = {"EEG": slice(0, 14), "ECG": slice(14, 16), "EDA": slice(16, 17)}
N_COLUMNS = 17
# columns of a label: these, then familiarity and seven emotions (0 or 1)
DIMENSIONS = ("valence", "arousal", "dominance", "liking")
LABEL_COLUMNS = {"arousal": 0, "valence": 1, "dominance": 2, "liking": 3}
N_LABEL = 12
SHORT_S = (51.0, 150.0)  # published lengths of the short videos
# half or twice the rate would put the median length of the short videos outside these limits
MEDIAN_SHORT_S = (45.0, 165.0)
LENGTH_MARGIN_S = 5.0
LEAST_OHM = 1e4
OWN_FILE = "check that this is the data set's own file"
# what scipy says of a variable whose compressed bytes go on after its end; some published files have that
TAIL = "Did not fully consume"


@dataclass(frozen=True)
class _Person:
    """One file, checked: per cell its signals (none = no trial), ratings and the video's name; problems found."""

    signals: tuple[dict[str, Signal], ...]
    ratings: tuple[dict[str, float], ...]
    stimuli: tuple[str, ...]
    problems: tuple[str, ...]


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    """Who can be read, and which cells are empty, without label or without signal.

    Loads every file (about 100 MB each as published), because a cell's emptiness stands nowhere else. A damaged
    file is a problem of its person; InputError if no person can be read.
    """
    root = Path(root)
    subjects, missing, problems = [], [], []
    errors: list[InputError] = []
    for number in progress(range(1, N_PARTICIPANTS + 1), "inspect amigos", "file", N_PARTICIPANTS):
        path = _path(root, number)
        if not path.is_file():
            missing.append(path.relative_to(root).as_posix())
            continue
        try:
            person = _load(path)
        except InputError as error:
            errors.append(error)
            problems.append(f"{_subject(number)} is left out: " + str(error).replace(f"{root}/", ""))
            continue
        subjects.append(_subject(number))
        problems += [f"{path.relative_to(root).as_posix()}{problem}" for problem in person.problems]
    if errors and not subjects:
        raise errors[0]
    if not subjects:
        raise bad_input(root / FOLDER, "no participant's file", f"{_path(root, 1).name} and so on",
                        "unpack the archives and put the .mat files straight into this folder")
    return Inventory(tuple(subjects), tuple(missing), tuple(problems))


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """One session a cell that holds data: the whole cell, its trial all after the baseline.

    A modality that is dead throughout (NaN or constant) is left out of its session.
    """
    numbers = {_subject(number): number for number in range(1, N_PARTICIPANTS + 1)}
    if subject not in numbers:
        raise bad_input("AMIGOS subject", repr(subject), f"s01 to s{N_PARTICIPANTS:02d}", "correct the id")
    person = _load(_path(root, numbers[subject]))
    annotations = read_annotations(root, numbers[subject], SCALE)
    for cell, signals in enumerate(person.signals, start=1):
        if signals:
            video_s = next(iter(signals.values())).duration_s - BASELINE_S
            trial = Trial(f"v{cell:02d}", person.stimuli[cell - 1], BASELINE_S, video_s, person.ratings[cell - 1],
                          annotations.get(cell), "short" if cell <= N_SHORT else "long")
            yield Session(subject, signals, (trial,))


def _subject(number: int) -> str:
    return f"s{number:02d}"


def _path(root: Path, number: int) -> Path:
    return Path(root) / FOLDER / f"Data_Preprocessed_P{number:02d}.mat"


def _video_s(samples: np.ndarray) -> float:
    """Length of the video: the cell's without its baseline."""
    return len(samples) / SFREQ_HZ - BASELINE_S


# One file

def _load(path: Path) -> _Person:
    content, problems = _variables(path)
    data = cells(content[DATA], N_CELLS, f"{path}, {DATA}")
    labels = cells(content[LABELS], N_CELLS, f"{path}, {LABELS}")
    found = [_samples(value, f"{path}, {DATA}{{{cell}}}") for cell, value in enumerate(data, start=1)]
    rated = [_label(value, f"{path}, {LABELS}{{{cell}}}") for cell, value in enumerate(labels, start=1)]
    _check_rate(found, path)
    stimuli, unnamed = _stimuli(content.get(NAMES))
    eda_unit = _eda_unit(found)
    signals = [_signals(samples, eda_unit) for samples in found]
    problems += unnamed + _cell_problems(found, signals, [note for _, note in rated])
    if eda_unit != MODALITIES["EDA"].unit:
        problems.append(f", {DATA}: the skin response (column {N_COLUMNS}) has a median below {LEAST_OHM:g}, so it is "
                        "not in Ohm; its values stay as they are (a.u.).")
    return _Person(tuple(signals), tuple(ratings for ratings, _ in rated), stimuli, tuple(problems))


def _variables(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The variables that are used, and a problem if the file's compressed data ends oddly."""
    check_version(require_file(path))
    problems = []
    try:
        try:
            content = _loadmat(path, True)
        except ValueError as error:
            if TAIL not in str(error):
                raise
            content = _loadmat(path, False)
            problems.append(": bytes follow the end of a compressed variable; they are ignored.")
    except Exception as error:  # a damaged file can fail in any way at all
        raise bad_input(path, f"a file that cannot be read ({type(error).__name__}: {error})",
                        "a complete MATLAB v5 file", "the file is truncated or damaged; fetch it again") from error
    for name in (DATA, LABELS):
        if name not in content:
            raise bad_input(f"{path}, variable {name}", "no such variable", f"{N_CELLS} cells named {name}", OWN_FILE)
    return content, problems


def _loadmat(path: Path, strict: bool) -> dict[str, Any]:
    import scipy.io

    return scipy.io.loadmat(path, variable_names=[DATA, LABELS, NAMES], verify_compressed_data_integrity=strict)


def _samples(value: Any, where: str) -> np.ndarray | None:
    """One cell, (N, 17); None if it is empty."""
    array = np.asarray(value)
    if array.size == 0:
        return None
    shape = " x ".join(map(str, array.shape))
    if array.ndim == 2 and array.shape[0] == N_COLUMNS and array.shape[1] > N_COLUMNS:
        raise bad_input(where, f"{shape}: channels x samples", f"samples x {N_COLUMNS}", "transpose the cell")
    if array.ndim != 2 or array.shape[1] != N_COLUMNS or array.dtype.kind not in "iuf":
        raise bad_input(where, f"{shape} of {array.dtype}", f"samples x {N_COLUMNS} numbers", OWN_FILE)
    return array


def _label(value: Any, where: str) -> tuple[dict[str, float], str]:
    """Ratings of one cell, NaN where missing, and what is wrong: "", "none", "incomplete" or "rows"."""
    array = np.asarray(value)
    unrated = dict.fromkeys(DIMENSIONS, float("nan"))
    if array.size == 0:
        return unrated, "none"
    if array.ndim != 2 or N_LABEL not in array.shape or array.dtype.kind not in "biuf":
        shape = " x ".join(map(str, array.shape))
        raise bad_input(where, f"{shape} of {array.dtype}", f"1 x {N_LABEL} numbers", OWN_FILE)
    rows = (array if array.shape[1] == N_LABEL else array.T).astype(np.float64)
    for dimension, column in LABEL_COLUMNS.items():
        check_scale(rows[:, column], SCALE, f"{where}, {dimension}")
    rated = rows[:, :len(LABEL_COLUMNS)]
    if not np.array_equal(rated, np.broadcast_to(rated[0], rated.shape), equal_nan=True):
        return unrated, "rows"
    lost = np.isnan(rated[0])
    note = "none" if lost.all() else "incomplete" if lost.any() else ""
    return {dimension: float(rated[0, LABEL_COLUMNS[dimension]]) for dimension in DIMENSIONS}, note


def _check_rate(found: Sequence[np.ndarray | None], path: Path) -> None:
    """InputError if the short videos cannot have been sampled at 128 Hz."""
    lengths_s = [_video_s(samples) for samples in found[:N_SHORT] if samples is not None and _video_s(samples) > 0]
    if not lengths_s:
        return
    median_s, (low, high) = float(np.median(lengths_s)), MEDIAN_SHORT_S
    if not low <= median_s <= high:
        raise bad_input(f"{path}, {DATA}", f"short videos of {median_s:.1f} s (median, read at {SFREQ_HZ:g} Hz)",
                        f"{SHORT_S[0]:g} to {SHORT_S[1]:g} s",
                        f"use the files at {SFREQ_HZ:g} Hz, or leave this person out")


def _stimuli(value: Any) -> tuple[tuple[str, ...], list[str]]:
    """The video of each cell: its name in ``VideoIDs`` if the file has that, else v01 to v20."""
    by_cell = tuple(f"v{cell:02d}" for cell in range(1, N_CELLS + 1))
    if value is None:
        return by_cell, []
    entries = [np.asarray(entry).reshape(-1) for entry in np.asarray(value).reshape(-1)]
    names = tuple(str(entry[0]).strip() if entry.size == 1 and entry.dtype.kind in "Uiuf" else "" for entry in entries)
    if len(names) == len(set(names)) == N_CELLS and all(names):
        return names, []
    return by_cell, [f", {NAMES}: not {N_CELLS} different names; videos are named by cell."]


def _eda_unit(found: Sequence[np.ndarray | None]) -> str:
    """``"uS"`` if the column can be a skin resistance in Ohm, else ``"a.u."``."""
    columns = [samples[:, COLUMNS["EDA"]].ravel() for samples in found if samples is not None]
    values = np.concatenate(columns) if columns else np.zeros(0)
    values = values[np.isfinite(values) & (values != 0)]
    return "uS" if not values.size or np.median(values) >= LEAST_OHM else "a.u."


def _signals(samples: np.ndarray | None, eda_unit: str) -> dict[str, Signal]:
    """The modalities of a cell that are alive; none if there is nothing after the baseline."""
    if samples is None or _video_s(samples) <= 0:
        return {}
    found = {modality: _signal(samples, modality, eda_unit) for modality in MODALITIES}
    return {modality: signal for modality, signal in found.items() if signal is not None}


def _signal(samples: np.ndarray, modality: str, eda_unit: str) -> Signal | None:
    """One modality of a cell, (C, N); infinities and dead stretches become NaN; None if nothing is left."""
    published = MODALITIES[modality]
    data = np.ascontiguousarray(samples[:, COLUMNS[modality]].T, dtype=np.float64)
    data[~np.isfinite(data)] = np.nan
    unit = published.unit
    if modality == "EDA":
        unit = eda_unit
        data = conductance_us(data, "Ohm") if unit == "uS" else mark_flat(data, SFREQ_HZ, values=(0.0,))
    else:
        data = mark_flat(data, SFREQ_HZ)
    if np.isnan(data).all():
        return None
    return Signal(data.astype(np.float32), SFREQ_HZ, published.names, unit)


# What is missing

def _cell_problems(found: Sequence[np.ndarray | None], signals: Sequence[Mapping[str, Signal]],
                   notes: Sequence[str]) -> list[str]:
    """One sentence (after the file's name) for each kind of gap, naming the cells."""
    kinds: dict[str, list[int]] = {}
    for cell, (samples, alive, note) in enumerate(zip(found, signals, notes, strict=True), start=1):
        for kind in _cell_kinds(samples, alive, note, cell <= N_SHORT):
            kinds.setdefault(kind, []).append(cell)
    return [f", {'cell' if len(numbers) == 1 else 'cells'} {_ranges(numbers)}: {kind}."
            for kind, numbers in kinds.items()]


def _cell_kinds(samples: np.ndarray | None, alive: Mapping[str, Signal], note: str, short: bool) -> Iterator[str]:
    if samples is None:
        yield f"{DATA} and {LABELS} are empty; no such trial" if note == "none" else \
            f"a label in {LABELS} but no data in {DATA}; the trial is left out"
        return
    video_s, (low, high) = _video_s(samples), SHORT_S
    dead = [modality for modality in MODALITIES if modality not in alive]
    if video_s <= 0:
        yield f"no more than the {BASELINE_S:g} s of baseline in {DATA}; the trial is left out"
    elif not alive:
        yield f"{DATA} is NaN or constant throughout; the trial is left out"
    elif dead:
        yield f"{' and '.join(dead)} NaN or constant throughout in {DATA}; missing in this trial"
    if note in ("none", "rows"):
        rating = "no label" if note == "none" else "several rows of labels that differ"
        yield f"data but {rating} in {LABELS}; the ratings are missing"
    elif note == "incomplete":
        yield f"a label with missing ratings in {LABELS}"
    if short and video_s > 0 and not low - LENGTH_MARGIN_S <= video_s <= high + LENGTH_MARGIN_S:
        yield f"the video's length is not the {low:g} to {high:g} s published for a short one"


def _ranges(numbers: Sequence[int]) -> str:
    """``[1, 2, 3, 7]`` as ``"1-3, 7"``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


DATASET = Dataset(
    name="amigos",
    title="AMIGOS: a dataset for affect, personality and mood research on individuals and groups",
    citation="Miranda-Correa, Abadi, Sebe, Patras. AMIGOS: A Dataset for Affect, Personality and Mood Research on "
             "Individuals and Groups. IEEE Transactions on Affective Computing 12(2), 479-493, 2021.",
    doi="10.1109/TAFFC.2018.2884461",
    licence="AMIGOS end user licence agreement (academic research, no redistribution)",
    access="Ask for access at https://www.eecs.qmul.ac.uk/mmv/datasets/amigos/ and place the folder "
           "data_preprocessed in the raw folder.",
    patterns=("data_preprocessed/*.mat", "continuous_annotations.csv"),
    redistributable=False,
    dimensions=DIMENSIONS,
    scale=SCALE,
    thresholds=(5.0,),
    modalities=MODALITIES,
    inspect=inspect,
    read=read,
    published={"participants": "40 (37 of them saw the long videos)", "videos per participant": "16 short, 4 long",
               "short videos": "51 to 150 s", "EEG": "14 channels, 128 Hz (preprocessed)",
               "ECG": "2 channels, 128 Hz (preprocessed)"},
)
