"""Predictions as sums per trial: the score of any weighting of the trials follows without another look at windows.

Legend: n windows, G trials, R replicates (seeds, times mask seeds where there are several), D dimensions, K sums,
B weightings of the trials (draws of a bootstrap, people, folds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.scoring.metrics import (
    binary_pairs,
    check_metric,
    class_pairs,
    concordance,
    correlation,
    group_deviations,
    labelled_pairs,
    mean_defined,
    ratio,
)

# A weighting counts as constant where its variance is below this share of all windows' mean square:
# far above the rounding of sums, far below any rating scale's resolution.
_CONSTANT = 1e-12
_WINDOW = ["subject", "trial", "window"]


@dataclass(frozen=True, eq=False)
class Windows:
    """A run's predictions at one missing rate; windows in the order of person, trial and window number.

    ``y`` (n, D); ``p`` (R, n, D); ``keys`` the R (seed[, mask seed]); ``windows`` the n ids; ``trial`` (n,) which of
    the G trials a window is of; ``person`` (G,) and ``fold`` (G,) codes of each trial, fold -1 where several folds
    test windows of one trial (``leaky``).
    """

    dimensions: tuple[str, ...]
    keys: tuple[tuple[int, ...], ...]
    windows: pd.MultiIndex
    y: np.ndarray
    p: np.ndarray
    trial: np.ndarray
    person: np.ndarray
    fold: np.ndarray

    def same_windows(self, other: Windows) -> bool:
        """Whether the two hold the same windows, dimensions and labels."""
        return (self.dimensions == other.dimensions and self.windows.equals(other.windows)
                and np.array_equal(self.y, other.y, equal_nan=True))


@dataclass(frozen=True, eq=False)
class TrialSums:
    """Sums (R, D, G, K) from which *metric* follows; ``keys`` the R replicates."""

    metric: str
    keys: tuple[tuple[int, ...], ...]
    values: np.ndarray

    def of(self, dimension: int) -> TrialSums:
        """One dimension alone."""
        return TrialSums(self.metric, self.keys, self.values[:, dimension : dimension + 1])

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """How often each trial counts, (B, G), to scores (B, R, D)."""
        return self.of_totals(np.tensordot(weights, self.values, (1, 2)))

    def pooled(self, weights: np.ndarray) -> np.ndarray:
        """(B, G) to (B,): the score of all windows pooled, averaged over replicates and dimensions where defined."""
        scores = self.scores(weights)
        return mean_defined(scores.reshape(len(scores), -1))

    def score(self) -> float:
        """The score of all trials, each once."""
        return float(self.pooled(np.ones((1, self.values.shape[2])))[0])

    def of_totals(self, totals: np.ndarray) -> np.ndarray:
        """Sums over trials (..., R, D, K) to scores (..., R, D)."""
        return score_of_sums(totals, self.values.sum(axis=2), self.metric)


def arrange(predictions: pd.DataFrame) -> Windows:
    """A run's predictions at one missing rate, as in ``predictions.parquet``, as arrays.

    Raises
    ------
    InputError
        If a window has two rows for one dimension and replicate, or labels that differ between replicates.
    """
    replicate = [key for key in ("seed", "mask_seed") if key in predictions]
    indexed = predictions.set_index([*_WINDOW, "dimension", *replicate])[["y_true", "y_pred"]]
    if indexed.index.has_duplicates:
        raise bad_input("predictions.parquet", "two rows for one window and dimension", "one", "train the run again")
    keys = sorted(set(map(tuple, predictions[replicate].drop_duplicates().to_numpy().tolist())))
    dimensions = sorted(predictions["dimension"].unique())
    wide = indexed.unstack(["dimension", *replicate])  # rows come out sorted
    assert isinstance(wide.index, pd.MultiIndex)
    shape = (len(keys), len(wide), len(dimensions))
    y, p = (np.reshape([wide[name, d, *key] for key in keys for d in dimensions],
                       (shape[0], shape[2], shape[1])).swapaxes(1, 2).astype(np.float64)
            for name in ("y_true", "y_pred"))
    if not all(np.array_equal(y[0], labels, equal_nan=True) for labels in y):
        raise bad_input("predictions.parquet: y_true", "labels that differ between seeds", "one for each window",
                        "train the run again")
    ids = pd.Series(list(zip(*(wide.index.get_level_values(key) for key in ("subject", "trial")), strict=True)))
    trial, trials = pd.factorize(ids)
    person = pd.factorize(pd.Series([subject for subject, _ in trials]))[0]
    return Windows(tuple(dimensions), tuple(keys), wide.index, y[0] if keys else np.empty(shape[1:]), p, trial, person,
                   _folds(predictions, list(trials)))


def _folds(predictions: pd.DataFrame, trials: Sequence[tuple[str, str]]) -> np.ndarray:
    """(G,) the fold that tests each trial (subject, trial), as a code; -1 where there are several."""
    if "fold" not in predictions or len(trials) == 0:
        return np.full(len(trials), -1)
    by_trial = predictions.groupby(["subject", "trial"])["fold"].agg(["min", "max"]).loc[list(trials)]
    codes = pd.factorize(by_trial["min"], sort=True)[0]
    return np.where(by_trial["min"] == by_trial["max"], codes, -1)


def sum_trials(windows: Windows, metric: str, classes: int | None = None) -> TrialSums:
    """Sums per trial for one metric.

    The sums of two runs on the same windows may be mixed (:mod:`himoe.scoring.statistics.swap`): their origin depends
    on the labels alone. *classes*: the number of classes for ``f1_macro``, of both runs (None = as many as occur).

    Raises
    ------
    InputError
        For an unknown metric, or a labelled window without a finite prediction.
    """
    check_metric(metric)
    replicates, _, dimensions = windows.p.shape
    trials = len(windows.person)
    if replicates * dimensions * trials == 0:
        return TrialSums(metric, windows.keys, np.zeros((replicates, dimensions, trials, 7)))
    if metric == "f1_macro" and classes is None:
        classes = count_classes(windows)
    found = [[_sums(windows.y[:, d], windows.p[r, :, d], windows.trial, trials, metric, classes or 0)
              for d in range(dimensions)] for r in range(replicates)]
    return TrialSums(metric, windows.keys, np.array(found))


def count_classes(windows: Windows) -> int:
    """One more than the highest class that occurs."""
    return 1 + int(max(np.nanmax(windows.y, initial=0), np.nanmax(windows.p, initial=0)))


def _sums(y_true: np.ndarray, y_pred: np.ndarray, trial: np.ndarray, trials: int, metric: str,
          classes: int) -> np.ndarray:
    """(G, K) sums of one dimension and replicate; windows without a label count in none."""
    trial = trial[~np.isnan(y_true)]
    y, p = labelled_pairs(y_true, y_pred)
    rows = [np.ones_like(y), *_summands(y, p, trial, metric, classes)]
    return np.stack([np.bincount(trial, row, minlength=trials) for row in rows], axis=1)


def _summands(y: np.ndarray, p: np.ndarray, trial: np.ndarray, metric: str, classes: int) -> list[np.ndarray]:
    if metric == "f1_macro":
        y, p = class_pairs(y, p)
        every = range(classes)
        return [*((y == k) & (p == k) for k in every), *((y == k).astype(float) + (p == k) for k in every)]
    if metric == "f1":
        y, p = binary_pairs(y, p)
        return [y, p, y * p]
    if metric == "accuracy":
        y, p = class_pairs(y, p)
        return [y == p]
    if metric == "mae":
        return [np.abs(y - p)]
    if len(y) == 0:
        return [y] * (3 if metric == "ccc_within" else 5)
    if metric == "ccc_within":
        y, p = group_deviations(y, trial), group_deviations(p, trial)
        return [y * y, p * p, y * p]
    centre = y[0] + np.mean(y - y[0])  # the labels' mean, exactly the label where all are equal
    y, p = y - centre, p - centre
    return [y * y, p * p, y * p, y, p]


def score_of_sums(totals: np.ndarray, whole: np.ndarray, metric: str) -> np.ndarray:
    """Sums over trials (..., K) to scores (...); *whole*: the sums over all trials, which say what counts as flat."""
    n = np.where(totals[..., 0] >= 2, totals[..., 0], np.nan)
    means = totals[..., 1:] / n[..., None]
    if metric == "mae":
        return means[..., 0]
    if metric == "accuracy":
        return means[..., 0]
    if metric == "f1":
        return ratio(2 * means[..., 2], means[..., 0] + means[..., 1])
    if metric == "f1_macro":
        classes = means.shape[-1] // 2
        return np.where(np.isnan(n), np.nan, mean_defined(ratio(2 * means[..., :classes], means[..., classes:])))
    flat = _CONSTANT * whole[..., 1:3] / np.maximum(whole[..., :1], 1)
    yy, pp, cov = means[..., 0], means[..., 1], means[..., 2]
    shift: np.ndarray = np.zeros(())
    if metric != "ccc_within":
        mean_y, mean_p = means[..., 3], means[..., 4]
        yy, pp, cov, shift = yy - mean_y**2, pp - mean_p**2, cov - mean_y * mean_p, mean_y - mean_p
    flat_y, flat_p = yy <= flat[..., 0], pp <= flat[..., 1]
    cov, yy, pp = (np.where(flat_y | flat_p, 0.0, cov), np.where(flat_y, 0.0, yy), np.where(flat_p, 0.0, pp))
    if metric == "pcc":
        return correlation(cov, yy, pp)
    found = concordance(cov, yy, pp, shift)
    return np.where(flat_y, np.nan, found) if metric == "ccc_within" else found
