"""Leak audit, scores of every run, numbers of experts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from report_folders import SETTINGS, finish_reports, write_run

from himoe.report.tables import Table, build_table

Build = Callable[..., Table]


def test_leak_audit_holds_honest_runs_against_leaky_ones(table: Build) -> None:
    made = table("leak_audit")
    trial, shuffled = "whole trials held out", "labels shuffled between trials"
    clip = "Training mean of the clip (floor)"
    assert [row[:3] for row in made.rows] == [
        *((trial, "trial", name) for name in ("Hi-MoE", "Features + ridge (floor)", "Features + GBDT (floor)",
                                              "Training mean (floor)", clip)),
        *(("people held out", "loso", name) for name in ("Hi-MoE", "Features + ridge (floor)", clip)),
        ("windows shuffled (leaky)", "leaky", "Hi-MoE (leaky split)"),
        (f"{trial}, {shuffled}", "trial", "Hi-MoE (labels shuffled)"),
        (f"windows shuffled (leaky), {shuffled}", "leaky", "Hi-MoE (leaky split) (labels shuffled)"),
        (trial, None, "Attainable (true gains and lags known)")]
    assert {row[3:7] for row in made.rows[:-1]} == {("EEG+PPS", "DEAP (simulated)", 18, 90)}


def test_without_a_leak_there_is_no_audit(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    read = finish_reports(tmp_path, ["a"])
    assert build_table("leak_audit", *read, SETTINGS) is None
    assert build_table("experts", *read, SETTINGS) is None
    assert build_table("scores", {}, *read[1:], SETTINGS) is None


def test_scores_has_every_run_and_every_number(table: Build, frame: Callable[[Table], pd.DataFrame], reports: tuple,
                                               report_root: Path) -> None:
    made = frame(table("scores")).set_index("Run")
    assert list(made.index) == list(reports[0])
    for run in reports[0]:
        values = json.loads((report_root / "metrics" / "runs" / f"{run}.json").read_text())
        main, factor = ("ccc", 1) if values["task"] == "regression" else ("accuracy", 100)
        for head, key in (("CCC", "ccc"), ("Within-trial CCC", "ccc_within"), ("PCC", "pcc"), ("MAE", "mae"),
                          ("Attainable CCC", "attainable_ccc")):
            printed = made.loc[run, head]
            assert printed == values[key] if values.get(key) is not None else pd.isna(printed)
        for head, key in (("Valence", f"{main}_valence"), ("Valence high", f"{main}_valence_high"),
                          ("By fold", f"{main}_folds"), ("By fold sd", f"{main}_sd")):
            printed = made.loc[run, head]
            assert printed == factor * values[key] if values[key] is not None else pd.isna(printed)
        assert made.loc[run, "EEG encoder"] == "bands" or pd.isna(made.loc[run, "EEG encoder"]) or "eegnet" in run
    assert pd.isna(made.loc["dreamer-himoe", "Liking"])
    assert made.loc["dreamer-himoe", "Held out"] == "whole trials held out"
    assert made.loc["seed-session-himoe", "Held out"] == "days held out"


def test_a_run_of_three_classes_has_its_f1_in_a_column_of_its_own(tmp_path: Path,
                                                                  frame: Callable[[Table], pd.DataFrame]) -> None:
    for name, classes in (("seed-himoe", 3), ("two-himoe", 2)):
        write_run(tmp_path, name, set=name.partition("-")[0], task="classification", modalities="EEG", classes=classes)
    read = finish_reports(tmp_path, ["seed-himoe", "two-himoe"])
    made = build_table("scores", *read, SETTINGS)
    assert made is not None
    values = frame(made).set_index("Run")
    three, two = (json.loads((tmp_path / "metrics" / "runs" / f"{name}-himoe.json").read_text())
                  for name in ("seed", "two"))
    assert values.loc["seed-himoe", "F1 macro"] == 100 * three["f1_macro"]
    assert values.loc["seed-himoe", "F1 macro low"] == 100 * three["f1_macro_low"]
    assert values.loc["seed-himoe", "Valence"] == 100 * three["accuracy_valence"]
    assert pd.isna(values.loc["seed-himoe", "F1"])
    assert values.loc["two-himoe", "F1"] == 100 * two["f1"]
    assert pd.isna(values.loc["two-himoe", "F1 macro"])
    assert values["Task"].tolist() == ["classification, 3 classes", "classification"]
    alone = build_table("scores", {"two-himoe": read[0]["two-himoe"]}, *read[1:], SETTINGS)
    assert alone is not None
    assert "F1 macro" not in alone.columns


def test_experts_are_ordered_by_their_number(table: Build, frame: Callable[[Table], pd.DataFrame],
                                             report_root: Path) -> None:
    made = frame(table("experts"))
    assert made["Emotion experts"].tolist()[:-1] == [1, 8, 16]
    for run, row in zip(("deap-experts1", "deap-himoe", "deap-experts16"), made[:-1].itertuples(), strict=True):
        values = json.loads((report_root / "metrics" / "runs" / f"{run}.json").read_text())
        assert (row.CCC, row.Parameters) == (values["ccc"], values["parameters"])


def test_whole_trials_stand_beside_windows_where_each_trial_has_one_rating(
        table: Build, frame: Callable[[Table], pd.DataFrame], reports: tuple, report_root: Path) -> None:
    made = frame(table("whole_trials"))
    runs = [name for name, run in reports[0].items()
            if run.metrics["label_source"] == "trial" and run.metrics["task"] == "regression"]
    assert runs == ["amigos-session-himoe", "amigos-session-features_gbdt", "amigos-himoe", "amigos-tacoformer",
                    "amigos-mean"]
    for k, name in enumerate(runs):
        predictions = pd.read_parquet(report_root / "runs" / name / "predictions.parquet")
        first = predictions[(predictions["seed"] == 0) & (predictions["dimension"] == "arousal")]
        trials = first.groupby(["subject", "trial"])[["y_true", "y_pred"]].mean()
        values = json.loads((report_root / "metrics" / "runs" / f"{name}.json").read_text())
        assert made.loc[k, "Trials"] == len(trials) < made.loc[k, "Windows"]
        for head, key in (("CCC", "trial_ccc"), ("MAE", "trial_mae"), ("CCC arousal", "trial_ccc_arousal"),
                          ("CCC arousal of windows", "ccc_arousal"), ("CCC high", "trial_ccc_high")):
            assert made.loc[k, head] == values[key]
