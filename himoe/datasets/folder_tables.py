"""The ratings and the annotations of a user's own folder, held against each other and against its files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.recordings import Annotations
from himoe.datasets.clock import slack_s
from himoe.datasets.description import Description, Table
from himoe.datasets.devices import is_recording
from himoe.datasets.event_ratings import read_event_ratings
from himoe.datasets.form import LONGEST_NAME
from himoe.datasets.grid import check_times
from himoe.datasets.pattern import ANY, as_glob, filled, ids_in, in_order, plain_run
from himoe.datasets.tablefile import read_table
from himoe.datasets.texttable import TextTable, cell_error

NAMED = 4  # so many of a kind are named in a sentence, the rest is counted


@dataclass(frozen=True)
class Ratings:
    """The checked table of ratings; rows count from 0."""

    table: TextTable
    dimensions: tuple[str, ...]

    @property
    def subjects(self) -> list[str]:
        """Ids, one per row."""
        return self.table.texts["subject"]

    def trials(self) -> Iterator[tuple[str, str]]:
        """Subject and trial of every row."""
        return zip(self.subjects, self.table.texts["trial"], strict=True)

    def duration_s(self, row: int) -> float | None:
        """The trial's length, None where the table does not say."""
        found = self.table.numbers.get("duration_s")
        return None if found is None or np.isnan(found[row]) else float(found[row])

    def start_s(self, row: int) -> float | None:
        """Where the trial begins on the clock of a device's file, None where the table does not say."""
        found = self.table.numbers.get("start_s")
        return None if found is None or np.isnan(found[row]) else float(found[row])

    def start_time(self, row: int) -> str | None:
        """Date and time of the trial's beginning as the table has it, None where there is no such column."""
        found = self.table.texts.get("start_time")
        return None if found is None else found[row]

    def run(self, row: int) -> str | None:
        """The run whose beginning ``start_s`` counts from, None where the table does not say."""
        return plain_run(self.table.texts["run"][row]) or None if "run" in self.table.texts else None

    def stimulus(self, row: int) -> str:
        """The stimulus; without such a column, the trial's name."""
        return self.table.texts.get("stimulus", self.table.texts["trial"])[row]

    def of(self, row: int) -> dict[str, float]:
        """Ratings by dimension, NaN where missing."""
        return {name: float(self.table.numbers[name][row]) for name in self.dimensions}


def read_ratings(description: Description, root: Path) -> Ratings:
    """The table of ratings; refused with row and column where an id, a rating or a length cannot be."""
    path = root / description.ratings
    if description.events is not None:
        table = read_event_ratings(description, description.events, root)
    else:
        times = description.devices != {}
        table = _with_lengths(path, read_table(path, ("subject", "trial"), description.dimensions,
                                               ("stimulus", *(["start_time", "run"] if times else [])),
                                               ("duration_s", *(["start_s", "end_s"] if times else [])),
                                               description.dialect))
    for name in ("subject", "trial"):
        for row, text in enumerate(table.texts[name]):
            if Path(text).name != text or text == ".." or len(text) > LONGEST_NAME or not text.isprintable():
                raise cell_error(path, row, name, repr(text[:LONGEST_NAME]), "an id without slashes, on one line")
    ratings = Ratings(table, description.dimensions)
    seen: set[tuple[str, str]] = set()
    for row, key in enumerate(ratings.trials()):
        if key in seen:
            raise cell_error(path, row, "trial", repr(key[1]), "every subject and trial once")
        seen.add(key)
    for name in description.dimensions:
        _check_scale(path, name, table.numbers[name], description.scale)
    lengths = table.numbers.get("duration_s", np.ones(0))
    for place in np.flatnonzero(~(lengths > 0)):
        name = "end_s" if "end_s" in table.numbers else "duration_s"
        raise cell_error(path, int(place), name, f"{lengths[place]:g}" if name == "duration_s" else
                         f"{table.numbers[name][place]:g}", "seconds above 0" if name == "duration_s" else
                         "seconds after start_s")
    return _with_unlisted(description, root, ratings)


