"""A table's rows and columns as a reader wants them: constants out, the method first, the best on top and marked.

Files keep the order and the columns that the builders give; only pages for reading are arranged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from himoe.report.tables.against import AGAINST
from himoe.report.tables.render import cell_text, to_markdown
from himoe.report.tables.rows import ATTAINABLE
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.paper import PaperValue

SIMULATED = " (simulated)"
_LEADS = ("Method", "Claim", "Fact", "Present", "Action unit")
# Scores compare within these: another data set, split or modality set is another race.
GROUPS = ("Set", "Data", "Held out", "Protocol", "Task", "Modalities", "Modality set", "Source")
_NAMES = (*GROUPS, "What differs", "Emotion experts", "Verdict", "Table", "Score")
_MAIN = ("CCC", "ACC", "CCC, ours", "accuracy, ours", "r = 0.00", "Pooled CCC", "CCC valence", "ACC valence")
_MINOR = ("Our data", "Run", "Trials", "Windows", "PCC", "PCC (paper)", "MAE", "MAE (paper)", "Power", "By fold",
          "EEG encoder", "Signal encoder", "Missing in training", "Attainable within-trial CCC")
_RESULTS = ("Difference", "Not converged")  # what a table without a score of its own is there for
_HIGHER = ("CCC", "Within-trial CCC", "PCC", "ACC", "accuracy", "F1", "r =", "Pooled")
_TITLED = ("Set", "Our data")  # a title that names the data says it already
_ORDERED = ("Emotion experts",)  # tables with such a column have an order of their own


@dataclass(frozen=True)
class Arranged:
    """``columns`` and ``rows`` to show; ``constants``: (column, its one value); ``best``: (row, column) in bold.

    ``ranks`` says for each column how late it is to be hidden where room is short: 0 first to stay.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    constants: tuple[tuple[str, str], ...]
    best: frozenset[tuple[int, int]]
    ranks: tuple[int, ...]


def arrange(table: Table) -> Arranged:
    """*table* for reading: every cell is still there, as a cell or as a constant."""
    constant = _constant_columns(table)
    kept = [j for j in range(len(table.columns)) if j not in constant]
    names = [table.columns[j] for j in kept]
    lead = kept[next((names.index(name) for name in _LEADS if name in names), 0)]
    kept = [lead, *(j for j in kept if j != lead)]
    columns = tuple(table.columns[j] for j in kept)
    main = _main(columns)
    rows, groups = _sorted([tuple(row[j] for j in kept) for row in table.rows], columns, main)
    constants = tuple((table.columns[j], text) for j, text in constant.items()
                      if text != cell_text(None) and not (table.columns[j] in _TITLED and text in table.title))
    best = _best(rows, columns, groups) if main is not None else frozenset()
    return Arranged(columns, tuple(rows), constants, best, _ranks(columns, main))


def rewritten(table: Table, say: Callable[[str], str]) -> Table:
    """*table* with *say* applied to its cells, heads and notes; the title stays, it names the data."""
    return replace(table, columns=tuple(map(say, table.columns)),
                   rows=tuple(tuple(say(cell) if isinstance(cell, str) else cell for cell in row)
                              for row in table.rows),
                   notes=tuple(map(say, table.notes)))


def reading_markdown(table: Table) -> str:
    """*table* as Markdown, arranged for reading: the best in bold, constant columns in a line below the title."""
    found = arrange(table)
    rows = tuple(tuple(f"**{cell_text(cell)}**" if (i, j) in found.best else cell for j, cell in enumerate(row))
                 for i, row in enumerate(found.rows))
    text = to_markdown(replace(table, columns=found.columns, rows=rows))
    constants = "; ".join(f"{name}: {value}" for name, value in found.constants)
    return text.replace("\n\n", f"\n\n{constants}.\n\n", 1) if constants else text


def said_once(text: str) -> str:
    """*text* without the mark of simulated data, for where a badge has said it."""
    return text.replace(SIMULATED, "")


def common_notes(tables: Sequence[Table], least: int = 3) -> tuple[str, ...]:
    """Notes that at least *least* tables have, in the order of their first place.

    Of notes on one matter ("EEG: ...") that differ only the commonest, with what others add to it ("...; FACE: ...");
    the rest stays with its tables.
    """
    counts = Counter(note for table in tables for note in table.notes)
    often = [note for note, count in counts.items() if count >= least]
    matters: dict[str, list[str]] = {}
    for note in often:
        matters.setdefault(note.partition(": ")[0] if ": " in note else note, []).append(note)
    found = []
    for notes in matters.values():
        commonest = max(notes, key=lambda note: counts[note])
        found.append(max((note for note in notes if _covers(note, commonest)), key=len))
    return tuple(found)


