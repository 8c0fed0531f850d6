"""Windows in memory or, where they are many, on disk.

Legend: n windows, C channels, W samples per window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from himoe.core.disk_array import DiskArray
from himoe.core.long_arrays import is_long

WindowArray = np.ndarray | DiskArray
CUT_ROWS = 32 * 32  # windows cut, or copied from and to disk, at once: whole row groups of a shard


def room_for(shape: tuple[int, int, int], long: bool) -> WindowArray:
    """Windows (n, C, W) to be filled, on disk if they are *long*."""
    return DiskArray.temporary(shape) if long else np.empty(shape, np.float32)


def taken(array: WindowArray, rows: np.ndarray) -> WindowArray:
    """Rows (numbers or flags) of windows (n, C, W); many of them out of an array on disk stay on disk."""
    chosen = np.arange(len(array))[rows]
    shape = (len(chosen), *array.shape[1:])
    if isinstance(array, np.ndarray) or not is_long(4 * math.prod(shape)):
        return array[chosen]
    kept = DiskArray.temporary(shape)
    for first in range(0, len(chosen), CUT_ROWS):
        part = array[chosen[first:first + CUT_ROWS]]
        kept[first:first + len(part)] = part
    return kept


def picked(array: WindowArray, order: list[int]) -> WindowArray:
    """Windows with their channels in this order."""
    return array.channels(order) if isinstance(array, DiskArray) else array[:, order]


def stacked(arrays: Sequence[WindowArray]) -> WindowArray:
    """Windows (n, C, W) one after the other; on disk if some of them are."""
    if not any(isinstance(array, DiskArray) for array in arrays):
        return np.concatenate([np.asarray(array) for array in arrays])
    whole, first = room_for((sum(map(len, arrays)), arrays[0].shape[1], arrays[0].shape[2]), True), 0
    for array in arrays:
        for begin in range(0, len(array), CUT_ROWS):
            part = array[begin:begin + CUT_ROWS]
            whole[first + begin:first + begin + len(part)] = part
        first += len(array)
    return whole
