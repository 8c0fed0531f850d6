"""Stage ``cost``: parameters and multiply-adds of every method on every modality set.

They are the same at every run, on every machine. What networks take is measured on request: ``python -m bench.cost``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from himoe.core.files import read_json, write_text
from himoe.core.params import TrainingParams, parse
from himoe.core.progress import progress
from himoe.models.batches import Task
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Spec, count_parameters
from himoe.prepare.windows import folder_meta
from himoe.scoring.results import COST_COLUMNS
from himoe.training.costs import multiply_adds, random_batch
from himoe.training.rundata import read_as_features
from pipeline.runs import read_method
from pipeline.stage import PARAMS, main

SEQUENCES = 32
FRONT = "front_"
Key = tuple[str, str, str, str]  # method, modality set, data set, variant


class Built(NamedTuple):
    """A method as a run has it, untrained; the encoder of its EEG, if it is a network with EEG."""

    network: Method
    spec: Spec
    training: TrainingParams
    eeg_encoder: str | None


def cost(windows: str, features: str, settings: str, out: str) -> None:
    """Count the runs in *settings* as :func:`chosen_runs` says; write *out*."""
    rows = [(*key[:3], *counts(built), key[3], built.eeg_encoder)
            for key, built in built_methods(Path(windows), Path(features), Path(settings))]
    frame = pd.DataFrame(rows, columns=list(COST_COLUMNS)).astype({"parameters": "Int64", "multiply_adds": "Int64"})
    write_text(Path(out), frame.to_csv(index=False, lineterminator="\n"))


def counts(built: Built) -> tuple[int | None, int | None]:
    """Parameters, and multiply-adds of a window; None for methods fitted in closed form."""
    batch = random_batch(built.spec, SEQUENCES, built.training.sequence_length)
    return count_parameters(built.network), multiply_adds(built.network, batch)


def built_methods(windows: Path, features: Path, settings: Path) -> Iterator[tuple[Key, Built]]:
    """One method after another, as :func:`chosen_runs` chooses among the runs in *settings*."""
    files = {path.stem: read_json(path) for path in sorted(settings.glob("*.json"))}
    chosen = chosen_runs({name: file["run"] for name, file in files.items()})
    for key, (name, _) in progress(chosen.items(), "cost", "method", len(chosen)):
        method, data_set = key[0], key[2]
        run, model, alignment = read_method(name, files[name], windows / data_set)
        training = parse(TrainingParams, files[name]["training"], PARAMS, "training")
        meta, made = folder_meta(windows / data_set), folder_meta(features / data_set)
        as_features = read_as_features(run, model)
        spec = Spec({m: (made if m in as_features else meta).shape(m) for m in run.modalities},
                    Task(run.task, meta.dimensions, meta.scale, meta.thresholds), model, alignment, meta.step_s)
        network = build_method(method, spec)
        yield key, Built(network, spec, training,
                         model.eeg_encoder if network.gradient and "EEG" in run.modalities else None)


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
