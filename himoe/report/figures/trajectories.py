"""Figures 2 and 5: predictions over time beside the ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.core.errors import bad_input
from himoe.core.params import ReportParams
from himoe.report.figures.chosen import OWN_METHOD, listed, with_baselines, with_seeds
from himoe.report.figures.style import COLUMN_IN, PAGE_IN, legend_below, line_style, new_figure, title, value_grid
from himoe.report.palette import TRUTH_COLOUR, look
from himoe.scoring.results import RunResult, provenance, trajectories

MAX_TRIALS = 3


def figure2(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 2: valence and arousal over time, one column per test trial; None without a Hi-MoE run."""
    return _figure(results, settings, ("valence", "arousal"))


def figure5(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 5: dominance and liking over time; None where the set has neither."""
    return _figure(results, settings, ("dominance", "liking"))


def _figure(results: Mapping[str, RunResult], settings: ReportParams, asked: Sequence[str]) -> Figure | None:
    runs = with_seeds(with_baselines(results, settings), results)
    if not runs:
        return None
    dimensions = [dimension for dimension in asked if dimension in runs[OWN_METHOD].info["dimensions"]]
    if not dimensions:
        return None
    frames = {method: trajectories(run).sort_values("time_s") for method, run in runs.items()}
    trials = common_trials(frames)
    height = 1.35 * len(dimensions) + 1.25
    figure = new_figure(COLUMN_IN if len(trials) == 1 else PAGE_IN, height)
    grid = figure.subplots(len(dimensions), len(trials), squeeze=False, sharex="col", sharey="row")
    for i, dimension in enumerate(dimensions):
        for j, trial in enumerate(trials):
            _panel(grid[i, j], runs, frames, trial, dimension)
        grid[i, 0].set_ylabel(f"{dimension.capitalize()} ({_scale(runs[OWN_METHOD])})")
    for j, (subject, name) in enumerate(trials):
        grid[0, j].set_title(f"subject {subject}, trial {name}")
        grid[-1, j].set_xlabel("Time in the trial (s)")
    title(figure, f"Predicted and rated {listed(dimensions)} over time, test trials", provenance(runs.values()),
          *_remarks(runs))
    legend_below(figure, grid[0, 0], 4 if len(trials) > 1 else 2)
    return figure


def common_trials(frames: Mapping[str, pd.DataFrame], most: int = MAX_TRIALS) -> list[tuple[str, str]]:
    """The first trials (subject, trial) that every method predicts.

    Raises
    ------
    InputError
        If there is none: the runs were made with other folds or data.
    """
    sets = [set(zip(frame["subject"], frame["trial"], strict=True)) for frame in frames.values()]
    common = sorted(set.intersection(*sets))
    if not common:
        raise bad_input(f"trajectories of {', '.join(frames)}", "no test trial that all of them hold", "at least one",
                        "make these runs from one data set with the same folds")
    return common[:most]


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


def _panel(ax: Axes, runs: Mapping[str, RunResult], frames: Mapping[str, pd.DataFrame], trial: tuple[str, str],
           dimension: str) -> None:
    truth: np.ndarray | None = None
    for k, (method, frame) in enumerate(frames.items()):
        rows = frame[(frame["subject"] == trial[0]) & (frame["trial"] == trial[1]) & (frame["dimension"] == dimension)]
        y_true = rows["y_true"].to_numpy(float)
        if len(rows) == 0 or (truth is not None and not _same(truth, y_true)):
            raise bad_input(f"trajectories of run {runs[method].run!r}: {dimension} of trial {trial}",
                            "no rows, or other ratings than the first run's", "the same test trial in every run",
                            "use runs of one data set with the same windows")
        if truth is None:
            truth = y_true
            ax.plot(rows["time_s"], y_true, color=TRUTH_COLOUR, lw=1.8, label="Rating (truth)", zorder=3)
        style = line_style(look(method, k))
        if int(runs[method].metrics["seeds"]) > 1:
            ax.fill_between(rows["time_s"], rows["y_low"], rows["y_high"], color=style["color"], alpha=0.2, lw=0)
        ax.plot(rows["time_s"], rows["y_pred"], lw=1.4 if method == OWN_METHOD else 1.0, label=runs[method].named,
                **style)
    value_grid(ax)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, equal_nan=True)
