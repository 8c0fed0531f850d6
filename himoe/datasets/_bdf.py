"""BioSemi BDF: the header, a check for truncation, and samples block by block in the header's units.

Format: https://www.biosemi.com/faq/file_format.htm. Legend: C channels, N samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import require_file
from himoe.datasets.texttable import shown_names

MAGIC = b"\xffBIOSEMI"
SAMPLE_BYTES = 3
BLOCK_S = 30.0
# (field, bytes a channel), in file order, after the 256 bytes on the recording as a whole
CHANNEL_FIELDS = (
    ("label", 16), ("transducer", 80), ("unit", 8), ("physical_min", 8), ("physical_max", 8),
    ("digital_min", 8), ("digital_max", 8), ("prefilter", 80), ("samples", 8), ("reserved", 32),
)
# MNE turns these units into volts, whatever the channel measures; the factor turns them back
VOLT_UNITS = {"uV": 1e6, "µV": 1e6, "μV": 1e6, "mV": 1e3}


@dataclass(frozen=True)
class BdfHeader:
    """What a BDF header says; one entry per channel from ``labels`` to ``samples``.

    ``physical`` and ``digital`` hold the lowest and the highest value, in the channel's unit and as stored.
    """

    path: Path
    labels: tuple[str, ...]
    units: tuple[str, ...]
    physical: tuple[tuple[float, float], ...]
    digital: tuple[tuple[float, float], ...]
    samples: tuple[int, ...]
    n_records: int
    record_s: float

    def index(self, name: str) -> int:
        """Place of the channel *name*; :class:`~himoe.core.errors.InputError` if there is none, or more than one."""
        if name not in self.labels:
            raise bad_input(f"{self.path}, channel {name}", f"channels {shown_names(self.labels, ' ')}",
                            f"one named {name}", "check that this is the data set's own file")
        if self.labels.count(name) > 1:
            raise bad_input(f"{self.path}, channel {name}", f"it {self.labels.count(name)} times", "it once",
                            "check that this is the data set's own file")
        return self.labels.index(name)

    def dead_levels(self, pick: int) -> tuple[tuple[float, float, float], float]:
        """What a disconnected channel shows (either rail, the stored number 0), and one step of the converter."""
        (low, high), (stored_low, stored_high) = self.physical[pick], self.digital[pick]
        step = (high - low) / (stored_high - stored_low)
        return (low, high, low - stored_low * step), abs(step)


def read_header(path: Path) -> BdfHeader:
    """Read a BDF header and hold it against the file's size.

    Raises
    ------
    InputError
        If the file is missing, is not BDF, or is shorter than its header says.
    """
    with open(require_file(path), "rb") as stream:
        fixed = stream.read(256)
        if len(fixed) < 256 or not fixed.startswith(MAGIC):
            raise bad_input(path, f"a file beginning with {fixed[:8]!r}", f"a BDF header ({MAGIC!r})",
                            "fetch the file again")
        try:
            n_channels = int(fixed[252:256])
            header = _parse(path, fixed, stream.read(256 * n_channels), n_channels)
        except ValueError as error:
            raise bad_input(f"{path}, header", f"a field that cannot be read ({error})", "a complete BDF header",
                            "the file is truncated or damaged; fetch it again") from error
    _check_size(header)
    return header


def _parse(path: Path, fixed: bytes, rest: bytes, n_channels: int) -> BdfHeader:
    columns: dict[str, list[str]] = {}
    place = 0
    for field, width in CHANNEL_FIELDS:
        columns[field] = [rest[place + i * width:place + (i + 1) * width].decode("latin-1").strip()
                          for i in range(n_channels)]
        place += n_channels * width
    physical, digital = (
        tuple((float(low), float(high)) for low, high in zip(columns[f"{kind}_min"], columns[f"{kind}_max"]))
        for kind in ("physical", "digital"))
    for label, (low, high) in zip(columns["label"], digital):
        if not low < high:
            raise ValueError(f"digital range {low:g} to {high:g} of channel {label}")
    for label, (low, high) in zip(columns["label"], physical):
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"physical range {low:g} to {high:g} of channel {label}")
    samples = tuple(int(text) for text in columns["samples"])
    if min(samples, default=0) < 1:
        raise ValueError(f"{min(samples, default=0)} samples a record")
    return BdfHeader(Path(path), tuple(columns["label"]), tuple(columns["unit"]), physical, digital,
                     samples, int(fixed[236:244]), float(fixed[244:252]))


def _check_size(header: BdfHeader) -> None:
    if header.n_records < 1 or not 0 < header.record_s < math.inf:
        raise bad_input(f"{header.path}, header", f"{header.n_records} records of {header.record_s:g} s",
                        "at least one record of positive length",
                        "the recording was not closed properly; fetch the file again")
    found = header.path.stat().st_size
    expected = 256 * (len(header.labels) + 1) + header.n_records * SAMPLE_BYTES * sum(header.samples)
    if found < expected:
        raise bad_input(header.path, f"{found} bytes", f"{expected} bytes ({header.n_records} records)",
                        "the file is truncated; fetch it again")


def sampling_rate_hz(header: BdfHeader, picks: Sequence[int]) -> float:
    """The one rate of the channels *picks*; InputError if they differ."""
    rates_hz = sorted({header.samples[pick] / header.record_s for pick in picks})
    if len(rates_hz) != 1:
        raise bad_input(f"{header.path}, samples per record", f"rates of {rates_hz} Hz",
                        "one rate for every channel", "check that this is the data set's own file")
    return rates_hz[0]


def read_blocks(header: BdfHeader, picks: Sequence[int], status: int,
                block_s: float = BLOCK_S) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Read channels block by block, so that memory stays bounded by one block.

    Yields
    ------
    first : int
        Index of the block's first sample.
    data : ndarray, (C, n) float64
        The channels *picks*, in the header's units.
    status : ndarray, (n,) int64
        The low 8 bits of the channel *status*.
    """
    import mne

    sfreq_hz = sampling_rate_hz(header, [*picks, status])
    scale = np.array([VOLT_UNITS.get(header.units[pick], 1.0) for pick in picks])[:, np.newaxis]
    raw = mne.io.read_raw_bdf(header.path, stim_channel=[status], preload=False, verbose="ERROR")
    # MNE counts records from the file's size; the header's count is the one that was checked
    n_samples = round(header.n_records * header.record_s * sfreq_hz)
    step = max(1, round(block_s)) * round(sfreq_hz)
    for first in range(0, n_samples, step):
        block = raw[[*picks, status], first:min(first + step, n_samples)][0]
        yield first, block[:-1] * scale, block[-1].astype(np.int64) & 0xFF
