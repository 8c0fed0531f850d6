"""Write a whole simulated data set: raw files in the data set's own layout, and the truth beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.errors import bad_input
from himoe.files import atomic_path, write_json
from himoe.params import VideoParams
from himoe.progress import progress
from himoe.recordings import DIMENSIONS
from himoe.simulate import effects, latent, physiology
from himoe.simulate.artefacts import Dropout, apply_dropouts
from himoe.simulate.effects import Person, make_person
from himoe.simulate.physiology import Timeline

TRUTH_FILE = "truth.json"
TRAJECTORY_FILE = "truth_trajectory.parquet"
UNITS_FILE = "truth_action_units.parquet"
TRIAL_S = 60.0
DEAP_HZ = 512.0
DAT_HZ = 128.0
DAT_MARGIN_S = 3.0
DEAP_LAYOUTS = ("bdf", "dat")
DREAMER_BASELINE_S = 61.0
DREAMER_CLIP_S = (65, 95)  # the real clips last 65 to 393 s; only the last 60 s are used
LIMITS: dict[str, tuple[int, int]] = {"deap": (32, 40), "dreamer": (23, 18), "seed": (15, 15), "amigos": (40, 20)}
_NO_FAMILIARITY = (2, 15, 23)


@dataclass(frozen=True)
class SimulationParams:
    """What to simulate: number of people, trials (videos) a person, seed, and strength of emotion.

    ``snr`` multiplies every emotional effect and leaves everything else as it is; with ``video``, DEAP has
    face videos of that rate and size.

    Raises
    ------
    InputError
        If a number is not positive (seed and snr: negative).
    """

    subjects: int
    trials: int
    seed: int
    snr: float = 1.0
    video: VideoParams | None = None

    def __post_init__(self) -> None:
        for name, lowest in (("subjects", 1), ("trials", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise bad_input(f"simulation parameter {name}", repr(value),
                                f"a whole number from {lowest} on", "correct the parameter")
        if not (math.isfinite(self.snr) and self.snr >= 0):
            raise bad_input("simulation parameter snr", repr(self.snr), "a number from 0 on",
                            "correct the parameter")


@dataclass(frozen=True)
class Told:
    """What is known of one simulated person besides the signals."""

    participant: int
    ratings: pd.DataFrame
    annotations: pd.DataFrame
    trajectory: pd.DataFrame
    truth: dict[str, Any]
    units: pd.DataFrame | None = None


def participants(dataset: str, subjects: int) -> tuple[int, ...]:
    """Numbers of the simulated people; a smaller number of people is a prefix of a larger one.

    DEAP: steps of 23 through 1..32, so that the second person already comes from the other site.
    """
    if dataset == "deap":
        return tuple(1 + 23 * k % 32 for k in range(subjects))
    return tuple(range(1, subjects + 1))


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


def deap_timeline(seed: int, participant: int, trials: int) -> Timeline:
    """A DEAP session: 30 s (20 s of it baseline), then the videos in a person's own order, 12 s apart.

    The 12 s hold 3 s of fixation after a video, 4 s for the rating and 5 s of fixation before the next.
    """
    videos = latent.generator(seed, "deap", "order", participant).permutation(trials) + 1
    return physiology.make_timeline([int(v) for v in videos], [TRIAL_S] * trials, 30.0, 12.0, 12.0)


def dreamer_timeline(seed: int, trials: int) -> Timeline:
    """A DREAMER session: the clips in order, 61 s of baseline before each and 10 s after."""
    lengths_s = [
        float(latent.generator(seed, "dreamer", "stimulus", 2, video).integers(*DREAMER_CLIP_S, endpoint=True))
        for video in range(1, trials + 1)
    ]
    return physiology.make_timeline(range(1, trials + 1), lengths_s, DREAMER_BASELINE_S,
                                    DREAMER_BASELINE_S + 10.0, 10.0)


def session_latents(seed: int, dataset: str, participant: int, timeline: Timeline) -> list[np.ndarray]:
    """The latent of every trial of a session, each (4, n) over the whole video."""
    return [latent.trial_latent(seed, dataset, participant, video, length_s)
            for video, length_s in zip(timeline.videos, timeline.length_s)]


def run_tasks(tasks: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]], jobs: int) -> Iterator[Any]:
    """Results in order, from *jobs* processes."""
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(_single_thread)(*task) for task in tasks)


def _single_thread(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call with one BLAS thread: sums split over threads would differ in their last bits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return function(*arguments)


def _deap_person(root: Path, participant: int, params: SimulationParams, layout: str) -> Told:
    from himoe.simulate import layouts

    person = make_person(params.seed, "deap", participant)
    timeline = deap_timeline(params.seed, participant, params.trials)
    latents = session_latents(params.seed, "deap", participant, timeline)
    driver = physiology.session_driver(timeline, latents)
    dropouts = physiology.deap_dropouts(person, timeline.duration_s, params.seed)
    told = _tell(params, person, timeline, latents, dropouts)
    signals = physiology.deap_signals(person, driver, timeline.duration_s, DEAP_HZ, params.seed, params.snr,
                                      ocular=layout == "bdf")
    if layout == "bdf":
        rates = dict.fromkeys(signals, DEAP_HZ)
        apply_dropouts(signals, physiology.DEAP_ROWS, dropouts, physiology.GENEVA, rates)
        layouts.write_deap_bdf(root, participant, signals, DEAP_HZ, timeline.start_s)
    else:
        labels = told.ratings.sort_values("Experiment_id")[[name.capitalize() for name in DIMENSIONS]]
        layouts.write_deap_dat(root, participant, preprocessed(signals, timeline, dropouts), labels.to_numpy(float))
    if params.video is not None:
        told = _film(root, told, person, timeline, driver, params, params.video)
    return told


def _film(
    root: Path, told: Told, person: Person, timeline: Timeline, driver: np.ndarray, params: SimulationParams,
    video: VideoParams,
) -> Told:
    """Write the person's face videos; what is true of them joins what is *told*."""
    from himoe.simulate import face

    session = face.face_session(person, timeline, driver, params.seed, params.snr)
    face.write_faces(root, session, video)
    return replace(told, truth=told.truth | {"face": face.face_truth(session)}, units=face.unit_table(session))


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
                       physiology.GENEVA, {"data": DAT_HZ}, start_s)
    return data


