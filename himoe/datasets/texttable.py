"""Text tables, read strictly: every line is a row, every row has as many fields as the header has names.

The dialect. Encoding UTF-8, a byte-order mark allowed; line ends ``\\n``, ``\\r\\n`` or ``\\r``. Lines before the
header that are blank or begin with ``#`` are passed over, and so are blank lines at the end; nowhere else. Fields
are separated by a comma (or what :class:`Dialect` says); a field in double quotes may hold the separator, ``""`` is
a quote, a line break is not allowed. Blanks around a field do not count. Number columns: digits with a point (or the
dialect's mark) and an exponent, no thousands; ``MISSING`` words are missing values. Text columns: ``NA`` and its like
are text, an empty field is refused.

A general reader of tables forgives: it turns surplus fields into an index, skips blank lines, renames columns that
occur twice. Each of these moves values to other names or to other times without a word.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file

MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "<NA>"})
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", flags=re.ASCII)
NUMBER_CHARACTERS = frozenset("0123456789+-.eE")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
BLOCK_ROWS = 8192  # rows held as text at once: bounds memory
WIDE_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}
SHOWN_NAMES = 12


@dataclass(frozen=True)
class Dialect:
    """Between fields, and before a number's decimals."""

    separator: str = ","
    decimal: str = "."


@dataclass(frozen=True)
class TextTable:
    """Columns of a table by name: ``texts`` as they stand there, ``numbers`` (rows,) float64, NaN where missing."""

    path: Path
    names: tuple[str, ...]
    n_rows: int
    texts: dict[str, list[str]]
    numbers: dict[str, np.ndarray]


def read_text_table(path: Path, texts: Sequence[str], numbers: Sequence[str], optional_texts: Sequence[str] = (),
                    optional_numbers: Sequence[str] = (), dialect: Dialect | None = None) -> TextTable:
    """Read columns of a text table by name; the optional ones only where they are there.

    Raises
    ------
    InputError
        If the file is missing or is not such a table, a column is absent or stands there twice, a row has more or
        fewer fields than the header, a text is empty or a number cannot be read. Row 1 is the first below the header.
    """
    dialect = dialect or Dialect()
    path = Path(path)
    with _opened(path) as stream:
        rows = _rows(path, stream, dialect)
        names = _header(path, rows, dialect)
        chosen_texts = [*texts, *(name for name in optional_texts if name in names)]
        chosen_numbers = [*numbers, *(name for name in optional_numbers if name in names)]
        places = {name: find_column(path, names, name, dialect) for name in (*chosen_texts, *chosen_numbers)}
        found_texts: dict[str, list[str]] = {name: [] for name in chosen_texts}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in chosen_numbers}
        n_rows = 0
        for block in _blocks(path, rows, names, dialect):
            for name in chosen_texts:
                found_texts[name] += _texts(path, name, [row[places[name]].strip() for row in block], n_rows)
            for name in chosen_numbers:
                parts[name].append(_numbers(path, name, [row[places[name]] for row in block], n_rows, dialect))
            n_rows += len(block)
    return TextTable(path, names, n_rows, found_texts,
                     {name: np.concatenate([np.empty(0), *arrays]) for name, arrays in parts.items()})


def read_names(path: Path, dialect: Dialect | None = None) -> tuple[tuple[str, ...], bool]:
    """The header's names, and whether any row follows; only the beginning of the file is read."""
    dialect = dialect or Dialect()
    with _opened(Path(path)) as stream:
        rows = _rows(Path(path), stream, dialect)
        names = _header(Path(path), rows, dialect)
        return names, next(_blocks(Path(path), rows, names, dialect, 1), None) is not None


def find_column(path: Path, names: Sequence[str], name: str, dialect: Dialect | None = None) -> int:
    """Place of the one column called *name*; InputError if there is none, or more than one."""
    count = list(names).count(name)
    if count == 0:
        other = _other_separator(names, dialect or Dialect())
        todo = "correct the file or the column's name" if other is None else (
            f"the header is separated by {other}: say so with separator (and decimal) in dataset.yaml, or write commas")
        raise bad_input(path, f"no column {name!r} among {shown_names(names)}", "that column", todo)
    if count > 1:
        raise bad_input(f"{path}: header", f"{count} columns named {name!r}", "every name once",
                        "remove or rename one of them")
    return list(names).index(name)


def shown_names(names: Sequence[object], between: str = ", ") -> str:
    """A few names for a message, and how many more there are."""
    shown = between.join(str(name)[:40] for name in list(names)[:SHOWN_NAMES])
    rest = len(names) - SHOWN_NAMES
    return (shown or "none") + (f" and {rest} more" if rest > 0 else "")


def _other_separator(names: Sequence[str], dialect: Dialect) -> str | None:
    """What separates the header, if it is one field that holds another separator."""
    held = [word for mark, word in SEPARATORS.items() if mark != dialect.separator and mark in "".join(names)]
    return held[0] if len(names) == 1 and held else None


