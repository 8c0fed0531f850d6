"""How late each sensor answers, found from rated trials: a ridge regression tried at every lag.

A sensor's lag is the time by which its features follow the ratings. For every candidate the ratings are read that much
earlier, a ridge regression from the sensor's features to them is fitted to all trials but one, and predicts that one;
the lag at which the left-out trials are predicted best is the estimate. Two regressions are tried: on everybody's other
trials, which a faint sensor needs, and on the person's own, which a sensor needs that speaks in each person's own way.
Trials are centred first, so that only what happens inside them counts. The estimate holds all that comes between:
the body's own delay (skin conductance answers seconds later), the length of a filter's response, and the clock.

Legend: n windows, P features, D dimensions, G lags, R trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from himoe.prepare.windows import own_start_s

RIDGE = {"everybody": 100.0, "own": 30.0}  # of features with an SD of 1
OWN_BETTER = 1.25  # the person's own trials are believed where they predict so much better: everybody's are more
LARGEST = 5.0  # SDs
FEWEST_ROWS = 6  # of a trial
BOOTSTRAPS = 200
LEVEL = 0.9  # of the interval
SMOOTH = 3  # half steps to either side: the peak of a gain is as wide as the ratings correlate with themselves in time
CLEAR_S = 2.0  # an interval whose half is longer says that the sensor cannot be placed


@dataclass(frozen=True)
class LagScan:
    """What was found for one sensor.

    ``lag_s`` with its interval ``low_s``, ``high_s`` (resampling people and their trials); ``lags_s`` (G,) and ``gain``
    (G,), the squared correlation of left-out predictions with ratings, below 0 where it is negative; ``trials`` used;
    ``by``: predicted from the other trials of ``everybody`` or the person's ``own``.
    """

    modality: str
    lag_s: float
    low_s: float
    high_s: float
    lags_s: np.ndarray
    gain: np.ndarray
    trials: int
    by: str = "everybody"

    @property
    def clear(self) -> bool:
        """Whether the sensor says enough of the ratings to be placed."""
        return bool(np.isfinite(self.lag_s) and self.high_s - self.low_s <= 2 * CLEAR_S)


def scan_lags(index: pd.DataFrame, features: Mapping[str, np.ndarray], labels: np.ndarray, max_lag_s: float,
              step_s: float, seed: int = 0, bootstraps: int = BOOTSTRAPS) -> dict[str, LagScan]:
    """Scan every sensor.

    Parameters
    ----------
    index : DataFrame, n rows
        ``subject``, ``trial``, ``start_s``; the rows of a trial in order of time. ``stamp_s_<modality>``, where it
        stands there, is when the sensor's own clock lets its windows begin: the lag is what is left beside it.
    features : {modality: array (n, P)}
        NaN throughout where a window is absent.
    labels : ndarray (n, D)
        Ratings over time; NaN = unknown. With one rating for a whole trial nothing moves, and no lag can be found.
    max_lag_s : float
        Lags from -max to +max are tried, every half step.
    step_s : float
        Time between windows.
    seed : int
        Of the resampling.
    bootstraps : int
        Resamplings for the interval; 0 = no interval (NaN).

    Returns
    -------
    {modality: LagScan}
        ``lag_s`` NaN where no trial can be used.
    """
    count = round(2 * max_lag_s / step_s)
    lags_s = np.arange(-count, count + 1) * step_s / 2
    subject = index["subject"].to_numpy(str)
    trials = [(subject[rows[0]], rows) for rows in
              map(np.asarray, index.groupby(["subject", "trial"], sort=True).indices.values())]
    start_s = index["start_s"].to_numpy()
    return {m: _scan(m, Series(_standard(values, trials), own_start_s(index, m), labels, start_s), trials, lags_s, seed,
                     bootstraps) for m, values in features.items()}


@dataclass(frozen=True)
class Series:
    """A sensor's features (n, P) with their own times (n,), and ratings (n, D) with theirs (n,), in seconds."""

    values: np.ndarray
    time_s: np.ndarray
    labels: np.ndarray
    rated_s: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Series:
        return Series(self.values[rows], self.time_s[rows], self.labels[rows], self.rated_s[rows])


