"""Figures 2 and 5: predictions over time beside the ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import MOVING_TRIALS, OWN_METHOD, listed, trajectory_runs
from himoe.report.figures.style import COLUMN_IN, PAGE_IN, legend_below, line_style, new_figure, title, value_grid
from himoe.report.palette import TRUTH_COLOUR, look
from himoe.scoring.results import RunResult, provenance


def figure2(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 2: valence and arousal over time, one column per test trial; None without a Hi-MoE run."""
    return _figure(results, settings, ("valence", "arousal"))


def figure5(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 5: dominance and liking over time; None where the set has neither."""
    return _figure(results, settings, ("dominance", "liking"))


def _figure(results: Mapping[str, RunResult], settings: ReportParams, asked: Sequence[str]) -> Figure | None:
    runs = trajectory_runs(results, settings)
    if not runs:
        return None
    dimensions = [dimension for dimension in asked if dimension in runs[OWN_METHOD].info["dimensions"]]
    if not dimensions:
        return None
    frame = frames.trajectory_frame(results, settings)
    trials = sorted(list(dict.fromkeys(zip(frame["subject"], frame["trial"], strict=True)))[:MOVING_TRIALS])
    height = 1.35 * len(dimensions) + 1.25
    figure = new_figure(COLUMN_IN if len(trials) == 1 else PAGE_IN, height)
    grid = figure.subplots(len(dimensions), len(trials), squeeze=False, sharex="col", sharey="row")
    for i, dimension in enumerate(dimensions):
        for j, (subject, trial) in enumerate(trials):
            _panel(grid[i, j], runs, frame[(frame["subject"] == subject) & (frame["trial"] == trial)
                                           & (frame["dimension"] == dimension)])
        grid[i, 0].set_ylabel(f"{dimension.capitalize()} ({_scale(runs[OWN_METHOD])})")
    for j, (subject, name) in enumerate(trials):
        grid[0, j].set_title(f"subject {subject}, trial {name}")
        grid[-1, j].set_xlabel("Time in the trial (s)")
    title(figure, f"Predicted and rated {listed(dimensions)} over time, test trials", provenance(runs.values()),
          *_remarks(runs))
    legend_below(figure, grid[0, 0], 4 if len(trials) > 1 else 2)
    return figure


def _scale(run: RunResult) -> str:
    return "rating {:g} to {:g}".format(*run.info["scale"])


def _remarks(runs: Mapping[str, RunResult]) -> list[str]:
    """What the bands are, and whether the truth can move at all."""
    seeds = {run.label: int(run.metrics["seeds"]) for run in runs.values()}
    single = [label for label, n in seeds.items() if n == 1]
    if len(single) == len(seeds):
        band = "one seed, so there is no band"
    else:
        band = f"line: mean, band: range over {max(seeds.values())} seeds"
        band += f" ({listed(single)}: one seed, no band)" if single else ""
        band += "; not a confidence interval"
    constant = runs[OWN_METHOD].metrics["label_source"] == "trial"
    return [band] + (["one rating per trial, so the truth is a constant"] if constant else [])


def _panel(ax: Axes, runs: Mapping[str, RunResult], rows: pd.DataFrame) -> None:
    for k, (method, run) in enumerate(runs.items()):
        curve, style = rows[rows["run"] == run.run], line_style(look(method, k))
        if k == 0:
            ax.plot(curve["time_s"], curve["truth"], color=TRUTH_COLOUR, lw=1.8, label="Rating (truth)", zorder=3)
        if int(run.metrics["seeds"]) > 1:
            ax.fill_between(curve["time_s"], curve["low"], curve["high"], color=style["color"], alpha=0.2, lw=0)
        ax.plot(curve["time_s"], curve["predicted"], lw=1.4 if method == OWN_METHOD else 1.0, label=run.named, **style)
    value_grid(ax)
