"""Empatica E4: a folder or zip with one file a sensor, as E4 connect exports it.

``BVP.csv EDA.csv TEMP.csv HR.csv ACC.csv``: first row the start (seconds since 1970, UTC), second row the rate in Hz,
then one row a sample; ``IBI.csv``: start, then rows of seconds from it and the beat's length in seconds; ``tags.csv``:
one time a press of the button. Units are those of the ``info.txt`` that Empatica puts beside them.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from himoe.core.errors import bad_input
from himoe.datasets.devices.contract import DeviceFile, Marker, Start, Stream, from_rows

# file -> channels, unit
SENSORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "BVP": (("BVP",), ""), "EDA": (("EDA",), "uS"), "TEMP": (("TEMP",), "degC"), "HR": (("HR",), "bpm"),
    "ACC": (("ACC_X", "ACC_Y", "ACC_Z"), "1/64 g"), "IBI": (("IBI",), "s"),
}
TAG = "tag"
MAX_BYTES = 2**29  # of one unpacked file: BVP of two weeks
UNEVEN_S = 10.0  # sensors of one recording may end that far apart without a word


def open_e4(path: Path) -> DeviceFile:
    """Open an E4 folder or zip; sensors without a file are absent, an empty file is a stream without samples.

    Raises
    ------
    InputError
        If there is no sensor's file, or one is not as said above. A last row that was cut off is left out and noted.
    """
    notes: list[str] = []
    starts: dict[str, float] = {}
    parts: dict[str, tuple[float | None, np.ndarray]] = {}
    tags_s: list[float] = []
    for name, where, text in _texts(path):
        if name == "tags":
            tags_s = [float(row[0]) for row in _rows(where, text, 1, notes)]
        elif not text.strip():
            notes.append(f"{where}: an empty file: {name} is missing.")
            parts[name] = (None if name == "IBI" else 1.0, np.empty((0, len(SENSORS[name][0]) + (name == "IBI"))))
        else:
            starts[name], rate_hz, rows = _sensor(name, where, text, notes)
            parts[name] = (rate_hz, rows)
    if not starts:
        raise bad_input(path, "no sensor's file of an Empatica E4", " or ".join(f"{one}.csv" for one in SENSORS),
                        "give the folder or zip that E4 connect exports")
    zero_s = min(starts.values())
    streams = tuple(_stream(name, starts.get(name, zero_s) - zero_s, *part) for name, part in parts.items())
    marks = tuple(Marker(time_s - zero_s, TAG) for time_s in sorted(tags_s))
    return DeviceFile(path, streams, Start(zero_s, True), lambda: marks, notes=(*notes, *_uneven(path, streams)),
                      files=tuple(sorted(path.glob("*.csv"))) if path.is_dir() else (path,))


def _texts(path: Path) -> Iterator[tuple[str, str, str]]:
    """Name, place for a message and text of every file that is known."""
    known = {f"{name}.csv": name for name in (*SENSORS, "tags")}
    if path.is_dir():
        for file, name in known.items():
            if (path / file).is_file():
                yield name, str(path / file), _decoded(str(path / file), (path / file).read_bytes())
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if PurePosixPath(one.filename).name in known
                       and "__MACOSX" not in one.filename]
            for entry in entries:
                where, file = f"{path}: {entry.filename}", PurePosixPath(entry.filename).name
                if sum(PurePosixPath(one.filename).name == file for one in entries) > 1:
                    raise bad_input(path, f"{file} more than once", "one recording", "give one zip a recording")
                if entry.file_size > MAX_BYTES:
                    raise bad_input(where, f"{entry.file_size} bytes unpacked", f"at most {MAX_BYTES}",
                                    "see whether this is an E4 recording")
                yield known[file], where, _decoded(where, archive.read(entry))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise bad_input(path, f"a zip that cannot be read ({error})", "a zip of E4 connect",
                        "fetch it again") from error


def _decoded(where: str, content: bytes) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise bad_input(where, f"bytes that are no text ({error.reason})", "numbers", "export it again") from error


def _sensor(name: str, where: str, text: str, notes: list[str]) -> tuple[float, float | None, np.ndarray]:
    """Start, rate (None for IBI) and rows."""
    width = len(SENSORS[name][0])
    head, _, rest = text.partition("\n")
    start_s = _header(where, "row 1, the start", head.split(",")[:1] if name == "IBI" else head.split(","), 1e8)
    if name == "IBI":
        return start_s, None, _rows(where, rest, 2, notes, 1)
    second, _, rest = rest.partition("\n")
    return start_s, _header(where, "row 2, the rate in Hz", second.split(","), 0), _rows(where, rest, width, notes, 2)


def _header(where: str, what: str, cells: Sequence[str], above: float) -> float:
    try:
        values = {float(cell) for cell in cells}
    except ValueError:
        values = set()
    if len(values) != 1 or not above < min(values) < np.inf:
        expected = "seconds since 1970" if above else "a number above 0"
        raise bad_input(f"{where}: {what}", repr(",".join(cells)[:80]), expected,
                        "export the recording again; such a file was cut or edited")
    return values.pop()


def _rows(where: str, text: str, width: int, notes: list[str], above: int = 0) -> np.ndarray:
    """The rows as (N, width) numbers; *above* rows stand before them."""
    lines = text.splitlines()
    if text and not text.endswith("\n"):
        notes.append(f"{where}: the file was cut off in its last row, which is left out.")
        lines.pop()
    if not lines:
        return np.empty((0, width))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = np.loadtxt(io.StringIO("\n".join(lines)), delimiter=",", ndmin=2, comments=None)
    except (ValueError, UserWarning) as error:
        raise bad_input(where, f"rows that are not numbers ({error})", f"{width} number(s) a row",
                        "export the recording again") from error
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(rows) != len(lines) or rows.shape[1] != width or bad.size:
        place = f"{where}: row {above + 1 + (int(bad[0]) if bad.size else 0)}"
        raise bad_input(place, "a value that is no number" if bad.size else f"{rows.shape[1]} numbers",
                        f"{width} number(s) a row and no blank row", "export the recording again")
    return rows


def _stream(name: str, start_s: float, rate_hz: float | None, rows: np.ndarray) -> Stream:
    channels, unit = SENSORS[name]
    units = (unit,) * len(channels)
    if rate_hz is not None:
        return Stream(name, "", channels, units, rate_hz, len(rows), start_s, partial(from_rows, rows))
    times_s = start_s + rows[:, 0]
    first_s = float(times_s[0]) if len(rows) else start_s
    return Stream(name, "", channels, units, None, len(rows), first_s, partial(from_rows, rows[:, 1:]), lambda: times_s)


def _uneven(path: Path, streams: Sequence[Stream]) -> list[str]:
    ends_s = {one.name: one.end_s for one in streams if one.sfreq_hz and one.n_samples}
    if not ends_s:
        return []
    longest = max(ends_s, key=lambda name: ends_s[name])
    short = [f"{name} at {end_s:g} s" for name, end_s in ends_s.items() if end_s < ends_s[longest] - UNEVEN_S]
    said = [f"{path}: {longest} ends at {ends_s[longest]:g} s, {', '.join(short)}: what is missing is a gap; the files "
            "may have been cut off."] if short else []
    said += [f"{path}: {one.name} goes on to {one.end_s:g} s, {longest} ends at {ends_s[longest]:g} s: see whether "
             "both are of one recording."
             for one in streams if one.sfreq_hz is None and one.end_s > ends_s[longest] + UNEVEN_S]
    return said
