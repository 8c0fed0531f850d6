"""Putting time-stamped samples on a regular grid.

Legend: K time stamps, C channels, N grid samples.
"""

from __future__ import annotations

import numpy as np

from himoe.core.errors import bad_input


def on_grid(time_s: np.ndarray, values: np.ndarray, sfreq_hz: float, n_samples: int, max_gap_s: float) -> np.ndarray:
    """Linear interpolation at the times 0, 1/sfreq_hz, 2/sfreq_hz, ...; long gaps stay gaps.

    A grid sample is NaN before the first and after the last stamp of its channel, and between two
    stamps further apart than *max_gap_s*. A NaN value counts as if its stamp were not there. No
    filter is applied: choose a rate close to the sensor's own.

    Parameters
    ----------
    time_s : ndarray, (K,)
        Times in seconds, never decreasing.
    values : ndarray, (C, K)
    sfreq_hz : float
    n_samples : int
        N.
    max_gap_s : float

    Returns
    -------
    ndarray, (C, N) float32

    Raises
    ------
    InputError
        If times are not finite or decrease.
    """
    check_times("time stamps", time_s)
    grid_s = np.arange(n_samples) / sfreq_hz
    return np.stack([_one_channel(time_s, row, grid_s, max_gap_s) for row in values]).astype(np.float32)


def check_times(where: object, time_s: np.ndarray) -> None:
    """Raise :class:`InputError` naming *where* unless *time_s* (K,) is finite and never decreases."""
    if not np.all(np.isfinite(time_s)):
        row = int(np.argmin(np.isfinite(time_s)))
        raise bad_input(where, f"no time in row {row + 1}", "a time in seconds in every row",
                        "fill in or drop that row")
    backward = np.flatnonzero(np.diff(time_s) < 0)
    if backward.size:
        row = int(backward[0]) + 1
        raise bad_input(where, f"{time_s[row]:g} s after {time_s[row - 1]:g} s in row {row + 1}",
                        "times that never decrease", "sort the rows by time")


def _one_channel(time_s: np.ndarray, row: np.ndarray, grid_s: np.ndarray, max_gap_s: float) -> np.ndarray:
    known = np.isfinite(row)
    if not known.any():
        return np.full(grid_s.shape, np.nan)
    stamps, known_values = time_s[known].astype(float), row[known].astype(float)
    # Stamps printed with few digits may fall a hair beside the grid time they mean.
    before = np.clip(np.searchsorted(stamps, grid_s + 1e-9, side="right") - 1, 0, None)
    after = np.clip(np.searchsorted(stamps, grid_s - 1e-9, side="left"), None, len(stamps) - 1)
    result = np.interp(grid_s, stamps, known_values)
    outside = (grid_s < stamps[0] - 1e-9) | (grid_s > stamps[-1] + 1e-9)
    result[outside | (stamps[after] - stamps[before] > max_gap_s + 1e-9)] = np.nan
    return result
