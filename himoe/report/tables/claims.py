"""The paper's claims, one by one: our evidence for each, and a verdict that follows from it by rule.

A claim that Hi-MoE is ahead of others is *supported* where it is better than each of them by test, *not supported*
where it is worse than one, or where no difference was seen although the test had a power of at least ``ENOUGH_POWER``
to see one of the stated size; else it is *untestable here*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from himoe.report.chosen import split_label
from himoe.report.tables.ablations import ablation_groups
from himoe.report.tables.against import ALPHA, UNTESTABLE, at_rate
from himoe.report.tables.notes import front_note
from himoe.report.tables.rows import Inputs, number
from himoe.report.tables.table import Cell, Table
from himoe.scoring.results import RunResult, provenance, select, sweep_curve
from himoe.scoring.statistics import TrialSums, arrange, hierarchical_counts, percentiles, power, sum_trials

SUPPORTED, NOT_SUPPORTED, UNTESTED = "supported", "not supported", "untestable here"
ENOUGH_POWER = 0.8
CLIFF = 2.0  # a step is a cliff where CCC falls more than so many times as fast as on average
FAR = 0.4  # the paper's highest missing rate
DRAWS, SEED = 1000, 0
SWITCHES = {"no_soft_routing": "Soft routing helps", "no_emotion_experts": "Emotion experts help",
            "no_alignment": "Cross-modal alignment helps"}
NOT_RUN = "not run"


class Evidence(NamedTuple):
    """What was found for one claim: in words, corrected p and power of the comparison it hangs on, verdict."""

    text: str
    p: float | None
    power: float | None
    verdict: str


def claims(inputs: Inputs) -> Table | None:
    """Claim by claim and data set by data set."""
    runs = claimed_runs(inputs)
    if not runs:
        return None
    lines: list[tuple[Cell, ...]] = []
    shown: dict[str, RunResult] = {}
    for claim, run, found in sorted(_found(runs, inputs), key=lambda item: _ORDER.index(item[0].split(",")[0])):
        shown[run.run] = run
        lines.append((claim, run.data, found.text, found.verdict, found.p, found.power, split_label(run),
                      run.metrics["modality_set"]))
    effect = inputs.comparisons["effect"].max()
    size = "" if pd.isna(effect) else f" of {effect:g}"
    return Table("claims", f"The paper's claims and our evidence: {provenance(shown.values())}",
                 ("Claim", "Our data", "Evidence", "Verdict", "p (Holm)", "Power", "Held out", "Modalities"),
                 tuple(lines),
                 ("Supported: better than each of the others by test. Not supported: worse than one, or no difference "
                  f"seen with a power of {ENOUGH_POWER} or more to see one{size}. Untestable here: the test could not "
                  "have seen it, or the runs are not there.",
                  "Falls: a baseline's fall of CCC minus Hi-MoE's, from nothing missing to the highest rate [people, "
                  "then trials resampled; corrected for the number of baselines]. A cliff: CCC falls more than "
                  f"{CLIFF:g} times as fast between two rates as on average, by more than the masks' spread.",
                  front_note(list(shown.values()))))


def claimed_runs(inputs: Inputs) -> list[RunResult]:
    """Each data set's plain Hi-MoE regression run that claims are checked on, trials held out.

    Of several modality sets that with the most networks to compare, then that with the most modalities.
    """
    found: dict[str, tuple[tuple[int, int], RunResult]] = {}
    for run in select(inputs.results, method="himoe", task="regression", protocol="trial", variant=""):
        others = len(rivals(run, inputs, floors=False))
        place = (others, len(str(run.metrics["modalities"]).split("+")))
        if others and place > found.get(run.metrics["set"], ((0, 0), run))[0]:
            found[run.metrics["set"]] = (place, run)
    return [run for _, run in found.values()]


def rivals(run: RunResult, inputs: Inputs, floors: bool) -> list[RunResult]:
    """Plain runs of other methods on the same data, split and modalities: networks, or the floors."""
    same = {key: run.metrics[key] for key in ("set", "protocol", "task", "modality_set")}
    return [other for other in select(inputs.results, variant="", **same) if other is not run
            and other.metrics["method"] != run.metrics["method"] and other.floor == floors]


_ORDER = ("Best of all methods", "Best of the networks", "Robust to missing modalities", "Graceful to 40 % missing",
          *SWITCHES.values())


def _found(runs: Sequence[RunResult], inputs: Inputs) -> Iterator[tuple[str, RunResult, Evidence]]:
    for run in runs:
        networks, floors = (rivals(run, inputs, floors=which) for which in (False, True))
        far = highest_rate(run, inputs)
        for rate in (0.0, far) if far else (0.0,):
            at = f", r = {rate:.2f}"
            yield f"Best of the networks{at}", run, ahead(run, networks, inputs, rate)
            if floors:
                yield f"Best of all methods{at}", run, ahead(run, [*networks, *floors], inputs, rate)
        yield "Robust to missing modalities", run, smaller_fall(run, networks, inputs)
        yield "Graceful to 40 % missing", run, no_cliff(sweep_curve(run.part("sweep")))
    for full, *variants in ablation_groups(inputs.results).values():
        if full.metrics["task"] == "regression" and full.metrics["protocol"] == "trial":
            far = highest_rate(full, inputs)
            for variant, claim in SWITCHES.items():
                named = [run for run in variants if run.metrics["variant"] == variant]
                for rate in (0.0, far) if far else (0.0,):
                    yield f"{claim}, r = {rate:.2f}", full, ahead(full, named, inputs, rate)


def highest_rate(run: RunResult, inputs: Inputs) -> float | None:
    """The highest missing rate at which *run* was compared with others, None where that is 0."""
    rates = inputs.comparisons.loc[inputs.comparisons["reference"] == run.run, "missing_rate"].astype(float)
    return float(rates.max()) if len(rates) and rates.max() > 0 else None


def ahead(run: RunResult, others: Sequence[RunResult], inputs: Inputs, rate: float) -> Evidence:
    """Whether *run* is better than each of *others* by ``comparisons.csv`` at one rate."""
    rows = at_rate(inputs.comparisons, rate)
    rows = rows[(rows["reference"] == run.run) & rows["run"].isin([other.run for other in others])]
    if rows.empty or rows["difference"].isna().any() or len(rows) < len(others):
        return Evidence(NOT_RUN if rows.empty else "some comparisons are not there", None, None, UNTESTED)
    labels = {other.run: other.label for other in others}
    closest = rows.sort_values("difference").iloc[0]
    text = f"{difference_text(closest)} against {labels[closest['run']]}"
    if len(rows) > 1:
        text = f"better than {int((rows['verdict'] == 'better').sum())} of {len(rows)}; closest: {text}"
    return Evidence(text, number(float(closest["p_holm"])), number(float(closest["power"])),
                    judged(rows["verdict"].astype(str).tolist(), rows["power"].astype(float).tolist()))


def judged(verdicts: Sequence[str], powers: Sequence[float]) -> str:
    """The rule of this module, from the verdict and power of every comparison that a claim needs."""
    if not verdicts:
        return UNTESTED
    if "worse" in verdicts:
        return NOT_SUPPORTED
    if all(verdict == "better" for verdict in verdicts):
        return SUPPORTED
    open_ = [(verdict, chance) for verdict, chance in zip(verdicts, powers, strict=True) if verdict != "better"]
    seen = any(not verdict.startswith(UNTESTABLE) and chance >= ENOUGH_POWER for verdict, chance in open_)
    return NOT_SUPPORTED if seen else UNTESTED  # one rival that is surely not beaten is enough


def smaller_fall(run: RunResult, others: Sequence[RunResult], inputs: Inputs) -> Evidence:
    """Whether CCC falls less from nothing missing to the highest rate than that of every one of *others*."""
    scored = [other for other in others if other.has("predictions_missing")]
    if not scored or not run.has("predictions_missing"):
        return Evidence(NOT_RUN, None, None, UNTESTED)
    alpha = ALPHA / len(scored)
    own = _falling(run)
    found = {other.label: fall_difference(own, _falling(other), 1 - alpha) for other in scored}
    effect = float(inputs.comparisons["effect"].max())
    verdicts = ["better" if low > 0 else "worse" if high < 0 else "not distinguishable"
                for _, low, high, _ in found.values()]
    chances = [power(effect, sd, alpha) for *_, sd in found.values()]
    closest, (value, low, high, _) = min(found.items(), key=lambda item: item[1][0])
    text = (f"CCC falls by {float(own.fall(own.once)[0]):.3f}; less than {verdicts.count('better')} of {len(found)} "
            f"baselines; closest: {value:+.3f} [{low:.3f}, {high:.3f}] against {closest}")
    return Evidence(text, None, number(chances[list(found).index(closest)]), judged(verdicts, chances))


class Falling(NamedTuple):
    """A run's sums per trial with nothing missing and at the highest rate, and the person of each trial."""

    before: TrialSums
    after: TrialSums
    person: np.ndarray

    @property
    def once(self) -> np.ndarray:
        """Every trial counted once."""
        return np.ones((1, len(self.person)))

    def fall(self, weights: np.ndarray) -> np.ndarray:
        """By how much pooled CCC falls, for each weighting of the trials."""
        return self.before.pooled(weights) - self.after.pooled(weights)


