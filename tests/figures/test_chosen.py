"""Tables, figures and page choose their runs by what the runs are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import ATTAINABLE, write_run

from himoe.core.params import ReportParams
from himoe.report import chosen
from himoe.report.chosen import by_method, expert_runs, largest_modality_set, main_runs, own_modality_set, plain_runs
from himoe.scoring.results import RunResult, load_results

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


def test_main_runs_are_hi_moe_first_and_once_each(deap: Material) -> None:
    results, settings, _ = deap
    methods = list(main_runs(results, settings))
    assert methods[0] == "himoe"
    assert len(methods) == 9
    assert list(main_runs(results, settings, modality_set="EEG+EOG+EMG+EDA")) == [
        "himoe", "late_fusion", "ianet", "features_gbdt"]
    twice = [results["deap-ianet"], results["deap-himoe"], results["deap4-himoe"]]
    assert {method: run.run for method, run in by_method(twice).items()} == {"himoe": "deap-himoe",
                                                                             "ianet": "deap-ianet"}


def test_baselines_are_those_of_the_settings(deap: Material) -> None:
    results, _, _ = deap
    assert list(chosen.with_baselines(results, ReportParams("deap", ("mean", "ianet")))) == ["himoe", "mean", "ianet"]
    assert list(chosen.with_baselines(results, ReportParams("deap", ("nothing", "ianet")))) == ["himoe", "ianet"]
    assert chosen.with_baselines(results, ReportParams("seed", ("ianet",))) == {}


def test_expert_runs_are_sorted_by_number_and_leave_ablations_out(deap: Material) -> None:
    results, settings, _ = deap
    assert [run.run for run in expert_runs(results, settings)] == ["deap-experts1", "deap-himoe", "deap-experts16"]
    without = {name: run for name, run in results.items() if "experts" not in str(run.metrics["variant"])}
    assert expert_runs(without, settings) == []


def test_a_ceiling_is_the_first_that_is_known(deap: Material) -> None:
    assert chosen.ceiling(deap[0].values(), "ccc_within") == ATTAINABLE["deap"]["ccc_within"]
    assert chosen.ceiling([], "ccc") is None


def test_an_audit_holds_leaks_against_honest_runs_of_the_same_data(deap: Material) -> None:
    results, settings, _ = deap
    names = [run.run for run in chosen.audited_runs(results)]
    assert names == [f"deap-{name}" for name in (
        "himoe", "features_ridge", "features_gbdt", "mean", "mean_stimulus", "loso-himoe", "loso-features_ridge",
        "loso-mean_stimulus", "leaky", "shuffled", "leaky-shuffled")]
    assert [run.run for run in chosen.leak_runs(results, settings)] == names
    honest = {name: run for name, run in results.items() if not chosen.is_suspect(run)}
    assert chosen.audited_runs(honest) == chosen.leak_runs(honest, settings) == []


def test_trials_that_move_most_come_first_then_evenly_spaced_ones(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, "a", seeds=(3, 4, 5))
    results = load_results(["a"], tmp_path / "runs", tmp_path / "scores", tmp_path / "metrics")
    predictions = results["a"].part("predictions")
    moves: dict[str, dict[str, float]] = {}
    for (subject, trial), rows in predictions[predictions["seed"] == 3].groupby(["subject", "trial"]):
        sds = [np.std(part["y_true"], ddof=1) for _, part in rows.groupby("dimension")]
        moves.setdefault(subject, {})[trial] = float(np.mean(sds))
    first = {(subject, max(trials, key=lambda trial: trials[trial])) for subject, trials in moves.items()}
    every = list(chosen.trials_in_order(predictions).itertuples(index=False, name=None))
    assert set(every[:3]) == first
    assert every[3:] == sorted({(s, t) for s, trials in moves.items() for t in trials} - first)
    monkeypatch.setattr(chosen, "TRIALS", 6)
    rest = every[3:]
    assert list(chosen.trials_in_order(predictions).itertuples(index=False, name=None)) == [
        *every[:3], rest[0], rest[7], rest[-1]]


@pytest.mark.parametrize(("bits", "words"), [
    ("1111", "all 4"), ("1011", "no ECG"), ("0100", "ECG only"), ("1001", "EEG+RSP")])
def test_combinations_are_named(bits: str, words: str) -> None:
    assert chosen.in_words(bits, ("EEG", "ECG", "EDA", "RSP")) == words


def test_spread_names_seeds_only_where_there_are_several(deap: Material, dreamer: Material) -> None:
    assert chosen.spread(deap[0].values()) == "folds and seeds"
    assert chosen.spread(dreamer[0].values()) == "folds"


@pytest.mark.parametrize(("names", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_names_are_listed_as_a_sentence_does(names: list[str], text: str) -> None:
    assert chosen.listed(names) == text
