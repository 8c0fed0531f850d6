"""Statistics against textbook loops and scipy, and who is compared with whom."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from report_folders import BOOTSTRAP, write_run
from scipy import stats
from sklearn.linear_model import LinearRegression

from himoe.errors import InputError
from himoe.metrics import METRICS, bootstrap_interval
from himoe.params import BootstrapParams
from himoe.results import COMPARISON_COLUMNS, RunResult, load_results
from himoe.statistics import (
    calibration_error,
    calibration_line,
    compare,
    holm,
    paired_differences,
    paired_interval,
    smallest_p,
    wilcoxon,
)

P_VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=9)


# --- Holm ---------------------------------------------------------------------------------------------------------

def slow_holm(p: list[float]) -> list[float]:
    """The textbook: for the i-th smallest of n, the largest of (n - j) p_j over all j up to i."""
    order = sorted((value, k) for k, value in enumerate(p) if not math.isnan(value))
    adjusted = [math.nan] * len(p)
    for i, (_, k) in enumerate(order):
        adjusted[k] = min(1.0, max((len(order) - j) * order[j][0] for j in range(i + 1)))
    return adjusted


def test_holm_by_hand() -> None:
    # Four values: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 -> the last is lifted to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.02, math.nan, 0.03]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)
    assert holm([]).tolist() == []


@settings(deadline=None)
@given(P_VALUES)
def test_holm_is_the_textbook_loop(p: list[float]) -> None:
    np.testing.assert_allclose(holm(p), np.array(slow_holm(p), dtype=float), rtol=1e-12)


@settings(deadline=None)
@given(P_VALUES)
def test_holm_keeps_order_and_bounds(p: list[float]) -> None:
    values, adjusted = np.array(p, dtype=float), holm(p)
    defined = ~np.isnan(values)
    np.testing.assert_array_equal(np.isnan(adjusted), ~defined)
    assert (adjusted[defined] >= values[defined]).all()
    assert (adjusted[defined] <= np.minimum(1, values[defined] * defined.sum()) + 1e-15).all()
    order = np.argsort(values[defined], kind="stable")
    assert (np.diff(adjusted[defined][order]) >= 0).all()


# --- Wilcoxon -----------------------------------------------------------------------------------------------------

def slow_wilcoxon(differences: np.ndarray) -> float:
    """Exact two-sided p by going through all signs; differences without zeros or ties."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    observed = ranks[differences > 0].sum()
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s)
            for signs in itertools.product((0, 1), repeat=len(ranks))]
    return min(1.0, 2 * min(np.mean([s <= observed for s in sums]), np.mean([s >= observed for s in sums])))


