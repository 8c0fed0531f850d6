"""Soft light and shade that come with an action unit: furrows, wrinkles and bulges of the skin.

Where they lie follows the descriptions of the Facial Action Coding System (Ekman & Friesen 1978);
how strong they are is chosen. Lengths are in widths of the face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from himoe.simulate.face_look import SHIFT, fixed_point, grid
from himoe.simulate.face_shapes import SIDES

ZERO = 128  # grey level of a furrow's patch that changes nothing
_NEGLIGIBLE = 2.0

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Mark:
    """A soft line (several points) or spot (one point), mirrored to both sides; *strength* in grey levels."""

    points: Points
    width: float
    strength: float


# Right side of the picture; the other side is its mirror image.
MARKS: dict[str, tuple[Mark, ...]] = {
    "AU1": (Mark(((0.0, -0.27), (0.10, -0.28), (0.17, -0.26)), 0.010, -38),
            Mark(((0.0, -0.33), (0.10, -0.34), (0.18, -0.32)), 0.010, -30)),
    "AU2": (Mark(((0.20, -0.26), (0.28, -0.28), (0.36, -0.24)), 0.010, -36),
            Mark(((0.19, -0.32), (0.27, -0.33), (0.34, -0.30)), 0.010, -26)),
    "AU4": (Mark(((0.032, -0.19), (0.026, -0.06)), 0.010, -46), Mark(((0.0, -0.13),), 0.030, 10)),
    "AU6": (Mark(((0.11, 0.075), (0.20, 0.100), (0.30, 0.075)), 0.012, -36), Mark(((0.27, 0.17),), 0.055, 22),
            Mark(((0.335, 0.00), (0.40, -0.03)), 0.008, -34), Mark(((0.335, 0.02), (0.41, 0.03)), 0.008, -34)),
    "AU9": (Mark(((0.0, 0.000), (0.045, 0.012)), 0.009, -46), Mark(((0.0, 0.040), (0.05, 0.054)), 0.009, -42),
            Mark(((0.075, 0.10), (0.11, 0.19)), 0.012, -36), Mark(((0.115, 0.22), (0.175, 0.32)), 0.012, -34)),
    "AU12": (Mark(((0.125, 0.25), (0.20, 0.33), (0.255, 0.44)), 0.013, -48), Mark(((0.30, 0.27),), 0.055, 22),
             Mark(((0.265, 0.40), (0.265, 0.45)), 0.012, -20)),
    "AU15": (Mark(((0.19, 0.51), (0.225, 0.58), (0.225, 0.62)), 0.013, -46), Mark(((0.17, 0.60),), 0.035, 14)),
    "AU17": (Mark(((0.0, 0.605), (0.09, 0.620)), 0.012, -34), Mark(((0.035, 0.675),), 0.012, -32),
             Mark(((0.085, 0.655),), 0.011, -28), Mark(((0.055, 0.715),), 0.011, -26)),
}


@dataclass(frozen=True)
class Furrow:
    """One action unit's change of a head patch: *rows*, *columns*, and (h, w, 4) uint8 round ``ZERO``."""

    unit: str
    rows: slice
    columns: slice
    change: np.ndarray

    def apply(self, patch: np.ndarray, intensity: float) -> None:
        """Add the change times *intensity* (0..1) to *patch*, in place; alpha stays."""
        part = patch[self.rows, self.columns]
        cv2.addWeighted(part, 1.0, self.change, intensity, -ZERO * intensity, dst=part)


def furrows(px: float, contrast: float, marks: Mapping[str, tuple[Mark, ...]] = MARKS) -> tuple[Furrow, ...]:
    """All furrows at *px* pixels a width of the face; *contrast* scales them to the lightness of the skin."""
    return tuple(_furrow(unit, parts, px, contrast) for unit, parts in marks.items())


def _furrow(unit: str, parts: tuple[Mark, ...], px: float, contrast: float) -> Furrow:
    x, y = grid(px)
    change = np.zeros((y.shape[0], x.shape[1]), dtype=np.float32)
    for mark in parts:
        change += contrast * mark.strength * _soft(mark, px, change.shape)
    touched = np.abs(change) > _NEGLIGIBLE / 2
    rows, columns = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    place = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    grey = np.clip(np.round(ZERO + change[place]), 0, 255).astype(np.uint8)
    return Furrow(unit, *place, np.dstack([grey, grey, grey, np.full_like(grey, ZERO)]))


def _soft(mark: Mark, px: float, size: tuple[int, ...]) -> np.ndarray:
    """The mark on both sides as a blurred line of height 1, (h, w)."""
    out = np.zeros(size, dtype=np.float32)
    x, y = grid(px)
    for side in SIDES:
        points = np.array(mark.points) * np.array([side, 1.0])
        if len(points) == 1:
            square = (x - points[0, 0]) ** 2 + (y - points[0, 1]) ** 2
            out = np.maximum(out, np.exp(-0.5 * square / mark.width**2))
            continue
        line = np.zeros(size, dtype=np.uint8)
        cv2.polylines(line, [fixed_point(points, px)], False, 255, 1, cv2.LINE_AA, SHIFT)
        blurred = cv2.GaussianBlur(line.astype(np.float32), (0, 0), max(mark.width * px, 0.6))
        out = np.maximum(out, blurred / blurred.max())
    return out
