"""A run from its file of settings: what ``train``, ``main_run`` and ``cost`` share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

import himoe
from himoe.core.checksums import checked, folder_digest
from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json, sha256
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
from himoe.training.rundata import RunData, feature_modalities, load_run_data
from pipeline.stage import PARAMS, SCRATCH


def run_config(name: str, windows: Path, settings: Path) -> tuple[RunConfig, dict[str, Any]]:
    """The configuration of a run on the shards in *windows*, and its file *settings* (stage ``settings``)."""
    values = read_json(settings)
    run, model, alignment = read_method(name, values, windows)
    training = parse(TrainingParams, values["training"], PARAMS, "training")
    missing = parse(MissingParams, values["missing"], PARAMS, "missing")
    config = RunConfig(name, run, model, alignment, training, values["seed"], missing, values["run"]["modalities"])
    return config, values


def read_method(name: str, values: Mapping[str, Any],
                windows: Path) -> tuple[RunParams, ModelParams, AlignmentParams]:
    """The run of a file of settings, its modalities those of the shards in *windows*, and its method's parameters."""
    where = name if name == "main" else f"runs.{name}"
    chosen = values["run"].get("modalities", "")
    if not isinstance(chosen, str):
        raise bad_input(f"params.yaml: {where}.modalities", repr(chosen), "names joined by +, such as EEG+PPS",
                        "write it as one text")
    modalities = expand_modalities(chosen, folder_meta(windows).modalities)
    run = parse(RunParams, {**values["run"], "modalities": list(modalities)}, PARAMS, where)
    return (run, parse(ModelParams, values["model"], PARAMS, f"{where}.model"),
            parse(AlignmentParams, values["alignment"], PARAMS, f"{where}.alignment"))


def inputs_of(config: RunConfig, windows: str, features: str, folds: str) -> dict[str, str]:
    """Digests of what a run is made from: the shards that it reads, its fold table, the library."""
    n_made, n_modalities = len(feature_modalities(config)), len(config.run.modalities)
    read = [folder for folder, count in ((windows, n_modalities - n_made), (features, n_made)) if count]
    return {**{folder: folder_digest(Path(folder), "*.parquet") for folder in read}, "folds": sha256(Path(folds)),
            "code": folder_digest(Path(himoe.__file__).parent, "**/*.py")}


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
