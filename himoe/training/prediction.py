"""Predictions for trials without a label, by the models of a finished run.

Nobody can score them: they are what a model is for, once its scores on held-out trials are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import RunConfig
from himoe.models.methods import method_class
from himoe.prepare.loading import join
from himoe.prepare.unrated import UNRATED, unrated_paths
from himoe.prepare.windowset import Windows
from himoe.training.fitted import load_model
from himoe.training.rundata import FoldTask

KEYS = ["subject", "trial", "start_s", "dimension"]


def predict_unrated(config: RunConfig, tasks: Sequence[FoldTask], windows: Path, weights: Path,
                    scratch: Path) -> pd.DataFrame:
    """What every model (folds × seeds) of a run says of the windows without a label that have any signal.

    *windows* is the set's folder of shards, *weights* the run's folder. Columns: subject, trial, window, start_s, fold,
    seed, dimension, y_pred (on the rating scale).

    Raises
    ------
    InputError
        If the run does not predict ratings from signals, or a model cannot be read.
    """
    if config.run.task != "regression" or not method_class(config.run.method).looks:
        raise bad_input(f"run {config.name}", f"{config.run.method}, {config.run.task}",
                        "a regression by a method that looks at signals", "choose another run")
    unrated = Windows.read(windows / UNRATED, config.run.modalities, scratch=scratch / "unrated")
    keys = unrated.trials
    # A person is scaled by all own windows, so the rated ones are predicted along and left out afterwards.
    people = {path.stem for path in unrated_paths(windows)}
    rated = Windows.read(windows, config.run.modalities, scratch=scratch / "rated")
    rated = rated[rated.index["subject"].isin(people).to_numpy()]
    everything = join([rated, unrated]) if len(rated) else unrated
    frames = [load_model(weights / task.name).predict(everything)[[*KEYS, "window", "predicted"]]
              .merge(keys, on=["subject", "trial"]).assign(fold=task.fold, seed=task.seed)
              for task in tasks if task.rate in (None, 0.0)]
    return pd.concat(frames, ignore_index=True).rename(columns={"predicted": "y_pred"})


def average(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per window and dimension of :func:`predict_unrated`: subject, trial, start_s, dimension, y_pred, y_sd.

    ``y_pred`` is the mean over the models and ``y_sd`` their SD (of the sample), 0 where there is one model only.
    """
    found = predictions.groupby(KEYS, sort=False)["y_pred"].agg(["mean", "std"]).reset_index()
    return found.rename(columns={"mean": "y_pred", "std": "y_sd"}).fillna({"y_sd": 0.0})
