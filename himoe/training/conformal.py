"""Prediction intervals by split conformal prediction, whole trials at a time.

A window's score is the absolute residual. Windows of one trial are alike, so trials are what is exchangeable: every
validation trial weighs the same, and the trial to come weighs as much as one of them, with an endless residual
(hierarchical conformal prediction; Lee, Barber & Willett 2023, arXiv 2306.06342). With K trials no level above
K / (K + 1) has an end: there the interval is the whole scale.

Legend: n windows, M modalities, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from himoe.core.intervals import ends

LEVEL = 0.9


def half_width(residuals: np.ndarray, trials: np.ndarray, level: float) -> float:
    """The smallest q such that |error| <= q for a new trial's window with probability *level*; inf if there is none.

    Parameters
    ----------
    residuals : ndarray (n,)
        Absolute errors; NaN = no label.
    trials : ndarray (n,)
        The trial of each.
    """
    known = np.isfinite(residuals)
    residuals, trials = residuals[known], np.asarray(trials)[known]
    if len(residuals) == 0:
        return float("inf")
    _, place, counts = np.unique(trials, return_inverse=True, return_counts=True)
    weight = 1 / counts[place] / (len(counts) + 1)
    order = np.argsort(residuals, kind="stable")
    reached = np.cumsum(weight[order])
    first = int(np.searchsorted(reached, level - 1e-9))
    return float(residuals[order][first]) if first < len(order) else float("inf")


def half_widths(residuals: Sequence[np.ndarray], absent: Sequence[np.ndarray], trials: np.ndarray, modalities: int,
                level: float = LEVEL) -> tuple[float, ...]:
    """Half widths by number of absent modalities 0..M-1, from several passes over the same windows.

    A pass is residuals (n,) under one mask and how many modalities were *absent* (n,) in each window. Fewer sensors
    never give a narrower interval; a number that was not seen has the width of the next larger one that was, or of the
    largest.
    """
    errors, missing = np.concatenate(residuals), np.concatenate(absent)
    names = np.tile(trials, len(residuals))
    found = [half_width(errors[missing == k], names[missing == k], level) if (missing == k).any() else np.nan
             for k in range(modalities)]
    widths = np.array(found)
    for k in range(modalities - 2, -1, -1):
        if np.isnan(widths[k]):
            widths[k] = widths[k + 1]
    widths = np.where(np.isnan(widths), -np.inf, widths)
    widths = np.maximum.accumulate(widths)
    return tuple(float(width) if width > -np.inf else float("inf") for width in widths)


def bounds(predicted: np.ndarray, absent: np.ndarray, widths: Sequence[float],
           scale: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end (n,) of the intervals about *predicted* (n,), inside the rating scale."""
    return ends(predicted, widths_of(absent, widths), scale)


def widths_of(absent: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    """Half widths (n,) of windows that lack *absent* (n,) modalities."""
    return np.asarray(widths)[np.minimum(absent, len(widths) - 1)]
