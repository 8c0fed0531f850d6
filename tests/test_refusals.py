"""Wrong input, through the real commands: one sentence on standard error, nothing half-written left."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from pipeline_helpers import no_faces, stage, workbench
from toysets import make_store, write_feature_store, write_store

from himoe.core.checksums import SUMS
from himoe.core.files import write_json
from himoe.core.params import VideoParams
from himoe.core.recordings import Recording, Signal
from himoe.prepare.recording_files import write_description, write_recordings
from himoe.simulate.generate import SimulationParams, simulate_deap

Change = Callable[[dict[str, Any]], object]
WINDOWS, FEATURES, FOLDS = "data/windows/deap", "data/features/deap", "data/folds/deap"


@pytest.fixture(scope="module")
def raw_deap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated DEAP participant with two trials, as BDF."""
    root = tmp_path_factory.mktemp("raw") / "deap"
    simulate_deap(root, SimulationParams(1, 2, 0), "bdf")
    write_json(root / "provenance.json", {"set": "deap", "title": "DEAP", "source": "simulate", "simulated": True,
                                            "label": "DEAP (simulated)"})
    return root


def place_raw(project: Path, source: Path, name: str = "deap") -> Path:
    target = project / "data" / "raw" / name
    shutil.copytree(source, target)
    return target


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed with one sentence on standard error, and it names all of *words*."""
    # joblib's resource tracker, a process of its own, may warn on a loaded machine after its pool was stopped
    lines = [line for line in done.stderr.splitlines()
             if line.strip() and "resource_tracker" not in line and line.strip() != "warnings.warn("]
    assert done.returncode != 0
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(".")
    for word in words:
        assert word in lines[0], lines[0]


def nothing_left(folder: Path) -> None:
    """No output and no half-written one beside it."""
    assert not folder.exists()
    assert not folder.parent.exists() or [p.name for p in folder.parent.iterdir() if p.name.startswith(".")] == []


PLAN = ("settings/protocols", "settings/filters", "settings/lines.json")


def clean(project: Path, name: str) -> subprocess.CompletedProcess[str]:
    """What the stage ``plan`` says where it refuses, else what ``preprocess`` says."""
    planned = stage(project, "plan", *PLAN)
    return planned if planned.returncode else stage(
        project, "preprocess", name, f"data/raw/{name}", f"data/faces/{name}", f"settings/filters/{name}.json",
        f"data/signals/{name}")


def preprocess(project: Path, name: str = "deap") -> subprocess.CompletedProcess[str]:
    no_faces(project, name)
    return clean(project, name)


def test_a_truncated_bdf_is_refused(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project")
    path = place_raw(project, raw_deap) / "data_original" / "s01.bdf"
    os.truncate(path, path.stat().st_size // 2)
    refused(preprocess(project), "s01.bdf", "truncated", f"{path.stat().st_size} bytes")
    nothing_left(project / "data" / "signals" / "deap")


def test_cleaning_without_what_the_face_stage_leaves_is_refused(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project")
    place_raw(project, raw_deap)
    refused(clean(project, "deap"), "data/faces/deap/faces.json", "missing")
    nothing_left(project / "data" / "signals" / "deap")


@pytest.mark.parametrize("key", ["deap", "default"])
def test_a_table_of_filters_that_is_not_there_is_refused(tmp_path: Path, raw_deap: Path, key: str) -> None:
    project = workbench(tmp_path / "project",
                        lambda p: p["profiles"]["embedded"].update(preprocess={"default": "quick", key: "quik"}))
    place_raw(project, raw_deap)
    refused(preprocess(project), f"preprocess.{key}", "'quik'", "quick_seed")
    nothing_left(project / "data" / "signals" / "deap")


def test_one_table_of_filters_for_all_sets_without_its_key_is_refused(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"].update(preprocess="quick"))
    place_raw(project, raw_deap)
    refused(preprocess(project), "profiles.*.preprocess", "'quick'", "{default: quick}")
    nothing_left(project / "data" / "signals" / "deap")


def test_a_bad_setting_of_all_runs_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["reference"]["model"].update(dropout=1.5))
    refused(stage(project, "settings", "settings/lines.json", "settings/runs"), "params.yaml", "model.dropout", "1.5",
            "[0, 1)")
    nothing_left(project / "settings" / "runs")


def test_a_video_rate_above_the_videos_own_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"]["face"].update(fps_hz=9))
    simulate_deap(project / "data" / "raw" / "deap", SimulationParams(1, 1, 0, video=VideoParams(4.0, 64, 64)), "bdf")
    refused(stage(project, "face", "deap", "data/raw/deap", "data/faces/deap"), "s01_trial01.avi", "9 Hz", "4 Hz")
    nothing_left(project / "data" / "faces" / "deap")


class Malicious:
    """Pickles as a call of ``os.system``."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_malicious_dat_is_refused_and_runs_nothing(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["sets"]["deap"].update(layout="dat"))
    marker = tmp_path / "was-here"
    content = {"data": Malicious(f"touch {marker}"), "labels": np.zeros((2, 4))}
    raw = place_raw(project, raw_deap)
    (raw / "data_preprocessed_python").mkdir()
    (raw / "data_preprocessed_python" / "s01.dat").write_bytes(pickle.dumps(content, protocol=2))
    refused(preprocess(project), "s01.dat", "system")
    assert not marker.exists()
    nothing_left(project / "data" / "signals" / "deap")


