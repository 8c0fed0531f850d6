"""Hi-MoE against each row: the cell's text and the notes on what so few pairs can show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import SETTINGS, finish_reports, write_run

from himoe.results import RunResult
from himoe.tables import Table
from himoe.tables.against import against, against_notes
from himoe.tables.rows import Inputs

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
    assert against(ianet, with_row(inputs, difference=np.nan)) == "no pairs"


def test_hi_moe_and_the_papers_rows_have_none(pair: Inputs, table: Callable[..., Table]) -> None:
    assert against(pair.results["a-himoe"], pair) is None
    assert against(None, pair) is None
    for name in ("table2", "table4", "table5", "table6", "table10"):
        made = table(name)
        assert made.columns[-1] == "Hi-MoE against it"
        for row in made.rows:
            ours = row[3] is not None and "simulated" in str(row[3])
            assert (row[-1] is None) == (not ours or row[1] == "Hi-MoE")


def test_every_comparison_is_printed(table: Callable[..., Table], reports: Reports) -> None:
    printed = [row[-1] for row in table("table2").rows if row[-1] is not None]
    comparisons = reports[1]
    families = comparisons[comparisons["family"].isin([
        "deap/trial/regression/EEG+PPS", "deap/trial/regression/EEG+EOG+EMG+EDA",
        "deap/trial/regression/EEG+PPS+FACE", "dreamer/trial/regression/EEG+PPS", "amigos/trial/regression/EEG+PPS"])]
    assert sorted(str(text) for text in printed) == sorted(
        f"{row.difference:+.3f} [{row.low:.3f}, {row.high:.3f}], p = {row.p_holm:.2g}: {row.verdict}"
        for row in families.itertuples())


@pytest.mark.parametrize("pairs, rows, expected", [
    (8, 1, "DEAP EEG+PPS, protocol trial: 8 pairs (folds × seeds) allow no p below 0.0078, 0.0078 after correction for "
           "1 comparison."),
    (8, 7, "8 pairs (folds × seeds) allow no p below 0.0078, 0.055 after correction for 7 comparisons: nothing can be "
           "distinguished here."),
    (4, 1, "4 pairs (folds × seeds) allow no p below 0.12, 0.12 after correction for 1 comparison: nothing can be "
           "distinguished here."),
])
def test_the_note_says_what_the_pairs_allow(pair: Inputs, pairs: int, rows: int, expected: str) -> None:
    comparisons = pd.concat([pair.comparisons] * rows).assign(pairs=pairs, p=0.5)
    notes = against_notes([pair.results["b-ianet"]], replace(pair, comparisons=comparisons))
    assert notes[-1].endswith(expected)
    assert len(notes) == 2


def test_unequal_pairs_are_named_without_a_corrected_bound(pair: Inputs) -> None:
    comparisons = pd.concat([pair.comparisons.assign(pairs=6), pair.comparisons.assign(pairs=8)])
    notes = against_notes([pair.results["b-ianet"]], replace(pair, comparisons=comparisons))
    assert notes[-1] == "DEAP EEG+PPS, protocol trial: 6 to 8 pairs (folds × seeds) allow no p below 0.0078."
    assert against_notes([pair.results["a-himoe"]], pair) == []
