"""Predictions for the tests of statistics: people with trials of unequal number, trials of unequal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

DIMENSIONS = ("valence", "arousal")
TRIALS = (5, 3, 4)  # of the three people


def predictions(kind: str = "regression", seed: int = 1, seeds: Sequence[int] = (0, 1, 2), spread: float = 1.0,
                trials: Sequence[int] = TRIALS, dimensions: Sequence[str] = DIMENSIONS) -> pd.DataFrame:
    """Rows as in ``predictions.parquet``, in mixed order; the truth does not depend on *seed*, some labels are missing.

    *kind*: regression, two (labels 0 or 1, probabilities) or four (class numbers).
    """
    truth, noise = np.random.default_rng(0), np.random.default_rng(seed)
    rows = []
    for person, count in enumerate(trials):
        for trial in range(count):
            level = truth.normal(5, 1.5, len(dimensions))
            for window in range(int(truth.integers(3, 8))):
                y = level + truth.normal(0, 0.8, len(dimensions))
                lost = truth.uniform(size=len(dimensions)) < 0.1
                for key in seeds:
                    p = 4 + 0.4 * y + noise.normal(0, spread, len(dimensions))
                    for d, name in enumerate(dimensions):
                        values = {"regression": (y[d], p[d]),
                                  "two": (float(y[d] > 5), float(np.clip((p[d] - 3) / 6, 0, 1))),
                                  "four": (float(np.clip(y[d] // 2, 0, 3)), float(np.clip((p[d] - 2) // 2, 0, 3)))}
                        rows.append((trial % 2 + 1, key, 0.0, f"s{person}", f"t{trial}", window, name,
                                     np.nan if lost[d] else values[kind][0], values[kind][1]))
    frame = pd.DataFrame(rows, columns=["fold", "seed", "missing_rate", "subject", "trial", "window", "dimension",
                                        "y_true", "y_pred"])
    return frame.sample(frac=1, random_state=seed).reset_index(drop=True)


def trial_ids(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """(subject, trial) in sorted order, as :func:`himoe.scoring.statistics.arrange` numbers them."""
    return sorted(set(zip(frame["subject"], frame["trial"], strict=True)))
