"""Training and validation loss by epoch, one small panel per method."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import main_runs, spread
from himoe.report.figures.style import legend_below, line_style, new_figure, panel_grid, title, value_grid, width_of
from himoe.report.palette import Look, look
from himoe.scoring.results import RunResult, provenance

KINDS = {"training loss": "Training", "validation loss": "Validation (in the method's colour)"}


def training_curves(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Loss by epoch of the methods that are trained in epochs: mean and range over folds and seeds."""
    curves = frames.training_frame(results, settings)
    trained = set(curves["method"])
    shown = {method: run for method, run in main_runs(results, settings).items() if method in trained}
    if not shown:
        return None
    n_rows, n_columns = panel_grid(len(shown), 4)
    figure = new_figure(width_of(n_columns), 1.4 * n_rows + 1.0)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    for k, (ax, (method, run)) in enumerate(zip(grid.flat, shown.items(), strict=False)):
        ax.set_title(run.label + ("\nnot converged" if run.not_converged else ""))
        _panel(ax, curves[curves["method"] == method], look(method, k))
    for ax in list(grid.flat)[len(shown):]:
        ax.set_visible(False)
    for column in range(n_columns):
        last = max(k for k in range(len(shown)) if k % n_columns == column)
        grid.flat[last].set_xlabel("Epoch")
        grid.flat[last].tick_params(labelbottom=True)
    for ax in grid[:, 0]:
        ax.set_ylabel("Loss (1 = a constant's)")
    first = next(iter(shown.values()))
    title(figure, f"Loss on the ratings by epoch, {first.metrics['modality_set']}",
          f"{provenance(shown.values())}; line: mean, band: range over {spread(shown.values())}, "
          "of the fits not yet stopped")
    legend_below(figure, grid[0, 0], 2)
    return figure


def _panel(ax: Axes, curves: pd.DataFrame, found: Look) -> None:
    """Training in grey with dots, validation in the method's colour."""
    looks = {"training loss": Look("#7a7a7a", ".", (2, 1.5)), "validation loss": Look(found.colour, "", ())}
    for part, label in KINDS.items():
        style, curve = line_style(looks[part]), curves[curves["part"] == part]
        ax.fill_between(curve["epoch"], curve["low"], curve["high"], color=style["color"], alpha=0.2, lw=0)
        ax.plot(curve["epoch"], curve["loss"], label=label, **style)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    value_grid(ax)