def _dreamer_person(participant: int, params: SimulationParams) -> tuple[Told, dict[str, Any]]:
    person = make_person(params.seed, "dreamer", participant)
    timeline = dreamer_timeline(params.seed, params.trials)
    latents = session_latents(params.seed, "dreamer", participant, timeline)
    dropouts = physiology.dreamer_dropouts(person, timeline.duration_s, params.seed)
    told = _tell(params, person, timeline, latents, dropouts)
    driver = physiology.session_driver(timeline, latents)
    signals = physiology.dreamer_signals(person, driver, timeline.duration_s, params.seed, params.snr)
    rates = {"EEG": physiology.DREAMER_EEG_HZ, "ECG": physiology.DREAMER_ECG_HZ}
    apply_dropouts(signals, physiology.DREAMER_ROWS, dropouts, physiology.EPOC, rates)
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


def _tell(
    params: SimulationParams, person: Person, timeline: Timeline, latents: Sequence[np.ndarray],
    dropouts: Sequence[Dropout],
) -> Told:
    """Ratings, annotations and truth of one person; times count from the start of a trial's last 60 s."""
    scale = latent.SCALES[person.dataset]
    n_keep = round(TRIAL_S * latent.LATENT_HZ) + 1
    ratings, annotations, trajectories = [], [], []
    for order, (video, start_s, course) in enumerate(zip(timeline.videos, timeline.start_s, latents), start=1):
        course = course[:, -n_keep:]
        said, rating = latent.report(params.seed, person.dataset, person.participant, video, course, scale)
        rating = rating.round(2) if person.dataset == "deap" else rating.round()
        ratings.append({"Participant_id": person.participant, "Trial": order, "Experiment_id": video,
                        "Start_time": round(start_s * 1e6),
                        **{name.capitalize(): value for name, value in zip(DIMENSIONS, rating)},
                        "Familiarity": _familiarity(params.seed, person, video)})
        annotations.append(course_table(person.participant, video, said))
        trajectories.append(course_table(person.participant, video, latent.to_scale(course, scale)))
    return Told(person.participant, pd.DataFrame(ratings), pd.concat(annotations), pd.concat(trajectories),
                person_truth(person, timeline, dropouts))


