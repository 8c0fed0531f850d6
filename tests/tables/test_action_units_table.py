"""Action units as the model uses them, against pandas and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import SETTINGS, TRIALS, UNITS, finish_reports, write_run
from scipy.stats import pearsonr

from himoe.report.tables import Table, build_table, to_markdown
from himoe.scoring.results import RunResult

Build = Callable[..., Table]
Frame = Callable[[Table], pd.DataFrame]
DIMENSIONS = ("valence", "arousal", "dominance", "liking")


def slow_correlations(run: RunResult, unit: str, dimension: str) -> list[float]:
    """SciPy's correlation for every seed and fold, windows paired one by one; NaN ratings left out."""
    predictions = run.part("predictions")
    truth = {(row.seed, row.fold, row.subject, row.trial, row.window): row.y_true
             for row in predictions[predictions["dimension"] == dimension].itertuples()}
    pairs: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for row in run.part("action_units").itertuples():
        rating = truth[row.seed, row.fold, row.subject, row.trial, row.window]
        if row.action_unit == unit and not np.isnan(rating):
            pairs.setdefault((row.seed, row.fold), []).append((row.activation, rating))
    return [float(pearsonr(*np.array(found).T).statistic) for found in pairs.values()]


def test_one_line_a_unit_in_the_models_order(table: Build) -> None:
    made = table("action_units")
    assert made.columns == ("Our data", "Method", "Modalities", "Action unit", "Activation",
                            *(f"PCC {dimension}" for dimension in DIMENSIONS))
    assert [row[:4] for row in made.rows] == [("DEAP (simulated)", "Hi-MoE", "EEG+PPS+FACE", unit) for unit in UNITS]
    assert made.title == "Action units as the model uses them: DEAP (simulated)"


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_correlations_are_scipys(table: Build, frame: Frame, reports: tuple, dimension: str) -> None:
    made = frame(table("action_units")).set_index("Action unit")
    for unit in (UNITS[0], UNITS[-1]):
        expected = slow_correlations(reports[0]["face-himoe"], unit, dimension)
        assert len(expected) == 4 * 2  # folds, seeds
        assert made.loc[unit, f"PCC {dimension}"] == pytest.approx(np.mean(expected), rel=1e-9)
        assert made.loc[unit, f"PCC {dimension} sd"] == pytest.approx(np.std(expected, ddof=1), rel=1e-9)


def test_activations_count_every_window_with_a_face_once(table: Build, frame: Frame, reports: tuple) -> None:
    made = frame(table("action_units")).set_index("Action unit")
    units = reports[0]["face-himoe"].part("action_units")
    shown = units.groupby("action_unit")["activation"]
    assert set(shown.size()) == {2 * (3 * TRIALS - 1) * 5}  # seeds, trials of three people but one, windows
    for unit in UNITS:
        assert made.loc[unit, "Activation"] == pytest.approx(shown.mean()[unit], rel=1e-12)
        assert made.loc[unit, "Activation sd"] == pytest.approx(shown.std()[unit], rel=1e-12)


def test_windows_without_a_rating_count_as_activation_alone(tmp_path: Path, frame: Frame) -> None:
    write_run(tmp_path, "a", modalities="EEG+FACE")
    path = tmp_path / "runs" / "a" / "predictions.parquet"
    predictions = pd.read_parquet(path)
    lost = (predictions["subject"] == "s01") & predictions["window"].isin([1, 3]) & (
        predictions["dimension"] == "arousal")
    predictions.assign(y_true=predictions["y_true"].mask(lost)).to_parquet(path)
    read = finish_reports(tmp_path, ["a"])
    made = build_table("action_units", *read, SETTINGS)
    assert made is not None
    row = frame(made).set_index("Action unit").loc["AU12"]
    expected = slow_correlations(read[0]["a"], "AU12", "arousal")
    assert row["PCC arousal"] == pytest.approx(np.mean(expected), rel=1e-9)
    whole = read[0]["a"].part("action_units").query("action_unit == 'AU12'")["activation"]
    assert row["Activation"] == pytest.approx(whole.mean(), rel=1e-12)


def test_an_activation_that_never_changes_has_no_correlation(tmp_path: Path) -> None:
    write_run(tmp_path, "a", modalities="EEG+FACE", seeds=(0,))
    path = tmp_path / "runs" / "a" / "action_units.parquet"
    units = pd.read_parquet(path)
    units.assign(activation=units["activation"].where(units["action_unit"] != "AU4", 0.5)).to_parquet(path)
    made = build_table("action_units", *finish_reports(tmp_path, ["a"]), SETTINGS)
    assert made is not None
    [flat] = [row for row in made.rows if row[3] == "AU4"]
    assert [cell.mean for cell in flat[4:]] == [0.5, None, None, None, None]  # type: ignore[union-attr]
    assert "| AU4 | 0.500 ± 0.000 | undefined |" in to_markdown(made)



@pytest.mark.parametrize("attributes", [
    {"modalities": "EEG+PPS"}, {"method": "late_fusion"}, {"method": "features_gbdt"}, {"task": "classification"},
    {"protocol": "loso"}, {"protocol": "leaky"}, {"variant": "no_alignment"}, {"shuffle_labels": True}])
def test_other_runs_have_no_such_table(tmp_path: Path, attributes: dict[str, str]) -> None:
    write_run(tmp_path, "a", **{"modalities": "EEG+FACE", "seeds": (0,), **attributes})  # type: ignore[arg-type]
    assert build_table("action_units", *finish_reports(tmp_path, ["a"]), SETTINGS) is None


def test_each_run_with_a_face_has_its_lines(tmp_path: Path) -> None:
    write_run(tmp_path, "a", modalities="EEG+FACE", seeds=(0,))
    write_run(tmp_path, "b", modalities="EDA+FACE", seeds=(0,), set="dreamer", simulated=False)
    write_run(tmp_path, "c", modalities="EEG+EDA", seeds=(0,))
    made = build_table("action_units", *finish_reports(tmp_path, ["a", "b", "c"]), SETTINGS)
    assert made is not None
    assert made.title.endswith(": DEAP (simulated), DREAMER")
    assert [row[0] for row in made.rows] == ["DEAP (simulated)"] * len(UNITS) + ["DREAMER"] * len(UNITS)
    liking = made.columns.index("PCC liking")
    assert [row[liking] is None for row in made.rows] == [False] * len(UNITS) + [True] * len(UNITS)
