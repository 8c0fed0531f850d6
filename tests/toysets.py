"""Builders that tests share: small sets of windows in memory or on disk, and the configuration of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from himoe.core.params import (
    AlignmentParams,
    MissingParams,
    ModelParams,
    RunConfig,
    RunParams,
    SearchParams,
    SplitParams,
    TrainingParams,
)
from himoe.models.batches import Task, WindowStore, codes, label_matrix, shuffle_between_trials
from himoe.prepare.feature_shards import feature_array, feature_meta, write_features
from himoe.prepare.folds import make_folds, role_rows
from himoe.prepare.windows import ShardMeta, shard_paths, write_shard
from himoe.prepare.windowset import Windows
from himoe.scoring.sweep import score_run
from himoe.training.inference import EncodedFold
from himoe.training.making import describe
from himoe.training.masked import Said, join, predict_task
from himoe.training.model import Model, encode_fold, from_tensors
from himoe.training.rundata import FoldTask, RunData, feature_modalities
from himoe.training.running import describe as describe_run

SHAPES = {"EEG": (3, 64, 32.0), "EDA": (1, 16, 4.0)}  # channels, samples, rate
DIMENSIONS = ("valence", "arousal")


def make_meta(shapes: dict[str, tuple[int, int, float]] = SHAPES, **changes: object) -> ShardMeta:
    """A description of a small simulated set."""
    values: dict[str, Any] = {
        "set": "toy", "provenance": {"set": "toy", "title": "Toy", "source": "simulate", "simulated": True,
                                     "label": "Toy (simulated)"},
        "modalities": {m: {"channels": [f"{m}{i}" for i in range(c)], "samples": w, "sfreq_hz": r, "unit": "a.u."}
                       for m, (c, w, r) in shapes.items()},
        "dimensions": DIMENSIONS, "scale": (1.0, 9.0), "thresholds": (5.0,), "length_s": 4.0, "step_s": 2.0,
        "label_source": "continuous",
    }
    return ShardMeta(**{**values, **changes})


def make_index(subjects: int = 4, trials: int = 6, windows: int = 5, seed: int = 0) -> pd.DataFrame:
    """Ids and labels of a small set: every trial's label drifts around a level of its own."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(subjects):
        for t in range(trials):
            level = rng.uniform(2, 8, 2)
            for w in range(windows):
                rows.append((f"s{s:02d}", "1", f"v{t:02d}", f"v{t:02d}", w, 2.0 * w, *(level + 0.2 * w)))
    return pd.DataFrame(rows, columns=["subject", "session", "trial", "stimulus", "window", "start_s", *DIMENSIONS])


def make_store(subjects: int = 4, trials: int = 6, windows: int = 5, seed: int = 0) -> WindowStore:
    """Windows in memory whose EEG amplitude follows valence and whose EDA level follows arousal."""
    index = make_index(subjects, trials, windows, seed)
    rng = np.random.default_rng(seed + 1)
    gain = 1 + (index["valence"].to_numpy() - 5) / 8
    eeg = rng.standard_normal((len(index), 3, 64)) * gain[:, None, None]
    eda = 0.1 * rng.standard_normal((len(index), 1, 16)) + (index["arousal"].to_numpy() - 5)[:, None, None]
    index = index.assign(completeness_EEG=np.float32(1), completeness_EDA=np.float32(1))
    return WindowStore(index, {"EEG": eeg.astype(np.float32), "EDA": eda.astype(np.float32)}, make_meta())


def make_windows(subjects: int, trials: int, windows: int) -> Windows:
    """The same windows as the public class that estimators are fitted on."""
    store = make_store(subjects, trials, windows)
    return Windows(store.index, dict(store.arrays), store.meta)


def with_face(store: WindowStore, hidden: Sequence[int] = ()) -> WindowStore:
    """The same windows with FACE (5 features, 8 frames) that follows valence; it is absent in the rows *hidden*."""
    rng = np.random.default_rng(7)
    n = len(store.index)
    face = rng.standard_normal((n, 5, 8)) + store.index["valence"].to_numpy()[:, None, None]
    face[::4, :, 2:5] = np.nan  # frames without a face
    face[list(hidden)] = np.nan
    completeness = np.isfinite(face[:, 0]).mean(1).astype(np.float32)
    return WindowStore(store.index.assign(completeness_FACE=completeness),
                       {**store.arrays, "FACE": face.astype(np.float32)}, make_meta({**SHAPES, "FACE": (5, 8, 2.0)}))


