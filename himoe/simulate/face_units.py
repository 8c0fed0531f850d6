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

from himoe.core.recordings import DIMENSIONS
from himoe.simulate.conditions import lag_course, trial_lags
from himoe.simulate.effect_tables import BodyWorld
from himoe.simulate.effects import Person, driver_terms
from himoe.simulate.latent import LATENT_HZ, generator, smooth_noise
from himoe.simulate.sessions import Session

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
# What is added where effects interact: frowning and smiling are stronger the more aroused one is.
PRODUCT_WEIGHTS: dict[str, dict[str, float]] = {
    "AU4": {"valence*arousal": -0.14}, "AU6": {"valence*arousal": 0.10}, "AU12": {"valence*arousal": 0.14},
}
UNITS: tuple[str, ...] = tuple(WEIGHTS)
# the streams of a person's random numbers (see face_motion, face_look for others)
_RESPONSE, _BACKGROUND, _PRODUCTS, _FAST = 0, 1, 10, 11


@dataclass(frozen=True)
class FaceResponse:
    """One person's facial response: ``lag_s``; ``gains`` (U, K), terms in order; ``rest`` (U,) logits."""

    participant: int
    lag_s: float
    gains: np.ndarray
    rest: np.ndarray
    body: BodyWorld

    def trial_lag(self, session: Session, index: int) -> float:
        """The lag in the *index*-th trial (from 0)."""
        if session.conditions.lags_s is None:
            return self.lag_s
        person, video = session.person, session.timeline.videos[index]
        return trial_lags({"FACE": self.lag_s}, self.body, session.seed, "deap", person.participant, video)["FACE"]

    def record(self) -> dict[str, Any]:
        """As a plain dict for ``truth.json``."""
        return {
            "lag_s": self.lag_s, "background_sd": BACKGROUND_SD, "background_tau_s": BACKGROUND_TAU_S,
            "unit": "logit of the intensity", "rest": dict(zip(UNITS, map(float, self.rest))),
            "gains": {unit: dict(zip(self.body.terms, map(float, gain))) for unit, gain in zip(UNITS, self.gains)},
        }


def make_response(seed: int, person: Person) -> FaceResponse:
    """Draw a person's facial response; own gains spread as those of the other effects."""
    body, n_dimensions = person.body, len(DIMENSIONS)
    rng = generator(seed, "deap", "face", person.participant, _RESPONSE)
    lag_s = float(rng.uniform(*FACE_LAG_S))
    weights = {unit: WEIGHTS[unit] | (PRODUCT_WEIGHTS.get(unit, {}) if len(body.terms) > n_dimensions else {})
               for unit in UNITS}
    shared = np.array([[weights[unit].get(term, 0.0) for term in body.terms] for unit in UNITS])
    spread = body.own_share * np.abs(shared)
    spread[:, :n_dimensions] = spread[:, :n_dimensions].max(axis=1, keepdims=True)
    own = np.zeros_like(shared)
    own[:, :n_dimensions] = rng.standard_normal((len(UNITS), n_dimensions))
    rest = REST + REST_SD * rng.standard_normal(len(UNITS))
    own[:, n_dimensions:] = generator(seed, "deap", "face", person.participant, _PRODUCTS).standard_normal(
        (len(UNITS), shared.shape[1] - n_dimensions))
    return FaceResponse(person.participant, lag_s, (shared + spread * own) * person.system_gain["muscle"], rest, body)


def face_lag(response: FaceResponse, session: Session) -> np.ndarray | None:
    """The face's lag at every moment of the session, (N,) s; None where it is constant."""
    if session.conditions.lags_s is None:
        return None
    return lag_course([response.trial_lag(session, index) for index in range(len(session.timeline.videos))],
                      session.timeline)


def unit_logits(
    response: FaceResponse, driver: np.ndarray, seed: int, snr: float, noise: float = 1.0,
    lag_s: np.ndarray | None = None,
) -> np.ndarray:
    """Logit of every action unit's intensity over a session, (U, N) at ``LATENT_HZ``.

    ``rest + snr * gains . terms(t - lag) + noise * background(t)``.

    Parameters
    ----------
    driver : ndarray, (4, N)
        At ``LATENT_HZ``.
    snr, noise : float
        Factors on everything emotional and on the slow background.
    lag_s : ndarray (N,), optional
        The lag at every moment; None = the person's, constant.
    """
    body, n_samples = response.body, driver.shape[1]
    time_s = np.arange(n_samples) / LATENT_HZ
    then_s = time_s - (response.lag_s if lag_s is None else lag_s)
    late = np.stack([np.interp(then_s, time_s, row) for row in driver_terms(driver, len(body.terms))])
    rng = generator(seed, "deap", "face", response.participant, _BACKGROUND)
    background = smooth_noise(rng, n_samples, LATENT_HZ, np.full(len(UNITS), BACKGROUND_TAU_S))
    if body.fast_share:
        rng = generator(seed, "deap", "face", response.participant, _FAST)
        fast = smooth_noise(rng, n_samples, LATENT_HZ, np.full(len(UNITS), body.fast_tau_s))
        background = np.sqrt(1 - body.fast_share) * background + np.sqrt(body.fast_share) * fast
    return response.rest[:, None] + snr * response.gains @ late + noise * BACKGROUND_SD * background


def intensities(logits: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """Intensities in 0..1 at any moments of the session, (N, U) for *logits* (U, n) at ``LATENT_HZ``."""
    grid_s = np.arange(logits.shape[1]) / LATENT_HZ
    at = np.stack([np.interp(time_s, grid_s, row) for row in logits], axis=1)
    return 1.0 / (1.0 + np.exp(-at))


def columns(units: np.ndarray) -> Mapping[str, np.ndarray]:
    """Intensities (N, U) by name of the action unit."""
    return dict(zip(UNITS, units.T))