@pytest.mark.parametrize("n", [1, 4, 7, 10])
def test_wilcoxon_is_exact_for_few_pairs(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    assert wilcoxon(differences.tolist()) == pytest.approx(slow_wilcoxon(differences), rel=1e-12)
    assert wilcoxon(differences.tolist()) == stats.wilcoxon(differences.round(9)).pvalue


def test_wilcoxon_without_anything_to_test() -> None:
    assert wilcoxon([0.0, 0.0, 1e-13]) == 1.0
    assert math.isnan(wilcoxon([]))
    assert math.isnan(wilcoxon([math.nan]))
    assert wilcoxon([0.0, 0.3, 0.2, 0.5]) == wilcoxon([0.3, 0.2, 0.5]) == 0.25


@settings(deadline=None)
@given(st.integers(1, 12))
def test_the_smallest_p_is_reached_when_all_agree(n: int) -> None:
    assert wilcoxon(np.arange(1, n + 1).tolist()) == pytest.approx(smallest_p(n), rel=1e-12)


def test_smallest_p_by_hand() -> None:
    assert [smallest_p(n) for n in (0, 1, 4, 6)] == [1.0, 1.0, 0.125, 0.03125]


# --- paired bootstrap ---------------------------------------------------------------------------------------------

def predictions(seed: int, subjects: int = 2, trials: int = 5, windows: int = 7, spread: float = 1.0) -> pd.DataFrame:
    dimensions = ("arousal", "liking", "valence")
    index = pd.DataFrame(list(itertools.product(range(subjects), range(trials), range(windows), dimensions)),
                         columns=["subject", "trial", "window", "dimension"])
    truth = np.random.default_rng(0).uniform(1, 9, len(index))
    frame = index.assign(y_true=truth, y_pred=truth + np.random.default_rng(seed).normal(0, spread, len(index)))
    frame = frame.astype({"subject": str, "trial": str})
    return pd.concat([frame.assign(seed=1, y_pred=5.0), frame.assign(seed=0)], ignore_index=True)


@pytest.mark.parametrize("metric", ["ccc", "pcc", "mae"])
def test_paired_interval_is_a_slow_loop_over_the_same_resamples(metric: str) -> None:
    draws, level, seed = 40, 0.9, 3
    first, second = predictions(1), predictions(2, spread=2.0)
    low, high = paired_interval(first, second.sample(frac=1, random_state=0), metric, draws, level, seed)
    trials = sorted({(s, t) for s, t in zip(first["subject"], first["trial"], strict=True)})
    drawn = np.random.default_rng(seed).integers(0, len(trials), (draws, len(trials)))
    differences = []
    for chosen in drawn:
        scores = []
        for frame in (first, second):
            frame = frame[frame["seed"] == 0]
            rows = pd.concat([frame[(frame["subject"] == trials[k][0]) & (frame["trial"] == trials[k][1])]
                              for k in chosen])
            scores.append(np.mean([METRICS[metric](g["y_true"].to_numpy(), g["y_pred"].to_numpy())
                                   for _, g in rows.groupby("dimension")]))
        differences.append(scores[0] - scores[1])
    expected = np.quantile(differences, (0.05, 0.95))
    assert (low, high) == pytest.approx(tuple(expected), rel=1e-9)


def test_paired_interval_of_a_run_with_itself_is_zero() -> None:
    assert paired_interval(predictions(1), predictions(1), "ccc", 20, 0.95, 0) == (0.0, 0.0)


def test_paired_interval_is_narrower_than_two_alone() -> None:
    """Pairing takes out what both share: here nearly all of the error."""
    first, second = predictions(1, trials=30), predictions(1, trials=30)
    second["y_pred"] += 0.1
    low, high = paired_interval(first, second, "mae", 200, 0.95, 0)
    one = first[first["seed"] == 0]
    alone = bootstrap_interval(one["y_true"].to_numpy(), one["y_pred"].to_numpy(),
                               (one["subject"] + "/" + one["trial"]).to_numpy(), "mae", 200, 0.95, 0)
    assert 0 < high - low < 0.5 * (alone.high - alone.low)


def test_paired_interval_refuses_other_windows_or_labels() -> None:
    first = predictions(1)
    for other in (first[first["window"] != 3], first.assign(y_true=first["y_true"] + 1),
                  first[first["dimension"] != "liking"]):
        with pytest.raises(InputError, match="different test windows or labels"):
            paired_interval(first, other, "ccc", 5, 0.95, 0)
    with pytest.raises(InputError, match="two rows for one window"):
        paired_interval(pd.concat([first, first]), first, "ccc", 5, 0.95, 0)
    with pytest.raises(InputError, match="metric: found 'rmse'"):
        paired_interval(first, first, "rmse", 5, 0.95, 0)


def test_paired_interval_is_fast() -> None:
    first, second = (predictions(k, subjects=8, trials=12, windows=21) for k in (1, 2))
    start = time.process_time()
    paired_interval(first, second, "ccc", 1000, 0.95, 0)
    assert time.process_time() - start < 1.5  # about 0.1 s on an idle machine


# --- calibration --------------------------------------------------------------------------------------------------

def test_calibration_error_is_a_loop_over_pandas_bins() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.normal(5, 2, 137), rng.normal(5, 1, 137).round(1)  # with ties
    expected = 0.0
    for _, rows in pd.DataFrame({"y": y, "p": p}).groupby(pd.qcut(p, 10, duplicates="drop"), observed=True):
        expected += len(rows) / 137 * abs(rows["y"].mean() - rows["p"].mean())
    assert calibration_error(y, p) == pytest.approx(expected, rel=1e-12)
    assert calibration_error(y, np.full(137, 5.0)) == pytest.approx(abs(y.mean() - 5), rel=1e-12)
    assert math.isnan(calibration_error(np.array([]), np.array([])))


@settings(deadline=None)
@given(hnp.arrays(float, 20, elements=st.floats(0, 1)), st.floats(-1, 1))
def test_calibration_error_of_a_shifted_truth_is_the_shift(y: np.ndarray, shift: float) -> None:
    assert calibration_error(y, y + shift) == pytest.approx(abs(shift), abs=1e-12)


def test_calibration_line_is_sklearn() -> None:
    rng = np.random.default_rng(1)
    p = rng.normal(4, 2, 31)
    y = 0.6 * p + 1 + rng.normal(0, 1, 31)
    model = LinearRegression().fit(p[:, None], y)
    assert calibration_line(y, p) == pytest.approx((model.coef_[0], model.intercept_), rel=1e-10)
    assert calibration_line(p, p) == pytest.approx((1.0, 0.0), abs=1e-12)
    assert all(math.isnan(value) for value in calibration_line(y, np.full(31, 2.0)))


# --- compare ------------------------------------------------------------------------------------------------------

def load(folder: Path) -> dict[str, RunResult]:
    return load_results([path.stem for path in sorted((folder / "metrics" / "runs").iterdir())],
                        folder / "runs", folder / "metrics")


def test_compare_is_scipy_over_folds_and_seeds(tmp_path: Path) -> None:
    write_run(tmp_path, "a-himoe", seeds=(0, 1, 2))
    write_run(tmp_path, "b-ianet", method="ianet", seeds=(0, 1, 2), skill=0.66)
    write_run(tmp_path, "c-mean", method="mean")
    results = load(tmp_path)
    made = compare(results, BOOTSTRAP).set_index("run")
    assert tuple(made.reset_index()[list(COMPARISON_COLUMNS)]) == COMPARISON_COLUMNS
    scores = {}
    for run in results:
        sweep = pd.read_csv(tmp_path / "runs" / run / "sweep.csv")
        rows = sweep[(sweep["missing_rate"] == 0) & (sweep["metric"] == "ccc") & (sweep["dimension"] == "mean")]
        scores[run] = {(r.fold, r.seed): r.value for r in rows.itertuples()}
    ianet = [scores["a-himoe"][key] - scores["b-ianet"][key] for key in scores["b-ianet"]]
    mean = [scores["a-himoe"][fold, seed] - scores["c-mean"][fold, 0] for fold, seed in scores["a-himoe"]]
    for run, differences in (("b-ianet", ianet), ("c-mean", mean)):
        assert made.loc[run, "pairs"] == 12
        assert made.loc[run, "difference"] == pytest.approx(np.mean(differences), rel=1e-9)
        assert made.loc[run, "p"] == stats.wilcoxon(np.round(differences, 9)).pvalue
        low, high = paired_interval(results["a-himoe"].part("predictions"), results[run].part("predictions"), "ccc",
                                    BOOTSTRAP.draws, BOOTSTRAP.level, BOOTSTRAP.seed)
        assert (made.loc[run, "low"], made.loc[run, "high"]) == (low, high)
    assert made["p_holm"].tolist() == pytest.approx(slow_holm(made["p"].tolist()))
    assert set(made["family"]) == {"deap/trial/regression/EEG+PPS"}
    assert made.loc["c-mean", "verdict"] == "better"


def test_three_classes_are_compared_by_accuracy(tmp_path: Path) -> None:
    for name, method, skill in (("a", "himoe", 0.9), ("b", "bilstm", 0.3)):
        write_run(tmp_path, name, method=method, skill=skill, set="seed", task="classification", classes=3,
                  modalities="EEG")
    results = load_results(["a", "b"], tmp_path / "runs", tmp_path / "metrics")
    [row] = compare(results, BOOTSTRAP).to_dict("records")
    assert (row["family"], row["metric"], row["pairs"]) == ("seed/trial/classification/EEG", "accuracy", 8)
    frames = [results[name].part("predictions") for name in "ab"]
    right = [[float((part["y_true"] == part["y_pred"]).mean())
              for _, part in frame.groupby(["seed", "fold", "dimension"])] for frame in frames]
    assert row["difference"] == pytest.approx(np.mean(right[0]) - np.mean(right[1]), abs=1e-6)
    first, second = (frame[frame["seed"] == 0].set_index(["subject", "trial", "window", "dimension"]).sort_index()
                     for frame in frames)
    hits = (first["y_true"] == first["y_pred"]).astype(float) - (second["y_true"] == second["y_pred"])
    trials = hits.groupby(level=["subject", "trial"]).mean().to_numpy()  # of equal length
    drawn = np.random.default_rng(BOOTSTRAP.seed).integers(0, len(trials), (BOOTSTRAP.draws, len(trials)))
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(trials[drawn].mean(1), (0.025, 0.975))))


