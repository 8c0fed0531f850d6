"""The pipeline as its user meets it: real commands in a tiny project, from raw files to the report."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pipeline_harm import (
    can_mount,
    forget,
    kill_in_training,
    kill_somewhere,
    on_small_disk,
    unwritable,
    without_privileges,
)
from pipeline_helpers import (
    STAGE_TIMEOUT_S,
    commit,
    dvc_environment,
    new_project,
    run,
    run_ok,
    stages_run,
    tiny_params,
    tiny_run,
    write_params,
)

import himoe
from himoe.core.checksums import SUMS, write_sums
from himoe.core.files import read_json, remove
from himoe.core.yaml_files import parse_yaml, read_yaml
from himoe.models.encoders.action_units import AU_NAMES
from himoe.prepare.windows import read_shard
from pipeline.code import code_lists
from pipeline.lock_check import lock_problems
from pipeline.warm import REPRO

PREPARED = {"code", "plan", "download@deap", "face@deap", "preprocess@deap", "window@deap", "features@deap",
            "split@deap", "quality", "settings"}
MAIN = {"main_run"}
TRAINED = {"train@deap-himoe", "train@deap-late_fusion", "train@deap-mean", "train@face-himoe"}
REPORTED = {"evaluate", "cost", "tables", "figures", "report"}
STAGES = PREPARED | MAIN | TRAINED | REPORTED
ROOM_KIB = 3_000  # for simulated recordings that take seven times as much
pytestmark = pytest.mark.slow


def stale(project: Path) -> set[str]:
    """Names of the stages that ``dvc status`` says have changed."""
    return set(json.loads(run_ok(project, "dvc", "status", "--json")))


# --- one project, built once ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A project after the first ``make repro``'s command, committed; and the bytes of its dvc.lock."""
    base = tmp_path_factory.mktemp("first")
    project = new_project(base / "project", base / "remote")
    output = run_ok(project, *REPRO)
    assert stages_run(output) == STAGES
    commit(project, "results")
    return project, (project / "dvc.lock").read_bytes()


@pytest.fixture
def project(built: tuple[Path, bytes]) -> Iterator[Path]:
    """The project as it was committed; what a test changes is put back."""
    path, _ = built
    yield path
    run_ok(path, "git", "checkout", "-q", "--", ".")
    run_ok(path, "git", "clean", "-q", "-fd")
    run_ok(path, "dvc", "checkout", "-q", "--force", "--allow-missing")


def test_repro_ends_with_a_report_and_a_second_one_does_nothing(built: tuple[Path, bytes]) -> None:
    project, lock = built
    for name in ("tables/table2.md", "README.md", "index.html"):
        assert "DEAP (simulated)" in (project / "reports" / name).read_text(encoding="utf-8"), name
    table = (project / "reports" / "tables" / "scores.csv").read_text(encoding="utf-8")
    assert sum("EEG+EDA" in line for line in table.splitlines()) == 3
    assert (project / "reports" / "figures" / "figure3.svg").stat().st_size > 0
    output = run_ok(project, "dvc", "repro")
    assert stages_run(output) == set()
    assert "up to date" in output
    assert (project / "dvc.lock").read_bytes() == lock
    assert run_ok(project, "git", "status", "--porcelain") == ""
    left = [p.name for p in (project / ".himoe").rglob("*") if p.is_file()]
    assert left == ["dvc.lock"]  # scratch is gone when all is done, but for the copy that mends a broken lock
    assert not any(project.rglob("*.part"))


