"""Scores by textbook formulas, SciPy and scikit-learn, for tests to hold ours against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error


def ccc(y: np.ndarray, p: np.ndarray) -> float:
    """Lin 1989: 2 cov / (var + var + squared difference of means)."""
    return float(2 * np.cov(y, p, ddof=0)[0, 1] / (y.var() + p.var() + (y.mean() - p.mean()) ** 2))


SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "ccc": ccc, "pcc": lambda y, p: float(pearsonr(y, p).statistic), "mae": mean_absolute_error,
    "accuracy": lambda y, p: accuracy_score(y, p > 0.5), "f1": lambda y, p: f1_score(y, p > 0.5),
}


def score_of(metric: str, y: np.ndarray, p: np.ndarray, trials: np.ndarray) -> float:
    """A metric of n windows; *trials* (n,) for the one that looks inside trials."""
    if metric != "ccc_within":
        return float(SCORES[metric](y, p))
    frame = pd.DataFrame({"y": y, "p": p})
    return ccc(*(frame - frame.groupby(trials).transform("mean")).to_numpy().T)
