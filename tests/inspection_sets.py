"""Small raw folders that the tests of inspection, the command line and damaged files share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.simulate import layouts

VIDEOS = (17, 3)
CLIPS_S = (61.0, 62.5, 60.5)
SFREQ_HZ = 64
N_SAMPLES = SFREQ_HZ * 150
BDF_STARTS_S = (10.25, 80.5)


def ratings(participants: Sequence[int]) -> pd.DataFrame:
    """Two rated trials a participant."""
    rows = [{"Participant_id": number, "Trial": trial, "Experiment_id": video, "Start_time": 0,
             "Valence": 2.5 + trial, "Arousal": 1.25, "Dominance": 8.5, "Liking": 5.0 + trial, "Familiarity": np.nan}
            for number in participants for trial, video in enumerate(VIDEOS, start=1)]
    return pd.DataFrame(rows)


def dat_arrays(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two trials of DEAP's preprocessed form, nothing lost."""
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 5, (len(VIDEOS), 40, 8064))
    data[:, 36] = rng.uniform(1e5, 1e6, data[:, 36].shape)
    return data, rng.uniform(1, 9, (len(VIDEOS), 4)).round(2)


def write_dat_set(root: Path, participants: Sequence[int] = (6, 24, 31)) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A DEAP folder in layout dat; gives what was written by subject."""
    layouts.write_deap_ratings(root, ratings(participants))
    written = {}
    for number in participants:
        written[f"s{number:02d}"] = dat_arrays(number)
        layouts.write_deap_dat(root, number, *written[f"s{number:02d}"])
    return written


def bdf_signals(seed: int = 0) -> dict[str, np.ndarray]:
    """Signals for :func:`himoe.simulate.layouts.write_deap_bdf`, 150 s at 64 Hz."""
    rng = np.random.default_rng(seed)
    return {"EEG": rng.normal(0, 20, (32, N_SAMPLES)), "EXG": rng.normal(0, 50, (8, N_SAMPLES)),
            "EDA": rng.uniform(1, 12, N_SAMPLES), "RSP": rng.normal(0, 900, N_SAMPLES),
            "PPG": rng.normal(0, 3000, N_SAMPLES), "TEMP": rng.uniform(30, 35, N_SAMPLES)}


def write_bdf_set(root: Path, participants: Sequence[int] = (4, 23)) -> dict[str, dict[str, np.ndarray]]:
    """A DEAP folder in layout bdf; gives the signals by subject."""
    layouts.write_deap_ratings(root, ratings(participants))
    written = {f"s{number:02d}": bdf_signals(number) for number in participants}
    for number in participants:
        layouts.write_deap_bdf(root, number, written[f"s{number:02d}"], SFREQ_HZ, BDF_STARTS_S)
    return written


def dreamer_person(seed: int) -> dict[str, Any]:
    """One person of :func:`himoe.simulate.layouts.write_dreamer`, three clips."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {"Age": "27", "Gender": "female"}
    for key, rate_hz, n_channels in (("eeg", 128, 14), ("ecg", 256, 2)):
        made[key] = [rng.normal(4200, 30, (round(length_s * rate_hz), n_channels)) for length_s in CLIPS_S]
        made[f"{key}_baseline"] = [rng.normal(0, 30, (rate_hz, n_channels)) for _ in CLIPS_S]
    for dimension in ("valence", "arousal", "dominance"):
        made[dimension] = rng.integers(1, 6, len(CLIPS_S)).astype(float)
    return made
