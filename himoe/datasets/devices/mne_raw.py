"""BrainVision, EEGLAB and FIF, read by MNE: samples stay in the file until a trial asks for them."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file
from himoe.datasets._mat_tags import check_tags
from himoe.datasets.devices.contract import DeviceFile, Marker, Start, Stream, plain, said_by
from himoe.datasets.devices.units import unit_factor

HEADER_FILES = re.compile(r"^\s*(DataFile|MarkerFile)\s*=\s*(.*?)\s*$", flags=re.MULTILINE | re.IGNORECASE)
HEADER_BYTES = 2**20
BREAKS = re.compile(r"boundary|BAD boundary|New Segment/?", flags=re.IGNORECASE)
FILE_ID = 100  # kind of a FIF file's first tag
SKIPPED = "BAD_ACQ_SKIP"  # MNE's own word for stretches that were not recorded, and are zeros in the file


def open_brainvision(path: Path) -> DeviceFile:
    """Open a BrainVision header file (.vhdr) with the data and marker files it names, which lie beside it."""
    with open(require_file(path), "rb") as stream:
        header = stream.read(HEADER_BYTES).decode("latin-1")
    for key, name in HEADER_FILES.findall(header):
        if Path(name.replace("\\", "/")).name != name and "$b" not in name:
            raise bad_input(f"{path}: {key}", repr(name[:100]), "a name of a file beside it", "correct the header")
    return _open(path, "read_raw_brainvision", ignore_marker_types=False)


def open_eeglab(path: Path) -> DeviceFile:
    """Open an EEGLAB .set of a continuous recording, as MATLAB v5; one of v7.3 (HDF5) is refused."""
    check_tags(require_file(path))
    return _open(path, "read_raw_eeglab")


def open_fif(path: Path) -> DeviceFile:
    """Open a FIF file of a continuous recording."""
    _check_tags(path)
    return _open(path, "read_raw_fif")


def _check_tags(path: Path) -> None:
    """InputError unless one tag follows the other to the end of the file: MNE may go in circles where one is damaged.

    A tag is four big-endian numbers (kind, type, bytes, place of the next one: 0 = behind this, -1 = none), then its
    bytes.
    """
    size, place = require_file(path).stat().st_size, 0
    with open(path, "rb") as stream:
        while place < size:
            stream.seek(place)
            head = stream.read(16)
            kind, _, length, following = struct.unpack(">iiii", head) if len(head) == 16 else (0, 0, -1, 0)
            if length < 0 or place + 16 + length > size or (place == 0 and kind != FILE_ID) or 0 < following <= place:
                raise bad_input(f"{path}: byte {place}", "no tag of a FIF file", "tags up to its end",
                                "the file is cut off or damaged; export it again")
            if following < 0:
                return
            place = following or place + 16 + length


def _open(path: Path, reader: str, **options: Any) -> DeviceFile:
    import mne

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            raw = getattr(mne.io, reader)(require_file(path), preload=False, verbose="WARNING", **options)
    except InputError:
        raise
    except Exception as error:  # a damaged file can fail in any way at all
        raise bad_input(path, f"a file that MNE cannot read ({said_by(error)})",
                        "a whole continuous recording with the files that belong to it", "export it again") from error
    notes = tuple(f"{path}: MNE says: {' '.join(str(one.message).split())[:300]}" for one in caught
                  if issubclass(one.category, RuntimeWarning))
    fields = [_channel(raw, name) for name in raw.ch_names]
    stream = Stream("recording", "", tuple(raw.ch_names), tuple(unit for unit, _ in fields), float(raw.info["sfreq"]),
                    int(raw.n_times), 0.0, partial(_samples, path, raw, np.array([factor for _, factor in fields])))
    marks, breaks_s = _marks(raw)
    files = tuple(dict.fromkeys([path, *(Path(str(name)) for name in raw.filenames if name)]))
    return DeviceFile(path, (stream,), _start(raw), _given(marks), breaks_s, notes, files)


def _given(marks: tuple[Marker, ...]) -> Callable[[], tuple[Marker, ...]]:
    return lambda: marks


def _channel(raw: Any, name: str) -> tuple[str, float]:
    """A channel's unit, and what turns MNE's values into it: MNE brings volts and siemens to one scale."""
    from mne.io.constants import FIFF

    unit = str(raw._orig_units.get(name, ""))  # kept by MNE for export; nothing public has it
    for base in ("V", "S"):
        factor = unit_factor(base, unit) if unit else None
        if factor is not None:
            return unit, factor
    if unit:
        return unit, 1.0
    known = {FIFF.FIFF_UNIT_V: "V", FIFF.FIFF_UNIT_S: "S", FIFF.FIFF_UNIT_T: "T", FIFF.FIFF_UNIT_CEL: "degC"}
    return known.get(int(raw.info["chs"][raw.ch_names.index(name)]["unit"]), ""), 1.0


def _samples(path: Path, raw: Any, factors: np.ndarray, first: int, last: int, picks: Sequence[int]) -> np.ndarray:
    if last <= first:
        return np.empty((len(picks), 0))
    chosen = list(picks)
    try:
        data = raw.get_data(picks=chosen, start=first, stop=last, reject_by_annotation=None)
    except Exception as error:  # a file that was cut off can fail in any way at all
        raise bad_input(path, f"samples that MNE cannot read ({said_by(error)})", "a whole recording",
                        "the file may have been cut off; export it again") from error
    data = data * factors[chosen, np.newaxis]
    for one in raw.annotations:
        if one["description"] == SKIPPED:
            begin = round((one["onset"] - _zero_s(raw)) * raw.info["sfreq"])
            end = begin + round(one["duration"] * raw.info["sfreq"])
            data[:, max(begin - first, 0):max(end - first, 0)] = np.nan
    return data


def _zero_s(raw: Any) -> float:
    """The first sample on the clock of MNE's annotations: without a date they count from the first sample."""
    return float(raw.first_time) if raw.annotations.orig_time is not None else 0.0


def _start(raw: Any) -> Start | None:
    """MNE writes a wall clock's time as if it were UTC; only FIF says UTC and means it."""
    date = raw.info["meas_date"]
    if date is None:
        return None
    return Start(date.timestamp() + float(raw.first_time), type(raw).__module__.startswith("mne.io.fiff"))


def _marks(raw: Any) -> tuple[tuple[Marker, ...], tuple[float, ...]]:
    """Markers, and where recording was interrupted."""
    marks, breaks_s = [], []
    for one in raw.annotations:
        time_s, text = float(one["onset"]) - _zero_s(raw), plain(one["description"])
        marks.append(Marker(time_s, text))
        if BREAKS.fullmatch(text) and time_s > 0.5 / raw.info["sfreq"]:
            breaks_s.append(time_s)
    return tuple(sorted(marks, key=lambda mark: mark.time_s)), tuple(sorted(breaks_s))
