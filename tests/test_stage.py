"""What every stage shares: parameters as DVC gives them, the number of processes, errors in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dvc.api
import pytest
from dvc.repo import Repo
from pipeline_helpers import ROOT

from himoe.errors import InputError
from pipeline.stage import fill, jobs, look_up, main, read_yaml, stage_params

PARAMS = """
profile: small
rate: 1e-3
word: on
other: yes
clock: 1:30
octal: 010
sizes: {a: {n: 2, kind: red}, b: {n: 3, kind: blue}}
names: [x, y]
profiles: {small: {epochs: 2, size: {a: 5}}, large: {epochs: 7, size: {a: 11}}}
kinds: {red: 1.5e3, blue: null}
"""
STAGES = """
stages:
  plain:
    cmd: echo plain
    params: [profile, rate, word, other, clock, octal, 'profiles.${profile}.epochs']
  over_dict:
    foreach: ${sizes}
    do:
      cmd: echo ${key} ${item.n}
      params: ['sizes.${key}', 'profiles.${profile}.size', 'kinds.${item.kind}']
  over_list:
    foreach: ${names}
    do:
      cmd: echo ${item}
      params: ['profiles.${profile}']
  bare:
    cmd: echo bare
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project of two files, as working directory."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n", encoding="utf-8")
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- parameters ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("stage", "expected"), [
    ("plain", {"profile": "small", "rate": 0.001, "word": "on", "other": "yes", "clock": "1:30", "octal": 10,
               "profiles": {"small": {"epochs": 2}}}),
    ("over_dict@a", {"sizes": {"a": {"n": 2, "kind": "red"}}, "profiles": {"small": {"size": {"a": 5}}},
                     "kinds": {"red": 1500.0}}),
    ("over_dict@b", {"sizes": {"b": {"n": 3, "kind": "blue"}}, "profiles": {"small": {"size": {"a": 5}}},
                     "kinds": {"blue": None}}),
    ("over_list@y", {"profiles": {"small": {"epochs": 2, "size": {"a": 5}}}}),
])
@pytest.mark.usefixtures("project")
def test_parameters_are_those_that_dvc_gives(stage: str, expected: dict[str, Any]) -> None:
    assert stage_params(stage) == expected
    assert dvc.api.params_show(stages=stage) == expected


@pytest.mark.usefixtures("project")
def test_a_stage_without_parameters_has_none() -> None:
    assert stage_params("bare") == {}


@pytest.mark.slow
def test_every_stage_of_the_project_gets_what_dvc_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    kinds: set[str] = set()
    with Repo(str(ROOT)) as repo:
        names = [stage.addressing for stage in repo.index.stages]
        for name in names:
            shown = repo.params.show(stages=[name], on_error="raise")[""].get("data", {})
            assert stage_params(name) == shown.get("params.yaml", {}).get("data", {}), name
            kinds.add(name.partition("@")[0])
    assert len(names) > 60
    assert kinds == set(read_yaml(ROOT / "dvc.yaml")["stages"])
    for name in ("train_main", "train@deap-experts4", "evaluate"):
        assert stage_params(name) == dvc.api.params_show(stages=name)


@pytest.mark.parametrize(("stage", "words"), [
    ("absent", ("dvc.yaml", "'absent'", "plain", "over_dict")),
    ("over_dict@c", ("params.yaml", "sizes", "'c'", "a, b")),
    ("over_list@z", ("names", "'z'", "x, y")),
])
@pytest.mark.usefixtures("project")
def test_an_unknown_stage_or_item_is_refused(stage: str, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error:
        stage_params(stage)
    assert all(word in str(error.value) for word in words), error.value


def test_a_declared_parameter_that_is_not_there_is_refused(project: Path) -> None:
    (project / "params.yaml").write_text(PARAMS.replace("rate:", "ratio:"), encoding="utf-8")
    with pytest.raises(InputError, match=r"params\.yaml: found no key 'rate'"):
        stage_params("plain")


@pytest.mark.parametrize(("text", "words"), [
    ("a: [1, 2\n", ("cannot be read",)),
    ("a: 1\na: 2\n", ("cannot be read", "duplicate")),
    ("[1, 2]\n", ("list", "mapping")),
    ("", ("NoneType", "mapping")),
])
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_yaml(path)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in ("broken.yaml", *words)), error.value


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        read_yaml(tmp_path / "none.yaml")


def test_text_is_filled_from_nested_values() -> None:
    values = {"item": {"set": "deap", "fold": 3}, "key": "run"}
    assert fill("runs.${key}/${item.set}-${item.fold}", values) == "runs.run/deap-3"
    assert look_up(values, "item.fold", "here") == 3
    with pytest.raises(InputError, match=r"here: found no key 'item\.set\.x'"):
        look_up(values, "item.set.x", "here")


# --- processes and errors -----------------------------------------------------------------------------------------

def test_jobs_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIMOE_JOBS", "3")
    assert jobs() == 3
    monkeypatch.delenv("HIMOE_JOBS")
    assert jobs() >= 1


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_jobs_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HIMOE_JOBS", text)
    with pytest.raises(InputError, match="HIMOE_JOBS"):
        jobs()


def test_bad_input_ends_in_one_sentence_and_exit_code_1(monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    def run(argument: str) -> None:
        raise InputError(f"{argument}: found nothing, expected something; bring it.")

    monkeypatch.setattr("sys.argv", ["stage", "data/x"])
    with pytest.raises(SystemExit) as ended:
        main(run)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: data/x: found nothing, expected something; bring it.\n"
