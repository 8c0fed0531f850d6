"""Wrong input to the stages: one sentence on standard error, exit code 1, nothing half-written left."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
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
from pipeline.stage import main

Change = Callable[[dict[str, Any]], object]
WINDOWS, FEATURES, FOLDS = "data/windows/deap", "data/features/deap", "data/folds/deap"
DOWNLOAD, FACE = ("download", "deap", "data/raw/deap"), ("face", "deap", "data/raw/deap", "data/faces/deap")
PLAN = ("plan", "settings/protocols", "settings/filters", "settings/lines.json")
SPLIT = ("split", "deap", WINDOWS, FOLDS)
REPORTS = {"tables": ("reports/tables",), "figures": ("reports/figures",),
           "report": ("reports/index.html", "reports/README.md", "reports/figures")}


@pytest.fixture(scope="module")
def raw_deap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated DEAP participant with two trials, as BDF."""
    root = tmp_path_factory.mktemp("raw") / "deap"
    simulate_deap(root, SimulationParams(1, 2, 0), "bdf")
    write_json(root / "provenance.json", {"set": "deap", "title": "DEAP", "source": "simulate", "simulated": True,
                                            "label": "DEAP (simulated)"})
    return root


def with_bdf(change: Change = lambda params: None) -> Change:
    """The change, of parameters that read :func:`raw_deap`."""
    return lambda params: (params["sets"]["deap"].update(layout="bdf"), change(params))


def place_raw(project: Path, source: Path) -> Path:
    return Path(shutil.copytree(source, project / "data" / "raw" / "deap"))


def call(project: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a stage as its command does, in this process: the imports of a new one take seconds."""
    said, argv = io.StringIO(), sys.argv
    run, code = getattr(import_module(f"pipeline.{script}"), script), 0
    with contextlib.chdir(project), contextlib.redirect_stderr(said), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIMOE_JOBS", "1")
        patch.setattr(sys, "argv", [argv[0], *arguments])
        try:
            main(run)
        except SystemExit as ended:
            code = int(str(ended.code))
    return subprocess.CompletedProcess([script, *arguments], code, "", said.getvalue())


def refused(done: subprocess.CompletedProcess[str], words: tuple[str, ...], *left: Path) -> None:
    """The command failed with one sentence that names all of *words*; neither *left* nor a part of it is there."""
    # joblib's resource tracker, a process of its own, may warn on a loaded machine after its pool was stopped
    lines = [line for line in done.stderr.splitlines()
             if line.strip() and "resource_tracker" not in line and line.strip() != "warnings.warn("]
    assert done.returncode == 1
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(".")
    for word in words:
        assert word in lines[0], lines[0]
    for folder in left:
        assert not folder.exists()
        assert not folder.parent.exists() or [p.name for p in folder.parent.iterdir() if p.name.startswith(".")] == []


def clean(project: Path, name: str = "deap") -> subprocess.CompletedProcess[str]:
    """What the stage ``plan`` says where it refuses, else what ``preprocess`` says."""
    planned = call(project, *PLAN)
    return planned if planned.returncode else call(
        project, "preprocess", name, f"data/raw/{name}", f"data/faces/{name}", f"settings/filters/{name}.json",
        f"data/signals/{name}", f"metrics/facts/{name}.json")


# --- raw files and filters ----------------------------------------------------------------------------------------

def test_the_command_itself_refuses_a_truncated_bdf(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", with_bdf())
    path = place_raw(project, raw_deap) / "data_original" / "s01.bdf"
    os.truncate(path, path.stat().st_size // 2)
    no_faces(project)
    assert call(project, *PLAN).returncode == 0
    done = stage(project, "preprocess", "deap", "data/raw/deap", "data/faces/deap", "settings/filters/deap.json",
                 "data/signals/deap", "metrics/facts/deap.json")
    refused(done, ("s01.bdf", "truncated", f"{path.stat().st_size} bytes"), project / "data" / "signals" / "deap")


def filters(params: Any) -> Change:
    return lambda p: p["profiles"]["embedded"].update(preprocess=params)


@pytest.mark.parametrize(("change", "faces", "words"), [
    (lambda p: None, False, ("data/faces/deap/faces.json", "missing")),
    (filters({"default": "quick", "deap": "quik"}), True, ("preprocess.deap", "'quik'", "quick_seed")),
    (filters({"default": "quik"}), True, ("preprocess.default", "'quik'", "quick_seed")),
    (filters("quick"), True, ("profiles.*.preprocess", "'quick'", "{default: quick}")),
    (lambda p: p["preprocess"]["usual"]["EEG"].update(band_hz=[4, 70]), True, ("EEG", "70 Hz", "64 Hz", "Nyquist")),
], ids=["no face stage", "set's filters", "default filters", "filters without a key", "band above Nyquist"])
def test_signals_that_cannot_be_cleaned_are_refused(tmp_path: Path, raw_deap: Path, change: Change, faces: bool,
                                                    words: tuple[str, ...]) -> None:
    project = workbench(tmp_path / "project", with_bdf(change))
    place_raw(project, raw_deap)
    if faces:
        no_faces(project)
    refused(clean(project), words, project / "data" / "signals" / "deap")


class Malicious:
    """Pickles as a call of ``os.system``."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_malicious_dat_is_refused_and_runs_nothing(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project")
    marker = tmp_path / "was-here"
    content = {"data": Malicious(f"touch {marker}"), "labels": np.zeros((2, 4))}
    raw = place_raw(project, raw_deap)
    (raw / "data_preprocessed_python").mkdir()
    (raw / "data_preprocessed_python" / "s01.dat").write_bytes(pickle.dumps(content, protocol=2))
    no_faces(project)
    refused(clean(project), ("s01.dat", "system"), project / "data" / "signals" / "deap")
    assert not marker.exists()


