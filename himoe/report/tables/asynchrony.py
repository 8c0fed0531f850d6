"""What ``make asynchrony`` prints: scores with sensors out of step, and lags put in against lags found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from himoe.report.tables.render import to_markdown
from himoe.report.tables.set_lags import set_lags_table
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.asynchrony import ON_TIME, not_converged
from himoe.scoring.paper import METHOD_LABELS

LABELS = METHOD_LABELS | {"himoe-lags": "Hi-MoE with lags", "himoe-drawn": "Hi-MoE, lags drawn in training"}
NEAR_S = {"EDA": 1.5, "TEMP": 1.5}  # what counts as found; other sensors: 0.5 s
FROM = {"everybody_s": "seen", "others_s": "unseen", "own_s": "own trials alone"}
CLEAR = "Half an interval of at most 2 s: the sensor can be placed; others start at lag 0."


def label_of(method: str) -> str:
    """How a row of the comparison is called."""
    return LABELS.get(method, method)


def readme(found: Mapping[str, pd.DataFrame], values: Mapping[str, Any], label: str) -> str:
    """README.md of the folder from the tables of :mod:`pipeline.asynchrony` and the parameters behind them."""
    scores, cohort = found["scores"], values["simulate"]
    people, trials, windows = (int(scores[name].iloc[0]) for name in ("people", "trials", "windows"))
    text = f"""# Sensors out of step

Made by `make asynchrony` from [conditions.yaml](conditions.yaml). **{label}: simulated people and recordings**, seed
{cohort["seed"]}, in the physiological world, where every sensor answers late in its own way. Lags were developed on
simulated cohorts of the seeds {", ".join(map(str, values["looked_at"]))}; this one was run when all was settled.

{people} people, {trials} trials, {windows} windows, two dimensions. Everybody's trials are dealt into
{values["groups"]} groups; each is predicted by models of the other. Every method has the same windows, and what is
drawn (jitter, losses) is the same for all. Intervals: 95 %, bootstrap over people and their trials. *Within* is the CCC
of deviations from each trial's mean: it sees only what moves inside a trial, which is what a lag destroys. A late
sensor's first windows are absent: what it would have shown lies before the recording. MulT, FuseMoE and Hi-MoE
with lags are told the sensors' own time stamps; the others see the common grid.

