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
from himoe.scoring.results import RunResult, measured_on, provenance

HEIGHT_IN, PANEL_IN, BETWEEN_IN = 3.5, (2.95, 2.5), 0.3
COUNTED = ("multiply_adds", "Multiply-adds per window, one forward pass")
TIMED = ("microseconds", "µs per window (one CPU thread)")


def cost_against_score(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """CCC of each method on the largest modality set against its cost, named beside its point.

    Methods without multiply-adds (fitted in closed form) are not shown. The panel of seconds stands where any network
    was measured.
    """
    runs = main_runs(results, settings)
    points = frames.cost_frame(results, cost, settings)
    known = points[points["multiply_adds"] > 0]
    if known.empty:
        return None
    known = known.assign(microseconds=known["seconds_per_window"] * 1e6)
    panels = [COUNTED, *([TIMED] if known["microseconds"].any() else [])]
    size = PANEL_IN if len(panels) > 1 else (2 * PANEL_IN[0] + BETWEEN_IN, PANEL_IN[1])
    figure = Figure(figsize=(PAGE_IN, HEIGHT_IN))
    span = (float(known["ccc"].min()), float(known["ccc"].max()))
    margin = 0.08 * max(span[1] - span[0], 0.05)
    for k, (column, label) in enumerate(panels):
        ax = figure.add_axes(((0.55 + k * (size[0] + BETWEEN_IN)) / PAGE_IN, 0.45 / HEIGHT_IN, size[0] / PAGE_IN,
                              size[1] / HEIGHT_IN))
        part = known[known[column] > 0]
        _panel(ax, part, column, label)
        ax.set_ylim(span[0] - margin, span[1] + margin)
        name_points(ax, [(float(row[column]), float(row["ccc"]), _short(row)) for row in part.to_dict("records")], size)
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.tick_params(labelleft=k == 0)
    figure.axes[0].set_ylabel("CCC, mean over dimensions")
    first = next(iter(runs.values()))
    measured = measured_on(cost) if len(panels) > 1 else ""
    title(figure, f"CCC against computing cost, {first.metrics['modality_set']}",
          "; ".join([provenance(runs.values()), "in brackets: parameters", *_remarks(points, runs)]),
          *([f"Seconds: {measured}"] if measured else []))
    return figure


def _remarks(points: pd.DataFrame, runs: Mapping[str, RunResult]) -> list[str]:
    """Who stands in one panel alone or in none, and how far off the ceiling is (on the axis it would hide all else)."""
    counted, timed = points["multiply_adds"] > 0, points["seconds_per_window"] > 0
    texts = {"not measured, on the left only": int((counted & ~timed).sum()) if timed.any() else 0,
             "not counted (no networks), not shown": int((~counted).sum())}
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
