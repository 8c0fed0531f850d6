"""``continuous_annotations.csv``: time-stamped ratings beside a data set that may have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.recordings import DIMENSIONS, Annotations
from himoe.datasets.texttable import read_names, read_text_table, shown_names

FILE = "continuous_annotations.csv"
KEYS = ("participant", "video", "time_s")


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read *columns* of a CSV file strictly; they must be there and hold numbers (empty cells become NaN).

    Raises
    ------
    InputError
        If the file is missing or no such table (:mod:`himoe.datasets.texttable`), or a column is missing or holds text.
    """
    return pd.DataFrame(read_text_table(path, (), columns).numbers)


def whole_numbers(table: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    """A column of whole numbers, (rows,) int64; InputError names the first row that is not."""
    values = table[column].to_numpy(np.float64)
    wrong = np.flatnonzero(~np.isfinite(values) | (values != np.round(values)))
    if wrong.size:
        raise bad_input(f"{path}, column {column}, row {wrong[0] + 2}", values[wrong[0]], "a whole number",
                        "correct the cell")
    return values.astype(np.int64)


def check_scale(values: np.ndarray, scale: tuple[float, float], where: str) -> None:
    """InputError if a value lies outside *scale*; NaN passes."""
    wrong = values[~np.isnan(values) & ~((values >= scale[0]) & (values <= scale[1]))]
    if wrong.size:
        raise bad_input(where, f"{wrong[0]:g}", f"ratings from {scale[0]:g} to {scale[1]:g}",
                        "check that this is the data set's own file")


def read_annotations(root: Path, participant: int, scale: tuple[float, float]) -> dict[int, Annotations]:
    """Annotations of one participant by video number; empty if the folder has no such file.

    Times are seconds from the trial's start. Columns: participant, video, time_s, and any of the
    emotion dimensions. An empty cell is NaN; a value outside *scale* is an InputError.
    """
    path = Path(root) / FILE
    if not path.is_file():
        return {}
    state = path.stat()
    grouped = _read(str(path), scale, state.st_mtime_ns, state.st_size)
    return {video: notes for (person, video), notes in grouped.items() if person == participant}


@lru_cache(maxsize=1)
def _read(path: str, scale: tuple[float, float], mtime_ns: int,
          size: int) -> Mapping[tuple[int, int], Annotations]:
    names, _ = read_names(Path(path))
    dimensions = [name for name in DIMENSIONS if name in names]
    if not dimensions:
        raise bad_input(path, f"columns {shown_names(names)}", "at least one of " + " ".join(DIMENSIONS),
                        "name the annotated dimension")
    table = read_table(Path(path), [*KEYS, *dimensions])
    for column in ("participant", "video"):
        table[column] = whole_numbers(table, column, Path(path))
    if not np.isfinite(table["time_s"].to_numpy()).all():
        raise bad_input(f"{path}, column time_s", "a missing time", "seconds in every row", "correct the cell")
    for name in dimensions:
        check_scale(table[name].to_numpy(), scale, f"{path}, column {name}")
    grouped = {}
    for _, rows in table.sort_values([*KEYS], kind="stable").groupby(["participant", "video"]):
        key = int(rows["participant"].iloc[0]), int(rows["video"].iloc[0])
        grouped[key] = Annotations(rows["time_s"].to_numpy(), {name: rows[name].to_numpy() for name in dimensions})
    return grouped
