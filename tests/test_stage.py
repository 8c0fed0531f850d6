"""What every stage shares: parameters as DVC gives them, the number of processes, errors in one sentence.

Then the stages ``settings`` and ``face`` one by one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import dvc.api
import numpy as np
import pytest
from dvc.repo import Repo
from pipeline_helpers import ROOT, workbench
from ruamel.yaml import YAML, cyaml
from toysets import file_bytes, make_store, write_store

from himoe.core.errors import InputError
from himoe.core.files import read_json
from himoe.core.params import VideoParams
from himoe.core.yaml_files import read_yaml
from himoe.prepare.faces import extract
from himoe.simulate.generate import SimulationParams, simulate_deap
from pipeline.face import face
from pipeline.runs import run_config
from pipeline.settings import settings
from pipeline.stage import fill, jobs, look_up, main, stage_params

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


def leaves(values: Any) -> int:
    """How many single values stand in nested mappings; an empty one counts as one."""
    return sum(map(leaves, values.values())) if isinstance(values, dict) and values else 1


@pytest.mark.nightly
def test_every_stage_of_the_project_gets_what_dvc_gives(project: Path) -> None:
    """What DVC's own parameter dependency of each stage reads; for some also the public call, which takes a second."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, project / name)
    names, kinds = [], set()
    with Repo(str(project)) as repo:
        for stage in repo.index.stages:
            expected: dict[str, Any] = {}
            for dependency in stage.params:
                for key, value in dependency.read_params().items():
                    assert key not in expected
                    expected[key] = value
            given = stage_params(stage.addressing)
            assert {key: look_up(given, key, "here") for key in expected} == expected, stage.addressing
            assert leaves(given) == leaves(expected), stage.addressing  # and nothing else
            names.append(stage.addressing)
            kinds.add(stage.addressing.partition("@")[0])
    assert len(names) > 60
    assert kinds == set(read_yaml(ROOT / "dvc.yaml")["stages"])
    for name in ("main_run", "train@deap-no_residual", "evaluate", "settings", "face@seed", "preprocess@deap"):
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


