"""A simulated SEED: three visits a person, the same clips each time, one MATLAB file a visit.

Every clip of every visit has random streams of its own, so that fewer people or fewer clips are the beginning of
more. Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.files import atomic_path, write_json
from himoe.core.progress import progress
from himoe.core.recordings import DIMENSIONS
from himoe.datasets import seed as layout
from himoe.simulate import artefacts, latent, physiology
from himoe.simulate.conditions import STEADY, Conditions, draw_conditions
from himoe.simulate.eeg import simulate_eeg
from himoe.simulate.effect_tables import BODIES
from himoe.simulate.effects import Person, make_person, modulations
from himoe.simulate.layouts import MAT_HEADER
from himoe.simulate.request import TRUTH_FILE, SimulationParams, check_request, participants
from himoe.simulate.sessions import TRIAL_S, Session
from himoe.simulate.tasks import run_tasks
from himoe.simulate.timeline import Timeline, make_timeline, session_driver
from himoe.simulate.truth import QUALITY_FILE, TRAJECTORY_FILE, course_table, effects_truth, person_truth, quality_table

# The published order of the labels: 1 positive, 0 neutral, -1 negative.
CLIP_LABELS = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)
CLIP_S = (65, 95)  # the real clips last 185 to 265 s; only the last 60 s are used
# 5 s of announcement before a clip, 45 s of self-assessment and 15 s of rest after it (the set's home page,
# https://bcmi.sjtu.edu.cn/home/seed/seed.html).
HINT_S, PAUSE_S = 5.0, 60.0
FIRST_DATE = date(2000, 1, 3)  # long before the real recordings, so that no name is a real file's
DAYS_BETWEEN = (7, 21)  # visits were a week or more apart (Zheng & Lu 2015)
# In units of the latent before its tanh.
LABEL_LEVEL, CLIP_SD, OTHER_SD, OWN_SD, VISIT_SD = 1.5, 0.10, 0.20, 0.15, 0.25
GAIN_SD = 0.30  # of the log gain of an electrode, by visit
OFFSET_UV = 20.0  # SD of an electrode's offset, by visit
REST_SD = 1.0  # of a rhythm's log power at rest, by visit, band and region
_MARGIN_S = 0.125  # the published clips are one sample longer than their seconds


@dataclass(frozen=True)
class Visit:
    """What one day changes.

    ``mood`` (4,) shifts the latent; ``gain`` (62,) and ``offset_uv`` (62,) belong to the electrodes;
    ``rest`` {"<band>_<region>": log power} is how strong the rhythms are that day.
    """

    number: int
    day: date
    mood: np.ndarray
    gain: np.ndarray
    offset_uv: np.ndarray
    rest: Mapping[str, float]


def simulate_seed(root: Path, params: SimulationParams, options: Mapping[str, str], jobs: int = 1) -> None:
    """Write a simulated SEED under *root*: 3 files per person, ``label.mat``, truth of the last 60 s of each clip.

    The result does not depend on *jobs*.

    Raises
    ------
    InputError
        More than 15 people or 15 clips, or a *root* that holds other files.
    """
    check_request(root, "seed", params)
    with atomic_path(Path(root)) as folder:
        (folder / layout.FOLDER).mkdir(parents=True)
        people = participants("seed", params.subjects)
        visits = [(number, visit) for number in people for visit in range(1, layout.N_SESSIONS + 1)]
        tasks = ((_write_visit, (folder, number, visit, params)) for number, visit in visits)
        told = list(progress(run_tasks(tasks, jobs), "simulate seed", "visit", len(visits)))
        _write_mat(folder / layout.LABEL_FILE,
                   [{"label": np.array([CLIP_LABELS[:params.trials]], dtype=np.float64)}])
        with atomic_path(folder / TRAJECTORY_FILE) as path:
            pd.concat([trajectory for trajectory, _, _ in told], ignore_index=True).to_parquet(path, index=False)
        qualities = [quality for _, quality, _ in told if quality is not None]
        if qualities:
            with atomic_path(folder / QUALITY_FILE) as path:
                pd.concat(qualities, ignore_index=True).to_parquet(path, index=False)
        _write_truth(folder, params, options, dict(zip(visits, (record for _, _, record in told))))


def clip_lengths_s(seed: int) -> tuple[float, ...]:
    """Length of every clip, the same for everybody."""
    return tuple(float(latent.generator(seed, "seed", "stimulus", 2, clip).integers(*CLIP_S, endpoint=True))
                 for clip in range(1, layout.N_CLIPS + 1))


def make_visit(seed: int, participant: int, number: int) -> Visit:
    """Draw the day of one visit; depends on nothing but the three arguments."""
    day = FIRST_DATE + timedelta(days=participant)
    for earlier in range(2, number + 1):
        wait = latent.generator(seed, "seed", "order", participant, earlier).integers(*DAYS_BETWEEN, endpoint=True)
        day += timedelta(days=int(wait))
    rng = latent.generator(seed, "seed", "person", participant, number)
    n_channels = len(layout.EEG_CHANNELS)
    mood, gain = VISIT_SD * rng.standard_normal(4), np.exp(GAIN_SD * rng.standard_normal(n_channels))
    offset_uv = OFFSET_UV * rng.standard_normal(n_channels)
    rhythms = [name for name, effect in BODIES["additive"].effects.items() if effect.modality == "EEG"]
    return Visit(number, day, mood, gain, offset_uv,
                 dict(zip(rhythms, map(float, REST_SD * rng.standard_normal(len(rhythms))))))


def clip_latent(seed: int, participant: int, visit: Visit, clip: int, duration_s: float, world: str) -> np.ndarray:
    """One person's emotion during one clip of one visit.

    ``tanh(label + clip + person + person x clip + visit + drifts)``: only the last two differ between the
    visits of a person. It rises from neutral over ``latent.ONSET_S``.

    Returns
    -------
    ndarray, (4, N) float64
        At times ``k / LATENT_HZ``, the end included; inside (-1, 1).
    """
    n_samples = round(duration_s * latent.LATENT_HZ) + 1
    drawn = latent.generator(seed, "seed", "stimulus", 1, clip).standard_normal(4)
    stimulus = np.array([CLIP_SD, OTHER_SD, OTHER_SD, OTHER_SD]) * drawn
    stimulus[0] += LABEL_LEVEL * CLIP_LABELS[clip - 1]
    bias = latent.PRIORS[world].bias_sd * latent.generator(seed, "seed", "latent", participant).standard_normal(4)
    own = OWN_SD * latent.generator(seed, "seed", "latent", participant, clip).standard_normal(4)
    rng = latent.generator(seed, "seed", "latent", participant, 100 * visit.number + clip)
    drift = latent.drifts(rng, n_samples, world)
    level = latent.MIXING @ (stimulus + own) + bias + visit.mood
    time_s = np.arange(n_samples) / latent.LATENT_HZ
    return np.tanh(level[:, None] + drift) * latent.rise(time_s, latent.ONSET_S)


def clip_eeg(person: Person, visit: Visit, clip: int, course: np.ndarray, params: SimulationParams,
             conditions: Conditions = STEADY) -> np.ndarray:
    """The EEG of one clip, (62, N) float64 uV at 200 Hz, without lost channels; *course* is its latent.

    *conditions* are those of the clip, on its own clock.
    """
    length_s = (course.shape[1] - 1) / latent.LATENT_HZ
    duration_s = length_s + _MARGIN_S
    driver = session_driver(make_timeline([clip], [length_s], 0.0, 0.0, 0.0), [course])
    # one recording of several: same gains, lags and head, noise of its own
    taken = replace(person, participant=stream_of(person.participant, visit, clip))
    moved = modulations(taken, driver, params.seed, params.snr, lags_s=conditions.lags_s)
    moved = {name: course + visit.rest.get(name, 0.0) for name, course in moved.items()}
    eeg = simulate_eeg(taken, moved, duration_s, layout.SFREQ_HZ, layout.EEG_CHANNELS, params.seed, head=person,
                       events=conditions.events)
    physiology.add_artefacts(eeg, taken, moved, layout.EEG_CHANNELS, duration_s, layout.SFREQ_HZ, params.seed, 1.0,
                              True, conditions)
    n_samples = round(length_s * layout.SFREQ_HZ) + 1
    return eeg[:, :n_samples].astype(np.float64) * visit.gain[:, None] + visit.offset_uv[:, None]


def visit_session(seed: int, participant: int, visit: Visit, trials: int, world: str) -> Session:
    """What was felt and what electrodes went through on one day; the clock counts all 15 clips, written or not.

    The cap as a whole is never lost, as nothing else is recorded.
    """
    person = make_person(seed, "seed", participant, world)
    whole = make_timeline(range(1, layout.N_CLIPS + 1), clip_lengths_s(seed), HINT_S, HINT_S + PAUSE_S, PAUSE_S)
    timeline = Timeline(whole.duration_s, whole.videos[:trials], whole.start_s[:trials], whole.length_s[:trials])
    taken = replace(person, participant=participant + 100 * visit.number)  # this day's own streams
    lost = artefacts.draw_dropouts(taken, layout.EEG_CHANNELS, ("EEG",), whole.duration_s, seed)
    courses = [clip_latent(seed, participant, visit, clip, length_s, world)
               for clip, length_s in zip(timeline.videos, timeline.length_s)]
    return Session(seed, person, timeline, courses, session_driver(timeline, courses),
                   draw_conditions(taken, timeline, ("EEG",), layout.EEG_CHANNELS, seed),
                   tuple(dropout for dropout in lost if dropout.channel is not None), ("EEG",), layout.EEG_CHANNELS)


def clip_session(session: Session, trial: int) -> Session:
    """The *trial*-th clip (from 0) of a visit as a session of its own, from the clip's start to its end."""
    start_s = session.timeline.start_s[trial]
    timeline = make_timeline([session.timeline.videos[trial]], [session.timeline.length_s[trial]], 0.0, 0.0, 0.0)
    lost = tuple(replace(dropout, start_s=dropout.start_s - start_s, stop_s=dropout.stop_s - start_s)
                 for dropout in session.dropouts)
    return replace(session, timeline=timeline, latents=[session.latents[trial]],
                   driver=session_driver(timeline, [session.latents[trial]]), dropouts=lost,
                   conditions=clip_conditions(session, trial))


