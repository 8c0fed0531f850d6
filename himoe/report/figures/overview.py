"""The result in one picture: every method with its interval, the floors below, and the ceiling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import HELD_OUT, OWN_METHOD, ceiling
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
from himoe.report.palette import look
from himoe.scoring.results import RunResult, provenance

PANELS = {"CCC": "CCC, mean over dimensions", "within-trial CCC": "Within-trial CCC"}


def overview(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Pooled CCC and within-trial CCC by method on the largest modality set, with 95 % intervals."""
    scores = frames.overview_frame(results, settings)
    if scores.empty:
        return None
    runs = [results[name] for name in dict.fromkeys(scores["run"])]
    figure = new_figure(PAGE_IN, 1.15 + 0.19 * len(runs))
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (measure, label) in zip(axes, PANELS.items(), strict=True):
        _panel(ax, scores[scores["measure"] == measure].reset_index(drop=True))
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


def _panel(ax: Axes, scores: pd.DataFrame) -> None:
    values, low, high = (scores[name].to_numpy() for name in ("score", "low", "high"))
    for k, (method, floor) in enumerate(zip(scores["method"], scores["floor"], strict=True)):
        found = look(method, k)
        ax.plot([low[k], high[k]], [k, k], color=found.colour, lw=1.4, zorder=2)
        ax.plot(values[k], k, color=found.colour, mfc="white" if floor else found.colour, zorder=3,
                **{**marker_style(found, 5), "mew": 1.0})
    networks = int((~scores["floor"]).sum())
    if 0 < networks < len(scores):
        ax.axhline(networks - 0.5, color="#999999", lw=0.5)
    attainable = scores["ceiling"].max()  # one for all that know it
    draw_ceiling(ax, None if np.isnan(attainable) else float(attainable), across=False)
    ax.set_ylim(len(scores) - 0.45, -0.55)
    right = np.nanmax([*high, *values, attainable, 0.1])
    ax.set_xlim(min(-0.03, float(np.nanmin([*low, *values, 0.0])) * 1.1), float(right) * 1.16)
    for k, value in enumerate(values):
        if np.isfinite(value):
            ax.text(0.995, k, f"{value:.2f}", transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=6)
    ax.tick_params(axis="y", length=0)
    value_grid(ax, "x")
