"""A picture of one trial over time: what was rated, what was predicted, and the interval."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from himoe.report.figures.style import PAGE_IN, legend_below, new_figure, save, style, title, value_grid
from himoe.report.palette import TRUTH_COLOUR, look
from himoe.scoring.paper import METHOD_LABELS
from himoe.training.description import Description

SHOWN = ("valence", "arousal")
TRIAL = ["subject", "trial"]


def typical_trial(frame: pd.DataFrame) -> tuple[str, str]:
    """Person and trial whose mean error is the middle one of all: neither the best nor the worst to show."""
    rated = frame[frame["rating"].notna() & frame["dimension"].isin(SHOWN)]
    errors = (rated["predicted"] - rated["rating"]).abs().groupby([rated[name] for name in TRIAL]).mean()
    subject, trial = errors.sort_values(kind="stable").index[len(errors) // 2]
    return str(subject), str(trial)


def draw_trial(frame: pd.DataFrame, chosen: tuple[str, str], form: Description, label: str, stem: Path
               ) -> tuple[Path, Path]:
    """Write ``stem.png`` and ``stem.svg``: a panel per dimension; *label* says whose data it is."""
    subject, trial = chosen
    rows = frame[(frame["subject"] == subject) & (frame["trial"] == trial)]
    dimensions = [name for name in SHOWN if name in form.dimensions] or list(form.dimensions)[:2]
    with style():
        figure = new_figure(PAGE_IN, 1.6 * len(dimensions) + 1.1)
        panels = figure.subplots(len(dimensions), 1, squeeze=False, sharex=True)[:, 0]
        for ax, name in zip(panels, dimensions, strict=True):
            _panel(ax, rows[rows["dimension"] == name].sort_values("start_s"), name, form)
        panels[-1].set_xlabel("Time in the trial (s), middle of the window")
        title(figure, f"{METHOD_LABELS.get(form.method, form.method)}, person {subject}, trial {trial}, not seen in "
              "training: the trial with the middle error of all held out", label)
        legend_below(figure, panels[0], 3)
    return save(figure, stem)


def _panel(ax: Axes, rows: pd.DataFrame, name: str, form: Description) -> None:
    time_s, colour = rows["start_s"] + form.length_s / 2, look(form.method).colour
    ax.fill_between(time_s, rows["low"], rows["high"], color=colour, alpha=0.2, lw=0,
                    label=f"{100 * form.level:.0f} % interval")
    ax.plot(time_s, rows["predicted"], color=colour, lw=1.4, label="Predicted")
    ax.plot(time_s, rows["rating"], color=TRUTH_COLOUR, lw=1.8, label="Rated")
    ax.set_ylabel(f"{name.capitalize()} (rating)")
    ax.set_ylim(*form.scale)
    value_grid(ax)
