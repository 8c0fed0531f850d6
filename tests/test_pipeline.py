"""The pipeline as its user meets it: real commands in a tiny project, from raw files to tables."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import yaml
from pipeline_helpers import (
    commit,
    dvc_environment,
    new_project,
    run_ok,
    stage,
    tiny_params,
    workbench,
    write_params,
)
from toysets import make_store, write_store

from himoe.files import write_json
from himoe.recording_files import write_description, write_recordings
from himoe.recordings import Recording, Signal
from himoe.simulate.generate import SimulationParams, simulate_deap

STAGES = {"download@deap", "preprocess@deap", "window@deap", "split@deap-trial", "train_main", "train@deap-mean",
          "evaluate_main", "evaluate@deap-mean", "tables", "figures"}
Change = Callable[[dict[str, Any]], object]


def stages_run(output: str) -> set[str]:
    """Names of the stages that ``dvc repro`` says it runs."""
    return set(re.findall(r"Running stage '([^']+)'", output))


# --- one project, built once ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A project after its first ``dvc repro``, committed; and the bytes of its dvc.lock."""
    base = tmp_path_factory.mktemp("first")
    project = new_project(base / "project", base / "remote")
    output = run_ok(project, "dvc", "repro")
    assert stages_run(output) == STAGES
    commit(project, "results")
    return project, (project / "dvc.lock").read_bytes()


@pytest.mark.slow
def test_repro_ends_with_tables_and_a_second_one_does_nothing(built: tuple[Path, bytes]) -> None:
    project, lock = built
    table = (project / "reports" / "tables" / "table2.md").read_text(encoding="utf-8")
    assert "DEAP (simulated)" in table
    assert table.count("| DEAP |") >= 2
    assert (project / "reports" / "figures" / "figure3.svg").stat().st_size > 0
    output = run_ok(project, "dvc", "repro")
    assert stages_run(output) == set()
    assert "up to date" in output
    assert (project / "dvc.lock").read_bytes() == lock
    assert run_ok(project, "git", "status", "--porcelain") == ""


@pytest.mark.slow
def test_scratch_is_gone_when_all_is_done(built: tuple[Path, bytes]) -> None:
    project, _ = built
    assert not any(p.is_file() for p in (project / ".himoe").rglob("*"))
    assert not any(project.rglob("*.part"))


@pytest.mark.slow
def test_results_are_pushed_and_pulled_without_raw_data(built: tuple[Path, bytes], tmp_path: Path) -> None:
    project, lock = built
    run_ok(project, "dvc", "push")
    clone = tmp_path / "clone"
    run_ok(tmp_path, "git", "clone", "-q", str(project), str(clone))
    run_ok(clone, "dvc", "pull")
    assert not (clone / "data" / "raw" / "deap").exists()  # licences: raw data never leaves the machine
    assert (clone / "runs" / "main" / "predictions.parquet").read_bytes() == (
        project / "runs" / "main" / "predictions.parquet").read_bytes()
    output = run_ok(clone, "dvc", "repro", "--allow-missing", "--dry")
    assert stages_run(output) == set()
    assert (clone / "dvc.lock").read_bytes() == lock


@pytest.mark.slow
def test_a_clone_killed_while_training_ends_with_the_same_lock(built: tuple[Path, bytes], tmp_path: Path) -> None:
    project, lock = built
    clone = tmp_path / "clone"
    run_ok(tmp_path, "git", "clone", "-q", str(project), str(clone))
    for name in ("dvc.lock", "reports", "metrics"):
        path = clone / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    kill_in_training(clone)
    assert not (clone / "runs" / "main").exists()
    output = run_ok(clone, "dvc", "repro")
    assert stages_run(output) == STAGES - {"download@deap", "preprocess@deap", "window@deap", "split@deap-trial"}
    assert (clone / "dvc.lock").read_bytes() == lock
    assert run_ok(clone, "git", "status", "--porcelain") == ""  # tables, figures and metrics are the same bytes too


