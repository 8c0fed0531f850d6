"""OpenBCI boards, as the OpenBCI GUI (version 5 and later) writes them: a .txt, lines that begin with % above a table.

https://docs.openbci.com/Software/OpenBCISoftware/GUIDocs/#exported-data. Samples are numbered by a counter that runs
round, so that lost packets show; the time is when a packet arrived, in UTC.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import require_file
from himoe.datasets.devices.contract import DeviceFile, Marker, Start, Stream, from_rows, said_by
from himoe.datasets.devices.stamps import even_times

FIRST = "%OpenBCI"
RATE = re.compile(r"%\s*Sample Rate\s*=\s*([\d.]+)\s*Hz", flags=re.IGNORECASE)
INDEX, TIME, MARKER = "Sample Index", "Timestamp", "Marker"
MILLISECONDS = 1e11  # a larger number of seconds would be the year 5138
UNITS = {"EXG": "uV", "Accel": "g"}
HEAD_LINES = 50


def is_openbci(first_line: str) -> bool:
    """Whether a file's first line is the OpenBCI GUI's."""
    return first_line.startswith(FIRST)


def open_openbci(path: Path) -> DeviceFile:
    """Open a .txt of the OpenBCI GUI: one stream ``openbci`` with all columns of numbers; a marker is its number.

    Raises
    ------
    InputError
        If it is no such file, or a row is not as said above; a last row that was cut off is left out and noted.
    """
    rate_hz, names, skip = _head(path)
    columns = [k for k, name in enumerate(names) if "Formatted" not in name]
    rows, notes = _rows(path, skip, columns, len(names))
    place = {names[k]: i for i, k in enumerate(columns)}
    stamps_s = rows[:, place[TIME]]
    stamps_s = stamps_s / 1e3 if np.median(stamps_s) > MILLISECONDS else stamps_s
    numbers, lost = _numbers(rows[:, place[INDEX]])
    if lost:
        notes.append(f"{path}: {lost} samples were lost on the way, by the board's counter: a gap.")
    zero_s, even_s, found_hz, said = even_times(path, stamps_s, (rate_hz,), numbers)
    marker = next((i for name, i in place.items() if name.startswith(MARKER)), None)
    marks = tuple(Marker(float(even_s[k]), f"{rows[k, marker]:g}")
                  for k in (() if marker is None else np.flatnonzero(rows[:, marker])))
    kept = [i for name, i in place.items() if name not in (INDEX, TIME) and i != marker]
    channels = tuple(names[columns[i]] for i in kept)
    units = tuple(next((unit for start, unit in UNITS.items() if name.startswith(start)), "") for name in channels)
    one = Stream("openbci", "", channels, units, found_hz, len(rows), 0.0,
                 partial(from_rows, rows[:, kept].astype(np.float32)), lambda: even_s)
    return DeviceFile(path, (one,), Start(zero_s, True), lambda: marks, notes=(*notes, *said), files=(path,))


def _head(path: Path) -> tuple[float, list[str], int]:
    """The rate, the columns' names (repeated ones numbered), and how many lines stand above the samples."""
    lines: list[str] = []
    with open(require_file(path), encoding="latin-1") as stream:
        for line in stream:
            lines.append(line.strip())
            if not line.startswith("%") or len(lines) > HEAD_LINES:
                break
    rate = next((match[1] for line in lines if (match := RATE.match(line))), None)
    names = [name.strip() for name in lines[-1].split(",")] if lines else []
    if not lines or not is_openbci(lines[0]) or rate is None or not {INDEX, TIME} <= set(names):
        raise bad_input(path, f"a beginning of {' / '.join(lines)[:120]!r}",
                        f"lines with % (Sample Rate among them) and a line of names with {INDEX} and {TIME}",
                        "export it with the OpenBCI GUI, version 5 or later")
    counted = [name if names.count(name) == 1 else f"{name} {names[:k].count(name) + 1}"
               for k, name in enumerate(names)]
    return float(rate), counted, len(lines)


def _rows(path: Path, skip: int, columns: Sequence[int], width: int) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []
    with open(path, encoding="latin-1") as stream:
        lines = stream.read().splitlines()[skip:]
    if lines and lines[-1].count(",") != width - 1:
        notes.append(f"{path}: the file was cut off in its last row, which is left out.")
        lines.pop()
    wrong = next((k for k, line in enumerate(lines) if line.count(",") != width - 1), None)
    if wrong is not None:
        raise bad_input(f"{path}: row {wrong + 1}", f"{lines[wrong].count(',') + 1} fields", f"{width}",
                        "correct that row")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = np.loadtxt(lines, delimiter=",", usecols=columns, ndmin=2, comments=None)
    except (ValueError, UserWarning) as error:
        raise bad_input(path, f"rows that are not numbers ({said_by(error)})", "numbers", "export it again") from error
    return rows, notes


def _numbers(counter: np.ndarray) -> tuple[np.ndarray, int]:
    """Running numbers from a counter that runs round, and how many samples it shows to be lost.

    The counter's usual step is one sample (with a Daisy it counts by two); where it runs round, nothing is taken to be
    lost.
    """
    steps = np.diff(counter)
    ahead = steps[steps > 0]
    usual = float(np.median(ahead)) if ahead.size else 1.0
    counts = np.where(steps > 0, np.maximum(np.round(steps / usual), 1), 1).astype(int)
    return np.concatenate(([0], np.cumsum(counts))), int((counts - 1).sum())
