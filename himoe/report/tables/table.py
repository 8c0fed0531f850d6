"""A table as a value: cells that know what they are, a title with the data's provenance, notes."""

from __future__ import annotations

from dataclasses import dataclass

from himoe.scoring.paper import PaperValue

MAX_NOTES = 3  # what is common to several tables stands once, in himoe.report.tables.reading


@dataclass(frozen=True)
class Ours:
    """One of our numbers: value, SD, interval (None = not known), digits to print.

    ``mean`` is the value: a pooled score, or a mean where ``sd`` stands beside it. None = undefined (see
    ``himoe.scoring.metrics``), which is not the same as not run.
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
        if len(self.notes) > MAX_NOTES:
            raise ValueError(f"table {self.name}: {len(self.notes)} notes, at most {MAX_NOTES}")
