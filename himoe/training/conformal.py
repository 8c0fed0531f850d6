"""Prediction intervals from few validation trials, one window drawn from each.

Windows of one trial are alike, so trials are what is exchangeable. Draw one window from each of K validation trials:
their absolute residuals and that of a window drawn from a new trial are K + 1 exchangeable numbers, so the new one is
at most the ceil(level (K + 1))-th smallest of the K with probability *level* or more, whatever their distribution
(split conformal prediction on a subsample; Dunn, Wasserman & Ramdas 2022, doi 10.1080/01621459.2022.2060112).

One draw is a lottery. The half width here is the mean over all draws, which keeps the promise wherever larger errors
are rarer than smaller ones in the range of the draws: the distribution function is concave there, and at the mean is no
less than the mean of its values (Jensen). The bound that needs no such thing (Lee, Barber & Willett 2023, arXiv
2306.06342) takes the new trial's windows to be endlessly wrong: with nine trials it is the largest residual of all
windows.

With K trials no level above K / (K + 1) can be promised. Then that one is aimed at, down to ``LOWEST``; below it the
interval is the whole scale.

Legend: n windows, M modalities, D dimensions, K trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from himoe.core.intervals import ends

LEVEL = 0.9
LOWEST = 0.8
GRID = 2000  # values at which draws are counted; between them the half width is rounded up


def level_of(trials: int, level: float = LEVEL) -> float:
    """What intervals from so many *trials* can aim at: *level*, or K / (K + 1) where that is less, from ``LOWEST`` on.

    Below it *level* again: an interval that is the whole scale keeps any promise.
    """
    possible = trials / (trials + 1)
    return min(level, possible) if possible >= LOWEST else level


def half_width(residuals: np.ndarray, trials: np.ndarray, level: float) -> float:
    """The mean over draws, of one window per trial, of the ceil(level (K + 1))-th smallest residual; inf without one.

    Parameters
    ----------
    residuals : ndarray (n,)
        Absolute errors; NaN = no label.
    trials : ndarray (n,)
        The trial of each.
    """
    known = np.isfinite(residuals)
    residuals, trials = residuals[known], np.asarray(trials)[known]
    names = np.unique(trials)
    rank = ceil(level * (len(names) + 1) - 1e-9)
    if rank > len(names):
        return float("inf")
    values = np.sort(residuals)
    values = values[np.linspace(0, len(values) - 1, min(len(values), GRID)).round().astype(int)]
    # Probability that 0, 1, ... K - rank of the draws lie above each value: then the rank-th smallest does not.
    few = np.zeros((len(names) - rank + 1, len(values)))
    few[0] = 1.0
    for name in names:
        own = np.sort(residuals[trials == name])
        above = 1 - np.searchsorted(own, values, side="right") / len(own)
        few[1:] = few[1:] * (1 - above) + few[:-1] * above
        few[0] *= 1 - above
    larger = 1 - few.sum(0)
    return float(values[0] + (np.diff(values) * larger[:-1]).sum())


def half_widths(residuals: Sequence[np.ndarray], absent: Sequence[np.ndarray], trials: np.ndarray, modalities: int,
                level: float = LEVEL) -> tuple[float, ...]:
    """Half widths by number of absent modalities 0..M-1, from several passes over the same windows.

    A pass is residuals (n,) under one mask and how many modalities were *absent* (n,) in each window. Fewer sensors
    never give a narrower interval; a number that was seen in too few trials, or in none, has the width of the next
    larger one that was seen in enough, or of the largest.
    """
    errors, missing = np.concatenate(residuals), np.concatenate(absent)
    names = np.tile(trials, len(residuals))
    seen = np.unique(missing[np.isfinite(errors)])
    if len(seen) == 0:
        return (float("inf"),) * modalities
    found = np.array([half_width(errors[missing == k], names[missing == k], level) for k in seen])
    enough = np.isfinite(found)
    enough[-1] = True
    seen, widths = seen[enough], np.maximum.accumulate(found[enough])
    return tuple(widths[np.minimum(np.searchsorted(seen, np.arange(modalities)), len(seen) - 1)].tolist())


def bounds(predicted: np.ndarray, absent: np.ndarray, widths: Sequence[float],
           scale: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end (n,) of the intervals about *predicted* (n,), inside the rating scale."""
    return ends(predicted, widths_of(absent, widths), scale)


def widths_of(absent: np.ndarray, widths: Sequence[float]) -> np.ndarray:
    """Half widths (n,) of windows that lack *absent* (n,) modalities."""
    return np.asarray(widths)[np.minimum(absent, len(widths) - 1)]