def kill_in_training(project: Path) -> None:
    """Start ``dvc repro``; when the first model of the run ``main`` is kept, kill the whole process group."""
    kept = project / ".himoe" / "folds" / "main"
    process = subprocess.Popen(["dvc", "repro"], cwd=project, env=dvc_environment(project, HIMOE_JOBS="1"),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not list(kept.glob("fold-*")):
            assert process.poll() is None, "dvc repro ended before it could be killed"
            assert time.monotonic() < deadline, "no model was finished in time"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_missing_rate_runs_only_the_evaluation_of_main_and_what_follows(built: tuple[Path, bytes]) -> None:
    project, _ = built
    before = yaml.safe_load((project / "metrics" / "main.json").read_text(encoding="utf-8"))
    try:
        write_params(project, {**tiny_params(), "missing_rate": 0.4})
        assert stages_run(run_ok(project, "dvc", "repro")) == {"evaluate_main", "tables", "figures"}
        after = yaml.safe_load((project / "metrics" / "main.json").read_text(encoding="utf-8"))
        assert before["missing_rate"] == 0.0
        assert after["missing_rate"] == 0.4
        assert after["ccc"] != before["ccc"]
    finally:
        run_ok(project, "git", "checkout", "-q", "--", ".")


# --- wrong input, through the real commands -----------------------------------------------------------------------

@pytest.fixture(scope="module")
def raw_deap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated DEAP participant with two trials, as BDF."""
    root = tmp_path_factory.mktemp("raw") / "deap"
    simulate_deap(root, SimulationParams(1, 2, 0), "bdf")
    write_json(root / "provenance.json", {"source": "simulate", "simulated": True, "label": "DEAP (simulated)"})
    return root


def place_raw(project: Path, source: Path, name: str = "deap") -> Path:
    target = project / "data" / "raw" / name
    shutil.copytree(source, target)
    return target


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command failed with one sentence on standard error, and it names all of *words*."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
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


def preprocess(project: Path, name: str = "deap") -> subprocess.CompletedProcess[str]:
    return stage(project, "preprocess", name, f"data/raw/{name}", f"data/signals/{name}")


def test_a_truncated_bdf_is_refused(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project")
    path = place_raw(project, raw_deap) / "data_original" / "s01.bdf"
    os.truncate(path, path.stat().st_size // 2)
    refused(preprocess(project), "s01.bdf", "truncated", f"{path.stat().st_size} bytes")
    nothing_left(project / "data" / "signals" / "deap")


class Malicious:
    """Pickles as a call of ``os.system``."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_malicious_dat_is_refused_and_runs_nothing(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["deap"].update(layout="dat"))
    marker = tmp_path / "was-here"
    content = {"data": Malicious(f"touch {marker}"), "labels": np.zeros((2, 4))}
    raw = place_raw(project, raw_deap)
    (raw / "data_preprocessed_python").mkdir()
    (raw / "data_preprocessed_python" / "s01.dat").write_bytes(pickle.dumps(content, protocol=2))
    refused(preprocess(project), "s01.dat", "system")
    assert not marker.exists()
    nothing_left(project / "data" / "signals" / "deap")


def with_dreamer(params: dict[str, Any]) -> None:
    params["sets"] = ["dreamer"]
    params["dreamer"] = {"source": "simulate", "path": None, "layout": None, "redistribute": False}


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
        params["deap"].update(source="local", path=str(source), redistribute=True)

    project = workbench(tmp_path / "project", change)
    refused(stage(project, "download", "deap", "data/raw/deap"), "participant_ratings.csv", "Arousal")
    nothing_left(project / "data" / "raw" / "deap")


def test_real_data_of_a_closed_licence_does_not_go_to_the_shared_remote(tmp_path: Path, raw_deap: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["deap"].update(source="local", path=str(raw_deap)))
    refused(stage(project, "download", "deap", "data/raw/deap"), "remote", "'shared'", "licensed")
    nothing_left(project / "data" / "raw" / "deap")


@pytest.mark.parametrize("sized", [True, False])
def test_a_set_without_simulator_is_refused(tmp_path: Path, sized: bool) -> None:
    def change(params: dict[str, Any]) -> None:
        params["sets"] = ["hku956"]
        params["hku956"] = {"source": "simulate", "path": None, "layout": None, "redistribute": False}
        if sized:
            params["profiles"]["embedded"]["size"]["hku956"] = {"subjects": 2, "trials": 2}

    project = workbench(tmp_path / "project", change)
    refused(stage(project, "download", "hku956", "data/raw/hku956"), "hku956.source", "no simulator")
    nothing_left(project / "data" / "raw" / "hku956")


def test_a_set_without_size_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"]["size"].pop("deap"))
    refused(stage(project, "download", "deap", "data/raw/deap"), "profiles.embedded.size.deap", "'subjects'")
    nothing_left(project / "data" / "raw" / "deap")


@pytest.mark.parametrize("script", ["tables", "figures"])
def test_reports_of_a_run_that_is_gone_are_refused(tmp_path: Path, script: str) -> None:
    """Its metrics may still lie in the folder."""
    project = workbench(tmp_path / "project", lambda p: p["runs"].pop("deap-mean"))
    write_json(project / "metrics" / "deap-mean.json", {"run": "deap-mean"})
    refused(stage(project, script, "metrics", "evaluations", f"reports/{script}"), "reports.", "'deap-mean'")
    nothing_left(project / "reports" / script)


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
                               "dimensions": ["valence", "arousal"], "scale": [1.0, 9.0], "threshold": 5.0,
                               "subjects": ["s01"], "modalities": description["modalities"], "annotated": False})
    return folder


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p["windows"].update(length_s=8.0, step_s=8.0), ("trial v01", "8 s", "6 s")),
    (lambda p: p["windows"].update(overlap=0.5), ("params.yaml", "'overlap'", "step_s")),
])
def test_windows_that_cannot_be_are_refused(tmp_path: Path, change: Change, words: tuple[str, ...]) -> None:
    project = workbench(tmp_path / "project", change)
    write_signals(project)
    refused(stage(project, "window", "deap", "data/signals/deap", "data/windows/deap"), *words)
    nothing_left(project / "data" / "windows" / "deap")


