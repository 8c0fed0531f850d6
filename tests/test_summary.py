"""A run's flat metrics, recomputed from its tables with pandas, scipy and scikit-learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import textbook
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from himoe.core.params import BootstrapParams
from himoe.scoring.summary import pooled_interval, run_metrics, summary

BOOTSTRAP = BootstrapParams(200, 0)
DIMENSIONS = ("valence", "arousal", "liking")
MASK_SEEDS = {0.0: (3,), 0.4: (3, 5)}
INFO: dict[str, Any] = {
    "run": "toy-run", "method": "himoe", "set": "toy", "protocol": "leaky", "task": "regression",
    "modalities": ["EEG", "EDA"], "modality_set": "EEG+PPS", "variant": "", "shuffle_labels": True,
    "training": {"missing": "sampled"}, "simulated": True, "data": "Toy (simulated)", "label_source": "continuous",
    "scale": [1.0, 9.0], "parameters": 123,
}


HISTORY = pd.DataFrame({"epoch": 0, "validation_loss": 0.5, "best": True, "fold": [0, 1], "seed": 0})


def score_of(metric: str, part: pd.DataFrame) -> float:
    """A score of some rows of one dimension, each window once."""
    y, p = part[["y_true", "y_pred"]].to_numpy().T
    return textbook.score_of(metric, y, p, (part["subject"] + part["trial"]).to_numpy())


OF_THREE = {"accuracy": accuracy_score, "f1_macro": lambda y, p: f1_score(y, p, average="macro")}
METRICS = {"regression": ("ccc", "pcc", "mae", "ccc_within"), "classification": ("accuracy", "f1")}


def predictions_at(rate: float, task: str = "regression") -> pd.DataFrame:
    """Two folds of 2 subjects × 4 trials × 5 windows, two seeds, and the rate's mask seeds; predictions with noise."""
    rng = np.random.default_rng(round(rate * 100))
    rows = []
    for s in range(2):
        for t in range(4):
            for w in range(5):
                truth = rng.uniform(1, 9, 3)
                for seed in (0, 1):
                    for mask_seed in MASK_SEEDS[rate]:
                        for dimension, y in zip(DIMENSIONS, truth, strict=True):
                            p = 5 + 0.5 * (y - 5) + rng.standard_normal()
                            if task == "classification":
                                y, p = float(y > 5), float(np.clip(p / 10, 0, 1))
                            rows.append((t % 2, seed, rate, f"s{s}", f"v{t}", w, dimension, y, p, mask_seed))
    return pd.DataFrame(rows, columns=["fold", "seed", "missing_rate", "subject", "trial", "window", "dimension",
                                       "y_true", "y_pred", "mask_seed"])


def sweep_of(task: str = "regression") -> pd.DataFrame:
    """The sweep that belongs to :func:`predictions_at`, by independent metrics."""
    rows = []
    for rate in MASK_SEEDS:
        keys = ["mask_seed", "seed", "fold"]
        for (mask_seed, seed, fold), part in predictions_at(rate, task).groupby(keys):
            for metric in METRICS[task]:
                values = {str(d): score_of(metric, g) for d, g in part.groupby("dimension")}
                values["mean"] = float(np.mean(list(values.values())))
                rows += [("toy-run", rate, mask_seed, seed, fold, d, metric, v) for d, v in values.items()]
    return pd.DataFrame(rows, columns=["run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric",
                                       "value"])


