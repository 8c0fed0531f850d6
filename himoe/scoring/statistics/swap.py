"""The paired swap test over trials: would the difference of two methods be as large if their names meant nothing?

Legend: R pairs of replicates, D dimensions, G trials, K sums, N swaps.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from himoe.core.errors import bad_input
from himoe.scoring.metrics import mean_defined
from himoe.scoring.statistics.sums import TrialSums, score_of_sums

# Differences that differ by less are ties: what is left of rounding in sums.
_TIE = 1e-10


class Swapped(NamedTuple):
    """Observed difference, two-sided p, the smallest p that so many trials and swaps allow, and the swaps' spread."""

    difference: float
    p: float
    smallest: float
    sd: float


def swap_test(reference: TrialSums, other: TrialSums, swaps: int, seed: int) -> Swapped:
    """Two-sided p of the difference of two methods' pooled score, by exchanging their predictions trial by trial.

    If the two do not differ, a trial's predictions could as well bear the other's name. A swap exchanges them in every
    trial with probability 1/2, for all seeds and dimensions of the trial together, and computes the pooled scores and
    their difference anew; p is the share of swaps, the observed one included, whose difference is at least as far from
    0. All 2^G swaps are made where there are no more than *swaps*. Source: paired randomisation test of Fisher 1935, as
    Noreen 1989 (Computer-Intensive Methods for Testing Hypotheses, ch. 2) applies it to a score that is no mean.

    Replicates are paired by their key; a method with one replicate (closed form) meets every one of the other, and
    where the keys differ otherwise, all meet all.

    Parameters
    ----------
    reference, other : TrialSums
        Of the same windows and metric.
    swaps, seed : int
        Random swaps are ``default_rng(seed).integers(0, 2, (swaps, G))``, 1 = exchanged; p = (1 + #) / (1 + swaps).

    Returns
    -------
    Swapped
        NaN where the score is undefined. A swap without a defined difference counts as extreme.
    """
    if reference.metric != other.metric or reference.values.shape[1:] != other.values.shape[1:]:
        raise bad_input("swap test", f"sums of {reference.metric} and {other.metric}, shapes "
                        f"{reference.values.shape[1:]} and {other.values.shape[1:]}", "the same trials and metric",
                        "train both on the same folds")
    first, second = pair_replicates(reference, other)
    trials = first.shape[2]
    exact = trials < 63 and 2**trials <= swaps
    whole = np.maximum(first.sum(axis=2), second.sum(axis=2))
    exchanged = _all_swaps(trials) if exact else np.random.default_rng(seed).integers(0, 2, (swaps, trials))
    moved = np.tensordot(exchanged.astype(np.float64), second - first, (1, 2))  # (N, R, D, K)
    differences = _mean(score_of_sums(first.sum(axis=2) + moved, whole, reference.metric)) - _mean(
        score_of_sums(second.sum(axis=2) - moved, whole, reference.metric))
    observed = reference.score() - other.score()
    smallest = min(1.0, 2.0 / 2.0**trials) if exact else 1.0 / (1 + swaps)
    if trials == 0 or math.isnan(observed):
        return Swapped(observed, math.nan, smallest, math.nan)
    extreme = int((~(np.abs(differences) < abs(observed) - _TIE)).sum())  # NaN is extreme
    p = extreme / len(differences) if exact else (1 + extreme) / (1 + swaps)
    return Swapped(observed, p, smallest, float(np.sqrt(np.nanmean(differences**2))))


def critical_difference(swapped: Swapped, effect: float, trials: int, alpha: float) -> float:
    """The difference from which the swap test would reject at *alpha* if the methods differed by *effect*.

    The swaps' differences are about normal around 0. Their variance is the sum of the trials' squared contributions to
    the difference, so that it grows with the mean contribution: with the effect in place of the observed difference it
    is sd^2 - (observed^2 - effect^2) / G.
    """
    variance = swapped.sd**2 - (swapped.difference**2 - effect**2) / max(trials, 1)
    return float(stats.norm.isf(alpha / 2) * math.sqrt(max(variance, 0.0)))


def pair_replicates(reference: TrialSums, other: TrialSums) -> tuple[np.ndarray, np.ndarray]:
    """Sums of both, (R, D, G, K), replicate by replicate as they meet in :func:`swap_test`."""
    left, right = len(reference.keys), len(other.keys)
    if reference.keys == other.keys:
        return reference.values, other.values
    return np.repeat(reference.values, right, axis=0), np.tile(other.values, (left, 1, 1, 1))


def _all_swaps(trials: int) -> np.ndarray:
    """(2^G, G) of 0 and 1."""
    return (np.arange(2**trials)[:, None] >> np.arange(trials)) & 1


def _mean(scores: np.ndarray) -> np.ndarray:
    """(N, R, D) to (N,): averaged over replicates and dimensions where defined."""
    return mean_defined(scores.reshape(len(scores), -1))
