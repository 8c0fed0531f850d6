"""Tests on paired differences, Holm's correction and power, against textbook loops and formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from himoe.scoring.statistics import corrected_t, holm, power, smallest_p, wilcoxon

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


# --- corrected resampled t ----------------------------------------------------------------------------------------

def test_corrected_t_by_hand() -> None:
    """Nadeau & Bengio 2003, eq. for the corrected variance, with Python sums and SciPy's t distribution."""
    differences = [0.031, -0.004, 0.052, 0.017, 0.023, 0.048, -0.011, 0.036, 0.029, 0.002, 0.044, 0.015]  # 4 folds x 3
    n, ratio = len(differences), 1 / 3
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
    t = mean / math.sqrt((1 / n + ratio) * variance)
    p = 2 * (1 - stats.t(n - 1).cdf(abs(t)))
    assert corrected_t(differences, ratio) == pytest.approx(p, rel=1e-12)
    assert corrected_t(differences, 0.0) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-12)
    assert corrected_t([-d for d in differences], ratio) == pytest.approx(p, rel=1e-12)
    assert corrected_t([*differences, math.nan], ratio) == pytest.approx(p, rel=1e-12)


def test_corrected_t_without_spread_or_pairs() -> None:
    assert math.isnan(corrected_t([0.3], 0.5))
    assert math.isnan(corrected_t([0.3, math.nan], 0.5))
    assert corrected_t([0.0, 0.0, 1e-13], 0.5) == 1
    assert corrected_t([0.2, 0.2, 0.2], 0.5) == 0


# --- power --------------------------------------------------------------------------------------------------------

def test_power_is_a_share_of_normal_draws() -> None:
    draws = np.random.default_rng(0).normal(0.05, 0.03, 400_000)
    assert power(0.05, 0.03, 0.06) == pytest.approx(np.mean(np.abs(draws) > 0.06), abs=0.003)
    assert power(0.0, 0.03, 1.96 * 0.03) == pytest.approx(0.05, abs=1e-4)  # the size of the test
    assert (power(0.05, 0.0, 0.04), power(0.05, 0.0, 0.06)) == (1, 0)
    assert math.isnan(power(0.05, math.nan, 0.04))
