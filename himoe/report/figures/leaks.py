"""Leak audit: the same model and data under every split, beside floors that look at no signal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import HELD_OUT, ceiling
from himoe.report.figures.style import PAGE_IN, draw_ceiling, new_figure, title, value_grid
from himoe.report.palette import LEAKY_HATCH, look
from himoe.scoring.results import RunResult, provenance


def leak_audit(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """CCC under each split of the same data, bars with the 95 % interval over trials; None without a leaky run."""
    scores = frames.leak_frame(results, settings)
    if scores.empty:
        return None
    groups = list(scores.groupby("split", sort=False))
    counts = [len(rows) for _, rows in groups]
    figure = new_figure(PAGE_IN, 0.95 + 0.3 * len(groups) + 0.19 * sum(counts))
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for ax, (split, rows) in zip(axes, groups, strict=True):
        ax.set_title(str(split)[0].upper() + str(split)[1:], loc="left", fontsize=7)
        _bars(ax, rows)
        honest = [results[name] for name in rows["run"]] if split == HELD_OUT["trial"] else []
        draw_ceiling(ax, ceiling(honest), across=False)
        ax.tick_params(axis="x", length=3 if ax is axes[-1] else 0)
    axes[0].set_xlim(min(0.0, float(np.nanmin([*scores["low"], *scores["ccc"], 0.0])) * 1.1), 1.0)
    axes[-1].set_xlabel("CCC, mean over dimensions")
    runs = [results[name] for name in scores["run"]]
    title(figure, "What leaking windows between folds adds to CCC",
          f"{provenance(runs)}, {runs[0].metrics['modality_set']}",
          "bar: all test windows pooled; line: its 95 % interval; dashed: attainable with true gains and lags known")
    return figure


def _bars(ax: Axes, rows: pd.DataFrame) -> None:
    means, low, high = (rows[name].to_numpy() for name in ("ccc", "low", "high"))
    y = np.arange(len(rows))
    bars = ax.barh(y, means, height=0.66, color=[look(method).colour for method in rows["method"]])
    for bar, split in zip(bars, rows["split"], strict=True):
        bar.set_hatch(LEAKY_HATCH if split.startswith(HELD_OUT["leaky"]) else "")
        bar.set_edgecolor("white")
        bar.set_linewidth(0)
    ax.hlines(y, low, high, color="black", lw=0.9, zorder=3)
    ax.plot(np.stack([low, high]), np.stack([y, y]), color="black", marker="|", ms=4, lw=0, zorder=3)
    ax.set_yticks(y, rows["label"])
    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.axvline(0, color="black", lw=0.6)
    ax.tick_params(axis="y", length=0)
    value_grid(ax, "x")
