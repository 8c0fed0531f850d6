"""Where samples with stamps lie on a steady grid, whatever a sensor's clock does.

Stamps jitter, drift, repeat, jump and lie. Samples are laid one after the other at the sensor's rate; stamps say only
when that no longer holds: after a loss (a gap), when the sensor's clock runs away slowly (a sample is left out or
held), when it jumps (its stamps are moved from then on) and when its rate changes (:class:`Rate`).
Legend: N samples.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

JITTER_S = 0.1  # stamps may be off by so much without meaning a loss
DRIFT_S = 5.0  # over which a slow drift is averaged
PATIENCE_S = 1.5  # stamps of the past for longer than this are no repeats: the clock has jumped
STUCK_S = 5.0  # the same for samples whose stamps do not go on
AHEAD_S = 0.5  # stamps further in the future than this are no stamps
STRANGE_S = 60.0  # a first stamp further from now than this is on a clock of its own
RATE_S = 1.0  # over which a rate is measured
RATE_OFF = 0.1  # of the rate: beyond it, the rate has changed


@dataclass(frozen=True)
class Piece:
    """Samples *low* … *high* - 1 of a chunk, the first of which has the number *first* on the grid."""

    first: int
    low: int
    high: int


class Rate:
    """The rate that stamps show, over the last ``RATE_S`` without a break."""

    def __init__(self) -> None:
        self.seen: deque[tuple[float, int]] = deque()

    def add(self, times_s: np.ndarray) -> float | None:
        """Samples a second, once they are steady for ``RATE_S``; stamps (N,) that go back, or pause, are a break."""
        if self.seen and not 0 <= times_s[0] - self.seen[-1][0] <= 2 * JITTER_S:
            self.seen.clear()
        self.seen.append((float(times_s[-1]), len(times_s)))
        while len(self.seen) > 2 and self.seen[-1][0] - self.seen[1][0] >= RATE_S:
            self.seen.popleft()
        if times_s[-1] - times_s[0] >= RATE_S:
            return float((len(times_s) - 1) / (times_s[-1] - times_s[0]))
        whole, late = self._over(RATE_S), self._over(RATE_S / 2)
        return whole if whole is not None and late is not None and abs(late / whole - 1) < RATE_OFF / 2 else None

    def _over(self, span_s: float) -> float | None:
        """Samples a second over the last *span_s*, or a little longer."""
        count = 0
        for place in range(len(self.seen) - 1, 0, -1):
            count += self.seen[place][1]
            span = self.seen[-1][0] - self.seen[place - 1][0]
            if span >= span_s:
                return count / span
        return None


class Grid:
    """One sensor's samples on the grid of *rate_hz*, numbered from the clock's zero.

    ``events`` gathers what was noticed, as sentences; whoever reads them empties it.
    """

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.next: int | None = None
        self.shift_s = 0.0
        self.late_s = 0.0
        self.new_rate_hz: float | None = None
        self.events: list[str] = []
        self._drift = 0.0
        self._behind, self._behind_s = 0, 0.0
        self._rate = Rate()

    def place(self, times_s: np.ndarray, now_s: float | None = None, ahead_s: float = AHEAD_S) -> list[Piece]:
        """Pieces of a chunk with stamps (N,) in s, at *now_s*, the time of day on the same clock, if it is known."""
        known = np.flatnonzero(np.isfinite(times_s))
        if len(known) == 0:
            return []
        if len(known) < len(times_s):
            self.events.append(f"{len(times_s) - len(known)} samples without a time")
            times_s = np.interp(np.arange(len(times_s)), known, times_s[known])
        pieces: list[Piece] = []
        for low, high in _runs(times_s, max(JITTER_S, 1.5 / self.rate_hz) + 1 / self.rate_hz):
            pieces += self._run(times_s[low:high], low, now_s, ahead_s)
        return pieces

    def _run(self, times_s: np.ndarray, low: int, now_s: float | None, ahead_s: float) -> list[Piece]:
        """One run of steady stamps, which starts at sample *low* of its chunk."""
        rate, count = self.rate_hz, len(times_s)
        tolerance = max(JITTER_S * rate, 1.5)
        found = self._rate.add(times_s)
        if found is not None and abs(found / rate - 1) > RATE_OFF:
            self.new_rate_hz = found
        if self.next is None:
            self._begin(times_s, now_s, ahead_s)
        assert self.next is not None
        if now_s is not None and times_s[-1] + self.shift_s > now_s + ahead_s:
            self._move(times_s, now_s)
        place = (times_s + self.shift_s) * rate
        off = float(np.median(place - (self.next + np.arange(count))))
        if -tolerance <= off <= tolerance:
            if self._behind:
                self.events.append(f"{self._behind} samples came twice")
            return self._laid(times_s, low, *self._slip(off, count), now_s)
        self._drift = 0.0
        if off > tolerance:
            if off > 0.5 * rate:
                self.events.append(f"{off / rate:.1f} s missing")
        elif place[-1] < self.next - 0.5:  # all of it lies in the past
            if self._behind == 0:
                self._behind_s = float(times_s[0])
            self._behind += count
            if times_s[-1] - self._behind_s < PATIENCE_S and self._behind < STUCK_S * rate:
                return []
            self._move(times_s, now_s)
            place = (times_s + self.shift_s) * rate
        skipped = int(np.searchsorted(np.maximum.accumulate(place), self.next - 0.5))
        if skipped or self._behind:
            self.events.append(f"{skipped + self._behind} samples came twice")
        return self._laid(times_s, low, skipped, max(round(float(place[min(skipped, count - 1)])), self.next), now_s)

    def _begin(self, times_s: np.ndarray, now_s: float | None, ahead_s: float) -> None:
        if now_s is not None and not -STRANGE_S < times_s[-1] - now_s <= ahead_s:
            self.shift_s = now_s - float(times_s[-1])
            self.events.append(f"its clock is {-self.shift_s:+.1f} s off and was set")
        self.next = round(float(times_s[0] + self.shift_s) * self.rate_hz)

    def _move(self, times_s: np.ndarray, now_s: float | None) -> None:
        """The clock has jumped: what comes now is new, and as late as the sensor usually is."""
        assert self.next is not None
        earliest_s = (self.next + len(times_s) - 1) / self.rate_hz  # of the run's last sample
        back = now_s is None or times_s[-1] <= now_s + AHEAD_S
        if self.shift_s and back and times_s[-1] >= earliest_s - 0.5 / self.rate_hz:
            self.events.append("its clock came back")
            self.shift_s = 0.0
        else:
            aim_s = earliest_s if now_s is None else max(earliest_s, now_s - self.late_s)
            jump_s = float(times_s[-1]) + self.shift_s - aim_s
            self.shift_s = aim_s - float(times_s[-1])
            self.events.append(f"its clock jumped by {jump_s:+.1f} s and was set back")
        self._behind, self._drift = 0, 0.0

    def _slip(self, off: float, count: int) -> tuple[int, int]:
        """Samples to leave out at the start of a run, and the number of the first: against slow drift."""
        assert self.next is not None
        self._drift += min(count / (DRIFT_S * self.rate_hz), 1.0) * (off - self._drift)
        step = int(self._drift) if abs(self._drift) >= 1 else 0
        self._drift -= step
        return min(max(-step, 0), count), self.next + max(step, 0)

    def _laid(self, times_s: np.ndarray, low: int, skipped: int, first: int, now_s: float | None) -> list[Piece]:
        self._behind = 0
        if skipped >= len(times_s):
            return []
        self.next = first + len(times_s) - skipped
        if now_s is not None:
            late_s = now_s - float(times_s[-1]) - self.shift_s
            self.late_s += 0.2 * (max(late_s, 0.0) - self.late_s)
        return [Piece(first, low + skipped, low + len(times_s))]


def _runs(times_s: np.ndarray, step_s: float) -> list[tuple[int, int]]:
    """Bounds (low, high) of runs of samples whose stamps go on by at most *step_s*, and not far back."""
    apart = np.diff(times_s)
    edges = [0, *(np.flatnonzero((apart > step_s) | (apart < -JITTER_S)) + 1), len(times_s)]
    return list(pairwise(map(int, edges)))
