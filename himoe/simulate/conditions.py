"""What differs from trial to trial and from second to second: lags, and how good each sensor's contact is.

A *disturbance* is a stretch in which a sensor says less: its strength s(t) lies in 0..1 and its quality is 1 - s(t).
At quality q the disturbing signal is sqrt(1 / q^2 - 1) times as large as the sensor's own signal, so that q is the
share of a reading (in amplitude) that is signal. Rates and lengths are chosen, see ``docs/simulator.md``.
Legend: C channels, N samples at ``LATENT_HZ``, on the session clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from himoe.simulate.effect_tables import LAGS_S, BodyWorld
from himoe.simulate.effects import Person
from himoe.simulate.latent import LATENT_HZ, generator
from himoe.simulate.montage import POSITIONS
from himoe.simulate.timeline import Timeline

WORST = 0.05  # the least quality: a railed amplifier, a sensor that has come off
SEVERITY = (0.5, 0.9)
MOVEMENTS_PER_MIN, MOVEMENT_S, HIT_CHANCE = 0.8, (2.0, 6.0), 0.5
RAMP_S = 0.5
PATCH_REACH = 0.40  # of a loosening cap, in head radii
_LAG_SWITCH_S = 2.0  # before a video starts, its lags begin


@dataclass(frozen=True)
class Kind:
    """One way in which a sensor fails: how often (per minute), how long (s), and the shape of its strength."""

    name: str
    per_min: float
    length_s: tuple[float, float]
    shape: str  # "even" | "rising" | "full"


KINDS: dict[str, tuple[Kind, ...]] = {
    "EEG": (Kind("loosening", 1.0, (10.0, 25.0), "rising"), Kind("pops", 1.0, (5.0, 15.0), "even"),
            Kind("motion", 1.0, (3.0, 8.0), "even")),
    "EOG": (Kind("loosening", 1.2, (8.0, 20.0), "rising"),),
    "EMG": (Kind("contraction", 1.3, (4.0, 15.0), "even"),),
    "EDA": (Kind("saturation", 0.5, (8.0, 20.0), "full"), Kind("pressure", 0.8, (4.0, 12.0), "even")),
    "RSP": (Kind("speech", 1.2, (4.0, 15.0), "even"),),
    "PPG": (Kind("motion", 1.4, (4.0, 15.0), "even"),),
    "ECG": (Kind("motion", 1.2, (4.0, 15.0), "even"),),
    "TEMP": (Kind("detachment", 0.8, (8.0, 25.0), "even"),),
}
# What a movement of the whole body is to each sensor.
_MOVED = {"EEG": "motion", "EOG": "loosening", "EMG": "contraction", "EDA": "pressure", "RSP": "speech",
          "PPG": "motion", "ECG": "motion", "TEMP": "detachment"}


@dataclass(frozen=True)
class Disturbance:
    """A stretch (session clock) in which *modality* is disturbed up to *severity*; *place*: electrode at its centre."""

    modality: str
    kind: str
    start_s: float
    stop_s: float
    severity: float
    shape: str
    place: str = ""

    def record(self) -> dict[str, Any]:
        """As a plain dict for ``truth.json``."""
        return asdict(self)

    def strength(self, time_s: np.ndarray) -> np.ndarray:
        """Strength in 0..severity at *time_s*: even with short ramps, rising over the stretch, or full at once."""
        inside = (time_s >= self.start_s) & (time_s < self.stop_s)
        if self.shape == "full":
            return self.severity * inside
        into_s, left_s = time_s - self.start_s, self.stop_s - time_s
        rise_s = self.stop_s - self.start_s if self.shape == "rising" else RAMP_S
        return self.severity * inside * np.clip(into_s / rise_s, 0, 1) * np.clip(left_s / RAMP_S, 0, 1)


@dataclass(frozen=True)
class Conditions:
    """Lags and disturbances of one session.

    ``trial_lags_s``: {modality: s} of every trial in order; ``lags_s``: the same at every moment, {modality: (N,)}.
    Both are empty and None where lags are constant.
    """

    trial_lags_s: tuple[Mapping[str, float], ...] = ()
    lags_s: Mapping[str, np.ndarray] | None = None
    events: tuple[Disturbance, ...] = ()


    def of_clip(self, start_s: float, length_s: float) -> tuple[Disturbance, ...]:
        """The disturbances that touch a stretch of the session, on its own clock."""
        return tuple(replace(event, start_s=round(event.start_s - start_s, 2), stop_s=round(event.stop_s - start_s, 2))
                     for event in self.events if event.stop_s > start_s and event.start_s < start_s + length_s)


STEADY = Conditions()


def draw_conditions(person: Person, timeline: Timeline, modalities: Sequence[str], ch_names: Sequence[str],
                    seed: int) -> Conditions:
    """What a session is like; nothing varies in a world without jitter of lags."""
    if not person.body.lag_jitter:
        return STEADY
    drawn = tuple(trial_lags(person.lags_s, person.body, seed, person.dataset, person.participant, video)
                  for video in timeline.videos)
    courses = {name: lag_course([lags[name] for lags in drawn], timeline) for name in person.lags_s}
    return Conditions(drawn, courses, draw_disturbances(person, modalities, ch_names, timeline.duration_s, seed))


def lag_course(lags_s: Sequence[float], timeline: Timeline) -> np.ndarray:
    """One lag a trial as a course over the session, (N,)."""
    time_s = np.arange(round(timeline.duration_s * LATENT_HZ) + 1) / LATENT_HZ
    trial = np.searchsorted(np.array(timeline.start_s) - _LAG_SWITCH_S, time_s, side="right") - 1
    return np.asarray(lags_s)[np.clip(trial, 0, None)]


def trial_lags(lags_s: Mapping[str, float], body: BodyWorld, seed: int, dataset: str, participant: int,
               video: int) -> dict[str, float]:
    """The lags of one trial: a person's own, each 0.5 to 1.5 times as long."""
    drawn = generator(seed, dataset, "lag", participant, video).standard_normal(len(LAGS_S) + 1)
    factor = dict(zip((*LAGS_S, "FACE"), np.clip(1 + body.lag_jitter * drawn, 0.5, 1.5)))
    return {name: float(lag_s * factor[name]) for name, lag_s in lags_s.items()}