def pooled_scores(predictions: pd.DataFrame, metric: str, dimension: str | None = None) -> list[float]:
    """A score for each dimension, seed and mask seed, all windows pooled."""
    return [score_of(metric, g) for (d, *_), g in predictions.groupby(["dimension", "seed", "mask_seed"])
            if dimension in (None, d)]


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_scores_are_pooled_and_stand_beside_mean_and_sd_over_folds_and_seeds(task: str, rate: float) -> None:
    predictions = predictions_at(rate, task)
    flat = run_metrics({**INFO, "task": task}, HISTORY, sweep_of(task), predictions, rate, BOOTSTRAP)
    for metric in METRICS[task]:
        scores = []  # by fold and seed: mask seeds averaged, then one number a dimension
        for _, part in predictions.groupby(["seed", "fold"]):
            scores.append([np.mean([score_of(metric, g) for _, g in part[part["dimension"] == d].groupby("mask_seed")])
                           for d in DIMENSIONS])
        every = np.array(scores)
        assert every.shape == (4, 3)
        assert flat[metric] == pytest.approx(np.mean(pooled_scores(predictions, metric)), abs=1e-6)
        assert flat[f"{metric}_folds"] == pytest.approx(every.mean(), abs=1e-6)
        assert flat[f"{metric}_sd"] == pytest.approx(every.mean(1).std(ddof=1), abs=1e-6)
        assert flat[f"{metric}_low"] < flat[metric] < flat[f"{metric}_high"]
        for k, dimension in enumerate(DIMENSIONS):
            name = f"{metric}_{dimension}"
            assert flat[name] == pytest.approx(np.mean(pooled_scores(predictions, metric, dimension)), abs=1e-6)
            assert flat[f"{name}_folds"] == pytest.approx(every[:, k].mean(), abs=1e-6)
            assert flat[f"{name}_sd"] == pytest.approx(every[:, k].std(ddof=1), abs=1e-6)
            assert flat[f"{name}_low"] < flat[name] < flat[f"{name}_high"]
    names = {f"{m}{d}{end}" for m in METRICS[task] for d in ("", *(f"_{d}" for d in DIMENSIONS))
             for end in ("", "_low", "_high", "_folds", "_sd")}
    assert {key for key in flat if key.split("_")[0] in textbook.SCORES} == names


def test_three_classes() -> None:
    predictions = predictions_at(0.4)
    for column in ("y_true", "y_pred"):
        predictions[column] = np.digitize(predictions[column], (4, 6.5)).astype(float)
    rows = []
    for (mask_seed, seed, fold), part in predictions.groupby(["mask_seed", "seed", "fold"]):
        for metric, score in OF_THREE.items():
            values = {d: float(score(g["y_true"], g["y_pred"])) for d, g in part.groupby("dimension")}
            rows += [("toy-run", 0.4, mask_seed, seed, fold, d, metric, v)
                     for d, v in [*values.items(), ("mean", float(np.mean(list(values.values()))))]]
    sweep = pd.DataFrame(rows, columns=sweep_of().columns)
    flat = run_metrics({**INFO, "task": "classification", "classes": 3}, HISTORY, sweep, predictions, 0.4, BOOTSTRAP)
    assert flat["classes"] == 3
    assert "f1" not in flat
    for metric, score in OF_THREE.items():
        whole = [score(g["y_true"], g["y_pred"]) for _, g in predictions.groupby(["dimension", "seed", "mask_seed"])]
        assert flat[metric] == pytest.approx(np.mean(whole), abs=1e-6)
        assert flat[f"{metric}_folds"] == pytest.approx(
            sweep[(sweep["metric"] == metric) & (sweep["dimension"] == "mean")]["value"].mean(), abs=1e-6)
        assert flat[f"{metric}_low"] < flat[metric] < flat[f"{metric}_high"]
        assert (flat[metric], flat[f"{metric}_low"], flat[f"{metric}_high"]) == pytest.approx(
            pooled_interval(predictions, metric, BOOTSTRAP), abs=1e-6)
    binary = run_metrics({**INFO, "task": "classification"}, HISTORY, sweep_of("classification"),
                         predictions_at(0.4, "classification"), 0.4, BOOTSTRAP)
    assert binary["classes"] == 2
    none = run_metrics({**INFO, "classes": None}, HISTORY, sweep_of(), predictions_at(0.4), 0.4, BOOTSTRAP)
    assert "classes" not in none


def test_flat_metrics_say_what_was_run() -> None:
    flat = run_metrics(INFO, HISTORY, sweep_of(), predictions_at(0.4), 0.4, BOOTSTRAP)
    expected = {"run": "toy-run", "method": "himoe", "set": "toy", "protocol": "leaky", "task": "regression",
                "modalities": "EEG+EDA", "modality_set": "EEG+PPS", "variant": "", "data": "Toy (simulated)",
                "simulated": True, "label_source": "continuous", "shuffled_labels": True, "missing_rate": 0.4,
                "training_missing": "sampled", "folds": 2, "seeds": 2, "scale_low": 1.0, "scale_high": 9.0,
                "n_windows": 40, "n_trials": 8, "n_people": 2, "parameters": 123, "attainable_ccc": None,
                "attainable_ccc_within": None, "converged": None, "unconverged_models": 0, "models": 2,
                "eeg_encoder": None, "signal_encoder": None}
    assert {key: flat[key] for key in expected} == expected
    assert set(flat) - set(expected) == set(summary("regression", sweep_of(), predictions_at(0.4), BOOTSTRAP))
    assert all(value is None or isinstance(value, str | bool | int | float) for value in flat.values())
    json.dumps(flat, allow_nan=False)


