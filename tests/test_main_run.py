"""Whose models the run `main` takes, and when it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toysets import make_config, make_data, make_store

from himoe.core.files import write_json
from himoe.core.params import BootstrapParams, RunConfig
from himoe.training.rundata import FoldTask, run_tasks
from himoe.training.running import train_run
from pipeline import main_run
from pipeline.main_run import same_models, score, take, trained

TASKS = [FoldTask(fold, 5) for fold in (0, 1, 2)]
SETTINGS: dict[str, Any] = {
    "run": {"set": "deap", "protocol": "trial", "method": "himoe", "modalities": "EEG"}, "model": {"features": 8},
    "alignment": {"weight": 0.1}, "training": {"epochs": 2, "seeds": [5]}, "missing": {"rates": [0.0]}, "seed": 0}


def found(tmp_path: Path, main: dict[str, Any]) -> str | None:
    """The name of the run that is taken; there is one of two seeds, and one with fewer features."""
    plain = {**SETTINGS, "training": {"epochs": 2, "seeds": [5, 7]}}
    line = {**SETTINGS["run"], "variant": "narrow", "model": {"features": 4}, "task": "regression"}
    other = {**SETTINGS, "run": line, "model": {"features": 4}}
    for name, values in (("plain", plain), ("narrow", other)):
        write_json(tmp_path / "settings" / f"{name}.json", values)
        for task in TASKS:
            (tmp_path / "runs" / name / task.name).mkdir(parents=True, exist_ok=True)
    write_json(tmp_path / "main.json", main)
    folder = same_models(tmp_path / "main.json", tmp_path / "settings", tmp_path / "runs", TASKS)
    return None if folder is None else folder.name


@pytest.mark.parametrize(("changes", "name"), [
    ({}, "plain"), ({"model": {"features": 4}}, "narrow"), ({"model": {"features": 9}}, None),
    ({"alignment": {"weight": 0.0}}, None), ({"training": {"epochs": 3, "seeds": [5]}}, None), ({"seed": 1}, None),
    ({"run": {**SETTINGS["run"], "shuffle_labels": False}}, "plain"),
    ({"run": {**SETTINGS["run"], "shuffle_labels": True}}, None),
    ({"run": {**SETTINGS["run"], "modalities": "EEG+EDA"}}, None)])
def test_the_models_are_those_of_a_run_with_the_same_settings(tmp_path: Path, changes: dict[str, Any],
                                                              name: str | None) -> None:
    assert found(tmp_path, {**SETTINGS, **changes}) == name


def test_a_run_that_lacks_a_seed_is_not_taken(tmp_path: Path) -> None:
    assert found(tmp_path, SETTINGS) == "plain"
    (tmp_path / "runs" / "plain" / TASKS[1].name).rmdir()
    assert same_models(tmp_path / "main.json", tmp_path / "settings", tmp_path / "runs", TASKS) is None


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """The configurations that are really trained."""
    configs: list[RunConfig] = []

    def counting(config: RunConfig, *rest: Any) -> None:
        configs.append(config)
        train_run(config, *rest)

    monkeypatch.setattr(main_run, "train_run", counting)
    return configs


def test_what_was_trained_last_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                    counted: list[RunConfig]) -> None:
    monkeypatch.chdir(tmp_path)
    config = make_config("features_ridge")
    data = make_data(config, make_store())
    for inputs in ({"folds": "a"}, {"folds": "a"}, {"folds": "b"}, {"folds": "b"}):
        assert (trained(config, data, inputs) / "run.json").is_file()
    assert len(counted) == 2
    trained(make_config("mean"), data, {"folds": "b"})
    assert len(counted) == 3


def test_main_has_the_taken_models_and_its_own_rate(tmp_path: Path) -> None:
    """Of a run of two seeds one is taken; what is scored is the predictions of just those models."""
    many, config = make_config(epochs=1, seeds=(3, 4)), make_config(epochs=1, seeds=(4,))
    data = make_data(config, make_store())
    train_run(many, data, tmp_path / "run", tmp_path / "kept", {}, 1)
    tasks = run_tasks(config, data.folds)
    take(tmp_path / "run", config, data, tasks, tmp_path / "main")
    score(config, data, tasks, tmp_path / "main", tmp_path / "scored", 0.3, BootstrapParams(20, 0))
    assert sorted(path.name for path in (tmp_path / "main").iterdir() if path.is_dir()) == [task.name for task in tasks]
    for name in ("history.csv", "search.csv"):
        assert set(pd.read_csv(tmp_path / "main" / name)["seed"]) <= {4}
    said = pd.read_parquet(tmp_path / "scored" / "predictions.parquet")
    assert (set(said["missing_rate"]), set(said["seed"])) == ({0.3}, {4})
    sweeps = [pd.read_parquet(tmp_path / name / "masked.parquet") for name in ("run", "scored")]
    ours, theirs = (sweep[(sweep["seed"] == 4) & (sweep["missing_rate"] != 0.3)] for sweep in sweeps)
    pd.testing.assert_frame_equal(ours.reset_index(drop=True), theirs.reset_index(drop=True))
    assert 0.3 in set(sweeps[1]["missing_rate"])
    assert 0.3 not in set(sweeps[0]["missing_rate"])
