"""Small raw folders that the tests of inspection, the command line and damaged files share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.io

from himoe.simulate import layouts

VIDEOS = (17, 3)
CLIPS_S = (61.0, 62.5, 60.5)
SFREQ_HZ = 64
N_SAMPLES = SFREQ_HZ * 150
BDF_STARTS_S = (10.25, 80.5)


def ratings(participants: Sequence[int], videos: Sequence[int] = VIDEOS) -> pd.DataFrame:
    """One rated trial per video for each participant."""
    rows = [{"Participant_id": number, "Trial": trial, "Experiment_id": video, "Start_time": 0,
             "Valence": 2.5 + trial, "Arousal": 1.25, "Dominance": 8.5, "Liking": 5.0 + trial, "Familiarity": np.nan}
            for number in participants for trial, video in enumerate(videos, start=1)]
    return pd.DataFrame(rows)


def dat_arrays(seed: int, n_trials: int = len(VIDEOS)) -> tuple[np.ndarray, np.ndarray]:
    """Trials of DEAP's preprocessed form, nothing lost."""
    rng = np.random.default_rng(seed)
    data = rng.normal(0, 5, (n_trials, 40, 8064))
    data[:, 36] = rng.uniform(1e5, 1e6, data[:, 36].shape)
    return data, rng.uniform(1, 9, (n_trials, 4)).round(2)


def write_dat_set(root: Path, participants: Sequence[int] = (6, 24, 31)) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A DEAP folder in layout dat; gives what was written by subject."""
    layouts.write_deap_ratings(root, ratings(participants))
    written = {}
    for number in participants:
        written[f"s{number:02d}"] = dat_arrays(number)
        layouts.write_deap_dat(root, number, *written[f"s{number:02d}"])
    return written


def bdf_signals(seed: int = 0, n_samples: int = N_SAMPLES) -> dict[str, np.ndarray]:
    """Signals for :func:`himoe.simulate.layouts.write_deap_bdf`, 150 s at 64 Hz."""
    rng = np.random.default_rng(seed)
    return {"EEG": rng.normal(0, 20, (32, n_samples)), "EXG": rng.normal(0, 50, (8, n_samples)),
            "EDA": rng.uniform(1, 12, n_samples), "RSP": rng.normal(0, 900, n_samples),
            "PPG": rng.normal(0, 3000, n_samples), "TEMP": rng.uniform(30, 35, n_samples)}


def write_bdf_set(root: Path, participants: Sequence[int] = (4, 23)) -> dict[str, dict[str, np.ndarray]]:
    """A DEAP folder in layout bdf; gives the signals by subject."""
    layouts.write_deap_ratings(root, ratings(participants))
    written = {f"s{number:02d}": bdf_signals(number) for number in participants}
    for number in participants:
        layouts.write_deap_bdf(root, number, written[f"s{number:02d}"], SFREQ_HZ, BDF_STARTS_S)
    return written


def dreamer_person(seed: int, clips_s: Sequence[float] = CLIPS_S) -> dict[str, Any]:
    """One person of :func:`himoe.simulate.layouts.write_dreamer`."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {"Age": "27", "Gender": "female"}
    for key, rate_hz, n_channels in (("eeg", 128, 14), ("ecg", 256, 2)):
        made[key] = [rng.normal(4200, 30, (round(length_s * rate_hz), n_channels)) for length_s in clips_s]
        made[f"{key}_baseline"] = [rng.normal(0, 30, (rate_hz, n_channels)) for _ in clips_s]
    for dimension in ("valence", "arousal", "dominance"):
        made[dimension] = rng.integers(1, 6, len(clips_s)).astype(float)
    return made


def rewrite_dreamer(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change DREAMER.mat in its nested form and write it again."""
    path = root / "DREAMER.mat"
    content = scipy.io.loadmat(path)["DREAMER"]
    top = {name: content[name][0, 0] for name in content.dtype.names}
    change(top)
    scipy.io.savemat(path, {"DREAMER": top})
