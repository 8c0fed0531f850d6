"""Supplementary tables of SEED and AMIGOS: rows, words and numbers, recomputed from the predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import BANDS, FACE_LABEL, SETTINGS, finish_reports, write_run
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from himoe.results import RunResult
from himoe.tables import Ours, Table, build_table
from himoe.tables.notes import source_notes
from himoe.tables.rows import Inputs
from himoe.tables.supplement import supplement

Build = Callable[..., Table]
Frame = Callable[[Table], pd.DataFrame]
Score = Callable[[np.ndarray, np.ndarray], float]
Reports = tuple[dict[str, RunResult], pd.DataFrame, pd.DataFrame]
THREE_CLASSES: dict[str, Score] = {
    "ACC": lambda y, p: 100 * accuracy_score(y, p), "F1 macro": lambda y, p: 100 * f1_score(y, p, average="macro")}
TWO_CLASSES: dict[str, Score] = {
    "ACC": lambda y, p: 100 * accuracy_score(y, p > 0.5), "F1": lambda y, p: 100 * f1_score(y, p > 0.5)}
RATING: dict[str, Score] = {
    "CCC": lambda y, p: 2 * np.cov(y, p, ddof=0)[0, 1] / (y.var() + p.var() + (y.mean() - p.mean()) ** 2),
    "PCC": lambda y, p: pearsonr(y, p).statistic, "MAE": mean_absolute_error}


def fold_means(frame: pd.DataFrame, score: Score) -> list[float]:
    """The score of every seed and fold, averaged over dimensions."""
    return [float(np.mean([score(part["y_true"].to_numpy(), part["y_pred"].to_numpy())
                           for _, part in rows.groupby("dimension")])) for _, rows in frame.groupby(["seed", "fold"])]


def test_seed_is_ordered_by_what_is_held_out(table: Build) -> None:
    made = table("seed")
    assert made.title == "Supplementary table. SEED: SEED (simulated)"
    assert made.columns == ("Held out", "Task", "Method", "Modalities", "Our data", "ACC", "F1 macro",
                            "Hi-MoE against it")
    trial, session, loso = "trials held out", "days held out", "people held out"
    assert [(row[0], row[2]) for row in made.rows] == [
        (trial, "Hi-MoE"), (trial, "TACOFormer (2023) †"), (trial, "Features + GBDT"), (trial, "Training mean"),
        (session, "Hi-MoE"), (session, "Training mean"), (loso, "Hi-MoE"), (loso, "Features + GBDT")]
    assert {row[3:5] for row in made.rows} == {("EEG", "SEED (simulated)")}


def test_amigos_has_ratings_before_classes(table: Build) -> None:
    made = table("amigos")
    assert [(row[0], row[2]) for row in made.rows] == [
        *(("trials held out", name) for name in ("Hi-MoE", "TACOFormer (2023) †", "Features + GBDT", "Training mean")),
        *((held_out, name) for held_out in ("trials held out", "days held out")
          for name in ("Hi-MoE", "Features + GBDT"))]
    assert [isinstance(row[made.columns.index("MAE")], Ours) for row in made.rows] == [True] * 4 + [False] * 2 + [
        True] * 2
    assert {row[3:5] for row in made.rows} == {("EEG+EDA+ECG", "AMIGOS (simulated)")}


def test_tasks_are_said_in_words(table: Build) -> None:
    assert {row[1] for row in table("seed").rows} == {"classification, 3 classes"}
    assert [row[1] for row in table("amigos").rows] == ["regression"] * 4 + ["classification"] * 2 + ["regression"] * 2


@pytest.mark.parametrize("name, place, run, scores", [
    ("seed", 1, "seed-trial-tacoformer", THREE_CLASSES), ("seed", 4, "seed-session-himoe", THREE_CLASSES),
    ("seed", 7, "seed-loso-features_gbdt", THREE_CLASSES), ("amigos", 0, "amigos-himoe", RATING),
    ("amigos", 7, "amigos-session-features_gbdt", RATING), ("amigos", 4, "amigos-class-himoe", TWO_CLASSES)])
def test_numbers_are_those_of_the_predictions(table: Build, frame: Frame, reports: Reports, name: str, place: int,
                                              run: str, scores: dict[str, Score]) -> None:
    row = frame(table(name)).iloc[place]
    predictions = reports[0][run].part("predictions")
    for head, score in scores.items():
        found = fold_means(predictions, score)
        assert row[head] == pytest.approx(np.mean(found), abs=2e-4)  # percent of six decimals
        assert row[f"{head} sd"] == pytest.approx(np.std(found, ddof=1), abs=2e-4)
    others = {"CCC", "PCC", "MAE", "ACC", "F1", "F1 macro"} - set(scores)
    assert row[[head for head in others if head in row]].isna().all()


def test_comparisons_are_of_their_own_family(table: Build, reports: Reports) -> None:
    comparisons = reports[1].set_index("run")
    rows = table("seed").rows
    assert [row[-1] is None for row in rows] == [row[2] == "Hi-MoE" for row in rows]
    mean = comparisons.loc["seed-session-mean"]
    assert mean[["reference", "metric"]].tolist() == ["seed-session-himoe", "accuracy"]
    assert mean["pairs"] == 3 * 2  # folds, seeds
    assert str(rows[5][-1]).startswith(f"{100 * mean['difference']:+.1f} [")
    assert any(note.startswith("SEED EEG, protocol session: 6 pairs") for note in table("seed").notes)


def test_notes_say_what_the_paper_lacks_and_what_a_day_is(table: Build, reports: Reports) -> None:
    for name in ("seed", "amigos"):
        notes = table(name).notes
        assert any(note.startswith("The paper prepares this set and prints no score of it.") for note in notes)
        assert [note for note in notes if note.startswith("Days held out: trained on everybody's other sessions")]
    honest = [run for run in reports[0] if run.startswith("seed-") and "session" not in run]
    assert not any("Days held out" in note for note in table("seed", honest).notes)
    assert "† our implementation" in "\n".join(table("seed").notes)
    assert "protocol session, 3 folds, 2 seeds" in "\n".join(table("seed").notes)


def test_bands_that_the_rate_could_not_hold_stand_once(table: Build) -> None:
    notes = table("amigos").notes
    for band in BANDS["amigos"]:
        assert notes.count(f"AMIGOS (simulated), {band}") == 1
    assert not any("Nyquist" in note for note in table("seed").notes)


def test_leaks_variants_and_shuffled_labels_stay_out(tmp_path: Path) -> None:
    attributes = {"set": "seed", "task": "classification", "classes": 3, "modalities": "EEG", "seeds": (0,)}
    runs = {"a": {}, "leaky": {"protocol": "leaky"}, "shuffled": {"shuffle_labels": True},
            "experts4": {"variant": "experts4"}, "clips": {"protocol": "stimulus"}}
    for name, changes in runs.items():
        write_run(tmp_path, name, **{**attributes, **changes})
    read = finish_reports(tmp_path, list(runs))
    made = build_table("seed", *read, SETTINGS)
    assert made is not None
    assert [row[0] for row in made.rows] == ["trials held out", "clips held out"]
    assert build_table("seed", {"leaky": read[0]["leaky"]}, *read[1:], SETTINGS) is None
    assert build_table("amigos", *read, SETTINGS) is None


def test_sets_with_published_scores_have_no_supplement(reports: Reports) -> None:
    inputs = Inputs(*reports, SETTINGS)
    assert supplement(inputs, "deap") is None
    assert supplement(inputs, "dreamer") is None
    assert supplement(inputs, "seed") is not None


def test_real_data_is_not_called_simulated(tmp_path: Path) -> None:
    write_run(tmp_path, "real", set="amigos", simulated=False, seeds=(0,))
    made = build_table("amigos", *finish_reports(tmp_path, ["real"]), SETTINGS)
    assert made is not None
    assert made.title == "Supplementary table. AMIGOS: AMIGOS"
    assert made.rows[0][4] == "AMIGOS"
    assert not any("simulated" in note for note in made.notes)


def test_sources_are_named_once_and_only_where_used(tmp_path: Path) -> None:
    runs = {"face": {"modalities": "EEG+FACE"}, "face2": {"modalities": "EEG+PPS+FACE", "method": "ianet"},
            "plain": {"modalities": "EEG+PPS"}, "amigos": {"set": "amigos", "modalities": "EEG+EDA"},
            "amigos2": {"set": "amigos", "modalities": "EEG", "method": "ianet"},
            "heart": {"set": "amigos", "modalities": "ECG+EDA", "simulated": False},
            "skin": {"set": "amigos", "modalities": "EDA"}}
    for name, changes in runs.items():
        write_run(tmp_path, name, seeds=(0,), **changes)
    results = finish_reports(tmp_path, list(runs))[0]
    ecg, eeg = BANDS["amigos"]
    weights = f"FACE on DEAP (simulated): {FACE_LABEL}."

    def notes(*names: str) -> list[str]:
        return source_notes([results[name] for name in names])

    assert notes("face", "plain", "face2") == [weights]
    assert notes("plain") == []
    assert notes("amigos", "amigos2") == [f"AMIGOS (simulated), {eeg}"]
    assert notes("heart", "face", "amigos") == [f"AMIGOS, {ecg}", weights, f"AMIGOS (simulated), {eeg}"]
    assert notes("skin") == []
    set_with_faces = replace(results["plain"], info={**results["plain"].info, "face": FACE_LABEL})
    assert source_notes([set_with_faces]) == []