def test_faces_go_from_the_videos_into_the_model_and_the_report(built: tuple[Path, bytes]) -> None:
    """Four simulated videos of 60 s, a frame every 2 s, of one of the two people: DEAP filmed only the first 22.

    The weights are named wherever they were used.
    """
    project, _ = built
    trials = ["s01/v01", "s01/v02", "s01/v03", "s01/v04"]
    tracks = read_json(project / "data" / "faces" / "deap" / "faces.json")
    assert list(tracks["videos"]) == trials
    assert all(entry["frames"] == 30 and entry["faces"] > 20 for entry in tracks["videos"].values())
    for subject, share in (("s01", 1.0), ("s24", 0.0)):
        index, arrays, _ = read_shard(project / "data" / "windows" / "deap" / f"{subject}.parquet", ("FACE",))
        assert arrays["FACE"].shape == (4 * 29, 1280, 2)
        assert (index["completeness_FACE"] >= 0.5).mean() == pytest.approx(share, abs=0.2)
    described = read_json(project / "runs" / "face-himoe" / "run.json")
    assert "EfficientNet-B0, random weights (seed 0)" in described["face"]
    assert read_json(project / "runs" / "deap-himoe" / "run.json")["face"] is None
    units = pd.read_parquet(project / "runs" / "face-himoe" / "action_units.parquet")
    assert set(units["action_unit"]) == set(AU_NAMES)
    assert sorted(set(units["subject"] + "/" + units["trial"])) == trials
    assert units["activation"].between(0, 1).all()
    assert not (project / "runs" / "deap-himoe" / "action_units.parquet").exists()
    assert (project / "reports" / "tables" / "action_units.csv").is_file()
    quality = pd.read_csv(project / "metrics" / "quality.csv")
    assert set(quality["data"]) == {"DEAP (simulated)"}
    for name in ("index.html", "quality.html"):
        assert "DEAP (simulated)" in (project / "reports" / name).read_text(encoding="utf-8")
    assert "random weights" in (project / "reports" / "index.html").read_text(encoding="utf-8")


def test_a_model_of_a_run_predicts_from_raw_files_what_the_run_did(built: tuple[Path, bytes]) -> None:
    """What is in ``runs/`` can be loaded, and windows made in memory are those of the stages."""
    project, _ = built
    data, windows = himoe.load("deap", project / "data" / "raw" / "deap"), None
    for name in ("deap-himoe", "deap-mean"):
        model = himoe.load_model(project / "runs" / name / "fold-00_seed-0")
        windows = windows or himoe.make_windows(data, model.description.length_s, model.description.step_s,
                                                filters=model.filters)
        found = model.predict(windows).rename(columns={"predicted": "found"})
        stored = pd.read_parquet(project / "runs" / name / "predictions.parquet")
        stored = stored[(stored["fold"] == 0) & (stored["seed"] == 0) & (stored["missing_rate"] == 0)]
        both = stored.merge(found, on=["subject", "trial", "window", "dimension"], validate="one_to_one")
        assert len(both) == len(stored) > 0
        np.testing.assert_allclose(both["found"], both["y_pred"], rtol=1e-4)
        np.testing.assert_array_equal(both["rating"], both["y_true"])


def test_every_protocol_has_its_fold_table_or_a_reason(built: tuple[Path, bytes]) -> None:
    """With two people one tests and one validates: nobody is left to train on."""
    folds = built[0] / "data" / "folds" / "deap"
    assert {path.name for path in folds.iterdir()} == {"trial.csv", "session.txt", "loso.txt", "stimulus.csv",
                                                       "sequential.csv", "leaky.csv", SUMS}


def test_a_lock_made_here_passes_the_check_until_its_code_or_an_output_changes(project: Path) -> None:
    names, lists = sorted(STAGES), code_lists(project)
    assert lock_problems(lists, project, names) == []
    changed = {**lists, "train-mean": lists["train-mean"] + "0  himoe/new.py\n"}
    assert lock_problems(changed, project, names) == [
        "train@deap-mean: code/train-mean.txt: the code changed since it ran"]
    metrics = project / "metrics" / "runs" / "deap-mean.json"
    metrics.write_text(metrics.read_text(encoding="utf-8").replace("0", "1", 1), encoding="utf-8")
    assert lock_problems(lists, project, names) == ["evaluate: metrics/runs is not what it wrote"]


# --- what a change runs again -------------------------------------------------------------------------------------

def test_missing_rate_runs_only_main(project: Path) -> None:
    before = read_json(project / "metrics" / "main.json")
    write_params(project, {**tiny_params(), "missing_rate": 0.4})
    assert stages_run(run_ok(project, *REPRO)) == {"plan", "main_run"}
    after = read_json(project / "metrics" / "main.json")
    assert (before["missing_rate"], after["missing_rate"]) == (0.0, 0.4)
    assert after["ccc"] != before["ccc"]
    shown = json.loads(run_ok(project, "dvc", "metrics", "diff", "--json"))
    assert set(shown) == {"metrics/main.json"}
    assert shown["metrics/main.json"]["missing_rate"] == {"old": 0.0, "new": 0.4, "diff": 0.4}
    assert shown["metrics/main.json"]["ccc"]["new"] == after["ccc"]


