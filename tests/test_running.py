"""A run in worker processes: the same bytes however it came about."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from toysets import (
    encode_tensors,
    file_bytes,
    make_config,
    make_data,
    make_store,
    with_face,
    write_feature_store,
    write_store,
)

from himoe.core.checksums import SUMS
from himoe.core.files import read_json
from himoe.core.params import BootstrapParams, RunConfig
from himoe.models.encoders.action_units import AU_NAMES
from himoe.models.methods import build_method
from himoe.prepare.folds import audit_folds
from himoe.scoring.metrics import ccc
from himoe.scoring.summary import run_metrics
from himoe.scoring.sweep import score_run
from himoe.training import running
from himoe.training.description import CONFIG
from himoe.training.fit import fit_task
from himoe.training.masked import MASKED_COLUMNS, ROUTING_COLUMNS, Said, join, predict_task
from himoe.training.model import WEIGHTS, Model
from himoe.training.rundata import FoldTask, RunData, load_run_data, make_spec, run_tasks
from himoe.training.running import complete_tasks, describe, read_said, task_groups, task_key, train_run, write_said

INPUTS = {"windows": "a", "folds": "b", "code": "c"}
TABLES = ["predictions.parquet", "predictions_missing.parquet", "tested.parquet", "masked.parquet", "routing.csv"]


def problem(**changes: Any) -> tuple[RunConfig, RunData]:
    """Two folds and two seeds: four tasks, each with a search of two settings."""
    config = make_config(**{"seeds": (0, 1), "search": {"learning_rate": (0.01, 0.003)}, **changes})
    return config, make_data(config, make_store())


@dataclass(frozen=True)
class Finished:
    """A run of :func:`problem` in one process: what it wrote, and the tasks it keeps. Tests change copies only."""

    config: RunConfig
    data: RunData
    out: Path
    kept: Path

    def copy_kept(self, place: Path) -> Path:
        return Path(shutil.copytree(self.kept, place))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    run = Finished(*problem(), folder / "out", folder / "kept")
    train_run(run.config, run.data, run.out, run.kept, INPUTS, 1)
    return run


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks that are really fitted (in this process)."""
    names: list[str] = []

    def counting(config: RunConfig, data: RunData, tasks: Sequence[FoldTask], *rest: Any) -> None:
        names.extend(task.name for task in tasks)
        complete_tasks(config, data, tasks, *rest)

    monkeypatch.setattr(running, "complete_tasks", counting)
    return names


def test_one_process_and_two_write_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    train_run(finished.config, finished.data, tmp_path / "out", tmp_path / "kept", INPUTS, 2)
    one, two = file_bytes(finished.out), file_bytes(tmp_path / "out")
    assert sorted(one) == sorted(
        [f"fold-0{f}_seed-{s}/{name}" for f in (0, 1) for s in (0, 1) for name in (WEIGHTS, CONFIG)] + TABLES
        + ["history.csv", "search.csv", "run.json", SUMS])
    assert one == two


