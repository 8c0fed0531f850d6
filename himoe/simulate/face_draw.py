"""Draw the frames of a simulated face video. Only what moves is drawn anew in each frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from himoe.simulate.face_furrows import furrows
from himoe.simulate.face_look import (
    BOTTOM,
    EYES_Y,
    FACE_SHARE,
    LEFT,
    RIGHT,
    SHIFT,
    TOP,
    Look,
    fixed_point,
    hand_patch,
    head_patches,
    scenes,
)
from himoe.simulate.face_motion import HIDINGS
from himoe.simulate.face_shapes import JAW_Y, jaw_stretch, outlines
from himoe.simulate.face_units import columns

NOISE = 9  # grey levels of the picture's noise (uniform)
REACH = 0.35  # how far the head may leave its place (widths of the face)
_TILE = 64  # the noise is one picture, shifted by up to this many pixels
_CHUNK = 128  # frames whose outlines are computed together


@dataclass(frozen=True)
class Course:
    """What N frames show.

    Parameters
    ----------
    units : ndarray, (N, U)
        Intensities of ``UNITS`` in 0..1.
    blink : ndarray, (N,)
        Closure of the lids in 0..1.
    hidden : ndarray, (N,)
        0 = the face is shown, k = it is hidden by the k-th of ``HIDINGS``.
    moves : {name of ``MOVEMENTS``: ndarray (N,)}
    """

    units: np.ndarray
    blink: np.ndarray
    hidden: np.ndarray
    moves: dict[str, np.ndarray]

    def part(self, start: int, stop: int) -> Course:
        """Frames *start* to *stop*."""
        return Course(self.units[start:stop], self.blink[start:stop], self.hidden[start:stop],
                      {name: values[start:stop] for name, values in self.moves.items()})


class Painter:
    """Pictures of one person in one size; keeps the parts that never change."""

    def __init__(self, look: Look, width: int, height: int, rng: np.random.Generator) -> None:
        self.look, self.width, self.height = look, width, height
        self.px = FACE_SHARE * height
        self.front, back = head_patches(look, self.px)
        self.scene, self.empty = scenes(look, width, height)
        self.furrows = furrows(self.px, sum(look.skin) / (3 * 190.0))
        self.colours = _colours(look)
        self.static = {"turned": back, "hand": hand_patch(look, self.front, self.px)}
        self.noise = rng.integers(0, NOISE, (height + _TILE, width + _TILE, 1), dtype=np.uint8).repeat(3, axis=2)
        self.shifts = rng.integers(0, _TILE, (997, 2))  # which part of the noise a frame has
        ramp = np.linspace(0, 255, width).round().astype(np.uint8)
        self.ramp = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, width, 3)))
        self.jaw_row = round((JAW_Y - TOP) * self.px)
        self.roi = self._region()

    def _region(self) -> tuple[slice, slice]:
        """The part of the picture that the head can reach."""
        x0, y0 = 0.5 * self.width, EYES_Y * self.height
        top, bottom = y0 + (TOP - REACH) * self.px, y0 + (BOTTOM + REACH) * self.px
        left, right = x0 + (LEFT - REACH) * self.px, x0 + (RIGHT + REACH) * self.px
        return (slice(max(int(top), 0), min(int(bottom) + 1, self.height)),
                slice(max(int(left), 0), min(int(right) + 1, self.width)))

    def frames(self, course: Course) -> Iterator[np.ndarray]:
        """The frames of *course*, each (height, width, 3) uint8 RGB."""
        for start in range(0, len(course.blink), _CHUNK):
            part = course.part(start, start + _CHUNK)
            units = columns(part.units)
            drawn = outlines(self.look.shape, units, part.blink)
            points = {name: fixed_point(outline, self.px) for name, outline in drawn.items()}
            jaw = jaw_stretch(units)
            for k in range(len(part.blink)):
                kind = HIDINGS[part.hidden[k] - 1] if part.hidden[k] else None
                move = {name: float(values[k]) for name, values in part.moves.items()}
                if kind == "out":
                    picture = self.empty.copy()
                else:
                    patch = self.static[kind] if kind else self._face(
                        {name: outline[k] for name, outline in points.items()}, units, k, float(jaw[k]))
                    picture = self._place(patch, move)
                yield self._light(picture, move, start + k)

    def _face(self, points: dict[str, np.ndarray], units: Mapping[str, np.ndarray], k: int, jaw: float
              ) -> np.ndarray:
        """The head with its features as they are in frame *k*."""
        patch = self.front.copy()
        for furrow in self.furrows:
            furrow.apply(patch, float(units[furrow.unit][k]))
        lower = patch[self.jaw_row:]
        stretch = np.array([[1.0, 0.0, 0.0], [0.0, jaw, 0.0]])
        patch[self.jaw_row:] = cv2.warpAffine(lower, stretch, (lower.shape[1], lower.shape[0]))
        for name, outline in points.items():
            cv2.fillPoly(patch, list(outline), self.colours[name], cv2.LINE_AA, SHIFT)
        if self.look.glasses:
            self._glasses(patch)
        return patch

    def _glasses(self, patch: np.ndarray) -> None:
        shape, colour, thick = self.look.shape, (70, 62, 58, 255), max(round(0.012 * self.px), 1)
        scale = self.px * 2**SHIFT
        for side in (-1, 1):
            centre = fixed_point(np.array([side * shape.eye_x, 0.01]), self.px)
            cv2.ellipse(patch, (int(centre[0]), int(centre[1])), (int(0.16 * scale), int(0.115 * scale)), 0, 0, 360,
                        colour, thick, cv2.LINE_AA, SHIFT)
        inner = shape.eye_x - 0.16
        bridge = fixed_point(np.array([[-inner, -0.01], [0.0, -0.03], [inner, -0.01]]), self.px)
        cv2.polylines(patch, [bridge], False, colour, thick, cv2.LINE_AA, SHIFT)

    def _place(self, patch: np.ndarray, move: dict[str, float]) -> np.ndarray:
        """The scene with the head in its place: moved, rolled and scaled round the middle of the eyes."""
        rows, columns_ = self.roi
        size = (columns_.stop - columns_.start, rows.stop - rows.start)
        at = (0.5 * self.width + move["shift_x"] * self.px - columns_.start,
              EYES_Y * self.height + move["shift_y"] * self.px - rows.start)
        pivot = (-LEFT * self.px, -TOP * self.px)
        matrix = cv2.getRotationMatrix2D(pivot, move["roll_deg"], float(np.exp(move["log_scale"])))
        matrix[:, 2] += np.array(at) - np.array(pivot)
        warped = cv2.warpAffine(patch, matrix, size, flags=cv2.INTER_LINEAR)
        share = cv2.extractChannel(warped, 3).astype(np.float32)
        share *= np.float32(1 / 255)
        picture = self.scene.copy()
        head = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
        picture[rows, columns_] = cv2.blendLinear(head, picture[rows, columns_], share, 1 - share)
        return picture

    def _light(self, picture: np.ndarray, move: dict[str, float], frame: int) -> np.ndarray:
        """Slow changes of light (a gain, and a ramp from left to right) and the noise of the camera."""
        gradient = move["gradient"]
        cv2.addWeighted(picture, float(np.exp(move["log_gain"])), self.ramp, gradient,
                        -127.5 * gradient - NOISE / 2, dst=picture)
        row, column = self.shifts[frame % len(self.shifts)]
        return cv2.add(picture, self.noise[row:row + self.height, column:column + self.width], dst=picture)


def _colours(look: Look) -> dict[str, tuple[float, ...]]:
    """RGBA of every outline."""
    skin, hair = np.array(look.skin), np.array(look.hair)
    lips = 0.72 * skin * np.array([1.02, 0.72, 0.74])
    rgb = {
        "crease": 0.55 * skin, "sclera": np.array([222, 216, 210]) * (0.55 + 0.35 * skin.mean() / 200),
        "iris": np.array(look.iris), "pupil": np.array([14, 12, 12]), "glint": np.array([245, 245, 245]),
        "lash": 0.35 * hair + 8, "lower_lid": 0.62 * skin, "brow": 0.75 * hair + 0.06 * skin,
        "nostril": 0.26 * skin, "wing": 0.60 * skin, "upper_lip": 0.86 * lips, "lower_lip": lips,
        "lip_shine": 1.14 * lips, "lip_line": 0.45 * lips, "mouth": np.array([52, 22, 24]),
        "teeth": np.array([226, 220, 208]),
    }
    return {name: (*(float(v) for v in np.clip(values, 0, 255)), 255.0) for name, values in rgb.items()}