"""
    said = "".join(f"- {line}\n" for line in sentences(scores, found["scan"], found["truth"]))
    tables = tables_of(found, values, label)
    text += convergence_text(found["endings"]) + drawn_text(values["methods"])
    figures = "".join(f"\n![{alt}]({name}.svg)\n" for name, alt in FIGURES.items())
    return text + said + "\n" + "\n".join(to_markdown(table) for table in tables) + figures


def convergence_text(endings: pd.DataFrame) -> str:
    """Which networks had not converged: their cells are no evidence."""
    found = not_converged(endings)
    if not found:
        return f"All {len(endings)} networks had converged.\n\n"
    lines: dict[str, list[str]] = {}
    for method, trained, models, of in found:
        lines.setdefault(label_of(method), []).append(f"{trained} ({models} of {of})")
    listed = "".join(f"- {method}: {', '.join(where)}.\n" for method, where in lines.items())
    return ("**Not converged**: these networks were still improving when their training ended, by more than 2 % of\n"
            "their loss in its last quarter. Their cells say what this schedule reaches, not what the method can.\n\n"
            f"{listed}\n")


def drawn_text(methods: Mapping[str, Mapping[str, Any]]) -> str:
    """What is drawn in the training of the rows that draw lags."""
    return "".join(f"{label_of(name)}: in every epoch each sensor is moved anew by hidden lags ("
                   f"{', '.join(f'{key} {value:g}' for key, value in entry['asynchrony'].items())}), on top of the "
                   "condition; validation trials are not.\n\n"
                   for name, entry in methods.items() if entry.get("asynchrony"))


FIGURES = {"figure_8": "Within-trial CCC against the lag of EEG", "figure_9": "Lags put in against lags found",
           "figure_10": "One trial whose sensors drop out"}


def tables_of(found: Mapping[str, pd.DataFrame], values: Mapping[str, Any], label: str) -> list[Table]:
    """Tables 11 to 15; under table 12 the lags of data sets, where they were looked for (``pipeline.lags``)."""
    scores = found["scores"]
    trained, tested = list(values["trained"]), list(values["tested"])
    at_test = scores[(scores["trained"] == ON_TIME) & (scores["missing"] == 0) & ~scores["live"]]
    own = scores[(scores["trained"] == scores["tested"]) & (scores["missing"] == 0) & ~scores["live"]]
    late = [name for name in tested if name.startswith("EEG")]
    return [
        _by_condition("table_11", f"Table 11. Within-trial CCC, trained and tested out of step: {label}", own, trained,
                      "ccc_within"),
        _by_condition("table_11_change", f"Table 11, change to on time: {label}", own, trained[1:], "ccc_within",
                      change=True),
        _by_condition("table_11_ccc", f"Table 11, CCC of all windows: {label}", own, trained, "ccc"),
        _by_condition("table_11_test", f"Table 11, out of step at test only, change of within-trial CCC: {label}",
                      at_test, late, "ccc_within", change=True),
        lag_table(found["scan"], found["truth"], found["people"], label),
        *([set_lags_table(found["set_lags"])] if "set_lags" in found else []),
        _by_condition("table_13", f"Table 13. Late arrival and lost stretches at test, within-trial CCC: {label}",
                      at_test, [ON_TIME, *(name for name in tested if name not in late)], "ccc_within"),
        _grid(scores, values, label), _live(scores, label)]


def _by_condition(name: str, title: str, rows: pd.DataFrame, conditions: Sequence[str], metric: str,
                  change: bool = False) -> Table:
    methods = list(dict.fromkeys(rows["method"]))
    column = f"{metric}_change" if change else metric
    lines: list[tuple[Cell, ...]] = []
    for condition in conditions:
        part = rows[rows["tested"] == condition].set_index("method")
        lines.append((condition, *(Ours(float(part[column][m]), low=float(part[f"{column}_low"][m]),
                                        high=float(part[f"{column}_high"][m]), digits=2) for m in methods)))
    return Table(name, title, ("Condition", *map(label_of, methods)), tuple(lines))


def lag_table(scan: pd.DataFrame, truth: pd.DataFrame, people: pd.DataFrame, label: str) -> Table:
    """Table 12: true lags, the scan on time, how far it moves from lags put in, and how far it is from each person."""
    lines: list[tuple[Cell, ...]] = []
    both = people.merge(truth, on=["person", "modality"])
    off = {m: [float((own[name] - own["lag_s"]).abs().median()) for name in FROM]
           for m, own in both.groupby("modality")}
    for modality, own in scan.groupby("modality", sort=False):
        true_s = truth[truth["modality"] == modality]["lag_s"]
        usual = own[own["injected_s"] == 0].iloc[0]
        error_s = injection_errors(own)
        lines.append((str(modality), Ours(float(true_s.mean()), low=float(true_s.min()), high=float(true_s.max()),
                                          digits=1),
                      Ours(float(usual["lag_s"]), low=float(usual["low_s"]), high=float(usual["high_s"]), digits=1),
                      "yes" if usual["clear"] else "no", Ours(float(np.median(error_s)), digits=2),
                      Ours(float(np.max(error_s)), digits=2), *(Ours(value, digits=1) for value in off[str(modality)])))
    return Table("table_12", f"Table 12. Lags behind the ratings, in seconds: {label}",
                 ("Sensor", "True: mean [of people]", "Scan, on time [90 %]", "Clear",
                  "Put in: median error", "Put in: largest error",
                  *(f"Off a person: {text}" for text in FROM.values())),
                 tuple(lines), (CLEAR, "Error: how far the scan moves from its place on time, against the lag put in.",
                                "Off a person: distance to each person's true lag, median over people, with the lag "
                                "from everybody's trials (people seen), from the others' (somebody never met), and "
                                "from the person's own. It holds the length of a feature's response, too."))


def injection_errors(own: pd.DataFrame) -> np.ndarray:
    """|(found − found on time) − put in| in seconds for each lag put in but 0, of one sensor."""
    usual = own[own["injected_s"] == 0]["lag_s"].iloc[0]
    moved = own[own["injected_s"] != 0]
    return np.abs((moved["lag_s"] - usual - moved["injected_s"]).to_numpy())


def _grid(scores: pd.DataFrame, values: Mapping[str, Any], label: str) -> Table:
    lines: list[tuple[Cell, ...]] = []
    at_test = scores[(scores["trained"] == ON_TIME) & ~scores["live"]]
    for method in dict.fromkeys(at_test["method"]):
        for late in values["late"]:
            part = at_test[(at_test["method"] == method) & (at_test["tested"] == late)].set_index("missing")
            lines.append((label_of(method), late, *(Ours(float(part["ccc_within"][rate]), digits=2)
                                                     for rate in values["missing"])))
    return Table("table_14", f"Table 14. Missing and late together at test, within-trial CCC: {label}",
                 ("Method", "EEG", *(f"missing rate {rate:g}" for rate in values["missing"])), tuple(lines))


def _live(scores: pd.DataFrame, label: str) -> Table:
    part = scores[(scores["trained"] == ON_TIME) & (scores["tested"] == ON_TIME) & (scores["missing"] == 0)]
    lines: list[tuple[Cell, ...]] = []
    for method in dict.fromkeys(part["method"]):
        by = part[part["method"] == method].set_index("live")
        lines.append((label_of(method), *(Ours(float(by["ccc_within"][live]), digits=2) for live in (False, True)),
                      Ours(float(by["ccc_within_change"][True]), low=float(by["ccc_within_change_low"][True]),
                           high=float(by["ccc_within_change_high"][True]), digits=2)))
    return Table("table_15", f"Table 15. With and without the future, within-trial CCC: {label}",
                 ("Method", "Whole trial", "Up to the window", "Change"), tuple(lines))


def sentences(scores: pd.DataFrame, scan: pd.DataFrame, truth: pd.DataFrame) -> list[str]:
    """What the tables say, with the names that they say it of."""
    own = scores[(scores["trained"] == scores["tested"]) & (scores["missing"] == 0) & ~scores["live"]]
    said = []
    for condition in ("EEG 6 s late", "EEG 4 s late"):
        part = own[own["tested"] == condition].set_index("method")
        if {"himoe", "himoe-lags"} <= set(part.index):
            said.append(f"{condition}, trained so (simulated): within-trial CCC changes by "
                        f"{part['ccc_within_change']['himoe']:+.3f} for Hi-MoE and by "
                        f"{part['ccc_within_change']['himoe-lags']:+.3f} with lags from the scan; CCC of all "
                        f"windows by {part['ccc_change']['himoe']:+.3f} and {part['ccc_change']['himoe-lags']:+.3f}.")
    gone = own[own["tested"] == "EEG absent for 6 s"].set_index("method")
    if "himoe-lags" in gone.index:
        said.append("EEG on time but absent for the first 6 s of each trial, which a lag of 6 s takes away for good: "
                    f"{gone['ccc_within_change']['himoe-lags']:+.3f} within trials for Hi-MoE with lags. What the lag "
                    "costs beyond that is the alignment's fault.")
    clear = [str(m) for m in dict.fromkeys(scan["modality"])
             if bool(scan[(scan["modality"] == m) & (scan["injected_s"] == 0)]["clear"].iloc[0])]
    near = {str(m): float(np.median(injection_errors(part))) for m, part in scan.groupby("modality", sort=False)}
    far = {m: error_s for m, error_s in near.items() if error_s > NEAR_S.get(m, 0.5)}
    said.append("Lags put in on every sensor are found within 0.5 s (EDA and TEMP, which answer slowly: 1.5 s; median) "
                f"for {', '.join(m for m in near if m not in far) or 'no sensor'}; not for "
                f"{', '.join(f'{m} ({error_s:.1f} s)' for m, error_s in far.items()) or 'none'}. "
                f"Clear enough to be placed at all: {', '.join(clear) or 'none'}.")
    return said
