"""How late each sensor of a data set answers, where nobody knows the truth: behind the ratings, and behind a sensor.

Where ratings move within trials, the scan of :mod:`himoe.prepare.lags` is made as it is. Everywhere the same scan is
made with a sensor's features in the place of the ratings: another sensor of the same person predicts them at every lag.

What all trials of a person have in common, as a start from rest, would also give a peak. So each scan is made again
with trials swapped: the ratings of one beside the sensors of another, at the same time from the start. A sensor that
does not predict better than in each of 19 such scans (p = 0.05) cannot be placed.

Legend: n windows, P features, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.prepare.lags import LARGEST, LagScan, scan_lags
from himoe.prepare.windowset import Windows

RATINGS = "ratings"
REFERENCES = ("EEG", "ECG", "PPG", "HEAD")  # the first of these that a set has; else its first sensor
SWAPS = 19  # how often trials are swapped


def set_lags(windows: Windows, max_lag_s: float, reference: str | None = None, seed: int = 0,
             swaps: int = SWAPS) -> pd.DataFrame:
    """Lags of every sensor behind the ratings, where they move, and behind one sensor.

    Parameters
    ----------
    windows : Windows
    max_lag_s : float
        Lags from -max to +max are tried, every half step.
    reference : str, optional
        The sensor that others are placed against; default the first of ``REFERENCES`` that is there.
    seed : int
        Of the resampling of people and their trials, and of the swaps.
    swaps : int
        How often trials are swapped; 0: ``swapped`` is NaN, and nothing is placed.

    Returns
    -------
    DataFrame
        One row per sensor and what it is placed ``behind``: ``modality, behind, lag_s, low_s, high_s`` (90 %, in s;
        NaN where no trial can be used), ``gain`` (squared correlation of left-out trials with what is predicted for
        them, at its peak), ``swapped`` (the largest of these with trials swapped), ``placed``
        (the interval is at most 4 s wide, ends within the lags that were tried, and ``gain`` is above ``swapped``),
        ``trials`` used.

    Raises
    ------
    InputError
        If there is no such sensor, or only one, and ratings that do not move.
    """
    features = {m: known_features(windows, m) for m in windows.modalities}
    chosen = reference_of(windows, reference)
    moves = windows.meta.label_source == "continuous"
    if not moves and len(features) < 2:
        raise bad_input(f"lags of {windows.meta.set}", f"{chosen} alone, and one rating a trial",
                        "ratings over time, or a second sensor", "choose another data set")
    rows = []
    if moves:
        rows += list(_rows(windows, features, windows.labels, RATINGS, max_lag_s, seed, swaps))
    if len(features) > 1:
        target = deviations(windows.index, features[chosen])
        others = {m: values for m, values in features.items() if m != chosen}
        rows += list(_rows(windows, others, target, chosen, max_lag_s, seed, swaps))
    return pd.DataFrame(rows)


def reference_of(windows: Windows, asked: str | None) -> str:
    """The sensor that others are placed against."""
    if asked is None:
        return next((m for m in REFERENCES if m in windows.modalities), windows.modalities[0])
    if asked not in windows.modalities:
        raise bad_input("reference", repr(asked), f"one of {' '.join(windows.modalities)}", "correct the name")
    return asked


def known_features(windows: Windows, modality: str) -> np.ndarray:
    """(n, P): a feature that a window does not say is its trial's mean; NaN throughout where it says none."""
    values = pd.DataFrame(windows.features(modality)[..., 0], dtype=np.float64)
    means = values.groupby(_trial(windows.index)).transform("mean")
    some = values.notna().any(axis=1)
    return values.fillna(means).fillna(0.0).where(some, np.nan).to_numpy()


def deviations(index: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Features (n, P) as deviations from their trial's mean in the person's SDs, at most ``LARGEST``."""
    frame = pd.DataFrame(values)
    apart = frame - frame.groupby(_trial(index)).transform("mean")
    spread = (apart**2).groupby(index["subject"].to_numpy(str)).transform("mean") ** 0.5
    return (apart / spread.where(spread > 1e-9, 1.0)).clip(-LARGEST, LARGEST).to_numpy()


def swapped(index: pd.DataFrame, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """*labels* (n, D) with each trial's from another one of the person, at the same time from the start.

    A person's trials are put in a random ring; each takes what the next one has. NaN after the end of a shorter one,
    and throughout where there is no other.
    """
    found = np.full(labels.shape, np.nan)
    for own in map(np.asarray, index.groupby("subject", sort=True).indices.values()):
        trials = [own[np.asarray(rows)] for rows in index.iloc[own].groupby("trial", sort=True).indices.values()]
        ring = rng.permutation(len(trials))
        for here, there in zip(ring, np.roll(ring, 1), strict=True):
            if here != there:
                count = min(len(trials[here]), len(trials[there]))
                found[trials[here][:count]] = labels[trials[there][:count]]
    return found


def _trial(index: pd.DataFrame) -> list[np.ndarray]:
    return [index["subject"].to_numpy(str), index["trial"].to_numpy(str)]


def _rows(windows: Windows, features: Mapping[str, np.ndarray], labels: np.ndarray, behind: str, max_lag_s: float,
          seed: int, swaps: int) -> Iterator[dict[str, object]]:
    index, step_s, rng = windows.index, windows.meta.step_s, np.random.default_rng(seed)
    others = [scan_lags(index, features, swapped(index, labels, rng), max_lag_s, step_s, seed) for _ in range(swaps)]
    for m, found in scan_lags(index, features, labels, max_lag_s, step_s, seed).items():
        gain, chance = _best(found), max((_best(one[m]) for one in others), default=np.nan)
        inside = found.lags_s[0] < found.low_s and found.high_s < found.lags_s[-1]
        yield {"modality": m, "behind": behind, "lag_s": found.lag_s, "low_s": found.low_s, "high_s": found.high_s,
               "gain": gain, "swapped": chance, "placed": bool(found.clear and inside and gain > chance),
               "trials": found.trials}


def _best(found: LagScan) -> float:
    return float(np.max(found.gain))
