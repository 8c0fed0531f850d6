"""Target rates and pass bands: the usual ones by modality, and what a recording's own rate can hold of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from himoe.core.params import FilterParams

FASTEST_HZ = 32.0  # of a modality that is not named below
HELD = 0.375  # of a rate: the upper edge of a band that this rate cannot hold as it is


@functools.cache
def usual_filters() -> Mapping[str, FilterParams]:
    """What physiology asks for, by modality; params.yaml has the same table under ``preprocess.usual``.

    Made when they are asked for: checking parameters loads pydantic, which ``himoe --help`` does not wait for.
    """
    return {
        "EEG": FilterParams(128, (4, 45)),
        "EOG": FilterParams(32, (0.1, 12)),
        "EMG": FilterParams(128, (20, 60)),
        "EDA": FilterParams(8, (None, 2)),
        "RSP": FilterParams(16, (0.05, 2)),
        "PPG": FilterParams(32, (0.5, 8)),
        "TEMP": FilterParams(4, (None, 1)),
        "ECG": FilterParams(128, (0.5, 40)),
    }


def fitting_filter(asked: FilterParams, recorded_hz: float, step_s: float) -> FilterParams:
    """Rate and band that recordings at *recorded_hz* can hold: at most what is *asked*.

    The rate gives a step of *step_s* seconds a whole number of samples. A band that the rate cannot hold ends at
    ``HELD`` of it.
    """
    grid_hz = 1 / step_s
    target_hz = min(asked.sfreq_hz or FASTEST_HZ, recorded_hz)
    target_hz = max(grid_hz, math.floor(target_hz / grid_hz + 1e-9) * grid_hz)
    low, high = asked.band_hz
    if high is not None and high >= min(recorded_hz, target_hz) / 2:
        high = HELD * min(recorded_hz, target_hz)
        low = low if low is not None and low < high else None
    elif low is not None and low >= recorded_hz / 2:
        low = None
    return FilterParams(target_hz, (low, high))
