"""Intervals from whole trials: coverage of new trials, few trials, missing sensors."""

from __future__ import annotations

import numpy as np
import pytest
from toysets import encode_tensors, make_config, make_data, make_store

from himoe.prepare.masks import evaluation_draws
from himoe.scoring.sweep import interval_scores
from himoe.training.conformal import bounds, half_width, half_widths, level_of
from himoe.training.fit import fit_task
from himoe.training.inference import masked_present
from himoe.training.making import make_model
from himoe.training.masked import half_widths_of
from himoe.training.rundata import FoldTask


def trials_of(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of *count* trials, each with its own level and length."""
    lengths = rng.integers(1, 13, count)
    level = np.repeat(rng.exponential(2.0, count), lengths)
    return np.abs(level * rng.normal(size=len(level))), np.repeat(np.arange(count), lengths)


@pytest.mark.parametrize(("count", "most"), [(9, 0.97), (13, 0.97), (40, 0.94)])
def test_a_new_trials_windows_are_covered_as_often_as_promised(count: int, most: float) -> None:
    rng, inside, level = np.random.default_rng(count), [], 0.9
    for _ in range(700):
        residuals, trials = trials_of(rng, count + 6)
        known = trials < count
        q = half_width(residuals[known], trials[known], level)
        inside += [(residuals[trials == new] <= q).mean() for new in range(count, count + 6)]
    assert level - 0.01 < np.mean(inside) < most


@pytest.mark.parametrize(("count", "level"), [(9, 0.9), (14, 0.9), (14, 0.7), (5, 5 / 6)])
def test_the_half_width_is_the_mean_over_draws_of_a_window_per_trial(count: int, level: float) -> None:
    rng = np.random.default_rng(count)
    residuals, trials = trials_of(rng, count)
    drawn = np.stack([rng.choice(residuals[trials == k], 40_000) for k in range(count)], axis=1)
    expected = np.sort(drawn, axis=1)[:, int(np.ceil(level * (count + 1) - 1e-9)) - 1]
    q = half_width(residuals, trials, level)
    assert q == pytest.approx(expected.mean(), abs=5 * expected.std() / 200)
    order = rng.permutation(len(trials))
    assert half_width(residuals[order], trials[order], level) == pytest.approx(q, rel=1e-12)
    assert half_width(np.append(residuals, np.nan), np.append(trials, 99), level) == q  # no label, no trial


def test_of_many_residuals_some_are_looked_at_and_the_width_is_rounded_up() -> None:
    rng = np.random.default_rng(5)
    residuals, trials = np.abs(rng.normal(size=(23, 900))), np.repeat(np.arange(23), 900)
    means = np.sort(rng.permuted(residuals, axis=1)[:, :800], axis=0)[21].mean()  # ceil(0.9 * 24) = 22nd of 23
    assert means - 0.05 < half_width(residuals.ravel(), trials, 0.9) < means + 0.1


@pytest.mark.parametrize(("count", "level"), [(3, 0.9), (4, 0.8), (8, 8 / 9), (9, 0.9), (30, 0.9)])
def test_few_trials_promise_less_and_very_few_nothing(count: int, level: float) -> None:
    assert level_of(count) == pytest.approx(level)
    residuals, trials = np.arange(count, dtype=float), np.arange(count)
    assert np.isfinite(half_width(residuals, trials, level_of(count))) == (count > 3)
    assert np.isfinite(half_width(residuals, trials, 0.9)) == (count > 8)
    low, high = bounds(np.array([2.0, 8.5]), np.array([0, 1]), (float("inf"), float("inf")), (1.0, 9.0))
    assert (low.tolist(), high.tolist()) == ([1.0, 1.0], [9.0, 9.0])


def test_fewer_sensors_never_give_a_narrower_interval() -> None:
    trials = np.arange(20)
    wide, narrow = np.full(20, 3.0), np.full(20, 1.0)
    absent = [np.zeros(20, int), np.full(20, 2)]
    assert half_widths([wide, narrow], absent, trials, 4) == (3.0, 3.0, 3.0, 3.0)
    assert half_widths([narrow, wide], absent, trials, 4) == (1.0, 3.0, 3.0, 3.0)  # one absent: the next that was seen
    assert half_widths([narrow, wide], [np.full(20, 1), np.full(20, 2)], trials, 4) == (1.0, 1.0, 3.0, 3.0)
    assert half_widths([narrow * np.nan], [np.full(20, 1)], trials, 2) == (float("inf"), float("inf"))
    # All sensors in 18 trials of 20, too few for 95 %: the next larger number; the largest has no next.
    one = np.where(trials < 18, 0, 1)
    assert half_widths([narrow, wide], [one, absent[1]], trials, 3, 0.95) == (3.0, 3.0, 3.0)
    assert half_widths([narrow, wide], [absent[0], one + 1], trials, 3, 0.95) == (1.0, float("inf"), float("inf"))
    low, high = bounds(np.array([5.0, 5.0]), np.array([0, 2]), (1.0, 3.0, 3.0, 3.0), (1.0, 9.0))
    assert (high - low).tolist() == [2.0, 6.0]


def test_coverage_is_counted_on_labelled_windows() -> None:
    config = make_config("features_ridge")
    data = make_data(config, make_store(4, 12, 5))
    task = FoldTask(1, 0)
    result = fit_task(config, data, task)
    intervals = make_model(config, data, task, result).description.intervals
    encoded = encode_tensors(config, data, task, result.tensors)
    present = masked_present(data, evaluation_draws(data.store.index, config.run.modalities, 3), 0.4)
    predicted, rows = encoded.predict(present), encoded.rows
    data.labels[rows[3], 1] = np.nan
    listed = half_widths_of(data, rows, present, intervals)
    assert listed is not None
    widths = listed.reshape(predicted.shape)
    found = {(dimension, metric): value
             for dimension, metric, value in interval_scores(
                 data.task.dimensions, data.labels[rows], predicted, widths, data.task.scale)}
    absent = (~present[rows]).sum(1)
    for d, name in enumerate(("valence", "arousal")):
        width = np.array(intervals[name])[absent]
        inside = [abs(predicted[i, d] - data.labels[row, d]) <= width[i] for i, row in enumerate(rows)
                  if np.isfinite(data.labels[row, d])]
        assert found[name, "coverage"] == pytest.approx(np.mean(inside))
    assert found["mean", "width"] == pytest.approx((found["valence", "width"] + found["arousal", "width"]) / 2)
    assert 0.7 < found["mean", "coverage"] <= 1
