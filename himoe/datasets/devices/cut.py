"""A trial's samples out of a stream: on the trial's own grid, NaN where nothing was recorded.

Legend: C channels, N samples of the trial, K samples of the stream near it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.long_arrays import gap, let_go
from himoe.datasets.clock import Clock, read_clock
from himoe.datasets.devices.contract import Stream
from himoe.datasets.devices.units import unit_factor
from himoe.datasets.grid import check_times, on_grid

RATE_SHARE = 0.02  # a measured rate may be that much off the one that was declared; a nominal one not at all
NOMINAL_SHARE = 1e-3
DRIFT_S, SAID_S = 0.1, 0.02  # samples of a trial may stray that far from even steps; from the second on it is said
READ_SAMPLES = 2**18  # of each channel, read at once
BREAK = 1.5  # a step so many times 1 / sfreq_hz is a gap


@dataclass
class Cut:
    """Samples (C, N) float32 in the wanted unit, what was noted, whether the stream reaches into the trial at all."""

    data: np.ndarray
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    inside: bool = True


def factors(where: str, stream: Stream, picks: Sequence[int], unit: str) -> np.ndarray:
    """(C, 1): what turns the channels' units into *unit*; InputError if they cannot be."""
    found = []
    for pick in picks:
        factor = unit_factor(stream.units[pick], unit)
        if factor is None:
            raise bad_input(f"{where}: unit of {stream.channels[pick]}", repr(stream.units[pick]), repr(unit),
                            f"say unit: {stream.units[pick]} if the file is right")
        found.append(factor)
    return np.array(found)[:, np.newaxis]


def require_rate(where: str, stream: Stream, clock: Clock) -> None:
    """The rate that was declared is the stream's; a measured one (stamps of samples) is looked at while cutting."""
    if stream.sfreq_hz is None and np.isinf(clock.max_gap_s):
        raise bad_input(where, f"samples at irregular times in {stream.name!r}", "max_gap_s",
                        "say the longest gap in seconds that may be bridged between samples")
    if stream.times_s is None and stream.sfreq_hz is not None \
            and abs(stream.sfreq_hz / clock.sfreq_hz - 1) > NOMINAL_SHARE:
        raise bad_input(f"{where}: rate", f"{stream.sfreq_hz:g} Hz", f"sfreq_hz = {clock.sfreq_hz:g} Hz",
                        f"say sfreq_hz: {stream.sfreq_hz:g}")


def cut_stream(where: str, stream: Stream, picks: Sequence[int], unit: str, clock: Clock, start_s: float,
               n_samples: int) -> Cut:
    """*n_samples* samples from *start_s* on (the file's clock) at ``clock.sfreq_hz``.

    Samples are taken as they are, shifted by at most half of one, where the stream keeps the rate; they are
    interpolated linearly, and that is noted, where it strays by over ``DRIFT_S`` in the trial. Reads nothing else.

    Raises
    ------
    InputError
        If units or rates do not fit, or times run backwards inside the trial.
    """
    require_rate(where, stream, clock)
    scale = factors(where, stream, picks, unit)
    if stream.times_s is None:
        data = _by_index(stream, picks, scale, start_s, n_samples)
        return Cut(data, inside=_reaches(stream, start_s, n_samples))
    margin_s = max(0.0 if np.isinf(clock.max_gap_s) else clock.max_gap_s, 1 / clock.sfreq_hz)
    stamps_s = stream.times_s()
    end_s = start_s + n_samples / clock.sfreq_hz
    near = np.flatnonzero((stamps_s >= start_s - margin_s) & (stamps_s < end_s + margin_s))
    cut = Cut(np.full((len(picks), n_samples), np.nan, dtype=np.float32), inside=False)
    if not near.size:
        return cut
    first, last = int(near[0]), int(near[-1]) + 1
    times_s = stamps_s[first:last] - start_s
    check_times(f"{where}, stream {stream.name!r}", times_s)
    values = stream.read(first, last, picks) * scale
    cut.inside = bool(((times_s >= 0) & (times_s < end_s - start_s)).any())
    placed = None if stream.sfreq_hz is None else _placed(where, stream, values, times_s, clock, n_samples, cut)
    if placed is None:
        placed = _interpolated(f"{where}, stream {stream.name!r}", values, times_s, clock, n_samples, cut)
    cut.data = placed.astype(np.float32)
    return cut


