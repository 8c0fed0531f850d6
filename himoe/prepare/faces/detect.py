"""Where the face is in a frame, and its square crop.

Legend: H height, W width of a frame, S side of a crop, in pixels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import hypot, nan
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from himoe.core.errors import InputError, bad_input

log = logging.getLogger(__name__)

CASCADE = "haarcascade_frontalface_default.xml"
SEARCH_HEIGHT_PX = 240  # frames are searched at this height at most
MIN_FACE = 0.15  # smallest face searched for, as a share of the frame's height
FULL_SEARCH_EVERY = 10  # frames; between them the last face's surroundings are searched first
NEAR = 0.3  # of the last face's side: how far these reach on each side


@dataclass(frozen=True)
class Face:
    """A face's square: left and top edge and side in pixels, and the detector's confidence (NaN: it has none)."""

    x: float
    y: float
    size: float
    confidence: float


class Detector(Protocol):
    """Finds the face in frames (H, W, 3) uint8 of one video, given in order; ``label`` says how, for reports.

    ``finds`` is False where it looks for nothing and its square is the whole picture.
    """

    label: str
    finds: bool

    def __call__(self, frame: np.ndarray) -> Face | None: ...


class HaarDetector:
    """OpenCV's cascade of boosted Haar features for frontal faces.

    Viola & Jones 2001, doi 10.1109/CVPR.2001.990517. The confidence is the weighted vote of the cascade's last
    stage: no probability, unbounded, larger = more like a face. It keeps the last face: of several candidates it
    takes the largest of size × confidence, which falls off with the distance from the last face.
    """

    finds = True
    label = f"Haar cascade (OpenCV {cv2.__version__}, {CASCADE.removesuffix('.xml')})"

    def __init__(self, min_confidence: float = 0.0) -> None:
        path = cascade_path()
        if path is None:
            raise InputError(f"face.detector: found OpenCV {cv2.__version__} without {CASCADE}, expected the file in "
                             "cv2.data; install opencv-python-headless 4 or set face.detector: centre.")
        self._cascade = cv2.CascadeClassifier(str(path))
        self._min_confidence = min_confidence
        self._last: Face | None = None
        self._frames = 0

    def __call__(self, frame: np.ndarray) -> Face | None:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, SEARCH_HEIGHT_PX / grey.shape[0])
        if scale < 1:
            size = (max(1, round(grey.shape[1] * scale)), SEARCH_HEIGHT_PX)
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        grey = cv2.equalizeHist(grey)
        found: list[Face] = []
        if self._last is not None and self._frames % FULL_SEARCH_EVERY:
            found = self._near(grey, scale, self._last)
        if not found:
            found = self._search(grey, (0, 0), scale, (MIN_FACE, 1.0))
        self._frames += 1
        face = choose(found, self._last)
        self._last = face or self._last
        return face

    def _near(self, grey: np.ndarray, scale: float, last: Face) -> list[Face]:
        """Search around the last face only, for faces about as large."""
        size = last.size * scale
        left, top = (max(0, round(edge * scale - NEAR * size)) for edge in (last.x, last.y))
        side = round((1 + 2 * NEAR) * size)
        part = np.ascontiguousarray(grey[top:top + side, left:left + side])
        sides = (0.8 * size / grey.shape[0], 1.25 * size / grey.shape[0])
        return self._search(part, (left, top), scale, sides, grey.shape[0])

    def _search(self, grey: np.ndarray, corner: tuple[int, int], scale: float, sides: tuple[float, float],
                height_px: int | None = None) -> list[Face]:
        """Faces in *grey*, whose corner lies at *corner* of the reduced frame; in pixels of the full frame."""
        height_px = height_px or grey.shape[0]
        low, high = (max(1, round(side * height_px)) for side in sides)
        before = cv2.getNumThreads()
        cv2.setNumThreads(1)  # several threads give their boxes in an order that changes
        try:
            boxes, _, weights = self._cascade.detectMultiScale3(
                grey, scaleFactor=1.1, minNeighbors=4, minSize=(low, low), maxSize=(high, high),
                outputRejectLevels=True)
        finally:
            cv2.setNumThreads(before)
        return [Face((x + corner[0]) / scale, (y + corner[1]) / scale, side / scale, float(weight))
                for (x, y, side, _), weight in zip(boxes, weights, strict=True) if weight >= self._min_confidence]


class CentreDetector:
    """No detection: the largest square in the middle of the frame, confidence NaN, in every frame."""

    finds = False

    def __init__(self, label: str = "none (the frame's central square)") -> None:
        self.label = label

    def __call__(self, frame: np.ndarray) -> Face | None:
        height_px, width_px = frame.shape[:2]
        side = min(height_px, width_px)
        return Face((width_px - side) / 2, (height_px - side) / 2, float(side), nan)


DETECTORS: dict[str, Callable[[float], Detector]] = {
    "haar": HaarDetector,
    "centre": lambda _: CentreDetector(),
}


def cascade_path() -> Path | None:
    """The cascade's file inside the installed OpenCV; None if this OpenCV has none (version 5)."""
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is None or not hasattr(cv2, "CascadeClassifier"):
        return None
    path = Path(folder) / CASCADE
    return path if path.is_file() else None


