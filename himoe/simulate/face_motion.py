"""What a simulated face video shows besides expression: blinks, head movement, light, and no face at all.

Everything is drawn on grids that do not depend on frame rate or picture size.
Legend: N moments (frames).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from himoe.simulate import artefacts
from himoe.simulate.effects import modulations
from himoe.simulate.latent import LATENT_HZ, generator, smooth_noise
from himoe.simulate.sessions import Session

BLINK_HZ = 100.0
HIDINGS = ("hand", "turned", "out")  # hands before the face; head turned away; out of the picture
HIDDEN_CHANCE = 0.35
HIDDEN_S = (2.0, 6.0)
# name: (SD, time constant in s). Lengths are in widths of the face.
MOVEMENTS: dict[str, tuple[float, float]] = {
    "shift_x": (0.08, 4.0), "shift_y": (0.04, 4.0), "roll_deg": (2.5, 4.0), "log_scale": (0.03, 8.0),
    "log_gain": (0.08, 15.0), "gradient": (0.06, 20.0),
}
LARGEST_SD = 2.5  # movements are cut off there, so that the head stays in the picture
_TRIALS = 100  # random streams from here on belong to trials


@dataclass(frozen=True)
class Hidden:
    """A stretch of a trial in which no face is shown; *kind* is one of ``HIDINGS``."""

    video: int
    kind: str
    start_s: float
    stop_s: float

    def record(self) -> dict[str, Any]:
        """As a plain dict for ``truth.json``."""
        return asdict(self)


def session_blinks(session: Session, seed: int, snr: float) -> np.ndarray:
    """Closure of the lids over a session, (n,) in 0..1 at ``BLINK_HZ``: the very blinks of the EOG (0.3 s)."""
    moved = modulations(session.person, session.driver, seed, snr, lags_s=session.conditions.lags_s)
    potential_uv = artefacts.blinks(session.person, moved, session.timeline.duration_s, BLINK_HZ, seed)
    return np.clip(1.5 * potential_uv / artefacts.BLINK_UV, 0.0, 1.0)


def blink_at(closure: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Closure (N,) at session times; a blink's first sample is its start, so half a sample is added."""
    return np.interp(time_s, (np.arange(len(closure)) + 0.5) / BLINK_HZ, closure)


def movements(seed: int, participant: int, order: int, length_s: float, time_s: np.ndarray) -> dict[str, np.ndarray]:
    """Head movement and light of the *order*-th trial at *time_s* within it: {name of ``MOVEMENTS``: (N,)}."""
    rng = generator(seed, "deap", "face", participant, _TRIALS + order)
    n_grid = round(length_s * LATENT_HZ) + 1
    waves = smooth_noise(rng, n_grid, LATENT_HZ, np.array([tau_s for _, tau_s in MOVEMENTS.values()]))
    grid_s = np.arange(n_grid) / LATENT_HZ
    return {name: sd * np.interp(time_s, grid_s, np.clip(wave, -LARGEST_SD, LARGEST_SD))
            for (name, (sd, _)), wave in zip(MOVEMENTS.items(), waves)}


def draw_hidden(seed: int, participant: int, videos: Sequence[int], length_s: float) -> tuple[Hidden, ...]:
    """At most one stretch without a face a trial, by presentation order."""
    stretches = []
    for order, video in enumerate(videos, start=1):
        rng = generator(seed, "deap", "face", participant, 2 * _TRIALS + order)
        chance, kind = rng.random(), HIDINGS[int(rng.integers(len(HIDINGS)))]
        lasts_s = rng.uniform(*HIDDEN_S)
        start_s = rng.uniform(0.0, length_s - lasts_s)
        if chance < HIDDEN_CHANCE:
            stretches.append(Hidden(video, kind, round(float(start_s), 2), round(float(start_s + lasts_s), 2)))
    return tuple(stretches)


def hidden_kinds(stretches: Sequence[Hidden], video: int, time_s: np.ndarray) -> np.ndarray:
    """What hides the face at each moment of a trial, (N,) int8: 0 = nothing, k = the k-th of ``HIDINGS``."""
    kinds = np.zeros(len(time_s), dtype=np.int8)
    for stretch in stretches:
        if stretch.video == video:
            kinds[(time_s >= stretch.start_s) & (time_s < stretch.stop_s)] = 1 + HIDINGS.index(stretch.kind)
    return kinds