def draw_disturbances(person: Person, modalities: Sequence[str], ch_names: Sequence[str], duration_s: float,
                      seed: int) -> tuple[Disturbance, ...]:
    """Every sensor's own disturbances, and movements that each sensor notices or not; sorted by start."""
    events = []
    for number, modality in enumerate(KINDS):
        rng = generator(seed, person.dataset, "disturbance", person.participant, 1 + number)
        if modality in modalities:
            events += [event for kind in KINDS[modality] for event in _own(rng, modality, kind, ch_names, duration_s)]
    rng = generator(seed, person.dataset, "disturbance", person.participant, 0)
    clock_s = 0.0
    while (clock_s := clock_s + rng.exponential(60 / MOVEMENTS_PER_MIN)) < duration_s:
        length_s = rng.uniform(*MOVEMENT_S)
        for modality, hit, severity in zip(KINDS, rng.random(len(KINDS)), rng.uniform(*SEVERITY, len(KINDS))):
            if modality in modalities and hit < HIT_CHANCE:
                events.append(_event(modality, _MOVED[modality], clock_s, length_s, severity, "even"))
    return tuple(sorted(events, key=lambda event: (event.start_s, event.modality, event.kind)))


def _own(rng: np.random.Generator, modality: str, kind: Kind, ch_names: Sequence[str],
         duration_s: float) -> list[Disturbance]:
    events, clock_s = [], 0.0
    while (clock_s := clock_s + rng.exponential(60 / kind.per_min)) < duration_s:
        length_s, severity = rng.uniform(*kind.length_s), rng.uniform(*SEVERITY)
        place = ch_names[int(rng.integers(len(ch_names)))] if modality == "EEG" and kind.name != "motion" else ""
        events.append(_event(modality, kind.name, clock_s, length_s, 1.0 if kind.shape == "full" else severity,
                             kind.shape, place))
        clock_s += length_s
    return events


def _event(modality: str, kind: str, start_s: float, length_s: float, severity: float, shape: str,
           place: str = "") -> Disturbance:
    return Disturbance(modality, kind, round(float(start_s), 2), round(float(start_s + length_s), 2),
                       round(float(severity), 3), shape, place)


def quality(events: Sequence[Disturbance], modality: str, time_s: np.ndarray,
            ch_names: Sequence[str]) -> np.ndarray:
    """Quality of one modality at *time_s*, (n,) in ``WORST``..1; of EEG the mean over *ch_names*."""
    if modality == "EEG":
        return channel_quality(events, ch_names, time_s).mean(axis=0)
    left = np.ones(len(time_s))
    for event in events:
        if event.modality == modality:
            left *= 1 - event.strength(time_s)
    return np.maximum(left, WORST)


def channel_quality(events: Sequence[Disturbance], ch_names: Sequence[str], time_s: np.ndarray,
                    kinds: Sequence[str] = ("loosening", "pops", "motion")) -> np.ndarray:
    """Quality of every EEG channel at *time_s*, (C, n), as far as disturbances of *kinds* go."""
    left = np.ones((len(ch_names), len(time_s)))
    for event in events:
        if event.modality == "EEG" and event.kind in kinds:
            left *= 1 - np.outer(_share(event, ch_names), event.strength(time_s))
    return np.maximum(left, WORST)


def _share(event: Disturbance, ch_names: Sequence[str]) -> np.ndarray:
    """How far each channel has part in a disturbance of the cap, (C,)."""
    if event.kind == "motion":
        return np.ones(len(ch_names))
    if event.kind == "pops":
        return np.array([float(name == event.place) for name in ch_names])
    places = np.array([POSITIONS[name] for name in ch_names])
    distance = np.linalg.norm(places - np.array(POSITIONS[event.place]), axis=1)
    return np.exp(-(distance**2) / (2 * PATCH_REACH**2))


def noise_factor(left: np.ndarray) -> np.ndarray:
    """How many times as large as the signal its disturbance is, at quality *left*."""
    return np.sqrt(1 / left**2 - 1)
