"""Which runs are compared, and each comparison's row: difference, interval, tests, power, verdict.

Legend: G trials, P people, F folds, R seeds, D dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import BootstrapParams
from himoe.scoring.metrics import check_metric, mean_defined
from himoe.scoring.results import COMPARISON_COLUMNS, RunResult, select
from himoe.scoring.statistics.bootstrap import hierarchical_counts, percentiles
from himoe.scoring.statistics.paired import corrected_t, holm, power, smallest_p, wilcoxon
from himoe.scoring.statistics.sums import TrialSums, Windows, arrange, sum_trials
from himoe.scoring.statistics.swap import Swapped, critical_difference, pair_replicates, swap_test

TASK_METRIC = {"regression": "ccc", "classification": "accuracy"}
REFERENCE = "himoe"
BEST = "best"
_PARTS = ("predictions", "predictions_missing")
Load = Callable[[RunResult, str], Windows]


class Compared(NamedTuple):
    """One comparison before the correction for its family; ``sd`` of the bootstrap's differences."""

    people: int
    trials: int
    seeds: int
    difference: float
    low: float
    high: float
    p: float
    p_person: float
    p_corrected: float
    sd: float
    swapped: Swapped

    def power(self, effect: float, alpha: float) -> float:
        """Probability that the swap test of size *alpha* would see a difference *effect* on recordings like these.

        The difference is taken as normal around *effect* with the bootstrap's spread (other people, other trials), and
        has to pass :func:`critical_difference`. 0 where no outcome reaches the level.
        """
        if self.swapped.smallest > alpha:
            return 0.0
        return power(effect, self.sd, critical_difference(self.swapped, effect, self.trials, alpha))


def compare(results: Mapping[str, RunResult], bootstrap: BootstrapParams, reference: str = REFERENCE) -> pd.DataFrame:
    """One method against each other run of its family, columns ``COMPARISON_COLUMNS``.

    A family is set/protocol/task/modality set; runs with a variant make a second one (``.../variants``). Leaky runs,
    runs with shuffled labels and the same method with more seeds are in none. Every pair is compared at missing rate 0
    and, where both runs have them, on the predictions at the highest swept rate. Holm's correction is within a family
    and rate, and ``power`` is at its first step: the level over the number of the family's tests.

    Parameters
    ----------
    reference : str
        The method that others are compared with, ``difference`` being its score minus theirs; or ``"best"``: the plain
        run with the highest pooled score at rate 0 in each family. It was chosen on the same predictions, so that its
        lead is flattered.
    """
    loaded: dict[tuple[str, str], Windows] = {}

    def load(run: RunResult, part: str) -> Windows:
        key = (run.run, part)
        if key not in loaded:
            loaded[key] = arrange(run.part(part))
        return loaded[key]

    rows: list[tuple[Any, ...]] = []
    for family, pairs in _families(results, reference, load).items():
        for part in _PARTS:
            there = [pair for pair in pairs if all(part == _PARTS[0] or run.has(part) for run in pair)]
            rows += _family_rows(family, there, part, load, bootstrap)
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def compare_pair(reference: Windows, other: Windows, metric: str, bootstrap: BootstrapParams) -> Compared:
    """Two runs' predictions at one missing rate, tested in every way of this package.

    - ``difference``: pooled score of *reference* minus that of *other*, averaged over dimensions and seeds;
      ``low``, ``high``, ``sd``: the same of a hierarchical bootstrap's draws (:func:`hierarchical_counts`).
    - ``p``: swap test over trials (:func:`swap_test`).
    - ``p_person``: signed-rank test over people's own pooled differences; NaN where that few people cannot reach
      the level.
    - ``p_corrected``: corrected resampled t test over folds and seeds (:func:`corrected_t`); the ratio is the mean
      over folds of tested windows to all others, validation windows counted with training's. NaN without whole trials
      in folds, or with one fold.

    Raises
    ------
    InputError
        If the two do not hold the same windows, dimensions and labels, or the metric is unknown.
    """
    check_metric(metric)
    if not reference.same_windows(other):
        raise bad_input("paired comparison", "different test windows or labels", "the same in both runs",
                        "train both on the same folds")
    sums = sum_trials(reference, metric), sum_trials(other, metric)
    people, trials = len(set(reference.person)), len(reference.person)
    seeds = max(len(reference.keys), len(other.keys))
    swapped = swap_test(*sums, bootstrap.swaps, bootstrap.seed)
    if trials == 0:
        nan = math.nan
        return Compared(0, 0, seeds, nan, nan, nan, nan, nan, nan, nan, swapped)
    draws = _differences(sums, hierarchical_counts(reference.person, bootstrap.draws, bootstrap.seed))
    interval = percentiles(draws, bootstrap.level)
    defined = draws[~np.isnan(draws)]
    return Compared(people, trials, seeds, swapped.difference, interval.low, interval.high, swapped.p,
                    _p_person(_differences(sums, _one_hot(reference.person)), bootstrap.level),
                    _p_corrected(sums, reference, other), float(defined.std()) if len(defined) else math.nan,
                    swapped)