def _opened(path: Path) -> io.TextIOWrapper:
    with open(require_file(path), "rb") as stream:
        start = stream.read(4)
    for mark, name in WIDE_MARKS.items():
        if start.startswith(mark):
            raise bad_input(path, f"text in {name}", "text in UTF-8", "save it again as UTF-8")
    return open(path, encoding="utf-8-sig", newline="")


def _lines(stream: io.TextIOWrapper) -> Iterator[str]:
    """Lines without their ends, from the header on; one of nothing but blanks becomes empty."""
    begun = False
    for line in stream:
        text = line.rstrip("\r\n").rstrip(" ")
        begun = begun or not (text.strip() == "" or text.lstrip().startswith("#"))
        if begun:
            yield text


def _rows(path: Path, stream: io.TextIOWrapper, dialect: Dialect) -> Iterator[list[str]]:
    """Every line's fields, none for a blank line. Refuses text that breaks the rules of quoting."""
    reader = csv.reader(_lines(stream), delimiter=dialect.separator, strict=True, skipinitialspace=True)
    row = 0  # the header
    try:
        for fields in reader:
            if reader.line_num != row + 1:
                raise bad_input(f"{path}: {_row(row)}", "a line break inside quotes", "one line per row",
                                "close the quote or write the field on one line")
            yield fields
            row += 1
    except UnicodeDecodeError as error:
        raise bad_input(f"{path}: {_row(row)} or a later one", f"bytes that are not UTF-8 ({error.reason})",
                        "text in UTF-8", "save it again as UTF-8") from error
    except csv.Error as error:
        raise bad_input(f"{path}: {_row(row)}", f"text that cannot be taken apart ({error})",
                        "fields with a separator between them", "correct that row") from error


def _row(row: int) -> str:
    return "header" if row == 0 else f"row {row}"


def _header(path: Path, rows: Iterator[list[str]], dialect: Dialect) -> tuple[str, ...]:
    names = next(rows, None)
    if names is None:
        raise bad_input(path, "no header", "a first line with the columns' names", "write the table again")
    if "\0" in "".join(names):
        raise bad_input(path, "zero bytes", "text in UTF-8", "save it again as UTF-8")
    return tuple(name.strip() for name in names)


def _blocks(path: Path, rows: Iterator[list[str]], names: Sequence[str], dialect: Dialect,
            size: int = BLOCK_ROWS) -> Iterator[list[list[str]]]:
    """Rows in blocks, each row as long as the header; blank lines are forgiven at the end alone."""
    first, blank = 0, None
    while block := list(islice(rows, size)):
        for k, fields in enumerate(block):
            if not fields:
                blank = first + k + 1 if blank is None else blank
            elif blank is not None:
                raise bad_input(f"{path}: row {blank}", "a blank line", "values in every row",
                                "write NA where a sample is lost, or remove the line")
            elif len(fields) != len(names):
                _refuse_length(f"{path}: row {first + k + 1}", len(fields), len(names), dialect)
        first += len(block)
        kept = [fields for fields in block if fields]
        if kept:
            yield kept


def _refuse_length(where: str, found: int, expected: int, dialect: Dialect) -> None:
    reason = ("decimal commas or a separator too many" if dialect.separator == "," else "a separator too many")
    todo = f"look for {reason}" if found > expected else "see whether the row was cut off"
    raise bad_input(where, f"{found} field{'s' * (found != 1)}", f"{expected}, as the header has names", todo)


def _texts(path: Path, name: str, cells: list[str], first: int) -> list[str]:
    if "" in cells:
        raise cell_error(path, first + cells.index(""), name, "''", "text in every row")
    return cells


def _numbers(path: Path, name: str, cells: list[str], first: int, dialect: Dialect) -> np.ndarray:
    """The nearest number to each cell; a faster parser would lose digits behind many zeros."""
    # One look at all characters; only where it is not plain, cells are looked at one by one.
    if dialect.decimal == "." and "" not in cells and set("".join(cells)) <= NUMBER_CHARACTERS:
        with suppress(ValueError):
            values = np.array(list(map(float, cells)))
            if np.isfinite(values).all():
                return values
    return np.array([_number(path, name, cell.strip(), first + k, dialect) for k, cell in enumerate(cells)])


def _number(path: Path, name: str, cell: str, row: int, dialect: Dialect) -> float:
    if cell in MISSING:
        return math.nan
    text = cell
    if dialect.decimal != ".":
        text = "" if "." in cell else cell.replace(dialect.decimal, ".")
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    if math.isinf(value):
        raise cell_error(path, row, name, repr(cell[:40]), "a number")
    return value


def cell_error(path: Path, row: int, column: str, found: object, expected: str) -> InputError:
    """The refusal of one cell; *row* counts from 0."""
    return bad_input(f"{path}: row {row + 1}, column {column!r}", found, expected, "correct that cell")
