"""Front ends, encoders of one modality, ablations and convergence: rows chosen and numbers as in the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_folders import SETTINGS, Reports

from himoe.report.tables import Ours, Table, build_table
from himoe.scoring.convergence import ending

Build = Callable[..., Table]


def cells(made: Table, **wanted: object) -> dict[str, object]:
    """The one row with these cells, by column."""
    rows = [dict(zip(made.columns, row, strict=True)) for row in made.rows]
    [found] = [row for row in rows if all(row[key.replace("_", " ")] == value for key, value in wanted.items())]
    return found


def test_front_ends_stand_side_by_side_with_their_cost(reports: Reports) -> None:
    results, comparisons, cost = reports
    made = build_table("front_ends", results, comparisons, cost, SETTINGS)
    assert made is not None
    assert [row[1:2] + row[4:5] for row in made.rows[:-1]] == [
        (name, front) for name in ("Hi-MoE", "TACOFormer (2023) †") for front in ("EEGNet", "log band powers")]
    row = cells(made, Method="TACOFormer (2023) †", EEG_front_end="log band powers")
    metrics = results["deap-tacoformer"].metrics
    score = row["CCC"]
    assert isinstance(score, Ours)
    assert (score.mean, score.low, score.high) == (metrics["ccc"], metrics["ccc_low"], metrics["ccc_high"])
    place = (cost["method"] == "tacoformer") & (cost["set"] == "deap") & (cost["modality_set"] == "EEG+PPS")
    assert row["Seconds per step"] == cost.loc[place & (cost["variant"] == ""), "seconds_per_step"].item()
    row = cells(made, Method="TACOFormer (2023) †", EEG_front_end="EEGNet")
    assert row["Seconds per step"] == cost.loc[place & (cost["variant"] != ""), "seconds_per_step"].item()
    assert any("measured on Abacus 9, 2031-02-03" in note for note in made.notes)
    counted = build_table("front_ends", results, comparisons, cost.assign(seconds_per_step=np.nan), SETTINGS)
    assert counted is not None
    assert (*counted.columns, "Seconds per step") == made.columns
    assert counted.rows[0] == made.rows[0][:-1]
    assert not any("Seconds" in note for note in counted.notes)
    [name] = [name for name, run in results.items() if run.metrics["variant"].startswith("front_")
              and run.metrics["method"] == "himoe"]
    other = replace(results[name], metrics={**results[name].metrics, "eeg_encoder": "braindecode:EEGNeX"})
    made = build_table("front_ends", {**results, name: other}, comparisons, cost, SETTINGS)
    assert [row[4] for row in made.rows[:2]] == ["log band powers", "braindecode:EEGNeX"]
    without = {name: run for name, run in results.items() if "front" not in name}
    assert build_table("front_ends", without, comparisons, cost, SETTINGS) is None


def test_single_modalities_are_held_against_their_features(table: Build, reports: Reports) -> None:
    made = table("encoders")
    eeg, eda = cells(made, Modalities="EEG", Method="Hi-MoE"), cells(made, Modalities="EDA", Method="Hi-MoE")
    assert (eeg["Encoder"], eda["Encoder"]) == ("log band powers", "small CNNs")
    ccc = {name: run.metrics.get("ccc") for name, run in reports[0].items()}
    behind = ccc["eeg-himoe"] - max(ccc["eeg-features_ridge"], ccc["eeg-features_gbdt"])
    assert eeg["Network minus the better one"].mean == pytest.approx(behind)  # type: ignore[attr-defined]
    assert eeg["More than 0.03 behind"] == ("yes" if behind < -0.03 else "no")
    assert eda["CCC, Features + GBDT (floor)"] is None
    assert [row[2] for row in made.rows if row[1]] == ["EEG", "EDA"]


def test_ablations_name_what_differs_and_their_comparison(table: Build, reports: Reports) -> None:
    made = table("ablations")
    assert [row[2] for row in made.rows[1:-1]] == [
        "Hi-MoE without Emotion Expert Bank", "Hi-MoE without Cross-Modal Alignment", "Hi-MoE without Soft Routing",
        "Hi-MoE without residual experts"]
    assert [row[5] for row in made.rows] == [None, "emotion_experts 0", "alignment weight 0.0", "soft_routing false",
                                             "residual false", None]
    row = reports[1][(reports[1]["run"] == "deap-no_residual") & (reports[1]["missing_rate"] == 0)].iloc[0]
    assert str(made.rows[4][-1]).startswith(f"{row['difference']:+.3f} [{row['low']:.3f}, {row['high']:.3f}]")


def test_convergence_counts_models_and_the_last_quarters_gain(table: Build, reports: Reports) -> None:
    made = table("convergence")
    row = cells(made, Run="deap-bilstm")
    history = reports[0]["deap-bilstm"].part("history")
    gains, best = [], []
    for _, model in history.groupby(["fold", "seed"]):
        losses = model.sort_values("epoch")["validation_loss"].tolist()
        gains.append(100 * (min(losses[:6]) - min(losses)) / min(losses[:6]))
        best.append(1 + losses.index(min(losses)))
    assert (row["Models"], row["Not converged"], row["Epochs"]) == (8, 0, 8)
    for head, values in (("Last-quarter gain, %", gains), ("Best epoch", best)):
        cell = row[head]
        assert isinstance(cell, Ours)
        assert (cell.mean, cell.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert not any("(floor)" in str(row[3]) for row in made.rows)


def test_an_ending_by_hand() -> None:
    losses = [2.0, 1.0, 1.5, 0.8, 0.9]
    frame = pd.DataFrame({"epoch": range(1, 6), "validation_loss": losses, "best": [False] * 3 + [True, False]})
    assert ending(frame.sample(frac=1, random_state=1)) == (4, 5, pytest.approx(0.0))  # the last quarter is one epoch
    assert ending(frame.iloc[:4]) == (4, 4, pytest.approx(0.2))
    assert np.isnan(ending(frame.iloc[:3]).gain)
