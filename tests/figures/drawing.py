"""What the tests of figures share: what a figure is drawn from, and figures that are drawn once and only read."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report.figures import draw
from himoe.scoring.results import RunResult

Material = tuple[Mapping[str, RunResult], ReportParams, pd.DataFrame]
_DRAWN: dict[tuple[str, int], tuple[Material, Figure]] = {}  # with the material, whose id no other can get then


def drawn(name: str, material: Material) -> Figure:
    """The figure of *material*, which is there. Do not change it: the next test gets the same one."""
    if (name, id(material)) not in _DRAWN:
        _DRAWN[name, id(material)] = material, drawn_anew(name, material)
    return _DRAWN[name, id(material)][1]


def drawn_anew(name: str, material: Material) -> Figure:
    """One of one's own."""
    figure = draw(name, *material)
    assert figure is not None
    return figure