def test_a_mat_file_without_a_field_is_refused(tmp_path: Path) -> None:
    entry = {"source": "simulate", "path": None, "layout": None, "redistribute": False}
    project = workbench(tmp_path / "project", lambda p: p["sets"].update(dreamer=entry))
    raw = project / "data" / "raw" / "dreamer"
    raw.mkdir(parents=True)
    scipy.io.savemat(raw / "DREAMER.mat", {"DREAMER": {
        "noOfSubjects": 1.0, "noOfVideoSequences": 1.0, "ECG_SamplingRate": 256.0, "EEG_SamplingRate": 128.0}})
    no_faces(project, "dreamer")
    refused(clean(project, "dreamer"), ("DREAMER", "Data"), project / "data" / "signals" / "dreamer")


def test_a_video_rate_above_the_videos_own_is_refused(tmp_path: Path) -> None:
    change = with_bdf(lambda params: params["profiles"]["embedded"]["face"].update(fps_hz=9))
    project = workbench(tmp_path / "project", change)
    simulate_deap(project / "data" / "raw" / "deap", SimulationParams(1, 1, 0, video=VideoParams(4.0, 64, 64)), "bdf")
    refused(call(project, *FACE), ("s01_trial01.avi", "9 Hz", "4 Hz"), project / "data" / "faces" / "deap")


def test_ratings_without_a_column_are_refused_before_anything_is_linked(tmp_path: Path, raw_deap: Path) -> None:
    source = Path(shutil.copytree(raw_deap, tmp_path / "mine"))
    table = pd.read_csv(source / "metadata_csv" / "participant_ratings.csv")
    table.drop(columns="Arousal").to_csv(source / "metadata_csv" / "participant_ratings.csv", index=False)
    project = workbench(tmp_path / "project", lambda p: p["sets"]["deap"].update(
        source="local", path=str(source), redistribute=True, layout="bdf"))
    refused(call(project, *DOWNLOAD), ("participant_ratings.csv", "Arousal"), project / "data" / "raw" / "deap")


def test_real_data_of_a_closed_licence_does_not_go_to_the_shared_remote(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["sets"]["deap"].update(
        source="local", path=str(raw_deap), layout="bdf"))
    refused(call(project, *DOWNLOAD), ("remote", "'shared'", "licensed"), project / "data" / "raw" / "deap")


@pytest.mark.parametrize(("name", "words"), [("hku956", ("sets.hku956.source", "no simulator")),
                                             ("deap", ("profiles.embedded.size.deap", "'subjects'"))])
def test_a_set_that_cannot_be_simulated_is_refused(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    """Without a simulator, or without a size."""
    def change(params: dict[str, Any]) -> None:
        params["sets"] = {name: {"source": "simulate", "path": None, "layout": None, "redistribute": False}}
        params["profiles"]["embedded"]["size"].pop(name, None)

    project = workbench(tmp_path / "project", change)
    refused(call(project, "download", name, f"data/raw/{name}"), words, project / "data" / "raw" / name)


# --- reports and evaluations --------------------------------------------------------------------------------------

@pytest.mark.parametrize("script", list(REPORTS))
def test_a_report_of_nothing_or_of_a_run_that_is_gone_is_refused(tmp_path: Path, script: str) -> None:
    project = workbench(tmp_path / "project")
    out = project / REPORTS[script][0]
    command = (script, "runs", "scores", "metrics", "bench/cost.csv", *REPORTS[script])
    refused(call(project, *command), ("metrics/runs", "no run", "evaluate"), out)
    write_json(project / "metrics" / "runs" / "deap-mean.json", {"run": "deap-mean"})  # of a run that was there
    refused(call(project, *command), ("runs/deap-mean/run.json", "dvc repro train@deap-mean"), out)
    (project / "params.yaml").write_text("sets: [deap\n", encoding="utf-8")
    refused(call(project, *command), ("params.yaml", "not YAML"), out)


def test_an_evaluation_of_a_run_that_is_not_trained_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p.update(runs={"deap-mean": p["runs"]["deap-mean"]}))
    (project / "lines.json").write_text('{"deap-mean": {}}', encoding="utf-8")
    refused(call(project, "evaluate", "runs", "lines.json", "scores", "metrics/runs", "metrics/comparisons.csv"),
            ("runs/deap-mean/",), project / "metrics" / "runs", project / "metrics" / "comparisons.csv")


