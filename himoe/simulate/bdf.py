"""Writing BioSemi BDF files block by block.

``edfio`` writes one block after the other; the blocks share one header, so that memory stays bounded
by one block. Format: https://www.biosemi.com/faq/file_format.htm. Legend: N samples.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path

DIGITAL_RANGE = (-8388608, 8388607)
# with a symmetric physical range, 0 is stored as 0
SYMMETRIC_RANGE = (-8388607, 8388607)
BLOCK_RECORDS = 20
FIXED_BYTES = 256
# places of two header fields: the version of the data format, the number of records
VERSION_FIELD = slice(192, 236)
RECORDS_FIELD = slice(236, 244)


@dataclass(frozen=True)
class BdfChannel:
    """One channel: ``values(first, last)`` gives its samples from *first* up to *last* (exclusive)."""

    label: str
    unit: str
    physical_range: tuple[float, float]
    values: Callable[[int, int], np.ndarray]
    digital_range: tuple[int, int] = DIGITAL_RANGE


def symmetric_range(highest: float, where: str) -> tuple[float, float]:
    """The narrowest range ±2^k (k from 0 on) that holds ±*highest* with a margin of 1 %.

    Raises
    ------
    InputError
        If the numbers do not fit the 8 characters a BDF header has for them.
    """
    if not np.isfinite(highest) or highest * 1.01 > 9999999:
        raise bad_input(where, f"a value of {highest:g}", "finite values up to 9900989", "rescale the signal")
    power = 2.0 ** max(0, int(np.ceil(np.log2(max(highest * 1.01, 1.0)))))
    edge = min(power, 9999999.0)
    return -edge, edge


def write_bdf(path: Path, channels: Sequence[BdfChannel], sfreq_hz: float, n_samples: int) -> None:
    """Write a BDF file of one-second records, atomically; the same input gives the same bytes.

    A last record that is not full is filled with each channel's last value.

    Raises
    ------
    InputError
        If the rate is not a whole number of samples per second, or there are no samples.
    """
    if sfreq_hz != round(sfreq_hz) or sfreq_hz < 1 or n_samples < 1:
        raise bad_input(f"BDF {path.name}", f"{n_samples} samples at {sfreq_hz} Hz",
                        "samples at a whole number of Hz", "change the rate")
    per_record = round(sfreq_hz)
    n_records = -(-n_samples // per_record)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        for record in range(0, n_records, BLOCK_RECORDS):
            first = record * per_record
            last = min(first + BLOCK_RECORDS * per_record, n_records * per_record)
            header, samples = _block(channels, per_record, first, last, n_samples)
            if record == 0:
                header[VERSION_FIELD] = b"24BIT".ljust(44)
                header[RECORDS_FIELD] = str(n_records).encode("ascii").ljust(8)
                stream.write(header)
            stream.write(samples)


def _block(channels: Sequence[BdfChannel], per_record: int, first: int, last: int,
           n_samples: int) -> tuple[bytearray, memoryview]:
    """Header and samples of a BDF file that holds the block alone."""
    from edfio import Bdf, BdfSignal

    signals = []
    for channel in channels:
        values = np.asarray(channel.values(first, min(last, n_samples)), dtype=np.float64)
        values = np.pad(values, (0, last - first - values.size), mode="edge")
        signals.append(BdfSignal(values, float(per_record), label=channel.label, physical_dimension=channel.unit,
                                 physical_range=channel.physical_range, digital_range=channel.digital_range))
    buffer = io.BytesIO()
    Bdf(signals, data_record_duration=1.0).write(buffer)
    size = FIXED_BYTES * (len(channels) + 1)
    content = buffer.getbuffer()
    return bytearray(content[:size]), content[size:]
