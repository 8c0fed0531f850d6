"""CCC by modality combination: which sensors may fail, and what is left then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import OWN_METHOD, ceiling, combination_set, shown_combinations, spread, with_baselines
from himoe.report.figures.style import (
    COLUMN_IN,
    PAGE_IN,
    draw_ceiling,
    legend_below,
    marker_style,
    new_figure,
    title,
    value_grid,
)
from himoe.report.palette import look
from himoe.scoring.results import RunResult, provenance

MOST_COLUMNS = 63  # all combinations of six modalities
PRESENT, ABSENT = "#222222", "#d9d9d9"


def combinations(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """CCC of Hi-MoE and two baselines by modality combination; the dots below say which modalities are there.

    Shown is the largest modality set whose 2^M - 1 combinations were all scored, else the largest of all.
    """
    modality_set = combination_set(results, settings)
    if modality_set is None:
        return None
    runs = with_baselines(results, settings, modality_set)
    frame = frames.combination_frame(results, settings)
    scores = {method: frame[frame["run"] == run.run] for method, run in runs.items()}
    scores = {method: part for method, part in scores.items() if not part.empty}
    modalities = list(runs[OWN_METHOD].info["modalities"])
    shown, _ = shown_combinations(scores[OWN_METHOD]["combination"], len(modalities), MOST_COLUMNS)
    figure = new_figure(PAGE_IN if len(shown) > 7 else COLUMN_IN, 2.9 + 0.14 * len(modalities))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.9, 0.14 * len(modalities)])
    _points(above, {method: runs[method] for method in scores}, scores, shown)
    draw_ceiling(above, ceiling(runs.values()), label="Attainable, all present")
    _matrix(below, modalities, shown)
    every = 2 ** len(modalities) - 1
    count = f"all {every} combinations" if len(shown) == every else f"{len(shown)} of {every} combinations"
    title(figure, f"CCC by modality combination ({count})",
          f"{provenance(runs.values())}; bars: SD over {spread(runs.values())}")
    legend_below(figure, above, 4 if len(shown) > 7 else 2)
    return figure


def _points(ax: Axes, runs: Mapping[str, RunResult], scores: Mapping[str, pd.DataFrame],
            shown: Sequence[str]) -> None:
    """One point per combination and method, side by side; SD as a thin line."""
    for k, (method, frame) in enumerate(scores.items()):
        aligned = frame.set_index("combination").reindex(list(shown))
        x = np.arange(len(shown)) + 0.22 * (k - (len(scores) - 1) / 2)
        found = look(method, k)
        ax.errorbar(x, aligned["ccc"], yerr=aligned["sd"].fillna(0.0), color=found.colour, ls="",
                    elinewidth=0.7, label=runs[method].named,
                    **marker_style(found, 3.6 if len(shown) <= 31 else 2.4))
    ax.axhline(0, color="black", lw=0.5)
    ax.set_ylabel("CCC, mean over dimensions")
    ax.tick_params(axis="x", length=0, labelbottom=False)
    value_grid(ax)


def _matrix(ax: Axes, modalities: Sequence[str], shown: Sequence[str]) -> None:
    """A dark dot where a modality is there, a pale one where it is absent."""
    present = np.array([[digit == "1" for digit in combination] for combination in shown]).T
    rows, columns = np.divmod(np.arange(present.size).reshape(present.shape), len(shown))
    size = 16 if len(shown) <= 31 else 7
    for at, colour in ((~present, ABSENT), (present, PRESENT)):
        ax.scatter(columns[at], rows[at], s=size, color=colour, lw=0, zorder=3)
    for column in range(len(shown)):
        there = np.flatnonzero(present[:, column])
        ax.plot([column, column], [there.min(), there.max()], color=PRESENT, lw=0.8, zorder=2)
    ax.set_yticks(range(len(modalities)), modalities)
    ax.set_ylim(len(modalities) - 0.4, -0.6)
    ax.set_xlim(-0.6, len(shown) - 0.4)
    ax.set_xlabel("Modality combination (dark dot: present, pale dot: absent)")
    ax.tick_params(length=0, labelbottom=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