@pytest.mark.parametrize("given", [[], ["data/x", "data/y"], ["--fast"]])
def test_arguments_that_are_not_a_stages_own_run_nothing(monkeypatch: pytest.MonkeyPatch, given: list[str],
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    def clean(folder: str) -> None:
        raise AssertionError(folder)

    monkeypatch.setattr("sys.argv", ["stage", *given])
    with pytest.raises(SystemExit) as ended:
        main(clean)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: clean: arguments: found {' '.join(given) or 'none'}, expected F")
    monkeypatch.setattr("sys.argv", ["stage", "--help"])
    main(clean)


def test_bad_input_ends_in_one_sentence_and_exit_code_1(monkeypatch: pytest.MonkeyPatch,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    def run(argument: str) -> None:
        raise InputError(f"{argument}: found nothing, expected something; bring it.")

    monkeypatch.setattr("sys.argv", ["stage", "data/x"])
    with pytest.raises(SystemExit) as ended:
        main(run)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: data/x: found nothing, expected something; bring it.\n"


# --- settings: what the runs of the tables share ------------------------------------------------------------------

def enter(project: Path, monkeypatch: pytest.MonkeyPatch, change: Any = None) -> Path:
    """The tiny project, changed, as working directory, with its runs' lines as the stage ``plan`` leaves them."""
    workbench(project, change)
    monkeypatch.chdir(project)
    Path("lines.json").write_text(json.dumps(read_yaml(Path("params.yaml"))["runs"]), encoding="utf-8")
    return project


def test_settings_are_all_that_decides_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile may change the model of the tables' runs, and a line its own; ``main`` follows the blocks on top."""
    def change(params: dict[str, Any]) -> None:
        params["reference"]["model"].update(features=24, face_units=5)
        params["profiles"]["embedded"]["model"] = {"eeg_encoder": "power"}
        params["model"].update(features=40)
        params["runs"]["deap-himoe"].update(variant="small", model={"emotion_experts": 3}, seeds=[4, 6])

    project = enter(tmp_path / "project", monkeypatch, change)
    params = read_yaml(Path("params.yaml"))
    settings("lines.json", "settings/runs", "settings/main.json")
    shared = {**{key: params[key] for key in ("seed", "missing", "windows", "alignment")},
              "training": params["profiles"]["embedded"]["training"]}
    tables = {**params["reference"]["model"], "eeg_encoder": "power"}
    found = {path.stem: read_json(path) for path in Path("settings/runs").iterdir()}
    assert set(found) == set(params["runs"])
    assert found["deap-mean"] == {**shared, "run": params["runs"]["deap-mean"], "model": tables}
    assert found["deap-himoe"] == {**shared, "run": params["runs"]["deap-himoe"],
                                   "model": {**tables, "emotion_experts": 3},
                                   "training": {**shared["training"], "seeds": [4, 6]}}
    assert read_json(Path("settings/main.json")) == {**shared, "run": params["main"], "model": params["model"]}
    write_store(project / "windows", make_store(1, 2))
    config, values = run_config("deap-himoe", Path("windows"), Path("settings/runs/deap-himoe.json"))
    assert (config.model.features, config.model.face_units, config.model.emotion_experts) == (24, 5, 3)
    assert (config.training.epochs, config.training.seeds, config.missing.rates) == (1, (4, 6), (0.0, 0.4))
    assert (values, config.modality_set) == (found["deap-himoe"], "EEG+EDA")


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p["profiles"]["embedded"]["training"]["search"].update(epochs="two"),
     ("profiles.embedded.training.search.epochs", "'two'", "a whole number, 5 or more")),
    (lambda p: p["windows"].update(step_s=5.0), ("windows.step_s", "5.0", "length_s")),
    (lambda p: p["reference"]["model"].update(depth=3), ("reference.model", "'depth'", "eeg_depth")),
    (lambda p: p["model"].update(dropout=1.5), ("params.yaml: model.dropout", "1.5")),
    (lambda p: p["runs"]["deap-mean"].update(variant="x", model={"width": 3}), ("runs.deap-mean.model", "'width'")),
    (lambda p: p.pop("missing"), ("params.yaml", "'missing'")),
    (lambda p: p["reference"].pop("model"), ("params.yaml: reference", "['alignment']", "model and alignment")),
    (lambda p: p["reference"].update(modle={}), ("params.yaml: reference", "'modle'", "model and alignment")),
    (lambda p: p.update(seed="one"), ("params.yaml: seed", "'one'", "whole number")),
])
def test_a_bad_setting_is_refused_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any,
                                                 words: tuple[str, ...]) -> None:
    enter(tmp_path / "project", monkeypatch, change)
    with pytest.raises(InputError) as error:
        settings("lines.json", "settings/runs")
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in ("params.yaml", *words)), error.value
    assert not Path("settings").exists()


# --- face ---------------------------------------------------------------------------------------------------------

FACE = ("deap", "data/raw/deap", "data/faces/deap")
VIDEOS = ["s01/v01", "s01/v02", "s01/v03"]


