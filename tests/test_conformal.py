"""Split conformal intervals with whole trials: coverage of new trials, few trials, missing sensors."""

from __future__ import annotations

import numpy as np
import pytest
from toysets import encode_tensors, make_config, make_data, make_store

from himoe.prepare.masks import evaluation_draws
from himoe.scoring.sweep import interval_scores
from himoe.training.conformal import bounds, half_width, half_widths
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


def test_a_new_trials_windows_are_covered_as_often_as_promised() -> None:
    rng, inside, level = np.random.default_rng(4), [], 0.8
    for _ in range(1500):
        residuals, trials = trials_of(rng, 12)
        q = half_width(residuals[trials < 11], trials[trials < 11], level)
        inside.append((residuals[trials == 11] <= q).mean())  # a random window of the new trial
    assert level - 0.02 < np.mean(inside) < level + 1 / 12 + 0.03


def test_the_half_width_is_the_weighted_quantile_by_definition() -> None:
    residuals, trials = trials_of(np.random.default_rng(1), 14)
    q = half_width(residuals, trials, 0.9)

    def mass(limit: float) -> float:
        shares = [(residuals[trials == k] <= limit).mean() for k in range(14)]
        return sum(shares) / 15

    assert mass(q) >= 0.9 - 1e-9
    assert mass(np.nextafter(q, 0)) < 0.9
    assert half_width(np.append(residuals, np.nan), np.append(trials, 99), 0.9) == q  # no label, no trial


@pytest.mark.parametrize(("count", "ends"), [(8, False), (9, True)])
def test_few_trials_give_no_end(count: int, ends: bool) -> None:
    residuals, trials = np.arange(count, dtype=float), np.arange(count)
    assert np.isfinite(half_width(residuals, trials, 0.9)) == ends
    low, high = bounds(np.array([2.0, 8.5]), np.array([0, 1]), (float("inf"), float("inf")), (1.0, 9.0))
    assert (low.tolist(), high.tolist()) == ([1.0, 1.0], [9.0, 9.0])


def test_fewer_sensors_never_give_a_narrower_interval() -> None:
    trials = np.arange(20)
    wide, narrow = np.full(20, 3.0), np.full(20, 1.0)
    absent = [np.zeros(20, int), np.full(20, 2)]
    assert half_widths([wide, narrow], absent, trials, 4) == (3.0, 3.0, 3.0, 3.0)
    assert half_widths([narrow, wide], absent, trials, 4) == (1.0, 3.0, 3.0, 3.0)  # one absent: the next that was seen
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
