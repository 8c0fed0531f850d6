"""A user's own folder as a data set: described in ``dataset.yaml``, no code to write.

``docs/your-own-data.md`` explains every key. Files are CSV or Parquet tables, one per trial and
modality, or recordings of devices (:mod:`himoe.datasets.devices`) that hold one trial or many
(:mod:`himoe.datasets.continuous`); a file that is absent means that the modality is missing for that trial. People
who have files and no row in the ratings table have no ratings. A trial starts at time 0 and lasts ``duration_s`` of the
ratings table or, without that column, as long as its longest signal.

Nothing is bent without a word: tables are read strictly, time stamps are checked (:mod:`himoe.datasets.clock`), the
tables are held against each other (:mod:`himoe.datasets.folder_tables`). What is not refused but worth knowing is in
the notes of a session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.recordings import Session, Signal, Trial
from himoe.datasets.base import COLLECT, Channels, Dataset, Inventory, NotedSession
from himoe.datasets.clock import MAX_EXCESS, past_end, read_clock, slack_s
from himoe.datasets.continuous import Recordings, Said, look
from himoe.datasets.description import DESCRIPTION as DESCRIPTION
from himoe.datasets.description import Description, Table, load_description
from himoe.datasets.devices import patterns_of
from himoe.datasets.event_ratings import event_files
from himoe.datasets.folder_tables import (
    Ratings,
    files_of,
    files_without_rating,
    finder,
    is_there,
    named,
    notes_on_annotations,
    read_annotations,
    read_ratings,
    unknown_annotations,
)
from himoe.datasets.grid import on_grid
from himoe.datasets.links import require_inside
from himoe.datasets.participants import (
    PARTICIPANTS,
    folders_without_row,
    participants_file,
    read_participants,
    rows_without_folder,
)
from himoe.datasets.pattern import as_glob
from himoe.datasets.tablefile import has_rows, read_table


def folder_dataset(root: Path) -> Dataset:
    """The form of the data set described in ``root/dataset.yaml``.

    Raises
    ------
    InputError
        For an unknown or missing key, an unknown modality or dimension, or a value of the wrong kind.
    """
    form, description = load_description(root)
    return Dataset(
        name=form.name, title=form.title, citation=form.citation, doi=form.doi, licence=form.licence,
        access=form.access, redistributable=form.redistributable, dimensions=form.dimensions, scale=form.scale,
        thresholds=(form.threshold,),
        modalities={name: Channels(table.columns, None if table.irregular else table.sfreq_hz, table.unit)
                    for name, table in description.tables.items()},
        inspect=partial(_inspect, description), read=partial(_read, description),
        default_off=description.default_off)


def file_patterns(root: Path) -> tuple[str, ...]:
    """Glob patterns, relative to *root*, of the files the description names."""
    _, description = load_description(root)
    names = [description.ratings] + ([description.annotations] if description.annotations else [])
    recordings = [pattern for table in description.tables.values()
                  for file in map(as_glob, table.files)
                  for pattern in (patterns_of(table.format, file) if table.is_device else (file,))]
    bids = [PARTICIPANTS] if participants_file(description, root) is not None else []
    return (DESCRIPTION, *bids, *dict.fromkeys(recordings), *(as_glob(name) for name in names))


# --- what is there ------------------------------------------------------------------------------


def _inspect(description: Description, root: Path, options: Mapping[str, str]) -> Inventory:
    """Subjects with at least one sample; files that are absent; what is wrong with the rest, as far as is told cheaply.

    Looks at the beginning of every file, not at its samples.
    """
    tables = [root / description.ratings]
    if description.events is not None:
        tables = [path for path, _ in event_files(description, root)]
    for path in (root / DESCRIPTION, *tables, *([root / description.annotations] if description.annotations else [])):
        require_inside(root, path, options)
    ratings = read_ratings(description, root)
    missing: list[str] = []
    problems: list[str] = []
    readable: set[str] = set()
    seen: dict[tuple[str, Path], str] = {}  # of recordings that hold many trials
    find = finder(root, description)
    silent: list[tuple[str, str]] = []  # trials without a sample: subject, and how a sentence names it
    for row, (subject, trial) in enumerate(ratings.trials()):
        states = [_state(root, path, name, table, options, problems, seen) for name, table in description.tables.items()
                  for path in find(name, subject, trial).values()]
        missing += [path.relative_to(root).as_posix() for path, state in states if state == "absent"]
        if any(state == "rows" for _, state in states):
            readable.add(subject)
        else:
            silent.append((subject, f"{subject} {trial} in row {row + 1}"))
    if not readable:
        raise _nothing(root, missing, problems)
    left_out = [said for subject, said in silent if subject in readable]
    if left_out:
        problems.append(f"{root / description.ratings}: {named(left_out, 'rated trial')} without a sample in any file: "
                        "left out.")
    unread = sorted(set(ratings.subjects) - readable)
    problems += [f"No signal file at all for {' '.join(unread)}."] if unread else []
    problems += files_without_rating(description, root, ratings)
    problems += _annotation_problems(description, root, ratings)
    people = _people(description, root, readable, options, problems)
    return Inventory(people, tuple(dict.fromkeys(missing)), tuple(problems))


def _people(description: Description, root: Path, readable: set[str], options: Mapping[str, str],
            problems: list[str]) -> tuple[str, ...]:
    """Those who can be read, by name, or those of them whom ``participants.tsv`` has, in its order."""
    path = participants_file(description, root)
    if path is None:
        return tuple(sorted(readable))
    people = read_participants(require_inside(root, path, options))
    unlisted, absent = folders_without_row(root, people), rows_without_folder(root, people)
    if unlisted:
        problems.append(f"{path}: no row of {named(unlisted, 'folder')}: left out.")
    if absent:
        problems.append(f"{path}: no folder of {named(absent, 'row')}.")
    found = tuple(one for one in people if one in readable)
    if not found:
        raise bad_input(path, f"no row of the people with recordings ({' '.join(sorted(readable))})",
                        "one row per person", "add them, or move the table away")
    return found


def _state(root: Path, path: Path, name: str, table: Table, options: Mapping[str, str], problems: list[str],
           seen: dict[tuple[str, Path], str]) -> tuple[Path, str]:
    """Whether a file is ``absent``, ``empty`` or has ``rows``; what is wrong with it goes to *problems*, once."""
    if (name, path) in seen:
        return path, seen[name, path]
    if not is_there(table, path):
        state = "absent"
    else:
        try:
            state = "rows" if _has_samples(root, path, table, options) else "empty"
        except InputError as error:
            problems.append(str(error))
            state = "rows"  # reading will say the same: the subject must not be lost without a word
    if state == "empty":
        problems.append(f"{path}: no sample of {name}: the modality is missing." if table.is_device else
                        f"{path}: a header without a row of samples: the modality is missing for that trial.")
    seen[name, path] = state
    return path, state


def _has_samples(root: Path, path: Path, table: Table, options: Mapping[str, str]) -> bool:
    if table.is_device:
        return look(root, path, table, options)
    times = [] if table.time_column is None else [table.time_column]
    return has_rows(require_inside(root, path, options), [*times, *table.sources], table.dialect)


def _nothing(root: Path, missing: list[str], problems: list[str]) -> InputError:
    found = "no signal file of any trial" if missing or not problems else "no sample in any signal file"
    return bad_input(root, found, f"files such as {missing[0] if missing else 'a trial'}",
                     "check the file patterns in dataset.yaml")


def _annotation_problems(description: Description, root: Path, ratings: Ratings) -> list[str]:
    try:
        return unknown_annotations(description, root, ratings)
    except InputError as error:
        return [str(error)]


# --- reading ------------------------------------------------------------------------------------


def _read(description: Description, root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """Yield one session per trial with a sample: those of the ratings table in its order, then unrated ones."""
    asked = set(options.get("modalities", "").replace(",", " ").split())
    wanted = asked or set(description.tables) - set(description.default_off)
    ratings = read_ratings(description, root)
    if subject not in ratings.subjects:
        raise bad_input(root / description.ratings, f"no row of subject {subject!r}", "at least one", "correct the id")
    annotations = read_annotations(description, root, subject)
    recordings = Recordings(description, root, ratings, options)
    for row, (person, trial) in enumerate(ratings.trials()):
        if person != subject:
            continue
        said = Said()
        try:
            found, said_s = recordings.trial(row, (subject, trial), wanted, said) if description.devices else (
                {}, ratings.duration_s(row))
            found |= _signals(description, root, (subject, trial), wanted, said_s, options, said)
            signals = {name: found[name] for name in description.tables if name in found}
            if signals:
                duration_s, more = _length(f"{root}: {subject} {trial}", signals, said_s)
                rated, where = annotations.get(trial, (None, ""))
                notes = (*said.notes, *more, *notes_on_annotations(where, rated, duration_s))
                one = Trial(trial, ratings.stimulus(row), 0.0, duration_s, ratings.of(row), rated)
                yield NotedSession(subject, signals, (one,), notes, tuple(said.doubts))
            elif said.notes:
                yield NotedSession(subject, {}, (), tuple(said.notes), tuple(said.doubts))
        except InputError as error:
            if options.get("errors") != COLLECT["errors"]:
                raise
            yield NotedSession(subject, {}, (), tuple(said.notes), (*said.doubts, str(error)))


def _signals(description: Description, root: Path, key: tuple[str, str], wanted: set[str], duration_s: float | None,
             options: Mapping[str, str], said: Said) -> dict[str, Signal]:
    signals = {}
    for name, table in description.tables.items():
        if name not in wanted or table.is_device:
            continue
        path = files_of(root, table, *key)[""]
        if path.is_file():
            signal = _signal(require_inside(root, path, options), table, duration_s, said)
            if signal.data.size:
                signals[name] = signal
    return signals


def _signal(path: Path, table: Table, duration_s: float | None, said: Said) -> Signal:
    times = () if table.time_column is None else (table.time_column,)
    rows = read_table(path, (), (*times, *table.sources), dialect=table.dialect)
    values = np.stack([rows.numbers[name] for name in table.sources])
    length_s = rows.n_rows / table.sfreq_hz
    if table.time_column is not None and rows.n_rows:
        axis = read_clock(f"{path}: {table.time_column}", rows.numbers[table.time_column], values, table.clock,
                          duration_s)
        said.notes += axis.notes
        said.doubts += axis.doubts
        length_s = float(axis.time_s[-1])
        n_samples = max(int(np.floor(length_s * table.sfreq_hz + 1e-6)) + 1, 0)
        values = on_grid(axis.time_s, axis.values, table.sfreq_hz, n_samples, table.clock.max_gap_s)
    if duration_s is not None and length_s > duration_s + slack_s(duration_s):
        if length_s > (1 + MAX_EXCESS) * duration_s and not table.cut_past_end:
            raise past_end(str(path), length_s, duration_s, rows.n_rows)
        said.notes.append(f"{path}: {rows.n_rows} rows last {length_s:g} s, the trial {duration_s:g} s: the rest is "
                          "cut off.")
    return Signal(values.astype(np.float32), table.sfreq_hz, table.columns, table.unit)


def _length(where: str, signals: Mapping[str, Signal], duration_s: float | None) -> tuple[float, list[str]]:
    """The trial's length, and a note on signals that end long before it."""
    longest_s = max(signal.duration_s for signal in signals.values())
    length_s = longest_s if duration_s is None else duration_s
    short = [f"{name} {signal.duration_s:g} s" for name, signal in signals.items()
             if signal.duration_s < length_s - slack_s(length_s)]
    if not short:
        return length_s, []
    return length_s, [f"{where}: the trial lasts {length_s:g} s, {' and '.join(short)}: what is missing at the end is "
                      "a gap; see whether sfreq_hz is right."]
