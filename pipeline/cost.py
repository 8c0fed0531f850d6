"""Stage ``cost``: parameters, multiply-adds and measured seconds per window of every method on every modality set.

Where EEG front ends are compared (variants ``front_*``), seconds per training step as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.files import read_json, write_text
from himoe.core.params import TrainingParams, parse
from himoe.core.progress import progress
from himoe.models.batches import Task
from himoe.models.methods import build_method
from himoe.models.methods.base import Spec, count_parameters
from himoe.prepare.windows import folder_meta
from himoe.scoring.results import COST_COLUMNS
from himoe.training.costs import multiply_adds, random_batch, seconds_per_step, seconds_per_window
from himoe.training.rundata import read_as_features
from pipeline.runs import read_method
from pipeline.stage import PARAMS, main

SEQUENCES = 32
FRONT = "front_"


def cost(windows: str, features: str, settings: str, out: str) -> None:
    """Measure the runs in *settings* as :func:`chosen_runs` says; write *out*."""
    files = {path.stem: read_json(path) for path in sorted(Path(settings).glob("*.json"))}
    chosen = chosen_runs({name: file["run"] for name, file in files.items()})
    fronts = {key[:3] for key in chosen if key[3]}
    rows = []
    for key, (name, _) in progress(chosen.items(), "cost", "method", len(chosen)):
        method, modality_set, data_set, variant = key
        folder = Path(windows) / data_set
        run, model, alignment = read_method(name, files[name], folder)
        training = parse(TrainingParams, files[name]["training"], PARAMS, "training")
        meta, made = folder_meta(folder), folder_meta(Path(features) / data_set)
        as_features = read_as_features(run, model)
        spec = Spec({m: (made if m in as_features else meta).shape(m) for m in run.modalities},
                    Task(run.task, meta.dimensions, meta.scale, meta.thresholds), model, alignment, meta.step_s)
        network = build_method(method, spec)
        batch = random_batch(spec, SEQUENCES, training.sequence_length)
        seconds = seconds_per_window(network, batch) if network.gradient else None
        training_batch = random_batch(spec, training.batch_sequences, training.sequence_length)
        step = seconds_per_step(network, training_batch) if key[:3] in fronts and network.gradient else None
        rows.append((method, modality_set, data_set, count_parameters(network), multiply_adds(network, batch), seconds,
                     variant, model.eeg_encoder if network.gradient and "EEG" in run.modalities else None, step))
    frame = pd.DataFrame(rows, columns=list(COST_COLUMNS)).astype({"parameters": "Int64", "multiply_adds": "Int64"})
    write_text(Path(out), frame.to_csv(index=False, float_format="%.4g", lineterminator="\n"))


Key = tuple[str, str, str, str]  # method, modality set, data set, variant


def chosen_runs(runs: Mapping[str, Mapping[str, Any]]) -> dict[Key, tuple[str, Mapping[str, Any]]]:
    """One run (its name and line) for each method, modality set, data set and front end.

    Regression runs, and those of classes where front ends are compared on a set that has no others.
    """
    wanted = {name: v for name, v in runs.items() if not v.get("variant") or v["variant"].startswith(FRONT)}
    rated = {v["set"] for v in wanted.values() if v.get("task", "regression") == "regression"}
    compared = {v["set"] for v in wanted.values() if v.get("variant")}
    return {(v["method"], v["modalities"], v["set"], v.get("variant", "")): (name, v) for name, v in wanted.items()
            if v.get("task", "regression") == "regression" or v["set"] in compared - rated}


if __name__ == "__main__":
    main(cost)