@pytest.fixture
def filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the raw files of one simulated person, three videos; a network of one number a frame."""
    class Brightness:
        label, device = "brightness", type("Device", (), {"type": "cpu"})

        def __init__(self, *_: object) -> None:
            pass

        def features(self, crops: np.ndarray) -> np.ndarray:
            return crops.mean((1, 2, 3), dtype=np.float32)[:, None].repeat(1280, axis=1)

    project = enter(tmp_path / "project", monkeypatch)
    simulate_deap(project / FACE[1], SimulationParams(1, 3, 0, video=VideoParams(1.0, 240, 192)), "dat")
    monkeypatch.setattr(extract, "FrameNetwork", Brightness)
    monkeypatch.setenv("HIMOE_JOBS", "1")
    return project


@pytest.mark.slow
@pytest.mark.usefixtures("filmed")
def test_a_killed_face_stage_reads_only_the_videos_that_were_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    whole = extract.extract_video

    def dying(path: Path, *rest: Any) -> extract.FaceTrack:
        if len(read) == 2:
            raise KeyboardInterrupt
        return counting(path, *rest)

    def counting(path: Path, *rest: Any) -> extract.FaceTrack:
        read.append(path.name)
        return whole(path, *rest)

    monkeypatch.setattr(extract, "extract_video", dying)
    with pytest.raises(KeyboardInterrupt):
        face(*FACE)
    first = list(read)
    assert len(first) == 2
    assert list(Path("data/faces").iterdir()) == []  # nothing looks finished, nothing half-written is left
    monkeypatch.setattr(extract, "extract_video", counting)
    face(*FACE)
    assert len(read) == len(set(read)) == 3
    assert read[:2] == first
    resumed = file_bytes(Path(FACE[2]))
    assert sorted(resumed) == ["faces.json", *(f"{name}.parquet" for name in VIDEOS)]
    monkeypatch.setattr(extract, "extract_video", whole)
    Path(".himoe").rename("scratch-of-before")
    face(*FACE)
    assert file_bytes(Path(FACE[2])) == resumed


@pytest.mark.usefixtures("filmed")
def test_a_damaged_video_is_said_and_the_others_are_read() -> None:
    videos = sorted(Path(FACE[1]).rglob("*.avi"))
    videos[1].write_bytes(videos[1].read_bytes()[:3000])
    face(*FACE)
    found = read_json(Path(FACE[2]) / "faces.json")["videos"]
    assert list(found) == VIDEOS
    (damaged,) = (name for name, entry in found.items() if entry["problem"])
    assert found[damaged]["problem"].startswith(f"{videos[1].name}: found ")
    assert sorted(path.stem for path in Path(FACE[2]).rglob("*.parquet")) == sorted(
        name.split("/")[1] for name in VIDEOS if name != damaged)


@pytest.mark.usefixtures("filmed")
def test_damaged_videos_alone_leave_no_output() -> None:
    for path in Path(FACE[1]).rglob("*.avi"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of the 3 videos can be read; the first: s01_trial0"):
        face(*FACE)
    assert list(Path("data/faces").iterdir()) == []


@pytest.mark.parametrize("why", ["no videos", "not asked for", "a set that has none"])
def test_a_set_without_videos_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Also where the videos lie there but FACE is not among the modalities to be read."""
    def change(params: dict[str, Any]) -> None:
        params["sets"]["dreamer"] = {"source": "simulate", "path": None, "layout": None, "redistribute": False}
        params["sets"]["deap"].update({"layout": "dat"} | ({"modalities": ["EEG", "EDA"]} if "asked" in why else {}))

    project = enter(tmp_path / "project", monkeypatch, change)
    if why == "a set that has none":
        face("dreamer", "data/raw/dreamer", "out")
    else:
        video = VideoParams(1.0, 64, 64) if why == "not asked for" else None
        simulate_deap(project / FACE[1], SimulationParams(1, 1, 0, video=video), "dat")
        face("deap", FACE[1], "out")
        assert any((project / FACE[1]).rglob("*.avi")) == (why == "not asked for")
    assert {name: value.decode() for name, value in file_bytes(Path("out")).items()} == {
        "faces.json": '{\n  "videos": {}\n}\n'}


def test_a_bad_face_parameter_is_refused_before_any_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path / "project", monkeypatch, lambda p: p["profiles"]["embedded"]["face"].update(fps_hz=0))
    with pytest.raises(InputError, match=r"params\.yaml.*face\.fps_hz: found 0, expected .*above 0"):
        face(*FACE)
    assert not Path("data").exists()


def test_the_fast_parser_reads_what_the_plain_one_reads() -> None:
    """DVC and the stages use libyaml where it is there; ruamel.yaml's own parser knows all of YAML 1.2."""
    assert cyaml.CParser is not None
    for path in (ROOT / "dvc.yaml", ROOT / "params.yaml", *ROOT.glob("reports/*/params.yaml")):
        plain = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        assert repr(read_yaml(path)) == repr(plain), path  # types and order too
