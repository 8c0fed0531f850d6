"""Calibration: does a prediction mean what it says?"""

from __future__ import annotations

import math

import numpy as np


def calibration_error(y_true: np.ndarray, y_pred: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: |mean truth - mean prediction| over quantile bins of the prediction, by their share.

    (n,) and (n,) to a number of 0 or more; equal predictions share a bin, NaN without rows. For classes the
    truth is 0 or 1 and the prediction a probability. Source: Naeini, Cooper, Hauskrecht 2015 (AAAI 29).
    """
    y, p = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if len(y) == 0:
        return math.nan
    edges = np.quantile(p, np.arange(1, bins) / bins)
    codes = np.searchsorted(edges, p, side="left")
    return float(np.abs(np.bincount(codes, y - p, minlength=bins)).sum() / len(y))


def calibration_line(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the least-squares line of truth on prediction; NaN for a constant prediction.

    A perfectly calibrated prediction has slope 1 and intercept 0.
    """
    y, p = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if len(y) < 2 or np.ptp(p) == 0:
        return math.nan, math.nan
    deviation = p - p.mean()
    slope = float((deviation * (y - y.mean())).sum() / (deviation**2).sum())
    return slope, float(y.mean() - slope * p.mean())
