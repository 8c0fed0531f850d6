"""Outlines of a drawn face that move with its action units (Facial Action Coding System, Ekman & Friesen 1978).

Lengths are in widths of the face; the origin lies between the eyes, x to the right of the picture,
y down. Legend: N frames, Q outlines of one kind, P points of an outline. All sizes are chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

SIDES = (-1.0, 1.0)
POINTS = 15  # points along one edge of an outline
IRIS, PUPIL, GLINT = 0.052, 0.022, 0.010  # radii
JAW_Y = 0.42  # below this line everything follows the jaw
JAW_DROP, CHIN_RAISE = 0.30, 0.04  # relative lengthening below that line


@dataclass(frozen=True)
class Proportions:
    """Where a person's features lie and how large they are (widths of the face)."""

    eye_x: float = 0.205
    eye_half: float = 0.105
    eye_open: float = 0.044
    brow_y: float = -0.145
    brow_thick: float = 0.040
    nose_y: float = 0.28
    nose_half: float = 0.095
    mouth_y: float = 0.47
    mouth_half: float = 0.17
    upper_lip: float = 0.040
    lower_lip: float = 0.055
    chin_y: float = 0.76


Units = Mapping[str, np.ndarray]


def outlines(shape: Proportions, units: Units, blink: np.ndarray) -> dict[str, np.ndarray]:
    """Every moving outline, {name: (N, Q, P, 2)}, in the order of drawing.

    Parameters
    ----------
    units : {action unit: ndarray (N,)}
        Intensities in 0..1.
    blink : ndarray, (N,)
        Closure of the lids in 0..1.
    """
    return _eyes(shape, units, blink) | {"brow": _brows(shape, units)} | _nose(shape, units) | _mouth(shape, units)


def jaw_stretch(units: Units) -> np.ndarray:
    """Factor on lengths below ``JAW_Y``, (N,): the jaw drops with AU26, the chin rises with AU17."""
    return 1.0 + JAW_DROP * units["AU26"] - CHIN_RAISE * units["AU17"]