def _with_lengths(path: Path, table: TextTable) -> TextTable:
    """``start_s`` and ``end_s`` as ``duration_s``."""
    numbers = table.numbers
    if "end_s" not in numbers:
        return table
    if "duration_s" in numbers or "start_s" not in numbers:
        found = "end_s and duration_s" if "duration_s" in numbers else "end_s without start_s"
        raise bad_input(f"{path}: header", found, "start_s with end_s or duration_s", "remove or add a column")
    return replace(table, numbers={**numbers, "duration_s": numbers["end_s"] - numbers["start_s"]})


def _with_unlisted(description: Description, root: Path, ratings: Ratings) -> Ratings:
    """The ratings and, below them, a row without a rating for each trial of people who have files and no row."""
    listed = set(ratings.subjects)
    found = sorted({ids for ids in _trials_on_disk(description, root, listed) if ids[0] not in listed})
    if not found:
        return ratings
    people, trials = (list(ids) for ids in zip(*found, strict=True))
    added = {"subject": people, "trial": trials, "stimulus": trials, "start_time": [""] * len(found),
             "run": [""] * len(found)}
    table = ratings.table
    texts = {name: values + added[name] for name, values in table.texts.items()}
    numbers = {name: np.concatenate([values, np.full(len(found), np.nan)]) for name, values in table.numbers.items()}
    return replace(ratings, table=replace(table, n_rows=table.n_rows + len(found), texts=texts, numbers=numbers))


def _trials_on_disk(description: Description, root: Path, people: Set[str]) -> Iterator[tuple[str, str]]:
    """(subject, trial) of the files that fit a pattern, each told by the pattern that says most of its name.

    Names that fit one of the *people* are theirs.
    """
    seen = {description.ratings, description.annotations}
    patterns = {file: table for table in description.tables.values() if not table.continuous for file in table.files}
    for pattern, table in sorted(patterns.items(), key=lambda item: -len(item[0])):
        for path in root.glob(as_glob(pattern)):
            name = path.relative_to(root).as_posix()
            if name in seen or not is_there(table, path):
                continue
            seen.add(name)
            known = (ids_in(name, pattern, re.escape(person)) for person in sorted(people))
            ids = next((one for one in known if one), None) or ids_in(name, pattern)
            if ids is not None:
                yield ids.subject, ids.trial


def _check_scale(path: Path, name: str, values: np.ndarray, scale: tuple[float, float]) -> None:
    for row in np.flatnonzero((values < scale[0]) | (values > scale[1])):
        raise cell_error(path, int(row), name, f"{values[row]:g}", f"a rating in {scale[0]:g}..{scale[1]:g}")


def _annotation_table(description: Description, root: Path) -> TextTable | None:
    if description.annotations is None:
        return None
    path = root / description.annotations
    table = read_table(path, ("subject", "trial"), ("time_s", *description.dimensions), dialect=description.dialect)
    for name in description.dimensions:
        _check_scale(path, name, table.numbers[name], description.scale)
    return table


def read_annotations(description: Description, root: Path, subject: str) -> dict[str, tuple[Annotations, str]]:
    """By trial: the subject's ratings over time, and where they stand, for a note."""
    table = _annotation_table(description, root)
    rows: dict[str, list[int]] = {}
    for row, (person, trial) in enumerate(zip(table.texts["subject"], table.texts["trial"], strict=True)
                                          if table else ()):
        if person == subject:
            rows.setdefault(trial, []).append(row)
    found = {}
    for trial, chosen in rows.items():
        assert table is not None
        time_s = table.numbers["time_s"][chosen]
        where = f"{table.path}: subject {subject}, trial {trial}: time_s"
        check_times(where, time_s)
        found[trial] = (Annotations(time_s, {name: table.numbers[name][chosen] for name in description.dimensions}),
                        f"{where} (from row {chosen[0] + 1})")
    return found


