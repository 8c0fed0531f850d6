"""A stretch of a signal before and after filtering, and its spectrum, small enough to draw.

Legend: C channels, N samples, F frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from himoe.core.recordings import Signal
from himoe.prepare.pieces import LONG_S
from himoe.prepare.signals import fill_gaps

DIGITS = 4  # significant
LINE_POINTS = 600
SPECTRUM_POINTS = 200
SEGMENT_S = 20.0  # longest segment of a spectrum: 0.05 Hz
MAX_LINES = 3
HOUR_S = 3600.0
# Front to back; the first that a cap has stands for its region.
EEG_PLACES = (("FP1", "AF3", "FZ"), ("CZ", "C3", "FC5"), ("PZ", "P3", "P7"), ("OZ", "O1"))


def example(before: Signal, after: Signal | None, start_s: float, length_s: float) -> dict[str, Any]:
    """Lines and spectra of one modality of a trial, before and after filtering.

    Parameters
    ----------
    before, after : Signal
        The trial, (C, N) each at its own rate, starting at 0; *after* is None where nothing was kept.
    start_s, length_s : float
        The stretch to show as lines, in seconds from the trial's start. Spectra come from the whole trial, of
        one above ``LONG_S`` from the hour in its middle.

    Returns
    -------
    dict
        ``before`` and ``after``: ``sfreq_hz``, ``unit`` and ``channels``, each with ``name``; ``time_s`` and
        ``values`` (about their median ``offset``), at most ``LINE_POINTS`` each; ``frequency_hz`` and ``power_db``
        (10 log10 of unit²/Hz). Plain numbers of four significant digits, None for a gap.
    """
    names = chosen_channels(before.ch_names)
    return {"start_s": significant(start_s), "length_s": significant(length_s),
            "before": _side(before, names, start_s, length_s),
            "after": None if after is None else _side(after, names, start_s, length_s)}


def chosen_channels(ch_names: Sequence[str]) -> tuple[str, ...]:
    """Channels to show: one a region of an EEG cap, else the first three; in the order of *ch_names*' regions."""
    upper = {name.upper(): name for name in reversed(ch_names)}
    places = [next((upper[name] for name in region if name in upper), None) for region in EEG_PLACES]
    found = tuple(name for name in places if name is not None)
    return found if len(found) > 1 else tuple(ch_names[:MAX_LINES])


def _side(signal: Signal, names: Sequence[str], start_s: float, length_s: float) -> dict[str, Any]:
    shown = signal.cut(start_s, length_s)
    channels = []
    for name in names:
        if name not in signal.ch_names:
            continue
        row = signal.ch_names.index(name)
        values = shown.data[row].astype(np.float64)
        known = values[np.isfinite(values)]
        offset = float(np.median(known)) if known.size else None
        picked = extremes(values, LINE_POINTS)
        frequencies, power = spectrum(_middle(signal, row), signal.sfreq_hz, min(length_s, SEGMENT_S))
        channels.append({
            "name": name, "offset": significant(offset),
            "time_s": significant(start_s + picked / signal.sfreq_hz),
            "values": significant(values[picked] - (offset or 0.0)),
            "frequency_hz": significant(frequencies), "power_db": significant(power)})
    return {"sfreq_hz": significant(signal.sfreq_hz), "unit": signal.unit, "channels": channels}


def _middle(signal: Signal, row: int) -> np.ndarray:
    """A channel (N,), or of many hours the one in the middle."""
    if signal.duration_s <= LONG_S:
        return signal.data[row]
    first = round((signal.duration_s - HOUR_S) / 2 * signal.sfreq_hz)
    return signal.data[row, first:first + round(HOUR_S * signal.sfreq_hz)]


def extremes(values: np.ndarray, points: int) -> np.ndarray:
    """Indices (K ≤ points, increasing) that keep lowest and highest value of every bin of (N,): spikes stay.

    A bin of NaN keeps its first index, so that a gap stays a gap.
    """
    if values.size <= points:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, points // 2 + 1).astype(int)
    return _extremes_between(values, edges)


def _extremes_between(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    picked: set[int] = set()
    for first, last in pairwise(edges):
        part = values[first:last]
        if np.isnan(part).all():
            picked.add(int(first))
        else:
            picked |= {int(first + np.nanargmin(part)), int(first + np.nanargmax(part))}
    return np.array(sorted(picked), dtype=np.int64)


def spectrum(values: np.ndarray, sfreq_hz: float, segment_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Welch power density of (N,) in dB without 0 Hz, thinned on a log axis to lowest and highest of each bin.

    Empty where over half is lost or nothing varies. Frequencies in Hz, 10 log10 of unit²/Hz.
    """
    from scipy.signal import welch

    nperseg = min(values.size, round(segment_s * sfreq_hz))
    nothing = np.empty(0)
    if nperseg < 4 or np.isnan(values).mean() > 0.5:
        return nothing, nothing
    filled = fill_gaps(values[np.newaxis].astype(np.float64))[0]
    frequencies, power = welch(filled, sfreq_hz, nperseg=nperseg)
    keep = (frequencies > 0) & (power > 0)
    frequencies, power = frequencies[keep], 10 * np.log10(power[keep])
    if frequencies.size <= SPECTRUM_POINTS:
        return frequencies, power
    wanted = np.geomspace(frequencies[0], frequencies[-1], SPECTRUM_POINTS // 2 + 1)
    edges = np.unique(np.searchsorted(frequencies, wanted))
    edges[-1] = frequencies.size
    picked = _extremes_between(power, edges)
    return frequencies[picked], power[picked]


def significant(value: Any) -> Any:
    """*value* with its floats rounded to four significant digits and those that are not finite as None."""
    if isinstance(value, dict):
        return {key: significant(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [significant(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
