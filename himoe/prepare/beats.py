"""Heart beats in many short windows at once: two moving averages, no loop over windows.

After Elgendi et al. 2013, "Systolic peak detection in acceleration photoplethysmograms" (doi
10.1371/journal.pone.0076585) for pulse waves, and Elgendi 2013, "Fast QRS detection with an optimized
knowledge-based method" (doi 10.1371/journal.pone.0073557) for electrocardiograms: where the average energy over about
one wave exceeds that over about one beat, there is a wave.

Legend: R rows (a window's channel each), W samples, K beats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFRACTORY_S = 0.3
NEAR_GAP_S = 0.1  # a wave next to a gap may be cut off
INTERVAL_S = (0.3, 2.0)  # 30 to 200 beats a minute
USUAL = (0.7, 1.4)  # of the window's median interval; others come from a missed beat or one too many


@dataclass(frozen=True)
class Detector:
    """Pass band (Hz), widths of a wave and of a beat (s), offset of the threshold as a share of the mean energy."""

    band_hz: tuple[float, float]
    wave_s: float
    beat_s: float
    offset: float
    rectify: bool


DETECTORS = {"PPG": Detector((0.5, 8.0), 0.111, 0.667, 0.02, True),
             "ECG": Detector((8.0, 20.0), 0.097, 0.611, 0.08, False)}


def band_pass(data: np.ndarray, band_hz: tuple[float, float], sfreq_hz: float) -> np.ndarray:
    """Third-order Butterworth band pass along the last axis, forward and backward; cut at 0.45 of the rate."""
    from scipy import signal

    low_hz, high_hz = band_hz[0], min(band_hz[1], 0.45 * sfreq_hz)
    sections = signal.butter(3, (low_hz, high_hz), "bandpass", fs=sfreq_hz, output="sos")
    return signal.sosfiltfilt(sections, data, axis=-1, padlen=min(data.shape[-1] - 1, round(sfreq_hz)))


def find_beats(data: np.ndarray, sfreq_hz: float, detector: Detector) -> tuple[np.ndarray, np.ndarray]:
    """Beats of every row of *data* (R, W): their rows and their times in samples, (K,) each, in order.

    A pulse wave's time is that of its highest point, between samples by a parabola; a QRS complex' is the centre of
    its energy, which does not jump between its lobes. Waves that the window cuts off do not count.
    """
    from scipy.ndimage import uniform_filter1d

    filtered = band_pass(data.astype(np.float64), detector.band_hz, sfreq_hz)
    energy = (np.maximum(filtered, 0.0) if detector.rectify else filtered) ** 2
    wave, beat = (max(1, round(seconds * sfreq_hz)) for seconds in (detector.wave_s, detector.beat_s))
    threshold = uniform_filter1d(energy, beat, axis=-1, mode="nearest")
    threshold += detector.offset * energy.mean(-1, keepdims=True)
    inside = uniform_filter1d(energy, wave, axis=-1, mode="nearest") > threshold
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(np.int8), axis=-1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    whole = (ends - starts >= wave) & (starts > 0) & (ends < data.shape[1])
    rows, starts, ends = rows[whole], starts[whole], ends[whole]
    times = _summits(filtered, rows, starts, ends) if detector.rectify else _centres(energy, rows, starts, ends)
    kept = np.ones(len(rows), dtype=bool)
    kept[1:] = (np.diff(rows) > 0) | (np.diff(times) >= REFRACTORY_S * sfreq_hz)
    return rows[kept], times[kept]


def _summits(signal: np.ndarray, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The highest point of each stretch [start, end) of its row, refined by the parabola through its neighbours."""
    if len(rows) == 0:
        return np.zeros(0)
    width = int((ends - starts).max())
    places = np.minimum(starts[:, None] + np.arange(width), ends[:, None] - 1)
    best = places[np.arange(len(rows)), signal[rows[:, None], places].argmax(1)]
    best = np.clip(best, 1, signal.shape[1] - 2)
    before, here, after = (signal[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    return best + np.clip(shift, -0.5, 0.5)


def _centres(energy: np.ndarray, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The centre of the energy in each stretch [start, end) of its row."""
    def total(values: np.ndarray) -> np.ndarray:
        sums = np.concatenate([np.zeros((len(values), 1)), values.cumsum(-1)], axis=1)
        return sums[rows, ends] - sums[rows, starts]

    return total(energy * np.arange(energy.shape[1])) / np.maximum(total(energy), np.finfo(float).tiny)


def rhythm(data: np.ndarray, known: np.ndarray, sfreq_hz: float, detector: Detector) -> tuple[np.ndarray, np.ndarray]:
    """Heart rate (1/min) and RMSSD (s) of rows *data* (R, W), gaps bridged where not *known* (R, W); (R,) each.

    Only intervals between two beats without a gap between them count, and of those the ones near the row's median.
    The rate needs one, the RMSSD two in a row; NaN without.
    """
    from scipy.ndimage import minimum_filter1d

    sure = known if known.all() else minimum_filter1d(known, 2 * round(NEAR_GAP_S * sfreq_hz) + 1, axis=-1)
    rows, times = find_beats(data, sfreq_hz, detector)
    seen = sure[rows, np.round(times).astype(int)]
    rows, times = rows[seen], times[seen]
    gaps = np.concatenate([np.zeros((len(data), 1), int), np.cumsum(~known, axis=-1)], axis=1)
    before = gaps[rows, np.round(times).astype(int)]
    interval_s = np.diff(times) / sfreq_hz
    row = rows[1:]
    good = (np.diff(rows) == 0) & (np.diff(before) == 0)
    good &= (interval_s >= INTERVAL_S[0]) & (interval_s <= INTERVAL_S[1])
    usual_s = _medians(interval_s[good], row[good], len(data))[row]
    good &= (interval_s >= USUAL[0] * usual_s) & (interval_s <= USUAL[1] * usual_s)
    mean_s = _means(interval_s[good], row[good], len(data))
    pairs = good[1:] & good[:-1] & (np.diff(row) == 0)
    squares = _means((np.diff(interval_s) ** 2)[pairs], row[1:][pairs], len(data))
    return 60.0 / mean_s, np.sqrt(squares)


def _means(values: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Mean of the values of each row; NaN for a row without any."""
    count = np.bincount(rows, minlength=n_rows)
    return np.where(count > 0, np.bincount(rows, values, n_rows) / np.maximum(count, 1), np.nan)


def _medians(values: np.ndarray, rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Median (of an even number: the lower middle one) of the values of each row; NaN for a row without any."""
    ordered = values[np.lexsort((values, rows))]
    count = np.bincount(rows, minlength=n_rows)
    first = np.cumsum(count) - count
    middle = np.minimum(first + np.maximum(count - 1, 0) // 2, max(len(values) - 1, 0))
    return np.where(count > 0, ordered[middle], np.nan) if len(values) else np.full(n_rows, np.nan)