def test_what_cannot_be_is_said_before_a_finished_run_is_removed(project: Path) -> None:
    """A protocol that the data do not allow; tests/test_refusals.py has the others."""
    before = (project / "main" / "run" / "run.json").read_bytes()
    write_params(project, {**tiny_params(), "main": {**tiny_run("himoe"), "protocol": "loso"}})
    done = run(project, "dvc", "repro")
    assert done.returncode != 0
    for word in ("params.yaml: main and runs", "protocol 'loso', which deap does not allow", "nothing for train",
                 "trial, stimulus, sequential, leaky"):
        assert word in done.stdout + done.stderr, done.stdout + done.stderr
    assert (project / "main" / "run" / "run.json").read_bytes() == before
    assert (project / "main" / "evaluation").is_dir()
    assert (project / "metrics" / "main.json").is_file()


def test_a_changed_and_a_new_run_run_alone_with_what_follows_and_one_taken_out_leaves(project: Path) -> None:
    params = tiny_params()
    kept = (project / "runs" / "deap-himoe" / "predictions.parquet").read_bytes()
    params["runs"]["deap-mean"]["modalities"] = "EDA"
    params["runs"]["deap-mean_subject"] = tiny_run("mean_subject")
    del params["runs"]["deap-late_fusion"]
    write_params(project, params)
    assert stages_run(run_ok(project, *REPRO, "evaluate")) == {
        "plan", "settings", "train@deap-mean", "train@deap-mean_subject", "evaluate"}
    assert stale(project) == REPORTED - {"evaluate"} | MAIN
    assert (project / "runs" / "deap-himoe" / "predictions.parquet").read_bytes() == kept
    assert read_json(project / "metrics" / "runs" / "deap-mean.json")["modality_set"] == "EDA"
    assert {path.stem for path in (project / "metrics" / "runs").iterdir()} == set(params["runs"])


def test_dvc_compares_a_dozen_numbers_of_main_and_shows_its_score(built: tuple[Path, bytes]) -> None:
    """All numbers of all runs are files beside it."""
    project, _ = built
    shown = next(iter(json.loads(run_ok(project, "dvc", "metrics", "show", "--json")).values()))["data"]
    assert set(shown) == {"metrics/main.json"}
    numbers = shown["metrics/main.json"]["data"]
    assert numbers == read_json(project / "metrics" / "main.json")
    assert {"missing_rate", "ccc", "ccc_low", "ccc_high", "mae", "n_people"} <= set(numbers)
    assert len(numbers) <= 13
    assert all(type(value) in (int, float) for value in numbers.values())
    whole = read_json(project / "main" / "evaluation" / "metrics.json")
    assert numbers.items() <= whole.items()
    assert "ccc_valence_low" in whole


# --- other machines, and kills ------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def clone(built: tuple[Path, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project with everything that was pushed."""
    project, _ = built
    path = tmp_path_factory.mktemp("second") / "clone"
    run_ok(project, "dvc", "push")
    run_ok(project, "git", "clone", "-q", str(project), str(path))
    run_ok(path, "dvc", "pull")
    return path


def test_results_are_pushed_and_pulled_without_raw_data(built: tuple[Path, bytes], clone: Path) -> None:
    project, lock = built
    assert not (clone / "data" / "raw" / "deap").exists()  # licences: raw data never leaves the machine
    for name in ("main/run", "runs/deap-himoe"):
        assert (clone / name / "run.json").read_bytes() == (project / name / "run.json").read_bytes()
    output = run_ok(clone, "dvc", "repro", "--allow-missing", "--dry")
    assert stages_run(output) == set()
    assert (clone / "dvc.lock").read_bytes() == lock


