"""The result in one picture: every method with its interval, the floors below, and the ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from himoe.core.params import ReportParams
from himoe.report.figures.chosen import OWN_METHOD, all_methods, ceiling, ranked
from himoe.report.figures.style import (
    CEILING,
    CEILING_LABEL,
    PAGE_IN,
    draw_ceiling,
    marker_style,
    new_figure,
    title,
    value_grid,
)
from himoe.report.figures.values import float_of
from himoe.report.palette import look
from himoe.scoring.results import RunResult, provenance

PANELS = {"ccc": "CCC, mean over dimensions", "ccc_within": "Within-trial CCC"}
HELD_OUT = {"trial": "whole trials held out", "session": "days held out", "loso": "people held out",
            "stimulus": "clips held out", "sequential": "later trials held out", "leaky": "windows shuffled"}


def overview(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Pooled CCC and within-trial CCC by method on the largest modality set, with 95 % intervals."""
    runs = ranked(all_methods(results, settings))
    if not runs:
        return None
    figure = new_figure(PAGE_IN, 1.15 + 0.19 * len(runs))
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (metric, label) in zip(axes, PANELS.items(), strict=True):
        _panel(ax, runs, metric)
        ax.set_xlabel(label)
    axes[0].set_yticks(range(len(runs)), [run.named + (f"\n{run.not_converged}" if run.not_converged else "")
                                          for run in runs])
    for label, run in zip(axes[0].get_yticklabels(), runs, strict=True):
        label.set_fontweight("bold" if run.metrics["method"] == OWN_METHOD else "normal")
    first = runs[0].metrics
    title(figure, f"{provenance(runs)}, {HELD_OUT[first['protocol']]}, {first['modality_set']}",
          "all test windows pooled; lines: 95 % intervals, people and trials resampled")
    if ceiling(runs) is not None:
        figure.legend([Line2D([], [], **CEILING)], [CEILING_LABEL], loc="outside lower center")
    return figure


def _panel(ax: Axes, runs: Sequence[RunResult], metric: str) -> None:
    values, low, high = (np.array([float_of(run.metrics.get(f"{metric}{part}")) for run in runs])
                         for part in ("", "_low", "_high"))
    for k, run in enumerate(runs):
        found = look(str(run.metrics["method"]), k)
        ax.plot([low[k], high[k]], [k, k], color=found.colour, lw=1.4, zorder=2)
        ax.plot(values[k], k, color=found.colour, mfc="white" if run.floor else found.colour, zorder=3,
                **{**marker_style(found, 5), "mew": 1.0})
    networks = sum(not run.floor for run in runs)
    if 0 < networks < len(runs):
        ax.axhline(networks - 0.5, color="#999999", lw=0.5)
    draw_ceiling(ax, ceiling(runs, metric), across=False)
    ax.set_ylim(len(runs) - 0.45, -0.55)
    right = np.nanmax([*high, *values, ceiling(runs, metric) or 0.0, 0.1])
    ax.set_xlim(min(-0.03, float(np.nanmin([*low, *values, 0.0])) * 1.1), float(right) * 1.16)
    for k, value in enumerate(values):
        if np.isfinite(value):
            ax.text(0.995, k, f"{value:.2f}", transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=6)
    ax.tick_params(axis="y", length=0)
    value_grid(ax, "x")
