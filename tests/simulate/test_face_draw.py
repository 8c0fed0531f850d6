"""Drawn faces: each action unit changes its own part of the face, and a face detector finds them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from himoe.simulate.face_draw import Course, Painter
from himoe.simulate.face_look import EYES_Y, FACE_SHARE, make_look
from himoe.simulate.face_motion import HIDINGS, LARGEST_SD, MOVEMENTS
from himoe.simulate.face_shapes import Proportions, jaw_stretch, outlines
from himoe.simulate.face_units import UNITS

WIDTH, HEIGHT = 240, 192
# Where an action unit may change the picture: top and bottom, in widths of the face below the eyes.
REGIONS: dict[str, tuple[float, float]] = {
    "AU1": (-0.45, -0.08), "AU2": (-0.45, -0.05), "AU4": (-0.25, 0.06), "AU5": (-0.14, 0.08), "AU6": (-0.15, 0.40),
    "AU9": (-0.22, 0.60), "AU12": (0.10, 0.62), "AU15": (0.36, 0.75), "AU17": (0.36, 0.95), "AU25": (0.36, 0.70),
    "AU26": (0.36, 1.15),
}


def course(units: np.ndarray, **other: np.ndarray) -> Course:
    """Still frames with the intensities *units* (N, U)."""
    n = len(units)
    moves = {name: np.zeros(n) for name in MOVEMENTS} | {k: v for k, v in other.items() if k in MOVEMENTS}
    return Course(units, other.get("blink", np.zeros(n)), other.get("hidden", np.zeros(n, dtype=np.int8)), moves)


def painter(participant: int = 1, width: int = WIDTH, height: int = HEIGHT) -> Painter:
    return Painter(make_look(0, participant), width, height, np.random.default_rng(participant))


def picture(paint: Painter, unit: str | None = None, blink: float = 0.0) -> np.ndarray:
    """One frame with one action unit at 1, as signed numbers."""
    units = np.array([[float(name == unit) for name in UNITS]])
    (frame,) = paint.frames(course(units, blink=np.array([blink])))
    return frame.astype(int)


@pytest.mark.parametrize("unit", UNITS)
def test_an_action_unit_changes_its_own_part_of_the_face_and_nothing_else(unit: str) -> None:
    for participant in (1, 2, 15):
        paint = painter(participant)
        change = np.abs(picture(paint, unit) - picture(paint)).max(axis=2)
        below = (np.arange(HEIGHT) - EYES_Y * HEIGHT) / (FACE_SHARE * HEIGHT)
        beside = np.abs(np.arange(WIDTH) - WIDTH / 2) / (FACE_SHARE * HEIGHT)
        top, bottom = REGIONS[unit]
        inside = ((below >= top) & (below <= bottom))[:, None] & (beside < 0.65)[None]
        assert change[~inside].max() == 0
        assert (change[inside] > 20).sum() > 30


def test_a_smile_lifts_and_widens_the_corners_of_the_mouth() -> None:
    zero = {name: np.zeros(3) for name in UNITS}
    smile = zero | {"AU12": np.array([0.0, 0.5, 1.0])}
    mouth = outlines(Proportions(), smile, np.zeros(3))["lip_line"][:, 0]
    width, corner_y, middle_y = np.ptp(mouth[..., 0], axis=1), mouth[:, 0, 1], mouth[:, 7, 1]
    assert (np.diff(width) > 0.03).all()
    assert (np.diff(corner_y) < -0.03).all()
    np.testing.assert_allclose(middle_y, middle_y[0])
    frown = zero | {"AU15": np.array([0.0, 0.5, 1.0])}
    assert (np.diff(outlines(Proportions(), frown, np.zeros(3))["lip_line"][:, 0, 0, 1]) > 0.03).all()


def test_brows_lids_and_jaw_move_the_way_their_units_say() -> None:
    def moved(unit: str, name: str, point: int, blink: float = 0.0) -> float:
        """Change of y of a point on the right side when *unit* goes from 0 to 1 (down is positive)."""
        units = {key: np.array([0.0, float(key == unit)]) for key in UNITS}
        y = outlines(Proportions(), units, np.array([0.0, blink]))[name][:, 1, point, 1]
        return float(y[1] - y[0])

    inner, outer, middle, last = 0, 14, 7, 14
    assert moved("AU1", "brow", inner) < -0.05 < -0.01 < moved("AU1", "brow", outer) < 0.01
    assert moved("AU2", "brow", outer) < -0.05 < moved("AU2", "brow", inner) < 0
    assert moved("AU4", "brow", inner) > moved("AU4", "brow", outer) > 0.01
    assert moved("AU5", "sclera", middle) < -0.02
    lower = -(middle + 1)
    assert moved("AU6", "sclera", lower) < -0.015
    assert moved("AU9", "nostril", 0) < -0.02
    assert moved("none", "sclera", middle, blink=1.0) > 0.04
    assert moved("none", "sclera", last, blink=1.0) == pytest.approx(0.0, abs=1e-9)
    factors = jaw_stretch({name: np.array([0.0, float(name == "AU26"), float(name == "AU17")]) for name in UNITS})
    assert factors[1] > 1.2 > factors[0] == 1.0 > factors[2]


@pytest.mark.parametrize(("width", "height", "people", "n_frames"),
                         [(240, 192, (1, 2, 3, 15), 36), (720, 576, (6,), 12)])
def test_a_face_detector_finds_the_faces_and_only_those(
    width: int, height: int, people: tuple[int, ...], n_frames: int
) -> None:
    """OpenCV's frontal face cascade on any mixture of units, blinks, movements and light."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found, none = [], []
    for participant in people:
        rng = np.random.default_rng(participant)
        hidden = np.where(np.arange(n_frames) % 6 == 0, 1 + np.arange(n_frames) // 6 % len(HIDINGS), 0)
        moves = {name: sd * rng.uniform(-0.8 * LARGEST_SD, 0.8 * LARGEST_SD, n_frames)
                 for name, (sd, _) in MOVEMENTS.items()}
        drawn = course(rng.random((n_frames, len(UNITS))), blink=(rng.random(n_frames) < 0.05).astype(float),
                       hidden=hidden, **moves)
        for kind, frame in zip(hidden, painter(participant, width, height).frames(drawn)):
            assert frame.shape == (height, width, 3)
            grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            boxes = cascade.detectMultiScale(grey, 1.1, 3, minSize=(height // 5, height // 5))
            (none if kind else found).append(len(boxes) > 0)
    assert len(none) >= 2
    assert np.mean(found) > 0.97
    assert np.mean(none) < 0.03


def test_the_head_moves_and_rolls_with_the_movements() -> None:
    paint, n = painter(2), 3
    moves = {name: np.zeros(n) for name in MOVEMENTS} | {"shift_x": np.array([0.0, 0.15, -0.15])}
    frames = [frame.astype(float) for frame in paint.frames(course(np.zeros((n, len(UNITS))), **moves))]
    dark = [(frame.mean(axis=2) < 60)[: int(0.6 * HEIGHT)] for frame in frames]  # the dark hair of this person
    at = [np.nonzero(mask)[1].mean() for mask in dark]
    shift = 0.15 * FACE_SHARE * HEIGHT
    np.testing.assert_allclose(np.array(at) - at[0], [0.0, shift, -shift], atol=1.5)


def test_people_look_different_and_the_same_person_the_same() -> None:
    one, again, other = (picture(painter(participant)) for participant in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 5
