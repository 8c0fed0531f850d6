"""Finding stretches in which a sensor was dead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

FLAT_MIN_S = 0.5


def mark_flat(data: np.ndarray, sfreq_hz: float, min_s: float = FLAT_MIN_S,
              values: Sequence[float] | None = None, tolerance: float = 0.0) -> np.ndarray:
    """Mark stretches of an exactly constant value as gaps: a live sensor shows at least its noise.

    Parameters
    ----------
    data : ndarray, (C, N) float
    sfreq_hz : float
    min_s : float
        Shortest constant stretch that counts.
    values : sequence of float, optional
        Only stretches at these values count (for slow signals: zero, the rails of the converter).
    tolerance : float
        Largest distance from *values*.

    Returns
    -------
    ndarray, (C, N)
        A copy with NaN in the stretches.
    """
    marked = np.array(data)
    for row, gaps in flat_rows(data, sfreq_hz, min_s, values, tolerance):
        marked[row, gaps] = np.nan
    return marked


def flat_rows(data: np.ndarray, sfreq_hz: float, min_s: float = FLAT_MIN_S, values: Sequence[float] | None = None,
              tolerance: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of (C, N) that may have such a stretch, and which of their samples lie in one, (N,) bool."""
    n_min = max(2, int(np.ceil(min_s * sfreq_hz)))
    # Such a stretch has a pair of equal neighbours at a multiple of its length less one: most rows have none at all.
    suspect = (data[:, :-1:n_min - 1] == data[:, 1:][:, ::n_min - 1]).any(axis=1)
    for place in np.flatnonzero(suspect):
        source = data[place]
        equal = np.concatenate(([False], source[1:] == source[:-1], [False]))
        # the first and the last sample of every run of equal samples
        first, last = np.flatnonzero(equal[1:] != equal[:-1]).reshape(-1, 2).T
        counts = last - first + 1 >= n_min
        if values is not None:
            counts &= (np.abs(source[first, np.newaxis] - np.asarray(values)) <= tolerance).any(axis=1)
        step = np.zeros(source.size + 1, dtype=np.int8)
        step[first[counts]] = 1
        step[last[counts] + 1] -= 1
        yield int(place), np.cumsum(step[:-1]) > 0
