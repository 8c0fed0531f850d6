"""A simulated SEED: three visits a person, the same clips each time, one MATLAB file a visit.

Every clip of every visit has random streams of its own, so that fewer people or fewer clips are the beginning of
more. Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.datasets import seed as layout
from himoe.files import atomic_path, write_json
from himoe.progress import progress
from himoe.recordings import DIMENSIONS
from himoe.simulate import artefacts, effects, generate, latent, physiology
from himoe.simulate.eeg import simulate_eeg
from himoe.simulate.effects import Person, make_person
from himoe.simulate.generate import TRAJECTORY_FILE, TRIAL_S, TRUTH_FILE, SimulationParams
from himoe.simulate.layouts import MAT_HEADER
from himoe.simulate.physiology import Timeline

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
    """Write a simulated SEED under *root*: 3 files a person, ``label.mat``, truth of the last 60 s of each clip.

    The result does not depend on *jobs*.

    Raises
    ------
    InputError
        More than 15 people or 15 clips, or a *root* that holds other files.
    """
    generate.check_request(root, "seed", params)
    with atomic_path(Path(root)) as folder:
        (folder / layout.FOLDER).mkdir(parents=True)
        people = generate.participants("seed", params.subjects)
        visits = [(number, visit) for number in people for visit in range(1, layout.N_SESSIONS + 1)]
        tasks = ((_write_visit, (folder, number, visit, params)) for number, visit in visits)
        told = list(progress(generate.run_tasks(tasks, jobs), "simulate seed", "visit", len(visits)))
        _write_mat(folder / layout.LABEL_FILE,
                   [{"label": np.array([CLIP_LABELS[:params.trials]], dtype=np.float64)}])
        with atomic_path(folder / TRAJECTORY_FILE) as path:
            pd.concat([trajectory for trajectory, _ in told], ignore_index=True).to_parquet(path, index=False)
        _write_truth(folder, params, options, dict(zip(visits, (record for _, record in told))))


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
    rhythms = [name for name, effect in effects.EFFECTS.items() if effect.modality == "EEG"]
    return Visit(number, day, mood, gain, offset_uv,
                 dict(zip(rhythms, map(float, REST_SD * rng.standard_normal(len(rhythms))))))


def clip_latent(seed: int, participant: int, visit: Visit, clip: int, duration_s: float) -> np.ndarray:
    """One person's emotion during one clip of one visit.

    ``tanh(label + clip + person + person x clip + visit + slow drift)``: only the last two differ between the
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
    bias = latent.PERSON_BIAS_SD * latent.generator(seed, "seed", "latent", participant).standard_normal(4)
    own = OWN_SD * latent.generator(seed, "seed", "latent", participant, clip).standard_normal(4)
    rng = latent.generator(seed, "seed", "latent", participant, 100 * visit.number + clip)
    drift = latent.DRIFT_SD * latent.MIXING @ latent.smooth_noise(rng, n_samples, latent.LATENT_HZ,
                                                                 rng.uniform(*latent.DRIFT_TAU_S, 4))
    level = latent.MIXING @ (stimulus + own) + bias + visit.mood
    time_s = np.arange(n_samples) / latent.LATENT_HZ
    return np.tanh(level[:, None] + drift) * latent.rise(time_s, latent.ONSET_S)


def clip_eeg(person: Person, visit: Visit, clip: int, course: np.ndarray, params: SimulationParams) -> np.ndarray:
    """The EEG of one clip, (62, N) float64 uV at 200 Hz, without lost channels; *course* is its latent."""
    length_s = (course.shape[1] - 1) / latent.LATENT_HZ
    duration_s = length_s + _MARGIN_S
    driver = physiology.session_driver(physiology.make_timeline([clip], [length_s], 0.0, 0.0, 0.0), [course])
    # one recording of several: same gains, lags and head, noise of its own
    taken = replace(person, participant=person.participant + 100 * visit.number + 10_000 * clip)
    moved = effects.modulations(taken, driver, params.seed, params.snr)
    moved = {name: course + visit.rest.get(name, 0.0) for name, course in moved.items()}
    eeg = simulate_eeg(taken, moved, duration_s, layout.SFREQ_HZ, layout.EEG_CHANNELS, params.seed, head=person)
    physiology.add_artefacts(eeg, taken, moved, layout.EEG_CHANNELS, duration_s, layout.SFREQ_HZ, params.seed, 1.0,
                              True)
    n_samples = round(length_s * layout.SFREQ_HZ) + 1
    return eeg[:, :n_samples].astype(np.float64) * visit.gain[:, None] + visit.offset_uv[:, None]


