"""A run's flat metrics from its tables: one estimator, its interval, and the spread over folds. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.params import BootstrapParams
from himoe.scoring.convergence import converged
from himoe.scoring.metrics import class_count, task_metrics
from himoe.scoring.statistics.bootstrap import hierarchical_counts, percentiles
from himoe.scoring.statistics.sums import Windows, arrange, sum_trials

COPIED = ("run", "method", "set", "protocol", "task", "modality_set", "variant", "data", "simulated", "label_source",
          "parameters")
ATTAINABLE = ("ccc", "ccc_within")
TRIAL_METRICS = ("ccc", "pcc", "mae")  # of whole trials


def run_metrics(info: Mapping[str, Any], history: pd.DataFrame, sweep: pd.DataFrame, predictions: pd.DataFrame,
                rate: float, bootstrap: BootstrapParams) -> dict[str, Any]:
    """``metrics/<run>.json``: what was run on which data, and its scores at missing rate *rate*.

    ``attainable_ccc``, ``attainable_ccc_within``: what a decoder that knows the simulator's gains and lags reaches;
    null where unknown. ``converged`` is null for methods without epochs. ``eeg_encoder`` and ``signal_encoder`` are
    null where the run has no such network.

    Parameters
    ----------
    info : mapping
        The run's ``run.json``.
    history : DataFrame
        Losses by epoch, fold and seed; whether the run converged is judged by it.
    sweep : DataFrame
        Scores by missing rate, mask seed, seed, fold, dimension and metric.
    predictions : DataFrame
        One row per test window and dimension at *rate* (and a mask seed, where there are several).
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
        "n_people": int(predictions["subject"].nunique()),
        **_attainable(info),
        **converged(history, info["parameters"] is not None), **_encoders(info),
        **summary(info["task"], sweep[sweep["missing_rate"] == rate], predictions, bootstrap, classes),
        **(by_trial(predictions, bootstrap) if info["task"] == "regression" and info["label_source"] == "trial"
           else {}),
    }


def by_trial(predictions: pd.DataFrame, bootstrap: BootstrapParams) -> dict[str, Any]:
    """Scores of whole trials where each has one rating: a trial's prediction is the mean of its windows'.

    ``trial_m`` for every metric ``m`` of ``TRIAL_METRICS``, with ``_<dimension>``, ``_low`` and ``_high``, as in
    :func:`summary`; a long trial counts no more than a short one.
    """
    replicate = [key for key in ("seed", "mask_seed") if key in predictions]
    keys = ["subject", "trial", "dimension", *replicate]
    # Where windows are shuffled, a trial's stand in several folds; it is scored once all the same.
    trials = predictions.groupby(keys, as_index=False).agg(
        y_true=("y_true", "mean"), y_pred=("y_pred", "mean"), fold=("fold", "first")).assign(window=0)
    windows = arrange(trials)
    weights = hierarchical_counts(windows.person, bootstrap.draws, bootstrap.seed)
    flat: dict[str, Any] = {}
    for metric in TRIAL_METRICS:
        for dimension, values in _pooled(windows, metric, weights, bootstrap.level, None).items():
            name = f"trial_{metric}" if dimension == "mean" else f"trial_{metric}_{dimension}"
            flat |= {key: _number(value) for key, value in zip((name, f"{name}_low", f"{name}_high"), values,
                                                              strict=True)}
    return flat


def _attainable(info: Mapping[str, Any]) -> dict[str, float | None]:
    """The ceiling for just the run's modalities, from run.json: its scores, or ceilings by modality set."""
    known: Mapping[str, Any] = info.get("attainable") or {}
    if info["task"] != "regression" or info["shuffle_labels"]:
        known = {}
    elif "ccc" not in known:  # as himoe.simulate.attainable writes them
        fitting = (one for one in known.values() if set(one["modalities"]) == set(info["modalities"]))
        known = next(fitting, {})
    return {f"attainable_{key}": known.get(key) for key in ATTAINABLE}


def _encoders(info: Mapping[str, Any]) -> dict[str, str | None]:
    """The front ends that the run's networks have."""
    model = info.get("model") or {}
    trained, used = info["parameters"] is not None, set(info["modalities"])
    return {"eeg_encoder": model.get("eeg_encoder") if trained and "EEG" in used else None,
            "signal_encoder": model.get("signal_encoder") if trained and used - {"EEG", "FACE"} else None}


def summary(task: str, sweep: pd.DataFrame, predictions: pd.DataFrame, bootstrap: BootstrapParams,
            classes: int | None = None) -> dict[str, Any]:
    """Scores at one rate, for every metric ``m`` and its form for each dimension, e.g. ``m_valence``.

    - ``m``: of all test windows pooled, averaged over dimensions and seeds (and mask seeds) where defined;
    - ``m_low``, ``m_high``: percentile interval of exactly that, people and then their trials resampled;
    - ``m_folds``, ``m_sd``: mean and SD over folds and seeds of each fold's own score, from *sweep*.

    null where undefined.
    """
    windows = arrange(predictions)
    weights = hierarchical_counts(windows.person, bootstrap.draws, bootstrap.seed)
    by_fold = sweep.groupby(["metric", "dimension", "seed", "fold"])["value"].mean()  # over mask seeds
    flat: dict[str, Any] = {}
    for metric in task_metrics(task, classes):
        for dimension, (score, low, high) in _pooled(windows, metric, weights, bootstrap.level, classes).items():
            name = metric if dimension == "mean" else f"{metric}_{dimension}"
            folds = by_fold.loc[metric, dimension]
            flat |= {name: _number(score), f"{name}_low": _number(low), f"{name}_high": _number(high),
                     f"{name}_folds": _number(folds.mean()), f"{name}_sd": _number(folds.std(ddof=1))}
    return flat


def pooled_interval(predictions: pd.DataFrame, metric: str, bootstrap: BootstrapParams) -> tuple[float, float, float]:
    """(score, low, high) of a metric over all test windows pooled, averaged over dimensions and seeds."""
    windows = arrange(predictions)
    weights = hierarchical_counts(windows.person, bootstrap.draws, bootstrap.seed)
    return _pooled(windows, metric, weights, bootstrap.level, None)["mean"]


def _pooled(windows: Windows, metric: str, weights: np.ndarray, level: float,
            classes: int | None) -> dict[str, tuple[float, float, float]]:
    """(score, low, high) of the mean over dimensions (``mean``) and of each; *weights* are draws of trials (B, G)."""
    sums = sum_trials(windows, metric, classes)
    found = {}
    for dimension in ("mean", *windows.dimensions):
        chosen = sums if dimension == "mean" else sums.of(windows.dimensions.index(dimension))
        low, high, _ = percentiles(chosen.pooled(weights), level)
        found[dimension] = (chosen.score(), low, high)
    return found


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
