"""A whole run: its models as independent tasks in worker processes, each kept when it is finished.

A finished task is kept under a key of all it depends on and reused only when that key still matches.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from himoe.files import atomic_path, write_json
from himoe.inference import encode_fold, masked_present, prediction_frame
from himoe.masks import evaluation_draws
from himoe.params import RunConfig
from himoe.progress import progress
from himoe.rundata import FoldTask, RunData, run_tasks
from himoe.training import choose_device, fit_task
from himoe.workers import map_forked

MASK_SEED = 0  # of the predictions kept with a matched-rate model


def task_key(config: RunConfig, task: FoldTask, inputs: Mapping[str, str]) -> str:
    """Key of a finished task: configuration, task, and digests of data and code."""
    value = json.dumps({"config": asdict(config), "task": asdict(task), "inputs": dict(inputs)}, sort_keys=True)
    return hashlib.sha256(value.encode()).hexdigest()[:24]


def complete_task(config: RunConfig, data: RunData, task: FoldTask, kept: Path) -> None:
    """Fit one task and leave weights, history and predictions in the folder *kept*, all or nothing."""
    from safetensors.torch import save_file

    weights, history = fit_task(config, data, task)
    with atomic_path(kept) as folder:
        folder.mkdir(parents=True)
        save_file(weights, folder / "weights.safetensors")
        history.assign(fold=task.fold, seed=task.seed).to_csv(folder / "history.csv", index=False,
                                                              float_format="%.6f", lineterminator="\n")
        encoded = encode_fold(config, data, task, folder / "weights.safetensors")
        rate = task.rate or 0.0
        draws = evaluation_draws(data.store.index, config.run.modalities, MASK_SEED)
        rows, predictions = encoded.predict(masked_present(data, draws, rate))
        prediction_frame(config, data, task, rate, rows, predictions).to_parquet(
            folder / "predictions.parquet", index=False)


def train_run(config: RunConfig, data: RunData, out: Path, kept: Path, inputs: Mapping[str, str], jobs: int) -> None:
    """Fit every task of a run and assemble the folder *out*.

    Finished tasks stay in *kept* until the run is whole; a killed run starts again with those whose key matches.
    """
    tasks = run_tasks(config, data.folds)
    places = {task: kept / f"{task.name}-{task_key(config, task, inputs)}" for task in tasks}
    waiting = [(task, places[task]) for task in tasks if not places[task].is_dir()]
    for _ in progress(_results(config, data, waiting, jobs), config.name, "model", len(waiting)):
        pass
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        for task in tasks:
            target = folder / task.name
            target.mkdir()
            for name in ("weights.safetensors", "history.csv"):
                (target / name).write_bytes((places[task] / name).read_bytes())
        parts = [places[task] for task in tasks]
        pd.concat([pd.read_csv(p / "history.csv") for p in parts]).to_csv(
            folder / "history.csv", index=False, float_format="%.6f", lineterminator="\n")
        pd.concat([pd.read_parquet(p / "predictions.parquet") for p in parts], ignore_index=True).to_parquet(
            folder / "predictions.parquet", index=False)
        write_json(folder / "run.json", describe(config, data))


def _results(config: RunConfig, data: RunData, waiting: Sequence[tuple[FoldTask, Path]], jobs: int) -> Iterator[None]:
    """Complete tasks, in worker processes where that helps; yields once a finished task.

    Forked workers share the windows in memory. CUDA cannot be forked and a cluster has no common memory:
    there joblib starts fresh processes (``DASK_SCHEDULER_ADDRESS`` names a Dask scheduler).
    """
    if os.environ.get("DASK_SCHEDULER_ADDRESS") or choose_device(config.training.device).type == "cuda":
        yield from _distributed(config, data, waiting)
    else:
        yield from map_forked(_complete, (config, data), waiting, jobs)


def _complete(shared: tuple[RunConfig, RunData], item: tuple[FoldTask, Path]) -> None:
    complete_task(*shared, *item)


def _distributed(config: RunConfig, data: RunData, waiting: Sequence[tuple[FoldTask, Path]]) -> Iterator[None]:
    """Fresh processes by joblib: one a GPU here, or a Dask cluster's workers (which must see the same files)."""
    from joblib import Parallel, delayed, parallel_config

    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if address:
        from dask.distributed import Client

        Client(address)
    with parallel_config("dask" if address else "loky", n_jobs=-1 if address else max(1, torch.cuda.device_count())):
        yield from Parallel()(delayed(complete_task)(config, data, task, place) for task, place in waiting)


def describe(config: RunConfig, data: RunData) -> dict[str, Any]:
    """What a run is, for every file made from it."""
    provenance = data.store.meta.provenance
    return {
        "run": config.name, "method": config.run.method, "set": config.run.set, "protocol": config.run.protocol,
        "task": config.run.task, "modalities": list(config.run.modalities),
        "shuffle_labels": config.run.shuffle_labels, "model": asdict(config.model),
        "alignment": asdict(config.alignment), "training": asdict(config.training),
        "source": provenance["source"], "simulated": provenance["simulated"],
        "label_source": data.store.meta.label_source,
    }
