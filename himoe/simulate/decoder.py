"""The best guess of what was felt, from noisy physiological quantities and everything that made them.

The emotion before its tanh, u, is a Gaussian process whose covariance is the simulator's own. A quantity's course is
A phi(x) + background + noise, with x = tanh(u) * rise: phi holds dimensions and products of the driver, A lags and
low-passes, and the rest is Gaussian. The guess maximises the posterior by Gauss-Newton steps with damping, in
coordinates in which the prior is white (an iterated extended smoother; Bell 1994, doi:10.1137/0804035).

Legend: D = 4 dimensions, J nodes in time, K terms, n observations in time, Z white coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from himoe.recordings import DIMENSIONS
from himoe.simulate.effect_tables import PRODUCTS
from himoe.simulate.effects import driver_terms
from himoe.simulate.latent import MIXING, Prior
from himoe.simulate.timeline import DRIVER_PER_LATENT

_N = len(DIMENSIONS)
_KEPT = 1e-5  # eigenvalues of the prior below this share of the largest are left out
_STEPS = 30
_TOLERANCE = 0.05
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


def prior_covariance(prior: Prior, time_s: np.ndarray) -> np.ndarray:
    """Covariance of u at *time_s*, (D * J, D * J), dimensions outermost: level of the trial, then its drifts."""
    between = MIXING @ MIXING.T
    distance = time_s[:, None] - time_s[None]
    same = np.ones_like(distance)
    total = np.kron((prior.stimulus_sd**2 + prior.own_sd**2) * between + prior.bias_sd**2 * np.eye(_N), same)
    for sd, span_s in prior.drifts:
        kernel = np.mean([np.exp(-((distance / tau_s) ** 2)) for tau_s in np.linspace(*span_s, _TAUS)], axis=0)
        total += np.kron(sd**2 * between, kernel)
    return total


def square_root(covariance: np.ndarray) -> np.ndarray:
    """(D * J, Z) with ``root @ root.T`` the covariance, without its smallest directions."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _KEPT * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def decode(evidence: Evidence, root: np.ndarray, rise: np.ndarray, start: np.ndarray | None = None,
           tolerance: float = _TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean of the latent, (D, J), by the Gaussian at the posterior's maximum; and that maximum, (Z,).

    Parameters
    ----------
    root : ndarray, (D * J, Z)
        Of the prior's covariance.
    rise : ndarray, (J,)
        How far the emotion has risen from neutral.
    start : ndarray, (Z,), optional
        Where to begin; None = at neutral.
    tolerance : float
        Steps end when the log posterior gains less.
    """
    n_nodes = len(rise)
    z = np.zeros(root.shape[1]) if start is None else start
    damping, value = 1e-3, _value(evidence, root, rise, z)
    curvature = np.eye(len(z))
    for _ in range(_STEPS):
        slope, curvature = _expand(evidence, root, rise, z)
        while True:
            step = np.linalg.solve(curvature + damping * np.eye(len(z)), slope)
            after = _value(evidence, root, rise, z + step)
            if after <= value or damping > 1e6:
                break
            damping = max(10 * damping, 1e-3)
        if after > value:
            break
        gained, value, z, damping = value - after, after, z + step, damping / 10
        if gained < tolerance:
            break
    mean = (root @ z).reshape(_N, n_nodes)
    spread = np.linalg.solve(curvature, root.T)
    sd = np.sqrt(np.einsum("ij,ji->i", root, spread)).reshape(_N, n_nodes)
    places, weights = _QUADRATURE
    bent = np.tanh(mean[..., None] + sd[..., None] * places) @ (weights / weights.sum())
    return bent * rise, z


def _value(evidence: Evidence, root: np.ndarray, rise: np.ndarray, z: np.ndarray) -> float:
    """Minus the log posterior, up to a constant."""
    driver = DRIVER_PER_LATENT * np.tanh((root @ z).reshape(_N, -1)) * rise
    phi = driver_terms(driver, len(evidence.pull))
    pressed = _times(evidence, phi)
    return float(0.5 * z @ z + 0.5 * np.sum(phi * pressed) - np.sum(evidence.pull * phi))


def _expand(evidence: Evidence, root: np.ndarray, rise: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Downhill slope and Gauss-Newton curvature of :func:`_value` in z."""
    latent = np.tanh((root @ z).reshape(_N, -1))
    driver, turn = DRIVER_PER_LATENT * latent * rise, DRIVER_PER_LATENT * (1 - latent**2) * rise
    n_terms, n_nodes = evidence.pull.shape
    phi = driver_terms(driver, n_terms)
    left = evidence.pull - _times(evidence, phi)
    slopes = term_slopes(driver, turn, n_terms)
    slope_u, curvature_u = np.zeros((_N, n_nodes)), np.zeros((_N, n_nodes, _N, n_nodes))
    for place, (k, d, value) in enumerate(slopes):
        slope_u[d] += value * left[k]
        for other, e, factor in slopes[place:]:
            part = value[:, None] * evidence.precision[k, :, other] * factor
            curvature_u[d, :, e] += part
            if other != k or e != d:
                curvature_u[e, :, d] += part.T
    flat = curvature_u.reshape(_N * n_nodes, _N * n_nodes)
    return root.T @ slope_u.ravel() - z, np.eye(len(z)) + root.T @ flat @ root


def _times(evidence: Evidence, phi: np.ndarray) -> np.ndarray:
    return (evidence.precision.reshape(phi.size, phi.size) @ phi.ravel()).reshape(phi.shape)


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
