"""Scores of fitted models, recomputed with independent code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import toysets
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error
from textbook import score_of
from toysets import Scored, encode_tensors, make_config, make_data, make_store, model_of, with_face

from himoe.core.errors import InputError
from himoe.core.params import MissingParams, RunConfig
from himoe.models.encoders.action_units import AU_NAMES
from himoe.prepare.masks import evaluation_draws
from himoe.scoring.sweep import score_run
from himoe.training import masked
from himoe.training.fit import fit_task
from himoe.training.masked import combinations
from himoe.training.rundata import FoldTask, RunData, run_tasks

MISSING = MissingParams((0.0, 0.2, 0.4), (3, 5))
KEYS = ["missing_rate", "mask_seed", "seed", "fold", "dimension", "metric"]
Models = dict[FoldTask, dict[str, torch.Tensor]]
Trained = Callable[..., tuple[RunConfig, RunData, Models]]


@pytest.fixture(scope="module")
def trained() -> Trained:
    """A run's fitted models by its changes to the toy configuration, each fitted once."""
    done: dict[str, tuple[RunConfig, RunData, Models]] = {}

    def build(**changes: Any) -> tuple[RunConfig, RunData, Models]:
        key = repr(sorted(changes.items()))
        if key not in done:
            config = make_config(**changes)
            data = make_data(config, make_store(4, 6, 5))
            done[key] = config, data, {task: fit_task(config, data, task).tensors
                                       for task in run_tasks(config, data.folds)}
        return done[key]

    return build


def score(config: RunConfig, data: RunData, models: Models, rate: float = 0.0, fitted: RunData | None = None) -> Scored:
    """Every model of a run scored under ``MISSING``, joined."""
    return toysets.score(config, data, models, rate, MISSING, fitted)


@pytest.mark.parametrize(("task", "metrics"), [("regression", {"ccc", "pcc", "mae", "ccc_within"}),
                                               ("classification", {"accuracy", "f1"})])
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_the_sweep_is_what_other_code_computes(trained: Trained, task: str, metrics: set[str], rate: float) -> None:
    config, data, models = trained(task=task, seeds=(0, 1))
    result = score(config, data, models, rate)
    assert set(result.sweep["metric"]) == metrics
    rows = result.sweep[result.sweep["missing_rate"] == rate].set_index(KEYS[1:])["value"]
    checked = 0
    for (mask_seed, seed, fold), part in result.predictions.groupby(["mask_seed", "seed", "fold"]):
        for metric in metrics:
            values = []
            for dimension in ("valence", "arousal"):
                rows_of = part[part["dimension"] == dimension]
                values.append(score_of(metric, *rows_of[["y_true", "y_pred"]].to_numpy().T,
                                       (rows_of["subject"] + rows_of["trial"]).to_numpy()))
                assert rows[mask_seed, seed, fold, dimension, metric] == pytest.approx(values[-1], abs=1e-9)
            assert rows[mask_seed, seed, fold, "mean", metric] == pytest.approx(np.mean(values), abs=1e-9)
            checked += 3
    assert checked == len(rows) == (1 if rate == 0 else 2) * 2 * 2 * 3 * len(metrics)