def _familiarity(seed: int, person: Person, video: int) -> float:
    """1 to 5; DEAP lacks it for three participants."""
    rng = latent.generator(seed, person.dataset, "report", person.participant, 1000 + video)
    value = float(rng.integers(1, 6))
    return float("nan") if person.participant in _NO_FAMILIARITY else value


def course_table(participant: int, video: int, values: np.ndarray) -> pd.DataFrame:
    """A course (4, n) at ``LATENT_HZ`` as rows of participant, video, time_s and dimensions."""
    time_s = np.arange(values.shape[1]) / latent.LATENT_HZ
    return pd.DataFrame({"participant": participant, "video": video, "time_s": time_s, **dict(zip(DIMENSIONS, values))})


def person_truth(person: Person, timeline: Timeline, dropouts: Sequence[Dropout]) -> dict[str, Any]:
    """What ``truth.json`` holds of one person; lost stretches are placed in each video's last 60 s."""
    spans = [(video, start_s + length_s - TRIAL_S)
             for video, start_s, length_s in zip(timeline.videos, timeline.start_s, timeline.length_s)]
    lost = []
    for dropout in dropouts:
        hit = [{"video": video, "start_s": max(dropout.start_s - start_s, 0.0),
                "stop_s": min(dropout.stop_s - start_s, TRIAL_S)}
               for video, start_s in spans
               if dropout.stop_s > start_s and dropout.start_s < start_s + TRIAL_S]
        lost.append({**dropout.record(), "trials": hit})
    gains = {name: dict(zip(DIMENSIONS, map(float, gain))) for name, gain in person.gains.items()}
    return {"participant": person.participant, "lags_s": dict(person.lags_s),
            "clock_drift_ppm": person.clock_drift_ppm, "levels": dict(person.levels), "gains": gains,
            "dropouts": lost}


def write_truth(
    root: Path, dataset: str, params: SimulationParams, told: Sequence[Told], options: Mapping[str, str]
) -> None:
    """``truth_trajectory.parquet``, action units if there are videos, then ``truth.json``, the last file written."""
    table = sorted_table([person.trajectory for person in told], "participant", "video")
    with atomic_path(root / TRAJECTORY_FILE) as path:
        table.astype(dict.fromkeys(DIMENSIONS, "float32")).to_parquet(path, index=False)
    units = [person.units for person in told if person.units is not None]
    if units:
        with atomic_path(root / UNITS_FILE) as path:
            sorted_table(units, "participant", "video").to_parquet(path, index=False)
    write_json(root / TRUTH_FILE, {
        "simulated": True, "dataset": dataset, "params": asdict(params), "options": dict(options),
        "effects": {name: {"modality": effect.modality, "unit": effect.unit, "background_sd": effect.background_sd,
                           "background_tau_s": effect.background_tau_s}
                    for name, effect in effects.EFFECTS.items()},
        "reports": {"reaction_lag_s": latent.REACTION_LAG_S, "annotation_noise_sd": latent.ANNOTATION_NOISE_SD
                    * latent.SCALES[dataset].half_range, "rating_noise_sd": latent.RATING_NOISE_SD
                    * latent.SCALES[dataset].half_range},
        "people": [person.truth for person in sorted(told, key=lambda person: person.participant)],
    })


def sorted_table(tables: Sequence[pd.DataFrame], *keys: str) -> pd.DataFrame:
    """Tables one below the other, sorted by *keys*."""
    return pd.concat(tables, ignore_index=True).sort_values(list(keys), kind="stable", ignore_index=True)


def check_request(root: Path, dataset: str, params: SimulationParams) -> None:
    """The limits of the data set; and no simulated file may come to lie among others."""
    for name, most in zip(("subjects", "trials"), LIMITS[dataset]):
        if getattr(params, name) > most:
            raise bad_input(f"simulation of {dataset}, parameter {name}", getattr(params, name),
                            f"at most {most}, as in the data set", "lower it")
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())) and not (root / TRUTH_FILE).is_file():
        raise bad_input(root, f"files but no {TRUTH_FILE}", "an empty folder or an earlier simulation",
                        "choose another folder, so that simulated and real files do not mix")
