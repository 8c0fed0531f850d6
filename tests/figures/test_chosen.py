"""Figures choose their runs by what the runs are."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from report_folders import ATTAINABLE

from himoe.core.params import ReportParams
from himoe.report.figures.chosen import (
    all_methods,
    by_method,
    ceiling,
    expert_runs,
    largest_modality_set,
    own_modality_set,
    plain_runs,
    ranked,
    with_baselines,
)
from himoe.scoring.results import RunResult

Material = tuple[Mapping[str, RunResult], ReportParams, pd.DataFrame]


def test_the_largest_modality_set_counts_modalities_not_letters(deap: Material) -> None:
    results, settings, _ = deap
    runs = [results["deap4-himoe"], results["deap-himoe"]]  # EEG+EOG+EMG+EDA is the longer name of fewer
    assert largest_modality_set(runs) == "EEG+PPS"
    assert largest_modality_set([]) is None
    assert own_modality_set(results, settings) == "EEG+PPS"
    fewer = {name: run for name, run in results.items() if name != "deap-himoe"}
    assert own_modality_set(fewer, settings) == "EEG+EOG+EMG+EDA"
    others = {name: run for name, run in results.items() if run.metrics["method"] != "himoe"}
    assert own_modality_set(others, settings) == "EEG+PPS"


def test_plain_runs_leave_variants_and_shuffled_labels_out(deap: Material) -> None:
    results, settings, _ = deap
    names = [run.run for run in plain_runs(results, settings, method="himoe")]
    assert names == ["deap-himoe", "deap4-himoe", "eeg-himoe", "eda-himoe"]
    assert [run.run for run in plain_runs(results, settings, protocol="leaky")] == ["deap-leaky"]


def test_all_methods_are_hi_moe_first_and_once_each(deap: Material) -> None:
    results, settings, _ = deap
    methods = list(all_methods(results, settings))
    assert methods[0] == "himoe"
    assert len(methods) == 9
    assert list(all_methods(results, settings, modality_set="EEG+EOG+EMG+EDA")) == [
        "himoe", "late_fusion", "ianet", "features_gbdt"]
    twice = [results["deap-ianet"], results["deap-himoe"], results["deap4-himoe"]]
    assert {method: run.run for method, run in by_method(twice).items()} == {"himoe": "deap-himoe",
                                                                             "ianet": "deap-ianet"}


def test_baselines_are_those_of_the_settings(deap: Material) -> None:
    results, _, _ = deap
    assert list(with_baselines(results, ReportParams("deap", ("mean", "ianet")))) == ["himoe", "mean", "ianet"]
    assert list(with_baselines(results, ReportParams("deap", ("nothing", "ianet")))) == ["himoe", "ianet"]
    assert with_baselines(results, ReportParams("seed", ("ianet",))) == {}


def test_expert_runs_are_sorted_by_number_and_leave_ablations_out(deap: Material) -> None:
    results, settings, _ = deap
    assert {count: run.run for count, run in expert_runs(results, settings).items()} == {
        1: "deap-experts1", 8: "deap-himoe", 16: "deap-experts16"}
    assert list(expert_runs(results, settings)) == [1, 8, 16]
    without = {name: run for name, run in results.items() if "experts" not in str(run.metrics["variant"])}
    assert expert_runs(without, settings) == {}


def test_methods_are_ranked_networks_before_floors(deap: Material) -> None:
    results, settings, _ = deap
    runs = ranked(all_methods(results, settings))
    assert [run.floor for run in runs] == [False] * 5 + [True] * 4
    for part in (runs[:5], runs[5:]):
        scores = [run.metrics["ccc"] for run in part]
        assert scores == sorted(scores, reverse=True)
    assert ceiling(runs, "ccc_within") == ATTAINABLE["deap"]["ccc_within"]
    assert ceiling([], "ccc") is None
