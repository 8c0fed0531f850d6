"""Tables that commands write: CSV or Parquet, by the ending of the file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path

CSV, PARQUET = ".csv", ".parquet"


def require_place(path: Path) -> Path:
    """Return *path* if something can be written there, before anybody waits for it.

    Raises
    ------
    InputError
        If the nearest folder above it that exists is none, or may not be written.
    """
    above = next(parent for parent in Path(os.path.abspath(path)).parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise bad_input(path, f"a place that cannot be written ({above})", "a folder of yours", "choose another place")
    return path


def require_table_place(path: Path | None) -> None:
    """Refuse a place where no table can be written, or an ending that says no format; None is standard output."""
    if path is None:
        return
    if path.suffix not in (CSV, PARQUET):
        raise bad_input(path, f"the ending {path.suffix!r}", f"{CSV} or {PARQUET}", "choose one of these")
    if path.is_dir():
        raise bad_input(path, "a folder", "a file to write", "choose another name")
    require_place(path)


def write_table(frame: pd.DataFrame, path: Path | None) -> None:
    """Write *frame* without its row numbers, whole or not at all; None = CSV on standard output."""
    require_table_place(path)
    if path is None:
        frame.to_csv(sys.stdout, index=False)
        return
    with atomic_path(path) as temporary:
        if path.suffix == CSV:
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