def visit_dropouts(person: Person, visit: Visit, duration_s: float, seed: int) -> tuple[artefacts.Dropout, ...]:
    """The electrodes lost on one day; the cap as a whole is never lost, as nothing else is recorded."""
    taken = replace(person, participant=person.participant + 100 * visit.number)
    drawn = artefacts.draw_dropouts(taken, layout.EEG_CHANNELS, ("EEG",), duration_s, seed)
    return tuple(dropout for dropout in drawn if dropout.channel is not None)


def _write_visit(root: Path, participant: int, number: int,
                 params: SimulationParams) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Write the file of one visit clip by clip; give the true course and what is known of the day."""
    person, visit = make_person(params.seed, "seed", participant), make_visit(params.seed, participant, number)
    lengths_s = clip_lengths_s(params.seed)
    whole = physiology.make_timeline(range(1, layout.N_CLIPS + 1), lengths_s, HINT_S, HINT_S + PAUSE_S, PAUSE_S)
    timeline = Timeline(whole.duration_s, whole.videos[:params.trials], whole.start_s[:params.trials],
                        whole.length_s[:params.trials])
    dropouts = visit_dropouts(person, visit, whole.duration_s, params.seed)
    courses = [clip_latent(params.seed, participant, visit, clip, length_s)
               for clip, length_s in zip(timeline.videos, timeline.length_s)]

    def variables() -> Iterator[dict[str, np.ndarray]]:
        for clip, start_s, course in zip(timeline.videos, timeline.start_s, courses):
            eeg = clip_eeg(person, visit, clip, course, params)
            artefacts.apply_dropouts({"EEG": eeg}, {"EEG": ("EEG", slice(None))}, dropouts, layout.EEG_CHANNELS,
                                     {"EEG": layout.SFREQ_HZ}, start_s)
            yield {f"{_initials(participant)}_eeg{clip}": eeg}

    _write_mat(root / layout.FOLDER / f"{participant}_{visit.day:%Y%m%d}.mat", variables())
    return _trajectory(participant, number, courses), _visit_truth(person, visit, timeline, dropouts)


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


def _trajectory(participant: int, visit: int, courses: list[np.ndarray]) -> pd.DataFrame:
    n_keep = round(TRIAL_S * latent.LATENT_HZ) + 1
    tables = []
    for clip, course in enumerate(courses, start=1):
        table = generate.course_table(participant, clip, latent.to_scale(course[:, -n_keep:], latent.SCALES["seed"]))
        tables.append(table.astype(dict.fromkeys(DIMENSIONS, "float32")))
    joined = pd.concat(tables, ignore_index=True)
    joined.insert(1, "session", str(visit))
    return joined


def _visit_truth(person: Person, visit: Visit, timeline: Timeline,
                 dropouts: tuple[artefacts.Dropout, ...]) -> dict[str, Any]:
    lost = generate.person_truth(person, timeline, dropouts)["dropouts"]
    by_channel = {name: dict(zip(layout.EEG_CHANNELS, map(float, values)))
                  for name, values in (("gain", visit.gain), ("offset_uv", visit.offset_uv))}
    return {"session": str(visit.number), "date": f"{visit.day:%Y%m%d}",
            "mood": dict(zip(DIMENSIONS, map(float, visit.mood))), "rest_log_power": dict(visit.rest), **by_channel,
            "dropouts": lost}


def _write_truth(root: Path, params: SimulationParams, options: Mapping[str, str],
                 visits: Mapping[tuple[int, int], dict[str, Any]]) -> None:
    """``truth.json``, the last file written."""
    people = []
    for participant in sorted({number for number, _ in visits}):
        person = make_person(params.seed, "seed", participant)
        own = [record for (number, _), record in visits.items() if number == participant]
        lost = [{"session": record["session"], **dropout} for record in own for dropout in record["dropouts"]]
        days = [{key: value for key, value in record.items() if key != "dropouts"} for record in own]
        told = generate.person_truth(person, Timeline(0.0, (), (), ()), ())
        people.append({**told, "sessions": days, "dropouts": lost})
    write_json(root / TRUTH_FILE, {
        "simulated": True, "dataset": "seed", "params": asdict(params), "options": dict(options),
        "effects": {name: {"modality": effect.modality, "unit": effect.unit, "background_sd": effect.background_sd,
                           "background_tau_s": effect.background_tau_s}
                    for name, effect in effects.EFFECTS.items()},
        "people": people,
    })
