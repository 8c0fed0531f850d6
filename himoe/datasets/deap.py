"""DEAP: 32 people, 40 one-minute music videos, EEG and peripheral signals.

Two layouts: ``bdf`` (``data_original/sNN.bdf``, BioSemi recordings at 512 Hz) and ``dat``
(``data_preprocessed_python/sNN.dat``, pickles at 128 Hz). Both give the same trial ids: ``v01`` .. ``v40``,
the video (Experiment_id). The face videos (participants 1 to 22, one file per trial in the order of presentation)
become the modality FACE in a stage of their own; the ratings file says which video a trial showed.

Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.recordings import Annotations, Session, Signal, Trial
from himoe.datasets._annotations import check_scale, read_annotations, read_table, whole_numbers
from himoe.datasets._bdf import BdfHeader, read_blocks, read_header, sampling_rate_hz
from himoe.datasets._pickle import load_arrays
from himoe.datasets.base import Channels, Dataset, Inventory
from himoe.datasets.gaps import flat_rows, mark_flat

N_PARTICIPANTS = 32
N_VIDEOS = 40
SCALE = (1.0, 9.0)
TRIAL_S = 60.0
LAYOUTS = {"bdf": ("data_original", ".bdf"), "dat": ("data_preprocessed_python", ".dat")}
RATINGS_FILE = Path("metadata_csv", "participant_ratings.csv")
VIDEO_FOLDER = "face_video"
LAST_FILMED = 22
# dimension -> column of the ratings file; the same order as the columns of ``labels`` in the .dat files
RATING_COLUMNS = {"valence": "Valence", "arousal": "Arousal", "dominance": "Dominance", "liking": "Liking"}

EEG_GENEVA = (
    "Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz",
    "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2",
)
EEG_TWENTE = (
    "Fp1", "AF3", "F7", "F3", "FC1", "FC5", "T7", "C3", "CP1", "CP5", "P7", "P3", "Pz", "PO3", "O1", "Oz",
    "O2", "PO4", "P4", "P8", "CP6", "CP2", "C4", "T8", "FC6", "FC2", "F4", "F8", "AF4", "Fp2", "Fz", "Cz",
)
LAST_TWENTE = 22
EXG = tuple(f"EXG{number}" for number in range(1, 9))
BIPOLAR = {"hEOG": ("EXG1", "EXG2"), "vEOG": ("EXG3", "EXG4"), "zEMG": ("EXG5", "EXG6"), "tEMG": ("EXG7", "EXG8")}
SINGLE = {"EDA": "GSR1", "RSP": "Resp", "PPG": "Plet", "TEMP": "Temp"}
BDF_OTHER = ("GSR2", "Erg1", "Erg2")
MUSIC_START = 4

DAT_SFREQ_HZ = 128.0
DAT_SHAPE = (40, 8064)
DAT_BASELINE_S = 3.0
DAT_ROWS = {"EEG": slice(0, 32), "EOG": slice(32, 34), "EMG": slice(34, 36), "EDA": slice(36, 37),
            "RSP": slice(37, 38), "PPG": slice(38, 39), "TEMP": slice(39, 40)}

MODALITIES = {
    "EEG": Channels(EEG_GENEVA, 512.0, "uV"), "EOG": Channels(("hEOG", "vEOG"), 512.0, "uV"),
    "EMG": Channels(("zEMG", "tEMG"), 512.0, "uV"), "EDA": Channels(("GSR",), 512.0, "uS"),
    "RSP": Channels(("Resp",), 512.0, "a.u."), "PPG": Channels(("Plet",), 512.0, "a.u."),
    "TEMP": Channels(("Temp",), 512.0, "degC"),
}

# A skin resistance is never negative; a signal with this share of negative values was centred
CENTRED_SHARE = 0.25


def conductance_us(values: np.ndarray, unit: str, smallest: float = 0.0) -> np.ndarray:
    """Skin conductance in uS from a resistance (``"Ohm"``) or a conductance (``"nS"``).

    Neither can be zero or below: values up to *smallest* become NaN (a lost sensor).
    """
    if unit not in ("Ohm", "nS"):
        raise bad_input("unit of skin conductance", repr(unit), "Ohm or nS", "correct the unit")
    positive = np.where(values > smallest, values, np.nan)
    return 1e6 / positive if unit == "Ohm" else positive / 1e3


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    """Which of s01 .. s32 are there; raises InputError if none can be read."""
    layout = _layout(options)
    paths = {subject: _path(root, subject, layout) for subject in _subjects()}
    found = [subject for subject, path in paths.items() if path.is_file()]
    missing = [path.relative_to(root).as_posix() for subject, path in paths.items() if subject not in found]
    problems = []
    if (Path(root) / RATINGS_FILE).is_file():
        rated = set(_ratings_table(root)["Participant_id"])
        unrated = [subject for subject in found if _number(subject) not in rated]
        problems = [f"{RATINGS_FILE.as_posix()} has no ratings of {subject}." for subject in unrated]
        if layout == "bdf":
            found = [subject for subject in found if subject not in unrated]
        missing += _missing_videos(root, [subject for subject in found if subject not in unrated])
    else:
        missing.append(RATINGS_FILE.as_posix())
        if layout == "bdf":
            found = []
    if not found:
        raise bad_input(f"{root} (DEAP, layout {layout})", "no participant that can be read",
                        f"{'/s01'.join(LAYOUTS[layout])} and so on, and {RATINGS_FILE.as_posix()}",
                        "check the folder and the layout")
    return Inventory(tuple(found), tuple(missing), tuple(problems))


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """Sessions of one participant: one in all (``bdf``), or one per trial (``dat``)."""
    layout = _layout(options)
    if subject not in _subjects():
        raise bad_input("DEAP subject", repr(subject), "s01 to s32", "correct the id")
    path = _path(root, subject, layout)
    annotations = read_annotations(root, _number(subject), SCALE)
    if layout == "bdf":
        yield _read_bdf(Path(root), subject, path, annotations)
    else:
        yield from _read_dat(Path(root), subject, path, annotations)


def videos(root: Path, subject: str) -> dict[str, Path]:
    """The face videos of one participant that exist, by trial; none without the ratings file that names the trials."""
    if not (Path(root) / RATINGS_FILE).is_file() or not (Path(root) / VIDEO_FOLDER / subject).is_dir():
        return {}
    rows = _ratings_of(Path(root), subject)
    paths = {f"v{video:02d}": video_path(root, subject, trial)
             for trial, video in zip(rows["Trial"], rows["Experiment_id"], strict=True)}
    return {trial: path for trial, path in sorted(paths.items()) if path.is_file()}


def video_path(root: Path, subject: str, trial: int) -> Path:
    """Where the face video of a trial (number in order of presentation) lies."""
    return Path(root) / VIDEO_FOLDER / subject / f"{subject}_trial{trial:02d}.avi"


def _missing_videos(root: Path, found: Sequence[str]) -> list[str]:
    """Videos that rated trials of filmed participants should have; empty for a copy without any face video."""
    if not (Path(root) / VIDEO_FOLDER).is_dir():
        return []
    absent = []
    for subject in (name for name in found if _number(name) <= LAST_FILMED):
        rated = _ratings_of(Path(root), subject)["Trial"]
        paths = [video_path(root, subject, int(trial)) for trial in rated]
        absent += [path.relative_to(root).as_posix() for path in paths if not path.is_file()]
    return absent


def _layout(options: Mapping[str, str]) -> str:
    layout = options.get("layout", "bdf")
    if layout not in LAYOUTS:
        raise bad_input("DEAP option layout", repr(layout), "bdf or dat", "correct the option")
    return layout


def _subjects() -> tuple[str, ...]:
    return tuple(f"s{number:02d}" for number in range(1, N_PARTICIPANTS + 1))


def _number(subject: str) -> int:
    return int(subject[1:])


def _path(root: Path, subject: str, layout: str) -> Path:
    folder, ending = LAYOUTS[layout]
    return Path(root) / folder / f"{subject}{ending}"


# Ratings

def _ratings_table(root: Path) -> pd.DataFrame:
    path = Path(root) / RATINGS_FILE
    keys = ("Participant_id", "Trial", "Experiment_id")
    table = read_table(path, [*keys, *RATING_COLUMNS.values()])
    for column in keys:
        table[column] = whole_numbers(table, column, path)
    return table


def _ratings_of(root: Path, subject: str) -> pd.DataFrame:
    """One participant's rows in presentation order, checked."""
    path = root / RATINGS_FILE
    table = _ratings_table(root)
    rows = table[table["Participant_id"] == _number(subject)].sort_values("Trial")
    where = f"{path}, participant {_number(subject)}"
    if rows.empty:
        raise bad_input(where, "no rows", "one row per trial", "add the ratings or leave this participant out")
    for column in ("Trial", "Experiment_id"):
        if rows[column].duplicated().any() or not rows[column].between(1, N_VIDEOS).all():
            raise bad_input(f"{where}, column {column}", "a number twice or out of range",
                            f"different numbers from 1 to {N_VIDEOS}", "correct the rows")
    for column in RATING_COLUMNS.values():
        _check_ratings(rows[column].to_numpy(), f"{where}, column {column}")
    return rows


