"""Simulated AMIGOS: short videos on one day, long ones on another, with the gaps of the real set.

Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path
from himoe.core.progress import progress
from himoe.core.recordings import DIMENSIONS
from himoe.datasets import amigos
from himoe.simulate import artefacts, latent, layouts, peripheral, physiology
from himoe.simulate.artefacts import Dropout
from himoe.simulate.conditions import STEADY, Conditions
from himoe.simulate.corrupt import disturb
from himoe.simulate.eeg import simulate_eeg
from himoe.simulate.effects import Person, make_person, modulations
from himoe.simulate.montage import EPOC
from himoe.simulate.request import SimulationParams, check_request, participants
from himoe.simulate.sessions import Session, make_session
from himoe.simulate.tasks import run_tasks
from himoe.simulate.timeline import Timeline, make_timeline
from himoe.simulate.truth import Told, course_table, person_truth, quality_table, sorted_table, write_truth

NAME = "amigos"
SHORT_S = (55, 75)  # the real ones last 51 to 150 s
LONG_S = (90, 120)  # the real ones last over 14 min
LEAD_S = 20.0
BETWEEN_S = 12.0  # 7 s for the rating, 5 s of baseline
NIGHT_S = 30.0  # what stands for the time between the days
NO_LONG = (8, 24, 28)
DAMAGED = (9, 12, 21, 22, 23, 24, 33)
NO_LABEL_CHANCE = 0.04
NAN_LABEL_CHANCE = 0.02
ROWS: dict[str, tuple[str, slice]] = {
    "EEG": ("EEG", slice(0, 14)), "ECG": ("ECG", slice(0, 2)), "EDA": ("EDA", slice(0, 1)),
}


@dataclass(frozen=True)
class SecondDay:
    """What differs on the day of the long videos.

    ``eeg_gain`` (14,) and ``ecg_gain`` (2,): factors (electrodes sit otherwise); ``heart_rate_bpm``: added to the
    resting rate; ``skin_conductance_log``: added to the log of the level.
    """

    eeg_gain: tuple[float, ...]
    ecg_gain: tuple[float, ...]
    heart_rate_bpm: float
    skin_conductance_log: float


@dataclass(frozen=True)
class Gaps:
    """What a person's file lacks: videos by their cell's number."""

    empty_data: tuple[int, ...]
    nan_data: tuple[tuple[int, str], ...]
    empty_label: tuple[int, ...]
    nan_label: tuple[int, ...]


def simulate_amigos(root: Path, params: SimulationParams, options: Mapping[str, str], jobs: int = 1) -> None:
    """Write a simulated AMIGOS under *root*: one file per person, annotations of the whole videos, truth.

    Of ``params.trials`` videos the last fifth (at least one of five) are long ones. *options* is not used.

    Raises
    ------
    InputError
        More than 40 people or 20 videos, or a *root* that holds other files.
    """
    check_request(root, NAME, params)
    with atomic_path(Path(root)) as folder:
        folder.mkdir(parents=True)
        tasks = ((_person, (folder, number, params)) for number in participants(NAME, params.subjects))
        told = list(progress(run_tasks(tasks, jobs), "simulate amigos", "person", params.subjects))
        table = sorted_table([person.annotations for person in told], "participant", "video")
        layouts.write_annotations(folder, table)
        write_truth(folder, NAME, params, told, {})


def videos(trials: int, world: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cells of the short and of the long videos; of these an even number where pairs of videos are balanced."""
    n_long = trials // 5
    if latent.PRIORS[world].paired:
        n_long += n_long % 2
    return tuple(range(1, trials - n_long + 1)), tuple(range(amigos.N_SHORT + 1, amigos.N_SHORT + 1 + n_long))


def video_s(seed: int, video: int) -> float:
    """Length of a video in s, the same for everybody."""
    span = SHORT_S if video <= amigos.N_SHORT else LONG_S
    return float(latent.generator(seed, NAME, "stimulus", 2, video).integers(*span, endpoint=True))


def timeline(seed: int, participant: int, trials: int, world: str) -> tuple[Timeline, float]:
    """Both days one after the other, each in a person's own order; and when the second begins (s)."""
    rng = latent.generator(seed, NAME, "order", participant)
    days = []
    for numbers in videos(trials, world):
        order = [numbers[place] for place in rng.permutation(len(numbers))]
        days.append(make_timeline(order, [video_s(seed, video) for video in order], LEAD_S, BETWEEN_S,
                                             NIGHT_S / 2))
    first, second = days
    if not second.videos or participant in NO_LONG:
        return first, first.duration_s
    start_s = first.duration_s
    return Timeline(start_s + second.duration_s, first.videos + second.videos,
                    first.start_s + tuple(start_s + time_s for time_s in second.start_s),
                    first.length_s + second.length_s), start_s


