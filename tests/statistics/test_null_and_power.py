"""Many simulated studies: p is uniform where two methods do not differ; power is the share of detections."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from himoe.core.params import BootstrapParams
from himoe.scoring.statistics import Windows, compare_pair

PEOPLE, TRIALS, WINDOWS, SEEDS = 6, 5, 9, 2
STUDIES = 250
BOOTSTRAP = BootstrapParams(draws=150, seed=0, swaps=199)


def study(seed: int, noise: tuple[float, float]) -> tuple[Windows, Windows]:
    """Two methods that see a truth through noise of trials and of windows, which seeds share in part."""
    rng = np.random.default_rng(seed)
    count = PEOPLE * TRIALS
    trial = np.repeat(np.arange(count), WINDOWS)
    y = rng.normal(0, 1.3, (count, 2))[trial] + rng.normal(0, 0.6, (len(trial), 2))
    index = pd.MultiIndex.from_arrays([trial // TRIALS, trial % TRIALS, np.arange(len(trial))])
    found = []
    for size in noise:
        shared = rng.normal(0, 1, (count, 2))[trial]
        own = rng.normal(0, 0.6, (SEEDS, count, 2))[:, trial] + rng.normal(0, 0.6, (SEEDS, len(trial), 2))
        found.append(Windows(("arousal", "valence"), ((0,), (1,)), index, y, 0.8 * y + size * (shared + own), trial,
                             np.repeat(np.arange(PEOPLE), TRIALS), np.arange(count) % 3))
    return found[0], found[1]


def test_p_is_uniform_where_two_methods_do_not_differ() -> None:
    p = np.array([compare_pair(*study(seed, (1.0, 1.0)), "ccc", BOOTSTRAP).p for seed in range(STUDIES)])
    assert stats.kstest(p, "uniform").pvalue > 0.05
    assert 0.02 < np.mean(p <= 0.05) < 0.085  # 0.05 +- 2.5 standard errors
    assert 0.06 < np.mean(p <= 0.1) < 0.15


def test_printed_power_is_the_share_of_studies_that_find_the_effect() -> None:
    """At the effect that the two methods really have; power says it from one study alone."""
    noise = (0.7, 1.05)
    pairs = [compare_pair(*study(1000 + seed, noise), "ccc", BOOTSTRAP) for seed in range(STUDIES)]
    effect = float(np.mean([one.difference for one in pairs]))
    assert 0.08 < effect < 0.2
    measured = np.mean([one.p <= 0.05 for one in pairs])
    printed = np.array([one.power(effect, 0.05) for one in pairs])
    assert 0.4 < measured < 0.9
    assert abs(printed.mean() - measured) < 0.12
    assert np.quantile(np.abs(printed - measured), 0.8) < 0.25
    covered = np.mean([one.low <= effect <= one.high for one in pairs])
    assert 0.92 < covered <= 1  # 0.95; drawing at both levels makes it wider where people do not differ
