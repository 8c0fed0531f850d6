"""A ring buffer whose samples are counted from the clock's zero. Legend: C channels, N samples, W width."""

from __future__ import annotations

import numpy as np


class Ring:
    """The newest *capacity* samples of C channels; what was never written, or is too old, is NaN."""

    def __init__(self, channels: int, capacity: int) -> None:
        self.data = np.full((channels, capacity), np.nan, dtype=np.float32)
        self.next = 0  # number of the sample to come
        self.empty = True

    def write(self, first: int, data: np.ndarray) -> None:
        """Write (C, N) from sample number *first* on; numbers left out are NaN, older ones are refused silently."""
        if self.empty:
            self.next, self.empty = first, False
        data = data[:, max(self.next - first, 0):]
        first = max(first, self.next)
        size = self.data.shape[1]
        gap = min(first - self.next, size)
        self.data[:, np.arange(first - gap, first) % size] = np.nan
        kept = data[:, -size:]
        last = first + data.shape[1]
        self.data[:, np.arange(last - kept.shape[1], last) % size] = kept
        self.next = last

    def read(self, first: int, width: int) -> np.ndarray:
        """Samples first … first + W - 1 as a new (C, W) array."""
        size = self.data.shape[1]
        number = np.arange(first, first + width)
        out = self.data[:, number % size]
        out[:, (number >= self.next) | (number < self.next - size)] = np.nan
        return out

    def newest(self, width: int) -> np.ndarray:
        """The newest samples, at most *width* of them."""
        return self.read(self.next - min(width, self.data.shape[1]), min(width, self.data.shape[1]))