def second_day(seed: int, participant: int) -> SecondDay:
    """Draw what differs on a person's second day."""
    rng = latent.generator(seed, NAME, "person", participant, 1)
    return SecondDay(tuple(np.exp(0.2 * rng.standard_normal(len(EPOC))).tolist()),
                     tuple(np.exp(0.3 * rng.standard_normal(2)).tolist()),
                     float(4.0 * rng.standard_normal()), float(0.3 * rng.standard_normal()))


def signals(
    person: Person, driver: np.ndarray, duration_s: float, seed: int, snr: float, day_s: float, day: SecondDay,
    conditions: Conditions = STEADY,
) -> dict[str, np.ndarray]:
    """All signals of both days: EEG (14, N) uV, ECG (2, N) a.u., EDA (1, N) uS, float32 at 128 Hz.

    *driver* (4, n) at ``LATENT_HZ``; the second day begins at *day_s*.
    """
    moved = modulations(person, driver, seed, snr, lags_s=conditions.lags_s)
    later = np.arange(driver.shape[1]) / latent.LATENT_HZ >= day_s
    moved["heart_rate"] = moved["heart_rate"] + day.heart_rate_bpm * later
    moved["skin_conductance_level"] = moved["skin_conductance_level"] + day.skin_conductance_log * later
    rate = amigos.SFREQ_HZ
    eeg = simulate_eeg(person, moved, duration_s, rate, EPOC, seed, events=conditions.events)
    physiology.add_artefacts(eeg, person, moved, EPOC, duration_s, rate, seed, 1.0, True, conditions)
    ecg = peripheral.electrocardiogram(person, moved, duration_s, rate, seed)
    first = round(day_s * rate)
    eeg[:, first:] *= np.array(day.eeg_gain, dtype=np.float32)[:, None]
    middle = np.float32(2048.0)  # of the converter; the gain is before it
    ecg[:, first:] = middle + (ecg[:, first:] - middle) * np.array(day.ecg_gain, dtype=np.float32)[:, None]
    eda = peripheral.skin_conductance(person, moved, duration_s, rate, seed)
    made = {"EEG": eeg, "ECG": ecg, "EDA": eda[None]}
    disturb(made, ROWS, conditions.events, person, dict.fromkeys(made, rate), seed)
    return made


def draw_gaps(seed: int, participant: int, shown: Iterable[int]) -> Gaps:
    """What one person's file lacks: some labels of everybody, data of those whose data is damaged in the real set."""
    numbers = sorted(shown)
    rng = latent.generator(seed, NAME, "dropout", participant, 1)
    chance = {video: rng.random() for video in range(1, amigos.N_CELLS + 1)}
    order, modality = rng.permutation(len(numbers)), tuple(ROWS)[int(rng.integers(len(ROWS)))]
    damaged = participant in DAMAGED and len(numbers) > 2
    return Gaps(
        (numbers[order[0]],) if damaged else (), ((numbers[order[1]], modality),) if damaged else (),
        tuple(video for video in numbers if chance[video] < NO_LABEL_CHANCE),
        tuple(video for video in numbers if NO_LABEL_CHANCE <= chance[video] < NO_LABEL_CHANCE + NAN_LABEL_CHANCE))


def write_amigos(root: Path, participant: int, data: Mapping[int, np.ndarray],
                 labels: Mapping[int, np.ndarray]) -> None:
    """Write ``data_preprocessed/Data_Preprocessed_PNN.mat``: by cell data (N, 17) and labels (1, 12); others are empty.

    Raises
    ------
    InputError
        A participant or a cell that the set does not have, or an array of another shape.
    """
    import scipy.io

    if not 1 <= participant <= amigos.N_PARTICIPANTS:
        raise bad_input("AMIGOS participant", participant, f"1 to {amigos.N_PARTICIPANTS}", "correct the number")
    content = {amigos.DATA: _cells(data, amigos.N_COLUMNS, amigos.DATA),
               amigos.LABELS: _cells(labels, amigos.N_LABEL, amigos.LABELS)}
    path = Path(root) / amigos.FOLDER / f"Data_Preprocessed_P{participant:02d}.mat"
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as stream:
            scipy.io.savemat(stream, content)
        with open(temporary, "r+b") as stream:
            stream.write(layouts.MAT_HEADER)  # scipy writes the time of day here


def _cells(values: Mapping[int, np.ndarray], columns: int, name: str) -> np.ndarray:
    row = np.empty((1, amigos.N_CELLS), dtype=object)
    row[0] = [np.zeros((0, 0))] * amigos.N_CELLS
    for cell, value in values.items():
        if not 1 <= cell <= amigos.N_CELLS:
            raise bad_input(f"write_amigos, {name}", f"cell {cell}", f"1 to {amigos.N_CELLS}", "correct the number")
        if value.ndim != 2 or value.shape[1] != columns:
            raise bad_input(f"write_amigos, {name}{{{cell}}}", f"shape {value.shape}", f"(rows, {columns})",
                            "reshape the array")
        row[0, cell - 1] = value.astype(np.float64)
    return row


# One person