def _differences(sums: tuple[TrialSums, TrialSums], weights: np.ndarray) -> np.ndarray:
    """(B, G) weights of trials to (B,) differences of the pooled score."""
    return sums[0].pooled(weights) - sums[1].pooled(weights)


def _one_hot(codes: np.ndarray) -> np.ndarray:
    """Codes (G,) to weights (number of codes, G): each group's trials alone."""
    return (codes == np.arange(codes.max() + 1)[:, None]).astype(np.float64)


def _p_person(differences: np.ndarray, level: float) -> float:
    defined = differences[~np.isnan(differences)]
    return wilcoxon(defined.tolist()) if smallest_p(len(defined)) <= _alpha(level) else math.nan


def _p_corrected(sums: tuple[TrialSums, TrialSums], reference: Windows, other: Windows) -> float:
    fold = reference.fold
    if (fold < 0).any() or not np.array_equal(fold, other.fold):
        return math.nan
    windows = np.bincount(fold[reference.trial])
    if len(windows) < 2:  # one fold: what it was trained on is in no table
        return math.nan
    first, second = (TrialSums(sums[0].metric, (), values) for values in pair_replicates(*sums))
    scores = [mean_defined(part.scores(_one_hot(fold))) for part in (first, second)]  # (F, R)
    return corrected_t((scores[0] - scores[1]).ravel().tolist(),
                       float(np.mean(windows / np.maximum(windows.sum() - windows, 1))))


def _families(results: Mapping[str, RunResult], method: str,
              load: Load) -> dict[str, list[tuple[RunResult, RunResult]]]:
    """Pairs (reference, other) by family."""
    honest = [run for run in select(results)
              if run.metrics["protocol"] != "leaky" and run.metrics["variant"] != "seeds"]
    families: dict[str, list[tuple[RunResult, RunResult]]] = {}
    for reference in _references(honest, method, load):
        for run in honest:
            if run is not reference and _family(run) == _family(reference):
                name = _family(reference) + ("/variants" if run.metrics["variant"] else "")
                families.setdefault(name, []).append((reference, run))
    return families


def _references(runs: Sequence[RunResult], method: str, load: Load) -> list[RunResult]:
    """The plain run of a method, or the best plain run, of every family; the first one where there are several."""
    found: dict[str, RunResult] = {}
    plain = select(runs, variant="") if method == BEST else select(runs, method=method, variant="")
    if method == BEST:
        plain = sorted(plain, key=lambda run: -_pooled_score(load(run, _PARTS[0]), _metric(run)))
    for run in plain:
        found.setdefault(_family(run), run)
    return list(found.values())


def _pooled_score(windows: Windows, metric: str) -> float:
    score = sum_trials(windows, metric).score() if len(windows.person) else math.nan
    return -math.inf if math.isnan(score) else score


def _metric(run: RunResult) -> str:
    return TASK_METRIC[str(run.metrics["task"])]


def _family(run: RunResult) -> str:
    return "/".join(str(run.metrics[key]) for key in ("set", "protocol", "task", "modality_set"))


def _family_rows(family: str, pairs: Sequence[tuple[RunResult, RunResult]], part: str, load: Load,
                 bootstrap: BootstrapParams) -> list[tuple[Any, ...]]:
    """The rows of one family at one missing rate, in the order of ``COMPARISON_COLUMNS``."""
    found = [compare_pair(load(reference, part), load(run, part), _metric(reference), bootstrap)
             for reference, run in pairs]
    p = holm([one.p for one in found])
    least = holm([one.swapped.smallest if not math.isnan(one.p) else math.nan for one in found])
    alpha = _alpha(bootstrap.level)
    tests = int(np.sum(~np.isnan(p)))
    rows: list[tuple[Any, ...]] = []
    for (reference, run), one, p_holm, best in zip(pairs, found, p.tolist(), least.tolist(), strict=True):
        rows.append((
            family, reference.run, run.run, _metric(reference), _rate(reference, run, part), one.people, one.trials,
            one.seeds, one.difference, one.low, one.high, one.p, p_holm, one.p_person, one.p_corrected,
            bootstrap.effect, one.power(bootstrap.effect, alpha / max(tests, 1)),
            verdict(one.difference, p_holm, best, one.trials, alpha)))
    return rows


def verdict(difference: float, p_holm: float, least: float, trials: int, alpha: float) -> str:
    """What the reference is: better, worse, not distinguishable, or ``untestable (n = trials)``.

    Untestable: even with every p of the family at its smallest, the corrected p (*least*) stays above the level.
    """
    if not least <= alpha:  # NaN: there is no score to test
        return f"untestable (n = {trials})"
    if p_holm > alpha or difference == 0:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"


def _alpha(level: float) -> float:
    return round(1 - level, 12)


def _rate(reference: RunResult, other: RunResult, part: str) -> float:
    """The missing rate of both runs' predictions."""
    rates = {round(float(rate), 4) for run in (reference, other) for rate in run.part(part)["missing_rate"].unique()}
    if len(rates) > 1:
        raise bad_input(f"{part} of runs {reference.run!r} and {other.run!r}",
                        "missing rates " + " ".join(f"{rate:g}" for rate in sorted(rates)), "one rate in both",
                        "train both with the same missing.rates")
    return rates.pop() if rates else math.nan
