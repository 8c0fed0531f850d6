"""Scores of predictions, their intervals over trials, and a check that a score can be true at all.

Legend: n rows (windows), D dimensions, G groups (trials), S sums. Everything is float64.

Undefined scores are NaN: fewer than two labelled rows, PCC of a constant, CCC of two equal constants,
F1 without any high window. CCC of a constant prediction is 0, by its formula.

Two classes: labels 0 or 1, a prediction may be the probability of high. More: labels and predictions are class
numbers 0..K-1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from himoe.errors import bad_input

# A resample counts as constant where its variance is below this share of all rows' mean square:
# far above the rounding of sums, far below any rating scale's resolution.
_CONSTANT = 1e-12


class Interval(NamedTuple):
    """Percentile interval; ``undefined`` counts the draws without a score (they are left out)."""

    low: float
    high: float
    undefined: int


class Average(NamedTuple):
    """Mean of the defined values; ``undefined`` counts the NaN left out. NaN if none is defined."""

    mean: float
    undefined: int


def ccc(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    r"""Concordance correlation coefficient, (n,) and (n,) to a number in [-1, 1].

    .. math:: 2 s_{xy} / (s_x^2 + s_y^2 + (\bar x - \bar y)^2), with 1/n moments

    Rows whose label is NaN are left out. Source: Lin 1989, doi 10.2307/2532051.

    Raises
    ------
    InputError
        If the shapes differ or a labelled row has no finite prediction (all metrics here).
    """
    y, p = _pairs(y_true, y_pred)
    if len(y) < 2:
        return math.nan
    dy, dp = _deviations(y), _deviations(p)
    shift = np.mean(y - p)
    return float(_ccc(np.mean(dy * dp), np.mean(dy**2), np.mean(dp**2), shift))


def pcc(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Pearson correlation coefficient, (n,) and (n,) to a number in [-1, 1]; NaN where one is constant."""
    y, p = _pairs(y_true, y_pred)
    if len(y) < 2:
        return math.nan
    dy, dp = _deviations(y), _deviations(p)
    return float(_pcc(np.mean(dy * dp), np.mean(dy**2), np.mean(dp**2)))


