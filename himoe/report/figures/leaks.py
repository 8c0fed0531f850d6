"""Leak audit: the same model and data under every split, beside floors that look at no signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report.figures.chosen import OWN_METHOD, ceiling, largest_modality_set
from himoe.report.figures.style import PAGE_IN, draw_ceiling, new_figure, title, value_grid
from himoe.report.figures.values import float_of
from himoe.report.palette import LEAKY_HATCH, look
from himoe.scoring.results import RunResult, provenance, select

SHOWN = (OWN_METHOD, "features_ridge", "features_gbdt", "mean", "mean_subject", "mean_stimulus")
SPLITS = {
    "trial": "Whole trials held out (trial)",
    "sequential": "Later trials of each session held out (sequential)",
    "session": "Days held out (session)",
    "loso": "People held out (loso)",
    "stimulus": "Clips held out (stimulus)",
    "leaky": "Windows shuffled between folds (leaky)",
}


def leak_audit(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """CCC under each split of the same data, bars with the 95 % interval over trials; None without a leaky run."""
    leaky = select(results, set=settings.figure_set, protocol="leaky", task="regression", method=OWN_METHOD,
                   variant="", shuffled=False)
    modality_set = largest_modality_set(leaky)
    if modality_set is None:
        return None
    groups = _groups(results, settings, modality_set)
    counts = [len(runs) for _, runs in groups]
    figure = new_figure(PAGE_IN, 0.95 + 0.3 * len(groups) + 0.19 * sum(counts))
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=counts)[:, 0]
    for ax, (heading, runs) in zip(axes, groups, strict=True):
        ax.set_title(heading, loc="left", fontsize=7)
        _bars(ax, runs)
        draw_ceiling(ax, ceiling(runs) if heading == SPLITS["trial"] else None, across=False)
        ax.tick_params(axis="x", length=3 if ax is axes[-1] else 0)
    bounds = [float_of(run.metrics.get("ccc_low")) for _, runs in groups for run in runs]
    means = [float_of(run.metrics.get("ccc")) for _, runs in groups for run in runs]
    axes[0].set_xlim(min(0.0, float(np.nanmin([*bounds, *means, 0.0])) * 1.1), 1.0)
    axes[-1].set_xlabel("CCC, mean over dimensions")
    title(figure, "What leaking windows between folds adds to CCC",
          f"{provenance([run for _, runs in groups for run in runs])}, {modality_set}",
          "bar: all test windows pooled; line: its 95 % interval; dashed: attainable with true gains and lags known")
    return figure


def _groups(results: Mapping[str, RunResult], settings: ReportParams,
            modality_set: str) -> list[tuple[str, list[RunResult]]]:
    """Heading and runs of every split that was run, true labels first."""
    groups = []
    for shuffled in (False, True):
        for protocol, heading in SPLITS.items():
            runs = select(results, set=settings.figure_set, protocol=protocol, task="regression",
                          modality_set=modality_set, variant="", shuffled=shuffled)
            shown = [run for method in SHOWN for run in runs if run.metrics["method"] == method]
            if shown:
                groups.append((heading + (", ratings shuffled between trials" if shuffled else ""), shown))
    return groups


def _bars(ax: Axes, runs: Sequence[RunResult]) -> None:
    means = np.array([float_of(run.metrics.get("ccc")) for run in runs])
    low, high = (np.array([float_of(run.metrics.get(key)) for run in runs]) for key in ("ccc_low", "ccc_high"))
    y = np.arange(len(runs))
    bars = ax.barh(y, means, height=0.66, color=[look(str(run.metrics["method"])).colour for run in runs])
    for bar, run in zip(bars, runs, strict=True):
        bar.set_hatch(LEAKY_HATCH if run.metrics["protocol"] == "leaky" else "")
        bar.set_edgecolor("white")
        bar.set_linewidth(0)
    ax.hlines(y, low, high, color="black", lw=0.9, zorder=3)
    ax.plot(np.stack([low, high]), np.stack([y, y]), color="black", marker="|", ms=4, lw=0, zorder=3)
    ax.set_yticks(y, [run.named for run in runs])
    ax.set_ylim(len(runs) - 0.45, -0.55)
    ax.axvline(0, color="black", lw=0.6)
    ax.tick_params(axis="y", length=0)
    value_grid(ax, "x")