def test_a_clone_killed_while_training_goes_on_and_ends_with_the_same_lock(built: tuple[Path, bytes],
                                                                           clone: Path) -> None:
    project, lock = built
    forget(clone, "train@deap-himoe")
    shutil.rmtree(clone / "runs" / "deap-himoe")
    kept = kill_in_training(clone)
    assert not (clone / "runs" / "deap-himoe").exists()
    finished = kept / "weights.safetensors"
    marked = finished.read_bytes() + b"kept"  # what was finished is taken as it is
    finished.write_bytes(marked)
    write_sums(kept)
    output = run_ok(clone, "dvc", "repro", "--allow-missing", "--single-item", "train@deap-himoe")
    assert stages_run(output) == {"train@deap-himoe"}
    fold = kept.name.rpartition("-")[0]
    assert (clone / "runs" / "deap-himoe" / fold / "weights.safetensors").read_bytes() == marked
    (clone / "runs" / "deap-himoe" / fold / "weights.safetensors").write_bytes(marked.removesuffix(b"kept"))
    write_sums(clone / "runs" / "deap-himoe")
    run_ok(clone, "dvc", "commit", "-q", "--force", "train@deap-himoe")
    assert read_yaml(clone / "dvc.lock") == read_yaml(project / "dvc.lock")
    assert run_ok(project, "git", "status", "--porcelain") == ""
    assert (project / "dvc.lock").read_bytes() == lock


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.nightly)])
def test_whatever_is_killed_one_repro_more_gives_the_same_bytes(built: tuple[Path, bytes], tmp_path: Path,
                                                                kills: int) -> None:
    project, lock = built
    rng, met = np.random.default_rng(kills), list[str]()
    while len(met) < kills:
        path = tmp_path / f"again{len(met)}"
        run_ok(project, "git", "clone", "-q", str(project), str(path))  # without a cache: all is made anew
        for kept_by_git in ("metrics", "reports"):
            shutil.rmtree(path / kept_by_git)
        reached = 0
        for place in np.sort(rng.integers(len(STAGES), size=kills - len(met))):
            stage = kill_somewhere(path, int(place) - reached + 1, rng.uniform(0, 1.5))
            if not stage:
                break  # a kill had come so late that its stage was done
            reached = int(place)
            met.append(stage)
        run_ok(path, *REPRO)
        assert (path / "dvc.lock").read_bytes() == lock
        assert run_ok(path, "git", "status", "--porcelain") == ""  # tables, figures, metrics
        assert stale(path) == set()
        assert [p.name for p in (path / ".himoe").rglob("*") if p.is_file()] == ["dvc.lock"]
    assert set(met) & PREPARED, f"no stage before the training was met: {met}"
    assert set(met) & (TRAINED | MAIN | REPORTED), f"no training and nothing after it was met: {met}"
    assert len(set(met)) > kills // 3, f"few stages were met: {met}"


@pytest.mark.skipif(not can_mount(), reason="no disk can be mounted here (unshare -rm; mount -t tmpfs)")
def test_a_full_disk_ends_in_a_sentence_and_with_room_one_repro_gives_the_same_bytes(
        built: tuple[Path, bytes], tmp_path: Path) -> None:
    project, _ = built
    command = shlex.join([*REPRO, "download@deap"])
    done = on_small_disk(tmp_path / "disk", f"""
        git clone -q --shared {project} clone && cd clone
        used=$(df -k --output=used . | tail -1)
        mount -o remount,size=$((used + {ROOM_KIB}))k ..
        {command} && exit 3
        find .himoe/parts data/raw -type f | grep . && exit 4
        mount -o remount,size=1g ..
        {command} || exit 5
        cmp dvc.lock {project}/dvc.lock && diff -r data/raw {project}/data/raw && git status --porcelain""", project)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}{done.stderr}"
    assert "found No space left on device" in done.stderr
    assert "make room on the disk and run again" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("folder, stage", [
    ("reports", "tables"), (".himoe/parts", "split@deap"),
    *(pytest.param(folder, "split@deap", marks=pytest.mark.nightly) for folder in ("data/folds", "."))])
def test_what_may_not_be_written_is_named_and_then_one_repro_gives_the_same_bytes(
        project: Path, built: tuple[Path, bytes], folder: str, stage: str) -> None:
    forget(project, stage)
    remove(project / {"tables": "reports/tables", "split@deap": "data/folds/deap"}[stage])
    with unwritable(project / folder):
        done = subprocess.run([*REPRO, stage], cwd=project, env=dvc_environment(project), text=True, check=False,
                              capture_output=True, timeout=STAGE_TIMEOUT_S, preexec_fn=without_privileges)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if re.search("Permission denied|cache link types", line)]
    assert any(folder.lstrip(".") in line for line in said), done.stderr
    assert "Traceback" not in done.stderr
    run_ok(project, *REPRO, stage)
    assert read_yaml(project / "dvc.lock") == parse_yaml(built[1].decode(), Path("dvc.lock"))
    assert run_ok(project, "git", "status", "--porcelain", "reports") == ""


def test_a_broken_shard_is_made_anew(project: Path, built: tuple[Path, bytes]) -> None:
    shard = next((project / "data" / "windows" / "deap").rglob("*.parquet"))
    good = shard.read_bytes()
    shard.unlink()  # a link into the cache, perhaps
    shard.write_bytes(good[:1000] + bytes(64) + good[1064:])
    run_ok(project, "dvc", "repro", "window@deap")
    assert shard.read_bytes() == good
    assert (project / "dvc.lock").read_bytes() == built[1]