def mae(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Mean absolute error on the rating scale, (n,) and (n,) to a number of 0 or more."""
    y, p = _pairs(y_true, y_pred)
    return float(np.mean(np.abs(y - p))) if len(y) >= 2 else math.nan


def accuracy(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of rows whose class is right, any number of classes."""
    y, p = _classes(*_pairs(y_true, y_pred))
    return float(np.mean(y == p)) if len(y) >= 2 else math.nan


def f1(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """F1 of the class high: 2 TP / (2 TP + FP + FN); NaN where no row is or is called high. Two classes."""
    y, p = _two_classes(*_pairs(y_true, y_pred))
    if len(y) < 2:
        return math.nan
    return float(_ratio(2 * np.sum(y * p), np.sum(y) + np.sum(p)))


def f1_macro(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Mean of the classes' F1; a class that no row has and none is called is left out.

    The "averaged F1" of Opitz & Burst 2019, arXiv 1911.03347; as scikit-learn's ``f1_score(average="macro")``.
    """
    y, p = _classes(*_pairs(y_true, y_pred))
    if len(y) < 2:
        return math.nan
    return float(np.mean([_ratio(2 * np.sum((y == k) & (p == k)), np.sum(y == k) + np.sum(p == k))
                          for k in np.union1d(y, p)]))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "ccc": ccc, "pcc": pcc, "mae": mae, "accuracy": accuracy, "f1": f1,
    "f1_macro": f1_macro,
}
TASK_METRICS = {"regression": ("ccc", "pcc", "mae"), "classification": ("accuracy", "f1")}
CLASSES_METRICS = ("accuracy", "f1_macro")  # of classification into more than two classes


def task_metrics(task: str, classes: int | None = None) -> tuple[str, ...]:
    """The metrics of a task; *classes* is the number of classes (None = two, where there are classes)."""
    return CLASSES_METRICS if task == "classification" and (classes or 2) > 2 else TASK_METRICS[task]


def class_count(described: Mapping[str, Any]) -> int | None:
    """Number of classes of a run, by its run.json or its metrics: None for regression, two where none is written."""
    return int(described.get("classes") or 2) if described["task"] == "classification" else None


def task_label(described: Mapping[str, Any]) -> str:
    """The task in words, with the number of classes where it is not two."""
    classes = class_count(described)
    return f"{described['task']}, {classes} classes" if (classes or 2) > 2 else str(described["task"])


def average(values: np.ndarray) -> Average:
    """Mean over the values that are not NaN, and how many are."""
    values = np.asarray(values, dtype=np.float64).ravel()
    defined = values[~np.isnan(values)]
    return Average(float(defined.mean()) if len(defined) else math.nan, len(values) - len(defined))


def bootstrap_interval(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray, metric: str,
                       draws: int, level: float, seed: int) -> Interval:
    """Percentile interval of a metric, resampling whole groups (trials) with replacement.

    Windows of one trial are not independent, so trials are drawn, not windows (Efron & Tibshirani 1993,
    An Introduction to the Bootstrap, ch. 13). Each draw is a weighted sum of sums kept per group. Groups
    are numbered in sorted order; draw k takes row k of
    ``default_rng(seed).integers(0, G, (draws, G))``.

    Parameters
    ----------
    y_true, y_pred : ndarray, (n,) or (n, D)
        With D dimensions each draw's score is the average over the dimensions where it is defined.
    groups : ndarray, (n,)
        A label a row; make it unique over subjects, e.g. ``subject + "/" + trial``.
    metric : str
        A key of ``METRICS``.
    level : float
        E.g. 0.95.

    Raises
    ------
    InputError
        For an unknown metric or shapes that do not fit.
    """
    if metric not in METRICS:
        raise bad_input("metric", repr(metric), "one of " + " ".join(METRICS), "correct the name")
    y, p = (np.asarray(a, dtype=np.float64) for a in (y_true, y_pred))
    codes, unique = pd.factorize(np.asarray(groups), sort=True)
    if y.shape != p.shape or y.ndim not in (1, 2) or codes.shape != y.shape[:1] or (codes < 0).any():
        raise bad_input("bootstrap_interval", f"shapes {y.shape}, {p.shape} and groups {codes.shape}",
                        "(n,) or (n, D) twice and (n,) groups, none missing", "align the rows")
    if len(unique) == 0:
        return Interval(math.nan, math.nan, draws)
    drawn = np.random.default_rng(seed).integers(0, len(unique), (draws, len(unique)))
    counts = _count_rows(drawn, len(unique))
    columns = zip(y.reshape(len(y), -1).T, p.reshape(len(p), -1).T, strict=True)
    scores = np.stack([_scores(yd, pd_, codes, counts, metric) for yd, pd_ in columns], axis=-1)
    return _percentiles(_mean_defined(scores), level)


def largest_mae(ccc: float, scale: tuple[float, float]) -> float:
    r"""The largest MAE any predictions on the scale can have at this CCC (or at an average CCC).

    Let R be the scale's width, x = 1 - CCC and S = s_y^2 + s_p^2 + (difference of means)^2, so that
    MAE^2 <= MSE = x S. On a scale with means a <= b, S <= R (a + b) - 2 a b and
    CCC S = 2 cov <= 2 a (R - b); together S <= R^2 / (1 + sqrt(1 - x^2)), which is two variances of
    (R / 2)^2 as x goes to 0. The bound h(x) on MAE is made concave by its tangent through (1, R), so that it
    also holds for averages of MAE and CCC over dimensions or folds (Jensen).
    """
    width = scale[1] - scale[0]
    x = min(max(1.0 - ccc, 0.0), 1.0)
    if x <= _TANGENT:
        return width * _unit_bound(x)
    at = _unit_bound(_TANGENT)
    return width * (at + (1.0 - at) * (x - _TANGENT) / (1.0 - _TANGENT))


def mse_bound_problem(ccc: float | None, mae: float | None, scale: tuple[float, float]) -> str | None:
    """One sentence if this CCC and MAE cannot both be true on this scale, else None.

    MAE^2 <= MSE = (1 - CCC)(s_y^2 + s_p^2 + (difference of means)^2); see :func:`largest_mae`.
    Predictions that leave the scale can exceed the bound; the sentence says so. Undefined scores pass.
    """
    if ccc is None or mae is None or math.isnan(ccc) or math.isnan(mae):
        return None
    most = largest_mae(ccc, scale)
    if mae <= most * (1 + 1e-9) + 1e-12:
        return None
    low, high = scale
    needed = math.sqrt(mae**2 / max(1.0 - ccc, 1e-12) / 2)
    return (f"CCC {ccc:.4f} with MAE {mae:.4f} cannot be on a scale of {low:g} to {high:g}: "
            f"MAE² ≤ MSE = (1 − CCC)(σ_y² + σ_ŷ² + Δμ²) allows an MAE of at most {most:.4f}; "
            f"it asks for a rating SD of {needed:.2f} where the scale allows {(high - low) / 2:.2f} "
            "(unless predictions leave the scale)")


def _unit_bound(x: float) -> float:
    """Largest MAE at 1 - CCC = x on a scale of width 1, before the tangent."""
    return math.sqrt(x / (1.0 + math.sqrt(1.0 - x * x)))


# Where the tangent of _unit_bound passes through (1, 1).
_TANGENT = 0.17930780972


def _pairs(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labelled rows as float64."""
    y, p = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise bad_input("y_true and y_pred", f"shapes {y.shape} and {p.shape}", "(n,) twice", "align the rows")
    labelled = ~np.isnan(y)
    y, p = y[labelled], p[labelled]
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        raise bad_input("y_true and y_pred", f"{int((~np.isfinite(p)).sum())} predictions and "
                        f"{int((~np.isfinite(y)).sum())} labels that are not finite",
                        "a finite prediction for every labelled row", "look for a diverged run")
    return y, p


def _classes(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers: as they are where all are, else those of :func:`_two_classes`."""
    numbers = np.concatenate([y, p])
    if (numbers >= 0).all() and (numbers == np.floor(numbers)).all():
        return y, p
    return _two_classes(y, p)


def _two_classes(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0/1 classes from labels and probabilities (or classes)."""
    if not np.isin(y, (0.0, 1.0)).all() or ((p < 0) | (p > 1)).any():
        raise bad_input("y_true and y_pred", "other values", "labels 0 or 1 and predictions in [0, 1] (of more "
                        "classes whole numbers, and accuracy or f1_macro)",
                        "apply the thresholds to ratings and the sigmoid to logits first")
    return y, (p > 0.5).astype(np.float64)


def _deviations(values: np.ndarray) -> np.ndarray:
    """Deviations from the mean, exactly zero for a constant (hence the first value is taken off first)."""
    shifted = values - values[0]
    return shifted - shifted.mean()


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)


def _ccc(cov: np.ndarray, var_true: np.ndarray, var_pred: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return np.clip(_ratio(2 * cov, var_true + var_pred + shift**2), -1.0, 1.0)


def _pcc(cov: np.ndarray, var_true: np.ndarray, var_pred: np.ndarray) -> np.ndarray:
    return np.clip(_ratio(cov, np.sqrt(var_true) * np.sqrt(var_pred)), -1.0, 1.0)


def _count_rows(drawn: np.ndarray, n_groups: int) -> np.ndarray:
    """How often each group was drawn: (draws, G) indices to (draws, G) counts."""
    draws = len(drawn)
    flat = drawn + n_groups * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * n_groups).reshape(draws, n_groups).astype(np.float64)


def _scores(y_true: np.ndarray, y_pred: np.ndarray, codes: np.ndarray, counts: np.ndarray,
            metric: str) -> np.ndarray:
    """One dimension's score in every draw, (draws,), from sums kept per group."""
    codes = codes[~np.isnan(y_true)]
    y, p = _pairs(y_true, y_pred)
    if len(y) == 0:
        return np.full(len(counts), np.nan)
    if metric == "f1_macro":
        return _macro_scores(*_classes(y, p), codes, counts)
    if metric == "f1":
        y, p = _two_classes(y, p)
    elif metric == "accuracy":
        y, p = _classes(y, p)
    offset = float(np.mean(y - p))
    error = (y != p).astype(np.float64) if metric == "accuracy" else np.abs(y - p)
    if metric in TASK_METRICS["regression"]:  # centre before squaring, keep the difference of the centres
        y, p = _deviations(y), _deviations(p)
    rows = (np.ones_like(y), y, p, y * y, p * p, y * p, error)
    per_group = np.stack([np.bincount(codes, row, minlength=counts.shape[1]) for row in rows], axis=1)
    return _score_of_sums(counts @ per_group, offset, np.mean(y * y), np.mean(p * p), metric)


def _macro_scores(y: np.ndarray, p: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """F1 averaged over classes in every draw, (draws,); a class that a draw lacks is left out of its mean."""
    def drawn(rows: np.ndarray) -> np.ndarray:
        return counts @ np.bincount(codes, rows, minlength=counts.shape[1])

    scores = [_ratio(2 * drawn((y == k) & (p == k)), drawn(y == k) + drawn(p == k)) for k in np.union1d(y, p)]
    return np.where(drawn(np.ones_like(y)) >= 2, _mean_defined(np.stack(scores, axis=-1)), np.nan)


def _score_of_sums(sums: np.ndarray, offset: float, square_true: float, square_pred: float,
                   metric: str) -> np.ndarray:
    """(draws, S) sums to (draws,) scores."""
    n = np.where(sums[:, 0] >= 2, sums[:, 0], np.nan)
    mean_y, mean_p, yy, pp, yp, error = (sums / n[:, None])[:, 1:].T
    if metric == "mae":
        return error
    if metric == "accuracy":
        return 1.0 - error
    if metric == "f1":
        return _ratio(2 * yp, mean_y + mean_p)
    var_y, var_p = yy - mean_y**2, pp - mean_p**2
    flat_y, flat_p = var_y <= _CONSTANT * square_true, var_p <= _CONSTANT * square_pred
    cov = np.where(flat_y | flat_p, 0.0, yp - mean_y * mean_p)
    var_y, var_p = np.where(flat_y, 0.0, var_y), np.where(flat_p, 0.0, var_p)
    if metric == "pcc":
        return _pcc(cov, var_y, var_p)
    return _ccc(cov, var_y, var_p, mean_y - mean_p + offset)


def _mean_defined(scores: np.ndarray) -> np.ndarray:
    """(draws, D) to (draws,), NaN left out."""
    defined = ~np.isnan(scores)
    return _ratio(np.where(defined, scores, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _percentiles(scores: np.ndarray, level: float) -> Interval:
    defined = scores[~np.isnan(scores)]
    undefined = len(scores) - len(defined)
    if len(defined) == 0:
        return Interval(math.nan, math.nan, undefined)
    low, high = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(low), float(high), undefined)
