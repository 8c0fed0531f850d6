"""The best guess of what was felt, from noisy physiological quantities and everything that made them.

The emotion before its tanh, u, is a Gaussian process whose covariance is the simulator's own. A quantity's course is
A phi(x) + background + noise, with x = tanh(u) * rise: phi holds dimensions and products of the driver, A lags and
low-passes, and the rest is Gaussian. The guess maximises the posterior by Gauss-Newton steps with damping, in
coordinates in which the prior is white (an iterated extended smoother; Bell 1994, doi:10.1137/0804035).

Legend: D = 4 dimensions, J nodes in time, K terms, n observations in time, Z white coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from himoe.core.recordings import DIMENSIONS
from himoe.simulate.effect_tables import PRODUCTS
from himoe.simulate.effects import driver_terms
from himoe.simulate.latent import MIXING, Prior
from himoe.simulate.timeline import DRIVER_PER_LATENT

_N = len(DIMENSIONS)
_KEPT = 1e-4  # eigenvalues of the prior below this share of the largest are left out
_STEPS = 30
_TOLERANCE = 0.05  # of the log posterior
_WEAK = 0.1
_SAME = 1.0  # answers nearer than this (SDs of the prior) are one
Drifts = tuple[tuple[float, tuple[float, float]], ...]
_QUADRATURE = np.polynomial.hermite_e.hermegauss(7)
_TAUS = 9  # steps of a range of time constants


@dataclass(frozen=True)
class Evidence:
    """What some quantities say of phi: the log likelihood is ``pull . phi - phi . precision phi / 2`` up to a constant.

    ``precision`` (K, J, K, J) and ``pull`` (K, J); evidence of independent quantities adds up.
    """

    precision: np.ndarray
    pull: np.ndarray


def join(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of several independent sources together."""
    return Evidence(sum(part.precision for part in parts), sum(part.pull for part in parts))  # type: ignore[arg-type]


def level_covariance(prior: Prior) -> np.ndarray:
    """Covariance (D, D) of a trial's level."""
    return (prior.stimulus_sd**2 + prior.own_sd**2) * MIXING @ MIXING.T + prior.bias_sd**2 * np.eye(_N)


def prior_covariance(level: np.ndarray, drifts: Drifts, time_s: np.ndarray) -> np.ndarray:
    """Covariance of u at *time_s*, (D * J, D * J), dimensions outermost: *level* (D, D) of the trial, then drifts."""
    distance = time_s[:, None] - time_s[None]
    total = np.kron(level, np.ones_like(distance))
    for sd, span_s in drifts:
        kernel = np.mean([np.exp(-((distance / tau_s) ** 2)) for tau_s in np.linspace(*span_s, _TAUS)], axis=0)
        total += np.kron(sd**2 * MIXING @ MIXING.T, kernel)
    return total


