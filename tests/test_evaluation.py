"""Scores of a trained run, recomputed with independent code from its predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error
from toysets import make_config, make_data, make_store

from himoe import evaluation
from himoe.errors import InputError
from himoe.evaluation import Evaluation, combinations, evaluate_run, run_metrics, trajectories
from himoe.masks import evaluation_draws
from himoe.params import BootstrapParams, MissingParams, RunConfig
from himoe.rundata import RunData
from himoe.running import describe, train_run

MISSING = MissingParams((0.0, 0.2, 0.4), (3, 5))
BOOTSTRAP = BootstrapParams(200, 0)
KEYS = ["missing_rate", "mask_seed", "seed", "fold", "dimension", "metric"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[RunConfig, RunData, Path]]:
    """A trained run by its changes to the toy configuration, each trained once."""
    base = tmp_path_factory.mktemp("runs")
    done: dict[str, tuple[RunConfig, RunData, Path]] = {}

    def build(**changes: Any) -> tuple[RunConfig, RunData, Path]:
        key = repr(sorted(changes.items()))
        if key not in done:
            config = make_config(**changes)
            data = make_data(config, make_store(4, 6, 5))
            out = base / str(len(done))
            train_run(config, data, out, base / f"kept-{len(done)}", {}, 1)
            done[key] = config, data, out
        return done[key]

    return build


Trained = Callable[..., tuple[RunConfig, RunData, Path]]


def independent_ccc(y: np.ndarray, p: np.ndarray) -> float:
    slope = pearsonr(y, p).statistic * 2 * y.std() * p.std()
    return float(slope / (y.var() + p.var() + (y.mean() - p.mean()) ** 2))


INDEPENDENT: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "ccc": independent_ccc, "pcc": lambda y, p: float(pearsonr(y, p).statistic), "mae": mean_absolute_error,
    "accuracy": lambda y, p: accuracy_score(y, p > 0.5), "f1": lambda y, p: f1_score(y, p > 0.5),
}


@pytest.mark.parametrize(("task", "metrics"), [("regression", {"ccc", "pcc", "mae"}),
                                               ("classification", {"accuracy", "f1"})])
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_the_sweep_is_what_other_code_computes(trained: Trained, task: str, metrics: set[str], rate: float) -> None:
    config, data, out = trained(task=task, seeds=(0, 1))
    result = evaluate_run(config, data, out, MISSING, rate)
    assert set(result.sweep["metric"]) == metrics
    rows = result.sweep[result.sweep["missing_rate"] == rate].set_index(KEYS[1:])["value"]
    checked = 0
    for (mask_seed, seed, fold), part in result.predictions.groupby(["mask_seed", "seed", "fold"]):
        for metric in metrics:
            values = []
            for dimension in ("valence", "arousal"):
                y, p = part.loc[part["dimension"] == dimension, ["y_true", "y_pred"]].to_numpy().T
                values.append(INDEPENDENT[metric](y, p))
                assert rows[mask_seed, seed, fold, dimension, metric] == pytest.approx(values[-1], abs=1e-9)
            assert rows[mask_seed, seed, fold, "mean", metric] == pytest.approx(np.mean(values), abs=1e-9)
            checked += 3
    assert checked == len(rows) == (1 if rate == 0 else 2) * 2 * 2 * 3 * len(metrics)


def test_every_rate_is_there_and_rate_zero_once(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    sweep = evaluate_run(config, data, out, MISSING, 0.0).sweep
    assert not sweep.duplicated(KEYS).any()
    seeds = sweep.groupby("missing_rate")["mask_seed"].unique().map(sorted).to_dict()
    assert seeds == {0.0: [3], 0.2: [3, 5], 0.4: [3, 5]}


def test_predictions_are_those_at_the_missing_rate(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    at_zero = evaluate_run(config, data, out, MISSING, 0.0).predictions
    keys = ["seed", "fold", "subject", "trial", "window", "dimension"]
    kept = pd.read_parquet(out / "predictions.parquet")  # written by training, nothing missing
    both = at_zero.merge(kept, on=keys, suffixes=("", "_kept"))
    assert len(both) == len(at_zero) == len(kept)
    np.testing.assert_allclose(both["y_pred"], both["y_pred_kept"], rtol=1e-6)
    at_more = evaluate_run(config, data, out, MISSING, 0.4).predictions
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


def test_a_rate_outside_the_sweep_is_added(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    result = evaluate_run(config, data, out, MISSING, 0.33)
    assert sorted(result.sweep["missing_rate"].unique()) == [0.0, 0.2, 0.33, 0.4]
    assert len(result.predictions) == 2 * 2 * 120 * 2  # mask seeds, seeds, windows, dimensions


def test_every_method_sees_the_same_masks(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[np.ndarray]] = {}
    for method in ("himoe", "late_fusion"):
        config, data, out = trained(method=method)
        masks: list[np.ndarray] = []
        real = evaluation.EncodedFold.predict
        monkeypatch.setattr(evaluation.EncodedFold, "predict",
                            lambda self, kept, masks=masks, real=real: (masks.append(kept), real(self, kept))[1])
        evaluate_run(config, data, out, MISSING, 0.0)
        monkeypatch.undo()
        seen[method] = masks
    assert len(seen["himoe"]) == 2 * (1 + 2 + 2)  # folds; rate 0 once, two rates with two mask seeds
    for left, right in zip(seen["himoe"], seen["late_fusion"], strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(seen["himoe"][1], seen["himoe"][2])  # mask seeds differ
    draws = evaluation_draws(make_store(4, 6, 5).index, ("EEG", "EDA"), 3)
    lost = (draws < 0.2) & ~(draws < 0.2).all(1, keepdims=True)
    np.testing.assert_array_equal(seen["himoe"][1][~(draws < 0.2).all(1)], ~lost[~(draws < 0.2).all(1)])


def test_matched_rates_are_scored_with_their_own_models(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    config, data, out = trained(missing="matched", rates=(0.0, 0.2, 0.4))
    loaded: list[str] = []
    real = evaluation.encode_fold

    def recording(config: RunConfig, data: RunData, task: Any, weights: Path) -> Any:
        loaded.append(f"{task.rate} {weights.parent.name}")
        return real(config, data, task, weights)

    monkeypatch.setattr(evaluation, "encode_fold", recording)
    result = evaluate_run(config, data, out, MISSING, 0.2)
    assert loaded == [f"{rate} fold-0{fold}_seed-0_rate-{rate:.2f}" for fold in (0, 1) for rate in (0.0, 0.2, 0.4)]
    assert not result.sweep.duplicated(KEYS).any()
    assert set(result.sweep["missing_rate"]) == {0.0, 0.2, 0.4}
    with pytest.raises(InputError, match=r"missing_rate: found 0\.33.*0\.2"):
        evaluate_run(config, data, out, MISSING, 0.33)


def test_combinations_of_modalities() -> None:
    six = combinations(list("abcdef"))
    assert len(six) == len(set(six)) == 63
    assert all(any(bits) for bits in six)
    seven = combinations(list("abcdefg"))
    assert sorted(map(sum, seven)) == [1] * 7 + [6] * 7 + [7]


def test_routing_weights_sum_to_one(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    routing = evaluate_run(config, data, out, MISSING, 0.0).routing
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
    config, data, out = trained(method="mean")
    result = evaluate_run(config, data, out, MISSING, 0.0)
    assert result.routing.empty
    assert list(result.routing.columns) == ["run", "combination", "modality", "expert", "weight"]


def test_trajectories_are_chosen_without_a_look_at_predictions(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    predictions = evaluate_run(config, data, out, MISSING, 0.0).predictions
    # labels of these trials move most; the best of a subject counts
    moving = {("s02", "v03"): 5.0, ("s00", "v01"): 4.0, ("s02", "v04"): 3.0, ("s03", "v05"): 2.0, ("s01", "v00"): 1.5}
    factor = [1 + moving.get(pair, 0.0) * w for *pair, w in
              predictions[["subject", "trial", "window"]].itertuples(index=False) for pair in [tuple(pair)]]
    predictions = predictions.assign(y_true=5.0 + np.array(factor))
    chosen = trajectories(predictions, 4.0)
    assert set(zip(chosen["subject"], chosen["trial"], strict=True)) == {("s02", "v03"), ("s00", "v01"), ("s03", "v05")}
    shuffled = predictions.assign(y_pred=np.random.default_rng(0).permutation(predictions["y_pred"]))
    again = trajectories(shuffled, 4.0)
    pd.testing.assert_frame_equal(again[["subject", "trial", "window", "y_true"]],
                                  chosen[["subject", "trial", "window", "y_true"]])


def test_a_trajectory_is_mean_and_range_over_seeds(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    result = evaluate_run(config, data, out, MISSING, 0.0)
    for row in result.trajectories.itertuples(index=False):
        same = result.predictions[(result.predictions["subject"] == row.subject)
                                  & (result.predictions["trial"] == row.trial)
                                  & (result.predictions["window"] == row.window)
                                  & (result.predictions["dimension"] == row.dimension)]
        assert len(same) == 2
        assert row.y_true == pytest.approx(same["y_true"].iloc[0])
        assert row.y_pred == pytest.approx(same["y_pred"].mean())
        assert (row.y_low, row.y_high) == (same["y_pred"].min(), same["y_pred"].max())
        assert row.time_s == 2.0 * row.window + 2.0  # the middle of a 4 s window every 2 s
    assert len(result.trajectories) == 3 * 5 * 2


def metrics_of(config: RunConfig, data: RunData, out: Path, rate: float) -> tuple[dict[str, Any], Evaluation]:
    result = evaluate_run(config, data, out, MISSING, rate)
    return run_metrics(config, data, describe(config, data), result, rate, BOOTSTRAP, "Toy (simulated)"), result


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_flat_metrics_are_means_over_folds_and_seeds(trained: Trained, rate: float) -> None:
    config, data, out = trained(seeds=(0, 1))
    flat, result = metrics_of(config, data, out, rate)
    scores = {}
    for (seed, fold), part in result.predictions.groupby(["seed", "fold"]):
        by_mask = [[mean_absolute_error(g["y_true"], g["y_pred"]) for _, g in masked.groupby("dimension")]
                   for _, masked in part.groupby("mask_seed")]
        scores[seed, fold] = np.mean(by_mask, axis=0)  # arousal, valence
    every = np.array(list(scores.values()))
    assert flat["mae"] == pytest.approx(every.mean(), abs=1e-6)
    assert flat["mae_sd"] == pytest.approx(every.mean(1).std(ddof=1), abs=1e-6)
    assert (flat["mae_arousal"], flat["mae_valence"]) == pytest.approx(tuple(every.mean(0)), abs=1e-6)
    groups = result.predictions.groupby(["dimension", "seed", "mask_seed"])
    pooled = np.mean([independent_ccc(g["y_true"].to_numpy(), g["y_pred"].to_numpy()) for _, g in groups])
    assert flat["ccc_pooled"] == pytest.approx(pooled, abs=1e-6)
    assert flat["missing_rate"] == rate
    assert (flat["n_windows"], flat["n_trials"], flat["folds"], flat["seeds"]) == (120, 24, 2, 2)


def test_the_interval_resamples_trials(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    flat, result = metrics_of(config, data, out, 0.0)
    first = result.predictions[result.predictions["seed"] == 0]
    trials = sorted(set(zip(first["subject"], first["trial"], strict=True)))
    parts = dict(list(first.groupby(["subject", "trial"])))
    drawn = np.random.default_rng(0).integers(0, len(trials), (200, len(trials)))
    scores = []
    for draw in drawn:
        sample = pd.concat([parts[trials[k]] for k in draw])
        scores.append(np.mean([mean_absolute_error(g["y_true"], g["y_pred"]) for _, g in sample.groupby("dimension")]))
    assert (flat["mae_low"], flat["mae_high"]) == pytest.approx(tuple(np.quantile(scores, (0.025, 0.975))), abs=1e-6)
    assert flat["mae_low"] < flat["mae_pooled"] < flat["mae_high"]


def test_metrics_say_simulated_and_name_the_split(trained: Trained) -> None:
    config, data, out = trained(protocol="leaky")
    flat, _ = metrics_of(config, data, out, 0.0)
    assert (flat["run"], flat["protocol"], flat["data"], flat["simulated"], flat["modalities"]) == (
        "toy-run", "leaky", "Toy (simulated)", True, "EEG+EDA")
    assert (flat["scale_low"], flat["scale_high"], flat["training_missing"]) == (1.0, 9.0, "sampled")


def test_windows_without_a_rating_count_in_no_score(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    labels = data.labels.copy()
    labels[::3, 0] = np.nan
    some = replace(data, labels=labels)
    result = evaluate_run(config, some, out, MISSING, 0.0)
    rows = result.sweep[(result.sweep["metric"] == "mae") & (result.sweep["missing_rate"] == 0)].set_index(
        ["seed", "fold", "dimension"])["value"]
    for (seed, fold), part in result.predictions.groupby(["seed", "fold"]):
        valence = part[(part["dimension"] == "valence") & part["y_true"].notna()]
        assert 0 < len(valence) < part["dimension"].eq("valence").sum()
        assert rows[seed, fold, "valence"] == pytest.approx(mean_absolute_error(valence["y_true"], valence["y_pred"]))
    flat = run_metrics(config, some, describe(config, some), result, 0.0, BOOTSTRAP, "Toy (simulated)")
    assert np.isfinite([flat["ccc"], flat["ccc_low"], flat["ccc_high"]]).all()


def test_one_process_and_two_give_the_same_numbers(trained: Trained) -> None:
    config, data, out = trained(seeds=(0, 1))
    first, second = (evaluate_run(config, data, out, MISSING, 0.4, jobs) for jobs in (1, 2))
    for part in ("sweep", "predictions", "routing", "trajectories"):
        pd.testing.assert_frame_equal(getattr(first, part), getattr(second, part), check_exact=True)