def with_dreamer(params: dict[str, Any]) -> None:
    params["sets"]["dreamer"] = {"source": "simulate", "path": None, "layout": None, "redistribute": False}


def test_a_mat_file_without_a_field_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", with_dreamer)
    raw = project / "data" / "raw" / "dreamer"
    raw.mkdir(parents=True)
    scipy.io.savemat(raw / "DREAMER.mat", {"DREAMER": {
        "noOfSubjects": 1.0, "noOfVideoSequences": 1.0, "ECG_SamplingRate": 256.0, "EEG_SamplingRate": 128.0}})
    refused(preprocess(project, "dreamer"), "DREAMER", "Data")
    nothing_left(project / "data" / "signals" / "dreamer")


def test_ratings_without_a_column_are_refused_before_anything_is_linked(tmp_path: Path, raw_deap: Path) -> None:
    source = tmp_path / "mine"
    shutil.copytree(raw_deap, source)
    table = pd.read_csv(source / "metadata_csv" / "participant_ratings.csv")
    table.drop(columns="Arousal").to_csv(source / "metadata_csv" / "participant_ratings.csv", index=False)

    def change(params: dict[str, Any]) -> None:
        params["sets"]["deap"].update(source="local", path=str(source), redistribute=True)

    project = workbench(tmp_path / "project", change)
    refused(stage(project, "download", "deap", "data/raw/deap"), "participant_ratings.csv", "Arousal")
    nothing_left(project / "data" / "raw" / "deap")


def test_real_data_of_a_closed_licence_does_not_go_to_the_shared_remote(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["sets"]["deap"].update(source="local", path=str(raw_deap)))
    refused(stage(project, "download", "deap", "data/raw/deap"), "remote", "'shared'", "licensed")
    nothing_left(project / "data" / "raw" / "deap")


@pytest.mark.parametrize("sized", [True, False])
def test_a_set_without_simulator_is_refused(tmp_path: Path, sized: bool) -> None:
    def change(params: dict[str, Any]) -> None:
        params["sets"] = {"hku956": {"source": "simulate", "path": None, "layout": None, "redistribute": False}}
        if sized:
            params["profiles"]["embedded"]["size"]["hku956"] = {"subjects": 2, "trials": 2}

    project = workbench(tmp_path / "project", change)
    refused(stage(project, "download", "hku956", "data/raw/hku956"), "sets.hku956.source", "no simulator")
    nothing_left(project / "data" / "raw" / "hku956")


def test_a_set_without_size_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"]["size"].pop("deap"))
    refused(stage(project, "download", "deap", "data/raw/deap"), "profiles.embedded.size.deap", "'subjects'")
    nothing_left(project / "data" / "raw" / "deap")


REPORTS = {"tables": ("reports/tables",), "figures": ("reports/figures",),
           "report": ("reports/index.html", "reports/README.md", "reports/figures")}


@pytest.mark.parametrize("script", list(REPORTS))
def test_a_report_of_a_run_that_is_gone_is_refused(tmp_path: Path, script: str) -> None:
    """Its metrics may still lie in the folder."""
    project = workbench(tmp_path / "project")
    write_json(project / "metrics" / "runs" / "deap-mean.json", {"run": "deap-mean"})
    refused(stage(project, script, "runs", "scores", "metrics", *REPORTS[script]), "runs/deap-mean/run.json",
            "dvc repro train@deap-mean")
    nothing_left(project / REPORTS[script][0])