def stream_of(participant: int, visit: Visit, clip: int) -> int:
    """The number that stands for a participant in the random streams of one clip of one visit."""
    return participant + 100 * visit.number + 10_000 * clip


def level_covariance(world: str) -> np.ndarray:
    """Covariance (4, 4) of a clip's level, its class among it."""
    variance = np.array([CLIP_SD, OTHER_SD, OTHER_SD, OTHER_SD]) ** 2 + OWN_SD**2
    variance[0] += LABEL_LEVEL**2 * float(np.mean(np.square(CLIP_LABELS)))
    return (latent.MIXING @ np.diag(variance) @ latent.MIXING.T
            + (latent.PRIORS[world].bias_sd**2 + VISIT_SD**2) * np.eye(4))


def clip_conditions(session: Session, trial: int) -> Conditions:
    """Lags and disturbances of the *trial*-th clip (from 0) of a visit, on the clip's own clock."""
    start_s, length_s = session.timeline.start_s[trial], session.timeline.length_s[trial]
    if session.conditions.lags_s is None:
        return STEADY
    lags_s = session.conditions.trial_lags_s[trial]
    n_samples = round(length_s * latent.LATENT_HZ) + 1
    return Conditions((lags_s,), {name: np.full(n_samples, lag_s) for name, lag_s in lags_s.items()},
                      session.conditions.of_clip(start_s, length_s))


