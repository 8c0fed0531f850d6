"""Write a whole simulated data set: raw files in the data set's own layout, and the truth beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path
from himoe.core.params import VideoParams
from himoe.core.progress import progress
from himoe.core.recordings import DIMENSIONS
from himoe.simulate import latent, physiology
from himoe.simulate.artefacts import Dropout, apply_dropouts
from himoe.simulate.montage import EPOC, GENEVA
from himoe.simulate.request import TRUTH_FILE, SimulationParams, check_request, participants
from himoe.simulate.sessions import DREAMER_BASELINE_S, TRIAL_S, Session, deap_session, dreamer_session
from himoe.simulate.tasks import run_tasks
from himoe.simulate.timeline import Timeline
from himoe.simulate.truth import Told, sorted_table, tell, write_truth

__all__ = ["TRUTH_FILE", "SimulationParams", "simulate_deap", "simulate_dreamer"]
DEAP_HZ = 512.0
DAT_HZ = 128.0
DAT_MARGIN_S = 3.0
DEAP_LAYOUTS = ("bdf", "dat")


def simulate_deap(root: Path, params: SimulationParams, layout: str = "bdf", jobs: int = 1) -> None:
    """Write a simulated DEAP under *root*: ``bdf`` or ``dat`` files, ratings, annotations, truth, face videos.

    The people and what they feel do not depend on *layout* or *jobs*.

    Raises
    ------
    InputError
        More than 32 people or 40 trials, an unknown layout, or a *root* that holds other files.
    """
    from himoe.simulate import layouts

    check_request(root, "deap", params)
    if layout not in DEAP_LAYOUTS:
        raise bad_input("DEAP option layout", repr(layout), " or ".join(DEAP_LAYOUTS), "correct the option")
    with atomic_path(Path(root)) as folder:
        folder.mkdir(parents=True)
        tasks = ((_deap_person, (folder, number, params, layout)) for number in participants("deap", params.subjects))
        told = list(progress(run_tasks(tasks, jobs), "simulate deap", "person", params.subjects))
        layouts.write_deap_ratings(folder, sorted_table([person.ratings for person in told], "Participant_id", "Trial"))
        layouts.write_annotations(folder, sorted_table([person.annotations for person in told], "participant", "video"))
        write_truth(folder, "deap", params, told, {"layout": layout})


def simulate_dreamer(root: Path, params: SimulationParams, jobs: int = 1) -> None:
    """Write a simulated DREAMER under *root*: ``DREAMER.mat``, annotations of the last 60 s, truth.

    Raises
    ------
    InputError
        More than 23 people or 18 clips, or a *root* that holds other files.
    """
    from himoe.simulate import layouts

    check_request(root, "dreamer", params)
    with atomic_path(Path(root)) as folder:
        folder.mkdir(parents=True)
        tasks = ((_dreamer_person, (number, params)) for number in participants("dreamer", params.subjects))
        results = list(progress(run_tasks(tasks, jobs), "simulate dreamer", "person", params.subjects))
        told = [person for person, _ in results]
        layouts.write_dreamer(folder, [record for _, record in results])
        table = sorted_table([person.annotations for person in told], "participant", "video")
        layouts.write_annotations(folder, table.drop(columns="liking"))
        write_truth(folder, "dreamer", params, told, {})


def _deap_person(root: Path, participant: int, params: SimulationParams, layout: str) -> Told:
    from himoe.simulate import layouts

    session = deap_session(params.seed, participant, params.trials, params.world)
    person, timeline, dropouts = session.person, session.timeline, session.dropouts
    told = tell(params, session)
    signals = physiology.deap_signals(person, session.driver, timeline.duration_s, DEAP_HZ, params.seed, params.snr,
                                      ocular=layout == "bdf", conditions=session.conditions)
    if layout == "bdf":
        rates = dict.fromkeys(signals, DEAP_HZ)
        apply_dropouts(signals, physiology.DEAP_ROWS, dropouts, GENEVA, rates)
        layouts.write_deap_bdf(root, participant, signals, DEAP_HZ, timeline.start_s)
    else:
        labels = told.ratings.sort_values("Experiment_id")[[name.capitalize() for name in DIMENSIONS]]
        layouts.write_deap_dat(root, participant, preprocessed(signals, timeline, dropouts), labels.to_numpy(float))
    if params.video is not None:
        told = _film(root, told, session, params, params.video)
    return told


def _film(root: Path, told: Told, session: Session, params: SimulationParams, video: VideoParams) -> Told:
    """Write the person's face videos; what is true of them joins what is *told*."""
    from himoe.simulate import face

    filmed = face.face_session(session, params.seed, params.snr)
    face.write_faces(root, filmed, video)
    return replace(told, truth=told.truth | {"face": face.face_truth(filmed)}, units=face.unit_table(filmed))