def test_ceilings_convergence_and_front_ends() -> None:
    """Of run.json and of the losses, null where they say nothing; a front end only where the run has that network."""
    keys = ("attainable_ccc", "attainable_ccc_within", "converged", "unconverged_models", "models", "eeg_encoder",
            "signal_encoder")
    sweep, predictions = sweep_of(), predictions_at(0.0)

    def read(history: pd.DataFrame | None = None, **changes: Any) -> list[Any]:
        said = {**INFO, "shuffle_labels": False, **changes}
        losses = HISTORY if history is None else history
        flat = run_metrics(said, losses, sweep, predictions, 0.0, BootstrapParams(2, 0))
        return [flat[key] for key in keys]

    front = {"eeg_encoder": "bands", "signal_encoder": "features"}
    ceilings = {"EEG": {"modalities": ["EEG"], "ccc": 0.8, "ccc_within": 0.5},
                "EEG+PPS": {"modalities": ["EDA", "EEG"], "ccc": 0.91, "ccc_within": 0.7, "ccc_valence": 0.9}}
    falling = pd.concat([pd.DataFrame({"epoch": range(8), "validation_loss": np.linspace(2, end, 8), "best": False,
                                       "fold": fold, "seed": 0}) for fold, end in enumerate((1.0, 1.5, 2.0))])
    known = {"model": front, "attainable": ceilings}
    assert read(falling, **known) == [0.91, 0.7, False, 2, 3, "bands", "features"]
    assert read(falling, **known, parameters=None)[2:5] == [None, 0, 3]
    assert read(**known, modalities=["EEG", "FACE"])[-2:] == ["bands", None]
    assert read(**known, modalities=["EDA"])[-2:] == [None, "features"]
    assert read(**known, parameters=None)[-2:] == [None, None]
    assert read(**known, modalities=["EEG"])[:2] == [0.8, 0.5]
    assert read(**known, modalities=["EEG", "FACE"])[:2] == [None, None]
    assert read(**known, shuffle_labels=True)[:2] == [None, None]
    assert read(attainable={"ccc": 0.9, "ccc_within": 0.6})[:2] == [0.9, 0.6]
    assert read() == [None, None, None, 0, 2, None, None]


@pytest.mark.parametrize(("task", "metric"), [("regression", "mae"), ("regression", "ccc"),
                                              ("regression", "ccc_within"), ("classification", "accuracy")])
def test_the_interval_resamples_people_then_trials_of_what_is_printed(task: str, metric: str) -> None:
    predictions = predictions_at(0.4, task)
    parts = {who: dict(list(frame.groupby("trial"))) for who, frame in predictions.groupby("subject")}
    people = sorted(parts)
    rng = np.random.default_rng(0)
    drawn, u = rng.integers(0, 2, (25, 2)), rng.random((25, 2, 4))
    scores = []
    for k in range(25):
        sample = []
        for j, who in enumerate(drawn[k]):
            trials = sorted(parts[people[who]])
            sample += [parts[people[who]][trials[int(u[k, j, t] * 4)]].assign(trial=f"copy {j} {t}") for t in range(4)]
        scores.append(np.mean(pooled_scores(pd.concat(sample), metric)))
    score, low, high = pooled_interval(predictions, metric, BootstrapParams(25, 0))
    assert score == pytest.approx(np.mean(pooled_scores(predictions, metric)), abs=1e-9)
    assert (low, high) == pytest.approx(tuple(np.quantile(scores, (0.025, 0.975))), abs=1e-9)
    assert low < score < high
    assert pooled_interval(predictions, metric, BootstrapParams(25, 1))[1:] != (low, high)


