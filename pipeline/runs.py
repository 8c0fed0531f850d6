"""How a run's parameters come together: what ``train`` and ``evaluate_main`` share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.checksums import checked
from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json
from himoe.core.params import (
    AlignmentParams,
    MissingParams,
    ModelParams,
    RunConfig,
    RunParams,
    TrainingParams,
    WindowParams,
    parse,
)
from himoe.core.recordings import expand_modalities
from himoe.prepare.folds import ROLES, content_digests, require_honest
from himoe.prepare.windows import folder_meta
from himoe.training.rundata import RunData, load_run_data
from pipeline.stage import PARAMS, SCRATCH, stage_params


def run_config(stage: str, name: str, windows: Path, settings: Path | None = None) -> tuple[RunConfig, dict[str, Any]]:
    """The resolved configuration of a run on the shards in *windows*, and its parameters.

    ``main`` follows the top-level ``model`` and ``alignment`` and has the stage's parameters; every other run follows
    ``reference`` and has what stands in its file *settings* (stage ``settings``).
    """
    params = read_json(settings) if settings else stage_params(stage)
    where = "main" if name == "main" else f"runs.{name}"
    values = params["main"] if name == "main" else params["runs"][name]
    base: Mapping[str, Any] = params if name == "main" else params["reference"]
    profile = params["profile"]
    training = parse(TrainingParams, params["profiles"][profile]["training"], PARAMS, f"profiles.{profile}.training")
    run, model, alignment = resolve_method(where, values, base, windows)
    if run.seeds:
        training = replace(training, seeds=run.seeds)
    missing = parse(MissingParams, params["missing"], PARAMS, "missing")
    return RunConfig(name, run, model, alignment, training, params["seed"], missing, values["modalities"]), params


def resolve_method(where: str, values: Mapping[str, Any], base: Mapping[str, Any],
                   windows: Path) -> tuple[RunParams, ModelParams, AlignmentParams]:
    """The run whose line is *values*, its modalities those of the shards in *windows*, and its method's parameters.

    *base* holds ``model`` and ``alignment``, which the line may override; *where* names the line in params.yaml.
    """
    chosen = values.get("modalities", "")
    if not isinstance(chosen, str):
        raise bad_input(f"params.yaml: {where}.modalities", repr(chosen), "names joined by +, such as EEG+PPS",
                        "write it as one text")
    modalities = expand_modalities(chosen, folder_meta(windows).modalities)
    run = parse(RunParams, {**values, "modalities": list(modalities)}, PARAMS, where)
    model = parse(ModelParams, {**base["model"], **run.model}, PARAMS, f"{where}.model")
    alignment = parse(AlignmentParams, {**base["alignment"], **run.alignment}, PARAMS, f"{where}.alignment")
    return run, model, alignment


def load_data(config: RunConfig, params: Mapping[str, Any], windows: str, features: str, folds: str) -> RunData:
    """Open the run's windows, or their features, and its fold table; refuse a fold table that leaks."""
    settings = parse(WindowParams, params["windows"], PARAMS, "windows")
    table = read_folds(Path(folds))
    data = load_run_data(config, Path(windows), Path(features), table, settings.min_completeness,
                         SCRATCH / "maps" / config.name)
    require_honest(data.store.index, table, config.run.protocol, digests(data))
    return data


def digests(data: RunData) -> list[bytes]:
    """A digest of each window's content, from the modality that has the most numbers per window.

    Few numbers (three of a temperature, say) could be equal by chance; many only in a copy of the window.
    """
    arrays = data.store.arrays
    column = max(range(len(arrays)), key=lambda k: math.prod(list(arrays.values())[k].shape[1:]))
    return content_digests(list(arrays.values())[column], data.present[:, column])


def read_folds(path: Path) -> pd.DataFrame:
    """Read a fold table; ids stay text, also one such as NA."""
    why = path.with_suffix(".txt")
    if why.is_file():
        raise bad_input(path, "no such fold table", "one the data allows",
                        f"choose another protocol ({why.read_text(encoding='utf-8').strip()})")
    todo = "remove its folder and run the split stage again"
    try:
        table = pd.read_csv(checked(path, todo), dtype={"subject": str, "trial": str}, keep_default_na=False)
    except ValueError as error:  # pandas' and Unicode's errors are ValueErrors
        if isinstance(error, InputError):
            raise
        raise bad_input(path, f"no table ({error})", "fold, role, subject, trial", todo) from error
    missing = {"fold", "role", "subject", "trial"} - set(table)
    if missing:
        raise bad_input(path, f"no column {sorted(missing)}", "fold, role, subject, trial", todo)
    for column in {"fold", "window"} & set(table):
        if not pd.api.types.is_integer_dtype(table[column]):
            raise bad_input(f"{path}: {column}", "values that are no whole numbers", "whole numbers", todo)
    unknown = sorted(set(table["role"].astype(str)) - set(ROLES))
    if unknown:
        raise bad_input(f"{path}: role", ", ".join(map(repr, unknown)), " or ".join(ROLES), todo)
    return table