# --- windows, folds and runs --------------------------------------------------------------------------------------

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
    refused(call(project, "window", "deap", "data/signals/deap", WINDOWS), words, project / WINDOWS)
    (project / WINDOWS).mkdir(parents=True)
    refused(call(project, "features", "deap", WINDOWS, FEATURES), ("found no shard", "run the window stage"),
            project / FEATURES)


def main_run(project: Path) -> subprocess.CompletedProcess[str]:
    write_feature_store(project / FEATURES, project / WINDOWS)
    (project / "lines.json").write_text("{}", encoding="utf-8")
    done = call(project, "settings", "lines.json", "settings/runs", "settings/main.json")
    assert done.returncode == 0, done.stderr
    return call(project, "main_run", "settings/main.json", "settings/runs", "runs", WINDOWS, FEATURES,
                 f"{FOLDS}/trial.csv", "main/run", "main/evaluation", "metrics/main.json")


def seven_folds(params: dict[str, Any]) -> None:
    """More than six trials allow; the people suffice."""
    params["profiles"]["embedded"]["split"].update(folds=7)


def test_a_protocol_the_data_does_not_allow_leaves_a_reason_that_training_repeats(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", seven_folds)
    write_store(project / WINDOWS, make_store(subjects=4, trials=6))
    (project / "wanted.txt").write_text("loso\ntrial\n", encoding="utf-8")  # before DVC has removed a run's outputs
    refused(call(project, *SPLIT, "wanted.txt"), ("'trial'", "7 folds", "at most 6", "(loso, sequential, leaky)"),
            project / FOLDS)
    assert call(project, *SPLIT).returncode == 0
    assert {path.name for path in (project / FOLDS).iterdir()} == {
        "trial.txt", "session.txt", "loso.csv", "stimulus.txt", "sequential.csv", "leaky.csv", SUMS}
    reason = (project / FOLDS / "trial.txt").read_text(encoding="utf-8")
    assert all(word in reason for word in ("deap, trial: ", "split.folds", "7 folds", "at most 6", "s00"))
    refused(main_run(project), ("trial.csv", "another protocol", "7 folds", "at most 6"), project / "main" / "run")


def test_people_held_out_with_two_people_leave_a_reason(tmp_path: Path) -> None:
    """One tests, one validates, nobody is left to train on; with one trial of one window nothing can be split."""
    project = workbench(tmp_path / "project", seven_folds)
    write_store(project / WINDOWS, make_store(subjects=2, trials=8))
    assert call(project, *SPLIT).returncode == 0
    assert "nothing for train" in (project / FOLDS / "loso.txt").read_text(encoding="utf-8")
    assert {path.name for path in (project / FOLDS).glob("*.csv")} == {
        "trial.csv", "stimulus.csv", "sequential.csv", "leaky.csv"}
    shutil.rmtree(project / "data")
    write_store(project / WINDOWS, make_store(subjects=1, trials=2, windows=1))
    refused(call(project, *SPLIT), ("no protocol can split", "7 folds", "loso: ", "nothing for train"), project / FOLDS)


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
    refused(call(project, *PLAN), words, project / "settings" / "protocols")


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p["main"].update(modalities="EEG+XYZ"), ("'XYZ'", "EDA")),
    (lambda p: p["main"].update(modalities="EEG+PPG"), ("'EEG+PPG'", "EEG EDA")),
    (lambda p: p["main"].update(method="himo"), ("'himo'", "himoe")),
])
def test_runs_of_what_is_not_there_are_refused(tmp_path: Path, change: Change, words: tuple[str, ...]) -> None:
    project = workbench(tmp_path / "project", change)
    write_store(project / WINDOWS, make_store(2, 4))
    assert call(project, *SPLIT).returncode == 0
    refused(main_run(project), words, project / "main" / "run")


def test_a_fold_table_that_leaks_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project")
    write_store(project / WINDOWS, make_store(subjects=2, trials=4))
    roles = enumerate(("test", "train", "validation", "train"))
    folds = pd.DataFrame([(0, role, subject, f"v{t:02d}") for t, role in roles for subject in ("s00", "s01")],
                         columns=["fold", "role", "subject", "trial"])
    leak = folds.assign(role=folds["role"].replace("train", "test"))  # tested and, below, trained on
    (project / FOLDS).mkdir(parents=True)
    pd.concat([folds, leak]).to_csv(project / FOLDS / "trial.csv", index=False)
    refused(main_run(project), ("not honest", "trial in test and in training"), project / "main" / "run")
