"""What is said before the work: the stages that will run, and how long they take on this machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipeline_helpers import copy_code, tiny_params, tiny_run, write_params

from himoe.core.errors import InputError
from pipeline import seconds
from pipeline.code import code_lists
from pipeline.forecast import Stage, read_stages, scaled, stages_to_run
from pipeline.lock_check import dvc_md5
from pipeline.plan import plan
from pipeline.seconds import Speed, expected, probe, table
from pipeline.settings import settings

AFTER_TRAINING = {"main_run", "evaluate", "cost", "tables", "figures", "report"}


@pytest.fixture(scope="module")
def lists() -> dict[str, str]:
    """The code lists of this tree."""
    return code_lists(Path(__file__).resolve().parents[1])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: dict[str, str]) -> Path:
    """The tiny project as if every stage had run: its small files are real, its data are empty folders."""
    copy_code(tmp_path)
    write_params(tmp_path, tiny_params())
    monkeypatch.chdir(tmp_path)
    Path("code").mkdir()
    for name, text in lists.items():
        Path("code", f"{name}.txt").write_text(text, encoding="utf-8")
    plan("settings/protocols", "settings/filters", "settings/lines.json")
    settings("settings/lines.json", "settings/runs", "settings/main.json")
    lock: dict[str, Any] = {}
    for stage in read_stages():
        for out in stage.outs:
            if not Path(out).exists():
                Path(out).mkdir(parents=True)
    for stage in read_stages():
        deps = [{"path": path, "md5": md5(Path(path))} for path in stage.deps]
        lock[stage.name] = {"cmd": stage.command, "deps": deps, "outs": [{"path": out, "md5": "0.dir"}
                                                                          for out in stage.outs]}
        if stage.params:
            lock[stage.name]["params"] = {"params.yaml": dict(stage.params)}
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}), encoding="utf-8")
    return tmp_path


def md5(path: Path) -> str:
    """A digest as DVC has it; of a folder of data, which is not looked into, any."""
    return str(dvc_md5(path)) if path.is_file() or path == Path("settings/runs") else "0.dir"


def due() -> set[str]:
    return {stage.name for stage in stages_to_run(read_stages())}


def due_after(change: Callable[[dict[str, Any]], object]) -> set[str]:
    """What is due with parameters that are changed so."""
    params = tiny_params()
    change(params)
    write_params(Path.cwd(), params)
    return due()


def test_a_parameter_runs_the_stages_that_declare_it_and_what_follows(project: Path) -> None:
    assert due() == set()  # nothing changed
    assert due_after(lambda params: params.update(missing_rate=0.3)) == {"plan", "main_run"}
    assert due_after(lambda params: params["runs"].update({"deap-new": tiny_run("bilstm")})) == {
        "plan", "settings", "train@deap-new", *AFTER_TRAINING}
    assert due_after(lambda params: params["reference"]["model"].update(features=8)) == {
        "settings", *(f"train@{name}" for name in tiny_params()["runs"]), *AFTER_TRAINING}
    # the tiny project's set uses another table of filters than this one
    assert due_after(lambda params: params["preprocess"]["quick_seed"]["EEG"].update(band_hz=[1, 20])) == {"plan"}
    filtered = due_after(lambda params: params["preprocess"]["usual"]["EEG"].update(band_hz=[2, 45]))
    assert {"plan", "preprocess@deap", "window@deap", "train@deap-mean"} < filtered
    assert {"download@deap", "face@deap", "settings"}.isdisjoint(filtered)
    other = due_after(lambda params: params["sets"]["deap"].update(source="local", path="/my/files"))
    assert other == {stage.name for stage in read_stages()} - {"code", "settings"}  # plan declares the sets


def test_a_metric_s_code_trains_nothing(project: Path) -> None:
    with Path("himoe/scoring/metrics.py").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    assert due() == {"code", "quality", *AFTER_TRAINING} - {"cost"}  # the page on quality prints tables


def test_a_method_s_code_trains_its_runs(project: Path) -> None:
    with Path("himoe/models/methods/mean.py").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    assert due() == {"code", "train@deap-mean", *AFTER_TRAINING}


def test_how_a_process_starts_is_no_reason(project: Path, lists: dict[str, str]) -> None:
    for name in ("warm.py", "repro.py", "forecast.py"):
        with Path("pipeline", name).open("a", encoding="utf-8") as stream:
            stream.write("# changed\n")
    assert due() == set()
    assert code_lists(project) == lists


def test_an_output_that_is_gone_is_made_again_unless_the_cache_has_it(project: Path) -> None:
    Path("runs/deap-mean").rmdir()
    assert due() == {"train@deap-mean", *AFTER_TRAINING} - {"cost"}  # that reads no runs
    Path(".dvc/cache/files/md5/0.").mkdir(parents=True)
    Path(".dvc/cache/files/md5/0./dir").touch()
    assert due() == set()


def test_without_a_lock_or_code_lists_all_is_to_be_run(project: Path) -> None:
    Path("dvc.lock").unlink()
    assert len(due()) == len(read_stages()) > 15


def stage(name: str, method: str = "") -> Stage:
    return Stage(name, "", (), (), {}, method)


MEASURED = {"train@a": {"seconds": 30.0, "method": "himoe"}, "train@b": {"seconds": 10.0, "method": "himoe"},
            "train@c": {"seconds": 2.0, "method": "mean"}, "tables": {"seconds": 5.0, "method": ""}}


@pytest.mark.parametrize(("name", "method", "value"), [
    ("train@a", "himoe", 30.0), ("train@new", "himoe", 20.0), ("train@new", "bilstm", 14.0), ("tables", "", 5.0),
    ("quality", "", 0.0)])
def test_seconds_of_a_stage_are_its_own_or_those_of_its_like(name: str, method: str, value: float) -> None:
    assert expected(name, method, MEASURED) == pytest.approx(value)


def test_a_machine_half_as_fast_takes_twice_as_long() -> None:
    found = scaled([stage("train@a", "himoe"), stage("train@c", "mean"), stage("tables")], 88,
                   {"units_per_s": 1000.0, "stages": MEASURED}, Speed(400.0, 500.0, 625.0))
    assert found.by_stage == pytest.approx({"train@a": 60.0, "train@c": 4.0, "tables": 10.0})
    assert found.seconds == pytest.approx((74 * 0.8 * 0.85, 74.0, 74 * 1.25 * 1.25))
    assert found.text().splitlines() == [
        "3 of 88 stages to run, at most: 2 train (1 himoe, 1 mean), 1 tables.",
        "About 74 s on this machine (50 s to 2 min), from measured stages and a short test of its speed."]


def test_the_probe_measures_a_rate_that_does_not_hang_on_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that goes on by 1 ms each time it is read: a unit of work takes 1 ms, however long the round."""
    reads = itertools.count()
    monkeypatch.setattr(seconds.time, "perf_counter", lambda: next(reads) / 1000)
    monkeypatch.setattr(seconds, "UNIT", (2, 8))
    for round_s in (0.05, 0.2):
        found = probe(1, rounds=3, round_s=round_s)
        assert (found.low, found.middle, found.high) == pytest.approx((1000, 1000, 1000), rel=0.05)


def test_the_table_holds_every_stage_or_is_refused() -> None:
    params = {"main": {"method": "himoe"}, "runs": {"a": {"method": "mean"}}}
    taken = {"code": 1.0, "main_run": 9.0, "train@a": 2.0}
    assert table(taken, params, ["code", "main_run", "train@a"]) == {
        "code": {"seconds": 1.0, "method": ""}, "main_run": {"seconds": 9.0, "method": ""},
        "train@a": {"seconds": 2.0, "method": "mean"}}
    with pytest.raises(InputError, match=r"no seconds of cost.*make clean"):
        table(taken, params, ["code", "cost"])


def test_the_committed_table_knows_the_stages_of_the_project() -> None:
    measured = seconds.read_seconds()
    names = {one.name for one in read_stages()}
    assert measured["units_per_s"] > 0
    assert names - set(measured["stages"]) == set()
    assert 300 < sum(row["seconds"] for row in measured["stages"].values()) < 3600
