"""Predictions for trials without a label, by the models of a finished run.

Nobody can score them: they are what a model is for, once its scores on held-out trials are known.

Legend: n windows, G people of the training table, C channels, D dimensions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from himoe.core.errors import bad_input
from himoe.core.params import RunConfig
from himoe.models.batches import SEQUENCES, Normaliser, chunks, label_matrix, make_sequences
from himoe.models.methods import method_class
from himoe.prepare.unrated import UNRATED
from himoe.training.fit import knows_test_subjects, labelled_rows
from himoe.training.inference import EncodedFold, load_method, read_weights
from himoe.training.rundata import FoldTask, RunData, open_store, plain_meta, run_tasks


def predict_unrated(config: RunConfig, data: RunData, windows: Path, features: Path, weights: Path,
                    min_completeness: float, scratch: Path) -> pd.DataFrame:
    """What every model (folds × seeds) of a run says of the windows without a label that have any signal.

    *data* is what the run was trained on, *windows* and *features* its set's folders of shards, *weights* the run's
    folder. Columns: subject, trial, window, start_s, fold, seed, dimension, y_pred (on the rating scale).

    Raises
    ------
    InputError
        If the run does not predict ratings from signals, or its weights are not those of *data*.
    """
    if config.run.task != "regression" or not method_class(config.run.method).looks:
        raise bad_input(f"run {config.name}", f"{config.run.method}, {config.run.task}",
                        "a regression by a method that looks at signals", "choose another run")
    unrated = unrated_data(config, data, windows, features, min_completeness, scratch)
    tasks = [task for task in run_tasks(config, data.folds) if task.rate in (None, 0.0)]
    return pd.concat([_predict(config, data, unrated, task, weights) for task in tasks], ignore_index=True)


def average(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per window and dimension of :func:`predict_unrated`: subject, trial, start_s, dimension, y_pred, y_sd.

    ``y_pred`` is the mean over the models and ``y_sd`` their SD (of the sample), 0 where there is one model only.
    """
    keys = ["subject", "trial", "start_s", "dimension"]
    found = predictions.groupby(keys, sort=False)["y_pred"].agg(["mean", "std"]).reset_index()
    return found.rename(columns={"mean": "y_pred", "std": "y_sd"}).fillna({"y_sd": 0.0})


def unrated_data(config: RunConfig, data: RunData, windows: Path, features: Path, min_completeness: float,
                 scratch: Path) -> RunData:
    """The windows without a label as a run's data; people keep their codes of *data*, all others have code G."""
    store = open_store(config, windows / UNRATED, features / UNRATED, scratch)
    if plain_meta(store.meta) != plain_meta(data.store.meta):
        raise bad_input(windows / UNRATED, "another description than that of the rated windows", "the same one",
                        "run the window stage again")
    known = np.unique(data.store.index["subject"].to_numpy(str))
    codes = {name: code for code, name in enumerate(known)}
    subject = np.array([codes.get(name, len(known)) for name in store.index["subject"]], dtype=np.int64)
    return RunData(store, data.folds, data.task, label_matrix(store.index, data.task), store.present(min_completeness),
                   subject, np.zeros_like(subject))


def with_strangers(normaliser: Normaliser, data: RunData, task: FoldTask) -> Normaliser:
    """A task's normaliser (G, C) with one more row: of all its training rows, for people it has never met."""
    rows = labelled_rows(data, task.fold, "train")
    people = np.append(data.subject, data.subject.max() + 1)  # the last code is nobody's: it gets everybody's rows
    fitted = Normaliser.fit(data.store, rows, data.present, people, knows_test_subjects(data, task, rows))
    return replace(normaliser, mean={m: np.concatenate([v, fitted.mean[m][-1:]]) for m, v in normaliser.mean.items()},
                   spread={m: np.concatenate([v, fitted.spread[m][-1:]]) for m, v in normaliser.spread.items()})


@torch.no_grad()
def _predict(config: RunConfig, data: RunData, unrated: RunData, task: FoldTask, weights: Path) -> pd.DataFrame:
    torch.set_num_threads(1)  # as in training and scoring: the same numbers on any number of cores
    method, normaliser = load_method(config, data, read_weights(weights / task.name / "weights.safetensors"))
    assembler = unrated.assembler(with_strangers(normaliser, data, task))
    rows, index = np.flatnonzero(unrated.present.any(1)), unrated.store.index
    places = list(chunks(make_sequences(index, rows, config.training.sequence_length), SEQUENCES))
    batches = [assembler.batch(place) for place in places]
    encoded = EncodedFold(method, [(batch, method.encode(batch)) for batch in batches], places)
    predicted, dimensions = encoded.predict(unrated.present), data.task.dimensions
    frame = index.iloc[np.repeat(encoded.rows, len(dimensions))][["subject", "trial", "window", "start_s"]]
    return frame.reset_index(drop=True).assign(fold=task.fold, seed=task.seed,
                                               dimension=np.tile(np.array(dimensions, dtype=object), len(encoded.rows)),
                                               y_pred=predicted.reshape(-1))
