"""Comparisons of runs: every number by plain code on the windows, and who is compared with whom."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from predicted import predictions, trial_ids
from report_folders import BOOTSTRAP, RATES, write_run
from scipy import stats

from himoe.core.errors import InputError
from himoe.core.params import BootstrapParams
from himoe.scoring.metrics import METRICS
from himoe.scoring.results import COMPARISON_COLUMNS, RunResult, load_results
from himoe.scoring.statistics import arrange, compare, compare_pair, hierarchical_counts, holm, sum_trials, swap_test
from himoe.scoring.statistics.compare import verdict

PEOPLE = (3, 2, 4, 3, 2, 3, 2, 4)  # trials of eight people


def score(frame: pd.DataFrame, metric: str) -> float:
    """Averaged over seeds and dimensions."""
    return float(np.nanmean([METRICS[metric](g["y_true"].to_numpy(), g["y_pred"].to_numpy())
                             for _, g in frame.groupby(["seed", "dimension"])]))


def load(folder: Path) -> dict[str, RunResult]:
    return load_results([path.stem for path in sorted((folder / "metrics" / "runs").iterdir())],
                        folder / "runs", folder / "scores", folder / "metrics")


# --- one pair -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, metric", [("regression", "ccc"), ("regression", "pcc"), ("two", "accuracy")])
def test_the_interval_is_a_plain_loop_over_people_and_trials(kind: str, metric: str) -> None:
    first, second = predictions(kind, 1), predictions(kind, 2, seeds=(0,), spread=1.5)
    bootstrap = BootstrapParams(draws=25, seed=3, level=0.9, swaps=9)
    found = compare_pair(arrange(first), arrange(second), metric, bootstrap)
    ids = trial_ids(first)
    counts = hierarchical_counts(np.array([int(subject[1:]) for subject, _ in ids]), 25, 3)
    differences = []
    for row in counts:
        drawn = [trial for trial, count in zip(ids, row, strict=True) for _ in range(int(count))]
        scores = []
        for frame in (first, second):
            parts = dict(list(frame.groupby(["subject", "trial"])))
            scores.append(score(pd.concat([parts[trial] for trial in drawn]), metric))
        differences.append(scores[0] - scores[1])
    assert found.difference == pytest.approx(score(first, metric) - score(second, metric), rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(differences, (0.05, 0.95))), rel=1e-9)
    assert found.sd == pytest.approx(np.std(differences), rel=1e-9)
    assert (found.people, found.trials, found.seeds) == (3, 12, 3)


def test_people_and_folds_by_scipy() -> None:
    first = predictions(seed=1, trials=PEOPLE)
    second = predictions(seed=2, trials=PEOPLE, spread=1.2)
    found = compare_pair(arrange(first), arrange(second), "ccc", BootstrapParams(20, 0, swaps=99))
    people = [score(first[first["subject"] == who], "ccc") - score(second[second["subject"] == who], "ccc")
              for who in sorted(first["subject"].unique())]
    assert found.p_person == stats.wilcoxon(people).pvalue
    differences = []
    for seed in (0, 1, 2):
        for fold in (1, 2):
            a, b = (frame[(frame["seed"] == seed) & (frame["fold"] == fold)] for frame in (first, second))
            differences.append(score(a, "ccc") - score(b, "ccc"))
    sizes = first.drop_duplicates(["subject", "trial", "window"]).groupby("fold").size().to_numpy()
    ratio = np.mean([sizes[0] / sizes[1], sizes[1] / sizes[0]])
    t = np.mean(differences) / math.sqrt((1 / 6 + ratio) * np.var(differences, ddof=1))
    assert found.p_corrected == pytest.approx(2 * stats.t.sf(abs(t), 5), abs=1e-6)  # rounded differences


def test_too_few_people_and_shared_trials_have_no_p() -> None:
    first, second = predictions(seed=1), predictions(seed=2)
    found = compare_pair(arrange(first), arrange(second), "ccc", BootstrapParams(5, 0, swaps=9))
    assert math.isnan(found.p_person)  # three people: 0.25 at best
    assert not math.isnan(found.p_corrected)
    leaky = [frame.assign(fold=frame["window"] % 2) for frame in (first, second)]
    assert math.isnan(compare_pair(*map(arrange, leaky), "ccc", BootstrapParams(5, 0, swaps=9)).p_corrected)
    one_fold = [frame.assign(fold=0) for frame in (first, second)]
    found = compare_pair(*map(arrange, one_fold), "ccc", BootstrapParams(20, 0, swaps=99))
    assert math.isnan(found.p_corrected)
    assert found.low < found.difference < found.high
    assert 0 < found.p <= 1
    assert compare_pair(arrange(first.head(0)), arrange(second.head(0)), "ccc", BOOTSTRAP).trials == 0


def test_other_windows_labels_or_metrics_are_refused() -> None:
    first = predictions()
    for other in (first[first["window"] != 1], first.assign(y_true=first["y_true"] + 1),
                  first[first["dimension"] == "valence"]):
        with pytest.raises(InputError, match="different test windows or labels"):
            compare_pair(arrange(first), arrange(other), "ccc", BOOTSTRAP)
    with pytest.raises(InputError, match="metric: found 'rmse'"):
        compare_pair(arrange(first), arrange(first), "rmse", BOOTSTRAP)


# --- verdicts -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("difference, p, least, expected", [
    (0.1, 0.01, 0.002, "better"), (-0.1, 0.05, 0.002, "worse"), (0.1, 0.051, 0.002, "not distinguishable"),
    (0.1, 0.2, 0.125, "untestable (n = 4)"), (math.nan, math.nan, math.nan, "untestable (n = 4)"),
    (0.0, 0.01, 0.01, "not distinguishable")])
def test_verdicts(difference: float, p: float, least: float, expected: str) -> None:
    assert verdict(difference, p, least, 4, 0.05) == expected


def test_a_level_beyond_reach_is_untestable_and_without_power(tmp_path: Path) -> None:
    for name, method in (("a", "himoe"), ("b", "ianet"), ("c", "bilstm"), ("d", "cafnet")):
        write_run(tmp_path, name, method=method, seeds=(0,))
    results = load(tmp_path)
    made = compare(results, replace(BOOTSTRAP, swaps=60))  # 1/61 at best, 3/61 after correction
    assert set(made["verdict"]) == {"better", "not distinguishable"}
    made = compare(results, replace(BOOTSTRAP, swaps=58))  # 3/59 > 0.05
    assert set(made["verdict"]) == {"untestable (n = 18)"}
    assert (made["power"] == 0).all()
    assert (made["p"] < 0.05).any()


# --- whole tables of runs -----------------------------------------------------------------------------------------

def test_every_row_is_its_pair_at_both_rates(tmp_path: Path) -> None:
    write_run(tmp_path, "a-himoe", seeds=(0, 1, 2))
    write_run(tmp_path, "b-ianet", method="ianet", seeds=(0, 1, 2), skill=0.66)
    write_run(tmp_path, "c-mean", method="mean")
    results = load(tmp_path)
    made = compare(results, BOOTSTRAP)
    assert tuple(made) == COMPARISON_COLUMNS
    assert made[["run", "missing_rate"]].to_numpy().tolist() == [
        ["b-ianet", 0.0], ["c-mean", 0.0], ["b-ianet", RATES[-1]], ["c-mean", RATES[-1]]]
    assert set(made["family"]) == {"deap/trial/regression/EEG+PPS"}
    for part, rows in zip(("predictions", "predictions_missing"), (made[:2], made[2:]), strict=True):
        windows = {run: arrange(results[run].part(part)) for run in results}
        for row in rows.to_dict("records"):
            one = compare_pair(windows["a-himoe"], windows[row["run"]], "ccc", BOOTSTRAP)
            for key in ("people", "trials", "seeds", "difference", "low", "high", "p", "p_person", "p_corrected"):
                np.testing.assert_equal(row[key], getattr(one, key))
            assert row["power"] == one.power(0.05, 0.025)  # two tests in the family
            assert (row["people"], row["trials"], row["seeds"], row["effect"]) == (3, 18, 3, 0.05)
            assert row["p"] == swap_test(*(sum_trials(windows[run], "ccc") for run in ("a-himoe", row["run"])),
                                         BOOTSTRAP.swaps, BOOTSTRAP.seed).p
        assert rows["p_holm"].tolist() == holm(rows["p"].tolist()).tolist()
    assert made["verdict"].tolist()[1] == "better"


def test_printed_scores_differ_by_the_difference(tmp_path: Path) -> None:
    """The metrics files, the comparison and its interval are of one estimator."""
    for name, method in (("a", "himoe"), ("b", "bilstm")):
        write_run(tmp_path, name, method=method, set="seed", task="classification", classes=3, modalities="EEG")
    results = load(tmp_path)
    row = compare(results, BOOTSTRAP).iloc[0]
    assert (row["family"], row["metric"]) == ("seed/trial/classification/EEG", "accuracy")
    assert row["difference"] == pytest.approx(results["a"].metrics["accuracy"] - results["b"].metrics["accuracy"],
                                              abs=2e-6)
    right = [frame["y_true"].eq(frame["y_pred"]).mean() for frame in (results[run].part("predictions") for run in "ab")]
    assert row["difference"] == pytest.approx(right[0] - right[1])


def test_families_keep_what_cannot_be_compared_apart(tmp_path: Path) -> None:
    for name, attributes in {
            "himoe": {}, "ianet": {"method": "ianet"}, "other-set": {"method": "ianet", "set": "dreamer"},
            "small-himoe": {"modalities": "EEG+EDA"}, "small-ianet": {"method": "ianet", "modalities": "EEG+EDA"},
            "no_alignment": {"variant": "no_alignment"}, "experts4": {"variant": "experts4"},
            "ianet-eegnet": {"method": "ianet", "variant": "eegnet"}, "seeds": {"variant": "seeds"},
            "class-himoe": {"task": "classification"}, "class-mean": {"task": "classification", "method": "mean"},
            "leaky": {"protocol": "leaky"}, "leaky-ianet": {"protocol": "leaky", "method": "ianet"},
            "shuffled": {"shuffle_labels": True}}.items():
        write_run(tmp_path, name, **attributes)
    made = compare(load(tmp_path), BOOTSTRAP)
    assert (made.groupby(["family", "run"]).size() == 2).all()
    assert {tuple(row) for row in made[["family", "reference", "run", "metric"]].to_numpy().tolist()} == {
        ("deap/trial/regression/EEG+PPS", "himoe", "ianet", "ccc"),
        ("deap/trial/regression/EEG+PPS/variants", "himoe", "no_alignment", "ccc"),
        ("deap/trial/regression/EEG+PPS/variants", "himoe", "experts4", "ccc"),
        ("deap/trial/regression/EEG+PPS/variants", "himoe", "ianet-eegnet", "ccc"),
        ("deap/trial/regression/EEG+EDA", "small-himoe", "small-ianet", "ccc"),
        ("deap/trial/classification/EEG+PPS", "class-himoe", "class-mean", "accuracy")}


def test_another_method_or_the_best_one_as_reference(tmp_path: Path) -> None:
    for name, method, skill in (("a", "himoe", 0.5), ("b", "ianet", 0.8), ("c", "bilstm", 0.3)):
        write_run(tmp_path, name, method=method, skill=skill)
    results = load(tmp_path)
    best = compare(results, BOOTSTRAP, "best")
    assert best[best["missing_rate"] == 0][["reference", "run"]].to_numpy().tolist() == [["b", "a"], ["b", "c"]]
    assert set(best[best["missing_rate"] == 0]["verdict"]) == {"better"}
    pd.testing.assert_frame_equal(best, compare(results, BOOTSTRAP, "ianet"))
    row, mirrored = best.iloc[0], compare(results, BOOTSTRAP).iloc[0]
    assert (row["difference"], row["p"]) == (-mirrored["difference"], mirrored["p"])
    assert compare(results, BOOTSTRAP, "cafnet").empty


def test_other_missing_rates_are_refused_and_without_any_there_is_rate_zero_alone(tmp_path: Path) -> None:
    for name, method in (("a", "himoe"), ("b", "ianet")):
        write_run(tmp_path, name, method=method)
    path = tmp_path / "runs" / "b" / "predictions_missing.parquet"
    pd.read_parquet(path).assign(missing_rate=0.3).to_parquet(path)
    with pytest.raises(InputError, match=r"runs 'a' and 'b': found missing rates 0\.3 0\.4"):
        compare(load(tmp_path), BOOTSTRAP)
    path.unlink()
    assert compare(load(tmp_path), BOOTSTRAP)["missing_rate"].tolist() == [0.0]


def test_an_undefined_score_is_untestable(tmp_path: Path) -> None:
    for name, method in (("a", "himoe"), ("b", "mean")):
        write_run(tmp_path, name, method=method)
        path = tmp_path / "runs" / name / "predictions.parquet"
        pd.read_parquet(path).assign(y_true=4.0, y_pred=4.0).to_parquet(path)
    row = compare(load(tmp_path), BOOTSTRAP).iloc[0]
    assert row[["difference", "low", "high", "p", "p_holm", "p_person", "p_corrected", "power"]].isna().all()
    assert row["verdict"] == "untestable (n = 18)"


def test_without_hi_moe_there_is_nothing_to_compare(tmp_path: Path) -> None:
    write_run(tmp_path, "b-ianet", method="ianet")
    made = compare(load(tmp_path), BOOTSTRAP)
    assert tuple(made) == COMPARISON_COLUMNS
    assert made.empty