def _check_ratings(values: np.ndarray, where: str) -> None:
    if not np.isfinite(values).all():
        raise bad_input(where, "a missing or infinite rating", f"ratings from {SCALE[0]:g} to {SCALE[1]:g}",
                        "check that this is the data set's own file")
    check_scale(values, SCALE, where)


def _trial(video: int, start_s: float, ratings: np.ndarray, annotations: Mapping[int, Annotations]) -> Trial:
    name = f"v{video:02d}"
    return Trial(name, name, start_s, TRIAL_S, dict(zip(RATING_COLUMNS, map(float, ratings))),
                 annotations.get(video))


# Layout dat

def _read_dat(root: Path, subject: str, path: Path, annotations: Mapping[int, Annotations]) -> Iterator[Session]:
    data, labels = _load_dat(path)
    videos = _dat_videos(root, subject, path, len(data))
    eda_unit = "a.u." if _centred(data[:, DAT_ROWS["EDA"]]) else "uS"
    for video, samples, ratings in zip(videos, data, labels):
        yield Session(subject, _dat_signals(samples, eda_unit),
                      (_trial(video, DAT_BASELINE_S, ratings, annotations),))


def _load_dat(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """``data`` (trials, 40, 8064) and ``labels`` (trials, 4), checked."""
    content = load_arrays(path)
    if not isinstance(content, dict):
        raise bad_input(path, f"a pickled {type(content).__name__}", "a dict with data and labels",
                        "check that this is a DEAP file")
    data = _array(content, "data", path, 3, DAT_SHAPE)
    labels = _array(content, "labels", path, 2, (len(RATING_COLUMNS),))
    if len(labels) != len(data):
        raise bad_input(f"{path}, labels", f"{len(labels)} rows", f"{len(data)}, one per trial of data",
                        "fetch the file again")
    _check_ratings(labels, f"{path}, labels")
    return data, labels


def _array(content: Mapping[str, Any], key: str, path: Path, ndim: int, shape: tuple[int, ...]) -> np.ndarray:
    array = content.get(key)
    if not isinstance(array, np.ndarray):
        raise bad_input(f"{path}, {key}", "no array" if array is None else f"a {type(array).__name__}",
                        "an array of float64", "check that this is a DEAP file")
    if array.ndim != ndim or array.shape[1:] != shape or array.dtype != np.float64 or not len(array):
        expected = " x ".join(["trials", *map(str, shape)])
        raise bad_input(f"{path}, {key}", f"shape {array.shape} of {array.dtype}", f"{expected} of float64",
                        "check that this is a DEAP file")
    return array


def _dat_videos(root: Path, subject: str, path: Path, n_trials: int) -> list[int]:
    """Video numbers of the trials: all 40, or those the ratings file names."""
    if not (root / RATINGS_FILE).is_file() and n_trials == N_VIDEOS:
        return list(range(1, N_VIDEOS + 1))
    videos = sorted(_ratings_of(root, subject)["Experiment_id"])
    if len(videos) != n_trials:
        raise bad_input(f"{path}, data", f"{n_trials} trials",
                        f"{len(videos)}, the rated trials of {subject} in {root / RATINGS_FILE}",
                        "fetch both files again")
    return [int(video) for video in videos]


def _centred(eda: np.ndarray) -> bool:
    """Whether the skin resistance of a participant had its mean removed, so that no unit is left."""
    values = eda[np.isfinite(eda)]
    return bool(values.size and (np.mean(values <= 0) > 0.5 or np.mean(values < 0) > CENTRED_SHARE))


def _dat_signals(samples: np.ndarray, eda_unit: str) -> dict[str, Signal]:
    with np.errstate(invalid="ignore", over="ignore"):  # a sum is finite only where every number is
        whole = np.isfinite(samples.sum())
    signals = {}
    for modality, rows in DAT_ROWS.items():
        data = samples[rows] if whole else np.where(np.isfinite(samples[rows]), samples[rows], np.nan)
        published = MODALITIES[modality]
        unit, levels = published.unit, (0.0,) if modality in ("EDA", "TEMP") else None
        if modality == "EDA":
            unit, data = eda_unit, mark_flat(data, DAT_SFREQ_HZ, values=levels)
            narrow = (conductance_us(data, "Ohm") if unit == "uS" else data).astype(np.float32)
        else:
            narrow = data.astype(np.float32)  # what is flat shows in the numbers as they were written
            for row, gaps in flat_rows(data, DAT_SFREQ_HZ, values=levels):
                narrow[row, gaps] = np.nan
        signals[modality] = Signal(narrow, DAT_SFREQ_HZ, published.names, unit)
    return signals


# Layout bdf

def _read_bdf(root: Path, subject: str, path: Path, annotations: Mapping[int, Annotations]) -> Session:
    header = read_header(path)
    rows = _ratings_of(root, subject)
    names = (*EEG_GENEVA, *EXG, *SINGLE.values())
    picks = [header.index(name) for name in names]
    status = _status_channel(header)
    sfreq_hz = sampling_rate_hz(header, [*picks, status])
    data, onsets = _bdf_samples(header, picks, status, _to_microvolt(header, picks))
    if len(onsets) != len(rows):
        raise bad_input(f"{path}, Status", f"{len(onsets)} music starts (code {MUSIC_START})",
                        f"{len(rows)}, the rated trials of {subject} in {root / RATINGS_FILE}",
                        "fetch both files again")
    ratings = rows[list(RATING_COLUMNS.values())].to_numpy()
    trials = tuple(_trial(int(video), onset / sfreq_hz, rating, annotations)
                   for video, onset, rating in zip(rows["Experiment_id"], onsets, ratings))
    levels = {name: header.dead_levels(header.index(name)) for name in (SINGLE["EDA"], SINGLE["TEMP"])}
    gsr_unit = "Ohm" if _number(subject) <= LAST_TWENTE else "nS"
    return Session(subject, _bdf_signals(dict(zip(names, data)), data, sfreq_hz, gsr_unit, levels), trials)


def _status_channel(header: BdfHeader) -> int:
    """The channel Status, or the last one where its name is missing (some Geneva files)."""
    if "Status" in header.labels:
        return header.index("Status")
    if header.labels[-1] in (*EEG_GENEVA, *EXG, *SINGLE.values(), *BDF_OTHER):
        return header.index("Status")  # raises: the last channel is another one
    return len(header.labels) - 1


def _to_microvolt(header: BdfHeader, picks: Sequence[int]) -> np.ndarray:
    """Factor to uV for EEG and EXG, 1 for the rest, (C, 1)."""
    scale = np.ones((len(picks), 1))
    for row, pick in enumerate(picks[:len(EEG_GENEVA) + len(EXG)]):
        unit = header.units[pick].replace("µ", "u").replace("μ", "u")
        if unit not in ("uV", "mV"):
            raise bad_input(f"{header.path}, unit of {header.labels[pick]}", repr(unit), "uV or mV",
                            "check that this is the data set's own file")
        scale[row] = 1.0 if unit == "uV" else 1e3
    return scale


def _bdf_samples(header: BdfHeader, picks: Sequence[int], status: int,
                 scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples (C, N) float32, and the first sample of every music start."""
    n_samples = header.n_records * header.samples[status]
    data = np.empty((len(picks), n_samples), dtype=np.float32)
    codes = np.zeros(n_samples + 1, dtype=np.uint8)
    for first, block, code in read_blocks(header, picks, status):
        data[:, first:first + block.shape[1]] = block * scale
        codes[first + 1:first + 1 + code.size] = code
    return data, np.flatnonzero((codes[1:] == MUSIC_START) & (codes[:-1] != MUSIC_START))


def _bdf_signals(by_name: Mapping[str, np.ndarray], data: np.ndarray, sfreq_hz: float, gsr_unit: str,
                 levels: Mapping[str, tuple[Sequence[float], float]]) -> dict[str, Signal]:
    """Signals from the channels; *by_name* holds the rows of *data*, which are changed in place.

    *levels* are the dead levels of the slow channels and the converter's step; others may not be constant at all.
    """
    for name, row in by_name.items():
        values, step = levels.get(name, (None, 0.0))
        row[:] = mark_flat(row[np.newaxis], sfreq_hz, values=values, tolerance=step)[0]
    arrays = {"EEG": data[:len(EEG_GENEVA)]}
    for modality in ("EOG", "EMG"):
        pairs = [BIPOLAR[channel] for channel in MODALITIES[modality].names]
        arrays[modality] = np.stack([by_name[one] - by_name[other] for one, other in pairs])
    for modality, name in SINGLE.items():
        arrays[modality] = by_name[name][np.newaxis]
    arrays["EDA"] = conductance_us(arrays["EDA"], gsr_unit, levels[SINGLE["EDA"]][1]).astype(np.float32)
    return {modality: Signal(arrays[modality], sfreq_hz, published.names, published.unit)
            for modality, published in MODALITIES.items()}


DATASET = Dataset(
    name="deap",
    title="DEAP: a database for emotion analysis using physiological signals",
    citation="Koelstra, Mühl, Soleymani, Lee, Yazdani, Ebrahimi, Pun, Nijholt, Patras. DEAP: A Database for Emotion "
             "Analysis Using Physiological Signals. IEEE Transactions on Affective Computing 3(1), 18-31, 2012.",
    doi="10.1109/T-AFFC.2011.15",
    licence="DEAP end user licence agreement (academic research, no redistribution)",
    access="Ask for access at https://www.eecs.qmul.ac.uk/mmv/datasets/deap/ and place the folders data_original or "
           "data_preprocessed_python, metadata_csv and, if you have it, face_video in the raw folder.",
    patterns=("data_preprocessed_python/*.dat", "data_original/*.bdf", "metadata_csv/*.csv",
              "face_video/*/*.avi", "continuous_annotations.csv"),
    redistributable=False,
    dimensions=("valence", "arousal", "dominance", "liking"),
    scale=SCALE,
    thresholds=(5.0,),
    modalities={**MODALITIES, "FACE": Channels(("video",), 50.0, "frames")},
    inspect=inspect,
    read=read,
    videos=videos,
    layouts={name: f"{folder}/*{ending}" for name, (folder, ending) in LAYOUTS.items()},
    published={"participants": "32", "trials per participant": "40", "trial length": "60 s",
               "EEG": "32 channels, 512 Hz (preprocessed: 128 Hz)",
               "face video": "participants 1 to 22, 50 frames per second"},
)

