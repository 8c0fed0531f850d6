"""What is known of simulated people besides the signals: ratings, annotations, and the truth files.

Legend: N samples at ``LATENT_HZ``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.files import atomic_path, write_json
from himoe.core.recordings import DIMENSIONS
from himoe.simulate import latent
from himoe.simulate.artefacts import Dropout
from himoe.simulate.conditions import Conditions, quality
from himoe.simulate.effect_tables import BODIES
from himoe.simulate.effects import Person
from himoe.simulate.request import TRUTH_FILE, SimulationParams
from himoe.simulate.sessions import TRIAL_S, Session
from himoe.simulate.timeline import Timeline

TRAJECTORY_FILE = "truth_trajectory.parquet"
UNITS_FILE = "truth_action_units.parquet"
QUALITY_FILE = "truth_quality.parquet"
_NO_FAMILIARITY = (2, 15, 23)


@dataclass(frozen=True)
class Told:
    """What is known of one simulated person besides the signals."""

    participant: int
    ratings: pd.DataFrame
    annotations: pd.DataFrame
    trajectory: pd.DataFrame
    truth: dict[str, Any]
    units: pd.DataFrame | None = None
    quality: pd.DataFrame | None = None


def tell(params: SimulationParams, session: Session) -> Told:
    """Ratings, annotations and truth of one person; times count from the start of a trial's last 60 s."""
    person, timeline = session.person, session.timeline
    scale = latent.SCALES[person.dataset]
    n_keep = round(TRIAL_S * latent.LATENT_HZ) + 1
    ratings, annotations, trajectories = [], [], []
    for order, (video, start_s, course) in enumerate(zip(timeline.videos, timeline.start_s, session.latents), start=1):
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
                person_truth(person, timeline, session.dropouts, session.conditions),
                quality=quality_table(session, TRIAL_S))


def _familiarity(seed: int, person: Person, video: int) -> float:
    """1 to 5; DEAP lacks it for three participants."""
    rng = latent.generator(seed, person.dataset, "report", person.participant, 1000 + video)
    value = float(rng.integers(1, 6))
    return float("nan") if person.participant in _NO_FAMILIARITY else value


def course_table(participant: int, video: int, values: np.ndarray) -> pd.DataFrame:
    """A course (4, n) at ``LATENT_HZ`` as rows of participant, video, time_s and dimensions."""
    time_s = np.arange(values.shape[1]) / latent.LATENT_HZ
    return pd.DataFrame({"participant": participant, "video": video, "time_s": time_s, **dict(zip(DIMENSIONS, values))})


def quality_table(session: Session, last_s: float | None) -> pd.DataFrame | None:
    """Rows of ``truth_quality.parquet``: participant, video, time_s (4 Hz), and each modality's quality in 0..1.

    Of the last *last_s* of every video, None = of all of it. 0 where a sensor is lost. None in a world where quality
    does not vary.
    """
    if not session.conditions.events:
        return None
    tables = []
    for video, start_s, length_s in zip(session.timeline.videos, session.timeline.start_s, session.timeline.length_s):
        kept_s = min(length_s, last_s or length_s)
        time_s = np.arange(round(kept_s * latent.LATENT_HZ) + 1) / latent.LATENT_HZ
        courses = session_quality(session, start_s + length_s - kept_s + time_s)
        tables.append(pd.DataFrame({"participant": session.person.participant, "video": video, "time_s": time_s,
                                    **{name: course.astype(np.float32) for name, course in courses.items()}}))
    return pd.concat(tables)


def session_quality(session: Session, time_s: np.ndarray) -> dict[str, np.ndarray]:
    """Quality (n,) of every modality at *time_s* of the session clock: 0 where all of it is lost."""
    courses = {name: quality(session.conditions.events, name, time_s, session.ch_names) for name in session.modalities}
    for dropout in session.dropouts:
        if dropout.channel is None:
            courses[dropout.modality][(time_s >= dropout.start_s) & (time_s < dropout.stop_s)] = 0.0
    return courses


def person_truth(person: Person, timeline: Timeline, dropouts: Sequence[Dropout],
                 conditions: Conditions) -> dict[str, Any]:
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
    gains = {name: dict(zip(person.body.terms, map(float, gain))) for name, gain in person.gains.items()}
    told = {"participant": person.participant, "lags_s": dict(person.lags_s),
            "clock_drift_ppm": person.clock_drift_ppm, "levels": dict(person.levels), "gains": gains,
            "dropouts": lost}
    if person.leading:
        told |= {"response_system": person.leading, "system_gain": dict(person.system_gain)}
    if conditions.trial_lags_s:
        told["trial_lags_s"] = [{"video": video, **lags}
                                for video, lags in zip(timeline.videos, conditions.trial_lags_s)]
    if conditions.events:
        told["disturbances"] = [event.record() for event in conditions.events]
    return told


def write_truth(
    root: Path, dataset: str, params: SimulationParams, told: Sequence[Told], options: Mapping[str, str]
) -> None:
    """The truth files; ``truth.json`` is the last one written."""
    table = sorted_table([person.trajectory for person in told], "participant", "video")
    with atomic_path(root / TRAJECTORY_FILE) as path:
        table.astype(dict.fromkeys(DIMENSIONS, "float32")).to_parquet(path, index=False)
    units = [person.units for person in told if person.units is not None]
    if units:
        with atomic_path(root / UNITS_FILE) as path:
            sorted_table(units, "participant", "video").to_parquet(path, index=False)
    qualities = [person.quality for person in told if person.quality is not None]
    if qualities:
        with atomic_path(root / QUALITY_FILE) as path:
            sorted_table(qualities, "participant", "video").to_parquet(path, index=False)
    write_json(root / TRUTH_FILE, {
        "simulated": True, "dataset": dataset, "params": asdict(params), "options": dict(options),
        "effects": effects_truth(params.world),
        "reports": {"reaction_lag_s": latent.REACTION_LAG_S, "annotation_noise_sd": latent.ANNOTATION_NOISE_SD
                    * latent.SCALES[dataset].half_range, "rating_noise_sd": latent.RATING_NOISE_SD
                    * latent.SCALES[dataset].half_range},
        "people": [person.truth for person in sorted(told, key=lambda person: person.participant)],
    })


def effects_truth(world: str) -> dict[str, dict[str, Any]]:
    """Modality, unit and background of every effect."""
    return {name: {"modality": effect.modality, "unit": effect.unit, "background_sd": effect.background_sd,
                   "background_tau_s": effect.background_tau_s} for name, effect in BODIES[world].effects.items()}


def sorted_table(tables: Sequence[pd.DataFrame], *keys: str) -> pd.DataFrame:
    """Tables one below the other, sorted by *keys*."""
    return pd.concat(tables, ignore_index=True).sort_values(list(keys), kind="stable", ignore_index=True)
