"""Hi-MoE against each row: the comparison as a cell, and notes on what so few pairs can show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from himoe.results import RunResult
from himoe.statistics import smallest_p
from himoe.tables.rows import METRIC_LABELS, PERCENT, Inputs, set_label

AGAINST = "Hi-MoE against it"
ALPHA = 0.05


def against(result: RunResult | None, inputs: Inputs) -> str | None:
    """Difference [interval], p and verdict of Hi-MoE against this run; None where there is no comparison."""
    if result is None:
        return None
    found = inputs.comparisons[inputs.comparisons["run"] == result.run]
    if found.empty:
        return None
    row = found.iloc[0]
    if pd.isna(row["difference"]):
        return "no pairs"
    factor, digits = (100.0, 1) if row["metric"] in PERCENT else (1.0, 3)
    difference, low, high = (f"{row[key] * factor:{sign}.{digits}f}"
                             for key, sign in (("difference", "+"), ("low", ""), ("high", "")))
    interval = "" if math.isnan(row["low"]) or math.isnan(row["high"]) else f" [{low}, {high}]"
    return f"{difference}{interval}, p = {row['p_holm']:.2g}: {row['verdict']}"


def against_notes(runs: Sequence[RunResult], inputs: Inputs) -> list[str]:
    """How the comparisons were made, and for each family the smallest p that its pairs allow."""
    names = {run.run for run in runs}
    shown = inputs.comparisons[inputs.comparisons["run"].isin(names)]
    if shown.empty:
        return []
    metrics = " or ".join(METRIC_LABELS[metric] for metric in shown["metric"].unique())
    notes = [f"{AGAINST}: {metrics} of Hi-MoE minus the row's, averaged over dimensions, folds and seeds [95 % "
             "interval of the difference of all test windows pooled, trials resampled]; p of Wilcoxon's signed-rank "
             "test over folds and seeds, two-sided, Holm-corrected; better or worse is said of Hi-MoE. A closed-form "
             "method has one seed, which meets every seed of Hi-MoE. Folds share training trials and seeds share "
             "test trials: pairs are not independent, and p is a guide rather than an error rate."]
    for family in shown["family"].unique():
        every = inputs.comparisons[inputs.comparisons["family"] == family]
        counts = sorted(int(pairs) for pairs in every["pairs"].unique())
        notes.append(power_note(str(family), counts, int(every["p"].notna().sum())))
    return notes


def power_note(family: str, counts: Sequence[int], rows: int) -> str:
    """What the pairs allow at best. With equal counts Holm's smallest p is the smallest p times the rows."""
    dataset, protocol, _, modalities, *variants = family.split("/")
    what = f"{set_label(dataset)} {modalities}{' variants' if variants else ''}, protocol {protocol}"
    least = smallest_p(counts[-1])
    text = (f"{what}: {' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))} "
            f"pair{'' if counts == [1] else 's'} (folds × seeds) allow no p below {least:.2g}")
    if len(counts) == 1:
        least = min(1.0, least * rows)
        text += f", {least:.2g} after correction for {rows} comparison{'' if rows == 1 else 's'}"
    return text + (": nothing can be distinguished here." if least >= ALPHA else ".")
