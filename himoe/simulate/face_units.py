"""Facial action units over time: what emotion does to the face of a simulated person.

Action units: Facial Action Coding System (Ekman & Friesen 1978). Sources of the signs are in
``docs/simulator.md``; the sizes are chosen, not measured.
Legend: U action units, N samples at ``LATENT_HZ``; the *driver* is that of the body (physiology).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from himoe.recordings import DIMENSIONS
from himoe.simulate.effects import OWN_SHARE
from himoe.simulate.latent import LATENT_HZ, generator, smooth_noise

FACE_LAG_S = (0.3, 0.8)
BACKGROUND_SD = 0.6
BACKGROUND_TAU_S = 10.0
REST = -1.6  # logit of an intensity without emotion: 0.17
REST_SD = 0.3

# Shared weights: change of the logit of the intensity per unit of the driver.
WEIGHTS: dict[str, dict[str, float]] = {
    "AU1": {"valence": -0.14, "arousal": 0.22, "dominance": -0.14},  # inner brow raiser
    "AU2": {"arousal": 0.28, "dominance": -0.12},  # outer brow raiser
    "AU4": {"valence": -0.34},  # brow lowerer
    "AU5": {"arousal": 0.32},  # upper lid raiser
    "AU6": {"valence": 0.34},  # cheek raiser
    "AU9": {"valence": -0.28},  # nose wrinkler
    "AU12": {"valence": 0.38, "liking": 0.20},  # lip corner puller
    "AU15": {"valence": -0.28, "arousal": -0.12},  # lip corner depressor
    "AU17": {"valence": -0.24, "dominance": 0.16},  # chin raiser
    "AU25": {"arousal": 0.30},  # lips part
    "AU26": {"arousal": 0.28},  # jaw drop
}
UNITS: tuple[str, ...] = tuple(WEIGHTS)
_RESPONSE, _BACKGROUND = 0, 1  # the streams of a person's random numbers (see face_motion, face_look for others)


@dataclass(frozen=True)
class FaceResponse:
    """One person's facial response: ``lag_s``; ``gains`` (U, 4), dimensions in order; ``rest`` (U,) logits."""

    participant: int
    lag_s: float
    gains: np.ndarray
    rest: np.ndarray

    def record(self) -> dict[str, Any]:
        """As a plain dict for ``truth.json``."""
        return {
            "lag_s": self.lag_s, "background_sd": BACKGROUND_SD, "background_tau_s": BACKGROUND_TAU_S,
            "unit": "logit of the intensity", "rest": dict(zip(UNITS, map(float, self.rest))),
            "gains": {unit: dict(zip(DIMENSIONS, map(float, gain))) for unit, gain in zip(UNITS, self.gains)},
        }


def make_response(seed: int, participant: int) -> FaceResponse:
    """Draw one person's response; own gains spread as those of the other effects (``OWN_SHARE``)."""
    rng = generator(seed, "deap", "face", participant, _RESPONSE)
    lag_s = float(rng.uniform(*FACE_LAG_S))
    shared = np.array([[WEIGHTS[unit].get(dimension, 0.0) for dimension in DIMENSIONS] for unit in UNITS])
    spread = OWN_SHARE * np.abs(shared).max(axis=1, keepdims=True)
    gains = shared + spread * rng.standard_normal(shared.shape)
    return FaceResponse(participant, lag_s, gains, REST + REST_SD * rng.standard_normal(len(UNITS)))


def unit_logits(
    response: FaceResponse, driver: np.ndarray, seed: int, snr: float, noise: float = 1.0
) -> np.ndarray:
    """Logit of every action unit's intensity over a session, (U, N) at ``LATENT_HZ``.

    ``rest + snr * gains . driver(t - lag) + noise * background(t)``.

    Parameters
    ----------
    driver : ndarray, (4, N)
        At ``LATENT_HZ``.
    snr, noise : float
        Factors on everything emotional and on the slow background.
    """
    n_samples = driver.shape[1]
    time_s = np.arange(n_samples) / LATENT_HZ
    late = np.stack([np.interp(time_s - response.lag_s, time_s, row) for row in driver])
    rng = generator(seed, "deap", "face", response.participant, _BACKGROUND)
    background = smooth_noise(rng, n_samples, LATENT_HZ, np.full(len(UNITS), BACKGROUND_TAU_S))
    return response.rest[:, None] + snr * response.gains @ late + noise * BACKGROUND_SD * background


def intensities(logits: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Intensities in 0..1 at any moments of the session, (N, U) for *logits* (U, n) at ``LATENT_HZ``."""
    grid_s = np.arange(logits.shape[1]) / LATENT_HZ
    at = np.stack([np.interp(time_s, grid_s, row) for row in logits], axis=1)
    return 1.0 / (1.0 + np.exp(-at))


def columns(units: np.ndarray) -> Mapping[str, np.ndarray]:
    """Intensities (N, U) by name of the action unit."""
    return dict(zip(UNITS, units.T))
