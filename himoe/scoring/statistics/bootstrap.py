"""Hierarchical bootstrap: people, then their trials.

Windows of one trial are not independent, and trials of one person are not either, so people are drawn first and then
trials of each drawn person, both with replacement (Saravanan, Berman, Sober 2020, arXiv 2007.07797; Davison & Hinkley
1997, Bootstrap Methods and their Application, section 3.8). Drawing at both levels counts the trials' own spread about
twice where people do not differ: intervals are then up to 1.4 times too wide. Where they differ much and are few, an
interval is somewhat too narrow, as every percentile interval from few units is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """Percentile interval; ``undefined`` counts the draws without a score (they are left out)."""

    low: float
    high: float
    undefined: int


def hierarchical_counts(person: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """How often each trial occurs in each draw, (draws, G); with it, every score of a draw is a weighted sum.

    Parameters
    ----------
    person : ndarray, (G,)
        The person of each trial, a code 0..P-1; with one person only trials are drawn.
    draws, seed : int
        From ``rng = default_rng(seed)``: draw k takes people ``rng.integers(0, P, (draws, P))[k]``, then of the j-th of
        them, who has t trials, trials ``floor(u[k, j, :t] * t)`` in the order of *person*, where
        ``u = rng.random((draws, P, T))`` and T is the most trials that a person has.
    """
    if len(person) == 0:
        return np.zeros((draws, 0))
    trials = np.bincount(person)
    people, most = len(trials), int(trials.max())
    order = np.argsort(person, kind="stable")
    first = np.concatenate([[0], np.cumsum(trials)[:-1]])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, people, (draws, people))
    u = rng.random((draws, people, most))
    inside = (u * trials[drawn][..., None]).astype(np.int64)
    taken = order[np.minimum(first[drawn][..., None] + inside, len(person) - 1)]
    real = np.arange(most) < trials[drawn][..., None]
    flat = (taken + len(person) * np.arange(draws)[:, None, None])[real]
    return np.bincount(flat, minlength=draws * len(person)).reshape(draws, len(person)).astype(np.float64)


def percentiles(scores: np.ndarray, level: float) -> Interval:
    """Percentile interval of draws (B,), NaN left out and counted."""
    defined = scores[~np.isnan(scores)]
    undefined = len(scores) - len(defined)
    if len(defined) == 0:
        return Interval(math.nan, math.nan, undefined)
    low, high = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(low), float(high), undefined)
