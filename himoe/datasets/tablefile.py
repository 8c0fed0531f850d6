"""A table of a user's folder, CSV or Parquet by its ending: columns by name, as text or as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import require_file
from himoe.datasets.texttable import Dialect, TextTable, cell_error, find_column, read_names, read_text_table

PARQUET = ".parquet"


def read_table(path: Path, texts: Sequence[str], numbers: Sequence[str], optional_texts: Sequence[str] = (),
               optional_numbers: Sequence[str] = (), dialect: Dialect | None = None) -> TextTable:
    """As :func:`himoe.datasets.texttable.read_text_table`, for Parquet too."""
    if path.suffix != PARQUET:
        return read_text_table(path, texts, numbers, optional_texts, optional_numbers, dialect)
    schema = _parquet(path, "schema")
    names = tuple(map(str, schema.names))
    chosen_texts = [*texts, *(name for name in optional_texts if name in names)]
    chosen_numbers = [*numbers, *(name for name in optional_numbers if name in names)]
    for name in (*chosen_texts, *chosen_numbers):
        find_column(path, names, name)
    table = _parquet(path, "table", [*chosen_texts, *chosen_numbers])
    return TextTable(path, names, table.num_rows,
                     {name: _texts(path, name, table.column(name).to_pylist()) for name in chosen_texts},
                     {name: _numbers(path, name, table.column(name)) for name in chosen_numbers})


def has_rows(path: Path, needed: Iterable[str], dialect: Dialect | None = None) -> bool:
    """Whether a table has any row; only its beginning is read. Refuses one that lacks a column or has it twice."""
    if path.suffix == PARQUET:
        about = _parquet(path, "metadata")
        names, rows = tuple(map(str, about.schema.to_arrow_schema().names)), about.num_rows > 0
    else:
        names, rows = read_names(path, dialect)
    for name in needed:
        find_column(path, names, name, dialect)
    return rows


def _parquet(path: Path, part: str, columns: list[str] | None = None) -> Any:
    import pyarrow.parquet as pq

    require_file(path)
    try:
        if part == "table":
            return pq.read_table(path, columns=columns, partitioning=None)
        return pq.read_schema(path) if part == "schema" else pq.read_metadata(path)
    except (ValueError, OSError) as error:  # pyarrow's own errors are of these kinds
        reason = " ".join(str(error).split())[:200]
        raise bad_input(path, f"a file that cannot be read ({reason})", "a table", "write it again") from error


def _texts(path: Path, name: str, cells: list[Any]) -> list[str]:
    for row, cell in enumerate(cells):
        if cell is None or cell != cell or str(cell).strip() == "":
            raise cell_error(path, row, name, repr(cell), "text in every row")
    return [str(cell).strip() for cell in cells]


def _numbers(path: Path, name: str, column: Any) -> np.ndarray:
    """Float64, NaN where the cell is empty; times of day and other kinds are no numbers."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_temporal(column.type) or pa.types.is_nested(column.type):
        raise bad_input(f"{path}: column {name!r}", f"values of type {column.type}", "numbers",
                        "write seconds or numbers instead")
    cells = column.to_pandas()
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero((np.isnan(values) & cells.notna().to_numpy()) | np.isinf(values))
    if wrong.size:
        row = int(wrong[0])
        raise cell_error(path, row, name, repr(cells.iloc[row])[:40], "a number")
    return values