def square_root(covariance: np.ndarray) -> np.ndarray:
    """(D * J, Z) with ``root @ root.T`` the covariance, without its smallest directions."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _KEPT * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


@dataclass(frozen=True)
class Guess:
    """``latent`` (D, J): posterior mean; ``z`` (Z,): where the posterior is highest; ``log_evidence`` of the prior."""

    latent: np.ndarray
    z: np.ndarray
    log_evidence: float


def decode(evidence: Evidence, root: np.ndarray, rise: np.ndarray, starts: Sequence[np.ndarray] = ()) -> Guess:
    """What was felt. Products can leave several answers: those that the climbs reach are averaged by their evidence.

    Parameters
    ----------
    root : ndarray, (D * J, Z)
        Of the prior's covariance.
    rise : ndarray, (J,)
        How far the emotion has risen from neutral.
    starts : sequence of ndarray (Z,)
        Where climbs begin; none = at the prior's mean, and where a tenth of the evidence leads from there.
    """
    problem = _Problem(evidence, root, rise)
    if not starts:
        middle = np.zeros(root.shape[1])
        weak = replace(problem, evidence=Evidence(_WEAK * evidence.precision, _WEAK * evidence.pull))
        starts = (middle, weak.climb(middle, 1.0)[0])
    found = [problem.settle(*problem.climb(start, _TOLERANCE)) for start in starts]
    best = max(found, key=lambda guess: guess.log_evidence)
    return replace(best, latent=np.tensordot(_shares(found), [guess.latent for guess in found], axes=1))


def _shares(found: Sequence[Guess]) -> np.ndarray:
    """Posterior probability of each answer; one that several climbs end at counts once."""
    best = max(guess.log_evidence for guess in found)
    weights = np.zeros(len(found))
    for row, guess in enumerate(found):
        if not any(np.linalg.norm(guess.z - other.z) < _SAME for other in found[:row]):
            weights[row] = np.exp(guess.log_evidence - best)
    return weights / weights.sum()


@dataclass(frozen=True)
class _Problem:
    """Minus the log posterior as a function of z."""

    evidence: Evidence
    root: np.ndarray
    rise: np.ndarray

    def u(self, z: np.ndarray) -> np.ndarray:
        """The emotion before its tanh, (D, J)."""
        return (self.root @ z).reshape(_N, -1)

    def value(self, z: np.ndarray) -> float:
        """Up to a constant."""
        phi = driver_terms(DRIVER_PER_LATENT * np.tanh(self.u(z)) * self.rise, len(self.evidence.pull))
        return float(0.5 * z @ z + 0.5 * np.sum(phi * self.pressed(phi)) - np.sum(self.evidence.pull * phi))

    def climb(self, z: np.ndarray, tolerance: float) -> tuple[np.ndarray, float, np.ndarray]:
        """From *z* to where steps gain less than *tolerance*: z, its value, and the curvature."""
        damping, value = 1e-3, self.value(z)
        curvature = np.eye(len(z))
        for _ in range(_STEPS):
            slope, curvature = self.expand(z)
            while True:
                step = np.linalg.solve(curvature + damping * np.eye(len(z)), slope)
                after = self.value(z + step)
                if after <= value or damping > 1e6:
                    break
                damping = max(10 * damping, 1e-3)
            if after > value:
                break
            gained, value, z, damping = value - after, after, z + step, damping / 10
            if gained < tolerance:
                break
        return z, value, curvature

    def settle(self, z: np.ndarray, value: float, curvature: np.ndarray) -> Guess:
        """The Gaussian round a maximum: the latent's mean, and the evidence."""
        centre = self.u(z)
        sd = np.sqrt(np.einsum("ij,ji->i", self.root, np.linalg.solve(curvature, self.root.T))).reshape(centre.shape)
        places, weights = _QUADRATURE
        bent = np.tanh(centre[..., None] + sd[..., None] * places) @ (weights / weights.sum())
        return Guess(bent * self.rise, z, -value - 0.5 * float(np.linalg.slogdet(curvature)[1]))

    def pressed(self, phi: np.ndarray) -> np.ndarray:
        """Precision times phi, (K, J)."""
        return (self.evidence.precision.reshape(phi.size, phi.size) @ phi.ravel()).reshape(phi.shape)

    def expand(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Downhill slope (Z,) and Gauss-Newton curvature (Z, Z)."""
        latent = np.tanh(self.u(z))
        driver, turn = DRIVER_PER_LATENT * latent * self.rise, DRIVER_PER_LATENT * (1 - latent**2) * self.rise
        n_terms, n_nodes = self.evidence.pull.shape
        left = self.evidence.pull - self.pressed(driver_terms(driver, n_terms))
        slopes = term_slopes(driver, turn, n_terms)
        slope_u, curvature_u = np.zeros((_N, n_nodes)), np.zeros((_N, n_nodes, _N, n_nodes))
        for place, (k, d, value) in enumerate(slopes):
            slope_u[d] += value * left[k]
            for other, e, factor in slopes[place:]:
                part = value[:, None] * self.evidence.precision[k, :, other] * factor
                curvature_u[d, :, e] += part
                if other != k or e != d:
                    curvature_u[e, :, d] += part.T
        flat = curvature_u.reshape(_N * n_nodes, _N * n_nodes)
        return self.root.T @ slope_u.ravel() - z, np.eye(len(z)) + self.root.T @ flat @ self.root


def term_slopes(driver: np.ndarray, turn: np.ndarray, n_terms: int) -> list[tuple[int, int, np.ndarray]]:
    """The derivatives that are not 0: (term, dimension, (J,)); *turn* is the driver's derivative with respect to u."""
    found = [(d, d, turn[d]) for d in range(_N)]
    for k, pair in enumerate(PRODUCTS[:n_terms - _N], start=_N):
        one, other = (DIMENSIONS.index(name) for name in pair)
        if one == other:
            found.append((k, one, 2 * driver[one] * turn[one]))
        else:
            found += [(k, one, driver[other] * turn[one]), (k, other, driver[one] * turn[other])]
    return found
