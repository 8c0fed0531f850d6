"""What sensors out of step cost: scores under each condition and their difference to the same trials on time."""

from __future__ import annotations

import pandas as pd

from himoe.scoring.convergence import still_improving
from himoe.scoring.frames import as_table
from himoe.scoring.statistics import TrialSums, arrange, hierarchical_counts, percentiles, sum_trials

ON_TIME = "On time"  # the condition that others are compared with
BY = ["method", "trained", "tested", "missing", "live"]
IDS = ["subject", "trial", "window", "dimension"]
METRICS = ("ccc", "ccc_within")


def condition_rows(predictions: pd.DataFrame, on_time: str, draws: int = 1000, level: float = 0.95,
                   seed: int = 0) -> pd.DataFrame:
    """One row per method, condition trained under, condition tested under, missing rate, and whether it was live.

    Parameters
    ----------
    predictions : DataFrame
        ``subject, trial, window, dimension, predicted, rating`` and the columns ``BY``.
    on_time : str
        The condition that differences are to: the same method trained and tested under it, with the future in view
        and nothing missing. Both are scored on the windows that both predict.

    Returns
    -------
    DataFrame
        ``BY``; for each of ``ccc`` and ``ccc_within`` its value, ``_low``, ``_high``, and ``_change``,
        ``_change_low``, ``_change_high`` (bootstrap over people, then their trials); ``windows``, ``trials``,
        ``people``.
    """
    rows = []
    for _, own in predictions.groupby("method", sort=False):
        usual = own[(own["trained"] == on_time) & (own["tested"] == on_time) & (own["missing"] == 0) & ~own["live"]]
        for key, part in own.groupby(BY, sort=False):
            first, other = _common(usual, part)
            people = arrange(as_table(other)).person
            weights = hierarchical_counts(people, draws, seed)
            row: dict[str, object] = dict(zip(BY, key, strict=True))
            for metric in METRICS:
                before, now = _sums(first, metric), _sums(other, metric)
                low, high = percentiles(now.pooled(weights), level)[:2]
                change = percentiles(now.pooled(weights) - before.pooled(weights), level)[:2]
                row |= {metric: now.score(), f"{metric}_low": low, f"{metric}_high": high,
                        f"{metric}_change": now.score() - before.score(), f"{metric}_change_low": change[0],
                        f"{metric}_change_high": change[1]}
            rows.append(row | {"windows": len(other) // other["dimension"].nunique(), "trials": len(people),
                               "people": other["subject"].nunique()})
    return pd.DataFrame(rows)


def not_converged(endings: pd.DataFrame) -> list[tuple[str, str, int, int]]:
    """(method, condition trained under, models still improving, models) where networks had not converged.

    *endings* has a row per model (:func:`himoe.scoring.convergence.ending`) with ``method`` and ``trained``. The rule
    is that of the main tables (:func:`himoe.scoring.convergence.still_improving`).
    """
    found = []
    for (method, trained), own in endings.groupby(["method", "trained"], sort=False):
        gains = own["gain"].dropna().tolist()
        improving, models = still_improving(gains) if gains else (False, 0)
        if improving:
            found.append((str(method), str(trained), models, len(own)))
    return found


def _common(first: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both that name the same window and dimension, in the same order."""
    keys = pd.MultiIndex.from_frame(first[IDS]).intersection(pd.MultiIndex.from_frame(other[IDS]))
    return tuple(one.set_index(IDS).loc[keys].reset_index() for one in (first, other))  # type: ignore[return-value]


def _sums(part: pd.DataFrame, metric: str) -> TrialSums:
    return sum_trials(arrange(as_table(part)), metric, None)
