"""Is Hi-MoE distinguishable from another run? Paired tests over folds and seeds, intervals over trials.

Legend: n pairs, D dimensions, G trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from himoe.errors import bad_input
from himoe.metrics import METRICS, _count_rows, _mean_defined, _percentiles, _scores
from himoe.params import BootstrapParams
from himoe.results import COMPARISON_COLUMNS, RunResult, select

TASK_METRIC = {"regression": "ccc", "classification": "accuracy"}
REFERENCE = "himoe"
# Scores are written with six digits; what differs below this is rounding and would break ties and zeros.
_DIGITS = 9


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment, (n,) to (n,): the i-th smallest p times (n - i), made non-decreasing, at most 1.

    NaN stays NaN and does not count. Source: Holm 1979, Scand. J. Statist. 6:65-70.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    defined = np.flatnonzero(~np.isnan(values))
    order = defined[np.argsort(values[defined], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted


def wilcoxon(differences: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, (n,) to a number; zero differences are dropped.

    All zero gives 1; no pair at all gives NaN. Source: Wilcoxon 1945, doi 10.2307/3001968.
    """
    values = np.round(np.asarray(differences, dtype=np.float64), _DIGITS)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return math.nan
    values = values[values != 0]
    return float(stats.wilcoxon(values).pvalue) if len(values) else 1.0


def smallest_p(pairs: int) -> float:
    """The smallest two-sided p that the exact test can give with so many pairs: 2 / 2^n, at most 1."""
    return min(1.0, 2.0 / 2.0**pairs)


def paired_interval(reference: pd.DataFrame, other: pd.DataFrame, metric: str, draws: int, level: float,
                    seed: int) -> tuple[float, float]:
    """Percentile interval of score(reference) - score(other), both scored on the same resampled trials.

    Parameters
    ----------
    reference, other : DataFrame
        Two runs' ``predictions.parquet``; the first seed of each is used.
    metric : str
        A key of ``himoe.metrics.METRICS``; pooled over all windows, averaged over dimensions.
    draws, level, seed
        As in ``himoe.metrics.bootstrap_interval``, whose resamples these are.

    Raises
    ------
    InputError
        If the two do not hold the same windows, dimensions and labels, or the metric is unknown.
    """
    if metric not in METRICS:
        raise bad_input("metric", repr(metric), "one of " + " ".join(METRICS), "correct the name")
    first, second = _wide(reference), _wide(other)
    same = first.index.equals(second.index) and first.columns.equals(second.columns)
    if not same or not np.array_equal(first["y_true"], second["y_true"], equal_nan=True):
        raise bad_input("paired comparison", "different test windows or labels", "the same in both runs",
                        "train both on the same folds")
    codes, trials = pd.factorize(np.array([f"{subject}/{trial}" for subject, trial, _ in first.index]), sort=True)
    if len(trials) == 0:
        return math.nan, math.nan
    drawn = np.random.default_rng(seed).integers(0, len(trials), (draws, len(trials)))
    counts = _count_rows(drawn, len(trials))
    interval = _percentiles(_pooled(first, codes, counts, metric) - _pooled(second, codes, counts, metric), level)
    return interval.low, interval.high


