"""Metrics against textbook formulas, SciPy, scikit-learn and slow loops."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from himoe.core.errors import InputError
from himoe.scoring import metrics
from himoe.scoring.metrics import METRICS, largest_mae, mse_bound_problem

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


# --- within trials ------------------------------------------------------------------------------------------------

def trials(seed: int, missing: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """11 trials of 2 to 8 windows in mixed order, their truth at levels of their own; some labels missing."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(11), rng.integers(2, 9, 11))
    y = rng.uniform(2, 8, 11)[code] + rng.normal(0, 0.7, len(code))
    p = 0.4 * y + rng.normal(40, 0.5, len(code))
    y[rng.uniform(size=len(y)) < missing] = np.nan
    order = rng.permutation(len(code))
    return y[order], p[order], np.array([f"s{c % 3}/{c}" for c in code])[order]


def test_ccc_within_is_lins_formula_on_deviations_from_trial_means() -> None:
    y, p, trial = trials(0)
    frame = pd.DataFrame({"y": y, "p": p, "trial": trial}).dropna()  # unlabelled windows move no mean
    centred = frame[["y", "p"]] - frame.groupby("trial")[["y", "p"]].transform("mean")
    assert metrics.ccc_within(y, p, trial) == pytest.approx(lin_1989(*centred.to_numpy().T), abs=1e-12)


@given(st.integers(0, 50), st.floats(-9, 9), st.floats(-9, 9))
def test_ccc_within_knows_nothing_of_levels(seed: int, a: float, b: float) -> None:
    y, p, trial = trials(seed)
    level = np.array([int(name.partition("/")[2]) for name in trial], dtype=float)
    assert metrics.ccc_within(y + a * level, p + b * level, trial) == pytest.approx(
        metrics.ccc_within(y, p, trial), abs=1e-9)


def test_ccc_within_of_constants() -> None:
    y, p, trial = trials(1)
    level = np.array([float(name.partition("/")[2]) / 3 for name in trial])
    assert metrics.ccc(y, level) != 0
    assert metrics.ccc_within(y, level, trial) == 0  # right about levels or not
    assert math.isnan(metrics.ccc_within(level, p, trial))  # one rating a trial
    assert metrics.ccc_within(np.where(np.isnan(y), 0, y), np.where(np.isnan(y), 0, y), trial) == pytest.approx(1)
    assert metrics.ccc_within(y, p) == pytest.approx(metrics.ccc(y, p - np.nanmean((p - y)[~np.isnan(y)])), abs=1e-12)
    with pytest.raises(InputError, match="1 groups for 2 rows"):
        metrics.ccc_within(y[:2], p[:2], trial[:1])


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
