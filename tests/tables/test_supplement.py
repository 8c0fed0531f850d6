"""Supplementary tables of SEED and AMIGOS: rows and numbers, recomputed from the predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import BANDS, FACE_LABEL, SETTINGS, Reports, finish_reports, write_run
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from himoe.report.tables import Table, build_table
from himoe.report.tables.notes import front_note, source_notes

Build = Callable[..., Table]
Frame = Callable[[Table], pd.DataFrame]
Score = Callable[[np.ndarray, np.ndarray], float]
THREE_CLASSES: dict[str, Score] = {
    "ACC": lambda y, p: 100 * accuracy_score(y, p), "F1 macro": lambda y, p: 100 * f1_score(y, p, average="macro")}
TWO_CLASSES: dict[str, Score] = {
    "ACC": lambda y, p: 100 * accuracy_score(y, p > 0.5), "F1": lambda y, p: 100 * f1_score(y, p > 0.5)}
RATING: dict[str, Score] = {
    "CCC": lambda y, p: 2 * np.cov(y, p, ddof=0)[0, 1] / (y.var() + p.var() + (y.mean() - p.mean()) ** 2),
    "PCC": lambda y, p: pearsonr(y, p).statistic, "MAE": mean_absolute_error}


def test_rows_are_ordered_by_what_is_held_out_ratings_first(table: Build) -> None:
    trial, session, loso = "whole trials held out", "days held out", "people held out"
    assert [(row[0], row[1], row[2]) for row in table("seed").rows] == [
        (held_out, "classification, 3 classes", name) for held_out, name in (
            (trial, "Hi-MoE"), (trial, "TACOFormer (2023) †"), (trial, "Training mean (floor)"), (session, "Hi-MoE"),
            (session, "Training mean (floor)"), (loso, "Hi-MoE"))]
    assert [(row[0], row[1], row[2]) for row in table("amigos").rows] == [
        *((trial, "regression", name) for name in ("Hi-MoE", "TACOFormer (2023) †", "Training mean (floor)")),
        *((held_out, task, name) for held_out, task in ((trial, "classification"), (session, "regression"))
          for name in ("Hi-MoE", "Features + GBDT (floor)"))]


@pytest.mark.parametrize("name, place, run, scores", [
    ("seed", 1, "seed-trial-tacoformer", THREE_CLASSES), ("seed", 3, "seed-session-himoe", THREE_CLASSES),
    ("amigos", 0, "amigos-himoe", RATING), ("amigos", 6, "amigos-session-features_gbdt", RATING),
    ("amigos", 3, "amigos-class-himoe", TWO_CLASSES)])
def test_numbers_are_those_of_the_pooled_predictions(table: Build, frame: Frame, reports: Reports, name: str,
                                                     place: int, run: str, scores: dict[str, Score]) -> None:
    row = frame(table(name)).iloc[place]
    groups = list(reports[0][run].part("predictions").groupby(["seed", "dimension"]))
    for head, score in scores.items():
        found = [score(part["y_true"].to_numpy(), part["y_pred"].to_numpy()) for _, part in groups]
        assert row[head] == pytest.approx(np.mean(found), abs=2e-4)  # percent of six decimals
    others = {"CCC", "Within-trial CCC", "PCC", "MAE", "ACC", "F1", "F1 macro"} - set(scores)
    assert row[[head for head in others if head in row and not (scores is RATING and "CCC" in head)]].isna().all()


def test_leaks_variants_and_shuffled_labels_stay_out(tmp_path: Path) -> None:
    attributes = {"set": "seed", "task": "classification", "classes": 3, "modalities": "EEG", "seeds": (0,)}
    runs = {"a": {}, "leaky": {"protocol": "leaky"}, "shuffled": {"shuffle_labels": True},
            "experts4": {"variant": "experts4"}, "clips": {"protocol": "stimulus"},
            "later": {"protocol": "sequential"}}
    for name, changes in runs.items():
        write_run(tmp_path, name, **{**attributes, **changes})
    read = finish_reports(tmp_path, list(runs))
    made = build_table("seed", *read, SETTINGS)
    assert made is not None
    assert [row[0] for row in made.rows] == ["whole trials held out", "later trials held out", "clips held out"]
    assert any(note.startswith("Later trials held out: trained on the first part") for note in made.notes)
    assert np.isnan(read[0]["later"].metrics.get("accuracy_sd") or np.nan)  # one fold, one seed: no spread
    assert build_table("seed", {"leaky": read[0]["leaky"]}, *read[1:], SETTINGS) is None
    assert build_table("amigos", *read, SETTINGS) is None


def test_sources_are_named_once_and_only_where_used(tmp_path: Path) -> None:
    runs = {"face": {"modalities": "EEG+FACE"}, "face2": {"modalities": "EEG+PPS+FACE", "method": "ianet"},
            "plain": {"modalities": "EEG+PPS"}, "amigos": {"set": "amigos", "modalities": "EEG+EDA"},
            "heart": {"set": "amigos", "modalities": "ECG+EDA", "simulated": False},
            "skin": {"set": "amigos", "modalities": "EDA"}, "floor": {"method": "features_ridge"},
            "power": {"variant": "front_power", "model": {"eeg_encoder": "power"}}}
    for name, changes in runs.items():
        write_run(tmp_path, name, seeds=(0,), **changes)
    results = finish_reports(tmp_path, list(runs))[0]
    ecg, eeg = BANDS["amigos"]
    weights = f"FACE on DEAP (simulated): {FACE_LABEL}."

    def notes(*names: str) -> list[str]:
        return source_notes([results[name] for name in names])

    assert notes("face", "plain", "face2") == [weights]
    assert notes("plain", "skin") == []
    assert notes("heart", "face", "amigos") == [f"AMIGOS, {ecg}", weights, f"AMIGOS (simulated), {eeg}"]
    set_with_faces = replace(results["plain"], info={**results["plain"].info, "face": FACE_LABEL})
    assert source_notes([set_with_faces]) == []

    def fronts(*names: str) -> str:
        return front_note([results[name] for name in names])

    assert fronts("floor") == ""
    assert fronts("skin", "floor") == "Other signals: small CNNs."
    assert fronts("face", "plain", "power") == (
        "EEG: log band powers, log power of learned filters in Hi-MoE, log power of learned filters; "
        "other signals: small CNNs; FACE: EfficientNet-B0, random weights (seed 0).")
