"""Metrics against textbook formulas, SciPy, scikit-learn and slow loops."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from himoe import metrics
from himoe.errors import InputError
from himoe.metrics import METRICS, average, bootstrap_interval, largest_mae, mse_bound_problem

value = st.integers(-900, 900).map(lambda v: v / 100)
pairs = st.lists(st.tuples(value, value), min_size=2, max_size=40).map(lambda rows: np.array(rows).T)
on_scale = st.lists(st.tuples(st.integers(100, 500), st.integers(100, 500)), min_size=2, max_size=12).map(
    lambda rows: np.array(rows).T / 100)


def varied(*arrays: np.ndarray) -> None:
    for array in arrays:
        assume(np.ptp(array) > 0)


def lin_1989(x: np.ndarray, y: np.ndarray) -> float:
    """The printed formula, in Python sums."""
    n = len(x)
    mx, my = sum(x) / n, sum(y) / n
    sxy = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / n
    sxx = sum((a - mx) ** 2 for a in x) / n
    syy = sum((b - my) ** 2 for b in y) / n
    return 2 * sxy / (sxx + syy + (mx - my) ** 2)


@given(pairs)
def test_ccc_is_lins_formula(xy: np.ndarray) -> None:
    varied(xy[0])
    assert metrics.ccc(*xy) == pytest.approx(lin_1989(*xy), abs=1e-12)


@given(pairs)
def test_pcc_is_scipys(xy: np.ndarray) -> None:
    varied(*xy)
    assert metrics.pcc(*xy) == pytest.approx(pearsonr(*xy).statistic, abs=1e-9)


@given(pairs)
def test_mae_is_sklearns(xy: np.ndarray) -> None:
    assert metrics.mae(*xy) == pytest.approx(mean_absolute_error(*xy), abs=1e-12)


@given(pairs)
def test_ccc_is_bounded_symmetric_and_below_pcc(xy: np.ndarray) -> None:
    varied(*xy)
    score = metrics.ccc(*xy)
    assert -1 <= score <= 1
    assert score == metrics.ccc(xy[1], xy[0])
    assert abs(score) <= abs(metrics.pcc(*xy)) + 1e-12


@given(pairs, st.floats(-50, 50), st.floats(0.5, 5))
def test_shift_and_scale(xy: np.ndarray, shift: float, factor: float) -> None:
    varied(*xy)
    y, p = xy
    assert metrics.ccc(y * factor + shift, p * factor + shift) == pytest.approx(metrics.ccc(y, p), abs=1e-9)
    assert metrics.pcc(y, p * factor + shift) == pytest.approx(metrics.pcc(y, p), abs=1e-9)
    assert metrics.pcc(y, -p) == pytest.approx(-metrics.pcc(y, p), abs=1e-12)
    # A shift of the prediction alone costs CCC exactly what the formula says.
    assert metrics.ccc(y, y + shift) == pytest.approx(2 * np.var(y) / (2 * np.var(y) + shift**2), abs=1e-9)


@given(pairs)
def test_perfect_prediction(xy: np.ndarray) -> None:
    varied(xy[0])
    assert metrics.ccc(xy[0], xy[0]) == pytest.approx(1, abs=1e-12)
    assert metrics.pcc(xy[0], xy[0]) == pytest.approx(1, abs=1e-12)
    assert metrics.mae(xy[0], xy[0]) == 0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=30))
def test_classification_is_sklearns(rows: list[tuple[bool, float]]) -> None:
    y, p = np.array(rows, dtype=float).T
    called = p > 0.5
    assert metrics.accuracy(y, p) == pytest.approx(accuracy_score(y, called))
    if y.any() or called.any():
        assert metrics.f1(y, p) == pytest.approx(f1_score(y, called))
    else:
        assert math.isnan(metrics.f1(y, p))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_more_classes_are_sklearns(rows: list[tuple[int, int]]) -> None:
    y, p = np.array(rows, dtype=float).T
    assert metrics.accuracy(y, p) == pytest.approx(accuracy_score(y, p))
    assert metrics.f1_macro(y, p) == pytest.approx(f1_score(y, p, average="macro"))
    order = np.array([2.0, 0.0, 3.0, 1.0])  # other numbers for the same classes
    assert metrics.f1_macro(order[y.astype(int)], order[p.astype(int)]) == pytest.approx(metrics.f1_macro(y, p))
    assert metrics.f1_macro(y, y) == 1


def test_metrics_of_a_task() -> None:
    assert metrics.task_metrics("regression", None) == ("ccc", "pcc", "mae")
    assert metrics.task_metrics("classification") == metrics.task_metrics("classification", 2) == ("accuracy", "f1")
    assert metrics.task_metrics("classification", 3) == ("accuracy", "f1_macro")
    assert metrics.class_count({"task": "regression", "classes": None}) is None
    assert metrics.class_count({"task": "classification"}) == 2
    assert metrics.class_count({"task": "classification", "classes": 3}) == 3
    assert metrics.task_label({"task": "classification", "classes": 2}) == "classification"
    assert metrics.task_label({"task": "classification", "classes": 3}) == "classification, 3 classes"
    assert metrics.task_label({"task": "regression"}) == "regression"


def test_constant_input() -> None:
    y, flat = np.array([1.1, 2.3, 4.7]), np.full(3, 5.1)
    assert metrics.ccc(y, flat) == 0
    assert math.isnan(metrics.pcc(y, flat))
    assert math.isnan(metrics.ccc(flat, flat))
    assert metrics.ccc(flat, flat + 0.3) == 0


@pytest.mark.parametrize("metric", list(METRICS))
def test_missing_labels_are_left_out(metric: str) -> None:
    y = np.array([1.0, np.nan, 0.0, 1.0, np.nan, 0.0, 1.0])
    p = np.array([0.9, 0.1, 0.7, 0.8, np.nan, 0.2, 0.3])
    keep = ~np.isnan(y)
    assert METRICS[metric](y, p) == METRICS[metric](y[keep], p[keep])
    assert math.isnan(METRICS[metric](y[:2], p[:2]))
    assert math.isnan(METRICS[metric](np.array([]), np.array([])))


def test_bad_arrays_are_refused() -> None:
    with pytest.raises(InputError, match=r"shapes \(3,\) and \(2,\)"):
        metrics.ccc(np.zeros(3), np.zeros(2))
    with pytest.raises(InputError, match="1 predictions"):
        metrics.mae(np.array([1.0, 2.0]), np.array([1.0, np.nan]))
    with pytest.raises(InputError, match="labels 0 or 1"):
        metrics.f1(np.array([1.0, 7.0]), np.array([1.0, 0.0]))
    with pytest.raises(InputError, match="predictions in"):
        metrics.accuracy(np.array([1.0, 0.0]), np.array([2.5, -1.0]))
    with pytest.raises(InputError, match="whole numbers"):
        metrics.f1_macro(np.array([1.0, 2.0]), np.array([2.0, 0.5]))
    with pytest.raises(InputError, match="labels 0 or 1"):
        metrics.f1(np.array([1.0, 2.0]), np.array([2.0, 1.0]))
    with pytest.raises(InputError, match="'r2'"):
        bootstrap_interval(np.zeros(3), np.zeros(3), np.arange(3), "r2", 5, 0.95, 0)
    with pytest.raises(InputError, match="align the rows"):
        bootstrap_interval(np.zeros(3), np.zeros(3), np.arange(2), "ccc", 5, 0.95, 0)


def test_average_counts_what_it_leaves_out() -> None:
    assert average(np.array([1.0, np.nan, 4.0])) == (2.5, 1)
    mean, undefined = average(np.array([np.nan, np.nan]))
    assert math.isnan(mean)
    assert undefined == 2


def windows(kind: str, dimensions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """13 trials of unequal length, shuffled, one rating a trial and dimension, some missing."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(3, 9, 13)
    trial = np.repeat(np.arange(13), lengths)
    y = rng.integers(1, 10, (13, dimensions))[trial].astype(float)
    p = 0.5 * y + rng.normal(30, 1.5, y.shape)
    if kind == "classification":
        y, p = (y > 5).astype(float), rng.uniform(size=y.shape)
    if kind == "four":
        y, p = np.floor(y / 3), rng.integers(0, 4, y.shape).astype(float)
    y[rng.uniform(size=y.shape) < 0.15] = np.nan
    y[trial == 4, 0] = np.nan
    order = rng.permutation(len(trial))
    return y[order], p[order], np.array([f"s{t % 3}/{t:02d}" for t in trial])[order]