def amigos_session(seed: int, participant: int, trials: int, world: str) -> tuple[Session, float]:
    """Both days of a participant, and when the second begins (s)."""
    time, day_s = timeline(seed, participant, trials, world)
    return make_session(seed, make_person(seed, NAME, participant, world), time, tuple(ROWS), EPOC), day_s


def _person(root: Path, participant: int, params: SimulationParams) -> Told:
    seed = params.seed
    session, day_s = amigos_session(seed, participant, params.trials, params.world)
    time, dropouts = session.timeline, session.dropouts
    day, gaps = second_day(seed, participant), draw_gaps(seed, participant, time.videos)
    made = signals(session.person, session.driver, time.duration_s, seed, params.snr, day_s, day, session.conditions)
    artefacts.apply_dropouts(made, ROWS, dropouts, EPOC, dict.fromkeys(made, amigos.SFREQ_HZ))
    truth = {**person_truth(session.person, time, (), session.conditions),
             "dropouts": [_lost(dropout, time) for dropout in dropouts],
             "second_day": {"start_s": day_s, **asdict(day)} if day_s < time.duration_s else None,
             "missing": {name: list(value) for name, value in asdict(gaps).items()}}
    told, labels = _tell(session, truth)
    write_amigos(root, participant, _data(made, time, gaps), _with_gaps(labels, gaps))
    return told


def _data(made: Mapping[str, np.ndarray], time: Timeline, gaps: Gaps) -> dict[int, np.ndarray]:
    """The cells that hold data: baseline and video, (N, 17) float64; skin response in Ohm, 0 where it was lost."""
    eda = made["EDA"].astype(np.float64)
    ohm = np.divide(1e6, eda, out=np.zeros_like(eda), where=eda > 0)
    rows = np.concatenate([made["EEG"], made["ECG"], ohm])
    data = {}
    for video, start_s, length_s in zip(time.videos, time.start_s, time.length_s):
        if video not in gaps.empty_data:
            first = round((start_s - amigos.BASELINE_S) * amigos.SFREQ_HZ)
            data[video] = rows[:, first:first + round((amigos.BASELINE_S + length_s) * amigos.SFREQ_HZ)].T.copy()
    for video, modality in gaps.nan_data:
        data[video][:, amigos.COLUMNS[modality]] = np.nan
    return data


def _with_gaps(labels: Mapping[int, np.ndarray], gaps: Gaps) -> dict[int, np.ndarray]:
    return {video: np.full_like(label, np.nan) if video in gaps.nan_label else label
            for video, label in labels.items() if video not in gaps.empty_label}


def _tell(session: Session, truth: dict[str, Any]) -> tuple[Told, dict[int, np.ndarray]]:
    """Annotations and trajectory of the whole videos (time 0 = the video's start), and the label of each cell."""
    seed, participant = session.seed, session.person.participant
    scale = latent.SCALES[NAME]
    ratings, annotations, trajectories, labels = [], [], [], {}
    for order, (video, course) in enumerate(zip(session.timeline.videos, session.latents), start=1):
        said, rating = latent.report(seed, NAME, participant, video, course, scale)
        rating = rating.round(2)
        ratings.append({"participant": participant, "order": order, "video": video, **dict(zip(DIMENSIONS, rating))})
        annotations.append(course_table(participant, video, said))
        trajectories.append(course_table(participant, video, latent.to_scale(course, scale)))
        labels[video] = _label(seed, participant, video, rating)
    return Told(participant, pd.DataFrame(ratings), pd.concat(annotations), pd.concat(trajectories), truth,
                quality=quality_table(session, None)), labels


def _label(seed: int, participant: int, video: int, rating: np.ndarray) -> np.ndarray:
    """A row as on file, (1, 12): arousal, valence, dominance, liking, familiarity, seven emotions (0 or 1)."""
    valence, arousal, dominance, liking = rating
    familiarity = latent.generator(seed, NAME, "report", participant, 1000 + video).integers(1, 10)
    neutral = abs(valence - 5) < 1 and abs(arousal - 5) < 1
    # neutral, disgust, happiness, surprise, anger, fear, sadness; none of them is read
    emotions = (neutral, valence < 3 and dominance > 5, valence > 6, arousal > 7, valence < 4 and arousal > 6,
                valence < 4 and arousal > 5 and dominance < 5, valence < 4 and arousal <= 5)
    return np.array([[arousal, valence, dominance, liking, familiarity, *emotions]], dtype=np.float64)


def _lost(dropout: Dropout, time: Timeline) -> dict[str, Any]:
    """A dropout for truth.json: on the clock of the recording, and inside each video."""
    hit = [{"video": video, "start_s": max(dropout.start_s - start_s, 0.0),
            "stop_s": min(dropout.stop_s - start_s, length_s)}
           for video, start_s, length_s in zip(time.videos, time.start_s, time.length_s)
           if dropout.stop_s > start_s and dropout.start_s < start_s + length_s]
    return {**dropout.record(), "trials": hit}
