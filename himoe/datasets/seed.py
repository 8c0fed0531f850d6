"""SEED: 15 people, three visits each, 15 film clips a visit, EEG, a class of valence by clip.

``Preprocessed_EEG/<subject>_<yyyymmdd>.mat`` (MATLAB v5) is one visit; its variables ``<initials>_eeg1`` to
``_eeg15`` are the clips, each 62 channels x samples. ``Preprocessed_EEG/label.mat`` holds one label per clip, the same
for everybody: -1 negative, 0 neutral, 1 positive. The files hold neither rate nor channel names: 200 Hz and the order
below are as published (Zheng & Lu 2015, doi 10.1109/TAMD.2015.2431497; the set's "Channel Order" sheet), so another
order of channels cannot be seen; a length that 200 Hz cannot explain is refused. One clip is in memory at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_folder
from himoe.core.recordings import Session, Signal, Trial
from himoe.datasets._mat import list_variables, load_once, numbers
from himoe.datasets.base import Channels, Dataset, Inventory
from himoe.datasets.gaps import mark_flat

FOLDER = "Preprocessed_EEG"
LABEL_FILE = f"{FOLDER}/label.mat"
N_SUBJECTS, N_SESSIONS, N_CLIPS = 15, 3, 15
LABELS = (-1.0, 0.0, 1.0)
SFREQ_HZ = 200.0
TRIAL_S = 60.0
MAX_CLIP_S = 400.0  # published clips last 185 to 265 s; samples at 1000 Hz would seem to last 925 s or more
# The published order; CB1 and CB2 (over the cerebellum) have no place in the 10-05 system.
EEG_CHANNELS = (
    "Fp1", "Fpz", "Fp2", "AF3", "AF4", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8", "FT7", "FC5",
    "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8",
    "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "Pz", "P2", "P4",
    "P6", "P8", "PO7", "PO5", "PO3", "POz", "PO4", "PO6", "PO8", "CB1", "O1", "Oz", "O2", "CB2",
)
_VISIT = re.compile(r"([1-9]|1[0-5])_(\d{8})\.mat")
_CLIP = re.compile(r"(.+)_eeg([1-9]\d*)")


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    """Subjects whose files can be read; what is missing. Reads names and shapes only."""
    root = Path(root)
    n_clips = len(_labels(root))
    visits, others = _visits(root)
    missing = [f"{FOLDER}/{number}_*.mat" for number in range(1, N_SUBJECTS + 1) if number not in visits]
    problems = [f"{FOLDER}/{name}: not named <subject 1 to {N_SUBJECTS}>_<yyyymmdd>.mat; it is not read."
                for name in others]
    if n_clips != N_CLIPS:
        problems.append(f"{LABEL_FILE}: {n_clips} labels, {N_CLIPS} are published.")
    subjects = []
    for number, paths in visits.items():
        if len(paths) != N_SESSIONS:
            problems.append(f"{FOLDER}/{number}_*.mat: {len(paths)} session files, {N_SESSIONS} are published; "
                            "by date they count from 1.")
        try:
            problems += [problem for path in paths for problem in _gaps_of(path, n_clips)]
            subjects.append(_subject(number))
        except InputError as error:
            problems.append(f"{_subject(number)} is left out: {error}")
    if not subjects:
        why = "; ".join(problem.rstrip(".") for problem in problems) or "no file of that name"
        raise bad_input(root / FOLDER, f"no subject that can be read ({why})", "1_<yyyymmdd>.mat and so on",
                        "check the folder")
    return Inventory(tuple(subjects), tuple(missing), tuple(problems))


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """One session a clip: the whole clip, its trial the last 60 s; visits by date, clips by number.

    A clip whose variable is absent is left out. Raises InputError for a damaged file, a clip that is not
    62 channels x samples or not 60 to 400 s long at 200 Hz, and variables of two people in one file.
    """
    root = Path(root)
    if subject not in {_subject(number) for number in range(1, N_SUBJECTS + 1)}:
        raise bad_input("SEED subject", repr(subject), f"s01 to s{N_SUBJECTS:02d}", "correct the id")
    labels = _labels(root)
    paths = _visits(root)[0].get(int(subject[1:]), [])
    if not paths:
        raise bad_input(f"{root / FOLDER}/{int(subject[1:])}_*.mat", "no such file", f"the visits of {subject}",
                        "add them or leave this subject out")
    for visit, path in enumerate(paths, start=1):
        for clip, (name, _) in sorted(_clips(path, len(labels)).items()):
            where = f"{path}, variable {name}"
            signal = _signal(load_once(path, name, "channels x samples"), where)
            trial = Trial(f"d{visit}v{clip:02d}", f"v{clip:02d}", signal.duration_s - TRIAL_S, TRIAL_S,
                          {"valence": float(labels[clip - 1])}, session=str(visit))
            yield Session(subject, {"EEG": signal}, (trial,))


def _subject(number: int) -> str:
    return f"s{number:02d}"


def _labels(root: Path) -> np.ndarray:
    """The label of every clip, (clips,) of -1, 0, 1."""
    path = root / LABEL_FILE
    where = f"{path}, variable label"
    list_variables(path)
    value = load_once(path, "label", "one label per clip")
    labels = numbers(value, max(np.size(value), 1), where)
    wrong = labels[~np.isin(labels, LABELS)]
    if wrong.size:
        raise bad_input(where, f"{wrong[0]:g}", "labels -1, 0 and 1", "check that this is the data set's own file")
    return labels


def _visits(root: Path) -> tuple[dict[int, list[Path]], list[str]]:
    """The files of each subject by date, and the names of files that are no visit."""
    visits: dict[int, list[Path]] = {}
    others = []
    for path in sorted(require_folder(root / FOLDER).glob("[!.]*.mat")):
        match = _VISIT.fullmatch(path.name)
        if match:
            visits.setdefault(int(match[1]), []).append(path)
        elif path != root / LABEL_FILE:
            others.append(path.name)
    return dict(sorted(visits.items())), others


def _clips(path: Path, n_clips: int) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Clip number -> name and shape of its variable, checked without loading it."""
    shapes = list_variables(path)
    found = {name: match for name in shapes if (match := _CLIP.fullmatch(name))}
    if not found:
        raise bad_input(f"{path}, variables", " ".join(shapes) or "none", "<initials>_eeg1, <initials>_eeg2 and so on",
                        "check that this is the data set's own file")
    initials = sorted({match[1] for match in found.values()})
    if len(initials) > 1:
        raise bad_input(f"{path}, variables", "the initials " + " and ".join(initials), "those of one person",
                        "separate the recordings")
    clips = {int(match[2]): (name, shapes[name]) for name, match in found.items()}
    if max(clips) > n_clips:
        raise bad_input(f"{path}, variable {clips[max(clips)][0]}", f"clip {max(clips)}",
                        f"at most {n_clips}, the number of labels in {LABEL_FILE}", "fetch both files again")
    for name, shape in clips.values():
        _check_shape(shape, f"{path}, variable {name}")
    return clips