@pytest.mark.parametrize(("kind", "metric"), [
    ("regression", "ccc"), ("regression", "pcc"), ("regression", "mae"), ("classification", "accuracy"),
    ("classification", "f1"), ("classification", "f1_macro"), ("four", "accuracy"), ("four", "f1_macro")])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_bootstrap_equals_a_slow_loop(kind: str, metric: str, dimensions: int) -> None:
    y, p, groups = windows(kind, dimensions)
    names = np.unique(groups)
    scores = []
    for row in np.random.default_rng(11).integers(0, len(names), (57, len(names))):
        take = np.concatenate([np.flatnonzero(groups == names[g]) for g in row])
        scores.append(np.nanmean([METRICS[metric](y[take, d], p[take, d]) for d in range(dimensions)]))
    low, high, undefined = bootstrap_interval(y if dimensions > 1 else y[:, 0], p if dimensions > 1 else p[:, 0],
                                              groups, metric, 57, 0.9, 11)
    assert undefined == 0
    assert low == pytest.approx(np.percentile(scores, 5), abs=1e-12)
    assert high == pytest.approx(np.percentile(scores, 95), abs=1e-12)
    assert low < high


def test_a_draw_without_a_class_leaves_it_out_of_its_mean() -> None:
    y = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
    p = np.array([0.0, 1.0, 1.0, 1.0, 2.0, 0.0])
    groups = np.array([4, 4, 7, 7, 9, 9])
    scores = []
    for row in np.random.default_rng(2).integers(0, 3, (91, 3)):
        take = np.concatenate([np.flatnonzero(groups == (4, 7, 9)[g]) for g in row])
        scores.append(f1_score(y[take], p[take], average="macro"))
    interval = bootstrap_interval(y, p, groups, "f1_macro", 91, 0.6, 2)
    assert interval == pytest.approx((*np.quantile(scores, (0.2, 0.8)), 0))
    alone = bootstrap_interval(y[:1], p[:1], groups[:1], "f1_macro", 91, 0.6, 2)
    assert alone.undefined == 91  # one row has no score


