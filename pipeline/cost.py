"""Stage ``cost``: parameters, multiply-adds and measured seconds per window of every method on every modality set.

Where EEG front ends are compared (variants ``front_*``), seconds per training step as well.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from himoe.batches import Task
from himoe.costs import multiply_adds, random_batch, seconds_per_step, seconds_per_window
from himoe.files import read_json, write_text
from himoe.methods import build_method
from himoe.methods.base import Spec, count_parameters
from himoe.params import TrainingParams, parse
from himoe.progress import progress
from himoe.results import COST_COLUMNS
from himoe.rundata import read_as_features
from himoe.windows import folder_meta
from pipeline.runs import resolve_method
from pipeline.stage import main

SEQUENCES = 32
FRONT = "front_"


def cost(windows: str, features: str, settings: str, out: str) -> None:
    """Measure the regression runs in *settings*, each method, modality set and front end once; write *out*."""
    files = [read_json(path) for path in sorted(Path(settings).glob("*.json"))]
    params, profile = files[0], files[0]["profile"]
    runs = {name: line for file in files for name, line in file["runs"].items()}
    training = parse(TrainingParams, params["profiles"][profile]["training"], f"profiles.{profile}.training")
    chosen = {(v["method"], v["modalities"], v["set"], v.get("variant", "")): (name, v)
              for name, v in runs.items() if v.get("task", "regression") == "regression"
              and v.get("variant", "").startswith(FRONT if v.get("variant") else "")}
    fronts = {key[:3] for key in chosen if key[3]}
    rows = []
    for key, (name, values) in progress(chosen.items(), "cost", "method", len(chosen)):
        method, modality_set, data_set, variant = key
        folder = Path(windows) / data_set
        run, model, alignment = resolve_method(f"runs.{name}", values, params["reference"], folder)
        meta, made = folder_meta(folder), folder_meta(Path(features) / data_set)
        as_features = read_as_features(run, model)
        spec = Spec({m: (made if m in as_features else meta).shape(m) for m in run.modalities},
                    Task("regression", meta.dimensions, meta.scale, meta.thresholds), model, alignment, meta.step_s)
        network = build_method(method, spec)
        batch = random_batch(spec, SEQUENCES, training.sequence_length)
        seconds = seconds_per_window(network, batch) if network.gradient else None
        training_batch = random_batch(spec, training.batch_sequences, training.sequence_length)
        step = seconds_per_step(network, training_batch) if key[:3] in fronts and network.gradient else None
        rows.append((method, modality_set, data_set, count_parameters(network), multiply_adds(network, batch), seconds,
                     variant, model.eeg_encoder if network.gradient and "EEG" in run.modalities else None, step))
    frame = pd.DataFrame(rows, columns=list(COST_COLUMNS)).astype({"parameters": "Int64", "multiply_adds": "Int64"})
    write_text(Path(out), frame.to_csv(index=False, float_format="%.4g", lineterminator="\n"))


if __name__ == "__main__":
    main(cost)
