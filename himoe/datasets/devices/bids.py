"""What BIDS keeps beside a recording: channels, events, and physiology in a table of its own.

https://bids-specification.readthedocs.io. Read plainly: trials need few of its files. A ``*_channels.tsv`` says which
channels are bad (a gap) and the units of those for which the recording has none; a ``*_events.tsv`` has the markers, in
place of the recording's own; a ``*_physio.tsv.gz`` is a recording, whose times count from the beginning of the one that
it belongs to.
"""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json, require_file
from himoe.datasets.devices.contract import DeviceFile, Marker, Stream, from_rows, plain, said_by
from himoe.datasets.texttable import Dialect, TextTable, read_text_table

TABS = Dialect("\t", ".")
ROOT_FILE = "dataset_description.json"  # BIDS wants it in the root of a data set
PHYSIO = "_physio.tsv.gz"
MAX_BYTES = 2**31  # of an unpacked table
NOTHING = "n/a"


def beside(path: Path, what: str) -> Path | None:
    """``sub-01_task-film_channels.tsv`` beside ``sub-01_task-film_eeg.edf``; None if there is none."""
    stem, _, last = path.name.partition(".")[0].rpartition("_")
    found = path.with_name(f"{stem}_{what}.tsv")
    return found if stem.startswith("sub-") and last and found.is_file() else None


def with_tables(file: DeviceFile) -> DeviceFile:
    """*file* with what the tables beside it say; as it is where there are none.

    Raises
    ------
    InputError
        If a table is not as BIDS says.
    """
    channels, events = beside(file.path, "channels"), beside(file.path, "events")
    if channels is not None:
        file = _with_channels(file, channels)
    if events is not None:
        marks = tuple(sorted(read_marks(events), key=lambda mark: mark.time_s))
        file = replace(file, markers=lambda: marks, files=(*file.files, events))
    return file


def read_marks(path: Path) -> Iterator[Marker]:
    """The rows of a ``*_events.tsv``: ``trial_type``, or ``value`` where that says nothing."""
    table = read_text_table(path, (), ("onset",), ("trial_type", "value"), dialect=TABS)
    kinds, values = (table.texts.get(name, [NOTHING] * table.n_rows) for name in ("trial_type", "value"))
    for onset_s, kind, value in zip(table.numbers["onset"], kinds, values, strict=True):
        if np.isfinite(onset_s):
            yield Marker(float(onset_s), plain(value if kind == NOTHING else kind))


def _with_channels(file: DeviceFile, path: Path) -> DeviceFile:
    table = read_text_table(path, ("name",), (), ("units", "status"), dialect=TABS)
    units = dict(zip(table.texts["name"], table.texts.get("units", [NOTHING] * table.n_rows), strict=True))
    bad = _bad(table)
    known = {name for one in file.streams for name in one.channels}
    notes = [f"{path}: it marks {' '.join(sorted(bad & known))} as bad: a gap."] if bad & known else []
    if set(units) - known:
        notes.append(f"{path}: it names {' '.join(sorted(set(units) - known)[:5])}, which the recording does not have.")
    streams = tuple(replace(
        one, units=tuple(unit or units.get(name, "") for name, unit in zip(one.channels, one.units, strict=True)),
        read=partial(_without, one, frozenset(k for k, name in enumerate(one.channels) if name in bad)))
        for one in file.streams)
    return replace(file, streams=streams, notes=(*file.notes, *notes), files=(*file.files, path))


def _bad(table: TextTable) -> set[str]:
    states = table.texts.get("status", [])
    return {name for name, state in zip(table.texts["name"], states) if state.lower() == "bad"}


def _without(stream: Stream, bad: frozenset[int], first: int, last: int, picks: Sequence[int]) -> np.ndarray:
    data = np.array(stream.read(first, last, picks), dtype=np.float64)
    data[[k for k, pick in enumerate(picks) if pick in bad]] = np.nan
    return data


# --- physiology ---------------------------------------------------------------------------------


def open_physio(path: Path) -> DeviceFile:
    """Open a ``*_physio.tsv.gz`` with the ``.json`` that says its rate, start and columns: one stream ``physio``.

    Raises
    ------
    InputError
        If the ``.json`` is absent or says too little, or a row is not as it says.
    """
    about, files = _sidecar(path)
    columns = about.get("Columns")
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise bad_input(f"{files[-1]}: Columns", repr(columns)[:80], "the names of the columns", "add them")
    rate_hz, start_s = (_number(f"{files[-1]}: {key}", about.get(key)) for key in ("SamplingFrequency", "StartTime"))
    if rate_hz <= 0:
        raise bad_input(f"{files[-1]}: SamplingFrequency", rate_hz, "a rate above 0 Hz", "correct it")
    rows = _rows(path, len(columns))
    said = [about.get(name) for name in columns]
    units = tuple(str(one.get("Units", "")) if isinstance(one, Mapping) else "" for one in said)
    stream = Stream("physio", "", tuple(columns), units, rate_hz, len(rows), start_s, partial(from_rows, rows))
    return DeviceFile(path, (stream,), None, files=(path, *files))


def _sidecar(path: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """What the .json files of a recording say together: one nearer to it, or with more of its name, goes first."""
    own = set(path.name.removesuffix(".tsv.gz").split("_"))
    folders: list[Path] = []
    for folder in path.parents:
        folders.append(folder)
        if (folder / ROOT_FILE).is_file() or len(folders) > 4:
            break
    if not (folders[-1] / ROOT_FILE).is_file():
        folders = folders[:1]
    found = [one for folder in reversed(folders)
             for one in sorted(folder.glob("*physio.json"), key=lambda one: (len(one.name), one.name))
             if set(one.stem.split("_")) <= own]
    about: dict[str, Any] = {}
    for one in found:
        content = read_json(one)
        if not isinstance(content, dict):
            raise bad_input(one, type(content).__name__, "a mapping", "correct it")
        about |= content
    if not found:
        raise bad_input(path, "no .json that belongs to it", path.name.removesuffix(".tsv.gz") + ".json beside it",
                        "add one with SamplingFrequency, StartTime and Columns")
    return about, tuple(found)


def _number(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise bad_input(where, repr(value)[:80], "a number", "add or correct it")
    return float(value)


def _rows(path: Path, width: int) -> np.ndarray:
    try:
        with gzip.open(require_file(path)) as stream:
            text = stream.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise bad_input(path, f"over {MAX_BYTES} bytes unpacked", "a smaller table", "cut the recording into parts")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lines = text.decode("ascii").replace(NOTHING, "nan").splitlines()
            rows = np.loadtxt(io.StringIO("\n".join(lines)), delimiter="\t", ndmin=2, comments=None)
    except (OSError, EOFError, zlib.error) as error:
        raise bad_input(path, f"a file that cannot be unpacked ({said_by(error)})", "a whole .tsv.gz",
                        "fetch it again") from error
    except InputError:
        raise
    except (UnicodeDecodeError, ValueError, UserWarning) as error:
        raise bad_input(path, f"rows that are not numbers ({said_by(error)})", f"{width} numbers per row and no header",
                        "export it again") from error
    if rows.shape[1] != width:
        raise bad_input(path, f"{rows.shape[1]} columns", f"{width}, as its .json names", "correct Columns")
    return rows
