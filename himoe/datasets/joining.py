"""Several files of one recording (it was stopped and started again; runs of a session) on one clock.

The clock is that of the file that began first. Where another one begins on it is what ``dataset.yaml`` declares, else
the difference of the files' dates and times. What lies between two files is a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from himoe.core.errors import bad_input
from himoe.datasets.description import DESCRIPTION
from himoe.datasets.devices.contract import DeviceFile, Marker, Start

CLOCK_S = 1.0  # headers give the start to the second: files may seem to overlap that much
SAME_CLOCK_S = 5.0  # clocks of the recording computer that agree that well with the dates went on between the files
SAID_S = 0.01  # an overlap from which on it is noted


@dataclass(frozen=True)
class Part:
    """A file of a recording: its run ("" where it is the only one), where it begins on the recording's clock."""

    run: str
    begin_s: float
    file: DeviceFile


@dataclass(frozen=True)
class Joined:
    """The files of one recording in order of time; 0 of its clock is 0 of the first one's."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> DeviceFile:
        """The file that began first."""
        return self.parts[0].file

    @property
    def start(self) -> Start | None:
        """Date and time at 0 of the clock."""
        return self.first.start

    @property
    def duration_s(self) -> float:
        """From 0 of the clock to the last sample."""
        return max(part.begin_s + part.file.duration_s for part in self.parts)

    @property
    def breaks_s(self) -> tuple[float, ...]:
        """Where recording stopped inside a file and went on at a time that nobody wrote down."""
        return tuple(part.begin_s + break_s for part in self.parts for break_s in part.file.breaks_s)

    def markers(self) -> tuple[Marker, ...]:
        """Those of all files, in order of time."""
        return tuple(sorted((Marker(part.begin_s + mark.time_s, mark.text) for part in self.parts
                             for mark in part.file.markers()), key=lambda mark: mark.time_s))

    def break_before(self, time_s: float) -> float | None:
        """A break from which on the clock is not known at *time_s*: one in the file that runs there."""
        there = [part for part in self.parts if part.begin_s <= time_s][-1:]
        return next((part.begin_s + break_s for part in there for break_s in part.file.breaks_s
                     if part.begin_s + break_s <= time_s), None)

    def begin_of(self, run: str, where: object) -> float:
        """Where a run begins; InputError, said of *where*, if there is no such run."""
        found = [part.begin_s for part in self.parts if part.run == run]
        if len(found) != 1:
            raise bad_input(where, f"run {run!r}", "one of " + " ".join(repr(part.run) for part in self.parts)
                            if self.parts[0].run else f"no run: {self.first.path} is the only file",
                            "correct the run, or file in dataset.yaml")
        return found[0]


def join(names: Sequence[str], runs: Sequence[str], files: Sequence[DeviceFile], offsets_s: Mapping[str, float],
         zone: str | None, clock: Joined | None = None) -> Joined:
    """The *files* of one modality as one recording.

    Parameters
    ----------
    names, runs, files : one per file
        ``names``: below the folder of ``dataset.yaml``.
    offsets_s : {name: seconds}
        Where files begin on the clock of the first one, as ``dataset.yaml`` declares it.
    zone : str or None
        Of dates that carry none.
    clock : Joined, optional
        A recording of the same runs: a file begins when that of the same run does.

    Raises
    ------
    InputError
        If nothing says where a file begins, or two overlap.
    """
    if len(files) == 1:
        return Joined((Part(runs[0], 0.0, files[0]),))
    if clock is not None:
        begins_s = [clock.begin_of(run, file.path) for run, file in zip(runs, files, strict=True)]
    elif set(names) & set(offsets_s):
        begins_s = _declared(names, offsets_s)
    else:
        begins_s = _by_dates(files, zone)
    parts = sorted((Part(*one) for one in zip(runs, begins_s, files, strict=True)), key=lambda part: part.begin_s)
    return _one_after_the_other([replace(part, begin_s=part.begin_s - parts[0].begin_s) for part in parts])


def _declared(names: Sequence[str], offsets_s: Mapping[str, float]) -> list[float]:
    """Seconds from the beginning of the first file, which need not be named."""
    for name in names[1:]:
        if name not in offsets_s:
            raise bad_input(f"{DESCRIPTION}: offsets_s", f"no {name!r}", f"it, as {names[0]!r} belongs to it",
                            "add seconds from the beginning of the first file to that of this one")
    return [offsets_s.get(name, 0.0) for name in names]


def _by_dates(files: Sequence[DeviceFile], zone: str | None) -> list[float]:
    starts = []
    for file in files:
        if file.start is None:
            raise bad_input(file.path, "no date and time in it", f"one, as {len(files)} files are one recording",
                            "say offsets_s in dataset.yaml: seconds from the beginning of the first file to that of "
                            "each")
        starts.append(file.start.in_zone(zone))
    for file, start in zip(files, starts, strict=True):
        if start.zoned != starts[0].zoned:
            raise bad_input(file.path, "a time in UTC" if start.zoned else "a wall clock's time",
                            f"the same as in {files[0].path}", "say time_zone in dataset.yaml")
    return [_after(file, files[0], start.unix_s - starts[0].unix_s) for file, start in zip(files, starts, strict=True)]


def _after(file: DeviceFile, first: DeviceFile, by_date_s: float) -> float:
    """By a clock of the recording computer, where it ran on between the files: dates are good to a second."""
    if file.computer_s is None or first.computer_s is None:
        return by_date_s
    by_clock_s = file.computer_s - first.computer_s
    return by_clock_s if abs(by_clock_s - by_date_s) <= SAME_CLOCK_S else by_date_s


def _one_after_the_other(parts: Sequence[Part]) -> Joined:
    done, notes = [parts[0]], []
    for before, part in pairwise(parts):
        end_s = done[-1].begin_s + before.file.duration_s
        overlap_s = end_s - part.begin_s
        if overlap_s > CLOCK_S:
            raise bad_input(part.file.path, f"a recording that begins at {part.begin_s:g} s on the clock of "
                            f"{parts[0].file.path.name}, while {before.file.path.name} lasts to {end_s:g} s",
                            "one file after the other", "see whether a file is there twice or a clock was wrong, or "
                            "say offsets_s in dataset.yaml")
        if overlap_s > SAID_S:
            notes.append(f"{part.file.path}: by its clock it begins {overlap_s:.2g} s before {before.file.path.name} "
                         "ends: it is taken to begin there.")
        done.append(replace(part, begin_s=max(part.begin_s, end_s)) if overlap_s > 0 else part)
    return Joined(tuple(done), tuple(notes))
