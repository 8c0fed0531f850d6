"""EDF, EDF+ and BDF, record by record with edfio.

Not with MNE: it brings channels of different rates to the highest one, forgets fractions of a second in the start, and
reads an interrupted recording (EDF+D) as one without interruption. edfio holds a BDF whole in memory; here it sees a
few records at a time. Format: https://www.edfplus.info/specs/edf.html.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file
from himoe.datasets.devices.contract import DeviceFile, Marker, Start, Stream, plain, said_by
from himoe.datasets.devices.edf_times import record_times, stretches

SAMPLE_BYTES = {b"0       ": 2, b"\xffBIOSEMI": 3}
FIXED, OF_A_SIGNAL, BEFORE_SAMPLES = 256, 256, 216  # bytes of a header: of the whole, of a signal, before its samples
BLOCK_BYTES = 2**22  # of records looked at together
STATUS = "Status"  # BioSemi's trigger channel; its low 8 bits are the trigger
INTERRUPTED = (b"EDF+D", b"BDF+D")
DAY_S = 86400.0


@dataclass(frozen=True)
class Layout:
    """Where records lie: bytes before them, bytes of one, how many are whole, seconds of one.

    ``times_s``: when each began, from the beginning of the first; None = one after the other.
    """

    path: Path
    header: bytes
    record_bytes: int
    n_records: int
    record_s: float
    times_s: np.ndarray | None = None

    def began_s(self, record: int) -> float:
        """When a record began, from the beginning of the first."""
        return record * self.record_s if self.times_s is None else float(self.times_s[record])

    def records(self, first: int, last: int) -> Any:
        """edfio's view of some records."""
        import edfio

        with open(self.path, "rb") as stream:
            stream.seek(len(self.header) + first * self.record_bytes)
            content = stream.read((last - first) * self.record_bytes)
        read = edfio.read_bdf if self.header.startswith(b"\xff") else edfio.read_edf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that these are not all records
            return read(self.header + content, header_encoding="latin-1")

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """All records in blocks: the first one's number, edfio's view."""
        step = max(1, BLOCK_BYTES // self.record_bytes)
        for first in range(0, self.n_records, step):
            yield first, self.records(first, min(first + step, self.n_records))


def open_edf(path: Path) -> DeviceFile:
    """Open an EDF, EDF+ or BDF file; one stream a rate. A last record that is not whole is left out and noted.

    Where recording paused (EDF+D), its records say when.

    Raises
    ------
    InputError
        If it is no such file, holds no signal or no whole record, a record of an EDF+D has no time or one before the
        last record's end, or (told when markers are first asked for) a file that says it is continuous is not.
    """
    notes: list[str] = []
    try:
        layout = _layout(path, notes)
        first = layout.records(0, 1)
        streams = tuple(_streams(layout, first))
        start = _start(first)
    except InputError:
        raise
    except Exception as error:  # a damaged header can fail in any way at all
        raise bad_input(f"{path}, header", f"a field that cannot be read ({said_by(error)})",
                        "a complete EDF or BDF header", "export the recording again") from error
    if not streams:
        raise bad_input(path, "annotations and no signal", "a recording with signals", "give the recording itself")
    return DeviceFile(path, streams, start, cache(partial(_markers, layout)), notes=tuple(notes), files=(path,))


def _layout(path: Path, notes: list[str]) -> Layout:
    with open(require_file(path), "rb") as stream:
        fixed = stream.read(FIXED)
        width = SAMPLE_BYTES.get(fixed[:8])
        if len(fixed) < FIXED or width is None:
            raise bad_input(path, f"a file beginning with {fixed[:8]!r}", "an EDF or BDF header",
                            "fetch the file again")
        n_signals = int(fixed[252:256])
        header = fixed + stream.read(OF_A_SIGNAL * n_signals)
    if n_signals < 1 or not len(header) == int(fixed[184:192]) == FIXED + OF_A_SIGNAL * n_signals:
        raise ValueError(f"{n_signals} signals in {len(header)} bytes")
    place = FIXED + BEFORE_SAMPLES * n_signals
    samples = [int(header[place + 8 * k:place + 8 * k + 8]) for k in range(n_signals)]
    if min(samples) < 1:
        raise ValueError(f"{min(samples)} samples a record")
    said, record_s = int(fixed[236:244]), float(fixed[244:252])
    record_bytes = width * sum(samples)
    n_records, rest = divmod(path.stat().st_size - len(header), record_bytes)
    if n_records < 1:
        raise bad_input(path, "no whole record", "at least one", "the file was cut off; fetch it again")
    if 0 <= said < n_records:
        raise bad_input(f"{path}, header", f"{said} records", f"{n_records}, as the file holds", "export it again")
    if rest or said > n_records:
        notes.append(f"{path}: the header says {said} records, {n_records} are whole: the file was cut off; the rest "
                     "is missing.")
    return Layout(path, header, record_bytes, n_records, record_s,
                  _times(path, header, samples, width, n_records, record_s, notes))


def _times(path: Path, header: bytes, samples: Sequence[int], width: int, n_records: int, record_s: float,
           notes: list[str]) -> np.ndarray | None:
    """When the records of an EDF+D began; None for the others."""
    if header[192:197] not in INTERRUPTED:
        return None
    labels = [header[FIXED + 16 * k:FIXED + 16 * (k + 1)].rstrip() for k in range(len(samples))]
    kept = next((k for k, label in enumerate(labels) if label == header[192:195] + b" Annotations"), None)
    if kept is None or not 0 < record_s < math.inf:
        raise bad_input(path, "pauses (EDF+D) and no times of its records", "a signal EDF Annotations, and the length "
                        "of a record", "export the recording again")
    times_s = record_times(path, len(header), width * sum(samples), n_records, width * sum(samples[:kept]),
                           width * samples[kept], record_s)
    pauses = len(stretches(times_s, record_s)) - 1
    if pauses:
        notes.append(f"{path}: recording paused {pauses} time{'s' * (pauses > 1)}: each is a gap.")
    return times_s


def _streams(layout: Layout, first: Any) -> Iterator[Stream]:
    places = {k: signal for k, signal in enumerate(first.signals) if not (_is_bdf(layout) and signal.label == STATUS)}
    if places and not 0 < layout.record_s < math.inf:
        raise ValueError(f"records of {layout.record_s:g} s")
    for signal in places.values():
        if not signal.digital_min < signal.digital_max or signal.physical_min == signal.physical_max:
            raise bad_input(f"{layout.path}, channel {signal.label!r}", f"the range {signal.digital_min} to "
                            f"{signal.digital_max} for {signal.physical_min:g} to {signal.physical_max:g}",
                            "lowest below highest", "export it again without that channel")
    pieces = () if layout.times_s is None else stretches(layout.times_s, layout.record_s)
    for count in dict.fromkeys(signal.samples_per_data_record for signal in places.values()):
        chosen = [place for place, signal in places.items() if signal.samples_per_data_record == count]
        signals = [places[place] for place in chosen]
        yield Stream(f"{count / layout.record_s:g} Hz", "", tuple(one.label for one in signals),
                     tuple(one.physical_dimension for one in signals), count / layout.record_s,
                     count * layout.n_records, 0.0, partial(_samples, layout, chosen, count),
                     pieces=tuple((begin_s, record * count) for begin_s, record in pieces))


def _samples(layout: Layout, places: Sequence[int], count: int, first: int, last: int,
             picks: Sequence[int]) -> np.ndarray:
    """Samples of the signals *places*, *count* of each in a record."""
    begin, end = first // count, -(-last // count)
    if last <= first:
        return np.empty((len(picks), 0))
    view = layout.records(begin, end)
    return np.stack([view.signals[places[pick]].data[first - begin * count:last - begin * count] for pick in picks])


def _is_bdf(layout: Layout) -> bool:
    return layout.header.startswith(b"\xff")


def _start(first: Any) -> Start | None:
    """The start with its fraction of a second; None where the date was removed."""
    try:
        moment: datetime = first.startdatetime
    except ValueError:  # edfio's error for an anonymised date is one, too
        return None
    return Start(moment.replace(tzinfo=UTC).timestamp(), False)


def _markers(layout: Layout) -> tuple[Marker, ...]:
    """Annotations, and triggers of a BioSemi status channel."""
    try:
        return _all_marks(layout)
    except InputError:
        raise
    except Exception as error:  # damaged annotations can fail in any way at all
        raise bad_input(f"{layout.path}, annotations", f"some that cannot be read ({said_by(error)})",
                        "those of EDF+ or BDF+", "export the recording again") from error


def _all_marks(layout: Layout) -> tuple[Marker, ...]:
    marks: list[Marker] = []
    began, code = None, 0
    for first, view in layout.blocks():
        time = view.starttime
        here_s = time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6
        began = here_s if began is None else began
        off_s = (here_s - began - first * layout.record_s + DAY_S / 2) % DAY_S - DAY_S / 2
        sure = layout.times_s is not None or layout.header[192:196] not in (b"EDF+", b"BDF+")
        if not sure and (not view.is_continuous or abs(off_s) > 1e-3):
            raise bad_input(layout.path, "records that do not follow each other in a file that says they do (EDF+C)",
                            "one that says that it paused (EDF+D)", "export the recording again")
        marks += [Marker(layout.began_s(first) + one.onset, plain(one.text)) for one in view.annotations]
        if _is_bdf(layout) and STATUS in view.labels:
            signal = view.get_signal(STATUS)
            codes = np.asarray(signal.digital) & 0xFF
            changed = np.flatnonzero(np.diff(codes, prepend=code) != 0)
            count = signal.samples_per_data_record
            marks += [Marker(layout.began_s(first + k // count) + k % count / signal.sampling_frequency, str(codes[k]))
                      for k in changed.tolist() if codes[k]]
            code = int(codes[-1])
    return tuple(sorted(marks, key=lambda mark: mark.time_s))