@pytest.mark.parametrize("script", list(REPORTS))
def test_a_report_of_nothing_is_refused(tmp_path: Path, script: str) -> None:
    project = workbench(tmp_path / "project")
    refused(stage(project, script, "runs", "scores", "metrics", *REPORTS[script]), "metrics/runs", "no run", "evaluate")
    nothing_left(project / REPORTS[script][0])


def test_an_evaluation_of_a_run_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p.update(runs={"deap-mean": p["runs"]["deap-mean"]}))
    (project / "lines.json").write_text('{"deap-mean": {}}', encoding="utf-8")
    refused(stage(project, "evaluate", "runs", "lines.json", "scores", "metrics/runs", "metrics/comparisons.csv"),
            "runs/deap-mean/")
    nothing_left(project / "metrics" / "runs")
    nothing_left(project / "metrics" / "comparisons.csv")


def test_a_band_above_the_nyquist_rate_is_refused(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["preprocess"]["usual"]["EEG"].update(band_hz=[4, 70]))
    place_raw(project, raw_deap)
    refused(preprocess(project), "EEG", "70 Hz", "64 Hz", "Nyquist")
    nothing_left(project / "data" / "signals" / "deap")


def write_signals(project: Path) -> Path:
    """Clean trials of one subject, two of 6 s, as the preprocess stage leaves them."""
    folder = project / "data" / "signals" / "deap"
    rng = np.random.default_rng(0)
    recordings = [Recording("s01", trial, trial, 6.0, {"EDA": Signal(
        rng.standard_normal((1, 24)).astype(np.float32), 4.0, ("GSR",), "uS")}, {"valence": 3.0, "arousal": 7.0})
        for trial in ("v01", "v02")]
    description = write_recordings(folder, "s01", recordings)
    write_description(folder, {"set": "deap", "provenance": {"source": "simulate", "simulated": True,
                                                             "label": "DEAP (simulated)"},
                               "dimensions": ["valence", "arousal"], "scale": [1.0, 9.0], "thresholds": [5.0],
                               "subjects": ["s01"], "modalities": description["modalities"], "annotated": False})
    return folder


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p["windows"].update(length_s=8.0, step_s=8.0), ("trial v01", "8 s", "6 s")),
    (lambda p: p["windows"].update(overlap=0.5), ("params.yaml", "'overlap'", "step_s")),
])
def test_windows_that_cannot_be_are_refused(tmp_path: Path, change: Change, words: tuple[str, ...]) -> None:
    project = workbench(tmp_path / "project", change)
    write_signals(project)
    refused(stage(project, "window", "deap", "data/signals/deap", WINDOWS), *words)
    nothing_left(project / "data" / "windows" / "deap")


def test_features_of_no_windows_are_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project")
    (project / WINDOWS).mkdir(parents=True)
    refused(stage(project, "features", "deap", WINDOWS, FEATURES), "found no shard", "run the window stage")
    nothing_left(project / FEATURES)


def split(project: Path) -> subprocess.CompletedProcess[str]:
    return stage(project, "split", "deap", WINDOWS, FOLDS)


def main_run(project: Path) -> subprocess.CompletedProcess[str]:
    write_feature_store(project / FEATURES, project / WINDOWS)
    (project / "lines.json").write_text("{}", encoding="utf-8")
    done = stage(project, "settings", "lines.json", "settings/runs", "settings/main.json")
    assert done.returncode == 0, done.stderr
    return stage(project, "main_run", "settings/main.json", "settings/runs", "runs", WINDOWS, FEATURES,
                 f"{FOLDS}/trial.csv", "main/run", "main/evaluation", "metrics/main.json")


def test_a_protocol_the_data_does_not_allow_leaves_a_reason_that_training_repeats(tmp_path: Path) -> None:
    """Seven folds of six trials; the people suffice."""
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"]["split"].update(folds=7))
    write_store(project / WINDOWS, make_store(subjects=4, trials=6))
    done = split(project)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (project / FOLDS).iterdir()} == {
        "trial.txt", "session.txt", "loso.csv", "stimulus.txt", "sequential.csv", "leaky.csv", SUMS}
    reason = (project / FOLDS / "trial.txt").read_text(encoding="utf-8")
    assert all(word in reason for word in ("deap, trial: ", "split.folds", "7 folds", "at most 6", "s00"))
    refused(main_run(project), "trial.csv", "another protocol", "7 folds", "at most 6")
    nothing_left(project / "main" / "run")


