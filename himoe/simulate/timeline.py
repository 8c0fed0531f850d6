"""When which video runs, and the driver of the body over a session.

Legend: N samples at ``LATENT_HZ``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from himoe.simulate.latent import LATENT_HZ, rise

DRIVER_PER_LATENT = 2.0
RELEASE_S = 4.0


@dataclass(frozen=True)
class Timeline:
    """When which video runs: session length, and per trial its video, start and length (s)."""

    duration_s: float
    videos: tuple[int, ...]
    start_s: tuple[float, ...]
    length_s: tuple[float, ...]


def make_timeline(
    videos: Sequence[int], length_s: Sequence[float], lead_s: float, between_s: float, tail_s: float
) -> Timeline:
    """Trials one after another: *lead_s* before the first, *between_s* between, *tail_s* after the last."""
    starts, clock_s = [], lead_s
    for length in length_s:
        starts.append(clock_s)
        clock_s += length + between_s
    return Timeline(clock_s - between_s + tail_s, tuple(videos), tuple(starts), tuple(length_s))


def session_driver(timeline: Timeline, latents: Sequence[np.ndarray]) -> np.ndarray:
    """The driver of the body over a whole session, (4, N) at ``LATENT_HZ``.

    ``DRIVER_PER_LATENT`` times the latent during a trial, 0 (neutral) elsewhere; after a trial it
    fades over ``RELEASE_S``. Trials are expected to start at whole quarters of a second.
    """
    driver = np.zeros((4, round(timeline.duration_s * LATENT_HZ) + 1))
    n_fade = round(RELEASE_S * LATENT_HZ)
    fade = 1.0 - rise(np.arange(1, n_fade + 1) / LATENT_HZ, RELEASE_S)
    for start_s, latent in zip(timeline.start_s, latents):
        first = round(start_s * LATENT_HZ)
        stop = first + latent.shape[1]
        driver[:, first:stop] = DRIVER_PER_LATENT * latent
        end = min(stop + n_fade, driver.shape[1])
        driver[:, stop:end] = DRIVER_PER_LATENT * latent[:, -1:] * fade[:end - stop]
    return driver
