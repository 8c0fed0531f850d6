"""Frames of a video file at chosen times, decoded once and never all in memory (PyAV, FFmpeg).

Legend: H height, W width in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file

# Only containers that hold their own data: a playlist could name other files or addresses.
_OPTIONS = {"format_whitelist": "avi,mov,matroska,asf,mpeg,mpegts,ogg,flv", "protocol_whitelist": "file"}
_SLACK_FRAMES = 2.5  # a decoder may hold back a frame or two at the end of a whole file


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, by its own packets and time stamps rather than by its header.

    ``frames`` is the number of coded frames, ``fps_hz`` their mean rate, ``width_px`` and ``height_px`` the
    picture, ``duration_s`` the time from the first frame to the end of the last.
    """

    frames: int
    fps_hz: float
    width_px: int
    height_px: int
    duration_s: float


@dataclass(frozen=True)
class _Packets:
    """Whole packets of the video stream: how many are shown and how many hidden, first and last time stamp, usual time
    between two, time that the last one lasts."""

    count: int
    hidden: int
    first_s: Fraction
    last_s: Fraction
    period_s: Fraction
    length_s: Fraction


def probe(path: Path) -> VideoInfo:
    """Read a file's packets, decode nothing.

    Raises
    ------
    InputError
        If the file is missing, empty, no video, or ends before its header says.
    """
    path = require_file(path)
    if path.stat().st_size == 0:
        raise bad_input(path, "an empty file", "a video", "fetch it again")
    with _opened(path) as (container, stream):
        packets = _read_packets(path, container, stream)
        _check_whole(path, container, stream, packets)
        span_s = packets.last_s - packets.first_s
        fps_hz = float((packets.count - 1) / span_s) if span_s else float(1 / packets.period_s)
        return VideoInfo(packets.count, fps_hz, stream.codec_context.width, stream.codec_context.height,
                         float(span_s + packets.period_s))


def sampled_frames(path: Path, fps_hz: float) -> Iterator[tuple[float, np.ndarray]]:
    """Give the frame shown at each time (k + 0.5) / *fps_hz*, in one decoding pass.

    Times count from the first frame and follow the time stamps, so a variable rate, dropped frames or a wrong
    rate in the header do no harm. Only the frames given are converted.

    Yields
    ------
    time_s : float
        The sample's time in seconds.
    frame : ndarray, (H, W, 3) uint8
        Red, green, blue.

    Raises
    ------
    InputError
        At the call, as :func:`probe`, or if *fps_hz* is above the file's rate; while iterating, if a frame is damaged.
    """
    info = probe(path)
    if not 0 < fps_hz <= info.fps_hz * (1 + 1e-6):
        raise bad_input(f"{path}: fps_hz", f"{fps_hz:g} Hz", f"more than 0 and at most the video's {info.fps_hz:g} Hz",
                        "lower face.fps_hz")
    return _samples(path, Fraction(fps_hz).limit_denominator(1_000_000), info)


def _samples(path: Path, fps_hz: Fraction, info: VideoInfo) -> Iterator[tuple[float, np.ndarray]]:
    """Each frame is kept until the next one says how long it was shown."""
    sample = 0
    shown: tuple[VideoFrame, Fraction] | None = None
    count, period_s = 0, Fraction(1 / info.fps_hz).limit_denominator(1_000_000)
    for frame, time_s in _frames(path, period_s):
        count += 1
        while shown is not None and Fraction(2 * sample + 1, 2) / fps_hz < time_s:
            yield float(Fraction(2 * sample + 1, 2) / fps_hz), shown[0].to_ndarray(format="rgb24")
            sample += 1
        shown = (frame, time_s)
    end_s = Fraction(0) if shown is None else shown[1] + period_s
    if shown is None or end_s < info.duration_s - _SLACK_FRAMES * period_s:
        raise bad_input(path, f"{count} frames that can be decoded ({float(end_s):.2f} s)",
                        f"{info.frames} ({info.duration_s:.2f} s)", "the file is damaged; fetch it again")
    while float(Fraction(2 * sample + 1, 2) / fps_hz) < info.duration_s - 1e-9:
        yield float(Fraction(2 * sample + 1, 2) / fps_hz), shown[0].to_ndarray(format="rgb24")
        sample += 1