def test_more_folds_than_trials_are_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project", lambda p: p["profiles"]["embedded"]["split"].update(folds=7))
    write_store(project / "data" / "windows" / "deap", make_store(trials=6))
    done = stage(project, "split", "deap-trial", "deap", "trial", "data/windows/deap", "data/folds/deap-trial.csv")
    refused(done, "split.folds", "7 folds", "at most 6", "s00")
    nothing_left(project / "data" / "folds" / "deap-trial.csv")


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p["main"].update(modalities="EEG+XYZ"), ("'XYZ'", "EDA")),
    (lambda p: p["main"].update(modalities="EEG+PPG"), ("'PPG'", "EEG EDA")),
    (lambda p: p["main"].update(method="himo"), ("'himo'", "himoe")),
])
def test_runs_of_what_is_not_there_are_refused(tmp_path: Path, change: Change, words: tuple[str, ...]) -> None:
    project = workbench(tmp_path / "project", change)
    write_store(project / "data" / "windows" / "deap", make_store())
    split = stage(project, "split", "deap-trial", "deap", "trial", "data/windows/deap", "data/folds/deap-trial.csv")
    assert split.returncode == 0, split.stderr
    done = stage(project, "train", "main", "data/windows/deap", "data/folds/deap-trial.csv", "runs/main")
    refused(done, *words)
    nothing_left(project / "runs" / "main")


def test_a_fold_table_that_leaks_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project")
    write_store(project / "data" / "windows" / "deap", make_store(subjects=2, trials=4))
    roles = enumerate(("test", "train", "validation", "train"))
    folds = pd.DataFrame([(0, role, subject, f"v{t:02d}") for t, role in roles for subject in ("s00", "s01")],
                         columns=["fold", "role", "subject", "trial"])
    leak = folds.assign(role=folds["role"].replace("train", "test"))  # tested and, below, trained on
    (project / "data" / "folds").mkdir(parents=True)
    pd.concat([folds, leak]).to_csv(project / "data" / "folds" / "deap-trial.csv", index=False)
    done = stage(project, "train", "main", "data/windows/deap", "data/folds/deap-trial.csv", "runs/main")
    refused(done, "not honest", "trial in test and in training")
    nothing_left(project / "runs" / "main")


def test_a_params_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    project = workbench(tmp_path / "project")
    (project / "params.yaml").write_text("sets: [deap\n", encoding="utf-8")
    done = stage(project, "tables", "metrics", "evaluations", "reports/tables")
    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert "params.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    nothing_left(project / "reports" / "tables")
