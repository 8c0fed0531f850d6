"""An array of windows that stays on disk: rows are read when asked for, so memory holds only what is in use.

A memory map would do the same work, but its pages count as the process's memory once touched, and a shuffled
epoch touches all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np


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

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self.path, self.shape = Path(path), shape
        self._row_bytes = shape[1] * shape[2] * self.dtype.itemsize
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "wb") as stream:
            stream.truncate(shape[0] * self._row_bytes)

    def __len__(self) -> int:
        return self.shape[0]

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
        out = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
        with open(self.path, "rb", buffering=0) as stream:
            for run in np.split(np.arange(len(wanted)), breaks):
                if len(run):
                    stream.seek(int(wanted[run[0]]) * self._row_bytes)
                    stream.readinto(out[run[0]:run[-1] + 1].data.cast("B"))
        return out

    def __iter__(self) -> Iterator[np.ndarray]:
        for row in range(len(self)):
            yield self[row]
