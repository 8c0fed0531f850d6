"""Tables beyond the paper: modality combinations, calibration, what the search chose, compute cost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from himoe.metrics import class_count
from himoe.paper import METHOD_LABELS
from himoe.results import RunResult, figure_protocol, provenance, select
from himoe.statistics import calibration_error, calibration_line
from himoe.tables.notes import OWN_METHODS, more_classes_note, run_notes
from himoe.tables.rows import METRIC_LABELS, Inputs, number, ours, run_label, set_label, spread
from himoe.tables.table import Cell, Ours, Table

BINS = 10
_FACE_COST = ("FACE: what turns a video's frames into features is not counted; it runs once, in a stage of its own "
              "(EfficientNet-B0, 0.39 billion multiply-adds a frame of 224 pixels: Tan and Le 2019, arXiv 1905.11946).")


def combinations(inputs: Inputs) -> Table | None:
    """CCC when only some modalities are there: combinations down, methods across; the smallest set first."""
    protocol = figure_protocol(inputs.results, inputs.settings.figure_set)
    runs = [run for run in select(inputs.results, set=inputs.settings.figure_set, protocol=protocol,
                                  task="regression", variant="") if not run.part("combinations").empty]
    if not runs:
        return None
    places = sorted(dict.fromkeys(run.metrics["modalities"] for run in runs), key=lambda names: names.count("+"))
    methods = list(dict.fromkeys(run.metrics["method"] for run in runs))
    labels = {run.metrics["method"]: run_label(run) for run in runs}
    lines: list[tuple[Cell, ...]] = []
    for place in places:
        scores = {run.metrics["method"]: combination_scores(run) for run in runs if run.metrics["modalities"] == place}
        named = next(run for run in runs if run.metrics["modalities"] == place)
        for bits in sorted(set().union(*scores.values()), key=lambda text: (text.count("1"), text), reverse=True):
            present = [name for name, bit in zip(place.split("+"), bits, strict=True) if bit == "1"]
            lines.append((named.metrics["modality_set"], "+".join(present), len(present), named.data,
                          *(scores[method].get(bits) if method in scores else None for method in methods)))
    return Table("combinations", f"CCC by modality combination: {provenance(runs)}",
                 ("Modality set", "Present", "Number", "Our data", *(labels[method] for method in methods)),
                 tuple(lines), ("Ours: mean ± SD over folds and seeds of the CCC averaged over dimensions. One model a "
                                "method: all others of its modalities are masked. — = not run.",
                                "Of more than six modalities: all, all but one, and single ones.", *run_notes(runs)))


def combination_scores(result: RunResult, metric: str = "ccc") -> dict[str, Ours]:
    """Score over folds and seeds by combination ("1011" in the order of the run's modalities)."""
    frame = result.part("combinations")
    rows = frame[(frame["dimension"] == "mean") & (frame["metric"] == metric)]
    return {str(bits): spread(values) for bits, values in rows.groupby("combination")["value"]}


def calibration(inputs: Inputs) -> Table | None:
    """How far predictions can be taken at their word."""
    every = select(inputs.results, protocol="trial", variant="")
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
             f"prediction - mean truth. ECE: expected calibration error in {BINS} quantile bins of the prediction, on "
             "the rating scale for regression and in probability for classification. Brier: mean squared error of "
             "the probability.",
             "All test windows, each seed and dimension on its own, then averaged. undefined = constant predictions "
             "have no line.",
             *more_classes_note(every, "these measures are of one probability, that of high"), *run_notes(runs))
    return Table("calibration", f"Calibration: {provenance(runs)}",
                 ("Set", "Method", "Modalities", "Task", "Our data", *columns), tuple(lines), notes)


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
    every = pd.concat([run.part("search")[["learning_rate", "dropout", "code_norm", "chosen"]].assign(
        data=run.data, method=_method_label(run)) for run in runs], ignore_index=True)
    lines: list[tuple[Cell, ...]] = []
    for (data, method), group in every.groupby(["data", "method"], sort=False):
        searches = int(group["chosen"].astype(bool).sum())
        for _, tried in group.groupby(["learning_rate", "dropout", "code_norm"], dropna=False):
            rate, dropout = (number(float(tried[key].iloc[0])) for key in ("learning_rate", "dropout"))
            chosen = int(tried["chosen"].astype(bool).sum())
            norm = "yes" if tried["code_norm"].iloc[0] else "no"
            lines.append((str(data), str(method), rate, dropout, norm, len(tried), chosen, searches))
    return Table("search", f"What the search chose: {provenance(runs)}",
                 ("Our data", "Method", "Learning rate", "Dropout", "Norm of codes", "Tried", "Chosen", "Searches"),
                 tuple(lines),
                 ("Counts over all runs of a method, with their folds and seeds. A setting is chosen by its loss on "
                  "validation rows; every network has the same number of trials.",))


def cost(inputs: Inputs) -> Table | None:
    """Parameters, multiply-adds and time of a window, beside CCC."""
    rows = inputs.cost
    if rows.empty:
        return None
    lines: list[tuple[Cell, ...]] = []
    shown: list[RunResult] = []
    for row in rows.itertuples(index=False):
        protocol = figure_protocol(inputs.results, str(row.set))
        found = select(inputs.results, set=str(row.set), protocol=protocol, task="regression",
                       modality_set=str(row.modality_set), method=str(row.method), variant="")
        shown += found[:1]
        lines.append((set_label(str(row.set)), run_label(found[0]) if found else _name(str(row.method)),
                      str(row.modality_set), _count(row.parameters), _count(row.multiply_adds),
                      number(float(str(row.seconds_per_window))), found[0].data if found else None,
                      ours(found[0], "ccc") if found else None))
    source = f": CCC on {provenance(shown)}" if shown else ""
    return Table("cost", f"Compute cost{source}",
                 ("Set", "Method", "Modalities", "Parameters", "Multiply-adds a window", "Seconds a window",
                  "Our data", METRIC_LABELS["ccc"]), tuple(lines),
                 ("Seconds: one forward pass measured on one CPU thread; they differ between machines, all other "
                  "numbers do not. — = not counted (no network), or no regression run with whole trials held out.",
                  *([_FACE_COST] if rows["modality_set"].str.contains("FACE").any() else [])))


def _method_label(run: RunResult) -> str:
    """The method's name with its dagger, without what the run varies or how it was split."""
    return _name(str(run.metrics["method"]))


def _name(method: str) -> str:
    return METHOD_LABELS.get(method, method) + ("" if method in OWN_METHODS else " †")


def _count(value: object) -> int | None:
    count = float("nan") if value is None else float(str(value))
    return None if math.isnan(count) else int(count)
