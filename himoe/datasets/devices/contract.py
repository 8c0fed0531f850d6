"""What every reader of a device's file hands over: streams on one clock, markers, when the clock began.

Legend: C channels, N samples, K chosen samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.datasets.texttable import shown_names


@dataclass(frozen=True)
class Marker:
    """A mark in a file: seconds on the file's clock and its text, every run of blanks as one."""

    time_s: float
    text: str


@dataclass(frozen=True)
class Start:
    """Date and time at 0 of a file's clock: seconds since 1970. ``zoned``: in UTC; else as a wall clock showed it."""

    unix_s: float
    zoned: bool

    def in_zone(self, zone: str | None) -> Start:
        """The same moment in UTC, where it is known: a wall clock's time is taken to be of *zone*."""
        if self.zoned or zone is None:
            return self
        shown = datetime.fromtimestamp(math.floor(self.unix_s), UTC).replace(tzinfo=ZoneInfo(zone))
        return Start(shown.timestamp() + self.unix_s % 1, True)


@dataclass(frozen=True)
class Stream:
    """Channels that were sampled together.

    Parameters
    ----------
    name, kind : str
        As the file calls them; ``kind`` is what it measures (``EEG``), if it says so.
    channels, units : tuple of str
        One per channel; an empty unit = the file does not say.
    sfreq_hz : float or None
        Rate in Hz as the file says it; None = irregular.
    n_samples : int
        N.
    start_s : float
        Time of the first sample on the file's clock.
    read : (first, last, picks) -> (C, last - first) float
        Samples of the channels *picks*, in ``units``; NaN = lost.
    times_s : () -> (N,) float64, or None
        A time for each sample on the file's clock; None = ``start_s``, ``sfreq_hz`` and ``pieces`` say it all.
    pieces : (time, number of a sample), ...
        Where recording paused: the first sample of each stretch and its time on the file's clock, in order; none = one
        stretch from ``start_s`` on.
    """

    name: str
    kind: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    sfreq_hz: float | None
    n_samples: int
    start_s: float
    read: Callable[[int, int, Sequence[int]], np.ndarray]
    times_s: Callable[[], np.ndarray] | None = None
    pieces: tuple[tuple[float, int], ...] = ()

    @property
    def end_s(self) -> float:
        """When the last sample ends, on the file's clock."""
        if self.times_s is not None:
            times_s = self.times_s()
            return float(times_s[-1]) + (1 / self.sfreq_hz if self.sfreq_hz else 0.0) if len(times_s) else self.start_s
        *_, (begin_s, _, count) = self.stretches()
        assert self.sfreq_hz is not None
        return begin_s + count / self.sfreq_hz

    def stretches(self) -> Iterator[tuple[float, int, int]]:
        """Each stretch between pauses: its time, its first sample's number, how many samples."""
        pieces = self.pieces or ((self.start_s, 0),)
        for (begin_s, first), (_, following) in pairwise((*pieces, (0.0, self.n_samples))):
            yield begin_s, first, following - first


@dataclass(frozen=True)
class DeviceFile:
    """A file (or an Empatica folder) that was opened; samples are read when asked for.

    ``start``: the date and time at 0 of its clock, None where it carries none. ``markers``: in order of time.
    ``breaks_s``: where recording stopped and went on later, so that the clock says too little from there on.
    ``notes``: what a person should know, as sentences. ``files``: all files that it consists of. ``computer_s``: 0 of
    its clock on one of the recording computer that goes on from file to file, None where there is none.
    """

    path: Path
    streams: tuple[Stream, ...]
    start: Start | None
    markers: Callable[[], tuple[Marker, ...]] = tuple
    breaks_s: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    computer_s: float | None = None

    @property
    def duration_s(self) -> float:
        """From 0 of the clock to the last sample of any stream."""
        return max((stream.end_s for stream in self.streams if stream.n_samples), default=0.0)


def find_stream(file: DeviceFile, columns: Sequence[str], name: str | None) -> tuple[Stream, list[int]]:
    """The one stream with the channels *columns* (and of that name or kind, if said), and their places.

    Raises
    ------
    InputError
        If there is no such stream, several, or a channel is absent or stands there twice.
    """
    called = [one for one in file.streams if name is None or name in (one.name, one.kind)]
    if not called:
        raise bad_input(f"{file.path}: stream", repr(name), f"one of {_shown(file.streams)}", "correct stream")
    having = [one for one in called if set(columns) <= set(one.channels)]
    if not having:
        raise _no_channels(file, columns, called)
    if len(having) > 1:
        raise bad_input(f"{file.path}: columns {shown_names(columns, ' ')}", f"them in {_shown(having)}", "one stream",
                        "say which with stream" if len({one.name for one in having}) == len(having) else
                        "give the streams different names in the recording software")
    for column in columns:
        count = having[0].channels.count(column)
        if count > 1:
            raise bad_input(f"{file.path}: channel {column!r}", f"it {count} times", "it once",
                            "leave it out of columns or rename it in the file")
    return having[0], [having[0].channels.index(column) for column in columns]


def _no_channels(file: DeviceFile, columns: Sequence[str], called: Sequence[Stream]) -> InputError:
    if len(called) == 1 or not {name for one in called for name in one.channels} >= set(columns):
        known = [name for one in called for name in one.channels]
        absent = [column for column in columns if column not in known] or list(columns)
        return bad_input(f"{file.path}: columns", f"no channel {absent[0]!r} among {shown_names(known, ' ')}",
                         "names of its channels", "correct columns")
    return bad_input(f"{file.path}: columns", f"channels of different rates or streams ({_shown(called)})",
                     "channels of one stream", "make two modalities of them")


def _shown(streams: Sequence[Stream]) -> str:
    return shown_names([f"{one.name!r}" + (f" ({one.kind})" if one.kind else "") for one in streams], ", ")


def from_rows(rows: np.ndarray, first: int, last: int, picks: Sequence[int]) -> np.ndarray:
    """A stream's ``read`` where the samples are rows (N, C) in memory."""
    return np.asarray(rows[first:last])[:, list(picks)].T.astype(np.float64)


def said_by(error: BaseException) -> str:
    """What a library said of a file that it could not read, short."""
    return f"{type(error).__name__}: {plain(error)[:300]}"


def plain(text: object) -> str:
    """A marker's text with every run of blanks as one."""
    return " ".join(str(text).split())
