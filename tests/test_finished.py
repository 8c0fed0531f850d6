"""The line that a run ends with, and how far ``make repro`` is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toysets import make_config, make_data, make_store

from himoe.core.files import write_json
from himoe.core.params import BootstrapParams
from himoe.training.running import train_run
from pipeline import pace
from pipeline.evaluate import evaluate_run
from pipeline.finished import run_line, tell

INPUTS = {"windows": "a", "folds": "b", "code": "c"}


def finished_run(folder: Path, **changes: Any) -> Path:
    config = make_config(**{"seeds": (0, 1), "epochs": 2, **changes})
    train_run(config, make_data(config, make_store()), folder / "out", folder / "kept", INPUTS, 1)
    return folder / "out"


@pytest.mark.parametrize(("task", "metric", "name"), [("regression", "ccc", "CCC"),
                                                      ("classification", "accuracy", "accuracy")])
def test_the_line_has_the_score_that_the_metrics_will_have(task: str, metric: str, name: str, tmp_path: Path) -> None:
    out = finished_run(tmp_path, task=task)
    flat = evaluate_run(out, tmp_path / "scores", 0.0, BootstrapParams(draws=2, seed=0, level=0.95, swaps=2,
                                                                       effect=0.05), "")
    history = pd.read_csv(out / "history.csv")
    best = history[history["best"]]
    found = re.fullmatch(r"toy-run on (.*), 4 himoe models: 2 epochs, best ([\d.]+); loss ([\d.]+), "
                         rf"validation ([\d.]+); test {name} (-?[\d.]+)", run_line(out))
    assert found is not None, run_line(out)
    assert "simulated" in found[1]
    assert 1 <= float(found[2]) <= 2
    assert [float(text) for text in found.groups()[2:]] == pytest.approx(
        [best["train_loss"].mean(), best["validation_loss"].mean(), flat[metric]], abs=6e-4)


def test_a_run_without_epochs_says_less(tmp_path: Path) -> None:
    assert ": fitted in one go; loss " in run_line(finished_run(tmp_path, method="mean"))


@pytest.fixture
def under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``make repro`` with two runs between a stage before and a stage after."""
    monkeypatch.chdir(tmp_path)
    pace.begin({"download@deap": 10.0, "train@main": 40.0, "train@a": 100.0, "tables": 60.0})


@pytest.mark.usefixtures("under_way")
def test_runs_are_counted_and_the_time_left_follows_the_pace() -> None:
    # 40 s were forecast and 100 s were taken: twice as slow, weighed with 20 s of forecast
    assert pace.position("train@main", 100.0) == ("run 1 of 2: ", "; about 5 min left")
    assert pace.time_left({"train@main": 40.0, "train@a": 100.0, "tables": 60.0}, {"train@main": 100.0}) == 320.0
    assert pace.position("train@a", 100.0) == ("run 2 of 2: ", "; about 82 s left")


@pytest.mark.usefixtures("under_way")
def test_a_stage_that_is_not_expected_or_no_longer_under_way_has_no_place() -> None:
    assert pace.position("train@other", 1.0) == ("", "")
    pace.end()
    assert pace.position("train@main", 1.0) == ("", "")
    write_json(pace.STATE, {"process": 2**22 + 1, "expected": {"train@main": 1.0}, "taken": {}})  # was killed
    assert pace.position("train@main", 1.0) == ("", "")
    pace.STATE.write_text("{", encoding="utf-8")
    assert pace.position("train@main", 1.0) == ("", "")


def test_the_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = finished_run(tmp_path, method="mean")
    monkeypatch.chdir(tmp_path)
    tell("train@toy", out, 2.3)
    assert capsys.readouterr().err == f"{run_line(out)}; 2 s\n"
    pace.begin({"train@toy": 4.0, "report": 7.0})
    tell("train@toy", out, 4.0)
    assert capsys.readouterr().err == f"run 1 of 1: {run_line(out)}; 4 s; about 7 s left\n"
