"""Shimmer sensors, as ConsensysPRO writes them: a line ``sep=``, a line of names, a line of units, then samples.

Names are ``<sensor>_<signal>_CAL``; the time is the signal ``Timestamp_Unix`` in milliseconds since 1970 (UTC).
"""

from __future__ import annotations

import re
import warnings
from functools import partial
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import require_file
from himoe.datasets.devices.contract import DeviceFile, Start, Stream, from_rows, said_by
from himoe.datasets.devices.stamps import even_times

SEPARATOR = re.compile(r'"?sep=(.)"?\s*$')
TIME = "Timestamp_Unix"
SENSOR = re.compile(r"(.*?_[0-9A-Fa-f]{4})_")


def is_shimmer(first_line: str) -> bool:
    """Whether a file's first line is ConsensysPRO's."""
    return SEPARATOR.match(first_line.lstrip("\ufeff")) is not None


def open_shimmer(path: Path) -> DeviceFile:
    """Open a ConsensysPRO CSV: one stream, called as the sensor is; channels without the sensor's name and ``_CAL``.

    Raises
    ------
    InputError
        If it is no such file, or a row is not as said above; a last row that was cut off is left out and noted.
    """
    with open(require_file(path), encoding="utf-8-sig", errors="replace") as stream:
        lines = stream.read().splitlines()
    found = SEPARATOR.match(lines[0]) if lines else None
    if found is None or len(lines) < 4:
        raise bad_input(path, f"a beginning of {' / '.join(lines[:1])[:80]!r}",
                        "lines with sep=, names, units and samples", "export it from ConsensysPRO as CSV")
    mark = found[1]
    names, units = (line.rstrip(mark).split(mark) for line in lines[1:3])
    time = [k for k, name in enumerate(names) if TIME in name]
    if len(time) != 1 or len(units) != len(names) or units[time[0]] != "ms":
        raise bad_input(path, f"names {' '.join(names)[:120]}, units {' '.join(units)[:120]}",
                        f"a unit a name, and one {TIME} in ms", "export it with Unix time")
    rows, notes = _rows(path, lines[3:], mark, len(names))
    zero_s, even_s, rate_hz, said = even_times(path, rows[:, time[0]] / 1e3)
    kept = [k for k in range(len(names)) if k != time[0]]
    sensor = SENSOR.match(names[time[0]])
    channels = tuple(_short(names[k]) for k in kept)
    one = Stream(sensor[1] if sensor else "shimmer", "", channels, tuple(units[k] for k in kept), rate_hz, len(rows),
                 0.0, partial(from_rows, rows[:, kept]), lambda: even_s)
    return DeviceFile(path, (one,), Start(zero_s, True), notes=(*notes, *said), files=(path,))


def _rows(path: Path, lines: list[str], mark: str, width: int) -> tuple[np.ndarray, list[str]]:
    notes: list[str] = []
    counts = [len(line.rstrip(mark).split(mark)) for line in lines]
    if counts and counts[-1] != width:
        notes.append(f"{path}: the file was cut off in its last row, which is left out.")
        lines, counts = lines[:-1], counts[:-1]
    wrong = next((k for k, count in enumerate(counts) if count != width), None)
    if wrong is not None:
        raise bad_input(f"{path}: row {wrong + 1}", f"{counts[wrong]} fields", f"{width}", "correct that row")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.loadtxt([line.rstrip(mark) for line in lines], delimiter=mark, ndmin=2, comments=None), notes
    except (ValueError, UserWarning) as error:
        raise bad_input(path, f"rows that are not numbers ({said_by(error)})", "numbers with a point",
                        "export it again") from error


def _short(name: str) -> str:
    """``Shimmer_40AC_GSR_Skin_Conductance_CAL`` -> ``GSR_Skin_Conductance``."""
    return SENSOR.sub("", name, count=1).removesuffix("_CAL")
