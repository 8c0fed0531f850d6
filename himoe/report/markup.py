"""Tables as the templates need them: each cell with its text, its kind and what it is sorted by."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import pandas as pd
from markupsafe import Markup, escape

from himoe.report.tables import Ours, Table, cell_text
from himoe.report.tables.arrange import GROUPS, arrange
from himoe.scoring.paper import PaperValue

MAX_ROWS = 120  # of a chart's numbers on the page; the files have all
NOTE_LINES, LINE_CHARACTERS = 3, 150  # of notes below a table, at the page's full width; the rest is folded
WIDTHS = ((72, "w3"), (30, "w2"), (12, "w1"))  # a column's longest text from this on, and its class
SHORT = 11  # characters of a head that stays on one line
_JOINT = re.compile(r"(?<=\w)\+(?=[A-Z])")
_LEADING_NUMBER = re.compile(r"[+−-]?\d+(\.\d+)?(e[+-]?\d+)?(?=$|[\s%\[,±])")


@dataclass(frozen=True)
class HtmlCell:
    """``text`` to print, ``tail`` in small; ``kind``: ours, paper, number, text, none; ``key`` sorts ("" = last)."""

    text: str
    tail: str
    kind: str
    key: str
    best: bool = False


@dataclass(frozen=True)
class Head:
    """A column's head: ``rank`` says how late it is hidden, ``look`` its classes, ``where`` if it tells races apart."""

    name: str
    rank: int
    look: str
    where: bool


@dataclass(frozen=True)
class HtmlTable:
    """A table ready for the template: ``more`` are the notes to fold, ``ranks`` says which columns stay longest."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[HtmlCell, ...], ...]
    notes: tuple[str, ...]
    cut: int = 0  # rows left out
    constants: tuple[tuple[str, str], ...] = ()
    ranks: tuple[int, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def heads(self) -> list[Head]:
        """The columns' heads."""
        ranks = self.ranks or tuple(range(len(self.columns)))
        return [self._head(j, name, rank) for j, (name, rank) in enumerate(zip(self.columns, ranks, strict=True))]

    def _head(self, j: int, name: str, rank: int) -> Head:
        kinds = {row[j].kind.split()[0] for row in self.rows} - {"none"}
        longest = max((len(row[j].text) for row in self.rows if row[j].kind == "text"), default=0)
        looks = [next((look for least, look in WIDTHS if longest > least), ""), "short" if len(name) < SHORT else "",
                 "right" if kinds and "text" not in kinds else ""]
        return Head(name, rank, " ".join(look for look in looks if look), name in GROUPS)


def html_table(table: Table) -> HtmlTable:
    """*table* for the page, arranged for reading."""
    found = arrange(table)
    rows = [[replace(_cell(cell), best=(i, j) in found.best) for j, cell in enumerate(row)]
            for i, row in enumerate(found.rows)]
    for j in range(len(found.columns)):  # numbers among words stand at the left like them
        if any(row[j].kind == "text" for row in rows):
            for row in rows:
                row[j] = replace(row[j], kind="text") if row[j].kind == "number" else row[j]
    notes = shown_notes(table.notes)
    return HtmlTable(table.name, table.title, found.columns, tuple(map(tuple, rows)), notes,
                     constants=found.constants, ranks=found.ranks, more=table.notes[len(notes):])


def shown_notes(notes: Sequence[str]) -> tuple[str, ...]:
    """The first notes that fill at most ``NOTE_LINES`` lines."""
    lines = accumulate(-(-len(note) // LINE_CHARACTERS) for note in notes)
    return tuple(note for note, total in zip(notes, lines, strict=True) if total <= NOTE_LINES)


def html_frame(frame: pd.DataFrame, name: str, title: str) -> HtmlTable:
    """The numbers of a chart for the page; after ``MAX_ROWS`` rows the rest is only counted."""
    rows = tuple(tuple(_frame_cell(value) for value in row)
                 for row in frame.head(MAX_ROWS).itertuples(index=False))
    return HtmlTable(name, title, tuple(map(str, frame.columns)), rows, (), max(0, len(frame) - MAX_ROWS))


def breakable(text: str) -> Markup:
    """*text* for HTML; names joined by ``+`` may be parted there, so that no line has to end inside a word."""
    return Markup(_JOINT.sub("+<wbr>", escape(text)))


def _cell(cell: object) -> HtmlCell:
    text = cell_text(cell)  # type: ignore[arg-type]
    if cell is None:
        return HtmlCell(text, "", "none", "")
    if isinstance(cell, Ours):
        first, _, rest = text.partition(" ")
        return HtmlCell(first, rest, "ours", "" if cell.mean is None else _key(cell.mean))
    if isinstance(cell, PaperValue):
        return HtmlCell(text, "", "paper", _key(cell.value))
    if isinstance(cell, int | float):
        return HtmlCell(text, "", "number", "" if math.isnan(cell) else _key(cell))
    found = _LEADING_NUMBER.match(text)
    return HtmlCell(text, "", "text", found[0].replace("−", "-") if found else text)


def _frame_cell(value: object) -> HtmlCell:
    if isinstance(value, str):
        return HtmlCell(value, "", "text", value)
    number = math.nan if value is None else float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return HtmlCell("—", "", "none", "")
    text = f"{number:,.0f}" if 1e5 <= abs(number) < 1e12 else f"{number:.5g}"  # counts are read as counts
    return HtmlCell(text, "", "number", _key(number))


def _key(value: float) -> str:
    """What a number is sorted by: nine digits tell any two apart that a reader could."""
    return f"{value:.9g}"