def scores(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``sweep`` and ``combinations`` of a finished run."""
    said = read_said(run)
    return score_run(read_json(run / "run.json"), said.tested, said.masked)


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["sampled", "matched"])
def test_a_runs_tables_are_its_models_tables(missing: str, tmp_path: Path) -> None:
    changes = {"seeds": (0,)} if missing == "matched" else {}  # one task a rate then
    config, data = problem(missing=missing, rates=(0.0, 0.2), epochs=1, **changes)
    train_run(config, data, tmp_path / "out", tmp_path / "kept", INPUTS, 1)
    parts, histories, searches = [], [], []
    for task in run_tasks(config, data.folds):
        fitted = fit_task(config, data, task)
        weights = load_file(tmp_path / "out" / task.name / "weights.safetensors")
        assert weights.keys() == fitted.tensors.keys()
        assert all(torch.equal(weights[name], tensor) for name, tensor in fitted.tensors.items())
        intervals = Model.read(tmp_path / "out" / task.name).description.intervals
        parts.append(predict_task(config, data, task, encode_tensors(config, data, task, weights), config.missing, 0.0,
                                  intervals))
        rate = {} if task.rate is None else {"rate": task.rate}
        histories.append(fitted.history.assign(fold=task.fold, seed=task.seed, **rate))
        searches.append(fitted.search.assign(fold=task.fold, seed=task.seed, **rate))
    expected = join(parts)
    written = read_said(tmp_path / "out")
    for name in ("predictions", "predictions_missing", "tested", "masked", "routing"):
        pd.testing.assert_frame_equal(getattr(written, name), getattr(expected, name), check_exact=name != "routing",
                                      **({"rtol": 0, "atol": 2e-6} if name == "routing" else {}))
        assert len(getattr(written, name)) > 0
    for name, frames, first in (("history", histories, "epoch"), ("search", searches, "fold")):
        table = pd.read_csv(tmp_path / "out" / f"{name}.csv")
        assert table.columns[0] == first
        pd.testing.assert_frame_equal(table, pd.concat(frames, ignore_index=True), check_like=True, atol=1e-6)


@pytest.mark.parametrize("with_units", [True, False])
def test_what_models_said_is_read_as_it_was_written(with_units: bool, tmp_path: Path) -> None:
    """Tables of different lengths; action units and predictions at the highest rate have a file only with rows."""
    rng = np.random.default_rng(0)
    keys = ["run", "seed", "fold", "subject", "trial", "window"]
    rows = [("toy", s, f, subject, trial, w) for s in (0, 1) for f in (0, 1, 2) for subject, trial in
            (("01", "007"), ("s2", "v1")) for w in range(4)]
    units = pd.DataFrame([(*row, name) for name in AU_NAMES for row in rows], columns=[*keys, "action_unit"])
    units["activation"] = rng.random(len(units), dtype=np.float32)
    predictions = pd.DataFrame(rows, columns=keys).assign(y_true=rng.random(48), y_pred=np.float32(0.1))
    predictions.loc[5, "y_true"] = np.nan
    tested = pd.DataFrame([(1, "01", "007", w, 2.0 * w, w != 1, float(w), np.nan) for w in range(3)], columns=[
        "fold", "subject", "trial", "window", "start_s", "complete", "valence", "arousal"])
    said = np.arange(6, dtype=np.float32) / 3
    masks = pd.DataFrame([(1, 0, 0.05, 3, "", said, np.arange(6) / 7), (1, 0, 0.0, 0, "010", said, None)],
                         columns=MASKED_COLUMNS)
    routing = pd.DataFrame([("toy", "011", "FACE", -1, 0.125), ("toy", "011", "FACE", 0, 1.0),
                            ("toy", "100", "EEG", 2, 0.0)], columns=ROUTING_COLUMNS)
    missing = predictions[7:].reset_index(drop=True) if with_units else pd.DataFrame(columns=[])
    written = Said(predictions, missing, tested, masks, routing, units if with_units else units[:0])
    write_said(written, tmp_path)
    assert (tmp_path / "action_units.parquet").is_file() == with_units
    assert (tmp_path / "predictions_missing.parquet").is_file() == with_units
    found = read_said(tmp_path)
    for name in ("predictions", "predictions_missing", "tested", "masked", "routing"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(written, name), check_exact=True)
    if with_units:
        pd.testing.assert_frame_equal(found.action_units, units, check_exact=True)
    assert list(found.action_units.columns) == list(units.columns)
    assert len(found.action_units) == (48 * 12 if with_units else 0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["himoe", "mean"])
def test_a_run_with_a_face_keeps_its_action_units(method: str, tmp_path: Path) -> None:
    config = make_config(method, epochs=1, seeds=(0, 1))
    config = replace(config, run=replace(config.run, modalities=("EEG", "EDA", "FACE")))
    data = make_data(config, with_face(make_store(3, 4, 5), hidden=[2, 17]))
    label = "EfficientNet-B0, random weights (seed 0)"
    meta = replace(data.store.meta, provenance={**data.store.meta.provenance, "face": label})
    data = replace(data, store=replace(data.store, meta=meta))
    train_run(config, data, tmp_path / "out", tmp_path / "kept", INPUTS, 1)
    units = read_said(tmp_path / "out").action_units
    assert len(units) == (2 * (60 - 2) * 12 if method == "himoe" else 0)
    assert not units.duplicated(["seed", "subject", "trial", "window", "action_unit"]).any()
    assert read_json(tmp_path / "out" / "run.json")["face"] == label
    without = replace(config, run=replace(config.run, modalities=("EEG", "EDA")))
    known = replace(make_store().meta, provenance=meta.provenance)
    assert describe(without, make_data(without, replace(make_store(), meta=known)))["face"] is None


@pytest.mark.slow
@pytest.mark.parametrize("method", ["himoe", "features_gbdt"])
def test_the_order_of_subjects_and_rows_changes_no_metric(method: str, tmp_path: Path) -> None:
    store = make_store(4, 6, 5)
    config = make_config(method, search={"learning_rate": (0.01, 0.003)})
    folds = make_data(config, store).folds
    predictions, tables = [], []
    for reverse in (False, True):
        folder = write_store(tmp_path / f"windows-{reverse}", store, reverse)
        made = write_feature_store(tmp_path / f"features-{reverse}", folder)
        data = load_run_data(config, folder, made, folds, 0.5, tmp_path / "maps")
        assert data.store.index["subject"].is_monotonic_increasing == (not reverse)
        train_run(config, data, tmp_path / f"out-{reverse}", tmp_path / f"kept-{reverse}", INPUTS, 1)
        table = pd.read_parquet(tmp_path / f"out-{reverse}" / "predictions.parquet")
        predictions.append(table.sort_values(["dimension", "subject", "trial", "window"], ignore_index=True))
        made = dict(zip(("sweep", "combinations"), scores(tmp_path / f"out-{reverse}"), strict=True))
        tables.append(made | {name: pd.read_csv(tmp_path / f"out-{reverse}" / f"{name}.csv") for name in
                              ("history", "search", "routing")})
    for name, table in tables[0].items():
        pd.testing.assert_frame_equal(table, tables[1][name], rtol=0, atol=2e-6)
    np.testing.assert_array_equal(predictions[0]["y_true"], predictions[1]["y_true"])
    np.testing.assert_allclose(predictions[0]["y_pred"], predictions[1]["y_pred"], rtol=1e-6)
    weights = [(tmp_path / f"out-{r}" / "fold-01_seed-0" / "weights.safetensors").read_bytes() for r in (False, True)]
    assert weights[0] == weights[1]
    for dimension in ("valence", "arousal"):
        left, right = (ccc(*s.loc[s["dimension"] == dimension, ["y_true", "y_pred"]].to_numpy().T) for s in predictions)
        assert round(left, 6) == round(right, 6)


@pytest.mark.slow
def test_windows_on_disk_give_the_same_weights_as_in_memory(tmp_path: Path) -> None:
    store = make_store(4, 6, 5)
    folder = write_store(tmp_path / "windows", store)
    made = write_feature_store(tmp_path / "features", folder)
    outputs = []
    for memory_gib in (1.0, 1e-6):
        config = make_config(memory_gib=memory_gib)
        data = load_run_data(config, folder, made, make_data(config, store).folds, 0.5, tmp_path / "maps")
        assert isinstance(data.store.arrays["EEG"], np.ndarray) == (memory_gib == 1.0)
        train_run(config, data, tmp_path / f"out-{memory_gib}", tmp_path / f"kept-{memory_gib}", INPUTS, 2)
        outputs.append(file_bytes(tmp_path / f"out-{memory_gib}"))
    for content in outputs:
        for name in [name for name in content if name.endswith((".json", SUMS))]:
            content.pop(name)  # they name memory_gib, or the digest of one that does
    assert outputs[0] == outputs[1]


def test_predictions_hold_every_window_once_a_seed(finished: Finished) -> None:
    data = finished.data
    table = pd.read_parquet(finished.out / "predictions.parquet")
    counts = table.groupby(["seed", "dimension"]).size()
    assert counts.to_dict() == {(s, d): len(data.store.index) for s in (0, 1) for d in ("valence", "arousal")}
    assert not table.duplicated(["seed", "dimension", "subject", "trial", "window"]).any()
    truth = table.merge(data.store.index, on=["subject", "trial", "window"])
    np.testing.assert_allclose(truth["y_true"], np.where(truth["dimension"] == "valence", truth["valence"],
                                                         truth["arousal"]))
    tested = data.folds[data.folds["role"] == "test"].set_index(["subject", "trial"])["fold"]
    assert (table["fold"] == tested.loc[list(zip(table["subject"], table["trial"], strict=True))].to_numpy()).all()


def test_one_fold_of_later_trials_is_scored_on_them_alone(tmp_path: Path) -> None:
    config, data = problem(protocol="sequential", epochs=1)
    assert audit_folds(data.store.index, data.folds, "sequential") == []
    train_run(config, data, tmp_path / "out", tmp_path / "kept", INPUTS, 1)
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    sweep, _ = scores(tmp_path / "out")
    assert set(table["trial"]) == {"v04", "v05"}  # of six
    info, history = read_json(tmp_path / "out" / "run.json"), pd.read_csv(tmp_path / "out" / "history.csv")
    found = run_metrics(info, history, sweep, table, 0.0, BootstrapParams(50, 0))
    assert (found["folds"], found["n_people"], found["n_trials"]) == (1, 4, 8)
    assert found["ccc_low"] <= found["ccc"] <= found["ccc_high"]
    once = run_metrics(info, history, sweep[sweep["seed"] == 0], table[table["seed"] == 0], 0.0,
                       BootstrapParams(50, 0))
    assert once["ccc_sd"] is None  # one fold and one seed have no spread


def test_a_killed_run_fits_only_what_is_missing_and_gives_the_same_bytes(
    finished: Finished, tmp_path: Path, done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    again, models = tmp_path / "kept", sorted(finished.kept.iterdir())
    again.mkdir()
    shutil.copytree(models[1], again / models[1].name)
    half = again / f".{models[2].name}.99999.part"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half of it")
    train_run(finished.config, finished.data, tmp_path / "resumed", again, INPUTS, 1)
    assert capsys.readouterr().err == f"{finished.config.name}: 1 of 4 models kept from before\n"
    assert done == ["fold-00_seed-0", "fold-01_seed-0", "fold-01_seed-1"]
    assert file_bytes(tmp_path / "resumed") == file_bytes(finished.out)


@pytest.mark.parametrize("file", ["weights.safetensors", SUMS])
def test_a_damaged_kept_task_is_fitted_again(file: str, finished: Finished, tmp_path: Path, done: list[str]) -> None:
    kept = finished.copy_kept(tmp_path / "kept")
    (sorted(kept.iterdir())[2] / file).write_bytes(b"")  # as a power cut may leave it
    train_run(finished.config, finished.data, tmp_path / "again", kept, INPUTS, 1)
    assert done == ["fold-01_seed-0"]
    assert file_bytes(tmp_path / "again") == file_bytes(finished.out)


def test_a_finished_run_is_not_fitted_again_but_one_of_other_data_is(finished: Finished, tmp_path: Path,
                                                                     done: list[str]) -> None:
    kept = finished.copy_kept(tmp_path / "kept")
    train_run(finished.config, finished.data, tmp_path / "again", kept, INPUTS, 1)
    assert done == []
    assert file_bytes(tmp_path / "again") == file_bytes(finished.out)
    train_run(finished.config, finished.data, tmp_path / "other", kept, {**INPUTS, "windows": "changed"}, 1)
    assert len(done) == 4


@pytest.mark.parametrize("change", [
    {"learning_rate": 0.02}, {"epochs": 3}, {"missing": "none"}, {"seed": 1}, {"model": {"features": 8}},
    {"task": "classification"}, {"method": "late_fusion"}, {"shuffle_labels": True}, {"rates": (0.0,)},
    {"search": {"learning_rate": (0.01, 0.003)}}, {"search": {"epochs": 6}}, {"warmup_steps": 3}, {"ema": 0.5},
])
def test_every_parameter_changes_the_key(change: dict[str, Any]) -> None:
    group = [FoldTask(0, 0)]
    assert task_key(make_config(), group, INPUTS) == task_key(make_config(), group, dict(reversed(INPUTS.items())))
    assert task_key(make_config(**change), group, INPUTS) != task_key(make_config(), group, INPUTS)


@pytest.mark.parametrize(("count", "at_once", "sizes"),
                         [(12, 6, [6, 6]), (4, 6, [2, 2]), (7, 3, [2, 3, 2]), (5, 1, [1] * 5), (1, 6, [1])])
def test_groups_are_equal_and_in_order(count: int, at_once: int, sizes: list[int]) -> None:
    tasks = [FoldTask(fold, 0) for fold in range(count)]
    groups = task_groups(tasks, at_once)
    assert [len(group) for group in groups] == sizes
    assert [task for group in groups for task in group] == tasks


@pytest.mark.slow
def test_models_fitted_together_are_resumed_together(tmp_path: Path, done: list[str]) -> None:
    """Rounding depends on the company, so what is missing is fitted in the company it had."""
    front = {"eeg_encoder": "bands", "signal_encoder": "features"}
    config, data = problem(models_at_once=2, epochs=1, search={}, model=front)
    for jobs in (1, 2):
        train_run(config, data, tmp_path / f"out-{jobs}", tmp_path / f"kept-{jobs}", INPUTS, jobs)
    shutil.rmtree(next((tmp_path / "kept-1").glob("fold-01_seed-1*")))
    done.clear()
    train_run(config, data, tmp_path / "resumed", tmp_path / "kept-1", INPUTS, 1)
    assert done == ["fold-01_seed-0", "fold-01_seed-1"]
    assert file_bytes(tmp_path / "resumed") == file_bytes(tmp_path / "out-1") == file_bytes(tmp_path / "out-2")


def test_the_output_appears_only_when_it_is_whole(finished: Finished, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    out, kept = tmp_path / "out", finished.copy_kept(tmp_path / "kept")
    out.mkdir()
    (out / "run.json").write_text("the run before", encoding="utf-8")

    def full_disk(path: Path, value: Any) -> None:
        assert file_bytes(out) == {"run.json": b"the run before"}  # everything but this file is already written
        raise OSError("no space left on device")

    monkeypatch.setattr(running, "write_json", full_disk)
    with pytest.raises(OSError, match="no space"):
        train_run(finished.config, finished.data, out, kept, INPUTS, 1)
    assert file_bytes(out) == {"run.json": b"the run before"}
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []
    monkeypatch.undo()
    train_run(finished.config, finished.data, out, kept, INPUTS, 1)
    assert file_bytes(out) == file_bytes(finished.out)


def test_run_json_says_what_the_run_is() -> None:
    config, data = problem(protocol="leaky", shuffle_labels=True)
    described = describe(config, data)
    assert described["simulated"] is True
    assert (described["protocol"], described["shuffle_labels"], described["modalities"], described["classes"]) == (
        "leaky", True, ["EEG", "EDA"], None)
    parameters = build_method("himoe", make_spec(config, data)).parameters()
    assert described["parameters"] == sum(parameter.numel() for parameter in parameters)
    classes = problem(task="classification")
    three = replace(classes[1], task=replace(classes[1].task, thresholds=(-0.5, 0.5)))
    assert [describe(classes[0], one)["classes"] for one in (classes[1], three)] == [2, 3]
    real = replace(data.store, meta=replace(data.store.meta, provenance={
        "source": "local", "simulated": False, "label": "Toy"}))
    assert describe(config, replace(data, store=real))["simulated"] is False