def notes_on_annotations(where: str, annotations: Annotations | None, duration_s: float) -> list[str]:
    """A note on annotations outside the trial; refused where most are: unit or origin is another."""
    if annotations is None:
        return []
    time_s = annotations.time_s
    outside = np.flatnonzero((time_s < -slack_s(duration_s)) | (time_s > duration_s + slack_s(duration_s)))
    if 2 * outside.size > time_s.size:
        raise bad_input(where, f"times up to {time_s[-1]:g} s, {outside.size} of {time_s.size} outside the trial",
                        f"seconds from the trial's start, up to {duration_s:g} s", "correct the times or duration_s")
    return [f"{where}: {outside.size} of {time_s.size} annotations lie outside the {duration_s:g} s of the trial."
            ] if outside.size else []


def unknown_annotations(description: Description, root: Path, ratings: Ratings) -> list[str]:
    """A sentence on annotations of trials that the ratings do not have."""
    table = _annotation_table(description, root)
    if table is None:
        return []
    known = set(ratings.trials())
    unknown: dict[tuple[str, str], str] = {}
    for row, key in enumerate(zip(table.texts["subject"], table.texts["trial"], strict=True)):
        if key not in known:
            unknown.setdefault(key, f"{key[0]} {key[1]} (row {row + 1})")
    return [f"{table.path}: annotations of {named(list(unknown.values()), 'trial')} that {description.ratings} does "
            "not have: not used."] if unknown else []


def files_without_rating(description: Description, root: Path, ratings: Ratings) -> list[str]:
    """A sentence on files that fit a pattern, of trials that the ratings do not have."""
    known = {root / description.ratings, root / (description.annotations or description.ratings)}
    find = finder(root, description)
    for key in ratings.trials():
        known |= {path for name in description.tables for path in find(name, *key).values()}
    extra = set()
    for table in description.tables.values():
        extra |= {path.relative_to(root).as_posix() for file in table.files for path in root.glob(as_glob(file))
                  if path not in known and is_there(table, path)}
    return [f"{root / description.ratings}: no rating for {named(sorted(extra), 'file')}: not used."] if extra else []


def is_there(table: Table, path: Path) -> bool:
    """Whether a modality has a file (or, of some devices, a folder) at *path*."""
    return is_recording(path, table.format) if table.is_device else path.is_file()


def files_of(root: Path, table: Table, subject: str, trial: str) -> dict[str, Path]:
    """The files of one modality and trial by their run: "" = the only one; those of a list count from 1 on.

    With ``{run}`` in the pattern those that are there, or one that cannot be; else whether they are there or not.
    """
    paths = [root / filled(file, subject, trial) for file in table.files]
    if len(paths) > 1:
        return {str(k): path for k, path in enumerate(paths, 1)}
    if not table.by_runs:
        return {"": paths[0]}
    pattern, found = table.files[0], dict[str, Path]()
    for path in sorted(root.glob(as_glob(pattern, subject=subject, trial=trial)), key=lambda one: in_order(str(one))):
        name = path.relative_to(root).as_posix()
        ids = ids_in(name, pattern, re.escape(subject), re.escape(trial) or ANY)
        if ids is not None and is_there(table, path):
            if ids.run in found:
                raise bad_input(path, f"run {ids.run!r} again", f"it once ({found[ids.run].name})", "rename a file")
            found[ids.run] = path
    return found or {"": paths[0]}


def finder(root: Path, description: Description) -> Callable[[str, str, str], Mapping[str, Path]]:
    """:func:`files_of` by modality, subject and trial; recordings are not looked for again with each trial."""

    @cache
    def find(name: str, subject: str, trial: str) -> Mapping[str, Path]:
        return files_of(root, description.tables[name], subject, trial)

    continuous = {name for name, table in description.tables.items() if table.continuous}
    return lambda name, subject, trial: find(name, subject, "" if name in continuous else trial)


def named(items: Sequence[str], what: str) -> str:
    """``3 trials (a, b, c)``: how many, and the first few by name."""
    rest = ", ..." if len(items) > NAMED else ""
    return f"{len(items)} {what}{'s' * (len(items) != 1)} ({', '.join(items[:NAMED])}{rest})"
