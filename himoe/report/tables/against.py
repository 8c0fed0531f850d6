"""Hi-MoE against each row: the comparison as a cell, and short notes on what the tests can show."""

from __future__ import annotations

import math

import pandas as pd

from himoe.report.tables.rows import METRIC_LABELS, PERCENT, Inputs
from himoe.scoring.results import RunResult

AGAINST = "Hi-MoE against it"
ALPHA = 0.05
UNTESTABLE = "untestable"


def against(result: RunResult | None, inputs: Inputs, rate: float = 0.0) -> str | None:
    """Difference [interval], p and verdict of Hi-MoE against this run at a missing rate; None without one."""
    if result is None:
        return None
    found = at_rate(inputs.comparisons, rate)
    found = found[found["run"] == result.run]
    if found.empty:
        return None
    row = found.iloc[0]
    verdict = str(row["verdict"])
    if pd.isna(row["difference"]):
        return verdict
    factor, digits = (100.0, 1) if row["metric"] in PERCENT else (1.0, 3)
    difference, low, high = (f"{row[key] * factor:{sign}.{digits}f}"
                             for key, sign in (("difference", "+"), ("low", ""), ("high", "")))
    interval = "" if math.isnan(row["low"]) or math.isnan(row["high"]) else f" [{low}, {high}]"
    p = "" if verdict.startswith(UNTESTABLE) else f", p = {row['p_holm']:.2g}"
    return f"{difference}{interval}{p}: {verdict}"


def at_rate(comparisons: pd.DataFrame, rate: float) -> pd.DataFrame:
    """The comparisons at one missing rate."""
    return comparisons[(comparisons["missing_rate"].astype(float) - rate).abs() < 1e-6]


def against_notes(shown: pd.DataFrame) -> list[str]:
    """How the comparisons *shown* (some rows of ``comparisons.csv``) were made, what other tests say, their power."""
    return [_how(shown), _sensitivity(shown), *_power(shown)] if len(shown) else []


def _how(shown: pd.DataFrame) -> str:
    metrics = " or ".join(METRIC_LABELS[metric] for metric in shown["metric"].unique())
    return (f"{AGAINST}: {metrics} of Hi-MoE minus the row's [95 % interval: people, then trials resampled]; p: "
            "predictions of the two swapped trial by trial, Holm-corrected; the verdict is Hi-MoE's.")


def _sensitivity(shown: pd.DataFrame) -> str:
    """How many comparisons each test finds, uncorrected, so that the tests can be compared."""
    people = dict.fromkeys((shown["people"].min(), shown["people"].max()))
    units = f" (n = {' to '.join(f'{count:.0f}' for count in people)})"
    tests = (("swap over trials", "p", ""), ("corrected t over folds and seeds", "p_corrected", ""),
             ("signed-rank over people", "p_person", units))
    parts = []
    for name, column, size in tests:
        values = shown[column].dropna()
        count = f"{int((values <= ALPHA).sum())} of {len(values)}" if len(values) else UNTESTABLE
        parts.append(f"{name} {count}{size}")
    return f"p ≤ {ALPHA} before correction: {'; '.join(parts)}."


def _power(shown: pd.DataFrame) -> list[str]:
    """The range of power over the comparisons."""
    values = shown["power"].dropna()
    if values.empty:
        return []
    effect = " or ".join(f"{value:g}" for value in sorted(shown["effect"].unique()))
    low, high = (f"{value:.0%}".replace("%", " %") for value in (values.min(), values.max()))
    chance = low if low == high else f"{low} to {high}"
    return [f"Chance of seeing a true difference of {effect} after correction: {chance}."]
