"""Where a trial lies in the recordings of several devices: one clock for all of them.

A recording has a clock of its own, 0 at its beginning. The trials' clock is that of one modality's files, or counts
from the date and time that the ratings table gives. Another file's beginning on it is what ``dataset.yaml`` declares
(``offset_s``), else the difference of the two files' dates and times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from himoe.core.errors import bad_input
from himoe.datasets.description import Description, Table
from himoe.datasets.devices.contract import Marker, Start, plain
from himoe.datasets.joining import Joined
from himoe.datasets.pattern import PLACEHOLDER
from himoe.datasets.texttable import shown_names

AFTER_1970_S = 1e8  # a number in start_time is seconds since 1970; a smaller one is something else
ZONE = "say time_zone: Europe/Berlin (or where it was recorded) in dataset.yaml, or offset_s"


@dataclass(frozen=True)
class Span:
    """A trial on the trials' clock: begin and length in seconds; ``file`` has that clock, None = ``zero`` has.

    ``duration_s`` None = to the end of the recordings. ``zero``: date and time at 0 of the clock, None = not known.
    ``whole``: nobody said where the trial lies; each file is taken to hold one trial.
    """

    start_s: float
    duration_s: float | None
    file: Joined | None
    zero: Start | None
    whole: bool = False


def parse_start_time(where: str, cell: str, zone: str | None) -> Start:
    """A cell of ``start_time``: seconds since 1970 (UTC), or ISO 8601 (``2026-03-01T14:05:10+01:00``).

    Raises
    ------
    InputError
        If it is neither.
    """
    try:
        number = float(cell)
        if AFTER_1970_S < number < float("inf"):
            return Start(number, True)
    except ValueError:
        try:
            moment = datetime.fromisoformat(cell)
            if moment.tzinfo is not None:
                return Start(moment.timestamp(), True)
            return Start((moment - datetime(1970, 1, 1)).total_seconds(), False).in_zone(zone)
        except ValueError:
            pass
    raise bad_input(where, repr(cell[:40]), "seconds since 1970 or a date and time such as 2026-03-01T14:05:10+01:00",
                    "correct that cell")


def run_clock(table: Table, run: str, span: Span) -> Joined | None:
    """The clock's recording, where ``offset_s`` counts from the beginning of its file of the same run."""
    there = table.offset_s is not None and run and span.file is not None and span.file.parts[0].run
    return span.file if there else None


def begin_s(table: Table, file: Joined, span: Span, zone: str | None) -> tuple[float, list[str]]:
    """Where the beginning of *file* lies on the trials' clock, and a note where that was taken for granted.

    Raises
    ------
    InputError
        If neither dates nor ``offset_s`` say it, or recording was interrupted before the trial.
    """
    path = file.first.path
    if span.file is not None and path == span.file.first.path:
        return 0.0, []
    if table.offset_s is not None:
        if span.file is None:
            raise bad_input(f"dataset.yaml: offset_s of {table.files[0]}", "offset_s, and start_time in the ratings",
                            "one", "remove offset_s, or give start_s instead of start_time")
        clock = run_clock(table, file.parts[0].run, span)
        return table.offset_s + (0.0 if clock is None else clock.begin_of(file.parts[0].run, path)), []
    here = None if file.start is None else file.start.in_zone(zone)
    zero = None if span.zero is None else span.zero.in_zone(zone)
    if here is None or zero is None:
        dateless = path if here is None or span.file is None else span.file.first.path
        if span.whole:
            return 0.0, [f"{dateless}: no date and time in it: {path} is taken to begin with the trial."]
        raise bad_input(dateless, "no date and time in it", "one, to bring it together with the other device",
                        "say offset_s: seconds from the beginning of the clock's file to that of the modality's own")
    if here.zoned != zero.zoned:
        raise bad_input(path, "a wall clock's time" if zero.zoned else "a time in UTC",
                        "a time in UTC, as the trials' clock" if zero.zoned else "a wall clock's, as the trials' clock",
                        ZONE)
    begin = here.unix_s - zero.unix_s
    for one, at_s in ((file, begin), *(((span.file, 0.0),) if span.file is not None else ())):
        break_s = one.break_before(span.start_s - at_s)
        if break_s is not None:
            raise bad_input(one.first.path, f"recording interrupted at {break_s:g} s, before the trial",
                            "a recording without interruption, to bring it together with the other device",
                            "export its parts as files of their own, or say offset_s")
    return begin, []


def marked_span(description: Description, file: Joined, trial: str,
                order: Sequence[str]) -> tuple[float, float | None]:
    """Begin and length (None = no end marker) of *trial* by the markers of *file*; *order*: its trials, in order.

    A text with ``{trial}`` must be there once for the trial. A text without stands for the first trial, the second, ...
    A trial ends at the first end marker after its start.

    Raises
    ------
    InputError
        If markers are absent, or more or fewer than trials.
    """
    trials = description.trials
    assert trials.start is not None
    marks = file.markers()
    starts = _matching(marks, trials.start, trial)
    place, expected = 0, 1
    if not PLACEHOLDER.search(trials.start):
        place, expected = order.index(trial), len(order)
    marks_each = 2 if trials.end == trials.start else 1  # one text for both: the first starts, the second ends, ...
    if len(starts) != marks_each * expected:
        raise _wrong_count(file, trials.start, trial, len(starts), marks_each * expected)
    starts = starts[::marks_each]
    start_s = starts[place].time_s
    if trials.end is None:
        return start_s, None
    ends = [mark.time_s for mark in _matching(marks, trials.end, trial) if mark.time_s > start_s]
    following = starts[place + 1].time_s if place + 1 < len(starts) else float("inf")
    if not ends or ends[0] > following:
        raise bad_input(f"{file.first.path}: trial {trial}", f"no marker {trials.end!r} between its start at "
                        f"{start_s:g} s and the next one", "one",
                        "correct trials: end, or give duration_s in the ratings instead")
    return start_s, ends[0] - start_s


def _matching(marks: Sequence[Marker], text: str, trial: str) -> list[Marker]:
    wanted = PLACEHOLDER.sub(lambda _: trial, text)
    return [mark for mark in marks if mark.text == plain(wanted)]


def _wrong_count(file: Joined, text: str, trial: str, found: int, expected: int) -> Exception:
    known = list(dict.fromkeys(mark.text for mark in file.markers()))
    wanted = f" for trial {trial}" if PLACEHOLDER.search(text) else ", by the ratings' rows of this recording"
    return bad_input(f"{file.first.path}: markers {PLACEHOLDER.sub(lambda _: trial, text)!r}",
                     f"{found} (its markers: {shown_names([repr(one) for one in known], ', ')})", f"{expected}{wanted}",
                     "correct trials in dataset.yaml, or the ratings table")