def _reaches(stream: Stream, start_s: float, n_samples: int) -> bool:
    assert stream.sfreq_hz is not None
    rate_hz = stream.sfreq_hz
    return n_samples > 0 and any(begin_s < start_s + n_samples / rate_hz and begin_s + count / rate_hz > start_s
                                 for begin_s, _, count in stream.stretches())


def _by_index(stream: Stream, picks: Sequence[int], scale: np.ndarray, start_s: float, n_samples: int) -> np.ndarray:
    """Samples (C, N) float32 times *scale* (C, 1), read stretch by stretch: a file may hold a day."""
    assert stream.sfreq_hz is not None
    data = gap(len(picks), n_samples)
    for begin_s, number, count in stream.stretches():
        first = round((start_s - begin_s) * stream.sfreq_hz)  # of the trial, from the first of the stretch
        low, high = max(first, 0), min(first + n_samples, count)
        for begin in range(low, high, READ_SAMPLES):
            end = min(begin + READ_SAMPLES, high)
            data[:, begin - first:end - first] = stream.read(number + begin, number + end, picks) * scale
            let_go(data)
    return data


def _placed(where: str, stream: Stream, values: np.ndarray, times_s: np.ndarray, clock: Clock, n_samples: int,
            cut: Cut) -> np.ndarray | None:
    """Samples as they are, one after the other from each gap on; None where they drift too far from their times."""
    steps_s = np.diff(times_s)
    if not steps_s.size:
        return None
    usual_hz = 1 / float(np.median(steps_s)) if np.median(steps_s) > 0 else np.inf
    if abs(usual_hz / clock.sfreq_hz - 1) > RATE_SHARE:
        raise bad_input(f"{where}, stream {stream.name!r}: rate",
                        f"{usual_hz:.4g} Hz by its time stamps (it says {stream.sfreq_hz:g} Hz)",
                        f"sfreq_hz = {clock.sfreq_hz:g} Hz", f"say sfreq_hz: {usual_hz:.4g}")
    exact = times_s * clock.sfreq_hz
    runs = np.concatenate(([0], np.flatnonzero(steps_s > BREAK / clock.sfreq_hz) + 1, [len(times_s)]))
    data, filled_to, drift_s = np.full((len(values), n_samples), np.nan), -np.inf, 0.0
    for begin, end in pairwise(runs):
        places = round(float(exact[begin])) + np.arange(end - begin)
        drift_s = max(drift_s, (float(np.abs(places - exact[begin:end]).max()) - 0.5) / clock.sfreq_hz)
        if drift_s > DRIFT_S or places[0] <= filled_to:
            return None
        filled_to = places[-1]
        inside = (places >= 0) & (places < n_samples)
        data[:, places[inside]] = values[:, begin:end][:, inside]
    if drift_s > SAID_S:
        cut.notes.append(f"{where}, stream {stream.name!r}: it runs at {usual_hz:.5g} Hz, not {clock.sfreq_hz:g}: by "
                         f"the end of the trial its samples are {drift_s:.2g} s from their times.")
    return data


def _interpolated(where: str, values: np.ndarray, times_s: np.ndarray, clock: Clock, n_samples: int,
                  cut: Cut) -> np.ndarray:
    regular = np.isinf(clock.max_gap_s)
    clock = Clock(clock.sfreq_hz, BREAK / clock.sfreq_hz if regular else clock.max_gap_s, origin="trial")
    axis = read_clock(where, times_s, values, clock, None)
    cut.notes += axis.notes
    cut.doubts += axis.doubts
    if regular:
        cut.notes.append(f"{where}: its samples do not keep {clock.sfreq_hz:g} Hz; they are interpolated, without a "
                         "filter.")
    return on_grid(axis.time_s, axis.values, clock.sfreq_hz, n_samples, clock.max_gap_s)