def calibration_error(y_true: np.ndarray, y_pred: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: |mean truth - mean prediction| over quantile bins of the prediction, by their share.

    (n,) and (n,) to a number of 0 or more; equal predictions share a bin, NaN without rows. For classes the
    truth is 0 or 1 and the prediction a probability. Source: Naeini, Cooper, Hauskrecht 2015 (AAAI 29).
    """
    y, p = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if len(y) == 0:
        return math.nan
    edges = np.quantile(p, np.arange(1, bins) / bins)
    codes = np.searchsorted(edges, p, side="left")
    return float(np.abs(np.bincount(codes, y - p, minlength=bins)).sum() / len(y))


def calibration_line(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the least-squares line of truth on prediction; NaN for a constant prediction.

    A perfectly calibrated prediction has slope 1 and intercept 0.
    """
    y, p = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if len(y) < 2 or np.ptp(p) == 0:
        return math.nan, math.nan
    deviation = p - p.mean()
    slope = float((deviation * (y - y.mean())).sum() / (deviation**2).sum())
    return slope, float(y.mean() - slope * p.mean())


def compare(results: Mapping[str, RunResult], bootstrap: BootstrapParams) -> pd.DataFrame:
    """Hi-MoE against each other run of its family, columns ``COMPARISON_COLUMNS``.

    A family is set/protocol/task/modality set; Hi-MoE's own variants make a second one (``.../variants``).
    Leaky runs, runs with shuffled labels and the same method with more seeds are in none. Pairs are folds x
    seeds at missing rate 0; a run with one seed (closed form) meets every seed of the other by fold. A pair
    with an undefined score is left out. Holm's correction is within the family; ``difference`` is Hi-MoE minus
    the other.
    """
    families: dict[str, list[tuple[RunResult, RunResult]]] = {}
    honest = [run for run in select(results)
              if run.metrics["protocol"] != "leaky" and run.metrics["variant"] != "seeds"]
    for reference in _references(honest):
        for run in honest:
            if run is not reference and _family(run) == _family(reference):
                own = run.metrics["method"] == REFERENCE and run.metrics["variant"] != ""
                name = _family(reference) + ("/variants" if own else "")
                families.setdefault(name, []).append((reference, run))
    rows = [row for name, pairs in families.items() for row in _family_rows(name, pairs, bootstrap)]
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def paired_differences(reference: RunResult, other: RunResult, metric: str) -> np.ndarray:
    """Score differences (n,) by fold and seed at missing rate 0, averaged over dimensions; undefined pairs left out."""
    first, second = _fold_scores(reference, metric), _fold_scores(other, metric)
    single = 1 in (len(set(first["seed"])), len(set(second["seed"])))
    merged = first.merge(second, on="fold" if single else ["fold", "seed"], suffixes=("_reference", "_other"))
    differences = (merged["value_reference"] - merged["value_other"]).to_numpy(dtype=np.float64)
    return np.round(differences[~np.isnan(differences)], _DIGITS)


def _references(runs: Sequence[RunResult]) -> list[RunResult]:
    """The plain Hi-MoE run of every family; the first one where there are several."""
    found: dict[str, RunResult] = {}
    for run in select(runs, method=REFERENCE, variant=""):
        found.setdefault(_family(run), run)
    return list(found.values())


def _family(run: RunResult) -> str:
    return "/".join(str(run.metrics[key]) for key in ("set", "protocol", "task", "modality_set"))


def _family_rows(family: str, pairs: Sequence[tuple[RunResult, RunResult]],
                 bootstrap: BootstrapParams) -> list[tuple[object, ...]]:
    metric = TASK_METRIC[str(pairs[0][0].metrics["task"])]
    differences = [paired_differences(reference, run, metric) for reference, run in pairs]
    p = [wilcoxon(values.tolist()) for values in differences]
    rows: list[tuple[object, ...]] = []
    for (reference, run), values, p_one, p_holm in zip(pairs, differences, p, holm(p), strict=True):
        low, high = paired_interval(reference.part("predictions"), run.part("predictions"), metric,
                                    bootstrap.draws, bootstrap.level, bootstrap.seed)
        mean = float(values.mean()) if len(values) else math.nan
        rows.append((family, reference.run, run.run, metric, len(values), mean, low, high, p_one, float(p_holm),
                     _verdict(mean, float(p_holm), bootstrap.level)))
    return rows


def _verdict(difference: float, p_holm: float, level: float) -> str:
    if not p_holm < 1 - level or difference == 0:  # NaN is never below
        return "not distinguishable"
    return "better" if difference > 0 else "worse"


def _fold_scores(result: RunResult, metric: str) -> pd.DataFrame:
    """Columns fold, seed, value at missing rate 0, averaged over dimensions."""
    sweep = result.part("sweep")
    rows = sweep[(sweep["missing_rate"] == 0) & (sweep["metric"] == metric) & (sweep["dimension"] == "mean")]
    if rows.empty:
        raise bad_input(f"sweep.csv of run {result.run!r}", f"no {metric} at missing rate 0", "one a fold and seed",
                        f"make it with `dvc repro train@{result.run}`")
    return rows.groupby(["fold", "seed"])["value"].mean().reset_index()


def _wide(predictions: pd.DataFrame) -> pd.DataFrame:
    """The first seed's rows, one a window (subject, trial, window), columns (y_true | y_pred, dimension)."""
    first = predictions[predictions["seed"] == predictions["seed"].min()]
    indexed = first.set_index(["subject", "trial", "window", "dimension"])[["y_true", "y_pred"]]
    if indexed.index.has_duplicates:
        raise bad_input("predictions.parquet", "two rows for one window and dimension", "one", "train the run again")
    return pd.DataFrame(indexed.unstack("dimension"))  # rows and columns come out sorted


def _pooled(wide: pd.DataFrame, codes: np.ndarray, counts: np.ndarray, metric: str) -> np.ndarray:
    """(draws,) scores, averaged over dimensions."""
    columns = zip(wide["y_true"].to_numpy().T, wide["y_pred"].to_numpy().T, strict=True)
    return _mean_defined(np.stack([_scores(y, p, codes, counts, metric) for y, p in columns], axis=-1))
