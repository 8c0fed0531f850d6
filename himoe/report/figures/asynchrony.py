"""Figures 8 to 10: what a lag costs, lags put in against lags found, and one trial whose sensors drop out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from himoe.report.figures.style import (
    legend_below,
    line_style,
    marker_style,
    new_figure,
    panel_grid,
    save,
    style,
    title,
    value_grid,
    width_of,
)
from himoe.report.palette import TRUTH_COLOUR, look
from himoe.report.tables.asynchrony import label_of
from himoe.scoring.asynchrony import ON_TIME

TRUTH = {"color": "#8a8a8a", "lw": 0.8, "ls": (0, (4, 2)), "zorder": 1}


def draw_all(found: Mapping[str, pd.DataFrame], label: str, shown: str, folder: Path) -> None:
    """Write every figure into *folder*; *shown*: the condition of the example."""
    with style():
        figures = {"figure_8": against_lag(found["scores"], label), "figure_9": lags(found, label),
                   "figure_10": example(found["example"], label, shown)}
    for name, figure in figures.items():
        save(figure, folder / name)


def against_lag(scores: pd.DataFrame, label: str) -> Figure:
    """Within-trial CCC against the lag of EEG, with bands: of models trained on time, and of models trained so."""
    rows = scores[(scores["missing"] == 0) & ~scores["live"]].copy()
    rows["lag_s"] = rows["tested"].map(lag_of)
    rows = rows[rows["lag_s"].notna()].sort_values("lag_s", kind="stable")
    panels = {"Trained on time": rows[rows["trained"] == ON_TIME],
              "Trained as tested": rows[rows["trained"] == rows["tested"]]}
    figure = new_figure(width_of(3), 3.6)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for ax, (name, part) in zip(axes, panels.items(), strict=True):
        for k, (method, own) in enumerate(part.groupby("method", sort=False)):
            one = look(str(method), k)
            ax.fill_between(own["lag_s"], own["ccc_within_low"], own["ccc_within_high"], color=one.colour, alpha=0.08,
                            lw=0)
            ax.plot(own["lag_s"], own["ccc_within"], label=label_of(str(method)), lw=1.0, **line_style(one),
                    **marker_style(one, 3.5))
        ax.set_title(name, fontsize=7)
        ax.set_xlabel("Lag of EEG (s; above 0 = late)")
        value_grid(ax)
    axes[0].set_ylabel("CCC within trials")
    legend_below(figure, axes[0], 3)
    title(figure, f"EEG out of step: {label}")
    return figure


def lag_of(condition: str) -> float | None:
    """Seconds by which a condition's name says that EEG is late; None for another condition."""
    words = condition.split()
    if condition == ON_TIME:
        return 0.0
    if len(words) != 4 or words[0] != "EEG" or words[3] not in ("late", "early"):
        return None
    return float(words[1]) * (1 if words[3] == "late" else -1)


def lags(found: Mapping[str, pd.DataFrame], label: str) -> Figure:
    """One panel per sensor: lag put in against lag found by the scan, its interval, the true line, and learned lags."""
    scan, truth, learned = found["scan"], found["truth"], found["learned"]
    names = list(dict.fromkeys(scan["modality"]))
    n_rows, n_columns = panel_grid(len(names), 4)
    figure = new_figure(width_of(n_columns), 1.7 * n_rows + 0.9)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True)
    for ax, name in zip(grid.flat, names, strict=False):
        own = scan[scan["modality"] == name].sort_values("injected_s")
        true_s = float(truth[truth["modality"] == name]["lag_s"].mean())
        ax.plot(own["injected_s"], own["injected_s"] + true_s, label="put in + true own lag", **TRUTH)
        ax.errorbar(own["injected_s"], own["lag_s"], [own["lag_s"] - own["low_s"], own["high_s"] - own["lag_s"]],
                    fmt="o", ms=3, lw=0.7, color="#0072B2", label="scan, 90 % interval")
        if name == "EEG" and len(learned):
            part = learned[(learned["modality"] == "EEG")].assign(put_s=lambda t: t["trained"].map(lag_of))
            part = part[part["put_s"].notna()]
            ax.plot(part["put_s"], part["lag_s"], "^", ms=4, color="#D55E00", label="learned from there")
        ax.set_title(name, fontsize=7)
        value_grid(ax)
    for ax in list(grid.flat)[len(names):]:
        ax.set_visible(False)
    for ax in list(grid.flat)[max(len(names) - n_columns, 0):len(names)]:
        ax.set_xlabel("Lag put in (s)")
        ax.tick_params(labelbottom=True)
    for ax in grid[:, 0]:
        ax.set_ylabel("Lag found (s)")
    eeg = list(grid.flat)[names.index("EEG")] if "EEG" in names else grid.flat[0]
    legend_below(figure, eeg, 3)
    title(figure, f"Lags behind the ratings: {label}")
    return figure


def example(frame: pd.DataFrame, label: str, condition: str) -> Figure:
    """One trial: what was rated, and what models trained under losses say where stretches of every sensor are lost."""
    dimensions = list(dict.fromkeys(frame["dimension"]))
    figure = new_figure(width_of(3), 1.9 * len(dimensions) + 0.8)
    axes = figure.subplots(len(dimensions), 1, squeeze=False, sharex=True)[:, 0]
    shown = frame[frame["tested"].eq(condition) & frame["trained"].eq(condition)]
    for ax, dimension in zip(axes, dimensions, strict=True):
        part = shown[shown["dimension"] == dimension].sort_values("window")
        for k, (method, own) in enumerate(part.groupby("method", sort=False)):
            ax.plot(own["start_s"], own["predicted"], lw=1.0, label=label_of(str(method)),
                    **line_style(look(str(method), k)))
        first = part[part["method"] == part["method"].iloc[0]]
        ax.plot(first["start_s"], first["rating"], color=TRUTH_COLOUR, lw=1.6, label="Rated")
        ax.set_ylabel(dimension.capitalize())
        value_grid(ax)
    axes[-1].set_xlabel("Start of the window (s)")
    legend_below(figure, axes[0], 3)
    title(figure, f"One trial, {condition}: {label}")
    return figure
