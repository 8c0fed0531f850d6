"""Modality combinations, calibration, what the search chose, compute cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import ATTAINABLE, SETTINGS, finish_reports, write_run
from sklearn.linear_model import LinearRegression
from sklearn.metrics import brier_score_loss

from himoe.report.tables import Table, build_table
from himoe.scoring.results import RunResult

Build = Callable[..., Table]
Frame = Callable[[Table], pd.DataFrame]
Reports = tuple[dict[str, RunResult], pd.DataFrame, pd.DataFrame]


def test_combinations_are_complete_and_ordered(table: Build, frame: Frame, report_root: Path) -> None:
    made = frame(table("combinations"))
    four = made[made["Modality set"] == "EEG+EOG+EMG+EDA"]
    assert len(four) == 15
    assert four["Number"].tolist() == [4] + [3] * 4 + [2] * 6 + [1] * 4
    assert four["Present"].tolist()[:3] == ["EEG+EOG+EMG+EDA", "EEG+EOG+EMG", "EEG+EOG+EDA"]
    seven = made[made["Modality set"] == "EEG+PPS"]
    assert seven["Number"].tolist() == [7] + [6] * 7 + [1] * 7
    assert made["Modality set"].iloc[0] == "EEG+EOG+EMG+EDA"  # the complete one first
    raw = pd.read_csv(report_root / "scores" / "deap4-ianet" / "combinations.csv", dtype={"combination": str})
    for bits, present in (("1011", "EEG+EMG+EDA"), ("0100", "EOG")):
        values = raw[(raw["combination"] == bits) & (raw["metric"] == "ccc") & (raw["dimension"] == "mean")]["value"]
        row = four[four["Present"] == present].iloc[0]
        assert row["IANet (2024) †"] == pytest.approx(np.mean(values.to_numpy()), rel=1e-12)
        assert row["IANet (2024) † sd"] == pytest.approx(np.std(values.to_numpy(), ddof=1), rel=1e-12)
    assert four["Bi-LSTM (2021) †"].isna().all()
    assert "Training mean" not in made  # looks at no signal


def test_coverage_is_that_of_the_sweep_by_rate(table: Build, frame: Frame, report_root: Path) -> None:
    made = frame(table("intervals"))
    row = made[(made["Method"] == "Bi-LSTM (2021) †") & (made["Set"] == "DEAP")].iloc[0]
    raw = pd.read_csv(report_root / "scores" / "deap-bilstm" / "sweep.csv")
    raw = raw[(raw["dimension"] == "mean") & (raw["missing_rate"] == 0.4)]
    for metric, column, factor in (("coverage", "r = 0.40", 100), ("width", "Width, r = 0.40", 1)):
        by_mask = factor * raw[raw["metric"] == metric].groupby("mask_seed")["value"].mean()
        assert len(by_mask) > 1
        assert row[column] == pytest.approx(by_mask.mean(), rel=1e-9)
        assert row[f"{column} sd"] == pytest.approx(by_mask.std(ddof=1), rel=1e-9)


def test_the_lowest_level_that_a_runs_models_aim_at_is_told(table: Build, frame: Frame) -> None:
    made = frame(table("intervals"))
    made = made[(made["Method"] == "Hi-MoE") & (made["Set"] == "DEAP")].set_index("Held out")["Aimed at"]
    assert set(made["whole trials held out"]) == {90.0}
    assert made["people held out"] == 87.5
    assert [note for note in table("intervals").notes if "people held out are scaled by" in note]


def test_calibration_is_sklearn_by_seed_and_dimension(table: Build, frame: Frame, report_root: Path) -> None:
    made = frame(table("calibration")).set_index(["Set", "Method", "Modalities", "Task"])
    raw = pd.read_parquet(report_root / "runs" / "deap-bilstm" / "predictions.parquet")
    slopes, intercepts, biases = [], [], []
    for _, rows in raw.groupby(["seed", "dimension"]):
        y, p = rows["y_true"].to_numpy(), rows["y_pred"].to_numpy()
        model = LinearRegression().fit(p[:, None], y)
        slopes.append(model.coef_[0])
        intercepts.append(model.intercept_)
        biases.append(p.mean() - y.mean())
    assert len(slopes) == 8
    row = made.loc[("DEAP", "Bi-LSTM (2021) †", "EEG+PPS", "regression")]
    assert row[["Slope", "Intercept", "Bias"]].tolist() == pytest.approx(
        [np.mean(slopes), np.mean(intercepts), np.mean(biases)], rel=1e-9)
    assert np.isnan(row["Brier"])
    raw = pd.read_parquet(report_root / "runs" / "deap-class-himoe" / "predictions.parquet")
    brier = [brier_score_loss(rows["y_true"], rows["y_pred"]) for _, rows in raw.groupby(["seed", "dimension"])]
    row = made.loc[("DEAP", "Hi-MoE", "EEG+PPS", "classification")]
    assert row["Brier"] == pytest.approx(np.mean(brier), rel=1e-9)
    assert np.isnan(row["Slope"])
    assert 0 < row["ECE"] < 1


def test_more_than_two_classes_have_no_calibration(tmp_path: Path) -> None:
    write_run(tmp_path, "two", task="classification")
    write_run(tmp_path, "three", task="classification", set="seed", modalities="EEG", classes=3)
    results, comparisons, cost = finish_reports(tmp_path, ["two", "three"])
    made = build_table("calibration", results, comparisons, cost, SETTINGS)
    assert made is not None
    assert [row[0] for row in made.rows] == ["DEAP"]
    assert "SEED" not in made.title
    assert any("runs of more than two classes (three;" in note for note in made.notes)
    assert build_table("calibration", {"three": results["three"]}, comparisons, cost, SETTINGS) is None


def test_search_counts_choices(table: Build, reports: Reports) -> None:
    made = table("search")
    runs = [run for run in reports[0].values() if run.metrics["method"] == "ianet"]
    assert len(runs) == 2
    raw = pd.concat([run.part("search") for run in runs])
    rows = [row for row in made.rows if row[1] == "IANet (2024) †"]
    assert [row[2] for row in rows] == [0.002, 0.006, 0.012]
    for row in rows:
        tried = raw[raw["learning_rate"] == row[2]]
        assert row[3:6] == (len(tried), list(tried["chosen"]).count(True), raw["chosen"].sum())
        assert row[6].mean == pytest.approx(tried["validation_loss"].to_numpy().mean())  # type: ignore[union-attr]
    assert not any("(floor)" in str(row[1]) for row in made.rows)


def test_cost_stands_beside_ccc(table: Build, reports: Reports) -> None:
    made = table("cost")
    results, _, cost = reports
    assert len(made.rows) == (cost["variant"] == "").sum() < len(cost)
    row = next(row for row in made.rows if row[:3] == ("DEAP", "IANet (2024) †", "EEG+EOG+EMG+EDA"))
    metrics = results["deap4-ianet"].metrics
    assert row[3:5] == (metrics["parameters"], 37 * metrics["parameters"])
    assert row[5] == pytest.approx(1e2 + 37e-4 * metrics["parameters"])  # µs
    assert any("measured on Abacus 9, 2031-02-03" in note for note in made.notes)
    assert row[7].mean == metrics["ccc"]  # type: ignore[union-attr]
    floor = next(row for row in made.rows if row[:3] == ("DEAP", "Training mean (floor)", "EEG+PPS"))
    assert floor[3:5] == (None, None)
    assert row[8].mean == ATTAINABLE["deap"]["ccc"]  # type: ignore[union-attr]
    only_classes = next(row for row in made.rows if row[1] == "Husformer (2022) †" and row[2] == "EEG+EOG+EMG+EDA")
    assert only_classes[6:] == (None, None, None)
    counted = build_table("cost", results, reports[1], cost.assign(seconds_per_window=np.nan), SETTINGS)
    assert counted is not None
    assert counted.columns == made.columns[:5] + made.columns[6:]
    assert counted.rows[0] == made.rows[0][:5] + made.rows[0][6:]
    assert not any("µs" in note for note in counted.notes)


def test_nothing_to_show_is_no_table(tmp_path: Path) -> None:
    write_run(tmp_path, "floor", method="mean", protocol="loso")
    results, comparisons, cost = finish_reports(tmp_path, ["floor"])
    for name in ("combinations", "calibration", "search"):
        assert build_table(name, results, comparisons, cost, SETTINGS) is None
    assert build_table("cost", results, comparisons, cost.iloc[:0], SETTINGS) is None
