"""Encodings that the page's charts share, and what every chart is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from himoe.core.params import ReportParams
from himoe.report.chosen import OWN_METHOD, Results, family, main_runs
from himoe.report.looks import looks_of
from himoe.report.palette import Look
from himoe.report.spacing import spread_out
from himoe.scoring.paper import METHOD_LABELS
from himoe.scoring.results import provenance

HEIGHT_PX, NAME_PX = 320, 14  # of a chart's panel, and of a line of names


@dataclass(frozen=True)
class Material:
    """What every block is made from."""

    results: Results
    cost: pd.DataFrame
    settings: ReportParams

    @property
    def figure_data(self) -> str:
        """Provenance of the runs that most charts show."""
        return provenance(main_runs(self.results, self.settings).values())


def x_axis(field: str, title: str, zero: bool = False, number: str | None = None) -> alt.X:
    """A quantitative x; *number* is a d3 format."""
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(zero=zero, nice=True),
                 axis=alt.Axis(format=number) if number else alt.Axis())


def y_axis(field: str, title: str) -> alt.Y:
    """A quantitative y that need not hold zero."""
    return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(zero=False, nice=True))


def name_places(values: Sequence[float], low: float, high: float) -> list[float]:
    """Where names of points at *values* stand on an upright axis from *low* to *high*, so that none covers another."""
    return spread_out(values, NAME_PX * (high - low) / HEIGHT_PX, low, high)


def sorted_labels(field: str, by: str, axis: alt.Axis) -> alt.Y:
    """Names down the side, the largest *by* on top."""
    return alt.Y(f"{field}:N", title=None, sort=alt.EncodingSortField(field=by, op="max", order="descending"),
                 axis=axis)


def methods(frame: pd.DataFrame) -> dict[str, str]:
    """Key and label of each method: Hi-MoE, then as in ``METHOD_LABELS``, then the others as they come."""
    found = dict(zip(frame["method"], frame["label"], strict=True))
    ranked = [OWN_METHOD, *METHOD_LABELS, *found]
    return {method: found[method] for method in sorted(found, key=ranked.index)}


def legend(frame: pd.DataFrame, ends: pd.Series | None = None) -> tuple[tuple[str, str, Look], ...]:
    """Key, label and look of each method; in the order of the lines, top first, where *ends* says where they end."""
    found = methods(frame)
    entries = list(zip(found, found.values(), looks_of(list(found)), strict=True))
    if ends is not None:  # sorting is stable: methods that do not stand in the first view stay last
        entries.sort(key=lambda entry: -float(ends.get(entry[0], -np.inf)))
    return tuple(entries)


def families(frame: pd.DataFrame, first: str = "") -> tuple[str, ...]:
    """The families, *first* first."""
    found = list(dict.fromkeys(frame["family"]))
    return tuple(sorted(found, key=lambda name: (name != first, found.index(name))))


def main_family(material: Material) -> str:
    """The family of the runs that most charts show."""
    runs = list(main_runs(material.results, material.settings).values())
    return family(runs[0]) if runs else ""


def tips(*columns: str) -> list[alt.Tooltip]:
    """Tooltips written ``field|Title``; fields that end in #: numbers at four digits; in ##: counts, as 194k."""
    tips = []
    for column in columns:
        name, _, title = column.partition("|")
        shape: Any = (alt.Undefined, ".4~g", ".3~s")[name.count("#")]
        tips.append(alt.Tooltip(f"{name.rstrip('#')}:{'Q' if '#' in name else 'N'}", title=title, format=shape))
    return tips