def test_rows_without_a_rating_count_in_no_score() -> None:
    predictions = predictions_at(0.0)
    windows = predictions["subject"] + predictions["trial"] + predictions["window"].astype(str)
    lost = windows.isin(np.random.default_rng(1).choice(windows.unique(), 20, replace=False))
    unrated = (predictions["dimension"] == "liking") & lost
    assert unrated.sum() == 40  # 20 windows, 2 seeds
    some = predictions.assign(y_true=predictions["y_true"].mask(unrated))
    values = [mean_absolute_error(g["y_true"], g["y_pred"]) for _, g in some.dropna().groupby(["dimension", "seed"])]
    assert len(values) == 6
    assert pooled_interval(some, "mae", BOOTSTRAP)[0] == pytest.approx(np.mean(values))
    assert np.isfinite(pooled_interval(some, "ccc", BOOTSTRAP)).all()


def test_undefined_scores_are_null() -> None:
    """A constant prediction has no PCC; one fold and seed have no SD."""
    predictions = predictions_at(0.0).query("seed == 0 and fold == 1").assign(y_pred=4.0)
    sweep = sweep_of().query("seed == 0 and fold == 1").copy()
    sweep.loc[sweep["metric"] == "pcc", "value"] = np.nan
    flat = run_metrics(INFO, HISTORY, sweep, predictions, 0.0, BOOTSTRAP)
    assert [flat[key] for key in ("pcc", "pcc_valence", "pcc_folds", "pcc_low", "mae_sd", "mae_valence_sd")] == [
        None] * 6
    assert flat["mae"] is not None
    assert (flat["ccc"], flat["folds"], flat["seeds"]) == (0.0, 1, 1)
    rated = predictions.assign(y_true=predictions["trial"].str[1:].astype(float))
    assert run_metrics(INFO, HISTORY, sweep, rated, 0.0, BOOTSTRAP)["ccc_within"] is None  # one rating a trial


def test_a_fold_without_scores_is_left_out() -> None:
    sweep = sweep_of()
    whole = summary("regression", sweep[sweep["missing_rate"] == 0], predictions_at(0.0), BOOTSTRAP)
    sweep.loc[sweep["fold"] == 1, "value"] = np.nan
    part = summary("regression", sweep[sweep["missing_rate"] == 0], predictions_at(0.0), BOOTSTRAP)
    rows = sweep[(sweep["missing_rate"] == 0) & (sweep["dimension"] == "mean") & (sweep["metric"] == "ccc")]
    assert part["ccc_folds"] == pytest.approx(rows.loc[rows["fold"] == 0, "value"].mean(), abs=1e-6)
    assert part["ccc_folds"] != whole["ccc_folds"]
    assert part["ccc"] == whole["ccc"]


def test_whole_trials_are_scored_by_the_mean_of_their_windows_each_once() -> None:
    """Trials of 1 to 5 windows with one rating each; two seeds, two mask seeds."""
    frame = predictions_at(0.4)
    frame["y_true"] = frame.groupby(["subject", "trial", "dimension"])["y_true"].transform("first")
    length = frame["trial"].map({"v0": 1, "v1": 5, "v2": 2, "v3": 5})
    frame = frame[frame["window"] < length]
    info = {**INFO, "label_source": "trial"}
    sweep = sweep_of()
    found = run_metrics(info, HISTORY, sweep, frame, 0.4, BOOTSTRAP)
    for metric in ("ccc", "pcc", "mae"):
        values = {}
        for dimension, rows in frame.groupby("dimension"):
            scores = []
            for _, part in rows.groupby(["seed", "mask_seed"]):
                trials = part.groupby(["subject", "trial"])[["y_true", "y_pred"]].mean()
                scores.append(textbook.SCORES[metric](trials["y_true"].to_numpy(), trials["y_pred"].to_numpy()))
            values[str(dimension)] = np.mean(scores)
            assert found[f"trial_{metric}_{dimension}"] == pytest.approx(values[str(dimension)], abs=1e-6)
        assert found[f"trial_{metric}"] == pytest.approx(np.mean(list(values.values())), abs=1e-6)
        assert found[f"trial_{metric}_low"] <= found[f"trial_{metric}"] <= found[f"trial_{metric}_high"]
        assert found[metric] != pytest.approx(found[f"trial_{metric}"], abs=1e-4)
    assert not any(key.startswith("trial_") for key in run_metrics(INFO, HISTORY, sweep, frame, 0.4, BOOTSTRAP))