def test_bootstrap_of_constants() -> None:
    y, p, groups = windows("regression", 1)
    flat = np.full(len(p), 5.1)
    assert bootstrap_interval(y[:, 0], flat, groups, "ccc", 23, 0.95, 0) == (0, 0, 0)
    low, _, undefined = bootstrap_interval(y[:, 0], flat, groups, "pcc", 23, 0.95, 0)
    assert math.isnan(low)
    assert undefined == 23
    assert bootstrap_interval(flat, flat, groups, "ccc", 23, 0.95, 0).undefined == 23
    assert bootstrap_interval(np.array([]), np.array([]), np.array([]), "mae", 4, 0.95, 0).undefined == 4


def test_bootstrap_does_not_depend_on_row_order() -> None:
    y, p, groups = windows("regression", 2)
    order = np.random.default_rng(0).permutation(len(y))
    first = bootstrap_interval(y, p, groups, "ccc", 40, 0.95, 5)
    second = bootstrap_interval(y[order], p[order], groups[order], "ccc", 40, 0.95, 5)
    assert first[:2] == pytest.approx(second[:2], abs=1e-12)


def test_bootstrap_is_fast() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(5, 2, 640 * 29)
    p = y + rng.normal(0, 1, len(y))
    groups = np.repeat([f"s{i // 40:02d}/{i % 40:02d}" for i in range(640)], 29)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        bootstrap_interval(y, p, groups, "ccc", 1000, 0.95, 0)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.1  # processor time, all threads


def test_papers_dreamer_row_cannot_be() -> None:
    problem = mse_bound_problem(0.9571, 0.612, (1, 5))
    assert problem is not None
    assert "0.9571" in problem
    assert "rating SD of 2.09 where the scale allows 2.00" in problem
    # The rows of the same table that can be.
    for ccc, mae, scale in ((0.9310, 0.702, (1, 5)), (0.9698, 0.321, (1, 9)), (0.37, 0.855, (1, 5))):
        assert mse_bound_problem(ccc, mae, scale) is None


@given(on_scale)
def test_bound_never_blames_what_can_be(xy: np.ndarray) -> None:
    y, p = xy
    assert mse_bound_problem(metrics.ccc(y, p), metrics.mae(y, p), (1, 5)) is None


@settings(max_examples=50)
@given(st.lists(on_scale, min_size=2, max_size=5))
def test_bound_holds_for_averages(many: list[np.ndarray]) -> None:
    scores = np.array([(metrics.ccc(*xy), metrics.mae(*xy)) for xy in many])
    assume(np.isfinite(scores).all())
    assert mse_bound_problem(*scores.mean(axis=0), (1, 5)) is None


def test_bound_is_met_at_the_edges() -> None:
    # Opposite ends throughout: CCC 0, the whole scale as MAE.
    assert largest_mae(0, (1, 9)) == pytest.approx(8)
    assert mse_bound_problem(0, 8.0, (1, 9)) is None
    assert mse_bound_problem(0, 8.01, (1, 9)) is not None
    # Near 1 it is sqrt((1 - CCC) * 2 * (R / 2)^2) to first order.
    assert largest_mae(0.9999, (1, 5)) == pytest.approx(math.sqrt(1e-4 * 2 * 2**2), rel=1e-4)
    assert mse_bound_problem(1.0, 0.0, (1, 5)) is None
    assert mse_bound_problem(1.0, 0.1, (1, 5)) is not None
    x = np.linspace(0, 1, 4001)
    bound = np.array([largest_mae(1 - v, (0, 1)) for v in x])
    assert np.all(np.diff(bound, 2) < 1e-9)  # concave
    free = np.sqrt(x / (1 + np.sqrt(1 - x**2)))  # the bound of a single result
    assert np.all(bound >= free - 1e-12)


def test_bound_passes_undefined_scores() -> None:
    assert mse_bound_problem(None, 0.3, (1, 9)) is None
    assert mse_bound_problem(0.5, math.nan, (1, 9)) is None
