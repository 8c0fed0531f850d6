"""One sensor: from chunks with stamps to the window that the model reads, and what is to be said about it.

Legend: C channels of the sensor, N samples, W samples of a window.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.params import FilterParams
from himoe.core.recordings import Signal, check_modality
from himoe.live.filters import Chain, delays_s, grid_hz, referenced
from himoe.live.grid import AHEAD_S, Grid, Piece
from himoe.live.looks import Spotter, quality_text
from himoe.live.ring import Ring
from himoe.prepare.signals import check_band, effective_band_hz
from himoe.prepare.windows import ModalityShape
from himoe.training.applying import channel_order
from himoe.training.description import ModalityForm

log = logging.getLogger(__name__)

KEEP_S = 30.0  # of filtered signal beyond a window: on it bad EEG channels are judged, and late sensors are waited for
RAW_S = 4.0  # of raw signal, on which quality is judged
NEW_START_S = 2.0  # a longer gap starts the filters again
LARGEST = 1e9  # a larger number is no measurement, whatever its unit
NEAR_RATE = 0.03  # a measured rate so near to a simple multiple of the announced one is that multiple


@dataclass(frozen=True)
class SensorInfo:
    """What a source says of a sensor: rate in Hz, channel names (empty = in the model's order), unit ("" = unknown)."""

    sfreq_hz: float
    ch_names: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class SensorLine:
    """A sensor at one prediction.

    ``state``: ``alive``, ``late`` (sends, but the window's end is not there yet) or ``absent`` (nothing in the
    window); ``used``: the model saw it; ``complete``: share of the window's samples that are there; ``late_s``: how far
    its newest sample lies before the window's end; ``delay_s``: the filters' group delay in the middle of the band;
    ``quality``: of the last seconds as they came in; ``note``: what else is to be said.
    """

    modality: str
    state: str
    used: bool
    complete: float
    late_s: float
    delay_s: float
    quality: str
    note: str


class Sensor:
    """Buffers, clock and filters of one modality that the model knows.

    Whatever comes in, nothing is raised: what cannot be used is left out, and ``events`` says so.
    """

    def __init__(self, modality: str, form: ModalityForm, length_s: float, info: SensorInfo) -> None:
        self.modality, self.form, self.info = check_modality(modality), form, info
        names = info.ch_names or form.channels
        shape = ModalityShape(len(names), form.samples, form.sfreq_hz, tuple(names))
        self.order = channel_order(modality, form, shape, info.unit)
        self.names = tuple(names)
        self.spec = replace(form.filter or FilterParams(), sfreq_hz=form.sfreq_hz)
        self.target_hz, self.length_s = form.sfreq_hz, length_s
        self.ring = Ring(2 * len(names), round((length_s + KEEP_S) * self.target_hz))  # values, then gap flags
        self.spotter = Spotter(self.names, form.sfreq_hz, form.unit)
        self.events: list[str] = []
        self.note, self.quality = "", ""
        self.delay_s = 0.0
        self.first_s: float | None = None  # the first sample's time
        self._refused = self._unusable = ""
        self._require_band(info.sfreq_hz)
        self._begin(info.sfreq_hz)

    def _require_band(self, rate_hz: float) -> None:
        check_band(Signal(np.zeros((1, 1), np.float32), rate_hz, ("",), ""),
                   replace(self.spec, band_hz=effective_band_hz(self.spec, rate_hz)), f"live {self.modality}")

    def _begin(self, rate_hz: float) -> None:
        """Clock, filters and raw buffer for a rate."""
        self.rate_hz = grid_hz(rate_hz, self.target_hz)
        self.grid = Grid(self.rate_hz)
        self.chain: Chain | None = None
        self.raw = Ring(len(self.names), max(round(RAW_S * self.rate_hz), 1))
        if not self._unusable:
            self.delay_s = delays_s(self.modality, self.spec, self.rate_hz)[0]

    @property
    def end_s(self) -> float | None:
        """The end of its newest sample; None before the first one."""
        return None if self.grid.next is None else self.grid.next / self.rate_hz

    def push(self, times_s: np.ndarray, samples: np.ndarray, now_s: float | None = None,
             ahead_s: float = AHEAD_S) -> None:
        """Take a chunk: stamps (N,) in s and samples (C, N)."""
        times_s = np.asarray(times_s, dtype=np.float64).reshape(-1)
        samples = np.asarray(samples, dtype=np.float64)
        expected = (len(self.names), len(times_s))
        if samples.shape != expected:
            self._refuse(f"sends {' × '.join(map(str, samples.shape))} values, expected {expected[0]} channels × "
                         f"{expected[1]} times: left out")
            return
        self._refuse("")
        if len(times_s) == 0:
            return
        pieces = self.grid.place(times_s, now_s, ahead_s)
        if self.grid.new_rate_hz is not None:
            pieces = self._new_rate(self.grid.new_rate_hz, times_s, now_s, ahead_s)
        self.events += self.grid.events
        self.grid.events.clear()
        if self._unusable:
            return
        with np.errstate(invalid="ignore"):
            samples = np.where(np.abs(samples) < LARGEST, samples, np.nan)
        for piece in pieces:
            if self.first_s is None:
                self.first_s = piece.first / self.rate_hz
            self._take(piece, samples)

    def _refuse(self, text: str) -> None:
        if text and text != self._refused:
            self.events.append(text)
        self._refused = text

    def _new_rate(self, found_hz: float, times_s: np.ndarray, now_s: float | None, ahead_s: float) -> list[Piece]:
        """Start again at a rate that the stamps show."""
        announced = self.info.sfreq_hz
        simple = [announced * Fraction(a, b) for a, b in
                  ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (4, 1), (1, 4), (3, 2), (2, 3))]
        near = min((float(one) for one in simple), key=lambda one: abs(one - found_hz))
        rate_hz = near if abs(near / found_hz - 1) < NEAR_RATE else float(f"{found_hz:.3g}")
        old = self.grid
        try:
            self._require_band(rate_hz)
            self._unusable, what = "", "filters started again"
        except InputError:
            what = "too few for the model's band, left out"
            self._unusable = f"sends {rate_hz:g} samples a second: {what}"
        self._begin(rate_hz)
        self.grid.shift_s, self.grid.late_s = old.shift_s, old.late_s
        self.grid.events = [*old.events, f"sends {rate_hz:g} samples a second instead of {old.rate_hz:g}: {what}"]
        return self.grid.place(times_s, now_s, ahead_s)

    def _take(self, piece: Piece, samples: np.ndarray) -> None:
        data, first = samples[:, piece.low:piece.high], piece.first
        if self.chain is not None and first > self.chain.next_in:
            gap = first - self.chain.next_in
            if gap > NEW_START_S * self.rate_hz:
                self.chain = None
            else:
                data = np.concatenate([np.full((len(data), gap), np.nan), data], axis=1)
                first -= gap
        if self.chain is None:
            there = np.flatnonzero(np.isfinite(data).any(axis=0))
            if len(there) == 0:
                return
            data, first = data[:, there[0]:], first + int(there[0])
            self.chain = Chain(self.modality, self.spec, self.rate_hz, first, len(data))
        self.raw.write(first, data.astype(np.float32))
        at, values, lost = self.chain(data)
        self.ring.write(at, np.concatenate([values, lost.astype(np.float32)]))

    def reached(self, end_s: float) -> bool:
        """Whether the window that ends at *end_s* is there to its end."""
        return not self.ring.empty and self.ring.next >= round(end_s * self.target_hz)

    def whole_s(self) -> float:
        """When the newest window that is there to its end starts."""
        return (self.ring.next - self.form.samples) / self.target_hz

    def window(self, start_s: float) -> np.ndarray:
        """The window (C of the model, W) that starts at *start_s*; NaN where nothing is there."""
        first = round(start_s * self.target_hz)
        data, lost = self._split(self.ring.read(first, self.form.samples))
        if self.modality == "EEG":
            data = self.spotter.repaired(data, lost, *self._split(self.ring.newest(self.ring.data.shape[1])))
        return referenced(self.modality, data, lost)[self.order]

    def _split(self, both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (C, N) and gaps; what was never there is both NaN and a gap."""
        data, flags = both[:len(self.names)], both[len(self.names):]
        return data, ~(flags == 0)

    def judge(self) -> None:
        """Look at the last seconds as they came in, for ``quality``."""
        raw = self.raw.newest(self.raw.data.shape[1])
        seen = np.isfinite(raw).any(axis=0)
        first = int(seen.argmax()) if seen.any() else raw.shape[1]
        self.quality = quality_text(self.modality, raw[:, first:], self.rate_hz)

    def line(self, window: np.ndarray, end_s: float, wait_s: float, min_completeness: float,
             off_s: float = 0.0) -> SensorLine:
        """What is to be said at the prediction for *window* (C, W), which ends *off_s* after *end_s*."""
        complete = float(np.isfinite(window).mean())
        late_s = np.inf if self.end_s is None else max(end_s - self.end_s, 0.0)
        state = "absent" if complete == 0 else "late" if late_s > wait_s and not self.reached(end_s) else "alive"
        return SensorLine(self.modality, state, complete >= min_completeness, complete, late_s, self.delay_s,
                          self.quality, self._refused or self._unusable or self._clock_note() or self.spotter.note
                          or (f"its window of {-off_s:.1f} s ago" if off_s else ""))

    def _clock_note(self) -> str:
        return f"its clock is moved by {self.grid.shift_s:+.2f} s" if self.grid.shift_s else ""


def sensor_of(modality: str, form: ModalityForm, length_s: float, info: SensorInfo) -> Sensor:
    """A sensor, or InputError in words that name the source."""
    if not info.sfreq_hz > 0:
        raise bad_input(f"live {modality}: rate", f"{info.sfreq_hz:g} Hz", "a steady rate above 0 Hz",
                        "send it at a steady rate, or leave it out")
    return Sensor(modality, form, length_s, info)
