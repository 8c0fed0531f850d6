"""Ratings given while a stimulus ran, as one label per window.

Legend: n windows.
"""

from __future__ import annotations

import numpy as np

from himoe.core.recordings import Annotations

LABEL_GRID_HZ = 10.0  # continuous ratings are interpolated to this grid before averaging over a window


def continuous_label(annotations: Annotations, dimension: str, starts_s: np.ndarray, length_s: float) -> np.ndarray:
    """Mean rating (n,) over each window, from linear interpolation between time stamps.

    A window in which no time stamp lies, or whose dimension was not annotated, gets NaN.
    """
    values = annotations.values.get(dimension)
    if values is None or len(annotations.time_s) == 0:
        return np.full(len(starts_s), np.nan)
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(starts_s), np.nan)
    time_s, values = annotations.time_s[known], values[known]
    grid = np.arange(0, length_s, 1 / LABEL_GRID_HZ) + 0.5 / LABEL_GRID_HZ
    labels = np.interp(starts_s[:, None] + grid[None, :], time_s, values).mean(axis=1)
    inside = np.searchsorted(time_s, starts_s + length_s) > np.searchsorted(time_s, starts_s)
    return np.where(inside, labels, np.nan)
