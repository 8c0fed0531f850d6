"""XDF of the Lab Recorder, read by pyxdf: clocks brought together and jitter taken out, as its authors advise.

pyxdf holds a file whole in memory: as float32 at most, whatever it was. Format: https://github.com/sccn/xdf/wiki.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file
from himoe.datasets.devices.contract import DeviceFile, Marker, Start, Stream, from_rows, plain, said_by

STRING = "string"
MARKS = re.compile(r"marker|event|trigger|stim", flags=re.IGNORECASE)  # kinds of streams of numbers that are markers
SAMPLES = b"\x03\x00"  # tag of a chunk of samples


def open_xdf(path: Path) -> DeviceFile:
    """Open an XDF file: a stream each, empty ones too; streams of text, and of single numbers that are markers by their
    kind, give the markers.

    Channels are called by their labels; where a stream gives none (or one twice), by their numbers from 1 on. Time 0 is
    the first sample of any stream.

    Raises
    ------
    InputError
        If it is no such file, or no stream can be read.
    """
    import pyxdf

    require_file(path)
    try:
        with _said() as said:
            raw, header = pyxdf.load_xdf(str(path), synchronize_clocks=True, dejitter_timestamps=True, on_chunk=_narrow)
    except Exception as error:  # a damaged file can fail in any way at all
        raise _unreadable(path, error) from error
    if not raw:
        raise _no_stream(path)
    firsts_s = [float(np.min(one["time_stamps"])) for one in raw if len(one["time_stamps"])]
    zero_s = min(firsts_s, default=0.0)
    signals = [one for one in raw if not _is_markers(one)]
    marks = tuple(sorted((Marker(float(time_s) - zero_s, _text(sample)) for one in raw if _is_markers(one)
                          for time_s, sample in zip(one["time_stamps"], one["time_series"], strict=True)),
                         key=lambda mark: mark.time_s))
    notes = tuple(f"{path}: pyxdf says: {text}" for text in dict.fromkeys(said)
                  if "clock-segments differ" not in text)  # gaps without a new clock; seen in the stamps
    return DeviceFile(path, tuple(_stream(one, zero_s) for one in signals), _start(header), lambda: marks, (), notes,
                      (path,), zero_s if firsts_s else None)


def peek_xdf(path: Path) -> DeviceFile:
    """The streams of an XDF file and how many samples each has, without the samples: pyxdf needs 13 s for an hour of 32
    channels at 512 Hz. It is given a copy of the file without the chunks of samples.

    Raises
    ------
    InputError
        As :func:`open_xdf`.
    """
    import pyxdf

    require_file(path)
    try:
        with pyxdf.pyxdf.open_xdf(str(path)) as whole, _said():
            heads, counts = _heads(whole)
            raw, header = pyxdf.load_xdf(io.BytesIO(heads), synchronize_clocks=False, dejitter_timestamps=False)
    except Exception as error:  # a damaged file can fail in any way at all
        raise _unreadable(path, error) from error
    if not raw:
        raise _no_stream(path)
    found = [replace(_stream(one, 0.0), n_samples=counts.get(one["info"]["stream_id"], 0)) for one in raw
             if not _is_markers(one)]
    return DeviceFile(path, tuple(found), _start(header), files=(path,))


def _heads(whole: BinaryIO) -> tuple[bytes, Counter[int]]:
    """A file that stands behind its first word, without chunks of samples; how many samples each stream has."""
    kept, counts = [b"XDF:"], Counter[int]()
    while len(width := whole.read(1)) == 1 and width[0] in (1, 4, 8):
        size = whole.read(width[0])
        length = int.from_bytes(size, "little")
        tag = whole.read(2)
        if tag != SAMPLES:
            kept.append(width + size + tag + whole.read(length - 2))
            continue
        stream = int.from_bytes(whole.read(4), "little")
        width = whole.read(1)
        counts[stream] += int.from_bytes(whole.read(width[0]), "little") if width and width[0] in (1, 4, 8) else 0
        whole.seek(length - 7 - (width[0] if width else 0), 1)
    return b"".join(kept), counts


def _unreadable(path: Path, error: Exception) -> InputError:
    return bad_input(path, f"a file that pyxdf cannot read ({said_by(error)})", "a whole XDF file",
                     "copy the recording again")


def _no_stream(path: Path) -> InputError:
    return bad_input(path, "no stream", "at least one", "see whether the file was cut off")


def _narrow(values: Any, stamps: Any, info: Any, stream: int) -> tuple[Any, Any, Any]:
    """Every chunk as it comes: an hour of wide numbers would not fit beside its own copy."""
    if isinstance(values, np.ndarray) and values.dtype.itemsize > 4:
        values = values.astype(np.float32)
    return values, stamps, info


@contextmanager
def _said() -> Any:
    """What pyxdf logs as a warning or worse, in place of printing it."""
    texts: list[str] = []
    logger = logging.getLogger("pyxdf.pyxdf")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(" ".join(record.getMessage().split())[:300])  # type: ignore[method-assign]
    spread = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield texts
    finally:
        logger.removeHandler(handler)
        logger.propagate = spread


def _field(stream: Any, key: str) -> str:
    found = stream["info"].get(key)
    return str(found[0]) if found and found[0] is not None else ""


def _is_markers(raw: Any) -> bool:
    """Text, or single numbers at times of their own whose kind says so."""
    return _field(raw, "channel_format") == STRING or (
        float(_field(raw, "nominal_srate")) == 0 and _field(raw, "channel_count") == "1"
        and MARKS.search(_field(raw, "type")) is not None)


def _text(sample: Any) -> str:
    return plain(" ".join(one if isinstance(one, str) else f"{one:g}" for one in sample))


def _stream(raw: Any, zero_s: float) -> Stream:
    count, nominal_hz = int(_field(raw, "channel_count")), float(_field(raw, "nominal_srate"))
    labels, units = _labels(raw, count)
    times_s = np.asarray(raw["time_stamps"], dtype=np.float64) - zero_s
    return Stream(_field(raw, "name"), _field(raw, "type"), labels, units, nominal_hz or None, len(times_s),
                  float(times_s[0]) if len(times_s) else 0.0, partial(from_rows, raw["time_series"]), lambda: times_s)


def _labels(raw: Any, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units; numbers from 1 on where names are absent, too few or not all different."""
    channels: list[Any] = []
    with suppress(TypeError, KeyError, IndexError):
        channels = list(raw["info"]["desc"][0]["channels"][0]["channel"])
    labels = [_said_of(channel, "label") for channel in channels]
    units = [_said_of(channel, "unit") for channel in channels] if len(channels) == count else [""] * count
    if len(labels) != count or len(set(labels)) < count or "" in labels:
        labels = [str(k + 1) for k in range(count)]
    return tuple(labels), tuple(units)


def _said_of(channel: Any, key: str) -> str:
    found = channel.get(key) if hasattr(channel, "get") else None
    return str(found[0]).strip() if found and found[0] is not None else ""


def _start(header: Any) -> Start | None:
    """When the recorder began, from the file's header: good to about a second."""
    try:
        moment = datetime.fromisoformat(str(header["info"]["datetime"][0]))
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    return Start(moment.timestamp(), True) if moment.tzinfo else None
