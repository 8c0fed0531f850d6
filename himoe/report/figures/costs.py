"""What a score costs: CCC against multiply-adds and against time per window."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import ceiling, main_runs
from himoe.report.figures.direct import name_points
from himoe.report.figures.style import PAGE_IN, marker_style, title, value_grid
from himoe.report.palette import look
from himoe.scoring.results import RunResult, provenance

HEIGHT_IN, PANEL_IN = 3.5, (2.95, 2.5)


def cost_against_score(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """CCC of each method on the largest modality set against its cost, named beside its point.

    Methods without multiply-adds (fitted in closed form) stand in the panel of seconds alone.
    """
    runs = main_runs(results, settings)
    points = frames.cost_frame(results, cost, settings)
    if points.empty:
        return None
    figure = Figure(figsize=(PAGE_IN, HEIGHT_IN))
    known = points[points["multiply_adds"] > 0]
    timed = points[points["seconds_per_window"] > 0]
    timed = timed.assign(microseconds=timed["seconds_per_window"] * 1e6)
    for k, (part, column, label) in enumerate((
            (known, "multiply_adds", "Multiply-adds per window, one forward pass"),
            (timed, "microseconds", "µs per window (one CPU thread, as measured)"))):
        ax = figure.add_axes(((0.55 + k * (PANEL_IN[0] + 0.3)) / PAGE_IN, 0.45 / HEIGHT_IN, PANEL_IN[0] / PAGE_IN,
                              PANEL_IN[1] / HEIGHT_IN))
        _panel(ax, part, column, label)
    left, right = figure.axes
    span = pd.concat([known["ccc"], timed["ccc"]])
    margin = 0.08 * max(float(span.max() - span.min()), 0.05)
    for ax, part, column in ((left, known, "multiply_adds"), (right, timed, "microseconds")):
        ax.set_ylim(span.min() - margin, span.max() + margin)
        name_points(ax, [(float(row[column]), float(row["ccc"]), _short(row)) for row in part.to_dict("records")],
                    PANEL_IN)
    left.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    right.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    left.set_ylabel("CCC, mean over dimensions")
    right.tick_params(labelleft=False)
    first = next(iter(runs.values()))
    title(figure, f"CCC against computing cost, {first.metrics['modality_set']}",
          "; ".join([provenance(runs.values()), "in brackets: parameters", *_remarks(points, runs)]))
    return figure


def _remarks(points: pd.DataFrame, runs: Mapping[str, RunResult]) -> list[str]:
    """Who stands in one panel alone or in none, and how far off the ceiling is (on the axis it would hide all else)."""
    timed, counted = points["seconds_per_window"] > 0, points["multiply_adds"] > 0
    texts = {"without a count of multiply-adds, on the right only": int((timed & ~counted).sum()),
             "neither counted nor timed, not shown": int((~timed & ~counted).sum())}
    remarks = [f"{text}: {count}" for text, count in texts.items() if count]
    attainable = ceiling(runs.values())
    return [*remarks, *([f"attainable: {attainable:.2f}"] if attainable is not None else [])]


def _panel(ax: Axes, points: pd.DataFrame, column: str, label: str) -> None:
    for k in range(len(points)):
        row = points.iloc[k]
        found = look(str(row["method"]), k)
        ax.plot([float(row[column])], [float(row["ccc"])], ls="", color=found.colour,
                label=str(row["label"]) + _parameters(float(row["parameters"])), **marker_style(found, 5))
    ax.set_xscale("log")
    if len(points):  # whole decades, so that at least two ticks carry a number
        ax.set_xlim(10.0 ** np.floor(np.log10(points[column].min() / 1.2)),
                    10.0 ** np.ceil(np.log10(points[column].max() * 1.2)))
    ax.xaxis.set_major_formatter(EngFormatter(sep="\N{NO-BREAK SPACE}"))  # 100 k, 1 M
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel(label)
    value_grid(ax, "both")


def _short(row: Mapping[Hashable, Any]) -> str:
    """A name with the parameters in thousands or millions."""
    count = float(row["parameters"])
    if np.isnan(count):
        return str(row["label"])
    return f"{row['label']} ({count / 1e6:.1f} M)" if count >= 1e6 else f"{row['label']} ({count / 1e3:.0f} k)"


def _parameters(count: float) -> str:
    return "" if np.isnan(count) else f": {int(count):,} parameters"