def test_families_keep_what_cannot_be_compared_apart(tmp_path: Path) -> None:
    for name, attributes in {
            "himoe": {}, "ianet": {"method": "ianet"}, "other-set": {"method": "ianet", "set": "dreamer"},
            "small-himoe": {"modalities": "EEG+EDA"}, "small-ianet": {"method": "ianet", "modalities": "EEG+EDA"},
            "no_alignment": {"variant": "no_alignment"}, "experts4": {"variant": "experts4"},
            "class-himoe": {"task": "classification"}, "class-mean": {"task": "classification", "method": "mean"},
            "leaky": {"protocol": "leaky"}, "leaky-ianet": {"protocol": "leaky", "method": "ianet"},
            "shuffled": {"shuffle_labels": True}}.items():
        write_run(tmp_path, name, **attributes)
    made = compare(load(tmp_path), BOOTSTRAP)
    assert {tuple(row) for row in made[["family", "reference", "run", "metric"]].to_numpy().tolist()} == {
        ("deap/trial/regression/EEG+PPS", "himoe", "ianet", "ccc"),
        ("deap/trial/regression/EEG+PPS/variants", "himoe", "no_alignment", "ccc"),
        ("deap/trial/regression/EEG+PPS/variants", "himoe", "experts4", "ccc"),
        ("deap/trial/regression/EEG+EDA", "small-himoe", "small-ianet", "ccc"),
        ("deap/trial/classification/EEG+PPS", "class-himoe", "class-mean", "accuracy")}