def _write_visit(root: Path, participant: int, number: int,
                 params: SimulationParams) -> tuple[pd.DataFrame, pd.DataFrame | None, dict[str, Any]]:
    """Write the file of one visit clip by clip; give the true course, the quality and what is known of the day."""
    visit = make_visit(params.seed, participant, number)
    session = visit_session(params.seed, participant, visit, params.trials, params.world)

    def variables() -> Iterator[dict[str, np.ndarray]]:
        for trial, (clip, start_s, course) in enumerate(zip(session.timeline.videos, session.timeline.start_s,
                                                            session.latents)):
            eeg = clip_eeg(session.person, visit, clip, course, params, clip_conditions(session, trial))
            artefacts.apply_dropouts({"EEG": eeg}, {"EEG": ("EEG", slice(None))}, session.dropouts,
                                     layout.EEG_CHANNELS, {"EEG": layout.SFREQ_HZ}, start_s)
            yield {f"{_initials(participant)}_eeg{clip}": eeg}

    _write_mat(root / layout.FOLDER / f"{participant}_{visit.day:%Y%m%d}.mat", variables())
    quality = quality_table(session, TRIAL_S)
    if quality is not None:
        quality.insert(1, "session", str(number))
    return _trajectory(participant, number, session.latents), quality, _visit_truth(session, visit)


