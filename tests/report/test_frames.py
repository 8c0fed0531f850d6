"""The charts' numbers against slow recomputations from the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_folders import ATTAINABLE, SETTINGS, write_run

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.summary import data_table
from himoe.scoring.metrics import ccc
from himoe.scoring.results import RunResult, load_results

FIGURE_SET = "EEG+PPS"  # that of Hi-MoE with the most methods


def run_of(made: Any, **wanted: Any) -> RunResult:
    plain = {"set": "deap", "protocol": "trial", "task": "regression", "modality_set": "EEG+PPS", "variant": "",
             "shuffled_labels": False} | wanted
    [found] = [run for run in made.results.values() if all(run.metrics[k] == v for k, v in plain.items())]
    return found


def test_figure_runs_are_the_main_comparison_of_the_figure_set(made: Any) -> None:
    runs = frames.figure_runs(made.results, SETTINGS)
    assert set(runs) == {"himoe", "late_fusion", "bilstm", "tacoformer", "ianet", "features_ridge", "features_gbdt",
                         "mean", "mean_stimulus"}
    assert {(r.metrics["set"], r.metrics["modality_set"], r.metrics["protocol"]) for r in runs.values()} == {
        ("deap", FIGURE_SET, "trial")}
    without = {name: run for name, run in made.results.items() if run.run != "deap-himoe"}
    assert {r.metrics["modality_set"] for r in frames.figure_runs(without, SETTINGS).values()} == {"EEG+PPS+FACE"}
    assert frames.figure_runs(made.results, ReportParams("seed", ("mean",))) == {}


def test_scores_leave_out_variants_leaks_and_shuffled_labels(made: Any) -> None:
    frame = frames.score_frame(made.results, "regression")
    names = set(frame["run"])
    assert {"deap-leaky", "deap-shuffled", "deap-leaky-shuffled", "deap-no_alignment", "deap-experts1"} & names == set()
    assert "deap-himoe" in names
    assert set(frames.score_frame(made.results, "classification")["run"]) == {
        name for name, run in made.results.items() if run.metrics["task"] == "classification"}


def test_more_classes_are_a_family_of_their_own(tmp_path: Path) -> None:
    for name, classes in (("two", 2), ("three", 3)):
        write_run(tmp_path, name, task="classification", classes=classes)
    results = load_results(["two", "three"], tmp_path / "runs", tmp_path / "scores", tmp_path / "metrics")
    plain = "DEAP (simulated), whole trials held out, EEG+PPS"
    assert frames.score_frame(results, "classification")["family"].tolist() == [plain, f"{plain}, 3 classes"]
    rows = data_table(results).rows
    assert [row[2] for row in rows] == ["classification", "classification, 3 classes"]


def test_days_and_people_held_out_are_families_of_their_own(made: Any) -> None:
    frame = frames.score_frame(made.results, "classification").set_index("run")
    assert [frame.loc[f"seed-{protocol}-himoe", "family"] for protocol in ("trial", "session", "loso")] == [
        f"SEED (simulated), {held_out}, EEG, 3 classes"
        for held_out in ("whole trials held out", "days held out", "people held out")]
    ratings = frames.score_frame(made.results, "regression").drop_duplicates("run").set_index("run")
    assert ratings.loc["amigos-session-himoe", "family"] == "AMIGOS (simulated), days held out, EEG+PPS"
    labels = {row[1]: row[2] for row in data_table(made.results).rows}
    assert set(labels) >= {"whole trials held out", "days held out", "people held out"}


def test_missing_curve_is_the_mean_over_masks_of_the_mean_over_folds_and_seeds(made: Any) -> None:
    frame = frames.missing_frame(made.results)
    run = run_of(made, method="ianet")
    sweep = run.part("sweep")
    for rate in (0.0, 0.2):
        for measure, metric in (("CCC", "ccc"), ("within-trial CCC", "ccc_within")):
            here = sweep[(sweep.missing_rate == rate) & (sweep.metric == metric) & (sweep.dimension == "mean")]
            by_mask = [part["value"].sum() / len(part) for _, part in here.groupby("mask_seed")]
            [row] = frame[(frame.family == frames.family(run)) & (frame.method == "ianet") & (frame.rate == rate)
                          & (frame.measure == measure)].to_dict("records")
            assert row["ccc"] == pytest.approx(np.mean(by_mask), rel=1e-12)
            assert row["ceiling"] == ATTAINABLE["deap"][metric]
            if len(by_mask) > 1:
                assert row["high"] - row["low"] == pytest.approx(2 * np.std(by_mask, ddof=1), rel=1e-9)
            else:
                assert row["high"] == row["low"] == row["ccc"]


def test_a_trajectory_is_the_mean_over_seeds_at_the_middle_of_each_window(made: Any) -> None:
    frame = frames.trajectory_frame(made.results, SETTINGS)
    rows = run_of(made, method="late_fusion", modality_set=FIGURE_SET).part("predictions")
    one = rows[(rows.subject == "s02") & (rows.trial == "03") & (rows.dimension == "arousal") & (rows.window == 4)]
    assert len(one) == 2  # seeds
    found = frame[(frame.trial == "person s02, trial 03") & (frame.dimension == "arousal") & (frame.time_s == 8 + 2)]
    assert len(found) == 1
    assert found["late_fusion"].iloc[0] == pytest.approx(one["y_pred"].sum() / 2)
    assert found["truth"].iloc[0] == one["y_true"].iloc[0]


def test_at_most_so_many_trials_are_drawn_evenly_spaced(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_TRIALS", 3)
    frame = frames.trajectory_frame(made.results, SETTINGS)
    every = sorted({(s, t) for s, t in run_of(made, method="himoe").part("predictions")[["subject", "trial"]]
                    .itertuples(index=False)})
    middle = every[round((len(every) - 1) / 2)]
    assert list(dict.fromkeys(frame["trial"])) == [f"person {s}, trial {t}" for s, t in (every[0], middle, every[-1])]


def test_combination_means(made: Any) -> None:
    run = run_of(made, method="himoe", modality_set="EEG+EOG+EMG+EDA")
    table = run.part("combinations")
    here = table[(table.combination == "0101") & (table.metric == "ccc") & (table.dimension == "mean")]
    frame = frames.combination_frame(made.results, SETTINGS)
    found = frame[(frame.family == frames.family(run)) & (frame.method == "himoe") & (frame.combination == "EOG+EDA")]
    assert found["ccc"].tolist() == pytest.approx([sum(here["value"]) / len(here)])
    assert set(frame["method"]) == {"himoe", "late_fusion", "features_gbdt"}


def test_routing_rows_keep_every_weight(made: Any) -> None:
    frame = frames.routing_frame(made.results, SETTINGS)
    runs = [run_of(made, method="himoe", modality_set=names)
            for names in ("EEG+PPS", "EEG+EOG+EMG+EDA", "EEG+PPS+FACE", "EEG", "EDA")]
    assert len(frame) == sum(len(run.part("routing")) for run in runs)
    fusion = frame[frame["view"] == "fusion weights"]
    np.testing.assert_allclose(fusion.groupby(["family", "combination"])["weight"].sum(), 1, atol=1e-5)
    gates = frame[frame["view"] == "experts of EOG"]
    np.testing.assert_allclose(gates.groupby(["family", "combination"])["weight"].sum(), 1, atol=1e-5)


def test_calibration_bins_hold_every_window_and_a_constant_is_one_point(made: Any) -> None:
    frame = frames.calibration_frame(made.results, SETTINGS)
    rows = run_of(made, method="himoe", modality_set=FIGURE_SET).part("predictions")
    rows = rows[rows.dimension == "valence"].sort_values("y_pred")
    found = frame[(frame.method == "himoe") & (frame.dimension == "valence")]
    assert found["n"].sum() == len(rows)
    first = rows.head(int(found["n"].iloc[0]))  # the lowest predictions
    assert found["predicted"].iloc[0] == pytest.approx(first["y_pred"].mean())
    assert found["true"].iloc[0] == pytest.approx(first["y_true"].mean())
    assert len(frame[(frame.method == "mean") & (frame.dimension == "valence")]) == 1


def test_training_means_count_the_fits(made: Any) -> None:
    frame = frames.training_frame(made.results, SETTINGS)
    history = run_of(made, method="bilstm", modality_set=FIGURE_SET).part("history")
    here = history[history.epoch == 4]
    [row] = frame[(frame.method == "bilstm") & (frame.epoch == 4) & (frame.part == "validation loss")].to_dict(
        "records")
    assert row["fits"] == len(here) == 8
    assert row["loss"] == pytest.approx(np.mean(here["validation_loss"]))
    assert set(frame["method"]) & {"mean", "features_gbdt"} == set()


def test_cost_leaves_out_what_is_not_there(made: Any) -> None:
    frame = frames.cost_frame(made.results, made.cost, SETTINGS)
    adds = frame[frame.measure == "multiply-adds per window"]
    assert "mean" not in set(adds["method"])
    assert "mean" in set(frame[frame.measure.str.startswith("microseconds")]["method"])
    run = run_of(made, method="ianet", modality_set=FIGURE_SET)
    assert adds.set_index("method").loc["ianet", ["cost", "ccc"]].tolist() == [
        37 * run.metrics["parameters"], run.metrics["ccc"]]


def test_leaks_show_each_kind(made: Any) -> None:
    frame = frames.leak_frame(made.results, SETTINGS)
    kinds = frame.groupby("kind").size().to_dict()
    assert kinds == {"honest split": 6, "leaky split": 1, "labels shuffled between trials": 2}
    only_honest = {name: run for name, run in made.results.items() if "leaky" not in name and "shuffled" not in name}
    assert frames.leak_frame(only_honest, SETTINGS).empty


def test_the_score_drawn_is_that_of_the_predictions(made: Any) -> None:
    frame = frames.score_frame(made.results, "regression").set_index("run")
    rows = run_of(made, method="tacoformer").part("predictions")
    pooled = [ccc(part["y_true"].to_numpy(), part["y_pred"].to_numpy())
              for _, part in rows.groupby(["dimension", "seed"])]
    found = frame[frame["measure"] == "CCC"].loc["deap-tacoformer"]
    assert found["score"] == pytest.approx(float(np.mean(pooled)), abs=1e-5)
    assert found["low"] < found["score"] < found["high"]
    same = frame[(frame["family"] == found["family"]) & (frame["measure"] == "CCC")].sort_values("order")
    assert list(same["order"]) == list(range(9))
    assert [name.endswith("(floor)") for name in same["label"]] == [False] * 5 + [True] * 4
    for part in (same[:5], same[5:]):
        assert part["score"].is_monotonic_decreasing
