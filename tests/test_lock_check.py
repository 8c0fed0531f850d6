"""dvc.lock against the code, the parameters and the committed outputs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipeline_helpers import run_ok

from pipeline.lock_check import dvc_md5, lock_problems

LISTS = {"train-mean": "aa  himoe/models/methods/mean.py\n", "tables": "bb  pipeline/tables.py\n"}


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def make_lock() -> dict[str, Any]:
    """A lock of three stages that fits LISTS, the parameters and the output below."""
    return {
        "code": {"cmd": "c", "deps": [{"path": "himoe", "md5": "0.dir"}], "outs": [{"path": "code", "md5": "1.dir"}]},
        "train@a": {"cmd": "t", "deps": [{"path": "code/train-mean.txt", "md5": md5(LISTS["train-mean"])},
                                         {"path": "data/windows", "md5": "2.dir"}],
                    "params": {"params.yaml": {"seed": 3, "runs.a": {"method": "mean"}, "training.rate": 0.001}},
                    "outs": [{"path": "runs/a", "md5": "3.dir"}]},
        "tables": {"cmd": "x", "deps": [{"path": "code/tables.txt", "md5": md5(LISTS["tables"])},
                                        {"path": "bench/cost.csv", "md5": md5("3,4,5\n")}],
                   "outs": [{"path": "reports/table.csv", "md5": md5("1,2\n")}]},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with lock, parameters and the committed output; data and weights are not there."""
    write_lock(tmp_path, make_lock())
    (tmp_path / "params.yaml").write_text("seed: 3\nruns: {a: {method: mean}}\ntraining: {rate: 1e-3}\n",
                                          encoding="utf-8")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "table.csv").write_text("1,2\n", encoding="utf-8")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "cost.csv").write_text("3,4,5\n", encoding="utf-8")
    return tmp_path


def write_lock(folder: Path, stages: dict[str, Any]) -> None:
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")


NAMES = ["code", "train@a", "tables"]


def test_a_lock_that_fits_has_no_problems(folder: Path) -> None:
    assert lock_problems(LISTS, folder, NAMES) == []
    assert lock_problems(LISTS, folder) == []


def test_changed_code_is_found_by_the_stages_that_read_its_list(folder: Path) -> None:
    changed = {**LISTS, "train-mean": "cc  himoe/models/methods/mean.py\n"}
    assert lock_problems(changed, folder, NAMES) == ["train@a: code/train-mean.txt: the code changed since it ran"]


def test_a_change_in_code_that_no_list_names_is_found_by_the_stage_that_makes_the_lists(folder: Path) -> None:
    assert lock_problems(LISTS, folder, NAMES, code={"himoe": "0.dir"}) == []
    for code in ({"himoe": "9.dir"}, {"himoe": None}, {"pipeline": "0.dir"}):
        assert lock_problems(LISTS, folder, NAMES, code=code) == ["code: himoe: the code changed since it ran"]


def test_a_stage_that_ran_without_a_code_list_is_found(folder: Path) -> None:
    lock = make_lock()
    lock["tables"]["deps"] = [{"path": "pipeline/tables.py", "md5": md5("")}]
    write_lock(folder, lock)
    assert lock_problems(LISTS, folder, NAMES) == ["tables: no code list among its dependencies"]


def test_what_was_measured_anew_is_found_by_the_stages_that_read_it(folder: Path, tmp_path: Path) -> None:
    study = tmp_path / "reports" / "study"  # has the project's measurements
    study.mkdir()
    for name in ("dvc.lock", "params.yaml"):
        (study / name).write_bytes((folder / name).read_bytes())
    assert lock_problems(LISTS, study, root=folder) == []
    (folder / "bench" / "cost.csv").write_text("3,4,6\n", encoding="utf-8")
    for place in (folder, study):
        assert lock_problems(LISTS, place, root=folder) == ["tables: bench/cost.csv changed since it ran"]


@pytest.mark.parametrize(("old", "new", "key"), [
    ("seed: 3", "seed: 4", "seed"), ("method: mean", "method: himoe", "runs.a"), ("1e-3", "2e-3", "training.rate"),
    ("training: {rate: 1e-3}", "", "training.rate"),
])
def test_a_changed_parameter_is_found(folder: Path, old: str, new: str, key: str) -> None:
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert lock_problems(LISTS, folder, NAMES) == [f"train@a: parameter {key} changed since it ran"]


def test_stages_of_only_one_of_the_two_files_are_found(folder: Path) -> None:
    assert lock_problems(LISTS, folder, ["code", "tables", "figures"]) == [
        "figures: in dvc.yaml but not in dvc.lock", "train@a: in dvc.lock but not in dvc.yaml"]


def test_a_dependency_that_its_stage_wrote_differently_is_found(folder: Path) -> None:
    """The digest a stage read is the one that the stage before wrote; what no stage wrote is not judged."""
    lock = make_lock()
    lock["tables"]["deps"].append({"path": "runs/a", "md5": "3.dir"})
    write_lock(folder, lock)
    assert lock_problems(LISTS, folder, NAMES) == []
    lock["train@a"]["outs"][0]["md5"] = "4.dir"  # it ran again, the tables did not
    write_lock(folder, lock)
    assert lock_problems(LISTS, folder, NAMES) == ["tables: runs/a is not what its stage wrote"]
    assert lock_problems(LISTS, folder) == ["tables: runs/a is not what its stage wrote"]
    del lock["tables"]["deps"][-1]["md5"]  # an entry without a digest proves nothing
    write_lock(folder, lock)
    assert lock_problems(LISTS, folder, NAMES) == ["tables: runs/a is not what its stage wrote"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_changed_or_lost_output_is_found(folder: Path, gone: bool) -> None:
    output = folder / "reports" / "table.csv"
    output.unlink() if gone else output.write_text("1,3\n", encoding="utf-8")
    assert lock_problems(LISTS, folder, NAMES) == ["tables: reports/table.csv is not what it wrote"]
    assert lock_problems(LISTS, folder) == []


def recorded_of(folder: Path, name: str) -> str:
    """DVC's digest of what it has added."""
    return str(yaml.safe_load((folder / f"{name}.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"])


def test_digests_are_those_of_dvc(tmp_path: Path) -> None:
    """A file and a folder with a folder in it, added by DVC itself."""
    (tmp_path / "made" / "b").mkdir(parents=True)
    for name, text in (("z.json", "{}"), ("a.csv", "1\n"), ("b/c.txt", ""), ("b.txt", "é")):
        (tmp_path / "made" / name).write_text(text, encoding="utf-8")
    (tmp_path / "one.txt").write_text("one\n", encoding="utf-8")
    run_ok(tmp_path, "dvc", "init", "-q", "--no-scm")
    run_ok(tmp_path, "dvc", "add", "-q", "made", "one.txt")
    for name in ("made", "one.txt"):
        assert dvc_md5(tmp_path / name) == recorded_of(tmp_path, name)
    assert dvc_md5(tmp_path / "none") is None
    (tmp_path / "made" / "b" / "__pycache__").mkdir()
    (tmp_path / "made" / "b" / "__pycache__" / "c.pyc").write_bytes(b"0")
    assert dvc_md5(tmp_path / "made") != (made := recorded_of(tmp_path, "made"))
    assert dvc_md5(tmp_path / "made", lambda path: "__pycache__" not in path.parts) == made
