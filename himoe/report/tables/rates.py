"""Tables of methods down and missing rates across: Tables 3, 8 and 9."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from himoe.report.chosen import largest_modality_set
from himoe.report.tables.notes import table_notes
from himoe.report.tables.rows import (
    Inputs,
    Row,
    attainable,
    attainable_rows,
    number,
    ours,
    paper_ordered,
    row_label,
    row_modalities,
    set_label,
    title,
)
from himoe.report.tables.scores import differing_modalities, printed_groups, unique_runs
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.paper import METHOD_LABELS, paper_rows, paper_value
from himoe.scoring.results import RunResult, select, sweep_curve

POOLED = ("Pooled CCC", "Pooled within-trial CCC")  # at r = 0

def table3(inputs: Inputs) -> Table | None:
    """The largest modality set that was run; the paper's is ALL, face included."""
    runs = _runs(inputs)
    return _table(3, "CCC under missing modalities", "ALL", largest_modality_set(runs), runs, inputs)


def table8(inputs: Inputs) -> Table | None:
    """EEG and PPS."""
    return _table(8, "CCC under missing modalities, EEG and PPS", "EEG+PPS", "EEG+PPS", _runs(inputs), inputs)


def table9(inputs: Inputs) -> Table | None:
    """EEG, EOG, EMG and EDA."""
    names = "EEG+EOG+EMG+EDA"
    return _table(9, "CCC under missing modalities, EEG, EOG, EMG and EDA", names, names, _runs(inputs), inputs)


def _runs(inputs: Inputs) -> list[RunResult]:
    return select(inputs.results, set=inputs.settings.figure_set, protocol="trial", task="regression", variant="")


def _table(table: int, text: str, published: str, modality_set: str | None, runs: Sequence[RunResult],
           inputs: Inputs) -> Table | None:
    runs = [run for run in runs if run.metrics["modality_set"] == modality_set]
    if not runs:
        return None
    rows = paper_ordered(table, runs, lambda run: published, lambda run: str(run.metrics["method"]))
    curves = {run.run: sweep_curve(run.part("sweep")) for run in unique_runs(rows)}
    rates = set(paper_rows(table)["missing_rate"].round(4))
    rates |= {rate for curve in curves.values() for rate in curve["missing_rate"]}
    columns = ("Set", "Method", "Modalities", "Source", *(f"r = {rate:.2f}" for rate in sorted(rates)), *POOLED)
    lines = [line for row in rows for line in _lines(table, row, curves, sorted(rates))]
    pooled = {POOLED[0].replace(" ", "_"): lambda run: attainable([run], "ccc"),
              POOLED[1].replace(" ", "_"): lambda run: attainable([run], "ccc_within")}
    lines += attainable_rows(columns, printed_groups(rows), **pooled)
    lost = sum(int(curve["undefined"].sum()) for curve in curves.values())
    own = ("Ours by rate: mean ± SD over mask seeds, the folds' own scores averaged first, so that r = 0.00 is not the "
           "pooled CCC beside it." + (f" {lost} undefined scores are left out of the means." if lost else ""))
    return Table(f"table{table}", title(table, text, runs), columns, tuple(lines),
                 table_notes(unique_runs(rows), own, differing_modalities(rows, inputs)))


def _lines(table: int, row: Row, curves: dict[str, pd.DataFrame], rates: Sequence[float]) -> list[tuple[Cell, ...]]:
    """Our line and the paper's, as far as each exists."""
    lines: list[tuple[Cell, ...]] = []
    if row.result:
        lines.append((set_label(row.dataset), row_label(row), row_modalities(row), row.result.data,
                      *_curve_cells(curves[row.result.run], rates), ours(row.result, "ccc"),
                      ours(row.result, "ccc_within")))
    values = [paper_value(table, row.dataset, row.method, row.modalities, "ccc", "mean", rate) for rate in rates]
    if any(value is not None for value in values):
        lines.append((set_label(row.dataset), METHOD_LABELS.get(row.method, row.method), row.modalities, "paper",
                      *values, None, None))
    return lines


def _curve_cells(curve: pd.DataFrame, rates: Sequence[float]) -> list[Cell]:
    found = {rate: (mean, sd) for rate, mean, sd in
             zip(curve["missing_rate"], curve["mean"], curve["sd"], strict=True)}
    return [Ours(number(found[rate][0]), number(found[rate][1])) if rate in found else None for rate in rates]