def _falling(run: RunResult) -> Falling:
    windows = [arrange(run.part(part)) for part in ("predictions", "predictions_missing")]
    before, after = (sum_trials(one, "ccc") for one in windows)
    return Falling(before, after, windows[0].person)


def fall_difference(run: Falling, other: Falling, level: float,
                    draws: int = DRAWS) -> tuple[float, float, float, float]:
    """The other's fall of pooled CCC minus the run's: value, interval at *level*, SD of the bootstrap's draws."""
    weights = hierarchical_counts(run.person, draws, SEED)
    drawn = other.fall(weights) - run.fall(weights)
    low, high, _ = percentiles(drawn, level)
    return float((other.fall(run.once) - run.fall(run.once))[0]), low, high, float(np.nanstd(drawn))


def no_cliff(curve: pd.DataFrame) -> Evidence:
    """Whether CCC falls evenly, from a sweep's curve (columns missing_rate, mean, sd; one row per rate)."""
    rows = curve.sort_values("missing_rate")
    rate, score = rows["missing_rate"].to_numpy(float), rows["mean"].to_numpy(float)
    if len(rows) < 4 or rate[-1] < FAR - 1e-6 or np.isnan(score).any():
        return Evidence(f"no sweep up to r = {FAR:.2f}", None, None, UNTESTED)
    spread = np.nan_to_num(rows["sd"].to_numpy(float))
    steps, falls = np.diff(rate), -np.diff(score)
    average = (score[0] - score[-1]) / (rate[-1] - rate[0])
    excess = falls - CLIFF * max(average, 0.0) * steps
    k = int(np.argmax(falls / steps))
    cliff = bool((excess > np.hypot(spread[1:], spread[:-1])).any())
    ratio = falls[k] / steps[k] / average if average > 0 else math.nan
    times = f", {ratio:.1f} times the average" if not math.isnan(ratio) else ""
    text = (f"CCC {score[0]:.3f} to {score[-1]:.3f} (r = {rate[-1]:.2f}); steepest from r = {rate[k]:.2f} to "
            f"{rate[k + 1]:.2f}: {falls[k]:.3f}{times}")
    return Evidence(text, None, None, NOT_SUPPORTED if cliff else SUPPORTED)


def difference_text(row: Mapping[str, Any] | pd.Series) -> str:
    """``"+0.012 [-0.004, 0.031]"``: Hi-MoE's score minus the other's."""
    interval = "" if pd.isna(row["low"]) or pd.isna(row["high"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['difference']:+.3f}{interval}"
