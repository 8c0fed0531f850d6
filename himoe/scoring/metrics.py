"""Scores of predictions, and a check that a score can be true at all.

Legend: n rows (windows). Everything is float64.

Every metric takes truth (n,), prediction (n,) and the trial of each row (n,), which only ``ccc_within`` looks at.
Undefined scores are NaN: fewer than two labelled rows, PCC of a constant, CCC of two equal constants, within-trial
CCC of a truth that is constant in every trial, F1 without any high window. CCC of a constant prediction is 0, by its
formula.

Two classes: labels 0 or 1, a prediction may be the probability of high. More: labels and predictions are class
numbers 0..K-1.

MAE, accuracy and F1 are those of scikit-learn (a test compares them), written out here because its
checks of arguments take 30 to 200 times as long as the score of some hundred windows: 9 ms for one F1, and a sweep
over missing rates asks for thousands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input


class Metric(Protocol):
    """A score of predictions (n,) against truth (n,); *groups* (n,) are the rows' trials, None = all one trial."""

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float: ...


def ccc(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float:
    r"""Concordance correlation coefficient, (n,) and (n,) to a number in [-1, 1].

    .. math:: 2 s_{xy} / (s_x^2 + s_y^2 + (\bar x - \bar y)^2), with 1/n moments

    Rows whose label is NaN are left out. Source: Lin 1989, doi 10.2307/2532051.

    Raises
    ------
    InputError
        If the shapes differ or a labelled row has no finite prediction (all metrics here).
    """
    y, p = labelled_pairs(y_true, y_pred)
    if len(y) < 2:
        return math.nan
    dy, dp = deviations(y), deviations(p)
    shift = np.mean(y - p)
    return float(concordance(np.mean(dy * dp), np.mean(dy**2), np.mean(dp**2), shift))


def ccc_within(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float:
    r"""CCC of the deviations from each trial's mean, pooled over windows: what is followed *inside* trials.

    Truth and prediction are centred in every trial on their own means over its labelled windows; with d and e these
    deviations, all windows of all trials pooled,

    .. math:: 2 \sum d e / (\sum d^2 + \sum e^2)

    which is Lin's CCC of d and e (both have mean 0). A prediction that is right about every trial's level and constant
    inside trials has 0, whatever its CCC. NaN where the truth is constant inside every trial, e.g. one rating each.

    Parameters
    ----------
    groups : ndarray, (n,)
        The trial of each row, unique over people; None = all rows are one trial.
    """
    codes = np.zeros(len(y_true), dtype=int) if groups is None else pd.factorize(np.asarray(groups))[0]
    if len(codes) != len(y_true):
        raise bad_input("ccc_within", f"{len(codes)} groups for {len(y_true)} rows", "one for each", "align the rows")
    codes = codes[~np.isnan(np.asarray(y_true, dtype=np.float64))]
    y, p = labelled_pairs(y_true, y_pred)
    if len(y) < 2:
        return math.nan
    dy, dp = group_deviations(y, codes), group_deviations(p, codes)
    if not dy.any():
        return math.nan
    return float(concordance(np.mean(dy * dp), np.mean(dy**2), np.mean(dp**2), np.zeros(())))


def pcc(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Pearson correlation coefficient, (n,) and (n,) to a number in [-1, 1]; NaN where one is constant."""
    y, p = labelled_pairs(y_true, y_pred)
    if len(y) < 2:
        return math.nan
    dy, dp = deviations(y), deviations(p)
    return float(correlation(np.mean(dy * dp), np.mean(dy**2), np.mean(dp**2)))


def mae(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Mean absolute error on the rating scale, (n,) and (n,) to a number of 0 or more."""
    y, p = labelled_pairs(y_true, y_pred)
    return float(np.mean(np.abs(y - p))) if len(y) >= 2 else math.nan


def accuracy(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Share of rows whose class is right, any number of classes."""
    y, p = class_pairs(*labelled_pairs(y_true, y_pred))
    return float(np.mean(y == p)) if len(y) >= 2 else math.nan


def f1(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float:
    """F1 of the class high: 2 TP / (2 TP + FP + FN); NaN where no row is or is called high. Two classes."""
    y, p = binary_pairs(*labelled_pairs(y_true, y_pred))
    if len(y) < 2:
        return math.nan
    return float(ratio(2 * np.sum(y * p), np.sum(y) + np.sum(p)))


def f1_macro(y_true: np.ndarray, y_pred: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Mean of the classes' F1; a class that no row has and none is called is left out.

    The "averaged F1" of Opitz & Burst 2019, arXiv 1911.03347; as scikit-learn's ``f1_score(average="macro")``.
    """
    y, p = class_pairs(*labelled_pairs(y_true, y_pred))
    if len(y) < 2:
        return math.nan
    return float(np.mean([ratio(2 * np.sum((y == k) & (p == k)), np.sum(y == k) + np.sum(p == k))
                          for k in np.union1d(y, p)]))


METRICS: dict[str, Metric] = {
    "ccc": ccc, "pcc": pcc, "mae": mae, "ccc_within": ccc_within, "accuracy": accuracy, "f1": f1,
    "f1_macro": f1_macro,
}
TASK_METRICS = {"regression": ("ccc", "pcc", "mae", "ccc_within"), "classification": ("accuracy", "f1")}
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


def mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of the values that are not NaN; NaN where there is none."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def check_metric(name: str) -> None:
    """Raise InputError unless *name* is a key of ``METRICS``."""
    if name not in METRICS:
        raise bad_input("metric", repr(name), "one of " + " ".join(METRICS), "correct the name")


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


def labelled_pairs(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def class_pairs(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class numbers: as they are where all are, else those of :func:`binary_pairs`."""
    numbers = np.concatenate([y, p])
    if (numbers >= 0).all() and (numbers == np.floor(numbers)).all():
        return y, p
    return binary_pairs(y, p)


def binary_pairs(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0/1 classes from labels and probabilities (or classes)."""
    if not np.isin(y, (0.0, 1.0)).all() or ((p < 0) | (p > 1)).any():
        raise bad_input("y_true and y_pred", "other values", "labels 0 or 1 and predictions in [0, 1] (of more "
                        "classes whole numbers, and accuracy or f1_macro)",
                        "apply the thresholds to ratings and the sigmoid to logits first")
    return y, (p > 0.5).astype(np.float64)


def deviations(values: np.ndarray) -> np.ndarray:
    """Deviations from the mean, exactly zero for a constant (hence the first value is taken off first)."""
    shifted = values - values[0]
    return shifted - shifted.mean()


def group_deviations(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Deviations from the mean of each group 0..G-1, exactly zero where a group is constant."""
    _, first = np.unique(codes, return_index=True)
    start = np.zeros(codes.max() + 1)
    start[codes[first]] = values[first]
    shifted = values - start[codes]
    count = np.bincount(codes)
    return shifted - (np.bincount(codes, shifted) / np.maximum(count, 1))[codes]


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Their quotient, NaN where the denominator is not above 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)


def concordance(cov: np.ndarray, var_true: np.ndarray, var_pred: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Lin's CCC of moments; *shift* is the difference of the means."""
    return np.clip(ratio(2 * cov, var_true + var_pred + shift**2), -1.0, 1.0)


def correlation(cov: np.ndarray, var_true: np.ndarray, var_pred: np.ndarray) -> np.ndarray:
    """Pearson's r of moments."""
    return np.clip(ratio(cov, np.sqrt(var_true) * np.sqrt(var_pred)), -1.0, 1.0)
