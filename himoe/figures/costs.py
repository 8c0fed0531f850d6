"""What a score costs: CCC against multiply-adds and against seconds a window."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from himoe.errors import bad_input
from himoe.figures.chosen import all_methods, ceiling
from himoe.figures.style import PAGE_IN, draw_ceiling, marker_style, new_figure, title, value_grid
from himoe.figures.values import float_of
from himoe.palette import look
from himoe.params import ReportParams
from himoe.results import COST_COLUMNS, RunResult, plain_cost, provenance


def cost_against_score(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """CCC of each method on the largest modality set against its cost; the legend gives its parameters.

    Methods without multiply-adds (fitted in closed form) stand in the panel of seconds alone.
    """
    runs = all_methods(results, settings)
    points = cost_points(runs, cost)
    if points.empty:
        return None
    figure = new_figure(PAGE_IN, 3.9)
    left, right = figure.subplots(1, 2, sharey=True)
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    known = points[points["multiply_adds"] > 0]
    _panel(left, known, "multiply_adds", "Multiply-adds per window, one forward pass")
    _panel(right, points[points["seconds_per_window"] > 0], "seconds_per_window",
           "Seconds per window (one CPU thread, as measured)")
    left.set_ylabel("CCC, mean over dimensions")
    for ax in (left, right):
        draw_ceiling(ax, ceiling(runs.values()))
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=3, columnspacing=1.2, handletextpad=0.4)
    first = next(iter(runs.values()))
    absent = len(points) - len(known)
    remark = f"; without a count of multiply-adds, on the right only: {absent}" if absent else ""
    title(figure, f"CCC against computing cost, {first.metrics['modality_set']}",
          f"{provenance(runs.values())}{remark}")
    return figure


def cost_points(runs: Mapping[str, RunResult], cost: pd.DataFrame) -> pd.DataFrame:
    """One row a run that was timed: method, label, ccc, parameters, multiply_adds, seconds_per_window.

    Raises
    ------
    InputError
        If *cost* lacks a column.
    """
    absent = [column for column in COST_COLUMNS if column not in cost]
    if absent:
        raise bad_input("cost.csv", f"no column {', '.join(absent)}", ", ".join(COST_COLUMNS),
                        "run the evaluate stage again")
    rows, cost = [], plain_cost(cost)
    for method, run in runs.items():
        found = cost[(cost["method"] == method) & (cost["set"] == run.metrics["set"])
                     & (cost["modality_set"] == run.metrics["modality_set"])]
        if len(found):
            row = found.iloc[0]
            rows.append((method, run.named, float_of(run.metrics.get("ccc")),
                         *(float(row[column]) for column in COST_COLUMNS[3:6])))
    return pd.DataFrame(rows, columns=["method", "label", "ccc", *COST_COLUMNS[3:6]])


def _panel(ax: Axes, points: pd.DataFrame, column: str, label: str) -> None:
    for k in range(len(points)):
        row = points.iloc[k]
        found = look(str(row["method"]), k)
        ax.plot([float(row[column])], [float(row["ccc"])], ls="", color=found.colour,
                label=str(row["label"]) + _parameters(float(row["parameters"])), **marker_style(found, 6))
    ax.set_xscale("log")
    if len(points):  # whole decades, so that at least two ticks carry a number
        ax.set_xlim(10.0 ** np.floor(np.log10(points[column].min() / 1.2)),
                    10.0 ** np.ceil(np.log10(points[column].max() * 1.2)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(label)
    value_grid(ax, "both")


def _parameters(count: float) -> str:
    return "" if np.isnan(count) else f": {int(count):,} parameters"
