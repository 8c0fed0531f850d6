"""What adapting to a person gains: scores against the number of rated trials.

Legend: G trials, k rated trials of the new person.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from himoe.scoring.frames import as_table
from himoe.scoring.statistics import TrialSums, arrange, hierarchical_counts, percentiles, sum_trials

BY = ["method", "normalise", "k"]


def personal_rows(predictions: pd.DataFrame, draws: int = 1000, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """One row per method, policy of the normaliser and k.

    Parameters
    ----------
    predictions : DataFrame
        What ``predict`` gives, with ``method``, ``normalise``, ``k``, and ``chosen``, the candidate that each person's
        trials were predicted with; the same trials at every k.

    Returns
    -------
    DataFrame
        ``ccc`` of all windows pooled, mean over dimensions, ``low`` and ``high`` from a bootstrap over people and their
        trials; ``mae`` in rating points; ``gain``, the CCC minus that of the method's smallest k under the same policy,
        with ``gain_low`` and ``gain_high`` from the same draws; ``people``, ``trials``; a column per candidate: the
        share of trials it predicted.
    """
    rows = []
    for (method, policy), part in predictions.groupby(BY[:2], sort=False):
        sums = {k: _sums(part[part["k"] == k]) for k in sorted(part["k"].unique().tolist())}
        first = min(sums)
        people = arrange(as_table(part[part["k"] == first])).person
        weights = hierarchical_counts(people, draws, seed)
        for k, both in sums.items():
            own = part[part["k"] == k]
            ccc, before = both["ccc"], sums[first]["ccc"]
            low, high = percentiles(ccc.pooled(weights), level)[:2]
            gain_low, gain_high = percentiles(ccc.pooled(weights) - before.pooled(weights), level)[:2]
            chosen = own.drop_duplicates(["subject", "trial"])["chosen"].value_counts(normalize=True)
            rows.append({"method": method, "normalise": policy, "k": k, "ccc": ccc.score(), "low": low, "high": high,
                         "mae": both["mae"].score(), "gain": ccc.score() - before.score(), "gain_low": gain_low,
                         "gain_high": gain_high, "people": own["subject"].nunique(), "trials": len(people),
                         **{str(name): float(share) for name, share in chosen.items()}})
    return pd.DataFrame(rows).fillna(0.0)


def _sums(part: pd.DataFrame) -> Mapping[str, TrialSums]:
    windows = arrange(as_table(part))
    return {metric: sum_trials(windows, metric, None) for metric in ("ccc", "mae")}
