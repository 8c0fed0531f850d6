"""A whole run: its models as independent tasks in worker processes, each kept when it is finished.

A finished task is kept under a key of all it depends on and reused only when that key still matches and its files are
as they were written.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from himoe.core.checksums import whole, write_sums
from himoe.core.cluster import scheduler
from himoe.core.files import atomic_path, write_csv, write_json
from himoe.core.params import RunConfig
from himoe.core.progress import count_text, note, progress
from himoe.core.workers import map_forked, map_fresh
from himoe.models.methods import build_method
from himoe.models.methods.base import count_parameters
from himoe.prepare.facts import attainable_of
from himoe.training.description import CONFIG
from himoe.training.fit import choose_device, fit_tasks
from himoe.training.making import make_model
from himoe.training.masked import ACTION_UNIT_COLUMNS, Said, join, predict_task
from himoe.training.model import WEIGHTS, encode_fold
from himoe.training.rundata import FoldTask, RunData, make_spec, run_tasks
from himoe.training.sending import Group, send_groups
from himoe.training.stacked import can_stack

# Parquet files that a run without such rows lacks, and their columns.
OPTIONAL: dict[str, list[str]] = {"predictions_missing": [], "action_units": ACTION_UNIT_COLUMNS}
# Lists that start with or hold nothing keep their type.
MASKED_SCHEMA = pa.schema([("fold", pa.int64()), ("seed", pa.int64()), ("missing_rate", pa.float64()),
                           ("mask_seed", pa.int64()), ("combination", pa.string()),
                           ("predicted", pa.list_(pa.float32())), ("half_width", pa.list_(pa.float64()))])


def task_groups(tasks: Sequence[FoldTask], at_once: int) -> list[list[FoldTask]]:
    """Tasks in groups of at most *at_once*, as equal as can be; two where there are two tasks, to keep two cores busy.

    They do not depend on what is finished or how many workers there are, because a model's rounding depends on what it
    was fitted with.
    """
    count = max(-(-len(tasks) // at_once), min(2, len(tasks)))
    cuts = np.linspace(0, len(tasks), count + 1).round().astype(int)
    return [list(tasks[first:last]) for first, last in itertools.pairwise(cuts)]


def task_key(config: RunConfig, group: Sequence[FoldTask], inputs: Mapping[str, str]) -> str:
    """Key of the finished tasks of a group: configuration, the group, and digests of data and code."""
    value = json.dumps({"config": asdict(config), "group": [asdict(task) for task in group], "inputs": dict(inputs)},
                       sort_keys=True)
    return hashlib.sha256(value.encode()).hexdigest()[:24]


def complete_tasks(config: RunConfig, data: RunData, tasks: Sequence[FoldTask], places: Sequence[Path]) -> None:
    """Fit a group of tasks, ask each of its test fold, and leave it in its folder of *places*: everything or nothing.
    """
    device = choose_device(config.training.device)
    for task, kept, fitted in zip(tasks, places, fit_tasks(config, data, tasks), strict=True):
        with atomic_path(kept, durable=True) as folder:
            folder.mkdir(parents=True)
            model = make_model(config, data, task, fitted, device)
            model.write(folder)
            write_csv(fitted.history.assign(fold=task.fold, seed=task.seed, **_rate(task)), folder / "history.csv")
            search = pd.DataFrame({"fold": task.fold, "seed": task.seed, **_rate(task)}, index=fitted.search.index)
            write_csv(search.join(fitted.search), folder / "search.csv")
            encoded = encode_fold(model, data, task, device=device)
            write_said(predict_task(config, data, task, encoded, config.missing, 0.0, model.description.intervals),
                       folder)
            write_sums(folder)


def _rate(task: FoldTask) -> dict[str, float]:
    return {} if task.rate is None else {"rate": task.rate}


def train_run(config: RunConfig, data: RunData, out: Path, kept: Path, inputs: Mapping[str, str], jobs: int) -> None:
    """Fit every task of a run and assemble the folder *out*: the models, and what they say of their test folds.

    Finished tasks stay in *kept* until the run is whole; a killed run starts again with those whose key matches and
    whose files are as they were written.
    """
    tasks = run_tasks(config, data.folds)
    method = build_method(config.run.method, make_spec(config, data))
    together = can_stack(method, choose_device(config.training.device))
    groups = task_groups(tasks, config.training.models_at_once if together else 1)
    places = {task: kept / f"{task.name}-{task_key(config, group, inputs)}" for group in groups for task in group}
    waiting = [(group, [places[task] for task in group]) for group in groups
               if not all(whole(places[task]) for task in group)]
    models = sum(len(group) for group, _ in waiting)
    if models < len(tasks):
        note(f"{config.name}: {count_text(len(tasks) - models, len(tasks), 'model')} kept from before")
    groups_done = _results(config, data, waiting, jobs, inputs)
    for _ in progress((task for group, _ in groups_done for task in group), config.name, "model", models):
        pass
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        for task in tasks:
            (folder / task.name).mkdir()
            for name in (WEIGHTS, CONFIG):
                shutil.copyfile(places[task] / name, folder / task.name / name)
        for name in ("history.csv", "search.csv"):
            write_csv(pd.concat([pd.read_csv(places[task] / name, float_precision="round_trip") for task in tasks]),
                      folder / name)
        write_said(join(read_said(places[task]) for task in tasks), folder)
        write_json(folder / "run.json", describe(config, data))
        write_sums(folder)


def write_said(said: Said, folder: Path) -> None:
    """Each table as Parquet, those of ``OPTIONAL`` where they have rows; ``routing`` as CSV."""
    said.predictions.to_parquet(folder / "predictions.parquet", index=False)
    said.tested.to_parquet(folder / "tested.parquet", index=False)
    said.masked.to_parquet(folder / "masked.parquet", index=False, schema=MASKED_SCHEMA)
    for name in OPTIONAL:
        if len(getattr(said, name)):
            getattr(said, name).to_parquet(folder / f"{name}.parquet", index=False)
    write_csv(said.routing, folder / "routing.csv")


def read_said(folder: Path) -> Said:
    """Undo :func:`write_said`."""
    routing = pd.read_csv(folder / "routing.csv", dtype={"combination": str}, float_precision="round_trip")
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "tested", "masked")}
    for name, columns in OPTIONAL.items():
        path = folder / f"{name}.parquet"
        frames[name] = pd.read_parquet(path) if path.is_file() else pd.DataFrame(columns=columns)
    return Said(**frames, routing=routing)


def _results(config: RunConfig, data: RunData, waiting: Sequence[Group], jobs: int,
             inputs: Mapping[str, str]) -> Iterator[Group]:
    """Complete groups of tasks, in worker processes where that helps; yields each group when it is finished.

    Forked workers share the windows in memory; on GPUs there are fresh ones, one per GPU; a cluster has its own.
    """
    if scheduler() and waiting:
        yield from send_groups(complete_tasks, config, data, waiting, inputs)
    elif choose_device(config.training.device).type == "cuda":
        tasks = [(config, data, *group) for group in waiting]
        done = map_fresh(complete_tasks, tasks, max(1, torch.cuda.device_count()))
        yield from (group for group, _ in zip(waiting, done, strict=True))
    else:
        done = map_forked(_complete, (config, data), waiting, jobs)
        yield from (group for group, _ in zip(waiting, done, strict=True))


def _complete(shared: tuple[RunConfig, RunData], group: Group) -> None:
    complete_tasks(*shared, *group)


def describe(config: RunConfig, data: RunData) -> dict[str, Any]:
    """What a run is, for every file made from it: ``run.json``."""
    provenance, meta = data.store.meta.provenance, data.store.meta
    method = build_method(config.run.method, make_spec(config, data))
    return {
        "run": config.name, "method": config.run.method, "set": config.run.set, "protocol": config.run.protocol,
        "task": config.run.task, "modalities": list(config.run.modalities), "modality_set": config.modality_set,
        "variant": config.run.variant, "shuffle_labels": config.run.shuffle_labels,
        "normalise": config.run.normalise, "model": asdict(config.model),
        "alignment": asdict(config.alignment), "training": asdict(config.training),
        "source": provenance["source"], "simulated": provenance["simulated"], "data": provenance["label"],
        "label_source": meta.label_source, "dimensions": list(meta.dimensions), "scale": list(meta.scale),
        "thresholds": list(meta.thresholds), "classes": data.task.classes,
        "length_s": meta.length_s, "step_s": meta.step_s,
        "parameters": count_parameters(method),
        "face": provenance.get("face") if "FACE" in config.run.modalities else None,
        "bands": provenance.get("bands") or [],
        "attainable": None if config.run.shuffle_labels else attainable_of(provenance, config.run.modalities,
                                                                           meta.length_s, meta.step_s,
                                                                           meta.label_source),
    }
