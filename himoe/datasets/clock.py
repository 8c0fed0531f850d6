"""The time axis of one signal: origin, unit, step, repeats, jumps and end are checked, never believed.

Legend: C channels, K time stamps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.datasets.grid import check_times

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
ORIGINS = ("trial", "first")
LONGEST_S = 86400.0  # a trial of more than a day: a clock time or milliseconds
SLACK_S, SLACK_SHARE = 1.0, 0.05  # a signal may be that much longer or shorter than its trial without a word
MAX_EXCESS = 0.5  # a signal longer than its trial by more than this share: rate, unit or length must be wrong
STEP_FACTOR = 3.0  # a median step so many times off 1 / sfreq_hz is noted
FINE_FACTOR = 50.0  # so many times below it, the stamps have another unit
JUMP_FACTOR, JUMP_S = 10.0, 60.0  # a gap longer than both that share of the rest and that time is the clock's


@dataclass(frozen=True)
class Clock:
    """What ``dataset.yaml`` says of time stamps: rate of the grid, longest gap to bridge, unit, where 0 lies.

    ``origin``: ``trial`` = stamps count from the trial's start; ``first`` = the first stamp is the trial's start;
    None = not said: as ``trial``, if the stamps bear it out.
    """

    sfreq_hz: float
    max_gap_s: float
    unit: str = "s"
    origin: str | None = None


@dataclass
class Axis:
    """Times (K,) in seconds from the trial's start and the values (C, K) that belong to them.

    ``notes`` say what was found and done. ``doubts`` are refusals that are not raised: the stamps are not what was
    said, what was read is the likeliest reading; ``himoe check`` and the pipeline refuse it until ``dataset.yaml`` says
    so.
    """

    time_s: np.ndarray
    values: np.ndarray
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def read_clock(where: str, stamps: np.ndarray, values: np.ndarray, clock: Clock, duration_s: float | None) -> Axis:
    """The time axis of stamps (K,) and values (C, K); *duration_s* is the trial's length, where known.

    Rows that repeat the row before (stamp and values) are left out.

    Raises
    ------
    InputError
        If the stamps are no times in any reading: missing, decreasing, jumping, one time with two values.
    """
    check_times(where, stamps)
    axis = Axis(stamps * UNITS[clock.unit], values)
    if len(stamps) > 1:
        _check_unit(where, axis, clock)
    _check_origin(where, axis, clock, duration_s)
    if axis.time_s[-1] > LONGEST_S:
        raise bad_input(where, f"{axis.time_s[-1]:g} s", "seconds from the trial's start",
                        "subtract the start and convert to seconds")
    _leave_out_repeats(where, axis)
    if len(axis.time_s) > 1:
        _check_steps(where, axis, clock)
    return axis


def _check_unit(where: str, axis: Axis, clock: Clock) -> None:
    """The median step must be near 1 / sfreq_hz; where another unit makes it so, that is the likeliest reading."""
    step_s = float(np.median(np.diff(axis.time_s)))
    times_off = step_s * clock.sfreq_hz
    if step_s <= clock.max_gap_s and (times_off >= 1 / FINE_FACTOR or step_s == 0):
        return
    factors = {unit: scale / UNITS[clock.unit] for unit, scale in UNITS.items()}
    likely = [unit for unit, factor in factors.items() if 0.5 < times_off * factor < 2]
    error = bad_input(where, f"a median step of {step_s:g} s",
                      f"about {1 / clock.sfreq_hz:g} s (1 / sfreq_hz), at most max_gap_s = {clock.max_gap_s:g} s",
                      f"the stamps look like {likely[0]}: say time_unit: {likely[0]} if they are" if likely
                      else "correct time_unit, sfreq_hz or max_gap_s")
    if not likely:
        raise error
    axis.doubts.append(str(error))
    axis.time_s = axis.time_s * factors[likely[0]]


def _check_origin(where: str, axis: Axis, clock: Clock, duration_s: float | None) -> None:
    """A first stamp far from 0 is believed if it was said, or if all stamps lie inside the trial."""
    first_s, last_s, late_s = float(axis.time_s[0]), float(axis.time_s[-1]), max(clock.max_gap_s, SLACK_S)
    if clock.origin == "first":
        axis.time_s = axis.time_s - first_s
    elif clock.origin is None and abs(first_s) > late_s:
        if duration_s is not None and first_s > 0 and last_s <= duration_s + slack_s(duration_s):
            axis.notes.append(f"{where}: the first stamp lies at {first_s:g} s; before it is a gap.")
            return
        axis.doubts.append(str(bad_input(
            where, f"the first stamp at {first_s:g} s", f"within {late_s:g} s of 0, the trial's start",
            "say time_origin: first if the first stamp is the trial's start, time_origin: trial if all stamps count "
            "from it")))
        axis.time_s = axis.time_s - max(first_s, 0.0)


def _leave_out_repeats(where: str, axis: Axis) -> None:
    again = np.flatnonzero(np.diff(axis.time_s) == 0) + 1
    if not again.size:
        return
    here, before = axis.values[:, again], axis.values[:, again - 1]
    other = again[~((here == before) | (np.isnan(here) & np.isnan(before))).all(axis=0)]
    if other.size:
        row = int(other[0])
        raise bad_input(f"{where}: row {row + 1}", f"{axis.time_s[row]:g} s again, with other values",
                        "every time once", "give every sample its own time, or leave time_column out if the stamps are "
                        "those of packets")
    axis.notes.append(f"{where}: {named_rows(again)} repeat the row before; left out.")
    axis.time_s, axis.values = np.delete(axis.time_s, again), np.delete(axis.values, again, axis=1)


def named_rows(rows: np.ndarray) -> str:
    """``3 rows (the first: 5)``; *rows* count from 0."""
    return f"{len(rows)} row{'s' * (len(rows) != 1)} (the first: {int(rows[0]) + 1})"


def _check_steps(where: str, axis: Axis, clock: Clock) -> None:
    """A gap may be long, but a clock that runs on for longer than all that was recorded has jumped."""
    steps_s = np.diff(axis.time_s)
    longest = int(np.argmax(steps_s))
    rest_s = float(axis.time_s[-1] - axis.time_s[0] - steps_s[longest])
    jump = f"a step from {axis.time_s[longest]:g} s to {axis.time_s[longest + 1]:g} s"
    if steps_s[longest] > max(JUMP_FACTOR * rest_s, JUMP_S):
        raise bad_input(where, f"{jump} and {rest_s:g} s of recording", "a clock that does not jump",
                        "correct the clock, or leave out what lies behind the jump")
    if steps_s[longest] > max(rest_s, clock.max_gap_s):
        axis.notes.append(f"{where}: {jump}: most of the time between first and last stamp is a gap.")
    step_s = float(np.median(steps_s))
    if not 1 / STEP_FACTOR <= step_s * clock.sfreq_hz <= STEP_FACTOR:
        axis.notes.append(f"{where}: the median step is {step_s:g} s, 1 / sfreq_hz is {1 / clock.sfreq_hz:g} s; values "
                          "are interpolated without a filter.")


def slack_s(duration_s: float) -> float:
    """How far a signal's length may be off its trial's without a word."""
    return max(SLACK_S, SLACK_SHARE * duration_s)


def past_end(where: str, length_s: float, duration_s: float, rows: int) -> InputError:
    """The refusal of a signal that is longer than its trial."""
    return bad_input(where, f"{rows} rows, which last {length_s:g} s",
                     f"at most the {duration_s:g} s of duration_s in the ratings table",
                     "correct sfreq_hz, time_unit or duration_s, or say past_end: cut to leave the rest out")
