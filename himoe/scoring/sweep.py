"""Scores by missing rate and by modality combination, from what a run's models said under every mask.

Legend: k tested windows of a fold, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from himoe.core.checksums import checked
from himoe.core.errors import bad_input
from himoe.core.files import write_csv
from himoe.core.intervals import ends
from himoe.prepare.folds import trial_codes
from himoe.scoring.metrics import METRICS, class_count, task_metrics

SWEEP_COLUMNS = ["run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric", "value"]
COMBINATION_COLUMNS = ["run", "seed", "fold", "combination", "dimension", "metric", "value"]
Row = tuple[str, str, float]  # dimension, metric, value


class Fold(NamedTuple):
    """A fold's tested windows: labels (k, D), trials (k,), and whether all of the run's modalities are there (k,)."""

    labels: np.ndarray
    trials: np.ndarray
    complete: np.ndarray


def score_run(info: Mapping[str, Any], tested: pd.DataFrame, masked: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``sweep`` and ``combinations`` of a run.

    Parameters
    ----------
    info : mapping
        The run's ``run.json``.
    tested, masked : DataFrame
        The run's tables of these names (:class:`himoe.training.masked.Said`).

    Raises
    ------
    InputError
        If a mask's predictions are not those of its fold's windows.
    """
    names = info["dimensions"]
    folds = {int(str(fold)): fold_of(rows, names) for fold, rows in tested.groupby("fold")}
    nothing = Fold(np.empty((0, len(names))), np.empty(0, int), np.empty(0, bool))  # a fold without any signal
    sweep: list[tuple[Any, ...]] = []
    combined: list[tuple[Any, ...]] = []
    for row in masked.to_dict("records"):
        fold, place = folds.get(row["fold"], nothing), (row["seed"], row["fold"])
        predicted = as_matrix(info, row, "predicted", fold).astype(np.float64)
        if row["combination"]:
            there = Fold(*(part[fold.complete] for part in fold))
            combined += [(info["run"], *place, row["combination"], *score)
                         for score in scores_of(info, there, predicted[fold.complete])]
            continue
        found = scores_of(info, fold, predicted)
        if row["half_width"] is not None:
            widths = as_matrix(info, row, "half_width", fold)
            found += interval_scores(names, fold.labels, predicted, widths, info["scale"])
        sweep += [(info["run"], row["missing_rate"], row["mask_seed"], *place, *score) for score in found]
    return pd.DataFrame(sweep, columns=SWEEP_COLUMNS), pd.DataFrame(combined, columns=COMBINATION_COLUMNS)


def as_matrix(info: Mapping[str, Any], row: Mapping[Any, Any], column: str, fold: Fold) -> np.ndarray:
    """A list of ``masked`` as (k, D)."""
    if len(row[column]) != fold.labels.size:
        raise bad_input(f"run {info['run']}: masked.parquet: {column} of fold {row['fold']}",
                        f"{len(row[column])} numbers", f"{fold.labels.size}, for the windows in tested.parquet",
                        "train the run again")
    return np.reshape(row[column], fold.labels.shape)


def fold_of(rows: pd.DataFrame, dimensions: Sequence[str]) -> Fold:
    """The rows of ``tested`` of one fold, in their order."""
    return Fold(rows[list(dimensions)].to_numpy(np.float64), trial_codes(rows), rows["complete"].to_numpy(bool))


def scores_of(info: Mapping[str, Any], fold: Fold, predicted: np.ndarray) -> list[Row]:
    """(dimension, metric, value) of predictions (k, D): every metric of the task, each dimension and their mean."""
    scored: list[Row] = []
    for metric in task_metrics(info["task"], class_count(info)):
        values = [METRICS[metric](fold.labels[:, d], predicted[:, d], fold.trials)
                  for d in range(len(info["dimensions"]))]
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
        scored += [(dimension, metric, value) for dimension, value in
                   zip((*info["dimensions"], "mean"), (*values, mean), strict=True)]
    return scored


def interval_scores(dimensions: Sequence[str], labels: np.ndarray, predicted: np.ndarray, half_widths: np.ndarray,
                    scale: Sequence[float]) -> list[Row]:
    """(dimension, metric, value): share of labelled windows inside their interval, and its mean width.

    All arrays (k, D); a dimension whose half widths are NaN has no intervals.
    """
    scored: list[Row] = []
    for d, name in enumerate(dimensions):
        known = np.isfinite(labels[:, d]) & ~np.isnan(half_widths[:, d])
        if known.any():
            truth = labels[known, d]
            low, high = ends(predicted[known, d], half_widths[known, d], (scale[0], scale[1]))
            scored.append((name, "coverage", float(((truth >= low) & (truth <= high)).mean())))
            scored.append((name, "width", float((high - low).mean())))
    for metric in ("coverage", "width") if scored else ():
        scored.append(("mean", metric, float(np.mean([value for _, one, value in scored if one == metric]))))
    return scored


def write_run_scores(info: Mapping[str, Any], run: Path, out: Path, todo: str) -> pd.DataFrame:
    """Score the run in the folder *run* into the folder *out*; *todo* says what to do if a file of it is damaged.

    Gives the sweep with its rates as they were asked for; the file has seven digits of them.
    """
    tested, masked = (pd.read_parquet(checked(run / f"{name}.parquet", todo)) for name in ("tested", "masked"))
    out.mkdir(parents=True, exist_ok=True)
    sweep, combinations = score_run(info, tested, masked)
    write_csv(sweep, out / "sweep.csv")
    write_csv(combinations, out / "combinations.csv")
    return sweep
