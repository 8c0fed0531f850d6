"""The look of one simulated person: colours, proportions, and the pictures that stay the same.

Lengths are in widths of the face, origin between the eyes (see face_shapes). A *patch* is the
head, RGBA, upright; the *scene* is wall, body and neck, RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

import cv2
import numpy as np

from himoe.simulate.face_shapes import SIDES, Proportions
from himoe.simulate.latent import generator

FACE_SHARE = 0.42  # width of the face as a share of the picture's height
EYES_Y = 0.45  # height of the eyes in the picture, as a share
LEFT, TOP, RIGHT, BOTTOM = -0.76, -0.84, 0.76, 1.06  # the patch
SHIFT = 4  # cv2 draws with 1/16 pixel
_LOOK = 2  # the stream of a person's random numbers
_SKINS = ((236, 196, 170), (224, 178, 148), (206, 158, 126), (184, 136, 104), (160, 114, 84))
_HAIRS = ((38, 30, 26), (62, 44, 34), (88, 64, 44), (128, 98, 62), (108, 100, 96))
_IRISES = ((72, 50, 36), (86, 74, 48), (74, 92, 106), (64, 84, 70))

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colours (RGB, 0..255), proportions, and whether hair is long and glasses are worn."""

    skin: Colour
    hair: Colour
    iris: Colour
    clothes: Colour
    wall: Colour
    shape: Proportions
    hairline_y: float
    long_hair: bool
    glasses: bool


def make_look(seed: int, participant: int) -> Look:
    """Draw one person's look: proportions vary by 4 % (SD), one person in five wears thin glasses."""
    rng = generator(seed, "deap", "face", participant, _LOOK)
    skin, hair, iris = (np.array(table[int(rng.integers(len(table)))], dtype=float) + rng.normal(0, 4, 3)
                        for table in (_SKINS, _HAIRS, _IRISES))
    clothes, wall = rng.uniform(50, 150, 3), rng.uniform(95, 160) + rng.normal(0, 6, 3)
    factors = np.clip(rng.normal(1.0, 0.04, len(fields(Proportions))), 0.9, 1.1)
    shape = Proportions(*(float(field.default * factor)  # type: ignore[operator]
                          for field, factor in zip(fields(Proportions), factors)))
    return Look(_colour(skin), _colour(hair), _colour(iris), _colour(clothes), _colour(wall), shape,
                float(rng.uniform(-0.46, -0.38)), bool(rng.random() < 0.4), bool(rng.random() < 0.2))


def _colour(values: np.ndarray) -> Colour:
    return cast(Colour, tuple(float(v) for v in np.clip(values, 8, 245)))


