"""Reports as aligned plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN = 8  # lines of a list before the rest is counted
WIDE = 60  # characters of a cell or of a list on one line


def report_text(report: Mapping[str, Any]) -> str:
    """A report as text: short values aligned behind their names, tables and longer lists under theirs.

    Empty lists and tables are left out.
    """
    short = {key: _short(value) for key, value in report.items() if not _is_long(value) and value not in ([], None)}
    width = max((len(key) for key in short), default=0)
    lines = [f"{key:<{width}}  {value}" for key, value in short.items()]
    for key, value in report.items():
        if _is_long(value):
            lines += ["", *_block(key, value)]
    return "\n".join(lines) + "\n"


def table_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows of one kind as aligned columns; numbers stand to the right."""
    header = list(rows[0])
    cells = [[_short(row[key]) for key in header] for row in rows]
    widths = [max(len(key), *(len(line[i]) for line in cells)) for i, key in enumerate(header)]
    right = [all(isinstance(row[key], int | float | None) for row in rows) for key in header]
    return ["  ".join(f"{cell:>{w}}" if r else f"{cell:<{w}}" for cell, w, r in zip(line, widths, right)).rstrip()
            for line in [header, *cells]]


def _is_long(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return isinstance(value[0], dict) or any(" " in str(item) or len(str(item)) > WIDE / 2 for item in value)


def _block(key: str, value: list[Any]) -> list[str]:
    if isinstance(value[0], dict):
        return [key, *(f"  {line}" for line in table_lines(value))]
    rest = [f"  ... and {len(value) - SHOWN} more (--json lists all)"] if len(value) > SHOWN else []
    return [f"{key} ({len(value)})", *(f"  {item}" for item in value[:SHOWN]), *rest]


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return _joined([str(item) for item in value])
    return str(value)


def _joined(items: list[str]) -> str:
    """Items on one line, those in the middle left out where it would get long."""
    text = " ".join(items)
    if len(text) <= WIDE:
        return text
    first = items[:3]
    return f"{' '.join(first)} ... {items[-1]} ({len(items)})"
