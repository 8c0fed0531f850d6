"""Muse headbands, as Mind Monitor writes them: a CSV of one row a sample, and rows of blinks and markers between.

Columns: https://mind-monitor.com/FAQ.php. ``TimeStamp`` is the telephone's wall clock. A row of samples may lack the
last field, ``Elements``; a row of an element has empty cells but for time and element.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import require_file
from himoe.datasets.devices.contract import DeviceFile, Marker, Start, Stream, from_rows, plain
from himoe.datasets.devices.stamps import even_times

TIME, ELEMENTS = "TimeStamp", "Elements"
KNOWN_HZ = (256.0, 220.0)  # Muse 2 and S; the Muse of 2014
EPOCH = datetime(1970, 1, 1)
BLOCK_ROWS = 8192
UNITS = {"RAW_": "uV", "AUX": "uV", "Accelerometer_": "g", "Gyro_": "deg/s", "Battery": "%"}


def is_muse(first_line: str) -> bool:
    """Whether a file's first line is Mind Monitor's header."""
    return first_line.lstrip("\ufeff").startswith(f"{TIME},") and "RAW_" in first_line


def open_muse(path: Path) -> DeviceFile:
    """Open a Mind Monitor CSV: one stream ``muse`` with all columns of numbers; elements are the markers.

    Raises
    ------
    InputError
        If it is no such file, or a row is not as said above; a last row that was cut off is left out and noted.
    """
    notes: list[str] = []
    try:
        with open(require_file(path), encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream, strict=True)
            names = [name.strip() for name in next(rows, [])]
            if not is_muse(",".join(names)):
                raise bad_input(path, f"a first line {','.join(names)[:80]!r}",
                                f"Mind Monitor's ({TIME},...,RAW_TP9,...)", "export it from Mind Monitor as CSV")
            stamps_s, values, marks = _read(path, names, rows, notes)
    except (UnicodeDecodeError, csv.Error) as error:
        raise bad_input(path, f"text that cannot be taken apart ({error})", "Mind Monitor's CSV",
                        "export it again") from error
    zero_s, even_s, rate_hz, said = even_times(path, stamps_s, KNOWN_HZ)
    channels = tuple(name for name in names if name not in (TIME, ELEMENTS))
    units = tuple(next((unit for start, unit in UNITS.items() if name.startswith(start)), "") for name in channels)
    one = Stream("muse", "", channels, units, rate_hz, len(even_s), 0.0, partial(from_rows, values),
                 lambda: even_s)
    found = tuple(sorted((Marker(time_s - zero_s, text) for time_s, text in marks), key=lambda mark: mark.time_s))
    return DeviceFile(path, (one,), Start(zero_s, False), lambda: found, notes=(*notes, *said), files=(path,))


def _read(path: Path, names: list[str], rows: Iterator[list[str]],
          notes: list[str]) -> tuple[np.ndarray, np.ndarray, list[tuple[float, str]]]:
    """Stamps (N,), values (N, C) and marks."""
    width, stamps_s, marks = len(names), [], []
    parts = [np.empty((0, width - 1 - (ELEMENTS in names)), np.float32)]
    number, cut = 1, ""
    while block := list(islice(rows, BLOCK_ROWS)):
        values = []
        for row in block:
            number += 1
            where = f"{path}: row {number}"
            if cut:
                raise bad_input(cut, "more or fewer fields than names", f"{width} or {width - 1}", "correct that row")
            if len(row) not in (width, width - (ELEMENTS in names)):
                cut = where  # forgiven in the last row alone
                continue
            cells = row[1:width - 1] if ELEMENTS in names else row[1:]
            time_s = _time(where, row[0])
            if len(row) == width and ELEMENTS in names and row[-1]:
                marks.append((time_s, plain(row[-1])))
            if any(cells):
                stamps_s.append(time_s)
                values.append([_number(where, cell) for cell in cells])
        if values:
            parts.append(np.array(values, dtype=np.float32))
    notes += [f"{cut}: cut off; left out."] if cut else []
    return np.array(stamps_s), np.concatenate(parts), marks


def _time(where: str, cell: str) -> float:
    try:
        return (datetime.fromisoformat(cell) - EPOCH).total_seconds()
    except (ValueError, TypeError) as error:
        raise bad_input(f"{where}: {TIME}", repr(cell[:40]), "a date and time", "export it again") from error


def _number(where: str, cell: str) -> float:
    try:
        return float(cell) if cell else np.nan
    except ValueError as error:
        raise bad_input(where, repr(cell[:40]), "a number", "export it again") from error
