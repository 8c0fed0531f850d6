"""Studies: parameters merged over the project's, and a working copy with this code, the same cache and raw files."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pipeline_helpers import PARAMS, ROOT, environment, run_ok, tiny_params, write_params

from himoe.core.errors import InputError
from himoe.core.files import write_json
from himoe.core.params import RunParams, TrainingParams, parse
from himoe.core.yaml_files import read_yaml
from himoe.models.methods import method_class
from pipeline import demo, overlay, study
from pipeline.code import code_lists

STUDIES = sorted(path.parent.name for path in ROOT.glob("reports/*/params.yaml") if "study" in read_yaml(path))


def leaves(values: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of everything that is not a mapping."""
    if not isinstance(values, dict) or not values:
        return {prefix: values}
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= leaves(value, f"{prefix}.{key}" if prefix else str(key))
    return found


# --- merging ------------------------------------------------------------------------------------------------------

def test_an_overlay_changes_what_it_names_and_nothing_else() -> None:
    base = {"a": {"b": 1, "c": [1, 2], "d": {"e": 2}}, "runs": {"one": {"x": 1}}, "n": None}
    changes = {"a": {"c": [3], "d": {"f": 4}}, "runs": {"two": {"y": 2}}}
    before = copy.deepcopy((base, changes))
    merged = overlay.merge(base, changes)
    assert merged == {"a": {"b": 1, "c": [3], "d": {"e": 2, "f": 4}}, "runs": {"one": {"x": 1}, "two": {"y": 2}},
                      "n": None}
    assert list(merged["runs"]) == ["one", "two"]
    assert (base, changes) == before
    assert leaves(merged) == leaves(base) | leaves(changes)  # said in another way
    replaced = overlay.merge(base, changes, ("runs", "a.d"))
    assert replaced == {**merged, "runs": {"two": {"y": 2}}, "a": {"b": 1, "c": [3], "d": {"f": 4}}}
    assert overlay.merge(base, {"a": {"d": None}, "n": {"m": 1}}) == {**base, "a": {**base["a"], "d": None},
                                                                       "n": {"m": 1}}
    assert overlay.with_value(base, "a.d.e", 9) == {**base, "a": {**base["a"], "d": {"e": 9}}}


