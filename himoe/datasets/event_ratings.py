"""Ratings in tables of events, one per person and run, as BIDS has them: a row is a trial with its time and ratings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.datasets.description import Description, Events
from himoe.datasets.devices.bids import NOTHING, TABS
from himoe.datasets.pattern import Ids, as_glob, ids_in, in_order
from himoe.datasets.texttable import TextTable, cell_error, read_text_table


def read_event_ratings(description: Description, events: Events, root: Path) -> TextTable:
    """The trials of all people as one table of ratings: subject, trial, stimulus, start_s, duration_s, dimensions.

    Raises
    ------
    InputError
        If there is no table of events, or one lacks a column, a time, or has a rating off the scale.
    """
    path = root / description.ratings
    parts: list[TextTable] = []
    counts = Counter[str]()  # of the trials of a person so far
    for one, ids in event_files(description, root):
        parts.append(_person(description, events, one, ids, counts[ids.subject]))
        counts[ids.subject] += parts[-1].n_rows
    if not parts:
        raise bad_input(path, "no such file", "a table of events for each person", "correct ratings: events")
    texts = {name: [text for part in parts for text in part.texts[name]]
             for name in ("subject", "trial", "stimulus", "run")}
    numbers = {name: np.concatenate([part.numbers[name] for part in parts])
               for name in ("start_s", "duration_s", *description.dimensions)}
    return TextTable(path, tuple(texts) + tuple(numbers), len(texts["subject"]), texts, numbers)


def event_files(description: Description, root: Path) -> Iterator[tuple[Path, Ids]]:
    """The tables of events, runs in their order, and whose each is."""
    for path in sorted(root.glob(as_glob(description.ratings)), key=lambda one: in_order(str(one))):
        ids = ids_in(path.relative_to(root).as_posix(), description.ratings)
        if ids is not None and path.is_file():
            yield path, ids


def _person(description: Description, events: Events, path: Path, ids: Ids, before: int) -> TextTable:
    """The trials of a person's table, named by a column or numbered after those *before*."""
    needed = [name for name, said in (("trial_type", events.trial_type), (events.trial, events.trial)) if said and name]
    table = read_text_table(path, needed, ("onset", "duration", *description.dimensions), ("stimulus", "stim_file"),
                            dialect=TABS)
    rated = ~np.isnan(np.stack([table.numbers[name] for name in description.dimensions])).all(axis=0)
    kinds = table.texts.get("trial_type", [])
    rows = [row for row in range(table.n_rows)
            if (rated[row] if events.trial_type is None else kinds[row] == events.trial_type)]
    low, high = description.scale
    for row in rows:
        for name in ("onset", "duration"):
            value = table.numbers[name][row]
            if np.isnan(value) or (name == "duration" and value <= 0):
                raise cell_error(path, row, name, f"{value:g}", "seconds" if name == "onset" else "seconds above 0")
        for name in description.dimensions:
            if not (np.isnan(table.numbers[name][row]) or low <= table.numbers[name][row] <= high):
                raise cell_error(path, row, name, f"{table.numbers[name][row]:g}", f"a rating in {low:g}..{high:g}")
    trials = [table.texts[events.trial][row] if events.trial else str(k)
              for k, row in enumerate(rows, start=before + 1)]
    shown = table.texts.get("stimulus", table.texts.get("stim_file"))
    stimuli = trials if shown is None else [trial if shown[row] == NOTHING else shown[row]
                                            for trial, row in zip(trials, rows, strict=True)]
    numbers = {name: table.numbers[name][rows] for name in description.dimensions}
    numbers |= {"start_s": table.numbers["onset"][rows], "duration_s": table.numbers["duration"][rows]}
    return TextTable(path, table.names, len(rows), {"subject": [ids.subject] * len(rows), "trial": trials,
                                                    "stimulus": stimuli, "run": [ids.run] * len(rows)}, numbers)