def _standard(values: np.ndarray, trials: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Features (n, P) as deviations from their trial's mean, in the person's SDs."""
    values = np.array(values, dtype=np.float64)
    for _, rows in trials:
        part = values[rows]
        known = np.isfinite(part)
        mean = np.where(known, part, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        values[rows] = part - mean
    for person in {subject for subject, _ in trials}:
        rows = np.concatenate([rows for subject, rows in trials if subject == person])
        part = values[rows]
        known = np.isfinite(part)
        spread = np.sqrt((np.where(known, part, 0.0)**2).sum(0) / np.maximum(known.sum(0), 1))
        values[rows] = np.clip(part / np.where(spread > 1e-9, spread, 1.0), -LARGEST, LARGEST)
    return values


def _scan(modality: str, series: Series, trials: Sequence[tuple[str, np.ndarray]], lags_s: np.ndarray,
          seed: int, bootstraps: int) -> LagScan:
    both = np.stack([_left_out(series, trials, lag_s) for lag_s in lags_s], axis=1)  # (2, G, R, D, 3)
    used = np.isfinite(both).all((0, 1, 3, 4))
    if not used.any():
        return LagScan(modality, np.nan, np.nan, np.nan, lags_s, np.full(len(lags_s), np.nan), 0)
    people = np.array([subject for subject, _ in trials])
    groups = [np.flatnonzero(used & (people == p)) for p in np.unique(people[used])]
    gains = [_gain(sums, groups) for sums in both]
    own = int(gains[1].max() > OWN_BETTER * gains[0].max())
    rng = np.random.default_rng(seed)
    places = [_peak(lags_s, _gain(both[own], _resampled(people, used, rng))) for _ in range(bootstraps)]
    low_s, high_s = np.quantile(places or [np.nan], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return LagScan(modality, _peak(lags_s, gains[own]), float(low_s), float(high_s), lags_s, gains[own],
                   int(used.sum()), list(RIDGE)[own])


def _resampled(people: np.ndarray, used: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Trials of people drawn with replacement, each with trials drawn from that person's."""
    names = np.unique(people[used])
    return [rng.choice(rows, len(rows)) for rows in
            (np.flatnonzero(used & (people == name)) for name in rng.choice(names, len(names)))]


def _left_out(series: Series, trials: Sequence[tuple[str, np.ndarray]], lag_s: float) -> np.ndarray:
    """(2, R, D, 3) of each trial, predicted from everybody's others and from the person's: products pred·y, pred², y².

    NaN = the trial cannot be used: too few rows, or no other of the person.
    """
    found = np.full((2, len(trials), series.labels.shape[1], 3), np.nan)
    pairs = {number: pair for number, (_, rows) in enumerate(trials)
             if (pair := _pair(series[rows], lag_s)) is not None}
    people = np.array([trials[number][0] for number in pairs])
    numbers = [number for number, person in zip(pairs, people, strict=True) if (people == person).sum() > 1]
    if not numbers:
        return found
    person = np.array([trials[number][0] for number in numbers])
    squares = np.stack([pairs[number][0].T @ pairs[number][0] for number in numbers])
    products = np.stack([pairs[number][0].T @ pairs[number][1] for number in numbers])
    of_person = (person[:, None] == person[None]).astype(float)
    for place, (ridge, together) in enumerate(zip(RIDGE.values(), (np.ones_like(of_person), of_person), strict=True)):
        others = [np.tensordot(together, sums, 1) - sums for sums in (squares, products)]
        weights = np.linalg.solve(others[0] + ridge * np.eye(squares.shape[1]), others[1])
        for number, weight in zip(numbers, weights, strict=True):
            x, y = pairs[number]
            predicted = x @ weight
            found[place, number] = np.stack([(predicted * y).sum(0), (predicted**2).sum(0), (y**2).sum(0)], axis=-1)
    return found


def _pair(trial: Series, lag_s: float) -> tuple[np.ndarray, np.ndarray] | None:
    """A trial's features and the ratings *lag_s* earlier, both centred; None where too few rows have both."""
    values, labels = trial.values, trial.labels
    rated = np.isfinite(labels).all(1)
    if rated.sum() < FEWEST_ROWS:
        return None
    time_s = trial.time_s - lag_s
    known_s = trial.rated_s[rated]
    rows = np.isfinite(values).all(1) & (time_s >= known_s[0] - 1e-9) & (time_s <= known_s[-1] + 1e-9)
    if rows.sum() < FEWEST_ROWS:
        return None
    read = np.stack([np.interp(time_s[rows], known_s, labels[rated, d]) for d in range(labels.shape[1])], axis=1)
    chosen, read = values[rows] - values[rows].mean(0), read - read.mean(0)
    return (chosen, read) if np.abs(read).max() > 1e-9 else None


def _gain(sums: np.ndarray, groups: Sequence[np.ndarray]) -> np.ndarray:
    """(G,) signed squared correlation, mean over people and dimensions."""
    gains = []
    for rows in groups:
        product, predicted, rated = np.moveaxis(sums[:, rows].sum(1), -1, 0)  # (G, D) each
        gains.append((np.sign(product) * product**2 / np.maximum(predicted * rated, 1e-12)).mean(1))
    return np.mean(gains, axis=0)


def _peak(lags_s: np.ndarray, gain: np.ndarray) -> float:
    """Where the smoothed *gain* is highest, between the lags by a parabola through three neighbours."""
    kernel = np.bartlett(2 * SMOOTH + 3)[1:-1]
    gain = np.convolve(np.pad(gain, SMOOTH, mode="edge"), kernel / kernel.sum(), "valid")
    best = int(np.argmax(gain))
    if not 0 < best < len(gain) - 1:
        return float(lags_s[best])
    before, at, after = gain[best - 1:best + 2]
    bend = before - 2 * at + after
    return float(lags_s[best] + (0.5 * (before - after) / bend if bend < 0 else 0.0) * (lags_s[1] - lags_s[0]))
