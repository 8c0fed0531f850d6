"""Tables beyond the paper: modality combinations, calibration, what the search chose, compute cost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from himoe.report.chosen import plain_runs
from himoe.report.frames import BINS, combination_scores
from himoe.report.tables.notes import front_note, more_classes_note, table_notes
from himoe.report.tables.rows import (
    METRIC_LABELS,
    Inputs,
    attainable,
    method_name,
    number,
    ours,
    run_label,
    set_label,
    spread,
)
from himoe.report.tables.scores import of_several_modalities
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.metrics import class_count
from himoe.scoring.results import RunResult, figure_protocol, measured_on, plain_cost, provenance, select
from himoe.scoring.statistics import calibration_error, calibration_line

_FACE_COST = ("FACE: what turns a video's frames into features is not counted; it runs once, in a stage of its own "
              "(EfficientNet-B0, 0.39 billion multiply-adds per frame of 224 pixels: Tan and Le 2019, arXiv "
              "1905.11946).")


def combinations(inputs: Inputs) -> Table | None:
    """CCC when only some modalities are there: combinations down, methods across; the smallest set first."""
    plain = plain_runs(inputs.results, inputs.settings)
    runs = [run for run in of_several_modalities(plain) if not run.part("combinations").empty]
    if not runs:
        return None
    places = sorted(dict.fromkeys(run.metrics["modalities"] for run in runs), key=lambda names: names.count("+"))
    methods = list(dict.fromkeys(run.metrics["method"] for run in runs))
    labels = {run.metrics["method"]: run_label(run) for run in runs}
    lines: list[tuple[Cell, ...]] = []
    for place in places:
        scores = {run.metrics["method"]: _by_combination(run) for run in runs if run.metrics["modalities"] == place}
        named = next(run for run in runs if run.metrics["modalities"] == place)
        for bits in sorted(set().union(*scores.values()), key=lambda text: (text.count("1"), text), reverse=True):
            present = [name for name, bit in zip(place.split("+"), bits, strict=True) if bit == "1"]
            lines.append((named.metrics["modality_set"], "+".join(present), len(present), named.data,
                          *(scores[method].get(bits) if method in scores else None for method in methods)))
    return Table("combinations", f"CCC by modality combination: {provenance(runs)}",
                 ("Modality set", "Present", "Number", "Our data", *(labels[method] for method in methods)),
                 tuple(lines), table_notes(runs, "Mean ± SD over folds and seeds of the folds' own CCC. One model for "
                                           "each method: the others of its modalities are masked; of more than six "
                                           "modalities: all, all but one, and single ones."))


def _by_combination(run: RunResult) -> dict[str, Ours]:
    """CCC over folds and seeds by combination ("1011" in the order of the run's modalities)."""
    return {str(bits): Ours(number(mean), number(sd), digits=3)
            for bits, mean, sd in combination_scores(run).itertuples(index=False)}


def calibration(inputs: Inputs) -> Table | None:
    """How far predictions can be taken at their word."""
    every = of_several_modalities(select(inputs.results, protocol="trial", variant=""))
    runs = [run for run in every if class_count(run.metrics) in (None, 2)]
    if not runs:
        return None
    columns = ("Slope", "Intercept", "Bias", "ECE", "Brier")
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        found = calibration_scores(run)
        lines.append((set_label(run.metrics["set"]), run_label(run), run.metrics["modality_set"],
                      run.metrics["task"], run.data, *(found.get(column) for column in columns)))
    notes = ("Regression: slope and intercept of the line of truth on prediction (1 and 0 are perfect), bias = mean "
             f"prediction - mean truth. ECE: expected calibration error in {BINS} quantile bins of the prediction, in "
             "rating units or in probability. Brier: mean squared error of the probability.",
             "All test windows, each seed and dimension on its own, then averaged. Constant predictions have no line.",
             *more_classes_note(every, "these measures are of one probability, that of high"))
    return Table("calibration", f"Calibration: {provenance(runs)}",
                 ("Set", "Method", "Modalities", "Task", "Our data", *columns), tuple(lines),
                 table_notes(runs, notes[0], " ".join(notes[1:])))


def calibration_scores(result: RunResult) -> dict[str, Ours]:
    """Slope, Intercept, Bias, ECE (regression) or ECE, Brier (classification), averaged over seeds and dimensions."""
    regression = result.metrics["task"] == "regression"
    rows = []
    for _, group in result.part("predictions").groupby(["seed", "dimension"]):
        y, p = group["y_true"].to_numpy(dtype=np.float64), group["y_pred"].to_numpy(dtype=np.float64)
        slope, intercept = calibration_line(y, p)
        line = {"Slope": slope, "Intercept": intercept, "Bias": float(np.mean(p - y))}
        brier = {"Brier": float(np.mean((p - y) ** 2))}
        rows.append({"ECE": calibration_error(y, p, BINS), **(line if regression else brier)})
    means = pd.DataFrame(rows).mean()
    return {str(name): Ours(number(value)) for name, value in means.items()}


def search(inputs: Inputs) -> Table | None:
    """How often each setting was tried and chosen, method by method, over all runs, folds and seeds."""
    runs = [run for run in select(inputs.results, shuffled=None) if not run.part("search").empty]
    if not runs:
        return None
    every = pd.concat([run.part("search")[["learning_rate", "validation_loss", "chosen"]].assign(
        data=run.data, method=method_name(str(run.metrics["method"]))) for run in runs], ignore_index=True)
    lines: list[tuple[Cell, ...]] = []
    for (data, method), group in every.groupby(["data", "method"], sort=False):
        searches = int(group["chosen"].astype(bool).sum())
        for rate, tried in group.groupby("learning_rate"):
            lines.append((str(data), str(method), float(str(rate)), len(tried), int(tried["chosen"].astype(bool).sum()),
                          searches, spread(tried["validation_loss"])))
    return Table("search", f"What the search chose: {provenance(runs)}",
                 ("Our data", "Method", "Learning rate", "Tried", "Chosen", "Searches", "Validation loss"),
                 tuple(lines),
                 ("Counts over all runs of a method, with their folds and seeds; loss: mean ± SD over them. Every "
                  "network tries the same settings; one is chosen by its loss on validation rows.", front_note(runs)))


def cost(inputs: Inputs) -> Table | None:
    """Parameters and multiply-adds of a window, beside CCC; its time where that was measured."""
    rows = plain_cost(inputs.cost)
    if rows.empty:
        return None
    measured = measured_on(rows)
    lines: list[tuple[Cell, ...]] = []
    shown: list[RunResult] = []
    for row in rows.itertuples(index=False):
        protocol = figure_protocol(inputs.results, str(row.set))
        found = select(inputs.results, set=str(row.set), protocol=protocol, task="regression",
                       modality_set=str(row.modality_set), method=str(row.method), variant="")
        shown += found[:1]
        lines.append((set_label(str(row.set)), run_label(found[0]) if found else method_name(str(row.method)),
                      str(row.modality_set), _count(row.parameters), _count(row.multiply_adds),
                      *([_microseconds(row.seconds_per_window)] if measured else []), found[0].data if found else None,
                      ours(found[0], "ccc") if found else None, attainable(found[:1], "ccc")))
    source = f": CCC on {provenance(shown)}" if shown else ""
    return Table("cost", f"Compute cost{source}",
                 ("Set", "Method", "Modalities", "Parameters", "Multiply-adds per window",
                  *(["µs per window"] if measured else []), "Our data", METRIC_LABELS["ccc"], "Attainable CCC"),
                 tuple(lines),
                 ((f"µs (millionths of a second): one forward pass on one CPU thread, {measured}; they differ between "
                   "machines, all other numbers do not. " if measured else "")
                  + "— = not counted (no network), not measured, or no regression run with whole trials held out.",
                  *([_FACE_COST] if rows["modality_set"].str.contains("FACE").any() else []), front_note(shown)))


def _microseconds(seconds: object) -> float | None:
    value = number(float(str(seconds)))
    return None if value is None else value * 1e6


def _count(value: object) -> int | None:
    count = float("nan") if value is None else float(str(value))
    return None if math.isnan(count) else int(count)
