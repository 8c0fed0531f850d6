"""Write a video file frame by frame: MPEG-4 part 2 in an AVI container, the same bytes for the same frames."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path

QUANTISER = 3  # constant; 2 is MPEG-4's finest, 31 its coarsest
FF_QP2LAMBDA = 118  # FFmpeg's unit of global_quality, libavutil/avutil.h
KEYFRAME_S = 1.0
MAX_RATE_DENOMINATOR = 1000


def write_avi(path: Path, frames: Iterable[np.ndarray], fps_hz: float, width: int, height: int) -> int:
    """Encode *frames* into *path* and return how many there were; one frame is held at a time.

    One thread and FFmpeg's ``bitexact`` flags (no version string, no date) make the bytes depend on
    nothing but the frames. The quantiser is constant, so still stretches cost little.

    Parameters
    ----------
    frames : iterable of ndarray, (height, width, 3) uint8
        RGB.
    fps_hz : float
        Frame k is shown at k / fps_hz.
    width, height : int
        Even, as the encoder halves the colour planes.

    Raises
    ------
    InputError
        No frame, a frame of another shape or type, an odd size or a rate that is not positive.
    """
    path = Path(path)
    _check_format(path, fps_hz, width, height)
    with atomic_path(path) as temporary:
        count = _encode(temporary, path, frames, fps_hz, width, height)
        if not count:
            raise bad_input(path, "no frame to write", "at least one frame", "give the video a length")
    return count


def _encode(
    temporary: Path, path: Path, frames: Iterable[np.ndarray], fps_hz: float, width: int, height: int
) -> int:
    import av
    import cv2

    count = 0
    with av.open(str(temporary), "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = _open_stream(container, fps_hz, width, height)
        for frame in frames:
            if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                raise bad_input(f"{path}, frame {count}", f"shape {frame.shape} of {frame.dtype}",
                                f"{(height, width, 3)} of uint8", "draw the frames in the video's size")
            yuv = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
            planes = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            planes.pts = count
            container.mux(stream.encode(planes))
            count += 1
        container.mux(stream.encode(None))
    return count


def _open_stream(container: Any, fps_hz: float, width: int, height: int) -> Any:
    rate = Fraction(fps_hz).limit_denominator(MAX_RATE_DENOMINATOR)
    stream = container.add_stream("mpeg4", rate=rate)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = 1 / rate
    stream.codec_context.gop_size = max(round(KEYFRAME_S * fps_hz), 1)
    stream.codec_context.thread_count = 1
    stream.options = {"flags": "+bitexact+qscale", "global_quality": str(QUANTISER * FF_QP2LAMBDA),
                      "qmin": str(QUANTISER), "qmax": str(QUANTISER)}
    return stream


def _check_format(path: Path, fps_hz: float, width: int, height: int) -> None:
    if not (math.isfinite(fps_hz) and fps_hz > 1 / MAX_RATE_DENOMINATOR):
        raise bad_input(f"{path}, frame rate", repr(fps_hz), "a number of Hz above 0", "correct the parameter")
    for name, value in (("width", width), ("height", height)):
        if value < 2 or value % 2:
            raise bad_input(f"{path}, {name}", f"{value} pixels", "an even number from 2 on", "correct the parameter")
