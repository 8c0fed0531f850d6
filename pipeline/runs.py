"""How a run's parameters come together: what ``train`` and ``evaluate`` share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from himoe.errors import bad_input
from himoe.files import require_file
from himoe.folds import content_digests, require_honest
from himoe.params import (
    AlignmentParams,
    MissingParams,
    ModelParams,
    RunConfig,
    RunParams,
    TrainingParams,
    WindowParams,
    parse,
)
from himoe.rundata import RunData, load_run_data
from pipeline.stage import SCRATCH, stage_params


def run_config(stage: str, name: str) -> tuple[RunConfig, dict[str, Any]]:
    """The resolved configuration of a run, and the stage's parameters.

    ``main`` follows the top-level ``model`` and ``alignment``; every other run follows ``reference``.
    """
    params = stage_params(stage)
    where = "main" if name == "main" else f"runs.{name}"
    values = dict(params["main"] if name == "main" else params["runs"][name])
    run = parse(RunParams, {**values, "modalities": modality_names(values, params["modality_sets"])}, where)
    base: Mapping[str, Any] = params if name == "main" else params["reference"]
    profile = params["profile"]
    training = parse(TrainingParams, params["profiles"][profile]["training"], f"profiles.{profile}.training")
    model = parse(ModelParams, {**base["model"], **run.model}, f"{where}.model")
    alignment = parse(AlignmentParams, {**base["alignment"], **run.alignment}, f"{where}.alignment")
    missing = parse(MissingParams, params["missing"], "missing")
    return RunConfig(name, run, model, alignment, training, params["seed"], missing.rates), params


def modality_names(run: Mapping[str, Any], sets: Mapping[str, Any]) -> list[str]:
    """The modalities of a run: a name in ``modality_sets`` of its data set, else names joined by ``+``."""
    chosen = run.get("modalities", "")
    if not isinstance(chosen, str):
        return chosen
    return sets.get(run["set"], {}).get(chosen) or chosen.split("+")


def load_data(config: RunConfig, params: Mapping[str, Any], windows: str, folds: str) -> RunData:
    """Open the run's windows and fold table; refuse a fold table that leaks."""
    settings = parse(WindowParams, params["windows"], "windows")
    table = read_folds(Path(folds))
    data = load_run_data(config, Path(windows), table, settings.min_completeness, SCRATCH / "maps" / config.name)
    first = next(iter(data.store.arrays))
    digests = content_digests(data.store.arrays[first], data.present[:, 0])
    require_honest(data.store.index, table, config.run.protocol, digests)
    return data


def read_folds(path: Path) -> pd.DataFrame:
    """Read a fold table; ids stay text."""
    table = pd.read_csv(require_file(path), dtype={"subject": str, "trial": str})
    missing = {"fold", "role", "subject", "trial"} - set(table)
    if missing:
        raise bad_input(path, f"no column {sorted(missing)}", "fold, role, subject, trial", "run the split stage again")
    return table
