"""The palette in Vega's words: marker paths, scales, and the legend's swatches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import altair as alt

from himoe.report.palette import Look, look

LINE_WIDTH = 2.0


def _polygon(corners: int, turn: float = 0.0, inner: float | None = None) -> str:
    """A closed path of radius 1; with *inner* a star. *turn* = 0 puts a corner on top."""
    points = []
    for k in range(corners * (2 if inner else 1)):
        radius = inner if inner and k % 2 else 1.0
        angle = math.pi * (turn + 2 * k / (corners * (2 if inner else 1)))
        points.append(f"{radius * math.sin(angle):.3f},{-radius * math.cos(angle):.3f}")
    return "M" + "L".join(points) + "Z"


_PLUS = "M-0.35,-1L0.35,-1L0.35,-0.35L1,-0.35L1,0.35L0.35,0.35L0.35,1L-0.35,1L-0.35,0.35L-1,0.35L-1,-0.35L-0.35,-0.35Z"
_CROSS = ("M-0.95,-0.5L-0.5,-0.95L0,-0.45L0.5,-0.95L0.95,-0.5L0.45,0L0.95,0.5L0.5,0.95L0,0.45L-0.5,0.95L-0.95,0.5"
          "L-0.45,0Z")
# matplotlib's markers as SVG paths within -1..1
MARKER_PATHS: dict[str | tuple[int, int, int], str] = {
    "o": _polygon(24), "s": _polygon(4, 0.25), "^": _polygon(3), "v": _polygon(3, 1.0), "<": _polygon(3, -0.5),
    ">": _polygon(3, 0.5), "D": _polygon(4), "d": "M0,-1L0.6,0L0,1L-0.6,0Z", "P": _PLUS, "X": _CROSS,
    "*": _polygon(5, 0.0, 0.42), "p": _polygon(5), "h": _polygon(6), "H": _polygon(6, 1 / 6), "8": _polygon(8, 1 / 8),
    **{(n, 1, 0): _polygon(n, 0.0, 0.5) for n in (4, 6, 8)},
}


def looks_of(methods: Sequence[str]) -> list[Look]:
    """The looks of *methods*, spare ones for those without their own."""
    return [look(method, k) for k, method in enumerate(methods)]


def scales(methods: Sequence[str]) -> dict[str, alt.Scale]:
    """Scales ``colour``, ``shape`` and ``dash`` over the keys of *methods*."""
    domain, found = list(methods), looks_of(methods)
    return {
        "colour": alt.Scale(domain=domain, range=[item.colour for item in found]),
        "shape": alt.Scale(domain=domain, range=[MARKER_PATHS[item.marker] for item in found]),
        "dash": alt.Scale(domain=domain, range=[[LINE_WIDTH * n for n in item.dash] or [1, 0] for item in found]),
    }


def swatch(item: Look) -> dict[str, str]:
    """What the HTML legend draws: colour, path, dash."""
    return {"colour": item.colour, "path": MARKER_PATHS[item.marker],
            "dash": " ".join(f"{LINE_WIDTH * n:g}" for n in item.dash)}