@pytest.mark.parametrize("method", ["late_fusion", "mean_subject", "features_gbdt"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_three_classes_are_scored_as_other_code_does(method: str, shuffled: bool) -> None:
    config = make_config(method=method, task="classification", shuffle_labels=shuffled)
    store = make_store(4, 6, 5)
    index = store.index.assign(valence=store.index["valence"].mask(store.index["window"] == 3))
    data = make_data(config, replace(store, index=index, meta=replace(store.meta, thresholds=(4.1, 6.2))))
    assert set(np.unique(data.labels[np.isfinite(data.labels)])) == {0, 1, 2}
    result = score(config, data, {task: fit_task(config, data, task).tensors for task in run_tasks(config, data.folds)})
    assert set(result.predictions["y_pred"]) <= {0.0, 1.0, 2.0}
    assert result.predictions["y_true"].isna().sum() == 4 * 6
    truth = data.store.index[["subject", "trial", "window"]].assign(arousal=data.labels[:, 1])
    merged = result.predictions[result.predictions["dimension"] == "arousal"].merge(
        truth, on=["subject", "trial", "window"])
    assert (merged["y_true"] == merged["arousal"]).all()
    rows = result.sweep[result.sweep["missing_rate"] == 0].set_index(["fold", "dimension", "metric"])["value"]
    for (fold, dimension), part in result.predictions.dropna().groupby(["fold", "dimension"]):
        y, p = part["y_true"], part["y_pred"]
        assert rows[fold, dimension, "accuracy"] == pytest.approx(accuracy_score(y, p))
        assert rows[fold, dimension, "f1_macro"] == pytest.approx(f1_score(y, p, average="macro"))
    assert len(rows) == 2 * 3 * 2
    assert set(result.combinations["metric"]) == (set() if method == "mean_subject" else {"accuracy", "f1_macro"})


def test_predictions_are_those_at_the_missing_rate(trained: Trained) -> None:
    config, data, models = trained(seeds=(0, 1))
    at_zero = score(config, data, models, 0.0).predictions
    keys = ["seed", "fold", "subject", "trial", "window", "dimension"]
    assert len(at_zero) == len(at_zero.drop_duplicates(keys)) == 2 * 120 * 2  # seeds, windows, dimensions
    at_more = score(config, data, models, 0.4).predictions
    assert len(at_more) == 2 * len(at_zero)  # once a mask seed
    both = at_more.merge(at_zero, on=keys, suffixes=("", "_zero"))
    dropped = np.zeros(len(both), dtype=bool)
    for mask_seed in (3, 5):
        draws = evaluation_draws(data.store.index, ("EEG", "EDA"), mask_seed)
        masked = data.store.index[["subject", "trial", "window"]].assign(hit=(draws < 0.4).any(1))
        hits = both[["subject", "trial", "window"]].merge(masked, on=["subject", "trial", "window"])["hit"]
        dropped |= hits.to_numpy() & (both["mask_seed"] == mask_seed).to_numpy()
    change = (both["y_pred"] - both["y_pred_zero"]).abs().to_numpy()
    assert 0.5 < dropped.mean() < 0.75  # 1 - 0.6 * 0.6
    assert change[~dropped].max() < 1e-5
    assert (change[dropped] > 1e-5).mean() > 0.9


@pytest.mark.parametrize("missing", ["sampled", "matched"])
def test_predictions_at_the_highest_rate_are_those_of_its_first_mask(trained: Trained, missing: str) -> None:
    """Whatever rate is asked for, and with one model for every rate or one for each."""
    config, data, models = trained(missing=missing, rates=(0.0, 0.2, 0.4), epochs=1)
    found = score(config, data, models, 0.0)
    assert set(found.predictions["missing_rate"]) == {0.0}
    first = score(config, data, models, 0.4).predictions.query("mask_seed == 3").reset_index(drop=True)
    pd.testing.assert_frame_equal(found.predictions_missing, first)
    assert list(found.predictions_missing) == list(found.predictions)
    assert len(found.predictions_missing) == len(found.predictions)
    assert (found.predictions_missing["y_pred"] != found.predictions["y_pred"]).mean() > 0.3


def test_every_method_sees_the_same_masks(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[np.ndarray]] = {}
    for method in ("himoe", "late_fusion"):
        config, data, models = trained(method=method)
        masks: list[np.ndarray] = []
        real = masked.EncodedFold.predict
        monkeypatch.setattr(masked.EncodedFold, "predict",
                            lambda self, kept, masks=masks, real=real: (masks.append(kept), real(self, kept))[1])
        score(config, data, models, 0.0)
        monkeypatch.undo()
        seen[method] = masks
    assert len(seen["himoe"]) == 2 * (1 + 2 + 2)  # folds; rate 0 once, two rates with two mask seeds
    for left, right in zip(seen["himoe"], seen["late_fusion"], strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(seen["himoe"][1], seen["himoe"][2])  # mask seeds differ
    draws = evaluation_draws(make_store(4, 6, 5).index, ("EEG", "EDA"), 3)
    lost = (draws < 0.2) & ~(draws < 0.2).all(1, keepdims=True)
    np.testing.assert_array_equal(seen["himoe"][1][~(draws < 0.2).all(1)], ~lost[~(draws < 0.2).all(1)])


@pytest.mark.slow
def test_matched_models_are_scored_at_their_own_rate(trained: Trained) -> None:
    config, data, models = trained(missing="matched", rates=(0.0, 0.2, 0.4), epochs=1)
    assert sorted(task.rate for task in models) == [0.0, 0.0, 0.2, 0.2, 0.4, 0.4]
    result = score(config, data, models, 0.2)
    assert not result.sweep.duplicated(KEYS).any()
    assert set(result.sweep["missing_rate"]) == {0.0, 0.2, 0.4}
    for task, tensors in models.items():
        encoded = encode_tensors(config, data, task, tensors)
        draws = evaluation_draws(data.store.index, ("EEG", "EDA"), 3)
        kept = np.where((draws < task.rate).all(1, keepdims=True), draws == draws.max(1, keepdims=True),
                        draws >= task.rate)
        error = np.abs(encoded.predict(kept) - data.labels[encoded.rows]).mean()
        row = result.sweep[(result.sweep[["missing_rate", "fold", "mask_seed"]] == (task.rate, task.fold, 3)).all(1)]
        value = row.loc[(row["metric"] == "mae") & (row["dimension"] == "mean"), "value"]
        assert value.item() == pytest.approx(error, abs=1e-9)
    assert set(result.predictions["missing_rate"]) == {0.2}
    assert score(config, data, models, 0.33).predictions.empty  # no model was trained for it


def test_combinations_of_modalities() -> None:
    six = combinations(list("abcdef"))
    assert len(six) == len(set(six)) == 63
    assert all(any(bits) for bits in six)
    seven = combinations(list("abcdefg"))
    assert sorted(map(sum, seven)) == [1] * 7 + [6] * 7 + [7]


def test_routing_weights_sum_to_one(trained: Trained) -> None:
    config, data, models = trained(seeds=(0, 1))
    routing = score(config, data, models, 0.0).routing
    assert list(routing.columns) == ["run", "combination", "modality", "expert", "weight"]
    assert set(routing["combination"]) == {"11", "10", "01"}
    assert not routing.duplicated(["combination", "modality", "expert"]).any()
    gates = routing[routing["expert"] >= 0].groupby(["combination", "modality"])["weight"]
    assert (gates.count() == config.model.modality_experts).all()
    np.testing.assert_allclose(gates.sum(), 1.0, rtol=1e-5)
    fusion = routing[routing["expert"] == -1].groupby("combination")["weight"]
    assert fusion.count().tolist() == [2, 2, 2]
    np.testing.assert_allclose(fusion.sum(), 1.0, rtol=1e-5)


def test_methods_without_routing_have_an_empty_table(trained: Trained) -> None:
    config, data, models = trained(method="mean")
    result = score(config, data, models, 0.0)
    assert result.routing.empty
    assert list(result.routing.columns) == ["run", "combination", "modality", "expert", "weight"]
    assert result.combinations.empty  # it looks at no signal
    assert list(result.combinations.columns) == ["run", "seed", "fold", "combination", "dimension", "metric", "value"]


def predict_with_only(config: RunConfig, data: RunData, tensors: dict[str, torch.Tensor], rows: np.ndarray,
                      modalities: tuple[str, ...]) -> np.ndarray:
    """(k, D) predictions of *rows* where only *modalities* were ever recorded, one trial after another."""
    model = model_of(config, data, FoldTask(0, 0), tensors)
    method, normaliser = model.method, model.normaliser
    present = np.zeros_like(data.present)
    for modality in modalities:
        present[:, ("EEG", "EDA").index(modality)] = True
    arrays = {m: a if m in modalities else np.full_like(a, np.nan) for m, a in data.store.arrays.items()}
    masked = replace(data, present=present, store=replace(data.store, arrays=arrays))
    assembler = masked.assembler(normaliser, data.subject)
    predicted = np.full((len(data.store.index), 2), np.nan)
    for _, group in data.store.index.iloc[rows].groupby(["subject", "trial"]):
        trial = group.sort_values("window").index.to_numpy()
        for part in (trial[:4], trial[4:]):  # sequences of 4
            with torch.no_grad():
                predicted[part] = method(assembler.batch(part[None])).prediction[0].numpy()
    return predicted[rows]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "task"), [("himoe", "regression"), ("bilstm", "classification"),
                                              ("features_gbdt", "regression")])
def test_combinations_are_scores_of_what_is_left(trained: Trained, method: str, task: str) -> None:
    config, data, models = trained(method=method, task=task)
    found = score(config, data, models).combinations.set_index(
        ["fold", "combination", "dimension", "metric"])["value"].sort_index()
    metrics = ("ccc", "pcc", "mae", "ccc_within") if task == "regression" else ("accuracy", "f1")
    trials = (data.store.index["subject"] + data.store.index["trial"]).to_numpy()
    assert len(found) == len(found.index.unique()) == 2 * 3 * 3 * len(metrics)
    for fold_task, tensors in models.items():
        rows = encode_tensors(config, data, fold_task, tensors).rows
        for text, left in (("11", ("EEG", "EDA")), ("10", ("EEG",)), ("01", ("EDA",))):
            predicted = predict_with_only(config, data, tensors, rows, left)
            for metric in metrics:
                values = [score_of(metric, data.labels[rows, d], predicted[:, d], trials[rows]) for d in range(2)]
                expected = dict(zip(("valence", "arousal", "mean"), (*values, np.mean(values)), strict=True))
                for dimension, value in expected.items():
                    assert found[fold_task.fold, text, dimension, metric] == pytest.approx(value, abs=1e-4, nan_ok=True)
    changed = found.xs("10", level="combination") - found.xs("11", level="combination")
    assert changed.abs().max() > 1e-3


def test_combinations_count_only_windows_that_had_everything(trained: Trained) -> None:
    config, data, models = trained()
    present = data.present.copy()
    present[::3, 0] = False
    some = replace(data, present=present)
    found = score(config, some, models).combinations
    for task, tensors in models.items():
        encoded = encode_tensors(config, some, task, tensors)
        complete = present[encoded.rows].all(1)
        assert 0 < complete.sum() < len(complete)
        for text, bits in (("11", [1, 1]), ("01", [0, 1])):
            errors = np.abs(encoded.predict(present & np.array(bits, dtype=bool)) - some.labels[encoded.rows])
            row = found[(found["combination"] == text) & (found["fold"] == task.fold) & (found["metric"] == "mae")]
            assert row.loc[row["dimension"] == "mean", "value"].item() == pytest.approx(errors[complete].mean())


@pytest.mark.parametrize("lost", ["one modality", "all"])
def test_a_fold_that_lacks_modalities_altogether(trained: Trained, lost: str) -> None:
    """No combination to compare; without any signal no prediction and no score either."""
    config, data, models = trained(protocol="loso")
    task = FoldTask(1, 0)
    test = data.folds.query("fold == 1 and role == 'test'")["subject"].unique()
    present = data.present.copy()
    present[np.ix_(data.store.index["subject"].isin(test), [True, lost == "all"])] = False
    some = replace(data, present=present)
    result = score(config, some, models, fitted=data)
    assert set(result.combinations["fold"]) == {0, 2, 3}
    tested = result.predictions[result.predictions["fold"] == task.fold]
    assert len(tested) == (0 if lost == "all" else 2 * 30)  # dimensions, windows of the one person
    values = result.sweep.loc[result.sweep["fold"] == task.fold, "value"]
    assert values.isna().all() if lost == "all" else values.notna().all()


def test_masks_of_other_windows_are_refused(trained: Trained) -> None:
    config, data, models = trained()
    said = score(config, data, models)
    with pytest.raises(InputError, match=r"toy-run: masked\.parquet: predicted of fold 1: found 120 numbers"):
        score_run({"run": "toy-run", "task": "regression", "dimensions": ["valence", "arousal"], "scale": [1, 9]},
                  said.tested.drop(index=said.tested.index[-1]), said.masked)


def test_windows_without_a_rating_count_in_no_score(trained: Trained) -> None:
    config, data, models = trained(seeds=(0, 1))
    labels = data.labels.copy()
    labels[::3, 0] = np.nan
    result = score(config, replace(data, labels=labels), models)
    rows = result.sweep[(result.sweep["metric"] == "mae") & (result.sweep["missing_rate"] == 0)].set_index(
        ["seed", "fold", "dimension"])["value"]
    for (seed, fold), part in result.predictions.groupby(["seed", "fold"]):
        valence = part[(part["dimension"] == "valence") & part["y_true"].notna()]
        assert 0 < len(valence) < part["dimension"].eq("valence").sum()
        assert rows[seed, fold, "valence"] == pytest.approx(mean_absolute_error(valence["y_true"], valence["y_pred"]))


# --- action units ---------------------------------------------------------------------------------------------------

HIDDEN = (3, 4, 11, 50)  # rows whose window has no FACE


def face_run(method: str = "himoe", **changes: Any) -> tuple[RunConfig, RunData, Models]:
    """A run with EEG, EDA and FACE, its models fitted for one epoch."""
    config = make_config(method, epochs=1, **changes)
    config = replace(config, run=replace(config.run, modalities=("EEG", "EDA", "FACE")))
    data = make_data(config, with_face(make_store(3, 5, 4), HIDDEN))
    return config, data, {task: fit_task(config, data, task).tensors for task in run_tasks(config, data.folds)}


@pytest.mark.parametrize("method", ["himoe", "late_fusion"])
def test_action_units_are_those_of_every_window_on_its_own(method: str) -> None:
    """Window by window through the face's encoder, against the whole fold at once."""
    config, data, models = face_run(method, seeds=(0, 1))
    table = score(config, data, models).action_units
    assert list(table.columns) == ["run", "seed", "fold", "subject", "trial", "window", "action_unit", "activation"]
    expected = {}
    for task, tensors in models.items():
        model = model_of(config, data, task, tensors)
        built, normaliser = model.method, model.normaliser
        tested = data.folds[(data.folds["fold"] == task.fold) & (data.folds["role"] == "test")]
        for row, window in data.store.index.iterrows():
            if row in HIDDEN or (window["subject"], window["trial"]) not in set(
                    zip(tested["subject"], tested["trial"], strict=True)):
                continue
            face = normaliser.apply("FACE", data.store.arrays["FACE"][[row]], data.subject[[row]])
            with torch.no_grad():
                values = built.encoders.encoders["FACE"].activations(torch.from_numpy(face))[0]
            for name, value in zip(AU_NAMES, values.tolist(), strict=True):
                expected["toy-run", task.seed, task.fold, window["subject"], window["trial"], window["window"],
                         name] = value
    found = table.set_index(list(table.columns[:-1]))["activation"]
    assert len(found) == len(expected) == 2 * (60 - len(HIDDEN)) * 12
    assert set(found.index) == set(expected)
    np.testing.assert_allclose(found, [expected[key] for key in found.index], atol=1e-6)
    assert found.between(0, 1).all()
    assert found.std() > 1e-3


@pytest.mark.parametrize("case", ["no FACE", "no signal", "no face in any window"])
def test_without_a_face_there_are_no_action_units_but_their_columns(trained: Trained, case: str) -> None:
    config, data, models = trained() if case == "no FACE" else face_run("himoe" if "any" in case else "mean")
    if "any" in case:
        data = replace(data, present=data.present & [True, True, False])
    result = score(config, data, models).action_units
    assert result.empty
    assert list(result.columns) == ["run", "seed", "fold", "subject", "trial", "window", "action_unit", "activation"]
