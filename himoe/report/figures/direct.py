"""Names beside the lines and points they belong to, so that no legend has to be matched by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from himoe.report.figures.style import marker_style, width_in
from himoe.report.palette import Look
from himoe.report.spacing import spread_out

POINTS = 6.0  # of the names
LINE_IN = 0.1  # height of a line of names
INK = "#222222"
MARKER_AT, NAME_AT = 0.11, 0.17  # inches right of the panel


@dataclass(frozen=True)
class End:
    """Where a line ends, its name, and how it looks; without a look a plain line."""

    x: float
    y: float
    name: str
    look: Look | None = None


def name_ends(ax: Axes, ends: Sequence[End], size_in: tuple[float, float]) -> None:
    """Each name right of the panel, tied to its line's end, in the order of the lines; *size_in* is the panel's."""
    width, height = size_in
    low, high = ax.get_ylim()
    per_in = (high - low) / height
    places = spread_out([end.y for end in ends], LINE_IN * per_in, low, high)
    left, right = ax.get_xlim()
    for end, y in zip(ends, places, strict=True):
        across: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "clip_on": False}
        colour = end.look.colour if end.look else INK
        leader = [(end.x - left) / (right - left), 1 + (MARKER_AT - 0.05) / width]
        ax.plot(leader, [end.y, y], color=colour, lw=0.4, label="_end", **across)
        if end.look:
            ax.plot([1 + MARKER_AT / width], [y], ls="", color=colour, label="_end", **marker_style(end.look, 3.4),
                    **across)
        ax.text(1 + NAME_AT / width, y, end.name, fontsize=POINTS, color=INK, va="center_baseline", ha="left", **across)


def name_points(ax: Axes, points: Sequence[tuple[float, float, str]], size_in: tuple[float, float]) -> None:
    """Each name beside its point (x, y, name), where it covers neither a point nor another name."""
    size = np.asarray(size_in)
    spots = [ax.transAxes.inverted().transform(ax.transData.transform((x, y))) * size for x, y, _ in points]
    taken = [(*(spot - 0.06), *(spot + 0.06)) for spot in spots]
    for spot, (_, _, name) in zip(spots, points, strict=True):
        box = _free_box(spot, width_in(name, POINTS), taken, size_in)
        taken.append(box)
        ax.text(box[0] / size[0], (box[1] + box[3]) / 2 / size[1], name, transform=ax.transAxes, fontsize=POINTS,
                color=INK, ha="left", va="center")


def _free_box(spot: np.ndarray, width: float, taken: Sequence[tuple[float, ...]],
              size_in: tuple[float, float]) -> tuple[float, ...]:
    """The first place around *spot*, from near to far, that is inside the panel and free."""
    half = LINE_IN / 2
    for far in (0.0, 0.09, 0.18, 0.27, 0.36):
        for dx, dy in ((0.08, 0.0), (-0.08 - width, 0.0), (0.06, 0.1), (0.06, -0.1), (-0.06 - width, 0.1),
                       (-0.06 - width, -0.1), (-width / 2, 0.12), (-width / 2, -0.12)):
            y = spot[1] + dy + far * (np.sign(dy) or 0.0)
            box = (spot[0] + dx, y - half, spot[0] + dx + width, y + half)
            inside = box[0] >= 0 and box[2] <= size_in[0] and box[1] >= 0 and box[3] <= size_in[1]
            if inside and not any(_overlap(box, other) for other in taken):
                return box
    return (spot[0] + 0.08, spot[1] - half, spot[0] + 0.08 + width, spot[1] + half)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