def _band(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Outline between two edges, (N, 2 P, 2); each edge is (N, P) or broadcasts to it."""
    x, top, bottom = np.broadcast_arrays(x, top, bottom)
    edge = np.stack([x, top], axis=-1)
    return np.concatenate([edge, np.stack([x, bottom], axis=-1)[:, ::-1]], axis=1)


def _both(half: np.ndarray) -> np.ndarray:
    """An outline on the right, (N, P, 2), and its mirror image: (N, 2, P, 2)."""
    return np.stack([half * np.array([side, 1.0]) for side in SIDES], axis=1)


def _brows(shape: Proportions, units: Units) -> np.ndarray:
    """AU1 lifts the inner end, AU2 the outer one; AU4 lowers all and draws the inner ends together."""
    u = np.linspace(0.0, 1.0, POINTS)
    au1, au2, au4, au9 = (units[name][:, None] for name in ("AU1", "AU2", "AU4", "AU9"))
    x = 0.085 + 0.27 * u - 0.030 * au4 * (1 - u)
    y = (shape.brow_y - 0.030 * np.sin(np.pi * (0.05 + 0.8 * u)) - 0.075 * au1 * (1 - u) ** 2
         - au2 * (0.012 + 0.050 * u**1.5) + 0.060 * au4 * (1 - 0.6 * u) + 0.020 * au9 * (1 - u))
    half = 0.5 * shape.brow_thick * (1 - 0.7 * u**2)
    return _both(_band(x, y - half, y + half))


def _eyes(shape: Proportions, units: Units, blink: np.ndarray) -> dict[str, np.ndarray]:
    """AU5 raises the upper lid, AU6 the lower one; a blink brings the upper lid down to the lower one."""
    t = np.linspace(-1.0, 1.0, POINTS)
    x = (shape.eye_x + shape.eye_half * t)[None]
    closed = blink[:, None]
    raised = shape.eye_open * (0.85 + 0.65 * units["AU5"] - 0.20 * units["AU4"] - 0.15 * units["AU6"])[:, None]
    low = shape.eye_open * (0.62 - 0.50 * units["AU6"] - 0.15 * units["AU9"])[:, None]
    arch = 1 - np.abs(t) ** 2.2
    lower = low * arch
    upper = arch * ((1 - closed) * -raised + closed * (low - 0.004))
    crease = np.minimum(upper, -0.3 * raised * arch) - 0.030 * (1 - 0.5 * t**2)
    return {
        "crease": _both(_band(x, crease - 0.010 * arch, crease)),
        "sclera": _both(_band(x, upper, lower)),
        **{name: _discs(shape, radius, place, upper, lower)
           for name, radius, place in (("iris", IRIS, (0.0, 0.0)), ("pupil", PUPIL, (0.0, 0.0)),
                                       ("glint", GLINT, (0.018, -0.018)))},
        "lash": _both(_band(x, upper - 0.017 * arch, upper + 0.004)),
        "lower_lid": _both(_band(x, lower, lower + 0.008)),
    }


def _discs(
    shape: Proportions, radius: float, place: tuple[float, float], upper: np.ndarray, lower: np.ndarray
) -> np.ndarray:
    """A disc in each eye, cut off by the lids: (N, 2, P, 2). Both glints lie on the same side."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    t = np.linspace(-1.0, 1.0, POINTS)
    discs = []
    for side in SIDES:
        dx = place[0] + radius * np.cos(angle)
        x = side * shape.eye_x + dx
        inside = side * dx / shape.eye_half  # the lids' own coordinate; right eye and mirror image
        weights = np.stack([np.interp(inside, t, unit) for unit in np.eye(POINTS)])  # interpolation, linear in the lid
        edges = [lid @ weights for lid in (upper, lower)]
        y = np.clip(-0.006 + place[1] + radius * np.sin(angle), edges[0], np.maximum(*edges))
        discs.append(np.stack([np.broadcast_to(x, y.shape), y], axis=-1))
    return np.stack(discs, axis=1)


def _nose(shape: Proportions, units: Units) -> dict[str, np.ndarray]:
    """AU9 pulls the wings and nostrils up."""
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    up = 0.030 * units["AU9"][:, None]
    y = shape.nose_y + 0.010 - up + 0.015 * np.sin(angle) - 0.006 * np.cos(angle)
    x = np.broadcast_to(0.52 * shape.nose_half + 0.027 * np.cos(angle), y.shape)
    bend = np.linspace(-1.0, 1.0, 9)
    wing_y = shape.nose_y - 0.020 - up + 0.045 * bend
    wing_x = shape.nose_half * (1.02 - 0.22 * bend**2)
    wing = np.concatenate([np.stack([np.broadcast_to(wing_x, wing_y.shape), wing_y], axis=-1),
                           np.stack([np.broadcast_to(wing_x + 0.014 * (1 - bend**2), wing_y.shape), wing_y],
                                    axis=-1)[:, ::-1]], axis=1)
    return {"nostril": _both(np.stack([x, y], axis=-1)), "wing": _both(wing)}


def _mouth(shape: Proportions, units: Units) -> dict[str, np.ndarray]:
    """AU12 pulls the corners out and up, AU15 down; AU25 parts the lips, AU26 drops the lower one, AU17 lifts it."""
    t = np.linspace(-1.0, 1.0, POINTS)
    au9, au12, au15, au17, au25, au26 = (
        units[name][:, None] for name in ("AU9", "AU12", "AU15", "AU17", "AU25", "AU26"))
    arch = 1 - t**2
    x = t * shape.mouth_half * (1 + 0.30 * au12 - 0.08 * au17)
    middle = shape.mouth_y + t**2 * (0.070 * au15 - 0.080 * au12) - 0.018 * au17 * arch - 0.010 * au9
    gap = (0.055 * au25 + au26 * (0.060 + 0.040 * au25)) * arch
    upper, lower = middle - 0.20 * gap - 0.012 * au9 * arch, middle + 0.80 * gap
    bow = arch**0.8 * (1 - 0.22 * np.exp(-((t / 0.16) ** 2)))
    top = upper - shape.upper_lip * (1 - 0.25 * au12) * bow
    bottom = lower + shape.lower_lip * (1 + 0.25 * au17) * (1 - 0.15 * au12) * arch**0.8
    teeth = upper + np.minimum(0.55 * (lower - upper), 0.045)
    inner, shiny = np.abs(t) <= 0.8, np.abs(t) <= 0.55
    whole = {
        "mouth": _band(x, upper, lower),
        "teeth": _band(x[:, inner], upper[:, inner] - 0.010, teeth[:, inner] - 0.004),
        "upper_lip": _band(x, top, upper + 0.004), "lower_lip": _band(x, lower - 0.004, bottom),
        "lip_shine": _band(x[:, shiny], (lower + 0.40 * (bottom - lower))[:, shiny],
                           (lower + (0.40 + 0.20 * arch) * (bottom - lower))[:, shiny]),
        "lip_line": _band(x, upper - 0.002, upper + 0.004),
    }
    return {name: outline[:, None] for name, outline in whole.items()}