def preprocessed(signals: Mapping[str, np.ndarray], timeline: Timeline, dropouts: Sequence[Dropout]) -> np.ndarray:
    """DEAP's preprocessed form of a session: (trials, 40, 8064) float64 at 128 Hz, in video order.

    EEG 4-45 Hz, common average; EOG and EMG as differences; skin resistance in Ohm; 3 s before each trial.
    """
    from scipy.signal import butter, resample_poly, sosfiltfilt

    exg = signals["EXG"]
    rows = [*signals["EEG"], *(exg[0::2] - exg[1::2]), 1e6 / signals["EDA"], signals["RSP"], signals["PPG"],
            signals["TEMP"]]
    low = np.stack([resample_poly(row, 1, round(DEAP_HZ / DAT_HZ), padtype="line").astype(np.float32)
                    for row in rows])
    band = butter(4, (4.0, 45.0), "bandpass", fs=DAT_HZ, output="sos")
    low[:32] = sosfiltfilt(band, low[:32] - low[:32].mean(axis=0), axis=1)
    n_samples = round((DAT_MARGIN_S + TRIAL_S) * DAT_HZ)
    places = {"EEG": slice(0, 32), "EOG": slice(32, 34), "EMG": slice(34, 36), "EDA": slice(36, 37),
              "RSP": slice(37, 38), "PPG": slice(38, 39), "TEMP": slice(39, 40)}
    data = np.empty((len(timeline.videos), len(low), n_samples))
    for out, trial in zip(data, np.argsort(timeline.videos)):
        start_s = timeline.start_s[trial] - DAT_MARGIN_S
        first = round(start_s * DAT_HZ)
        out[:] = low[:, first:first + n_samples]
        apply_dropouts({"data": out}, {name: ("data", part) for name, part in places.items()}, dropouts,
                       GENEVA, {"data": DAT_HZ}, start_s)
    return data


def _dreamer_person(participant: int, params: SimulationParams) -> tuple[Told, dict[str, Any]]:
    session = dreamer_session(params.seed, participant, params.trials, params.world)
    timeline = session.timeline
    told = tell(params, session)
    signals = physiology.dreamer_signals(session.person, session.driver, timeline.duration_s, params.seed, params.snr,
                                         conditions=session.conditions)
    rates = {"EEG": physiology.DREAMER_EEG_HZ, "ECG": physiology.DREAMER_ECG_HZ}
    apply_dropouts(signals, physiology.DREAMER_ROWS, session.dropouts, EPOC, rates)
    rng = latent.generator(params.seed, "dreamer", "person", participant, 1)
    record: dict[str, Any] = {"Age": int(rng.integers(22, 34)), "Gender": ("male", "female")[int(rng.integers(2))]}
    for key, rate in rates.items():
        parts = [(start_s, start_s + length_s) for start_s, length_s in zip(timeline.start_s, timeline.length_s)]
        before = [(start_s - DREAMER_BASELINE_S, start_s) for start_s in timeline.start_s]
        record[key.lower()] = _cut(signals[key], parts, rate)
        record[f"{key.lower()}_baseline"] = _cut(signals[key], before, rate)
    for name in DIMENSIONS[:3]:
        record[name] = told.ratings.sort_values("Experiment_id")[name.capitalize()].to_numpy(float)
    return told, record


def _cut(signal: np.ndarray, spans_s: Sequence[tuple[float, float]], sfreq_hz: float) -> list[np.ndarray]:
    """Stretches of (C, N) as (n, C) arrays."""
    return [np.ascontiguousarray(signal[:, round(a * sfreq_hz):round(b * sfreq_hz)].T) for a, b in spans_s]
