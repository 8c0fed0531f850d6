"""DREAMER: 23 people, 18 film clips, EEG and ECG, one MATLAB file.

``DREAMER.mat`` is read whole (several hundred MB as published); the last file read stays in memory,
so that subject after subject costs one load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.recordings import Annotations, Session, Signal, Trial
from himoe.datasets._annotations import check_scale, read_annotations
from himoe.datasets._mat import cells, field, load_variable, numbers, text
from himoe.datasets.base import Channels, Dataset, Inventory
from himoe.datasets.gaps import mark_flat

FILE = "DREAMER.mat"
N_SUBJECTS = 23
SCALE = (1.0, 5.0)
TRIAL_S = 60.0
EEG_CHANNELS = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
MODALITIES = {"EEG": Channels(EEG_CHANNELS, 128.0, "uV"), "ECG": Channels(("ECG1", "ECG2"), 256.0, "a.u.")}
SCORES = {"valence": "ScoreValence", "arousal": "ScoreArousal", "dominance": "ScoreDominance"}
# EEG and ECG of a clip may differ by the recorders' rounding, not by more
MAX_DIFFERENCE_S = 1.0


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    """The subjects in the file (loads it)."""
    where, people, _, _ = _open(Path(root))
    problems = () if len(people) == N_SUBJECTS else (
        f"{where}: {len(people)} subjects, {N_SUBJECTS} are published.",)
    return Inventory(_subjects(len(people)), (), problems)


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """One session a clip: the whole clip, its trial the last 60 s."""
    where, people, n_clips, places = _open(Path(root))
    if subject not in _subjects(len(people)):
        raise bad_input("DREAMER subject", repr(subject), f"s01 to s{len(people):02d}", "correct the id")
    number = int(subject[1:])
    where = f"{where}.Data{{{number}}}"
    person = people[number - 1]
    stimuli = {modality: cells(field(field(person, modality, where), "stimuli", f"{where}.{modality}"), n_clips,
                               f"{where}.{modality}.stimuli") for modality in MODALITIES}
    scores = _scores(person, n_clips, where)
    annotations = read_annotations(root, number, SCALE)
    for clip in range(1, n_clips + 1):
        signals = {modality: _signal(stimuli[modality][clip - 1], modality, places.get(modality),
                                     f"{where}.{modality}.stimuli{{{clip}}}") for modality in MODALITIES}
        ratings = {dimension: float(values[clip - 1]) for dimension, values in scores.items()}
        yield Session(subject, signals, (_trial(clip, signals, ratings, annotations, f"{where}, clip {clip}"),))


def _subjects(count: int) -> tuple[str, ...]:
    return tuple(f"s{number:02d}" for number in range(1, count + 1))


def _open(root: Path) -> tuple[str, list[Any], int, dict[str, list[int]]]:
    """Name for messages, the subjects' structs, number of clips, columns of the EEG channels; fields are checked."""
    path = root / FILE
    top = load_variable(path, "DREAMER")
    where = f"{path}, DREAMER"
    n_subjects = _count(top, "noOfSubjects", where)
    n_clips = _count(top, "noOfVideoSequences", where)
    people = cells(field(top, "Data", where), n_subjects, f"{where}.Data")
    for modality, published in MODALITIES.items():
        name = f"{modality}_SamplingRate"
        rate_hz = numbers(field(top, name, where), 1, f"{where}.{name}")[0]
        if rate_hz != published.sfreq_hz:
            raise bad_input(f"{where}.{name}", f"{rate_hz:g} Hz", f"{published.sfreq_hz:g} Hz",
                            "check that this is the data set's own file")
    cell = cells(field(top, "EEG_Electrodes", where), len(EEG_CHANNELS), f"{where}.EEG_Electrodes")
    names = tuple(text(value, f"{where}.EEG_Electrodes") for value in cell)
    if sorted(names) != sorted(EEG_CHANNELS):
        raise bad_input(f"{where}.EEG_Electrodes", " ".join(names), " ".join(EEG_CHANNELS),
                        "check that this is the data set's own file")
    return where, people, n_clips, {"EEG": [names.index(name) for name in EEG_CHANNELS]}


def _count(top: Any, name: str, where: str) -> int:
    value = numbers(field(top, name, where), 1, f"{where}.{name}")[0]
    if not (value >= 1 and value == round(value)):
        raise bad_input(f"{where}.{name}", f"{value:g}", "a whole number from 1 on",
                        "check that this is the data set's own file")
    return int(value)


def _scores(person: Any, n_clips: int, where: str) -> dict[str, np.ndarray]:
    scores = {}
    for dimension, name in SCORES.items():
        scores[dimension] = numbers(field(person, name, where), n_clips, f"{where}.{name}")
        check_scale(scores[dimension], SCALE, f"{where}.{name}")
    return scores


def _signal(value: Any, modality: str, places: list[int] | None, where: str) -> Signal:
    """Samples × channels as stored, (C, N) float32 as returned; infinities and dead stretches become NaN.

    *places* are the columns of the published channels, where the file names its channels.
    """
    published = MODALITIES[modality]
    array = np.asarray(value)
    if array.ndim != 2 or array.shape[1] != len(published.names) or array.dtype.kind not in "iuf":
        raise bad_input(where, f"shape {array.shape} of {array.dtype}",
                        f"samples x {len(published.names)} numbers", "check that this is the data set's own file")
    data = np.ascontiguousarray(array.T if places is None else array.T[places], dtype=np.float32)
    data[~np.isfinite(data)] = np.nan
    assert published.sfreq_hz is not None
    return Signal(mark_flat(data, published.sfreq_hz), published.sfreq_hz, published.names, published.unit)


def _trial(clip: int, signals: Mapping[str, Signal], ratings: Mapping[str, float],
           annotations: Mapping[int, Annotations], where: str) -> Trial:
    lengths_s = [signal.duration_s for signal in signals.values()]
    if max(lengths_s) - min(lengths_s) > MAX_DIFFERENCE_S:
        found = " and ".join(f"{name} of {signal.duration_s:.2f} s" for name, signal in signals.items())
        raise bad_input(where, found, "EEG and ECG of one length", "fetch the file again")
    if min(lengths_s) < TRIAL_S:
        raise bad_input(where, f"{min(lengths_s):.2f} s", f"at least {TRIAL_S:g} s",
                        "check that this is the data set's own file")
    name = f"v{clip:02d}"
    return Trial(name, name, min(lengths_s) - TRIAL_S, TRIAL_S, dict(ratings), annotations.get(clip))


DATASET = Dataset(
    name="dreamer",
    title="DREAMER: EEG and ECG recorded with wireless low-cost devices during film clips",
    citation="Katsigiannis, Ramzan. DREAMER: A Database for Emotion Recognition Through EEG and ECG Signals From "
             "Wireless Low-cost Off-the-Shelf Devices. IEEE Journal of Biomedical and Health Informatics 22(1), "
             "98-107, 2018.",
    doi="10.1109/JBHI.2017.2688239",
    licence="DREAMER end user licence agreement (academic research, no redistribution)",
    access="Ask for access at https://zenodo.org/records/546113 and place DREAMER.mat in the raw folder.",
    patterns=("DREAMER.mat", "continuous_annotations.csv"),
    redistributable=False,
    dimensions=("valence", "arousal", "dominance"),
    scale=SCALE,
    thresholds=(3.0,),
    modalities=MODALITIES,
    inspect=inspect,
    read=read,
    published={"participants": "23", "clips per participant": "18", "clip length": "65 to 393 s",
               "EEG": "14 channels, 128 Hz", "ECG": "2 channels, 256 Hz"},
)
