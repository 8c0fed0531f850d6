"""An array of windows that stays on disk: rows are read when asked for, so memory holds only what is in use.

A memory map would do the same work, but its pages count as the process's memory once touched, and a shuffled
epoch touches all of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from weakref import finalize

import numpy as np

from himoe.core.long_arrays import reserve


class DiskArray:
    """Float32 windows (n, C, W) in one raw file; supports ``len``, ``shape``, reading rows and appending.

    Parameters
    ----------
    path : Path
        The raw file; made anew.
    shape : (int, int, int)
        n, C, W.
    """

    dtype = np.dtype("<f4")
    shape: tuple[int, int, int]
    _picked: slice | list[int]
    _held: DiskArray | None = None

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self.path, self.shape = Path(path), shape
        self._windows, self._picked = shape[1:], slice(None)  # as they are in the file; what is read of them
        self._row_bytes = shape[1] * shape[2] * self.dtype.itemsize
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "wb") as stream:
            stream.truncate(shape[0] * self._row_bytes)

    @classmethod
    def temporary(cls, shape: tuple[int, int, int]) -> DiskArray:
        """An array in ``TMPDIR`` whose file goes when nobody holds the array any more; InputError without room."""
        file, name = tempfile.mkstemp(prefix="himoe-", suffix=".f32")
        os.close(file)
        array = cls(Path(name), shape)
        finalize(array, Path(name).unlink, missing_ok=True)
        with open(name, "r+b") as stream:
            reserve(stream.fileno(), shape[0] * array._row_bytes)
        return array

    def channels(self, picked: Sequence[int]) -> DiskArray:
        """The same windows with these channels in this order, (n, C', W), to be read."""
        view = copy(self)
        view._picked, view.shape = list(picked), (self.shape[0], len(picked), self.shape[2])
        view._held = self  # the file stays as long as the view does
        return view

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.shape[0] * self.shape[1] * self.shape[2] * self.dtype.itemsize

    def __setitem__(self, rows: slice, windows: np.ndarray) -> None:
        """Write consecutive rows."""
        first, last, _ = rows.indices(len(self))
        data = np.ascontiguousarray(np.broadcast_to(windows, (last - first, *self.shape[1:])), dtype=self.dtype)
        with open(self.path, "r+b") as stream:
            stream.seek(first * self._row_bytes)
            stream.write(data.tobytes())

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        """Read rows: (C, W) for one, (k, C, W) for a slice or integer array. Runs are read in one go."""
        if isinstance(rows, int | np.integer):
            return self[np.array([rows])][0]
        wanted = np.arange(len(self))[rows]
        out = np.empty((len(wanted), *self._windows), self.dtype)
        breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
        with open(self.path, "rb", buffering=0) as stream:
            for run in np.split(np.arange(len(wanted)), breaks):
                if len(run):
                    stream.seek(int(wanted[run[0]]) * self._row_bytes)
                    stream.readinto(out[run[0]:run[-1] + 1].data.cast("B"))
        return out[:, self._picked]

    def __iter__(self) -> Iterator[np.ndarray]:
        for row in range(len(self)):
            yield self[row]
