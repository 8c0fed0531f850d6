"""Trials out of a person's recordings by devices, as ``dataset.yaml`` and the ratings table say where they lie."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from himoe.core.errors import bad_input
from himoe.core.recordings import Signal
from himoe.datasets.aligning import Span, begin_s, marked_span, parse_start_time
from himoe.datasets.clock import MAX_EXCESS, past_end, slack_s
from himoe.datasets.description import DESCRIPTION, Description, Table
from himoe.datasets.devices import FORMATS, open_device
from himoe.datasets.devices.contract import DeviceFile, find_stream
from himoe.datasets.devices.cut import cut_stream, factors, require_rate
from himoe.datasets.folder_tables import Ratings, file_of, is_there
from himoe.datasets.links import require_inside


@dataclass
class Said:
    """What reading a trial had to say (see :class:`himoe.datasets.base.NotedSession`)."""

    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def look(root: Path, path: Path, table: Table, options: Mapping[str, str]) -> bool:
    """Whether a modality's stream in the recording at *path* has samples; channels, unit and rate are as said.

    Raises
    ------
    InputError
        If not, or the recording cannot be opened.
    """
    file = _opened(root, path, table, options, samples=False)
    stream, picks = find_stream(file, table.sources, table.stream)
    factors(str(path), stream, picks, table.unit)
    require_rate(str(path), stream, table.clock)
    return stream.n_samples > 0


def _opened(root: Path, path: Path, table: Table, options: Mapping[str, str], samples: bool = True) -> DeviceFile:
    require_inside(root, path, options)
    for one in (path / name for name in FORMATS[table.format].inside if path.is_dir()):
        require_inside(root, one, options)
    file = open_device(path, table.format, samples)
    for one in file.files:
        require_inside(root, one, options)
    return file


class Recordings:
    """The recordings of a folder, open as long as one trial after the other needs them."""

    def __init__(self, description: Description, root: Path, ratings: Ratings, options: Mapping[str, str]) -> None:
        self.description = description
        self.root = root
        self.ratings = ratings
        self.options = options
        self.open: dict[Path, DeviceFile] = {}
        self.told: set[str] = set()  # notes on a whole file are said with its first trial

    def trial(self, row: int, key: tuple[str, str], wanted: Collection[str],
              said: Said) -> tuple[dict[str, Signal], float | None]:
        """The signals that the trial in *row* of the ratings has in files of devices, and its length in seconds.

        The length is None where nothing says it and there is no recording.

        Raises
        ------
        InputError
            If the trial cannot be found in a recording, or a recording is not what ``dataset.yaml`` says.
        """
        paths = {name: file_of(self.root, table, *key) for name, table in self.description.devices.items()}
        there = {name: path for name, path in paths.items()
                 if is_there(self.description.tables[name], path)}
        self.open = {path: file for path, file in self.open.items() if path in there.values()}
        span = self._span(row, key, there, said)
        if span is None:
            return {}, self.ratings.duration_s(row)
        begins = {name: self._begin(name, path, span, said) for name, path in there.items() if name in wanted}
        duration_s = span.duration_s
        if duration_s is None:
            ends_s = [begin + self._file(there[name], name, said).duration_s for name, begin in begins.items()]
            duration_s = max(ends_s, default=span.start_s) - span.start_s
        signals = {}
        for name, begin in begins.items():
            signal = self._signal(name, there[name], span, begin, duration_s, said)
            if signal is not None:
                signals[name] = signal
        return signals, duration_s

    def _file(self, path: Path, name: str, said: Said) -> DeviceFile:
        if path not in self.open:
            self.open[path] = _opened(self.root, path, self.description.tables[name], self.options)
        said.notes += [note for note in self.open[path].notes if note not in self.told]
        self.told |= set(self.open[path].notes)
        return self.open[path]

    def _span(self, row: int, key: tuple[str, str], there: Mapping[str, Path], said: Said) -> Span | None:
        """Where the trial lies; None where the recording that has its times is not there."""
        trials, duration_s = self.description.trials, self.ratings.duration_s(row)
        cell, start_s = self.ratings.start_time(row), self.ratings.start_s(row)
        where = f"{self.root / self.description.ratings}: row {row + 1}"
        if trials.start is None and cell is not None:
            if start_s is not None:
                raise bad_input(where, "start_time and start_s", "one of them", "remove a column")
            begin = parse_start_time(f"{where}, column 'start_time'", cell, self.description.time_zone)
            self._require_length(where, duration_s)
            # The clock's 0 is the trial's beginning: seconds since 1970 would leave few digits for the samples.
            return Span(0.0, duration_s, None, begin)
        if trials.start is None and start_s is None:
            return self._whole(where, key, there, duration_s, said)
        if trials.clock is None:
            raise bad_input(f"{self.root / DESCRIPTION}: trials", "start_s in the ratings and several files", "clock",
                            "say from the beginning of which modality's file start_s counts")
        if trials.clock not in there:
            path = file_of(self.root, self.description.tables[trials.clock], *key)
            said.notes.append(f"{path}: not there, and with it the times of trial {key[1]}: its recordings are "
                              "left out.")
            return None
        file = self._file(there[trials.clock], trials.clock, said)
        if trials.start is not None:
            if start_s is not None:
                raise bad_input(where, "start_s, and trials: start in dataset.yaml", "one of them", "remove one")
            start_s, marked_s = marked_span(self.description, file, key[1], self._order(key, trials.clock))
            duration_s = duration_s if marked_s is None else marked_s
        self._require_length(where, duration_s)
        assert start_s is not None
        return Span(start_s, duration_s, file, file.start)

    def _require_length(self, where: str, duration_s: float | None) -> None:
        if duration_s is None:
            raise bad_input(where, "no length of the trial", "duration_s or end_s in the ratings, or trials: end",
                            "add one")

    def _whole(self, where: str, key: tuple[str, str], there: Mapping[str, Path], duration_s: float | None,
               said: Said) -> Span | None:
        """The trial is a file: that of the first modality in dataset.yaml; the others are brought to its clock."""
        if any(self.description.tables[name].continuous for name in self.description.devices):
            raise bad_input(where, "no start_s or start_time, and files that hold many trials",
                            "one of these columns, or trials: start in dataset.yaml", "say where the trials lie")
        if not there:
            return None
        name = self.description.trials.clock if self.description.trials.clock in there else next(iter(there))
        assert name is not None
        file = self._file(there[name], name, said)
        return Span(0.0, duration_s, file, file.start, whole=True)

    def _order(self, key: tuple[str, str], clock: str) -> list[str]:
        """The trials whose times are in the same recording, as the ratings have them."""
        table = self.description.tables[clock]
        path = file_of(self.root, table, *key)
        return [trial for person, trial in self.ratings.trials()
                if person == key[0] and file_of(self.root, table, person, trial) == path]

    def _begin(self, name: str, path: Path, span: Span, said: Said) -> float:
        table = self.description.tables[name]
        begin, notes = begin_s(path, table, self._file(path, name, said), span, self.description.time_zone)
        said.notes += notes
        return begin

    def _signal(self, name: str, path: Path, span: Span, begin: float, duration_s: float, said: Said) -> Signal | None:
        table, file = self.description.tables[name], self._file(path, name, said)
        stream, picks = find_stream(file, table.sources, table.stream)
        if span.whole:
            self._check_length(path, table, stream.end_s + begin, duration_s, said)
        for break_s in file.breaks_s:
            if span.start_s < begin + break_s < span.start_s + duration_s:
                raise bad_input(path, f"recording interrupted at {break_s:g} s, inside a trial", "whole trials",
                                "leave that trial out of the ratings")
        if not stream.n_samples:
            said.notes.append(f"{path}: no sample in {stream.name!r}: {name} is missing.")
            return None
        start_s = span.start_s - begin
        cut = cut_stream(str(path), stream, picks, table.unit, table.clock, start_s,
                         max(round(duration_s * table.sfreq_hz), 0))
        said.notes += cut.notes
        said.doubts += cut.doubts
        if not cut.inside:
            said.notes.append(f"{path}: {name} lasts from {stream.start_s:g} to {stream.end_s:g} s, the trial on this "
                              f"clock from {start_s:g} to {start_s + duration_s:g} s: {name} is missing.")
            return None
        return Signal(cut.data, table.sfreq_hz, table.columns, table.unit)

    def _check_length(self, path: Path, table: Table, length_s: float, duration_s: float, said: Said) -> None:
        """A file that holds one trial is about as long as the trial."""
        rows = round(length_s * table.sfreq_hz)
        if length_s > duration_s + slack_s(duration_s):
            if length_s > (1 + MAX_EXCESS) * duration_s and not table.cut_past_end:
                raise past_end(str(path), length_s, duration_s, rows)
            said.notes.append(f"{path}: {rows} samples last {length_s:g} s, the trial {duration_s:g} s: the rest is "
                              "cut off.")
