"""Tests on differences of two methods, their correction for several comparisons, and power.

Legend: n differences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

# What differs below this is rounding and would break ties and zeros.
_DIGITS = 9


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment, (n,) to (n,): the i-th smallest p times (n - i), made non-decreasing, at most 1.

    NaN stays NaN and does not count. Source: Holm 1979, Scand. J. Statist. 6:65-70.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    defined = np.flatnonzero(~np.isnan(values))
    order = defined[np.argsort(values[defined], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted


def wilcoxon(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, (n,) to a number; zero differences are dropped.

    Exact up to 50 differences without ties. All zero gives 1; no pair at all gives NaN.
    Source: Wilcoxon 1945, doi 10.2307/3001968.
    """
    values = np.round(np.asarray(differences, dtype=np.float64), _DIGITS)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return math.nan
    values = values[values != 0]
    return float(stats.wilcoxon(values).pvalue) if len(values) else 1.0


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p that the exact signed-rank test can give with so many pairs: 2 / 2^n, at most 1."""
    return min(1.0, 2.0 / 2.0**pairs)


def corrected_t(differences: Sequence[float], test_train_ratio: float) -> float:
    """Two-sided p of the corrected resampled t test, (n,) differences by fold and seed to a number.

    Folds share training trials, so that the plain t test's variance of the mean, s^2 / n, is too small; it becomes
    (1 / n + n_test / n_train) s^2, with n - 1 degrees of freedom. NaN with fewer than two differences; equal
    differences have no spread: 1 where they are zero, else 0. Source: Nadeau & Bengio 2003, doi
    10.1023/A:1024068626366.
    """
    values = np.round(np.asarray(differences, dtype=np.float64), _DIGITS)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return math.nan
    if np.ptp(values) == 0:
        return float(values[0] == 0)
    variance = (1.0 / len(values) + test_train_ratio) * values.var(ddof=1)
    return float(2 * stats.t.sf(abs(values.mean()) / math.sqrt(variance), len(values) - 1))


def power(effect: float, sd: float, critical: float) -> float:
    """Probability that a difference *effect*, seen with a normal error of *sd*, passes *critical* on either side."""
    if math.isnan(sd) or math.isnan(critical):
        return math.nan
    if sd == 0:
        return float(abs(effect) > critical)
    return float(stats.norm.sf((critical - effect) / sd) + stats.norm.cdf((-critical - effect) / sd))
