"""Figures 3, 6 and 7: CCC against missing rate; ours above, the paper's published curves below."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.figures.chosen import OWN_METHOD, all_methods, ceiling, largest_modality_set, plain_runs
from himoe.figures.style import (
    COLUMN_IN,
    draw_ceiling,
    line_style,
    marker_style,
    new_figure,
    title,
    value_grid,
    wrapped,
)
from himoe.palette import look
from himoe.paper import METHOD_LABELS, paper_rows
from himoe.params import ReportParams
from himoe.results import RunResult, provenance, sweep_curve

LINE_IN = 0.13  # height of a line of the legend


def figure3(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 3: the largest modality set, beside the paper's Table 3."""
    largest = largest_modality_set(run for run in plain_runs(results, settings) if run.metrics["method"] == OWN_METHOD)
    return _figure(all_methods(results, settings, modality_set=largest), 3)


def figure6(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 6: EEG and peripheral signals, beside the paper's Table 8."""
    return _figure(all_methods(results, settings, modality_set="EEG+PPS"), 8)


def figure7(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 7: EEG, EOG, EMG and EDA, beside the paper's Table 9."""
    return _figure(all_methods(results, settings, modality_set="EEG+EOG+EMG+EDA"), 9)


def _figure(runs: Mapping[str, RunResult], table: int) -> Figure | None:
    """One line a method; ``table``: the paper's table with the published curves."""
    if not runs:
        return None
    first = next(iter(runs.values())).metrics
    rows = paper_rows(table, str(first["set"]))
    lines = [len(runs) + 1, rows["method"].nunique()]  # of the legends: two columns of long names squeeze the panels
    heights = [height + LINE_IN * n for height, n in zip((2.5, 1.9), lines, strict=True)][:1 if rows.empty else 2]
    figure = new_figure(COLUMN_IN, 0.7 + sum(heights))
    grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=[1.4, 1.0][:len(heights)])[:, 0]
    _own_curves(grid[0], runs)
    draw_ceiling(grid[0], ceiling(runs.values()), label="Attainable at r = 0, pooled")
    source = provenance(runs.values())
    own = f"Ours on {source}, {_modalities(str(first['modality_set']))}"
    grid[0].set_title(f"{wrapped(own, COLUMN_IN - 0.6)}\n(mean over folds, band: SD over mask seeds)")
    if not rows.empty:
        _published_curves(grid[1], rows)
        used = _modalities(str(rows["modalities"].iloc[0]))
        grid[1].set_title(f"Published, not our results:\nthe paper's Table {table}, {used}")
    for ax in grid:
        ax.set_xlabel("Missing rate r (chance that a modality is absent)")
        ax.set_ylabel("CCC, mean over dimensions")
        value_grid(ax)
        ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.17 if ax is grid[0] else -0.24), handlelength=3.2)
    title(figure, "CCC under missing modalities",
          f"ours on {source}" + ("" if rows.empty else " above, the paper's below"))
    return figure


def _modalities(text: str) -> str:
    return {"ALL": "all modalities", "EEG+PPS": "EEG and peripheral"}.get(text, text.replace("+", ", "))


def _own_curves(ax: Axes, runs: Mapping[str, RunResult]) -> None:
    for k, (method, result) in enumerate(runs.items()):
        curve = sweep_curve(result.part("sweep"), "ccc", "mean")
        found = look(method, k)
        sd = curve["sd"].fillna(0.0)
        front = 3.0 if k == 0 else 2.0
        ax.fill_between(curve["missing_rate"], curve["mean"] - sd, curve["mean"] + sd, color=found.colour,
                        alpha=0.18, lw=0, zorder=1)
        ax.plot(curve["missing_rate"], curve["mean"], label=result.named, zorder=front,
                **line_style(found), **marker_style(found, 3.6))


def _published_curves(ax: Axes, rows: pd.DataFrame) -> None:
    for k, method in enumerate(rows["method"].unique()):
        curve = rows[rows["method"] == method]
        found = look(str(method), k)
        ax.plot(curve["missing_rate"], curve["value"], marker=found.marker, ms=3.4, mfc="white",
                label=f"{METHOD_LABELS[str(method)]} (paper)", **line_style(found))
