"""A table as a value, and its two renderings."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

from himoe.paper import PaperValue

NOTHING = "—"


@dataclass(frozen=True)
class Ours:
    """One of our numbers: mean, SD, interval (None = not known), digits to print.

    ``mean`` None = undefined (see ``himoe.metrics``), which is not the same as not run.
    """

    mean: float | None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    digits: int = 3


Cell = str | float | int | Ours | PaperValue | None


@dataclass(frozen=True)
class Table:
    """``name`` is the file's stem, ``title`` carries the data's provenance, None in ``rows`` prints as a dash."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name}: a row of {len(row)} cells under {len(self.columns)} columns")


def to_markdown(table: Table) -> str:
    """Title, table and notes as Markdown; ours as ``mean ± SD [low, high]``."""
    lines = [f"### {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns))]
    lines += [_line([_text(cell) for cell in row]) for row in table.rows]
    if table.notes:
        lines += ["", "Notes", ""] + [f"- {note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """The same cells at full precision; SD and interval of our numbers in columns of their own."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    header: list[str] = []
    columns: list[list[str]] = []
    for j, name in enumerate(table.columns):
        cells = [row[j] for row in table.rows]
        header.append(name)
        columns.append([_plain(cell.mean if isinstance(cell, Ours) else cell) for cell in cells])
        for part in ("sd", "low", "high"):
            values = [getattr(cell, part) if isinstance(cell, Ours) else None for cell in cells]
            if any(value is not None for value in values):
                header.append(f"{name} {part}")
                columns.append([_plain(value) for value in values])
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return stream.getvalue()


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _text(cell: Cell) -> str:
    if cell is None:
        return NOTHING
    if isinstance(cell, Ours):
        return _ours(cell)
    if isinstance(cell, PaperValue):
        return f"{cell.value:g}" + ("*" if cell.reproduced else "")
    return f"{cell:g}" if isinstance(cell, float) else str(cell)


def _ours(cell: Ours) -> str:
    if cell.mean is None:
        return "undefined"
    text = f"{cell.mean:.{cell.digits}f}"
    if cell.sd is not None:
        text += f" ± {cell.sd:.{cell.digits}f}"
    if cell.low is not None and cell.high is not None:
        text += f" [{cell.low:.{cell.digits}f}, {cell.high:.{cell.digits}f}]"
    return text


def _plain(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, PaperValue):
        return repr(cell.value)
    return repr(cell) if isinstance(cell, float) else str(cell)
