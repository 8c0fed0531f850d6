"""Hi-MoE against each row: the cell's text and the notes on what the tests can show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import SETTINGS, finish_reports, write_run

from himoe.report.tables import Table
from himoe.report.tables.against import against, against_notes, at_rate
from himoe.report.tables.rows import Inputs
from himoe.scoring.results import RunResult

Reports = tuple[dict[str, RunResult], pd.DataFrame, pd.DataFrame]

Reports = tuple[dict[str, RunResult], pd.DataFrame, pd.DataFrame]


@pytest.fixture
def pair(tmp_path: Path) -> Inputs:
    write_run(tmp_path, "a-himoe")
    write_run(tmp_path, "b-ianet", method="ianet")
    return Inputs(*finish_reports(tmp_path, ["a-himoe", "b-ianet"]), SETTINGS)


def with_row(inputs: Inputs, **values: object) -> Inputs:
    return replace(inputs, comparisons=inputs.comparisons.assign(**values))


def test_the_cell_reads_as_a_sentence(pair: Inputs) -> None:
    ianet = pair.results["b-ianet"]
    inputs = with_row(pair, difference=0.0412, low=-0.0101, high=0.0929, p_holm=0.25, verdict="not distinguishable")
    assert against(ianet, inputs) == "+0.041 [-0.010, 0.093], p = 0.25: not distinguishable"
    inputs = with_row(inputs, difference=-0.2, low=np.nan, p_holm=0.00123, verdict="worse")
    assert against(ianet, inputs) == "-0.200, p = 0.0012: worse"
    inputs = with_row(inputs, metric="accuracy", difference=0.034, low=0.01, high=0.05)
    assert against(ianet, inputs) == "+3.4 [1.0, 5.0], p = 0.0012: worse"
    few = with_row(inputs, verdict="untestable (n = 4)")
    assert against(ianet, few) == "+3.4 [1.0, 5.0]: untestable (n = 4)"
    assert against(ianet, with_row(few, difference=np.nan)) == "untestable (n = 4)"


def test_a_cell_is_of_one_missing_rate(pair: Inputs) -> None:
    ianet = pair.results["b-ianet"]
    rates = pair.comparisons["missing_rate"]
    inputs = with_row(pair, difference=rates + 0.1, low=np.nan, p_holm=0.5, verdict="better")
    assert rates.tolist() == [0.0, 0.4]
    assert against(ianet, inputs) == "+0.100, p = 0.5: better"
    assert against(ianet, inputs, 0.4) == "+0.500, p = 0.5: better"
    assert against(ianet, inputs, 0.2) is None


def test_hi_moe_and_the_papers_rows_have_none(pair: Inputs, table: Callable[..., Table]) -> None:
    assert against(pair.results["a-himoe"], pair) is None
    assert against(None, pair) is None
    for name in ("table2", "table4", "table5", "table6", "table10"):
        made = table(name)
        assert made.columns[-1] == "Hi-MoE against it"
        for row in made.rows:
            ours = row[3] is not None and "simulated" in str(row[3])
            assert (row[-1] is None) == (not ours or row[1] == "Hi-MoE" or str(row[1]).startswith("Attainable"))


def test_every_comparison_is_printed(table: Callable[..., Table], reports: Reports) -> None:
    printed = [row[-1] for row in table("table2").rows if row[-1] is not None]
    comparisons = at_rate(reports[1], 0.0)
    families = comparisons[comparisons["family"].isin([
        "deap/trial/regression/EEG+PPS", "deap/trial/regression/EEG+EOG+EMG+EDA",
        "deap/trial/regression/EEG+PPS+FACE", "dreamer/trial/regression/EEG+PPS", "amigos/trial/regression/EEG+PPS"])]
    assert sorted(str(text) for text in printed) == sorted(
        f"{row.difference:+.3f} [{row.low:.3f}, {row.high:.3f}], p = {row.p_holm:.2g}: {row.verdict}"
        for row in families.itertuples())


def shown(**columns: object) -> pd.DataFrame:
    """Four comparisons at rate 0, changed as told."""
    base = {"metric": "ccc", "missing_rate": 0.0, "people": 10, "p": [0.001, 0.04, 0.05, 0.3],
            "p_corrected": [0.01, 0.2, np.nan, 0.6], "p_person": [0.002, 0.03, 0.04, 0.5], "effect": 0.05,
            "power": [0.3, 0.912, 0.5, 0.7]}
    return pd.DataFrame(base | columns)


def test_the_notes_say_how_what_other_tests_find_and_the_power() -> None:
    notes = against_notes(shown())
    assert len(notes) == 3
    assert notes[1:] == [
        "p ≤ 0.05 before correction: swap over trials 3 of 4; corrected t over folds and seeds 1 of 3; signed-rank "
        "over people 3 of 4 (n = 10).",
        "Chance of seeing a true difference of 0.05 after correction: 30 % to 91 %."]
    few = against_notes(shown(people=[3, 3, 3, 4], p_person=np.nan, power=0.0))
    assert few[1].endswith("signed-rank over people untestable (n = 3 to 4).")
    assert few[2].endswith(": 0 %.")
    assert len(against_notes(shown(power=np.nan))) == 2
    assert against_notes(shown().head(0)) == []
    assert ": ACC of Hi-MoE minus" in against_notes(shown(metric="accuracy"))[0]
