"""Masks: rates, at least one modality stays, the same for every method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toysets import make_index

from himoe.prepare.masks import drop, evaluation_draws, keep_at_most, training_draws, training_mask

NAMES = ("EEG", "EDA", "PPG")


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 0.95), st.integers(0, 999))
def test_a_present_sample_keeps_at_least_one_modality(rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = rng.random((50, 4)) < 0.6
    kept = drop(present, rng.random((50, 4)), rate)
    assert not (kept & ~present).any()
    assert (kept.any(1) == present.any(1)).all()


def test_the_sensors_with_the_largest_numbers_are_kept() -> None:
    rng = np.random.default_rng(3)
    present, draws = rng.random((60, 5)) < 0.7, rng.random((60, 5))
    for count in range(6):
        kept = keep_at_most(present, draws, count)
        for row in range(60):
            there = np.flatnonzero(present[row])
            assert set(np.flatnonzero(kept[row])) == set(there[np.argsort(draws[row, there])][::-1][:count])


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_the_share_dropped_is_the_rate(rate: float) -> None:
    index = make_index(20, 20, 29)
    kept = drop(np.ones((len(index), 7), bool), np.random.default_rng(0).random((len(index), 7)), rate)
    assert 1 - kept.mean() == pytest.approx(rate, abs=0.01)


def test_draws_depend_on_seed_sample_and_modality_alone() -> None:
    index = make_index()
    draws = evaluation_draws(index, NAMES, 3)
    order = np.random.default_rng(0).permutation(len(index))
    np.testing.assert_array_equal(evaluation_draws(index.iloc[order], NAMES, 3), draws[order])
    np.testing.assert_array_equal(evaluation_draws(index, ("PPG",), 3)[:, 0], draws[:, 2])
    part = index[index["subject"] == "s01"]
    np.testing.assert_array_equal(evaluation_draws(part, NAMES, 3), draws[part.index])
    assert not np.array_equal(evaluation_draws(index, NAMES, 4), draws)
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize("rate", [None, 0.0, 0.3, 0.9])
def test_training_masks_obey_the_same_rules(rate: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    present = torch.rand(40, 6, 5, generator=generator) < 0.7
    [(draws, asked)] = training_draws([present.shape], rate, 0.4, generator)
    kept = training_mask(present, draws, asked)
    assert not (kept & ~present).any()
    assert torch.equal(kept.any(-1), present.any(-1))
    if rate == 0.0:
        assert torch.equal(kept, present)
    if rate == 0.3:
        assert 1 - (kept.sum() / present.sum()).item() == pytest.approx(0.3, abs=0.06)
    if rate is None:
        assert 0 < asked < 0.4


@pytest.mark.parametrize("rate", [None, 0.3])
def test_numbers_of_many_batches_are_those_of_each_in_turn(rate: float | None) -> None:
    shapes = [(3, 29, 5), (2, 29, 5), (1, 7, 2)]
    one, other = torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)
    for shape, (draws, asked) in zip(shapes, training_draws(shapes, rate, 0.4, one), strict=True):
        assert asked == (float(torch.rand((), generator=other)) * 0.4 if rate is None else rate)
        assert torch.equal(draws, torch.rand(shape, generator=other))
