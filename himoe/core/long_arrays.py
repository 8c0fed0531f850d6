"""Arrays too long for memory: they live in files without a name (in ``TMPDIR``) and are looked at stretch by stretch.

The system takes such a file away with the last look at it, also after a kill. Pages of a mapped file count as the
process's memory once touched, so whoever has worked through a stretch lets them go.

Legend: C channels, N samples.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator

import numpy as np

from himoe.core.errors import bad_input

LONG_BYTES = 64 * 2**20  # one person's signals or windows above this size stay on disk
STRETCH_BYTES = 16 * 2**20  # looked at in one go


def room(shape: tuple[int, ...], dtype: type | np.dtype = np.float32) -> np.ndarray:
    """An array to be filled, on disk.

    Raises
    ------
    InputError
        If the disk has no room for it.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile(prefix="himoe-") as stream:
        reserve(stream.fileno(), n_bytes)
        return np.memmap(stream, dtype, "r+", shape=shape)


def reserve(file: int, n_bytes: int) -> None:
    """Give an open file its length and its place: a mapped page without a place on disk would kill the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, n_bytes)
        else:
            os.truncate(file, n_bytes)
    except OSError as error:
        raise bad_input(tempfile.gettempdir(), f"no room for {n_bytes / 2**20:.0f} MiB ({error.strerror})",
                        "room for one person's signals", "free some, or set TMPDIR to a larger disk") from error


def gap(channels: int, n_samples: int) -> np.ndarray:
    """Samples (C, N) float32 to be filled, NaN so far; on disk if they are many."""
    if not is_long(4 * channels * n_samples):
        return np.full((channels, n_samples), np.nan, dtype=np.float32)
    data = room((channels, n_samples))
    for where in columns(data):
        data[:, where] = np.nan
    return data


def let_go(array: np.ndarray) -> None:
    """Give back the memory of an array's pages if it is a mapped file; its values stay."""
    mapping = getattr(array, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def is_long(n_bytes: int) -> bool:
    """Whether so many bytes of one person are kept on disk."""
    return n_bytes > LONG_BYTES


def columns(data: np.ndarray) -> Iterator[slice]:
    """Stretches of (C, N), one after the other; the memory of each is given back before the next."""
    step = max(STRETCH_BYTES // max(data.shape[0] * data.itemsize, 1), 1)
    for first in range(0, data.shape[1], step):
        yield slice(first, min(first + step, data.shape[1]))
        let_go(data)


def on_disk(data: np.ndarray) -> np.ndarray:
    """A copy (C, N) on disk; what is there already stays."""
    if isinstance(data, np.memmap) or not data.size:
        return data
    kept = room(data.shape, data.dtype)
    for where in columns(kept):
        kept[:, where] = data[:, where]
    return kept
