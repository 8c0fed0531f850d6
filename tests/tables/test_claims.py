"""Verdicts on the paper's claims: the rule on made-up comparisons and curves, and the bootstrap of falls by a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import RATES, SETTINGS, Reports, finish_reports, write_run

from himoe.report.tables import Table
from himoe.report.tables.claims import (
    NOT_SUPPORTED,
    SEED,
    SUPPORTED,
    UNTESTED,
    _falling,
    ahead,
    claims,
    fall_difference,
    judged,
    no_cliff,
)
from himoe.report.tables.rows import Inputs
from himoe.scoring.results import RunResult
from himoe.scoring.statistics import arrange, hierarchical_counts

Build = Callable[..., Table]
OPEN, LEFT_OPEN = "not distinguishable", "untestable (n = 4)"


@pytest.mark.parametrize("verdicts, powers, expected", [
    (["better", "better"], [0.1, 0.2], SUPPORTED),
    (["better", "worse", LEFT_OPEN], [0.9, 0.1, 0.0], NOT_SUPPORTED),
    (["better", OPEN], [0.1, 0.8], NOT_SUPPORTED),
    (["better", OPEN], [0.9, 0.79], UNTESTED),
    (["better", LEFT_OPEN], [0.9, 0.95], UNTESTED),
    ([OPEN, LEFT_OPEN], [0.85, 0.0], NOT_SUPPORTED),
    ([], [], UNTESTED),
    ([OPEN], [float("nan")], UNTESTED),
])
def test_the_rule(verdicts: Sequence[str], powers: Sequence[float], expected: str) -> None:
    assert judged(verdicts, powers) == expected


def curve(scores: Sequence[float], sd: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"missing_rate": RATES[:len(scores)], "mean": scores, "sd": sd})


def test_a_cliff_is_a_step_of_more_than_twice_the_average() -> None:
    even = np.linspace(0.8, 0.4, len(RATES))
    assert no_cliff(curve(list(even))).verdict == SUPPORTED
    steep = np.array([0.8, 0.79, 0.78, 0.77, 0.76, 0.5, 0.49, 0.48, 0.47])  # one step of 0.26, eight average 0.041
    assert no_cliff(curve(list(steep))).verdict == NOT_SUPPORTED
    assert "r = 0.20 to 0.25: 0.260, 6.3 times the average" in no_cliff(curve(list(steep))).text
    assert no_cliff(curve(list(steep), sd=0.2)).verdict == SUPPORTED  # within the masks' spread
    assert no_cliff(curve(list(even[::-1]))).verdict == SUPPORTED  # rises
    assert no_cliff(curve(list(even[:5]))).verdict == UNTESTED  # no further than 20 %
    # The paper's own Table 3 has its steepest fall at the end.
    published = [0.9698, 0.945, 0.9273, 0.8991, 0.8735, 0.8657, 0.8545, 0.8371, 0.7422]
    assert no_cliff(curve(published)).verdict == NOT_SUPPORTED


def test_the_difference_of_falls_is_a_slow_bootstrap(reports: Reports) -> None:
    run, other = reports[0]["dreamer-himoe"], reports[0]["dreamer-tacoformer"]

    def score(result: RunResult, part: str, counts: np.ndarray) -> float:
        """Pooled CCC, trials repeated as drawn, mean over seeds and dimensions."""
        windows = arrange(result.part(part))
        rows = np.repeat(np.arange(len(windows.y)), counts.astype(int)[windows.trial])
        found = []
        for p in windows.p:
            for d in range(len(windows.dimensions)):
                y, q = windows.y[rows, d], p[rows, d]
                found.append(2 * np.cov(y, q, ddof=0)[0, 1] / (y.var() + q.var() + (y.mean() - q.mean()) ** 2))
        return float(np.mean(found))

    def difference(counts: np.ndarray) -> float:
        falls = [score(one, "predictions", counts) - score(one, "predictions_missing", counts) for one in (other, run)]
        return falls[0] - falls[1]

    person = arrange(run.part("predictions")).person
    draws = [difference(counts) for counts in hierarchical_counts(person, 12, SEED)]
    assert fall_difference(_falling(run), _falling(other), 0.8, draws=12) == pytest.approx(
        (difference(np.ones(len(person))), *np.quantile(draws, (0.1, 0.9)), np.std(draws)), abs=1e-9)


def test_verdicts_follow_the_comparisons(reports: Reports) -> None:
    results, comparisons, cost = reports
    run, networks = results["dreamer-himoe"], [results["dreamer-late_fusion"], results["dreamer-tacoformer"]]

    def found(**values: object) -> str:
        changed = comparisons.assign(**values)
        return ahead(run, networks, Inputs(results, changed, cost, SETTINGS), 0.4).verdict

    assert found(verdict="better") == SUPPORTED
    assert found(verdict=OPEN, power=0.9) == NOT_SUPPORTED
    assert found(verdict=OPEN, power=0.3) == UNTESTED
    assert found(missing_rate=0.0, verdict="better") == UNTESTED  # nothing was compared at that rate
    more = [*networks, results["deap-himoe"]]  # was not compared
    assert ahead(run, more, Inputs(results, comparisons, cost, SETTINGS), 0.0).verdict == UNTESTED


def test_every_claim_has_its_rows(table: Build, reports: Reports) -> None:
    made = table("claims")
    deap = {row[0]: row for row in made.rows if row[1] == "DEAP (simulated)"}
    assert set(deap) == {f"{claim}, r = {rate}" for rate in ("0.00", "0.40") for claim in (
        "Best of all methods", "Best of the networks", "Soft routing helps", "Emotion experts help",
        "Cross-modal alignment helps")} | {"Robust to missing modalities", "Graceful to 40 % missing"}
    comparisons = reports[1]
    row = comparisons[(comparisons["run"] == "deap-no_alignment") & (comparisons["missing_rate"] == 0)].iloc[0]
    assert deap["Cross-modal alignment helps, r = 0.00"][4:6] == (row["p_holm"], row["power"])
    assert {row[3] for row in made.rows} <= {SUPPORTED, NOT_SUPPORTED, UNTESTED}
    assert deap["Robust to missing modalities"][7] == "EEG+PPS"  # the most networks


def test_what_was_not_run_is_untestable(tmp_path: Path) -> None:
    for method in ("himoe", "ianet"):
        write_run(tmp_path, method, method=method, seeds=(0,))
        (tmp_path / "runs" / method / "predictions_missing.parquet").unlink()
    made = claims(Inputs(*finish_reports(tmp_path, ["himoe", "ianet"]), SETTINGS))
    assert made is not None
    assert {row[0]: row[3] for row in made.rows}["Robust to missing modalities"] == UNTESTED
    alone = finish_reports(tmp_path, ["himoe"])
    assert claims(Inputs(*alone, SETTINGS)) is None
    assert claims(replace(Inputs(*alone, SETTINGS), results={})) is None
