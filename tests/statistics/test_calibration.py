"""Calibration against pandas' bins and scikit-learn's line."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LinearRegression

from himoe.scoring.statistics import calibration_error, calibration_line


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
