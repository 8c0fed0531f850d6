"""The swap test against a slow loop over windows and against SciPy's permutation test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from predicted import predictions, trial_ids
from scipy import stats

from himoe.core.errors import InputError
from himoe.scoring.metrics import METRICS
from himoe.scoring.statistics import arrange, sum_trials, swap_test

Pair = tuple[pd.DataFrame, pd.DataFrame]


def score(frame: pd.DataFrame, metric: str) -> float:
    """The pooled score, by windows: averaged over seeds and dimensions."""
    return float(np.nanmean([METRICS[metric](g["y_true"].to_numpy(), g["y_pred"].to_numpy(),
                                             (g["subject"] + g["trial"]).to_numpy())
                             for _, g in frame.groupby(["seed", "dimension"])]))


def exchange(pair: Pair, swapped: set[tuple[str, str]]) -> Pair:
    """The two with the predictions of the trials *swapped* exchanged, seeds paired as they stand in the frames."""
    keys = ["seed", "subject", "trial", "window", "dimension"]
    first, second = (frame.sort_values(keys).reset_index(drop=True) for frame in pair)
    hit = [ids in swapped for ids in zip(first["subject"], first["trial"], strict=True)]
    return (first.assign(y_pred=np.where(hit, second["y_pred"], first["y_pred"])),
            second.assign(y_pred=np.where(hit, first["y_pred"], second["y_pred"])))


@pytest.mark.parametrize(("kind", "metric"), [("regression", "ccc"), ("regression", "ccc_within"), ("two", "f1"),
                                              ("four", "f1_macro")])
def test_random_swaps_are_a_slow_loop_over_windows(kind: str, metric: str) -> None:
    pair = predictions(kind, 1), predictions(kind, 2, spread=1.15)
    found = swap_test(*(sum_trials(arrange(frame), metric, 4) for frame in pair), swaps=60, seed=3)
    observed = score(pair[0], metric) - score(pair[1], metric)
    differences = []
    for row in np.random.default_rng(3).integers(0, 2, (60, 12)):
        first, second = exchange(pair, {ids for ids, bit in zip(trial_ids(pair[0]), row, strict=True) if bit})
        differences.append(score(first, metric) - score(second, metric))
    extreme = sum(abs(d) >= abs(observed) - 1e-10 for d in differences)
    assert found.difference == pytest.approx(observed, abs=1e-12)
    assert found.p == (1 + extreme) / 61
    assert 0 < extreme < 60
    assert found.smallest == 1 / 61
    assert found.sd == pytest.approx(math.sqrt(np.mean(np.square(differences))), rel=1e-9)


def test_one_seed_meets_every_seed_and_other_seeds_meet_all() -> None:
    """Swaps for a method with one seed are those of its predictions repeated for each seed of the other."""
    many, one = predictions(seed=1), predictions(seed=2, seeds=(9,), spread=1.6)
    repeated = pd.concat([one.assign(seed=key) for key in (0, 1, 2)])
    sums = [sum_trials(arrange(frame), "ccc") for frame in (many, one, repeated)]
    assert swap_test(sums[0], sums[1], 99, 0) == pytest.approx(swap_test(sums[0], sums[2], 99, 0))
    assert swap_test(sums[1], sums[0], 99, 0).p == swap_test(sums[0], sums[1], 99, 0).p
    two = predictions(seed=3, seeds=(5, 6))
    every = [pd.concat([frame[frame["seed"] == pair[k]].assign(seed=place)
                        for place, pair in enumerate(itertools.product((0, 1, 2), (5, 6)))])
             for k, frame in enumerate((many, two))]
    expected = swap_test(*(sum_trials(arrange(frame), "ccc") for frame in every), 99, 0)
    assert swap_test(sums[0], sum_trials(arrange(two), "ccc"), 99, 0) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["ccc", "mae"])
def test_few_trials_are_swapped_in_every_way_as_scipy_does(metric: str) -> None:
    pair = tuple(predictions(seed=k, seeds=(0, 1), trials=(4, 2), spread=s) for k, s in ((1, 1.0), (2, 1.5)))
    ids = trial_ids(pair[0])
    parts = [part for frame in pair for _, part in sorted(frame.groupby(["subject", "trial"]), key=lambda kv: kv[0])]

    def statistic(first: np.ndarray, second: np.ndarray) -> float:
        """Trials as numbers: k of the first method, k + 6 of the second."""
        scores = [score(pd.concat([parts[k] for k in chosen]), metric) for chosen in (first, second)]
        return scores[0] - scores[1]

    expected = stats.permutation_test((np.arange(6), np.arange(6, 12)), statistic, permutation_type="samples",
                                      vectorized=False, n_resamples=np.inf)
    found = swap_test(*(sum_trials(arrange(frame), metric) for frame in pair), swaps=64, seed=0)
    assert len(ids) == 6
    assert found.difference == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-12)
    assert found.smallest == 2 / 64
    assert swap_test(*(sum_trials(arrange(frame), metric) for frame in pair), swaps=63, seed=0).smallest == 1 / 64


def test_twins_and_opposites() -> None:
    sums = sum_trials(arrange(predictions()), "ccc")
    same = swap_test(sums, sums, 50, 0)
    assert (same.difference, same.p) == (0, 1)
    frame = predictions(trials=(4, 3))
    best, worst = (sum_trials(arrange(frame.assign(y_pred=y)), "mae") for y in (frame["y_true"].fillna(0), 90.0))
    assert swap_test(best, worst, 500, 0).p == 2 / 128  # the smallest there is
    flat = sum_trials(arrange(predictions().assign(y_pred=5.0)), "pcc")
    assert math.isnan(swap_test(flat, flat, 50, 0).p)


def test_other_trials_or_metrics_are_refused() -> None:
    sums = sum_trials(arrange(predictions()), "ccc")
    for other in (sum_trials(arrange(predictions()), "mae"), sum_trials(arrange(predictions(trials=(4, 3))), "ccc")):
        with pytest.raises(InputError, match="the same trials and metric"):
            swap_test(sums, other, 9, 0)
