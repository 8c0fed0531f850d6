"""Sensors out of step: what each sensor's windows hold, and what their clocks say, when injected on purpose.

Two things are kept apart. *Shift*: the window that stands at time t on the grid of predictions holds what the body did
at ``t - shift``. *Stamp*: the start that the sensor's own clock gives the window. A hidden lag, jitter and drift are in
the shift alone, because nobody knows of them; a sensor with a rate of its own, or whose newest samples are still on
their way, says truthfully that its window is older.

Legend: n windows of one trial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Lt

from himoe.core.params import Below1, NotNegative
from himoe.core.parsing import check, checked

PPM = 1e-6
Seconds = NotNegative


@checked
@dataclass(frozen=True)
class SensorTiming:
    """How one sensor is out of step; the defaults change nothing.

    Parameters
    ----------
    lag_s : float
        Its samples are stamped so many seconds after the body made them (below 0: before).
    person_sd_s : float
        SD of a further lag per person, from a normal distribution.
    jitter_sd_s : float
        SD of a further lag per trial, likewise.
    drift_ppm : float
        Its clock gains so many microseconds per second from the trial's start on: the lag grows.
    every_s : float
        It gives a window every so many seconds; the grid sees the newest one that has begun. 0 = with the grid.
    phase_s : float
        When the first of these windows begins.
    arrives_s : float
        The newest so many seconds have not arrived yet.
    starts_s : float
        It is absent for so many seconds at a trial's start.
    lost : float
        Share of windows that are lost, in stretches of geometric length.
    burst_s : float
        Mean length of such a stretch (at least one step).
    """

    lag_s: float = 0.0
    person_sd_s: Seconds = 0.0
    jitter_sd_s: Seconds = 0.0
    drift_ppm: Annotated[float, Gt(-1e6), Lt(1e6)] = 0.0
    every_s: Seconds = 0.0
    phase_s: Seconds = 0.0
    arrives_s: Seconds = 0.0
    starts_s: Seconds = 0.0
    lost: Below1 = 0.0
    burst_s: Seconds = 0.0

    def __post_init__(self) -> None:
        check(self.burst_s > 0 or not self.lost, "burst_s", self.burst_s,
              "the mean length of a lost stretch, where something is lost")


@dataclass(frozen=True)
class Asynchrony:
    """Which sensors are out of step, and the seed of what is drawn; a sensor that is not named is on time."""

    sensors: Mapping[str, SensorTiming]
    seed: int = 0

    def of(self, modality: str) -> SensorTiming:
        """How *modality* is out of step."""
        return self.sensors.get(modality, SensorTiming())

    def told(self) -> dict[str, Any]:
        """What was injected, for a provenance: by sensor, what is not on time."""
        return {"seed": self.seed, **{m: {key: value for key, value in asdict(timing).items() if value}
                                      for m, timing in sorted(self.sensors.items())}}


@dataclass(frozen=True)
class TrialTiming:
    """One sensor in one trial: shift (n,) and stamp (n,) in seconds, and which windows are lost (n,) bool."""

    shift_s: np.ndarray
    stamp_s: np.ndarray
    lost: np.ndarray


def trial_timing(timing: SensorTiming, modality: str, subject: str, trial: str, starts_s: np.ndarray, step_s: float,
                 seed: int) -> TrialTiming:
    """Shifts, stamps and losses of one sensor's windows at *starts_s* (n,) of one trial.

    The draws depend on the seed, the modality, the person and the trial alone, and are the same at every severity: a
    larger SD stretches them.

    Raises
    ------
    InputError
        If so much cannot be lost in stretches that short: the next would begin before the last has ended.
    """
    hidden_s = (timing.lag_s + timing.person_sd_s * named_rng(seed, modality, subject).standard_normal()
                + timing.jitter_sd_s * named_rng(seed, modality, subject, trial).standard_normal()
                + timing.drift_ppm * PPM * starts_s)
    stamp_s = starts_s - timing.arrives_s
    if timing.every_s:
        # A hair of tolerance, so that 0.1 * 3 counts as 0.3.
        turns = np.floor((stamp_s - timing.phase_s) / timing.every_s + 1e-9)
        stamp_s = np.where(turns >= 0, timing.phase_s + turns * timing.every_s, -np.inf)
    lost = (starts_s < timing.starts_s) | np.isneginf(stamp_s)
    stamp_s = np.where(lost, starts_s, stamp_s)
    if timing.lost:
        lost |= stretches(len(starts_s), timing.lost, timing.burst_s / step_s,
                          named_rng(seed, modality, subject, trial, "lost"))
    return TrialTiming(starts_s - stamp_s + hidden_s, stamp_s, lost)


def stretches(n: int, share: float, mean_steps: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) bool: a share of steps is lost, in stretches of geometric length.

    A chain of two states (Gilbert 1960, doi 10.1002/j.1538-7305.1960.tb03959.x), begun in its long-run state.

    Raises
    ------
    InputError
        If *mean_steps* is below 1, or so short that the share cannot be reached.
    """
    check(mean_steps >= 1, "asynchrony.burst_s", f"{mean_steps:g} window steps", "at least one step")
    begin = share / (mean_steps * (1 - share))
    check(begin <= 1, "asynchrony.lost", share, f"at most {mean_steps / (1 + mean_steps):.3g} in stretches of "
                                                f"{mean_steps:g} window steps")
    draws = rng.random(n)
    state = np.empty(n, dtype=bool)
    gone = False
    for k in range(n):
        chance = share if k == 0 else 1 - 1 / mean_steps if gone else begin
        gone = state[k] = bool(draws[k] < chance)
    return state


def named_rng(seed: int, *names: str) -> np.random.Generator:
    """A generator for one named thing; a name with a bar in it cannot pass for two names."""
    digest = hashlib.sha256("|".join([str(seed), *(repr(name) for name in names)]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest[:16], dtype=np.uint32))
