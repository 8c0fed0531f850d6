"""A run's flat metrics from its tables: mean and SD over folds, and intervals over trials. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from himoe.metrics import METRICS, bootstrap_interval, class_count, task_metrics
from himoe.params import BootstrapParams

COPIED = ("run", "method", "set", "protocol", "task", "modality_set", "variant", "data", "simulated", "label_source",
          "parameters")


def run_metrics(info: Mapping[str, Any], sweep: pd.DataFrame, predictions: pd.DataFrame, rate: float,
                bootstrap: BootstrapParams) -> dict[str, Any]:
    """``metrics/<run>.json``: what was run on which data, and its scores at missing rate *rate*.

    Parameters
    ----------
    info : mapping
        The run's ``run.json``.
    sweep : DataFrame
        Scores by missing rate, mask seed, seed, fold, dimension and metric.
    predictions : DataFrame
        One row a test window and dimension at *rate* (and a mask seed, where there are several).
    """
    classes = class_count(info)
    return {
        **{key: info[key] for key in COPIED}, **({} if classes is None else {"classes": classes}),
        "modalities": "+".join(info["modalities"]),
        "simulated": bool(info["simulated"]), "shuffled_labels": info["shuffle_labels"], "missing_rate": rate,
        "training_missing": info["training"]["missing"], "folds": int(predictions["fold"].nunique()),
        "seeds": int(predictions["seed"].nunique()), "scale_low": info["scale"][0], "scale_high": info["scale"][1],
        "n_windows": len(predictions.drop_duplicates(["subject", "trial", "window"])),
        "n_trials": len(predictions.drop_duplicates(["subject", "trial"])),
        **summary(info["task"], sweep[sweep["missing_rate"] == rate], predictions, bootstrap, classes),
    }


def summary(task: str, sweep: pd.DataFrame, predictions: pd.DataFrame, bootstrap: BootstrapParams,
            classes: int | None = None) -> dict[str, Any]:
    """Scores at one rate: mean and SD over folds and seeds, pooled score and its interval over trials."""
    flat: dict[str, Any] = {}
    for metric in task_metrics(task, classes):
        rows = sweep[sweep["metric"] == metric]
        by_fold = rows.groupby(["dimension", "seed", "fold"])["value"].mean()
        for dimension in ("mean", *sorted(set(rows["dimension"]) - {"mean"})):
            values = by_fold.loc[dimension]
            name = metric if dimension == "mean" else f"{metric}_{dimension}"
            flat[name] = _number(values.mean())
            flat[f"{name}_sd"] = _number(values.std(ddof=1))
        low, high = pooled_interval(predictions, metric, bootstrap)
        flat[f"{metric}_pooled"] = _number(pooled(predictions, metric))
        flat[f"{metric}_low"], flat[f"{metric}_high"] = _number(low), _number(high)
    return flat


def pooled(predictions: pd.DataFrame, metric: str) -> float:
    """A metric over all test windows pooled, averaged over dimensions and seeds."""
    keys = [key for key in ("dimension", "seed", "mask_seed") if key in predictions]
    values = [METRICS[metric](g["y_true"].to_numpy(), g["y_pred"].to_numpy()) for _, g in predictions.groupby(keys)]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def pooled_interval(predictions: pd.DataFrame, metric: str, bootstrap: BootstrapParams) -> tuple[float, float]:
    """Interval of the pooled metric (mean over dimensions) by resampling trials; the first seeds' predictions."""
    first = predictions
    for key in ("seed", "mask_seed"):
        first = first[first[key] == first[key].min()] if key in first else first
    wide = first.pivot_table(index=["subject", "trial", "window"], columns="dimension", values=["y_true", "y_pred"],
                             dropna=False, sort=True)
    trials = np.array([f"{subject}/{trial}" for subject, trial, _ in wide.index])
    interval = bootstrap_interval(wide["y_true"].to_numpy(), wide["y_pred"].to_numpy(), trials, metric,
                                  bootstrap.draws, bootstrap.level, bootstrap.seed)
    return interval.low, interval.high


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
