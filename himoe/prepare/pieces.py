"""Filtering and resampling a recording of many hours stretch by stretch: memory stays that of one stretch.

Each stretch is filtered with a margin on both sides, in which the filter settles and which is cut off again. The
result is that of the whole recording filtered at once, up to ``SETTLED`` of the signal's height, and to rounding.

Legend: C channels, N samples, N' samples after resampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from himoe.core.long_arrays import columns, let_go

LONG_S = 4 * 3600.0  # recordings above this length are filtered in stretches
PIECE_S = 600.0  # of a stretch; at least MARGINS margins, so that most of the work is not thrown away
MARGINS = 4
SETTLED = 1e-9  # what is left of an impulse where a margin ends
TAPS = 10  # samples of the slower rate on each side that scipy's resample_poly looks at
SEARCH = 2**20  # samples looked through at once for the end of a gap


@dataclass(frozen=True)
class Ratio:
    """Output samples for input samples, in lowest terms."""

    up: int
    down: int

    @classmethod
    def of(cls, sfreq_hz: float, target_hz: float) -> Ratio:
        """From the rates, as the pipeline rounds them."""
        ratio = Fraction(target_hz).limit_denominator(10_000) / Fraction(sfreq_hz).limit_denominator(10_000)
        return cls(ratio.numerator, ratio.denominator)

    def length(self, n_samples: int) -> int:
        """N' of N samples."""
        return -(-n_samples * self.up // self.down)


def settling(sos: np.ndarray) -> int:
    """Samples after which the impulse response of second-order sections has fallen to ``SETTLED``."""
    from scipy.signal import sos2zpk

    radius = float(np.abs(sos2zpk(sos)[1]).max(initial=0.0))
    return math.ceil(math.log(SETTLED) / math.log(radius)) if 0 < radius < 1 else 1


def filter_in_pieces(data: np.ndarray, sfreq_hz: float, target_hz: float, keep: Callable[[np.ndarray], np.ndarray],
                     margin: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Places among N' and samples (C, N'') of each stretch of (C, N), gaps bridged, filtered by *keep*, resampled.

    *keep* is a filter with zero phase on (C, any) that has settled after *margin* samples.
    """
    ratio, n_samples = Ratio.of(sfreq_hz, target_hz), data.shape[1]
    # The resampler looks beyond a stretch, too; its grid is that of the whole.
    beyond = ratio.down * (math.ceil(TAPS * max(ratio.up, ratio.down) / ratio.up / ratio.down) + 1)
    step = ratio.down * math.ceil(max(PIECE_S * sfreq_hz, MARGINS * (margin + beyond)) / ratio.down)

    def filtered(first: int, last: int) -> np.ndarray:
        begin, end = max(first - margin, 0), min(last + margin, n_samples)
        return keep(bridged(data, begin, end))[:, first - begin:last - begin]

    same = ratio.up == ratio.down
    ends = None if same else (filtered(0, 1)[:, 0], filtered(n_samples - 1, n_samples)[:, 0])
    for first in range(0, n_samples, step):
        last = min(first + step, n_samples)
        where = slice(first * ratio.up // ratio.down, ratio.length(last))
        if ends is None:
            yield where, filtered(first, last)
        else:
            inside = filtered(max(first - beyond, 0), min(last + beyond, n_samples))
            wide = _continued(inside, first - beyond, last + beyond, n_samples, ends)
            skip = beyond * ratio.up // ratio.down
            yield where, _polyphase(wide, ratio)[:, skip:skip + where.stop - where.start]
        let_go(data)


def _polyphase(data: np.ndarray, ratio: Ratio) -> np.ndarray:
    from scipy.signal import resample_poly

    return resample_poly(data.astype(np.float64), ratio.up, ratio.down, axis=1, padtype="line")


def _continued(inside: np.ndarray, first: int, last: int, n_samples: int,
               ends: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Samples *first* to *last*; beyond the recording its line from end to end goes on (resample_poly's ``line``)."""
    slope = (ends[1].astype(np.float64) - ends[0]) / max(n_samples - 1, 1)
    before = np.arange(first, 0)
    after = np.arange(1, last - n_samples + 1)
    return np.concatenate([ends[0][:, None] + slope[:, None] * before, inside,
                           ends[1][:, None] + slope[:, None] * after], axis=1)


def bridged(data: np.ndarray, first: int, last: int) -> np.ndarray:
    """Samples *first* to *last* of (C, N) as float64, NaN bridged as in the whole recording.

    By straight lines; edges: nearest value; a channel of NaN: 0.
    """
    part = data[:, first:last].astype(np.float64)
    for channel, row in enumerate(part):
        gap = np.isnan(row)
        if not gap.any():
            continue
        known = np.flatnonzero(~gap) + first
        places = np.array([*_known_before(data[channel], first), *known, *_known_after(data[channel], last)], int)
        if not places.size:
            row[:] = 0.0
        else:
            values = np.interp(np.flatnonzero(gap) + first, places, data[channel][places])
            row[gap] = values.astype(data.dtype)
    return part


def _known_before(row: np.ndarray, first: int) -> list[int]:
    """The last sample before *first* that is no gap, if any."""
    for end in range(first, 0, -SEARCH):
        found = np.flatnonzero(~np.isnan(row[max(end - SEARCH, 0):end]))
        if found.size:
            return [max(end - SEARCH, 0) + int(found[-1])]
    return []


def _known_after(row: np.ndarray, last: int) -> list[int]:
    """The first sample from *last* on that is no gap, if any."""
    for begin in range(last, len(row), SEARCH):
        found = np.flatnonzero(~np.isnan(row[begin:begin + SEARCH]))
        if found.size:
            return [begin + int(found[0])]
    return []


def nearest(n_samples: int, n_resampled: int, where: slice) -> np.ndarray:
    """The old sample, of N, that is nearest to each new one, of N', in the stretch *where*."""
    places = (np.arange(where.start, where.stop) + 0.5) * n_samples / n_resampled
    return np.minimum(places, n_samples - 1).astype(np.int64)


def lost_share(lost: np.ndarray) -> np.ndarray:
    """Share (N,) of channels that are lost, of flags (C, N), stretch by stretch."""
    share = np.empty(lost.shape[1])
    for where in columns(lost):
        share[where] = lost[:, where].mean(axis=0)
    return share