def make_detector(name: str, min_confidence: float = 0.0) -> Detector:
    """A new detector for one video.

    Where OpenCV ships no cascade, ``haar`` falls back to the central square; a warning and the label say so.

    Raises
    ------
    InputError
        For an unknown name.
    """
    if name not in DETECTORS:
        raise bad_input("face.detector", repr(name), " or ".join(DETECTORS), "choose one of these")
    if name == "haar" and cascade_path() is None:
        _warn_of_no_cascade()
        return CentreDetector("none (the frame's central square, as this OpenCV has no Haar cascade)")
    return DETECTORS[name](min_confidence)


@cache
def _warn_of_no_cascade() -> None:
    """Once, not once a video."""
    log.warning("OpenCV %s has no %s: the central square of every frame is taken as the face.",
                cv2.__version__, CASCADE)


def choose(faces: list[Face], last: Face | None) -> Face | None:
    """The face with the largest size × confidence, divided by 1 + distance from *last* in sides of *last*."""

    def worth(face: Face) -> float:
        value = face.size * max(face.confidence, 1e-3)
        if last is None:
            return value
        middles = ((f.x + f.size / 2, f.y + f.size / 2) for f in (face, last))
        (x, y), (x_last, y_last) = middles
        return value / (1 + hypot(x - x_last, y - y_last) / last.size)

    return max(faces, key=worth, default=None)


def crop(frame: np.ndarray, face: Face, size_px: int, margin: float) -> np.ndarray:
    """Cut the face's square, wider by *margin* of its side on each side, and resize it (area average).

    Parameters
    ----------
    frame : ndarray, (H, W, 3) uint8
    face : Face
        Its square may reach over the frame's edge: the border's pixels are repeated there.
    size_px : int
        S, side of the result.
    margin : float
        Share of the face's side.

    Returns
    -------
    ndarray, (S, S, 3) uint8
    """
    side = max(1, round(face.size * (1 + 2 * margin)))
    left, top = (round(edge + (face.size - side) / 2) for edge in (face.x, face.y))
    height_px, width_px = frame.shape[:2]
    inside = frame[max(top, 0):max(top + side, 0), max(left, 0):max(left + side, 0)]
    if inside.size == 0:
        raise bad_input("Face", f"a square at ({face.x:g}, {face.y:g}) px",
                        f"one that meets the {width_px} × {height_px} px frame", "check the detector")
    above, below = max(-top, 0), max(top + side - height_px, 0)
    before, after = max(-left, 0), max(left + side - width_px, 0)
    if above or below or before or after:
        inside = np.asarray(cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE))
    return np.asarray(cv2.resize(inside, (size_px, size_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)