def test_a_protocol_that_a_run_needs_and_the_data_does_not_allow_is_refused_at_the_folds(tmp_path: Path) -> None:
    """Before a run is trained, so that DVC has not removed its outputs; what is possible is said."""
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"]["split"].update(folds=7))
    write_store(project / WINDOWS, make_store(subjects=4, trials=6))
    (project / "wanted.txt").write_text("loso\ntrial\n", encoding="utf-8")
    refused(stage(project, "split", "deap", WINDOWS, FOLDS, "wanted.txt"), "'trial'", "7 folds", "at most 6",
            "(loso, sequential, leaky)")
    nothing_left(project / FOLDS)


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p["main"].update(method="himo"), ("params.yaml: main.method", "'himo'", "himoe, husformer")),
    (lambda p: p["runs"]["deap-mean"].update(method="men"), ("runs.deap-mean.method", "'men'", "mean, mean_stimulus")),
    (lambda p: p["main"].update(set="deep"), ("params.yaml: main.set", "'deep'", "deap")),
    (lambda p: p["main"].update(protocol="lso"), ("protocol", "'lso'", "loso")),
    (lambda p: p.update(missing_rate=1.5), ("params.yaml: missing_rate", "1.5", "[0, 1)")),
    (lambda p: p.update(missing_rate="much"), ("params.yaml: missing_rate", "'much'", "[0, 1)")),
])
def test_what_the_runs_ask_for_is_checked_before_anything_is_made(tmp_path: Path, change: Change,
                                                                  words: tuple[str, ...]) -> None:
    project = workbench(tmp_path / "project", change)
    refused(stage(project, "plan", *PLAN), *words)
    nothing_left(project / "settings" / "protocols")


def test_people_held_out_with_two_people_leave_a_reason(tmp_path: Path) -> None:
    """One tests, one validates, nobody is left to train on."""
    project = workbench(tmp_path / "project")
    write_store(project / WINDOWS, make_store(subjects=2, trials=6))
    done = split(project)
    assert done.returncode == 0, done.stderr
    assert "nothing for train" in (project / FOLDS / "loso.txt").read_text(encoding="utf-8")
    assert {path.name for path in (project / FOLDS).glob("*.csv")} == {
        "trial.csv", "stimulus.csv", "sequential.csv", "leaky.csv"}


def test_data_that_no_protocol_can_split_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"]["split"].update(folds=7))
    write_store(project / WINDOWS, make_store(subjects=1, trials=2, windows=1))
    refused(split(project), "no protocol can split", "7 folds", "loso: ", "nothing for train")
    nothing_left(project / FOLDS)


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p["main"].update(modalities="EEG+XYZ"), ("'XYZ'", "EDA")),
    (lambda p: p["main"].update(modalities="EEG+PPG"), ("'EEG+PPG'", "EEG EDA")),
    (lambda p: p["main"].update(method="himo"), ("'himo'", "himoe")),
])
def test_runs_of_what_is_not_there_are_refused(tmp_path: Path, change: Change, words: tuple[str, ...]) -> None:
    project = workbench(tmp_path / "project", change)
    write_store(project / WINDOWS, make_store())
    done = split(project)
    assert done.returncode == 0, done.stderr
    refused(main_run(project), *words)
    nothing_left(project / "main" / "run")


def test_a_fold_table_that_leaks_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project")
    write_store(project / WINDOWS, make_store(subjects=2, trials=4))
    roles = enumerate(("test", "train", "validation", "train"))
    folds = pd.DataFrame([(0, role, subject, f"v{t:02d}") for t, role in roles for subject in ("s00", "s01")],
                         columns=["fold", "role", "subject", "trial"])
    leak = folds.assign(role=folds["role"].replace("train", "test"))  # tested and, below, trained on
    (project / FOLDS).mkdir(parents=True)
    pd.concat([folds, leak]).to_csv(project / FOLDS / "trial.csv", index=False)
    refused(main_run(project), "not honest", "trial in test and in training")
    nothing_left(project / "main" / "run")


def test_a_params_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project")
    (project / "params.yaml").write_text("sets: [deap\n", encoding="utf-8")
    refused(stage(project, "tables", "runs", "metrics", "reports/tables"), "params.yaml", "not YAML")
    nothing_left(project / "reports" / "tables")
