"""Draws of people and their trials, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.scoring.statistics import hierarchical_counts, percentiles


@pytest.mark.parametrize("person", [[0, 0, 0, 1, 2, 2], [1, 0, 2, 0, 1, 0], [0, 0, 0, 0]], ids=str)
def test_counts_are_a_plain_loop_over_people_and_their_trials(person: list[int]) -> None:
    draws, seed = 31, 7
    trials = {who: [g for g, of in enumerate(person) if of == who] for who in set(person)}
    rng = np.random.default_rng(seed)
    people = rng.integers(0, len(trials), (draws, len(trials)))
    u = rng.random((draws, len(trials), max(map(len, trials.values()))))
    expected = np.zeros((draws, len(person)))
    for k in range(draws):
        for j, who in enumerate(people[k]):
            for place in range(len(trials[who])):
                expected[k, trials[who][int(u[k, j, place] * len(trials[who]))]] += 1
    np.testing.assert_array_equal(hierarchical_counts(np.array(person), draws, seed), expected)


def test_every_trial_is_drawn_equally_often_and_trials_of_a_person_together() -> None:
    person = np.repeat(np.arange(5), 4)
    counts = hierarchical_counts(person, 20_000, 0)
    assert (counts.sum(1) == 20).all()
    np.testing.assert_allclose(counts.mean(0), 1, atol=0.06)
    by_person = counts.reshape(-1, 5, 4).sum(2) / 4  # people are drawn like a multinomial of 5
    assert by_person.var(0) == pytest.approx(1 - 1 / 5, rel=0.05)
    assert hierarchical_counts(np.array([], dtype=int), 3, 0).shape == (3, 0)


def test_percentiles_leave_undefined_draws_out() -> None:
    low, high, undefined = percentiles(np.array([np.nan, 3.0, 1.0, 2.0, np.nan]), 0.5)
    assert (low, high, undefined) == (1.5, 2.5, 2)
    assert np.isnan(percentiles(np.array([np.nan]), 0.9)[:2]).all()
