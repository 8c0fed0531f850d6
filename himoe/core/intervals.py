"""The ends of a prediction interval.

Legend: n windows.
"""

from __future__ import annotations

import numpy as np


def ends(predicted: np.ndarray, half_width: np.ndarray, scale: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Low and high end (n,) of the intervals of *half_width* (n,) about *predicted* (n,), inside the rating scale."""
    return np.maximum(predicted - half_width, scale[0]), np.minimum(predicted + half_width, scale[1])