def without_notes(table: Table, said: Sequence[str]) -> Table:
    """*table* without the notes that are *said* elsewhere."""
    return replace(table, notes=tuple(note for note in table.notes if not any(_covers(one, note) for one in said)))


def _covers(one: str, other: str) -> bool:
    """Whether *one* says all that *other* does, and perhaps more after a semicolon."""
    return one == other or one.startswith(other.rstrip(".") + ";")


def _constant_columns(table: Table) -> dict[int, str]:
    """Columns whose cells all print the same, with what they print; our data where it repeats the set's name."""
    if len(table.rows) < 2:
        return {}
    printed = [[cell_text(row[j]) for row in table.rows] for j in range(len(table.columns))]
    found = {j: texts[0] for j, texts in enumerate(printed) if len(set(texts)) == 1}
    if "Set" in table.columns and "Our data" in table.columns:
        sets, data = (printed[table.columns.index(name)] for name in ("Set", "Our data"))
        if all(text in (name, cell_text(None)) for name, text in zip(sets, data, strict=True)):
            found[table.columns.index("Our data")] = cell_text(None)
    return dict(sorted(found.items())) if len(found) < len(table.columns) else {}


def _main(columns: Sequence[str]) -> int | None:
    """The column of the score that the rows go by."""
    if any(name in columns for name in _ORDERED):
        return None
    return next((columns.index(name) for name in _MAIN if name in columns), None)


def _sorted(rows: list[tuple[Cell, ...]], columns: Sequence[str], main: int | None
            ) -> tuple[list[tuple[Cell, ...]], list[int]]:
    """Rows by falling score within their groups, the ceiling last; and each row's group."""
    by = [j for j, name in enumerate(columns) if name in GROUPS]
    order: dict[tuple[str, ...], int] = {}
    groups = [order.setdefault(tuple(cell_text(row[j]) for j in by), len(order)) for row in rows]
    if main is None:
        return rows, groups

    def place(k: int) -> tuple[int, bool, bool, float]:
        value = _value(rows[k][main])
        beside = next((found for cell in rows[k][main:] if (found := _value(cell)) is not None), 0.0)
        return groups[k], ATTAINABLE in rows[k], value is None, -(beside if value is None else value)

    indices = sorted(range(len(rows)), key=place)
    return [rows[k] for k in indices], [groups[k] for k in indices]


def _best(rows: Sequence[tuple[Cell, ...]], columns: Sequence[str], groups: Sequence[int]
          ) -> frozenset[tuple[int, int]]:
    """Our best scores of each group and column, as printed; none where only one row has a score."""
    found = set()
    for j, name in enumerate(columns):
        sign = -1.0 if name.startswith("MAE") else 1.0 if name.startswith(_HIGHER) else 0.0
        for group in dict.fromkeys(groups):
            values = {i: sign * round(cell.mean, cell.digits) for i, row in enumerate(rows)
                      if groups[i] == group and ATTAINABLE not in row and isinstance(cell := row[j], Ours)
                      and cell.mean is not None}
            if sign and len(values) > 1:
                found |= {(i, j) for i, value in values.items() if value == max(values.values())}
    return frozenset(found)


def _ranks(columns: Sequence[str], main: int | None) -> tuple[int, ...]:
    """0 is the first column, 1 the main score; then names, the main score's paper column, the verdict, the rest."""
    def level(j: int) -> int:
        name = columns[j]
        if j in (0, main) or name in _RESULTS:
            return 0 if j == 0 else 1
        if main is not None and name in (f"{columns[main]} (paper)", columns[main].replace("ours", "paper")):
            return 3
        return 2 if name in _NAMES else 4 if name == AGAINST else 6 if name in _MINOR else 5
    ordered = sorted(range(len(columns)), key=lambda j: (level(j), j))
    return tuple(ordered.index(j) for j in range(len(columns)))


def _value(cell: Cell) -> float | None:
    return cell.mean if isinstance(cell, Ours) else cell.value if isinstance(cell, PaperValue) else None
