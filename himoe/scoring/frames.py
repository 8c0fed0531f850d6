"""Scores of a table of predictions, with intervals.

Legend: G trials, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.scoring.metrics import task_metrics
from himoe.scoring.statistics.bootstrap import hierarchical_counts, percentiles
from himoe.scoring.statistics.sums import arrange, sum_trials

NEEDED = ("subject", "trial", "window", "dimension", "predicted", "rating")
OF_TRIALS = ("ccc", "pcc", "mae")
PROBABILITY = "probability_"  # and the number of a class: a column of predictions of classes
COLUMNS = ["dimension", "metric", "value", "low", "high", "trials", "people"]


def score(frame: pd.DataFrame, by: str = "window", task: str | None = None, classes: int | None = None,
          draws: int = 1000, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Score predictions against ratings, all windows (or trials) pooled.

    Parameters
    ----------
    frame : DataFrame
        What ``predict`` gives. Rows without a ``rating`` are left out.
    by : str
        ``window``, or ``trial``: a trial's prediction and rating are the means of its windows', so that a long trial
        counts no more than a short one; of classes the most probable one, and the one that most windows have.
    task : str, optional
        ``regression`` (CCC, PCC, MAE; of windows also the CCC within trials) or ``classification`` (accuracy, F1); None
        = as *frame* says, which has a column ``probability_<class>`` per class where classes are predicted.
    classes : int, optional
        Their number; None = as *frame* says, or two.
    draws : int
        Of the bootstrap over people, then their trials, that percentile intervals are of; 0 = no intervals.
    level : float
        Of the intervals.
    seed : int

    Returns
    -------
    DataFrame
        ``dimension`` (each, and ``mean`` over them), ``metric``, ``value``, ``low``, ``high``, ``trials``, ``people``;
        for intervals in *frame* also the metric ``coverage``, the share of windows whose rating lies inside.
    """
    missing = [name for name in NEEDED if name not in frame]
    if missing:
        raise bad_input("frame", f"no column {', '.join(missing)}", "predictions as predict gives them",
                        "pass what predict returned")
    if by not in ("window", "trial"):
        raise bad_input("by", repr(by), "window or trial", "correct the name")
    known = frame[frame["rating"].notna()]
    if known.empty:
        raise bad_input("frame: rating", "no label", "labels of at least one trial", "predict for rated trials")
    classes = classes or classes_in(frame)
    task = task or ("regression" if classes is None else "classification")
    table = as_table(known)
    if by == "trial":
        table = whole_trials(table, task, classes or 2).assign(window=0)
    metrics = OF_TRIALS if by == "trial" and task == "regression" else task_metrics(task, classes)
    rows = _scores(table, metrics, classes, draws, level, seed) + _coverage(known)
    trials, people = len(known[["subject", "trial"]].drop_duplicates()), known["subject"].nunique()
    return pd.DataFrame([(*row, trials, people) for row in rows], columns=COLUMNS)


def probability_column(number: int) -> str:
    """The column that holds the probability of a class."""
    return f"{PROBABILITY}{number}"


def classes_in(frame: pd.DataFrame) -> int | None:
    """The number of classes that a table of predictions is of; None for ratings."""
    return sum(str(name).startswith(PROBABILITY) for name in frame) or None


def whole_trials(table: pd.DataFrame, task: str, classes: int) -> pd.DataFrame:
    """One row per trial and dimension: ``y_true`` and ``y_pred`` as :func:`score` says."""
    keys = ["subject", "trial", "dimension", "fold", "seed"]
    groups = table.groupby(keys, as_index=False)
    if task == "regression":
        return groups[["y_true", "y_pred"]].mean()
    # The most frequent class, the lowest of equals.
    found = groups.agg(y_true=("y_true", _commonest), y_pred=("y_pred", "mean" if classes == 2 else _commonest))
    names = [probability_column(k) for k in range(classes)]
    if classes > 2 and set(names) <= set(table):
        found["y_pred"] = groups[names].mean()[names].to_numpy().argmax(1).astype(float)
    return found


def _commonest(values: pd.Series) -> float:
    return float(values.mode().iloc[0])


def as_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Predictions as the statistics read those of a run: ``y_true`` and ``y_pred``, of one model."""
    return frame.rename(columns={"rating": "y_true", "predicted": "y_pred"}).assign(fold=0, seed=0)


Row = tuple[str, str, float, float, float]


def _scores(table: pd.DataFrame, metrics: Sequence[str], classes: int | None, draws: int, level: float,
            seed: int) -> list[Row]:
    windows = arrange(table)
    weights = hierarchical_counts(windows.person, draws, seed) if draws else None
    rows: list[Row] = []
    for metric in metrics:
        sums = sum_trials(windows, metric, classes)
        for dimension in (*windows.dimensions, "mean"):
            chosen = sums if dimension == "mean" else sums.of(windows.dimensions.index(dimension))
            low, high = percentiles(chosen.pooled(weights), level)[:2] if weights is not None else (np.nan, np.nan)
            rows.append((dimension, metric, float(chosen.score()), float(low), float(high)))
    return rows


def _coverage(known: pd.DataFrame) -> list[Row]:
    if not {"low", "high"} <= set(known) or known["low"].isna().all():
        return []
    inside = (known["rating"] >= known["low"]) & (known["rating"] <= known["high"])
    shares = inside.groupby(known["dimension"], sort=False).mean()
    return [(str(name), "coverage", float(share), np.nan, np.nan) for name, share in [*shares.items(),
                                                                                      ("mean", shares.mean())]]