def _gaps_of(path: Path, n_clips: int) -> list[str]:
    """A sentence on the clips that *path* lacks, if it lacks any."""
    absent = sorted(set(range(1, n_clips + 1)) - set(_clips(path, n_clips)))
    if not absent:
        return []
    unknown = [name for name in list_variables(path) if not _CLIP.fullmatch(name)]
    known = f" (it has {' '.join(unknown)}, which is no clip's name)" if unknown else ""
    return [f"{FOLDER}/{path.name}: no variable for clip {', '.join(map(str, absent))}{known}; missing trials."]


def _check_shape(shape: tuple[int, ...], where: str) -> None:
    expected = f"{len(EEG_CHANNELS)} channels x samples"
    if len(shape) != 2 or shape[0] != len(EEG_CHANNELS):
        turned = len(shape) == 2 and shape[1] == len(EEG_CHANNELS)
        raise bad_input(where, f"shape {shape}", expected,
                        "transpose it" if turned else "check that this is the data set's own file")
    length_s = shape[1] / SFREQ_HZ
    if not TRIAL_S <= length_s <= MAX_CLIP_S:
        raise bad_input(where, f"{shape[1]} samples, {length_s:.3f} s at {SFREQ_HZ:g} Hz",
                        f"{TRIAL_S:g} to {MAX_CLIP_S:g} s", f"check that the rate is {SFREQ_HZ:g} Hz")


def _signal(value: Any, where: str) -> Signal:
    """(C, N) float32; infinities and dead stretches become NaN."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise bad_input(where, f"{array.dtype} values", "real numbers", "check that this is the data set's own file")
    data = np.ascontiguousarray(array, dtype=np.float32)
    data[~np.isfinite(data)] = np.nan
    return Signal(mark_flat(data, SFREQ_HZ), SFREQ_HZ, EEG_CHANNELS, "uV")


DATASET = Dataset(
    name="seed",
    title="SEED: the SJTU Emotion EEG Dataset",
    citation="Zheng, Lu. Investigating Critical Frequency Bands and Channels for EEG-Based Emotion Recognition with "
             "Deep Neural Networks. IEEE Transactions on Autonomous Mental Development 7(3), 162-175, 2015.",
    doi="10.1109/TAMD.2015.2431497",
    licence="SEED licence agreement (signed on application, no redistribution)",
    access="Apply at https://bcmi.sjtu.edu.cn/home/seed/ and place the folder Preprocessed_EEG in the raw folder.",
    patterns=("Preprocessed_EEG/*.mat",),
    redistributable=False,
    dimensions=("valence",),
    scale=(-1.0, 1.0),
    thresholds=(-0.5, 0.5),
    modalities={"EEG": Channels(EEG_CHANNELS, SFREQ_HZ, "uV")},
    inspect=inspect,
    read=read,
    published={"subjects": "15", "sessions": "3", "clips": "15", "clip length": "185 to 265 s",
               "EEG": "62 channels, 200 Hz"},
)
