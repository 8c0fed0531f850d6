"""Calibration: what was rated where a method predicted so much, one small panel per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import main_runs
from himoe.report.figures.style import (
    legend_below,
    line_style,
    marker_style,
    new_figure,
    panel_grid,
    title,
    value_grid,
    width_of,
)
from himoe.report.palette import dimension_look
from himoe.scoring.metrics import class_count
from himoe.scoring.results import RunResult, provenance

IDENTITY = "#8a8a8a"


def calibration(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Mean rating against mean prediction, regression runs of the largest modality set."""
    runs = main_runs(results, settings)
    if not runs:
        return None
    low, high = (float(value) for value in next(iter(runs.values())).info["scale"])
    curves = frames.calibration_frame(results, settings)
    return _figure(runs, curves, (low, high), ("Predicted rating", "True rating"), "Predicted against true rating")


def calibration_classes(results: Mapping[str, RunResult], settings: ReportParams,
                        cost: pd.DataFrame) -> Figure | None:
    """Reliability curves: share of high ratings against the predicted probability; None for more than two classes."""
    runs = main_runs(results, settings, task="classification")
    if not runs or any(class_count(run.metrics) != 2 for run in runs.values()):
        return None
    curves = frames.calibration_frame(results, settings, "classification")
    return _figure(runs, curves, (0.0, 1.0), ("Predicted probability of high", "Share rated high"),
                   "Reliability of predicted classes")


def _figure(runs: Mapping[str, RunResult], curves: pd.DataFrame, limits: tuple[float, float],
            labels: tuple[str, str], heading: str) -> Figure:
    n_rows, n_columns = panel_grid(len(runs), 4)
    figure = new_figure(width_of(n_columns), 1.55 * n_rows + 1.0)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    dimensions = list(next(iter(runs.values())).info["dimensions"])
    for ax, run in zip(grid.flat, runs.values(), strict=False):
        _panel(ax, run.named, curves[curves["run"] == run.run], dimensions, limits)
    for ax in list(grid.flat)[len(runs):]:
        ax.set_visible(False)
    for column in range(n_columns):  # the last panel of each column says what the axis is
        last = max(k for k in range(len(runs)) if k % n_columns == column)
        grid.flat[last].set_xlabel(labels[0])
        grid.flat[last].tick_params(labelbottom=True)
    for ax in grid[:, 0]:
        ax.set_ylabel(labels[1])
    modality_set = next(iter(runs.values())).metrics["modality_set"]
    title(figure, f"{heading}, {modality_set}",
          f"{provenance(runs.values())}; means in {frames.BINS} quantile bins of the prediction, "
          "test windows of all folds; grey line: perfect")
    legend_below(figure, grid[0, 0], 4)
    return figure


def _panel(ax: Axes, name: str, curves: pd.DataFrame, dimensions: Sequence[str],
           limits: tuple[float, float]) -> None:
    ax.plot(limits, limits, color=IDENTITY, lw=0.8, zorder=1)
    for k, dimension in enumerate(dimensions):
        curve = curves[curves["dimension"] == dimension]
        found = dimension_look(dimension, k)
        ax.plot(curve["predicted"], curve["true"], lw=0.9, label=dimension.capitalize(),
                **line_style(found), **marker_style(found, 2.4))
    ax.set_title(name.replace(" (floor)", "\n(floor)"))
    margin = 0.04 * (limits[1] - limits[0])
    ax.set_xlim(limits[0] - margin, limits[1] + margin)
    ax.set_ylim(limits[0] - margin, limits[1] + margin)
    ticks = np.linspace(*limits, 3 if limits == (0.0, 1.0) else 5)
    ax.set_xticks(ticks)
    ax.set_yticks(ticks)
    ax.set_aspect("equal")
    value_grid(ax, "both")