def make_config(method: str = "himoe", protocol: str = "trial", task: str = "regression", seed: int = 0,
                rates: tuple[float, ...] = (0.0, 0.2, 0.4), model: dict[str, Any] | None = None,
                shuffle_labels: bool = False, search: dict[str, Any] | None = None, **training: Any) -> RunConfig:
    """A resolved run on the toy set: a small network, few epochs, no search unless *search* asks for one."""
    schedule: dict[str, Any] = {
        "epochs": 2, "batch_sequences": 6, "sequence_length": 4, "learning_rate": 0.01, "patience": 3,
        "seeds": (0,), "missing": "sampled", "device": "cpu",
        "search": SearchParams(**(search or {})), **training}
    sizes = {"features": 7, "modality_experts": 2, "emotion_experts": 3, "expert_hidden": 11, "dropout": 0.1,
             "eeg_filters": 2, "eeg_depth": 2, **(model or {})}
    run = RunParams("toy", protocol, method, ("EEG", "EDA"), task, shuffle_labels=shuffle_labels)
    return RunConfig("toy-run", run, ModelParams(**sizes), AlignmentParams(), TrainingParams(**schedule), seed,
                     MissingParams(rates, (3, 5)), "EEG+EDA")


def make_data(config: RunConfig, store: WindowStore, n_folds: int = 2, folds: pd.DataFrame | None = None) -> RunData:
    """The run's data as ``load_run_data`` derives it, from windows in memory; folds are made if not given."""
    raw, store = store.meta, as_read(config, store)
    meta = store.meta
    task = Task(config.run.task, meta.dimensions, meta.scale, meta.thresholds)
    labels = label_matrix(store.index, task)
    if config.run.shuffle_labels:
        labels = shuffle_between_trials(store.index, labels, config.seed)
    if folds is None:
        folds = make_folds(store.index, config.run.protocol, SplitParams(n_folds, 0.25), 0)
    return RunData(store, folds, task, labels, store.present(0.5), codes(store.index["subject"]),
                   codes(store.index["stimulus"]), raw)


def model_of(config: RunConfig, data: RunData, task: FoldTask, tensors: Mapping[str, torch.Tensor]) -> Model:
    """The model of a task from its tensors."""
    return from_tensors(describe(config, data, task), tensors, f"run {config.name}")


def encode_tensors(config: RunConfig, data: RunData, task: FoldTask, tensors: Mapping[str, torch.Tensor],
                   fitted: RunData | None = None) -> EncodedFold:
    """A task's test windows, encoded by the model of its tensors; *fitted* are the data it was fitted on, None = these.
    """
    return encode_fold(model_of(config, fitted or data, task, tensors), data, task)


@dataclass(frozen=True)
class Scored(Said):
    """What a run's models say of their test folds, and its scores."""

    sweep: pd.DataFrame
    combinations: pd.DataFrame


def score(config: RunConfig, data: RunData, models: Mapping[FoldTask, Mapping[str, torch.Tensor]], rate: float = 0.0,
          missing: MissingParams | None = None, fitted: RunData | None = None) -> Scored:
    """Every model of a run asked and scored, joined; *missing* = those of the configuration; *fitted* as above."""
    said = join(predict_task(config, data, task, encode_tensors(config, data, task, tensors, fitted),
                             missing or config.missing, rate) for task, tensors in models.items())
    return Scored(**vars(said), **dict(zip(("sweep", "combinations"), score_run(
        describe_run(config, data), said.tested, said.masked), strict=True)))


def as_read(config: RunConfig, store: WindowStore) -> WindowStore:
    """The store with the features of those modalities that the run's method reads as features, in place of windows."""
    made, described = feature_modalities(config), feature_meta(store.meta)
    there = {m: store.index[f"completeness_{m}"].to_numpy() > 0 for m in made}
    arrays = {m: feature_array(m, np.asarray(store.arrays[m]), store.meta.shape(m), there[m]) for m in made}
    entries = {m: (described if m in made else store.meta).modalities[m] for m in store.meta.modalities}
    return replace(store, arrays={**store.arrays, **arrays}, meta=replace(store.meta, modalities=entries))


def rows_of(data: RunData, role: str, fold: int = 1) -> np.ndarray:
    """Row numbers of the windows that play *role* in *fold*."""
    return role_rows(data.store.index, data.folds, fold, role)


def poisoned(data: RunData, rows: np.ndarray, value: float) -> RunData:
    """The same data with the signals of *rows* overwritten."""
    arrays = {}
    for modality, array in data.store.arrays.items():
        arrays[modality] = np.array(array)
        arrays[modality][rows] = value
    return replace(data, store=replace(data.store, arrays=arrays))


def write_store(folder: Path, store: WindowStore, reverse: bool = False) -> Path:
    """Write a store as shards, one a subject; *reverse* turns the order of subjects and rows round."""
    for place, name in enumerate(sorted(store.index["subject"].unique(), reverse=reverse)):
        rows = np.flatnonzero(store.index["subject"] == name)[:: -1 if reverse else 1]
        write_shard(folder / f"{place:02d}.parquet", store.index.iloc[rows].reset_index(drop=True),
                    {m: a[rows] for m, a in store.arrays.items()}, store.meta)
    return folder


def write_feature_store(folder: Path, windows: Path) -> Path:
    """Write the feature shards of the window shards in *windows*."""
    for path in shard_paths(windows):
        write_features([(path, folder / path.name)])
    return folder


def file_bytes(folder: Path) -> dict[str, bytes]:
    """Relative name -> content of every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
