"""The figures of the paper and those beyond it, from our results, each as SVG and PNG.

Published and our own numbers never share a panel, but a scale where they can be compared; every title carries the
data's provenance.
A figure chooses its runs by what they are (set, protocol, task, modalities, method), never by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
from matplotlib.figure import Figure

from himoe.core.errors import bad_input
from himoe.core.params import ReportParams
from himoe.report.figures.costs import cost_against_score
from himoe.report.figures.leaks import leak_audit
from himoe.report.figures.losses import training_curves
from himoe.report.figures.missing import figure3, figure6, figure7
from himoe.report.figures.overview import overview
from himoe.report.figures.reliability import calibration, calibration_classes
from himoe.report.figures.routing import figure4a, figure4b
from himoe.report.figures.style import save, style
from himoe.report.figures.subsets import combinations
from himoe.report.figures.trajectories import figure2, figure5
from himoe.scoring.results import RunResult

__all__ = ["FIGURES", "Drawer", "draw", "save"]

Drawer = Callable[[Mapping[str, RunResult], ReportParams, pd.DataFrame], Figure | None]

FIGURES: dict[str, Drawer] = {
    "overview": overview,
    "figure2": figure2,
    "figure3": figure3,
    "figure4a": figure4a,
    "figure4b": figure4b,
    "figure5": figure5,
    "figure6": figure6,
    "figure7": figure7,
    "leak_audit": leak_audit,
    "combinations": combinations,
    "calibration": calibration,
    "calibration_classes": calibration_classes,
    "training_curves": training_curves,
    "cost": cost_against_score,
}


def draw(name: str, results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """One figure of the report; None where no run has what it shows.

    Parameters
    ----------
    name : str
        A key of ``FIGURES``.
    results : {run: RunResult}
        From ``himoe.scoring.results.load_results``.
    settings : ReportParams
        The set whose runs are shown, and the two methods beside Hi-MoE in some figures.
    cost : DataFrame
        From ``himoe.scoring.results.load_cost``: what was counted, and what was measured.

    Raises
    ------
    InputError
        For an unknown figure, or runs whose files do not fit together.
    """
    if name not in FIGURES:
        raise bad_input("figure", repr(name), "one of " + " ".join(FIGURES), "correct the name")
    with style():
        return FIGURES[name](results, settings, cost)
