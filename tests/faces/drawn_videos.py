"""Faces drawn well enough for a cascade, and short videos of them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SHIFT = 4  # bits below the pixel in OpenCV's drawing coordinates


def background(height_px: int, width_px: int) -> np.ndarray:
    """A plain frame (H, W, 3) uint8."""
    return np.full((height_px, width_px, 3), (150, 170, 190), np.uint8)


def draw_face(frame: np.ndarray, x: float, y: float, half: float, mouth: float = 0.1) -> np.ndarray:
    """A frontal face around (x, y), *half* pixels from its middle to its chin; *mouth* = half its height, in *half*."""
    frame = frame.copy()

    def blob(right: float, down: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        scale = 1 << SHIFT
        centre = (int((x + right * half) * scale), int((y + down * half) * scale))
        cv2.ellipse(frame, centre, (int(wide * half * scale), int(high * half * scale)), 0, 0, 360, colour, -1,
                    cv2.LINE_AA, SHIFT)

    blob(0, -0.15, 0.86, 1.12, (60, 40, 30))
    blob(0, 0, 0.75, 1.0, (215, 175, 150))
    for side in (-1, 1):
        blob(side * 0.32, -0.2, 0.2, 0.12, (150, 110, 95))
        blob(side * 0.32, -0.18, 0.14, 0.07, (240, 240, 240))
        blob(side * 0.32, -0.18, 0.06, 0.07, (50, 30, 20))
        blob(side * 0.32, -0.38, 0.2, 0.045, (70, 50, 40))
    blob(0, 0.12, 0.07, 0.22, (230, 190, 165))
    blob(0, 0.3, 0.14, 0.06, (160, 115, 100))
    blob(0, 0.58, 0.3, mouth, (140, 60, 60))
    return frame


def grey_levels(count: int, height_px: int = 48, width_px: int = 64) -> list[np.ndarray]:
    """Frames whose brightness is four times their number."""
    return [np.full((height_px, width_px, 3), 4 * k, np.uint8) for k in range(count)]


def write_video(path: Path, frames: Iterable[np.ndarray], fps_hz: int = 50, codec: str = "mpeg4",
                times_ms: list[int] | None = None, options: dict[str, str] | None = None, hidden: int = 0) -> Path:
    """Encode *frames* at a fixed rate, or at *times_ms* under a header that still says *fps_hz*.

    The first *hidden* ones lie before time 0: the edit list of an MP4 hides them.
    """
    before = {"avoid_negative_ts": "0"} if hidden else {}
    with av.open(str(path), "w", options=before | (options or {})) as container:
        stream = container.add_stream(codec, rate=fps_hz)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 4_000_000
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number - hidden if times_ms is None else times_ms[number]
            frame.time_base = Fraction(1, fps_hz) if times_ms is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    return path