def test_an_undefined_score_is_a_missing_pair(tmp_path: Path) -> None:
    write_run(tmp_path, "a-himoe", seeds=(0, 1, 2))
    write_run(tmp_path, "b-ianet", method="ianet", seeds=(0, 1, 2))
    path = tmp_path / "runs" / "b-ianet" / "sweep.csv"
    sweep = pd.read_csv(path)
    sweep.loc[(sweep["missing_rate"] == 0) & (sweep["fold"] == 3) & (sweep["seed"] == 1), "value"] = np.nan
    sweep.to_csv(path, index=False)
    results = load(tmp_path)
    assert len(paired_differences(results["a-himoe"], results["b-ianet"], "ccc")) == 11
    sweep.assign(value=np.nan).to_csv(path, index=False)
    row = compare(load(tmp_path), BOOTSTRAP).iloc[0]
    assert row["pairs"] == 0
    assert row[["difference", "p", "p_holm"]].isna().all()
    assert row["verdict"] == "not distinguishable"


@pytest.mark.parametrize("level, skill, verdict", [
    (0.95, 0.3, "better"), (0.95, 0.99, "worse"), (0.9999, 0.3, "not distinguishable")])
def test_verdicts_follow_the_corrected_p(tmp_path: Path, level: float, skill: float, verdict: str) -> None:
    write_run(tmp_path, "a-himoe", skill=0.7)
    write_run(tmp_path, "b-ianet", method="ianet", skill=skill)
    row = compare(load(tmp_path), BootstrapParams(draws=20, seed=0, level=level)).iloc[0]
    assert row["p"] == smallest_p(8)
    assert row["verdict"] == verdict


def test_without_hi_moe_there_is_nothing_to_compare(tmp_path: Path) -> None:
    write_run(tmp_path, "b-ianet", method="ianet")
    made = compare(load(tmp_path), BOOTSTRAP)
    assert tuple(made) == COMPARISON_COLUMNS
    assert made.empty
    path = tmp_path / "runs" / "b-ianet" / "sweep.csv"
    pd.read_csv(path).query("missing_rate > 0").to_csv(path, index=False)
    result = load(tmp_path)["b-ianet"]
    with pytest.raises(InputError, match="no ccc at missing rate 0"):
        paired_differences(result, result, "ccc")
