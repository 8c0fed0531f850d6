"""Several cohorts put together: against a slow loop over the same files, and what the page says."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from himoe.core.errors import InputError
from himoe.core.files import write_json
from himoe.report.tables.cohorts import readme
from himoe.scoring.cohorts import COPIED, best_others, cohort_rows, spread
from himoe.scoring.results import COMPARISON_COLUMNS
from pipeline.cohorts import read_cohort, write_cohorts

COHORTS, SETS = (5, 7, 9), ("deap", "dreamer")
METHODS = ("himoe", "tacoformer", "features_ridge", "mean", "bilstm")
VERDICTS = ("better", "worse", "not distinguishable", "untestable (n = 4)")
RATES = (0.0, 0.4)


def metrics_of(cohort: int, name: str, method: str) -> dict[str, Any]:
    rng = np.random.default_rng([cohort, SETS.index(name), METHODS.index(method)])
    score, within = (float(value) for value in rng.uniform(0, 1, 2))
    return {"run": f"{name}-{method}", "set": name, "method": method, "data": f"{name.upper()} (simulated)", "seeds": 3,
            "n_people": 10, "n_trials": 60, "ccc": score, "ccc_low": score - 0.1, "ccc_high": score + 0.1,
            "ccc_within": None if method == "mean" else within, "attainable_ccc": 0.9 + cohort / 1000,
            "attainable_ccc_within": None, "converged": None if method == "mean" else True}


def comparison(cohort: int, name: str, method: str, rate: float) -> dict[str, Any]:
    rng = np.random.default_rng([cohort, SETS.index(name), METHODS.index(method), int(rate * 10)])
    difference = float(rng.normal(0, 0.1))
    return {**dict.fromkeys(COMPARISON_COLUMNS, 0), "family": f"{name}/trial/regression/EEG+PPS",
            "reference": f"{name}-himoe", "run": f"{name}-{method}", "metric": "ccc", "missing_rate": rate,
            "difference": difference, "low": difference - 0.05, "high": difference + 0.05,
            "p_holm": float(rng.uniform()), "verdict": VERDICTS[int(rng.integers(4))]}


def write_cohort(folder: Path, cohort: int) -> list[str]:
    """What the evaluate stage writes; gives the runs' names."""
    runs = [metrics_of(cohort, name, method) for name, method in itertools.product(SETS, METHODS)]
    for values in runs:
        write_json(folder / "metrics" / "runs" / f"{values['run']}.json", values)
    lines = [comparison(cohort, name, method, rate) for name, method, rate in itertools.product(SETS, METHODS, RATES)
             if method != "himoe"]
    pd.DataFrame(lines)[list(COMPARISON_COLUMNS)].to_csv(folder / "metrics" / "comparisons.csv", index=False)
    return [values["run"] for values in runs]


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    """All cohorts, read back from files."""
    parts = []
    for cohort in COHORTS:
        names = write_cohort(tmp_path / str(cohort), cohort)
        parts.append(read_cohort(cohort, tmp_path / str(cohort), names))
    return pd.concat(parts, ignore_index=True)


def test_one_row_per_run_and_cohort_with_what_the_files_say(rows: pd.DataFrame) -> None:
    assert len(rows) == len(COHORTS) * len(SETS) * len(METHODS)
    for _, row in rows.iterrows():
        expected = metrics_of(row["cohort"], row["set"], row["method"])
        for key in COPIED:
            same = pd.isna(row[key]) if expected[key] is None else row[key] == expected[key]
            assert same, key
        if row["method"] == "himoe":
            assert pd.isna(row["difference_complete"])
            continue
        for rate, name in zip(RATES, ("complete", "missing"), strict=True):
            wanted = comparison(row["cohort"], row["set"], row["method"], rate)
            assert row[f"difference_{name}"] == pytest.approx(wanted["difference"], rel=1e-12)
            assert row[f"verdict_{name}"] == wanted["verdict"]
        assert row["missing_rate"] == 0.4


def test_the_spread_is_mean_and_sd_over_cohorts(rows: pd.DataFrame) -> None:
    found = spread(rows)
    assert list(found["set"]) == [name for name in SETS for _ in METHODS]
    for _, row in found.iterrows():
        name, method = row["set"], row["method"]
        scores = [metrics_of(cohort, name, method)["ccc"] for cohort in COHORTS]
        assert row["cohorts"] == len(COHORTS)
        assert row["ccc_mean"] == pytest.approx(statistics.mean(scores))
        assert row["ccc_sd"] == pytest.approx(statistics.stdev(scores))
        assert row["attainable_ccc"] == pytest.approx(0.9 + statistics.mean(COHORTS) / 1000)
        if method == "mean":
            assert math.isnan(row["ccc_within_mean"])
        if method != "himoe":
            compared = [comparison(cohort, name, method, 0.4) for cohort in COHORTS]
            assert row["difference_missing_mean"] == pytest.approx(
                statistics.mean(line["difference"] for line in compared))
            assert row["worse_missing"] == sum(line["verdict"] == "worse" for line in compared)
    for _, group in found.groupby("set"):
        assert group["ccc_mean"].is_monotonic_decreasing


def test_the_best_other_method_is_the_one_hi_moe_is_least_ahead_of(rows: pd.DataFrame) -> None:
    found = best_others(rows)
    assert len(found) == len(SETS) * len(COHORTS) * len(RATES)
    for _, row in found.iterrows():
        lines = {method: comparison(row["cohort"], row["set"], method, row["missing_rate"]) for method in METHODS[1:]}
        best = min(lines, key=lambda method: lines[method]["difference"])
        assert row["best"] == best
        assert row["difference"] == pytest.approx(lines[best]["difference"])
        assert row["verdict"] == lines[best]["verdict"]


def test_the_page_says_simulated_and_every_number_of_the_files(rows: pd.DataFrame, tmp_path: Path) -> None:
    write_cohorts(rows, tmp_path)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert page == readme(rows)
    assert all(f"{name.upper()} (simulated)" in page for name in SETS)
    for _, row in rows.iterrows():
        assert f"{row['ccc']:.3f}" in page
    for _, row in best_others(rows).iterrows():
        assert f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in page
    table = page.split("###")[1]
    means = [float(value) for value in re.findall(r"([\d.]+) ± [\d.]+ \|", table)]
    assert means[:len(METHODS)] == sorted(means[:len(METHODS)], reverse=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "spread.csv"), spread(rows), rtol=1e-5, check_dtype=False)
    assert len(pd.read_csv(tmp_path / "cohorts.csv")) == len(rows)


def test_a_run_without_its_comparison_is_refused(tmp_path: Path) -> None:
    names = write_cohort(tmp_path, 5)
    lines = pd.read_csv(tmp_path / "metrics" / "comparisons.csv")
    metrics = [metrics_of(5, name, method) for name, method in itertools.product(SETS, METHODS)]
    with pytest.raises(InputError, match="deap-himoe and deap-bilstm"):
        cohort_rows(5, metrics, lines[(lines["run"] != "deap-bilstm") | (lines["missing_rate"] == 0)])
    with pytest.raises(InputError, match="no run of himoe on dreamer"):
        cohort_rows(5, [values for values in metrics if values["run"] != "dreamer-himoe"], lines)
    assert len(names) == len(metrics)