def grid(px: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x (1, w), y (h, 1) of the patch's pixels at *px* pixels a width of the face."""
    width, height = round((RIGHT - LEFT) * px), round((BOTTOM - TOP) * px)
    return (np.arange(width)[None] / px + LEFT).astype(np.float32), (np.arange(height)[:, None] / px + TOP).astype(
        np.float32)


def fixed_point(outline: np.ndarray, px: float, origin: tuple[float, float] = (LEFT, TOP)) -> np.ndarray:
    """Points (..., 2) as cv2's int32 with ``SHIFT`` fraction bits, counted from *origin*."""
    return np.ascontiguousarray(np.round((outline - np.array(origin)) * (px * 2**SHIFT)), dtype=np.int32)


def mask(
    outline: np.ndarray, size: tuple[int, int], px: float, origin: tuple[float, float] = (LEFT, TOP)
) -> np.ndarray:
    """An outline's share of each pixel, (h, w) float32 in 0..1."""
    out = np.zeros(size, dtype=np.uint8)
    cv2.fillPoly(out, [fixed_point(outline, px, origin)], 255, cv2.LINE_AA, SHIFT)
    return out.astype(np.float32) / 255


def over(below: np.ndarray, colour: np.ndarray | Sequence[float], share: np.ndarray) -> np.ndarray:
    """*colour* laid over *below* where *share* (h, w) says."""
    return below + (np.asarray(colour, dtype=np.float32) - below) * share[..., None]


def superellipse(rx: float, top: float, bottom: float, power: float = 2.2) -> np.ndarray:
    """Closed outline (P, 2) of half width *rx* that reaches from *top* (negative) to *bottom*."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    x, y = np.sign(c) * np.abs(c) ** (2 / power), np.sign(s) * np.abs(s) ** (2 / power)
    return np.stack([rx * x, np.where(y < 0, -top, bottom) * y], axis=-1)


def _bump(x: np.ndarray, y: np.ndarray, at: tuple[float, float], sd: tuple[float, float]) -> np.ndarray:
    return np.exp(-0.5 * (((x - at[0]) / sd[0]) ** 2 + ((y - at[1]) / sd[1]) ** 2))


def skin_shade(shape: Proportions, px: float) -> np.ndarray:
    """Brightness of the skin, (h, w): a rounded head lit from the front and above.

    Eye sockets are dark between a lighter forehead, cheeks and bridge of the nose, the pattern
    that brightness-based face detectors look for (Viola & Jones 2004, doi:10.1023/B:VISI.0000013087.49260.fb).
    """
    x, y = grid(px)
    depth = np.sqrt(np.clip(1 - (x / 0.60) ** 2 - (np.where(y < 0, y / 0.85, y / 1.05)) ** 2, 0.02, 1))
    shade = 0.62 + 0.40 * depth - 0.05 * y + 0.03 * x
    for side in SIDES:
        shade = shade - 0.27 * _bump(x, y, (side * shape.eye_x, -0.035), (0.105, 0.060))
        shade -= 0.10 * _bump(x, y, (side * 0.085, -0.01), (0.035, 0.055))
        shade += 0.09 * _bump(x, y, (side * 0.26, 0.19), (0.10, 0.075))
        shade -= 0.12 * _bump(x, y, (side * (shape.nose_half - 0.02), 0.17), (0.026, 0.10))
        shade -= 0.06 * _bump(x, y, (side * 0.155, 0.36), (0.03, 0.06))
    shade += 0.13 * _bump(x, y, (0.0, 0.08), (0.034, 0.13))
    shade += 0.09 * _bump(x, y, (0.0, shape.nose_y - 0.04), (0.04, 0.03))
    shade -= 0.20 * _bump(x, y, (0.0, shape.nose_y + 0.035), (0.085, 0.020))
    shade -= 0.14 * _bump(x, y, (0.0, shape.mouth_y + 0.095), (0.085, 0.022))
    return shade + 0.06 * _bump(x, y, (0.0, 0.66), (0.09, 0.06)) + 0.05 * _bump(x, y, (0.0, -0.27), (0.20, 0.09))


def head_patches(look: Look, px: float) -> tuple[np.ndarray, np.ndarray]:
    """The head without its features, and from behind: two patches (h, w, 4) uint8."""
    x, y = grid(px)
    size = (y.shape[0], x.shape[1])
    hair = _hair_colour(look, x, y)
    crown = superellipse(0.56, -0.74, 0.42, 2.4)
    hair_share = mask(crown, size, px)
    if look.long_hair:
        hair_share = np.maximum(hair_share, mask(superellipse(0.60, -0.60, 0.92, 3.0), size, px))
    skin = np.asarray(look.skin, dtype=np.float32) * skin_shade(look.shape, px)[..., None]
    face = superellipse(0.5, -0.66, look.shape.chin_y)
    face[:, 1] = np.maximum(face[:, 1], look.hairline_y + 0.9 * np.abs(face[:, 0]) ** 3.0)
    ears = np.zeros(size, dtype=np.float32)
    if not look.long_hair:
        for side in SIDES:
            ears = np.maximum(ears, mask(superellipse(0.06, -0.13, 0.13) + np.array([side * 0.52, 0.06]), size, px))
    face_share = mask(face, size, px)
    # Colours reach past the outline, so that no other colour shows at the anti-aliased edge.
    front = np.where((hair_share > 0)[..., None] | (y < 0.3)[..., None], hair, skin)
    front = over(over(front, 0.82 * np.asarray(look.skin), ears) if ears.any() else front, skin, face_share)
    front = over(front, hair, mask(_fringe(look), size, px))
    alpha = np.maximum.reduce([hair_share, face_share, ears])
    back_share = np.maximum(hair_share, mask(superellipse(0.52, -0.66, 0.70), size, px))
    return _patch(front, alpha), _patch(np.broadcast_to(hair, front.shape), back_share)


def _hair_colour(look: Look, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    strands = 0.06 * np.sin(95 * x + 9 * np.sin(3 * y)) + 0.04 * np.sin(41 * x - 6 * y)
    sheen = 0.9 + 0.35 * _bump(x, y, (0.10, -0.58), (0.22, 0.09)) + strands
    return np.asarray(look.hair, dtype=np.float32) * sheen[..., None].astype(np.float32)


def _fringe(look: Look) -> np.ndarray:
    """Hair over the upper forehead, (P, 2)."""
    x = np.linspace(-0.50, 0.50, 21)
    y = look.hairline_y + 0.02 * np.cos(5 * x + 1.0) + 0.9 * np.abs(x) ** 3.0
    return np.concatenate([np.stack([x, y], axis=-1), [[0.40, -0.60], [-0.40, -0.60]]])


def _patch(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return _picture(np.dstack([colour, 255 * alpha]))


def hand_patch(look: Look, patch: np.ndarray, px: float) -> np.ndarray:
    """*patch* with both hands before eyes, nose and mouth."""
    x, y = grid(px)
    size = (y.shape[0], x.shape[1])
    colour, share = patch[..., :3].astype(np.float32), patch[..., 3].astype(np.float32) / 255
    skin = np.asarray(look.skin, dtype=np.float32)
    for side in SIDES:
        palm = superellipse(0.25, -0.33, 0.60, 3.0) + np.array([side * 0.25, 0.40])
        fingers = [superellipse(0.062, -0.27, 0.30, 3.0) + np.array([side * (0.07 + 0.115 * k), tip_y])
                   for k, tip_y in enumerate((-0.06, -0.11, -0.11, -0.06))]
        for part in (palm, *fingers):
            across = (x - part[:, 0].mean()) / np.ptp(part[:, 0])
            shade = 0.92 - 0.55 * across**2 - 0.08 * y
            inside = mask(part, size, px)
            colour = colour + (skin * shade[..., None] - colour) * inside[..., None]
            share = np.maximum(share, inside)
    return _patch(colour, share)


def scenes(look: Look, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture without a head and without a person: two (height, width, 3) uint8."""
    px = FACE_SHARE * height
    origin = (-0.5 * width / px, -EYES_Y * height / px)
    x = (np.arange(width)[None] / px + origin[0]).astype(np.float32)
    y = (np.arange(height)[:, None] / px + origin[1]).astype(np.float32)
    light = 1.0 + 0.10 * _bump(x, y, (-0.7, -0.6), (1.0, 0.8)) - 0.05 * y
    empty = np.asarray(look.wall, dtype=np.float32) * light[..., None]
    t = np.linspace(-1, 1, 41)
    shoulders = np.stack([1.25 * t, 1.02 + 0.30 * np.abs(t) ** 2.5], axis=-1)
    body = np.concatenate([shoulders, [[1.45, 3.0], [-1.45, 3.0]]])
    folds = 1.0 - 0.25 * np.abs(x) + 0.04 * np.sin(14 * x + 5 * y)
    cloth = np.asarray(look.clothes, dtype=np.float32) * folds[..., None]
    filled = over(empty, cloth, mask(body, (height, width), px, origin))
    neck = np.array([[-0.27, 0.45], [0.27, 0.45], [0.27, 0.98], [0.36, 1.06],
                     [0.0, 1.22], [-0.36, 1.06], [-0.27, 0.98]])
    shade = 0.80 - 0.35 * _bump(x, y, (0.0, 0.74), (0.40, 0.14)) - 0.7 * x**2
    filled = over(filled, np.asarray(look.skin, dtype=np.float32) * shade[..., None],
                  mask(neck, (height, width), px, origin))
    return _picture(filled), _picture(empty)


def _picture(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).round().astype(np.uint8)
