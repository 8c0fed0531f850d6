"""Tables as the templates need them: each cell with its text, its kind and what it is sorted by."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import pandas as pd

from himoe.paper import PaperValue
from himoe.tables import Ours, Table, cell_text

MAX_ROWS = 600  # of a chart's numbers on the page
_LEADING_NUMBER = re.compile(r"[+−-]?\d+(\.\d+)?(e[+-]?\d+)?(?=$|[\s%\[,±])")


@dataclass(frozen=True)
class HtmlCell:
    """``text`` to print, ``tail`` in small; ``kind``: ours, paper, number, text, none; ``key`` sorts ("" = last)."""

    text: str
    tail: str
    kind: str
    key: str


@dataclass(frozen=True)
class HtmlTable:
    """A table ready for the template."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[HtmlCell, ...], ...]
    notes: tuple[str, ...]
    cut: int = 0  # rows left out


def html_table(table: Table) -> HtmlTable:
    """*table* for the page."""
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    for j in range(len(table.columns)):  # numbers among words stand at the left like them
        if any(row[j].kind == "text" for row in rows):
            for row in rows:
                row[j] = replace(row[j], kind="text") if row[j].kind == "number" else row[j]
    return HtmlTable(table.name, table.title, table.columns, tuple(map(tuple, rows)), table.notes)


def html_frame(frame: pd.DataFrame, name: str, title: str) -> HtmlTable:
    """The numbers of a chart for the page; after ``MAX_ROWS`` rows the rest is only counted."""
    rows = tuple(tuple(_frame_cell(value) for value in row)
                 for row in frame.head(MAX_ROWS).itertuples(index=False))
    return HtmlTable(name, title, tuple(map(str, frame.columns)), rows, (), max(0, len(frame) - MAX_ROWS))


def _cell(cell: object) -> HtmlCell:
    text = cell_text(cell)  # type: ignore[arg-type]
    if cell is None:
        return HtmlCell(text, "", "none", "")
    if isinstance(cell, Ours):
        first, _, rest = text.partition(" ")
        return HtmlCell(first, rest, "ours", "" if cell.mean is None else repr(float(cell.mean)))
    if isinstance(cell, PaperValue):
        return HtmlCell(text, "", "paper", repr(float(cell.value)))
    if isinstance(cell, int | float):
        return HtmlCell(text, "", "number", "" if math.isnan(cell) else repr(float(cell)))
    found = _LEADING_NUMBER.match(text)
    return HtmlCell(text, "", "text", found[0].replace("−", "-") if found else text)


def _frame_cell(value: object) -> HtmlCell:
    if isinstance(value, str):
        return HtmlCell(value, "", "text", value)
    number = math.nan if value is None else float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        return HtmlCell("—", "", "none", "")
    return HtmlCell(f"{number:.5g}", "", "number", repr(number))