def _frames(path: Path, period_s: Fraction) -> Iterator[tuple[VideoFrame, Fraction]]:
    """Decoded frames in the order they are shown, with their times from the first frame on."""
    with _opened(path) as (container, stream):
        first_s: Fraction | None = None
        last_s = -period_s
        try:
            for frame in container.decode(stream):
                # An AVI holds no times of showing: FFmpeg's are wrong there if frames were stored out of order.
                stamp = frame.dts if container.format.name == "avi" else frame.pts
                stamp_s = None if stamp is None else stamp * (frame.time_base or Fraction(1))
                if first_s is None and stamp_s is not None:
                    first_s = stamp_s - (last_s + period_s)
                time_s = last_s + period_s if stamp_s is None or first_s is None else stamp_s - first_s
                last_s = max(time_s, last_s)
                yield frame, last_s
        except av.error.FFmpegError as error:
            raise bad_input(path, f"a damaged frame after {max(float(last_s), 0.0):.2f} s ({error.strerror})",
                            "a video that decodes to its end", "fetch it again") from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its first video stream; one thread, so that few decoded frames are held at a time."""
    try:
        container = av.open(str(path.resolve()), options=dict(_OPTIONS))
    except (av.error.FFmpegError, ValueError) as error:
        raise _no_video(path, "data of another kind, or cut off so early that nothing can be read") from error
    with container:
        if not container.streams.video:
            raise _no_video(path, "no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def _no_video(path: Path, found: str) -> InputError:
    return bad_input(path, found, "a video file (AVI, MP4, MOV, MKV, WebM, MPEG, ASF, OGG or FLV)",
                     "fetch it again, or convert it with FFmpeg")


def _read_packets(path: Path, container: InputContainer, stream: VideoStream) -> _Packets:
    """Count whole packets; a packet that the end of the file cuts is none.

    One that the file's edit list hides (a clip cut out without encoding it anew keeps frames before its beginning, to
    decode from) is counted apart: its frame is never shown.
    """
    stamps: list[Fraction] = []
    count, hidden, length = 0, 0, 0
    base, avi = stream.time_base or Fraction(1), container.format.name == "avi"
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_corrupt:
                continue
            if packet.is_discard:
                hidden += 1
                continue
            count += 1
            stamp = packet.dts if packet.pts is None or avi else packet.pts
            if stamp is not None:
                stamps.append(stamp * base)
                length = packet.duration or 0
    except av.error.FFmpegError as error:
        raise bad_input(path, f"{count} frames, then unreadable data ({error.strerror})", "a video readable to its end",
                        "fetch it again") from error
    if count == 0 or not stamps or stream.codec_context.width == 0:
        raise _no_video(path, "no readable frame")
    stamps.sort()
    steps = [b - a for a, b in pairwise(stamps) if b > a]
    rate = stream.average_rate or stream.guessed_rate
    if not steps:
        period_s = length * base or (1 / rate if rate else Fraction(1, 25))
    else:  # stamps of an AVI are exact and have holes where frames were dropped; others may be rounded
        period_s = median(steps) if avi else (stamps[-1] - stamps[0]) / len(steps)
    return _Packets(count, hidden, stamps[0], stamps[-1], period_s, max(period_s, length * base))


def _check_whole(path: Path, container: InputContainer, stream: VideoStream, packets: _Packets) -> None:
    """Compare with what the header promises: frames, or where it counts none, a duration."""
    end_s = float(packets.last_s + packets.length_s)
    avi_end_s = float(stream.frames * (stream.time_base or 1)) if container.format.name == "avi" else math.inf
    whole = packets.count + packets.hidden
    if whole < stream.frames and end_s < avi_end_s - 0.5 * float(packets.period_s):  # an AVI counts drops
        raise bad_input(path, f"{whole} whole frames", f"{stream.frames} as its header says",
                        "the file is cut off; fetch it again")
    if stream.frames or container.duration is None or len(container.streams) > 1:
        return  # other streams may be longer than the pictures
    promised_s = ((container.start_time or 0) + container.duration) / 1e6
    if end_s < promised_s - 1.5 * float(packets.period_s):  # Matroska rounds to milliseconds
        raise bad_input(path, f"{packets.count} whole frames up to {end_s:.2f} s",
                        f"{promised_s:.2f} s as its header says", "the file is cut off; fetch it again")
