"""Trials out of a person's recordings by devices, as ``dataset.yaml`` and the ratings table say where they lie."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.recordings import Signal
from himoe.datasets.aligning import Span, begin_s, marked_span, parse_start_time, run_clock
from himoe.datasets.clock import MAX_EXCESS, past_end, slack_s
from himoe.datasets.description import DESCRIPTION, Description, Table
from himoe.datasets.devices import FORMATS, open_device
from himoe.datasets.devices.contract import DeviceFile, find_stream
from himoe.datasets.devices.cut import Cut, cut_stream, factors, require_rate
from himoe.datasets.folder_tables import Ratings, files_of, is_there
from himoe.datasets.joining import Joined, join
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
        there = {name: found for name, table in self.description.devices.items() if (found := self._there(table, key))}
        used = {path for paths in there.values() for path in paths.values()}
        self.open = {path: file for path, file in self.open.items() if path in used}
        span = self._span(row, key, there, said)
        if span is None:
            return {}, self.ratings.duration_s(row)
        files = {name: self._joined(name, there[name], said, span) for name in there if name in wanted}
        begins = {name: self._begin(name, file, span, said) for name, file in files.items()}
        duration_s = span.duration_s
        if duration_s is None:
            ends_s = [begin + files[name].duration_s for name, begin in begins.items()]
            duration_s = max(ends_s, default=span.start_s) - span.start_s
        signals = {}
        for name, begin in begins.items():
            signal = self._signal(name, files[name], span, begin, duration_s, said)
            if signal is not None:
                signals[name] = signal
        return signals, duration_s

    def _there(self, table: Table, key: tuple[str, str]) -> dict[str, Path]:
        """The files of a modality that are there, by their run."""
        return {run: path for run, path in files_of(self.root, table, *key).items() if is_there(table, path)}

    def _joined(self, name: str, paths: Mapping[str, Path], said: Said, span: Span | None = None) -> Joined:
        """The files of a modality as one recording."""
        table, files = self.description.tables[name], []
        for path in paths.values():
            if path not in self.open:
                self.open[path] = _opened(self.root, path, table, self.options)
            files.append(self.open[path])
        names = [path.relative_to(self.root).as_posix() for path in paths.values()]
        joined = join(names, list(paths), files, self.description.offsets_s, self.description.time_zone,
                      None if span is None else run_clock(table, next(iter(paths)), span))
        notes = [note for file in files for note in file.notes] + list(joined.notes)
        said.notes += [note for note in notes if note not in self.told]
        self.told |= set(notes)
        return joined

    def _span(self, row: int, key: tuple[str, str], there: Mapping[str, Mapping[str, Path]],
              said: Said) -> Span | None:
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
            path = next(iter(files_of(self.root, self.description.tables[trials.clock], *key).values()))
            said.notes.append(f"{path}: not there, and with it the times of trial {key[1]}: its recordings are "
                              "left out.")
            return None
        file = self._joined(trials.clock, there[trials.clock], said)
        if trials.start is not None:
            if start_s is not None:
                raise bad_input(where, "start_s, and trials: start in dataset.yaml", "one of them", "remove one")
            start_s, marked_s = marked_span(self.description, file, key[1], self._order(key, trials.clock))
            duration_s = duration_s if marked_s is None else marked_s
        elif (run := self.ratings.run(row)) is not None and start_s is not None:
            start_s += file.begin_of(run, f"{where}, column 'run'")
        self._require_length(where, duration_s)
        assert start_s is not None
        return Span(start_s, duration_s, file, file.start)

    def _require_length(self, where: str, duration_s: float | None) -> None:
        if duration_s is None:
            raise bad_input(where, "no length of the trial", "duration_s or end_s in the ratings, or trials: end",
                            "add one")

    def _whole(self, where: str, key: tuple[str, str], there: Mapping[str, Mapping[str, Path]],
               duration_s: float | None, said: Said) -> Span | None:
        """The trial is a file: that of the first modality in dataset.yaml; the others are brought to its clock."""
        if any(self.description.tables[name].continuous for name in self.description.devices):
            raise bad_input(where, "no start_s or start_time, and files that hold many trials",
                            "one of these columns, or trials: start in dataset.yaml", "say where the trials lie")
        if not there:
            return None
        name = self.description.trials.clock if self.description.trials.clock in there else next(iter(there))
        assert name is not None
        file = self._joined(name, there[name], said)
        return Span(0.0, duration_s, file, file.start, whole=True)

    def _order(self, key: tuple[str, str], clock: str) -> list[str]:
        """The trials whose times are in the same recording, as the ratings have them."""
        table = self.description.tables[clock]
        trials = [trial for person, trial in self.ratings.trials() if person == key[0]]
        return trials if table.continuous else [key[1]]

    def _begin(self, name: str, file: Joined, span: Span, said: Said) -> float:
        begin, notes = begin_s(self.description.tables[name], file, span, self.description.time_zone)
        said.notes += notes
        return begin

    def _signal(self, name: str, file: Joined, span: Span, begin: float, duration_s: float,
                said: Said) -> Signal | None:
        table = self.description.tables[name]
        for break_s in file.breaks_s:
            if span.start_s < begin + break_s < span.start_s + duration_s:
                raise bad_input(file.first.path, f"recording interrupted at {break_s:g} s, inside a trial",
                                "whole trials", "leave that trial out of the ratings")
        start_s, n_samples = span.start_s - begin, max(round(duration_s * table.sfreq_hz), 0)
        cuts, first_s, end_s = list[Cut](), float("inf"), 0.0
        for part in file.parts:
            stream, picks = find_stream(part.file, table.sources, table.stream)
            cut = cut_stream(str(part.file.path), stream, picks, table.unit, table.clock, start_s - part.begin_s,
                             n_samples)
            if stream.n_samples:
                cuts.append(cut)
                first_s, end_s = min(first_s, part.begin_s + stream.start_s), max(end_s, part.begin_s + stream.end_s)
        if span.whole:
            self._check_length(file.first.path, table, end_s + begin, duration_s, said)
        if not cuts:
            said.notes.append(f"{file.first.path}: no sample in {stream.name!r}: {name} is missing.")
            return None
        for cut in cuts:
            said.notes += cut.notes
            said.doubts += cut.doubts
        if not any(cut.inside for cut in cuts):
            said.notes.append(f"{file.first.path}: {name} lasts from {first_s:g} to {end_s:g} s, the trial on this "
                              f"clock from {start_s:g} to {start_s + duration_s:g} s: {name} is missing.")
            return None
        return Signal(_merged(cuts), table.sfreq_hz, table.columns, table.unit)

    def _check_length(self, path: Path, table: Table, length_s: float, duration_s: float, said: Said) -> None:
        """A file that holds one trial is about as long as the trial."""
        rows = round(length_s * table.sfreq_hz)
        if length_s > duration_s + slack_s(duration_s):
            if length_s > (1 + MAX_EXCESS) * duration_s and not table.cut_past_end:
                raise past_end(str(path), length_s, duration_s, rows)
            said.notes.append(f"{path}: {rows} samples last {length_s:g} s, the trial {duration_s:g} s: the rest is "
                              "cut off.")


def _merged(cuts: Sequence[Cut]) -> np.ndarray:
    """The samples of several files in one trial; what is in none of them is a gap."""
    data = cuts[0].data
    for cut in cuts[1:]:
        data = np.where(np.isnan(data), cut.data, data) if cut.inside else data
    return data
