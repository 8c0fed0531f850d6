"""Stage ``cost``: parameters, multiply-adds and measured seconds a window of every method on every modality set."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from himoe.batches import Task
from himoe.costs import multiply_adds, random_batch, seconds_per_window
from himoe.files import write_text
from himoe.methods import build_method
from himoe.methods.base import Spec, count_parameters
from himoe.params import TrainingParams, parse
from himoe.progress import progress
from himoe.rundata import read_as_features
from himoe.windows import folder_meta
from pipeline.runs import resolve_method
from pipeline.stage import main, stage_params

SEQUENCES = 32


def cost(windows: str, features: str, out: str) -> None:
    """Measure the regression runs of ``runs``, each method and modality set once, and write the table *out*."""
    params = stage_params("cost")
    profile = params["profile"]
    training = parse(TrainingParams, params["profiles"][profile]["training"], f"profiles.{profile}.training")
    chosen = {(v["method"], v["modalities"], v["set"]): (name, v) for name, v in params["runs"].items()
              if not v.get("variant") and v.get("task", "regression") == "regression"}
    rows = []
    for (method, modality_set, data_set), (name, values) in progress(chosen.items(), "cost", "method", len(chosen)):
        folder = Path(windows) / data_set
        run, model, alignment = resolve_method(f"runs.{name}", values, params["reference"], folder)
        meta, made = folder_meta(folder), folder_meta(Path(features) / data_set)
        as_features = read_as_features(run, model)
        spec = Spec({m: (made if m in as_features else meta).shape(m) for m in run.modalities},
                    Task("regression", meta.dimensions, meta.scale, meta.thresholds), model, alignment, meta.step_s)
        network = build_method(method, spec)
        batch = random_batch(spec, SEQUENCES, training.sequence_length)
        seconds = seconds_per_window(network, batch) if network.gradient else None
        rows.append((method, modality_set, data_set, count_parameters(network), multiply_adds(network, batch), seconds))
    columns = ["method", "modality_set", "set", "parameters", "multiply_adds", "seconds_per_window"]
    frame = pd.DataFrame(rows, columns=columns).astype({"parameters": "Int64", "multiply_adds": "Int64"})
    write_text(Path(out), frame.to_csv(index=False, float_format="%.4g", lineterminator="\n"))


if __name__ == "__main__":
    main(cost)
