"""Where the face is found, which of several, and what is cut out."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from drawn_videos import background, draw_face

from himoe.core.errors import InputError
from himoe.prepare.faces import detect
from himoe.prepare.faces.detect import DETECTORS, CentreDetector, Face, HaarDetector, choose, crop, make_detector


def overlap(face: Face, x: float, y: float, side: float) -> float:
    """Intersection over union with the square of *side* around (x, y)."""
    left, top = x - side / 2, y - side / 2
    wide = min(face.x + face.size, left + side) - max(face.x, left)
    high = min(face.y + face.size, top + side) - max(face.y, top)
    common = max(wide, 0) * max(high, 0)
    return common / (face.size ** 2 + side ** 2 - common)


@pytest.mark.parametrize("height_px, width_px, x, y, half", [
    (576, 720, 300, 260, 130), (576, 720, 500, 350, 80), (240, 320, 120, 110, 60), (180, 150, 75, 90, 50),
    (1080, 1920, 1200, 500, 250),
])
def test_a_face_is_found_in_pixels_of_the_full_frame(height_px: int, width_px: int, x: int, y: int, half: int) -> None:
    face = make_detector("haar")(draw_face(background(height_px, width_px), x, y, half))
    assert face is not None
    assert overlap(face, x, y, 1.6 * half) > 0.6
    assert face.confidence > 1


def test_a_face_below_the_least_confidence_is_none() -> None:
    frame = draw_face(background(240, 320), 150, 120, 70)
    face = make_detector("haar")(frame)
    assert face is not None
    assert make_detector("haar", face.confidence + 0.1)(frame) is None
    assert make_detector("haar", face.confidence - 0.1)(frame) == face


def test_a_moving_face_is_followed_and_found_again_elsewhere() -> None:
    detector = make_detector("haar")
    places = [(100 + 4 * k, 110 + k) for k in range(14)] + [None, None] + [(250 - 3 * k, 130) for k in range(12)]
    for place in places:
        frame = background(240, 330)
        face = detector(frame if place is None else draw_face(frame, *place, 55))
        if place is None:
            assert face is None
        else:
            assert face is not None
            assert overlap(face, *place, 1.6 * 55) > 0.6


def test_the_choice_weighs_size_confidence_and_nearness() -> None:
    large, sure = Face(0, 0, 50, 2.0), Face(200, 0, 40, 3.0)
    assert choose([], None) is None
    assert choose([large, sure], None) == sure  # 100 against 120
    assert choose([large, sure], Face(5, 0, 50, 2.0)) == large
    assert choose([large, sure], Face(190, 5, 40, 2.0)) == sure
    assert choose([Face(0, 0, 50, 9.0), Face(60, 0, 50, 2.0)], Face(60, 0, 50, 2.0)) == Face(0, 0, 50, 9.0)


def test_detectors_keep_no_memory_of_another_video() -> None:
    frame = draw_face(draw_face(background(240, 360), 90, 120, 45), 250, 120, 75)
    first = make_detector("haar")
    for _ in range(3):
        first(draw_face(background(240, 360), 90, 120, 45))
    assert make_detector("haar")(frame) == HaarDetector()(frame)


def test_without_a_cascade_the_centre_is_taken_and_said_once(monkeypatch: pytest.MonkeyPatch,
                                                             caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(detect.cv2, "data", None)
    detect._warn_of_no_cascade.cache_clear()
    with caplog.at_level(logging.WARNING):
        detectors = [make_detector("haar") for _ in range(3)]
    detect._warn_of_no_cascade.cache_clear()
    assert all(isinstance(detector, CentreDetector) for detector in detectors)
    assert "no Haar cascade" in detectors[0].label
    assert len([r for r in caplog.records if "central square" in r.getMessage()]) == 1
    with pytest.raises(InputError, match=r"face\.detector: found OpenCV .* without haarcascade_frontalface_default"):
        HaarDetector()


def test_an_unknown_detector_is_refused() -> None:
    assert set(DETECTORS) == {"haar", "centre"}
    assert "Haar cascade (OpenCV 4" in make_detector("haar").label
    with pytest.raises(InputError, match=r"face\.detector: found 'hog', expected haar or centre"):
        make_detector("hog")


@pytest.mark.parametrize("x, y", [(30, 20), (-9, 20), (70, -8), (66, 44), (-20, -16)])
def test_a_crop_is_the_mean_of_its_pixels_with_borders_repeated(x: int, y: int) -> None:
    """40 px and half of that on each side make 80, so a pixel of 16 is the mean of 5 × 5."""
    frame = np.random.default_rng(1).integers(0, 255, (70, 100, 3), dtype=np.uint8)
    found = crop(frame, Face(x, y, 40, 1.0), size_px=16, margin=0.5)
    expected = np.empty((16, 16, 3))
    for row in range(16):
        for column in range(16):
            rows = np.clip(y - 20 + 5 * row + np.arange(5), 0, 69)
            columns = np.clip(x - 20 + 5 * column + np.arange(5), 0, 99)
            expected[row, column] = frame[np.ix_(rows, columns)].reshape(25, 3).mean(0)
    np.testing.assert_allclose(found, expected, atol=0.51)
    assert found.dtype == np.uint8


def test_a_square_outside_the_frame_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected one that meets the 100 × 70 px frame"):
        crop(background(70, 100), Face(300, 10, 40, 1.0), 16, 0.2)
