"""Factories that tests share: small sets of windows in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from himoe.windows import ShardMeta, write_shard

SHAPES = {"EEG": (3, 64, 32.0), "EDA": (1, 16, 4.0)}  # channels, samples, rate


def make_meta(shapes: dict[str, tuple[int, int, float]] = SHAPES, **changes: object) -> ShardMeta:
    """A description of a small simulated set."""
    values: dict = {
        "set": "toy", "provenance": {"set": "toy", "title": "Toy", "source": "simulate", "simulated": True,
                                     "label": "Toy (simulated)"},
        "modalities": {m: {"channels": [f"{m}{i}" for i in range(c)], "samples": w, "sfreq_hz": r, "unit": "a.u."}
                       for m, (c, w, r) in shapes.items()},
        "dimensions": ("valence", "arousal"), "scale": (1.0, 9.0), "threshold": 5.0, "length_s": 4.0, "step_s": 2.0,
        "label_source": "continuous",
    }
    return ShardMeta(**{**values, **changes})


def make_index(subjects: int = 4, trials: int = 6, windows: int = 5, seed: int = 0) -> pd.DataFrame:
    """Ids and labels of a small set: every trial's label drifts around a level of its own."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(subjects):
        for t in range(trials):
            level = rng.uniform(2, 8, 2)
            for w in range(windows):
                rows.append((f"s{s:02d}", f"v{t:02d}", f"v{t:02d}", w, 2.0 * w, *(level + 0.2 * w)))
    return pd.DataFrame(rows, columns=["subject", "trial", "stimulus", "window", "start_s", "valence", "arousal"])


@pytest.fixture
def shard_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a set whose EEG amplitude follows valence and whose EDA level follows arousal; returns the folder."""

    def build(subjects: int = 4, trials: int = 6, windows: int = 5, seed: int = 0, effect: float = 1.0,
              fingerprint: float = 0.0, reverse: bool = False) -> Path:
        index = make_index(subjects, trials, windows, seed)
        rng = np.random.default_rng(seed + 1)
        n = len(index)
        trial_code = index.groupby(["subject", "trial"]).ngroup().to_numpy()
        prints = rng.standard_normal((trial_code.max() + 1, 3, 1)) * fingerprint
        gain = 1 + effect * (index["valence"].to_numpy() - 5) / 8
        eeg = rng.standard_normal((n, 3, 64)) * gain[:, None, None] + prints[trial_code]
        eda = 0.1 * rng.standard_normal((n, 1, 16)) + effect * (index["arousal"].to_numpy() - 5)[:, None, None]
        eda = eda + prints[trial_code][:, :1]
        arrays = {"EEG": eeg.astype(np.float32), "EDA": eda.astype(np.float32)}
        folder = tmp_path / f"windows-{seed}-{int(reverse)}"
        names = sorted(index["subject"].unique(), reverse=reverse)
        for name in names:
            rows = np.flatnonzero(index["subject"] == name)
            rows = rows[::-1] if reverse else rows
            part = index.iloc[rows].reset_index(drop=True).assign(completeness_EEG=np.float32(1),
                                                                  completeness_EDA=np.float32(1))
            write_shard(folder / f"{name}.parquet", part, {m: a[rows] for m, a in arrays.items()}, make_meta())
        return folder

    return build