def _initials(participant: int) -> str:
    return "sim" + "abcdefghijklmno"[participant - 1]


def _write_mat(path: Path, variables: Iterable[Mapping[str, np.ndarray]]) -> None:
    """A MATLAB v5 file, one variable after the other."""
    import scipy.io

    with atomic_path(path) as temporary:
        with open(temporary, "wb") as stream:
            for variable in variables:
                scipy.io.savemat(stream, variable)  # appends: the header comes only at the very beginning
        with open(temporary, "r+b") as stream:
            stream.write(MAT_HEADER)  # scipy writes the time of day here


def _trajectory(participant: int, visit: int, courses: Sequence[np.ndarray]) -> pd.DataFrame:
    n_keep = round(TRIAL_S * latent.LATENT_HZ) + 1
    tables = []
    for clip, course in enumerate(courses, start=1):
        table = course_table(participant, clip, latent.to_scale(course[:, -n_keep:], latent.SCALES["seed"]))
        tables.append(table.astype(dict.fromkeys(DIMENSIONS, "float32")))
    joined = pd.concat(tables, ignore_index=True)
    joined.insert(1, "session", str(visit))
    return joined


def _visit_truth(session: Session, visit: Visit) -> dict[str, Any]:
    told = person_truth(session.person, session.timeline, session.dropouts, session.conditions)
    by_channel = {name: dict(zip(layout.EEG_CHANNELS, map(float, values)))
                  for name, values in (("gain", visit.gain), ("offset_uv", visit.offset_uv))}
    return {"session": str(visit.number), "date": f"{visit.day:%Y%m%d}",
            "mood": dict(zip(DIMENSIONS, map(float, visit.mood))), "rest_log_power": dict(visit.rest), **by_channel,
            **{key: told[key] for key in ("dropouts", "trial_lags_s", "disturbances") if key in told}}


def _write_truth(root: Path, params: SimulationParams, options: Mapping[str, str],
                 visits: Mapping[tuple[int, int], dict[str, Any]]) -> None:
    """``truth.json``, the last file written."""
    people = []
    for participant in sorted({number for number, _ in visits}):
        person = make_person(params.seed, "seed", participant, params.world)
        own = [record for (number, _), record in visits.items() if number == participant]
        lost = [{"session": record["session"], **dropout} for record in own for dropout in record["dropouts"]]
        days = [{key: value for key, value in record.items() if key != "dropouts"} for record in own]
        told = person_truth(person, Timeline(0.0, (), (), ()), (), STEADY)
        people.append({**told, "sessions": days, "dropouts": lost})
    write_json(root / TRUTH_FILE, {
        "simulated": True, "dataset": "seed", "params": asdict(params), "options": dict(options),
        "effects": effects_truth(params.world),
        "people": people,
    })
