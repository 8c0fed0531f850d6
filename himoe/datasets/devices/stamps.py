"""Even times for samples that were stamped when their packet arrived.

A headset samples at a steady rate and sends packets over the air; software stamps what it gets, in bursts. The stamps
say when, the steady rate says how far apart. As pyxdf does for LSL: a straight line through the stamps between breaks.

Legend: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from himoe.core.errors import bad_input

BREAK_S, BREAK_STEPS = 1.0, 8.0  # a longer step (in seconds, and in usual steps) is a break in the recording
NOMINAL = 0.1  # a measured rate so near a known one is that one
SURE_S, SURE = 60.0, 0.01  # a shorter stretch does not tell a rate so far off the known one from bursts
BACK_S = 0.1  # packets may change places, a clock that was set back may not
STRAY_S = 0.5


def even_times(where: object, stamps_s: np.ndarray, known_hz: Sequence[float] = (),
               numbers: np.ndarray | None = None) -> tuple[float, np.ndarray, float, list[str]]:
    """The first sample's time, times (N,) from it on at even steps between breaks, the rate in Hz, and notes.

    Parameters
    ----------
    where : object
        File, for messages.
    stamps_s : ndarray, (N,)
    known_hz : sequence of float
        Rates that the device can have, where known.
    numbers : ndarray, (N,) int, optional
        Numbers of the samples, where some are known to be lost; default: one after the other.

    Raises
    ------
    InputError
        If there are fewer than two samples, no time, or the clock runs backwards.
    """
    if len(stamps_s) < 2 or not np.isfinite(stamps_s).all():
        raise bad_input(where, f"{len(stamps_s)} samples, {int((~np.isfinite(stamps_s)).sum())} without a time",
                        "two or more, each with a time", "see whether the recording was cut off")
    numbers = np.arange(len(stamps_s)) if numbers is None else numbers
    first_s = float(stamps_s[0])
    stamps_s = stamps_s - first_s  # seconds since 1970 leave few digits
    steps_s = np.diff(stamps_s)
    if steps_s.min() < -BACK_S:
        row = int(np.argmin(steps_s))
        raise bad_input(where, f"a clock that runs back by {-steps_s[row]:.3f} s after sample {row + 1}",
                        "times that go on", "split the file there")
    usual_s = (stamps_s[-1] - stamps_s[0]) / max(numbers[-1] - numbers[0], 1)
    broken = steps_s > np.maximum(BREAK_S, BREAK_STEPS * usual_s) + usual_s * (np.diff(numbers) - 1)
    edges = np.concatenate(([0], np.flatnonzero(broken) + 1, [len(stamps_s)]))
    rate_hz = _rate(stamps_s, numbers, list(pairwise(edges)), known_hz)
    times_s, strays_s = np.empty(len(stamps_s)), 0.0
    for begin, end in pairwise(edges):
        times_s[begin:end] = _line(stamps_s[begin:end], numbers[begin:end], rate_hz)
        strays_s = max(strays_s, float(np.abs(times_s[begin:end] - stamps_s[begin:end]).max()))
    notes = [f"{where}: its time stamps stray from even steps at {rate_hz:.4g} Hz by up to {strays_s:.2g} s: samples "
             "may be lost."] if strays_s > STRAY_S else []
    return first_s + float(times_s[0]), times_s - times_s[0], rate_hz, notes


def _rate(stamps_s: np.ndarray, numbers: np.ndarray, parts: Sequence[tuple[int, int]],
          known_hz: Sequence[float]) -> float:
    """Over all stretches; a known rate that is near."""
    length_s = sum(float(stamps_s[end - 1] - stamps_s[begin]) for begin, end in parts)
    count = sum(int(numbers[end - 1] - numbers[begin]) for begin, end in parts)
    if length_s <= 0:
        return known_hz[0] if known_hz else 1.0
    near = [rate for rate in known_hz if abs(count / length_s / rate - 1) < NOMINAL]
    return near[0] if near else count / length_s


def _line(stamps_s: np.ndarray, numbers: np.ndarray, rate_hz: float) -> np.ndarray:
    """Stamps by a straight line: its own slope, or the rate's where the stretch is too short to know better."""
    places = (numbers - numbers[0]).astype(float)
    slope_s = 1 / rate_hz
    if len(stamps_s) > 1:
        fitted_s = float(np.polyfit(places, stamps_s - stamps_s[0], 1)[0])
        if stamps_s[-1] - stamps_s[0] >= SURE_S or abs(fitted_s * rate_hz - 1) < SURE:
            slope_s = fitted_s
    return float(np.mean(stamps_s - places * slope_s)) + places * slope_s