@pytest.mark.parametrize("changes, named", [
    ({"study": {"replace": ["runs"]}}, "study.replace"),
    ({"study": {"replaces": []}}, "replaces"),
    ({"study": {"cohorts": ["a"]}}, "cohorts"),
])
def test_a_wrong_overlay_is_refused(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    write_json(tmp_path / "params.yaml", changes)
    with pytest.raises(InputError, match=named):
        overlay.read_study(tmp_path / "params.yaml", ROOT)


# --- the studies of this project ----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_this_project_is_a_whole_set_of_parameters(name: str) -> None:
    found, params = overlay.read_study(ROOT / "reports" / name / "params.yaml", ROOT)
    assert set(params) == set(PARAMS)
    assert set(found.stages) <= set(read_yaml(ROOT / "dvc.yaml")["stages"])
    parse(TrainingParams, params["profiles"][params["profile"]]["training"], "training")
    for run in {**params["runs"], "main": params["main"]}.values():
        assert run["set"] in params["sets"]
        parse(RunParams, {**run, "modalities": run["modalities"].split("+") if "PPS" not in run["modalities"]
                          else ["EEG"]}, name)
    assert {"himoe", *params["report"]["baselines"]} <= {run["method"] for run in params["runs"].values()}


def test_what_the_extended_study_shares_with_the_project_it_states_alike() -> None:
    """The same run under the same name, so that it comes from the cache."""
    extended = read_yaml(ROOT / "reports" / "extended" / "params.yaml")["runs"]
    assert {name: run for name, run in extended.items() if name in PARAMS["runs"]} == {
        name: run for name, run in PARAMS["runs"].items() if name in extended}
    every = {**PARAMS["runs"], **extended}
    lines = [str(sorted(run.items(), key=str)) for run in every.values()]
    assert len(set(lines)) == len(lines)


def test_cohorts_are_other_people_than_the_project_s() -> None:
    found, params = overlay.read_study(ROOT / "reports" / "cohorts" / "params.yaml", ROOT)
    assert len(set(found.cohorts)) == 3
    assert PARAMS["simulate"]["seed"] not in found.cohorts
    assert all(params["profiles"][params["profile"]]["size"][name] for name in params["sets"])
    _, extended = overlay.read_study(ROOT / "reports" / "extended" / "params.yaml", ROOT)
    assert set(params["runs"]) <= set(extended["runs"])  # the project's and those it leaves out for time
    assert {len(run["seeds"]) for run in params["runs"].values() if method_class(run["method"]).gradient} == {3}


def test_the_demonstration_calls_stages_as_dvc_does() -> None:
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    for _, script, arguments in (*demo.STEPS, demo.LAST):
        words = stages[script].get("do", stages[script])["cmd"].replace("${key}", demo.SET).split()
        assert words == ["python", "-m", f"pipeline.{script}", *arguments]


# --- the working copy ---------------------------------------------------------------------------------------------

@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with raw files of one simulated set, and their entry in dvc.lock."""
    root = tmp_path / "project"
    (root / "data" / "raw" / "deap" / "inner").mkdir(parents=True)
    (root / "data" / "raw" / "deap" / "inner" / "s01.bdf").write_bytes(b"raw")
    for name in ("himoe", "pipeline", "bench", "dvc.yaml", ".dvcignore"):
        (root / name).symlink_to(ROOT / name)
    params = tiny_params()
    recorded = {"profile": params["profile"], "simulate": params["simulate"], "sets.deap": params["sets"]["deap"]}
    entry = {"cmd": "c", "params": {"params.yaml": recorded}, "outs": [{"path": "data/raw/deap", "md5": "1.dir"}]}
    write_json(root / "dvc.lock", {"schema": "2.0", "stages": {"download@deap": entry, "split@deap": {"cmd": "s"}}})
    return root


def test_a_working_copy_has_this_code_other_parameters_and_the_shared_cache(
        tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    params, work = tiny_params(), tmp_path / "work"
    (work / "himoe").mkdir(parents=True)
    (work / "himoe" / "gone.py").write_text("", encoding="utf-8")  # left by an earlier version
    study.prepare(project, work, params)
    assert code_lists(work) == code_lists(ROOT)
    assert not (work / "himoe" / "gone.py").exists()
    for name in ("dvc.yaml", ".dvcignore", "bench/cost.csv"):
        assert (work / name).read_bytes() == (ROOT / name).read_bytes()
    assert read_yaml(work / "params.yaml") == params
    assert list(read_yaml(work / "params.yaml")["runs"]) == list(params["runs"])
    assert Path(run_ok(work, "dvc", "config", "cache.dir").strip()) == project / ".dvc" / "cache"


def test_raw_files_are_linked_where_the_parameters_that_made_them_are_the_same(tmp_path: Path, project: Path) -> None:
    params, raw = tiny_params(), Path("data/raw/deap/inner/s01.bdf")
    same, other, real = (tmp_path / name for name in ("same", "other", "real"))
    study.prepare(project, same, params)
    assert (same / raw).samefile(project / raw)
    assert list(read_yaml(same / "dvc.lock")["stages"]) == ["download@deap"]
    study.prepare(project, other, overlay.with_value(params, "simulate.seed", 5))
    study.prepare(project, real, overlay.with_value(params, "sets.deap.source", "local"))
    assert not (other / "data").exists()
    assert not (real / "data").exists()
    write_params(tmp_path, params)
    (same / raw).unlink()  # as a stage would: the project's own file stays
    assert (project / raw).read_bytes() == b"raw"
    assert os.listdir(project / "data" / "raw") == ["deap"]


@pytest.mark.parametrize("given, studies", [
    ({}, ["reports/real"]),  # says which folder it wants
    ({"CEAP360VR": "/a", "HKU956": "/b b"}, ["reports/real"]),
    ({"WESAD": "/c"}, ["reports/wesad"]),
    ({"CEAP360VR": "/a", "HKU956": "/b", "WESAD": "/c"}, ["reports/real", "reports/wesad"]),
])
def test_make_real_runs_the_studies_whose_folders_are_given(given: dict[str, str], studies: list[str]) -> None:
    """As an argument of make, or by the environment."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HIMOE_", "MAKE"))}
    for words, more in (([f"{key}={value}" for key, value in given.items()], {}),
                        ([], {f"HIMOE_{key}_PATH": value for key, value in given.items()})):
        shown = subprocess.run(["make", "-n", "real", *words], cwd=ROOT, env=clean | more, check=True, text=True,
                               capture_output=True).stdout
        assert re.findall(r"pipeline\.study (\S+)", shown) == studies
        assert all(f'HIMOE_{key}_PATH="{value}"' in shown for key, value in given.items())
