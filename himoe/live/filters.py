"""Causal counterparts of the filters in :mod:`himoe.prepare.signals`: the same magnitude, less delay, no future.

Offline filters know the future and move nothing in time. Here each has its twin with the same magnitude response:

- a Butterworth band that offline runs forward and backward runs forward twice;
- a symmetric FIR (the EEG's band, the resampler's low-pass) becomes the minimum-phase FIR of the same magnitude
  (homomorphic method; Oppenheim & Schafer 1989, chapter 12).

What differs is the phase, so that a sample speaks of a moment a little earlier: :func:`delays_s`.
Legend: C channels, N samples, M output samples, K taps of a phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from himoe.core.params import FilterParams
from himoe.core.recordings import Signal
from himoe.prepare.signals import MAX_BAD_SHARE, MIN_REFERENCE, check_band, effective_band_hz

MAX_RATIO = 500  # of up and down factors of the resampler: other rates are put on the nearest grid of such a ratio
HALF_TAPS = 10  # of the resampler, on either side, per factor: scipy.signal.resample_poly's default
BLOCK = 2048  # input samples filtered at once: bounds memory


class Stage(Protocol):
    """A causal filter with a memory."""

    def __call__(self, data: np.ndarray) -> np.ndarray: ...

    def response(self, frequency_hz: np.ndarray) -> np.ndarray: ...


def ratio_of(rate_hz: float, target_hz: float) -> Fraction:
    """The resampler's factor up / down."""
    return Fraction(target_hz / rate_hz).limit_denominator(MAX_RATIO)


def grid_hz(rate_hz: float, target_hz: float) -> float:
    """The rate nearest to *rate_hz* from which *target_hz* can be reached by small whole factors."""
    ratio = ratio_of(rate_hz, target_hz)
    return target_hz * ratio.denominator / ratio.numerator if ratio else rate_hz


@cache
def resampling_taps(up: int, down: int) -> np.ndarray:
    """Minimum-phase twin of the low-pass that ``scipy.signal.resample_poly`` uses."""
    from scipy.signal import firwin, minimum_phase

    factor = max(up, down)
    taps = firwin(2 * HALF_TAPS * factor + 1, 1 / factor, window=("kaiser", 5.0))
    return minimum_phase(taps, half=False) * up


@cache
def eeg_taps(low_hz: float | None, high_hz: float | None, rate_hz: float) -> np.ndarray:
    """Minimum-phase twin of MNE's band-pass."""
    import mne

    return mne.filter.create_filter(None, rate_hz, low_hz, high_hz, phase="minimum", fir_design="firwin",
                                    verbose="error")


class Fir:
    """A FIR between two rates, sample by sample: output m, at m / (up · rate / down) s, knows inputs up to that moment.

    Samples are counted from the clock's zero, so that *first*, the number of the first input, says which outputs
    there are. Before it the first sample is taken to have stood for ever.
    """

    def __init__(self, taps: np.ndarray, rate_hz: float, up: int = 1, down: int = 1, first: int = 0) -> None:
        padded = np.pad(taps, (0, -len(taps) % up))
        self.taps, self.rate_hz, self.up, self.down = taps, rate_hz, up, down
        self.phases = padded.reshape(-1, up).T[:, ::-1].copy()  # (up, K), newest input last
        self.next_in, self.next_out = first, -(-first * up // down)
        self.past: np.ndarray | None = None

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """Filter the next (C, N) → (C, M)."""
        parts = [self._block(data[:, at:at + BLOCK]) for at in range(0, data.shape[1], BLOCK)]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(data), 0))

    def _block(self, data: np.ndarray) -> np.ndarray:
        width = self.phases.shape[1]
        past = np.repeat(data[:, :1], width - 1, axis=1) if self.past is None else self.past
        joined = np.concatenate([past, data], axis=1)
        last = self.next_in + data.shape[1]
        number = np.arange(self.next_out, -(-last * self.up // self.down))
        newest, phase = np.divmod(number * self.down, self.up)
        view = sliding_window_view(joined, width, axis=1)
        if self.up == self.down == 1:
            made = view @ self.phases[0]
        else:
            made = np.einsum("cmk,mk->cm", view[:, newest - self.next_in], self.phases[phase])
        self.past = joined[:, joined.shape[1] - (width - 1):].copy()
        self.next_in, self.next_out = last, self.next_out + len(number)
        return made

    def response(self, frequency_hz: np.ndarray) -> np.ndarray:
        """Complex gain at these frequencies."""
        from scipy.signal import freqz

        return freqz(self.taps / self.up, worN=frequency_hz, fs=self.rate_hz * self.up)[1]


class Butterworth:
    """The second-order Butterworth of *band_hz*, twice forward; before the first sample its value stood for ever."""

    def __init__(self, band_hz: Sequence[float | None], rate_hz: float) -> None:
        from scipy.signal import butter

        low, high = (None if edge == 0 else edge for edge in band_hz)
        kind = "bandpass" if low and high else ("highpass" if low else "lowpass")
        once = butter(2, [low, high] if low and high else (low or high), kind, fs=rate_hz, output="sos")
        self.sos, self.rate_hz = np.concatenate([once, once]), rate_hz
        self.state: np.ndarray | None = None

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """Filter the next (C, N)."""
        from scipy.signal import sosfilt, sosfilt_zi

        if data.shape[1] == 0:
            return data
        if self.state is None:
            self.state = sosfilt_zi(self.sos)[:, None, :] * data[None, :, :1]
        made, self.state = sosfilt(self.sos, data, axis=1, zi=self.state)
        return made

    def response(self, frequency_hz: np.ndarray) -> np.ndarray:
        """Complex gain at these frequencies."""
        from scipy.signal import sosfreqz

        return sosfreqz(self.sos, worN=frequency_hz, fs=self.rate_hz)[1]


def stages(modality: str, spec: FilterParams, rate_hz: float, first: int = 0) -> list[Stage]:
    """The filters of one modality from the grid rate *rate_hz* on, in order; *first* = number of the first sample.

    EEG is resampled before its band: both are FIRs, whose order says nothing, and the lower rate is cheaper.
    """
    target_hz = spec.sfreq_hz or rate_hz
    low, high = effective_band_hz(spec, rate_hz)
    ratio = ratio_of(rate_hz, target_hz)
    made: list[Stage] = []
    if ratio != 1:
        taps = resampling_taps(ratio.numerator, ratio.denominator)
        made.append(Fir(taps, rate_hz, ratio.numerator, ratio.denominator, first))
    if not (low or high):
        return made
    if modality == "EEG":
        return [*made, Fir(eeg_taps(low, high, target_hz), target_hz)]
    return [Butterworth((low, high), rate_hz), *made]


def delays_s(modality: str, spec: FilterParams, rate_hz: float) -> tuple[float, float]:
    """Group delay in s: in the (geometric) middle of the pass band, and its largest value inside the band."""
    low, high = effective_band_hz(spec, rate_hz)
    top = high or 0.4 * min(rate_hz, spec.sfreq_hz or rate_hz)
    grid = np.geomspace(low or top / 100, top, 201)
    step = 1e-4 * grid
    total = np.zeros(len(grid))
    for stage in stages(modality, spec, rate_hz):
        turned = np.angle(stage.response(grid + step) / stage.response(grid - step))
        total -= turned / (2 * np.pi * 2 * step)
    return float(total[len(grid) // 2]) if low else float(total[0]), float(total.max())


def hold(data: np.ndarray, lost: np.ndarray, last: np.ndarray) -> np.ndarray:
    """(C, N) with the sample before standing where one is *lost*; *last* (C,) stood before the first one."""
    if not lost.any():
        return data
    joined = np.concatenate([last[:, None], data], axis=1)
    place = np.where(np.pad(~lost, ((0, 0), (1, 0)), constant_values=True), np.arange(joined.shape[1]), 0)
    return np.take_along_axis(joined, np.maximum.accumulate(place, axis=1), axis=1)[:, 1:]


class Chain:
    """Everything between a sensor's grid and its ring buffer: gaps held, filtered, resampled, gaps marked again.

    Parameters
    ----------
    modality, spec, rate_hz : as for :func:`stages`
    first : int
        Number of the first sample, counted from the clock's zero at *rate_hz*.
    channels : int
        C.
    """

    def __init__(self, modality: str, spec: FilterParams, rate_hz: float, first: int, channels: int) -> None:
        self.stages = stages(modality, spec, rate_hz, first)
        ratio = ratio_of(rate_hz, spec.sfreq_hz or rate_hz)
        self.up, self.down = ratio.numerator, ratio.denominator
        self.next_in, self.next_out = first, -(-first * self.up // self.down)
        self.last = np.zeros(channels)

    def __call__(self, data: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """The next (C, N), NaN = lost → number of the first output, (C, M) float32 without NaN, lost (C, M) bool."""
        lost = np.isnan(data)
        held = hold(data.astype(np.float64), lost, self.last)
        last, first = self.next_in + data.shape[1], self.next_out
        self.last = held[:, -1] if held.shape[1] else self.last
        for stage in self.stages:
            held = stage(held)
        newest = np.arange(first, -(-last * self.up // self.down)) * self.down // self.up
        lost = lost[:, newest - self.next_in]
        self.next_in, self.next_out = last, first + len(newest)
        return first, held.astype(np.float32), lost


def causal_signal(modality: str, signal: Signal, spec: FilterParams) -> Signal:
    """A whole recording as the live filters see it: :func:`himoe.prepare.signals.clean_signal` without a future.

    EEG gets the common average reference; bad channels stay as they are. Signals start at 0 of the clock.
    """
    check_band(signal, replace(spec, band_hz=effective_band_hz(spec, signal.sfreq_hz)), f"causal filter of {modality}")
    chain = Chain(modality, spec, signal.sfreq_hz, 0, len(signal.data))
    _, data, lost = chain(signal.data)
    return Signal(referenced(modality, data, lost), spec.sfreq_hz or signal.sfreq_hz, signal.ch_names, signal.unit,
                  signal.start_s)


def referenced(modality: str, data: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """(C, N) with its gaps as NaN; EEG with its common average, and a gap only where too many channels are lost."""
    data = data.copy()
    if modality != "EEG":
        data[lost] = np.nan
        return data
    if len(data) >= MIN_REFERENCE:
        data -= data.mean(axis=0, keepdims=True)
    data[:, lost.mean(axis=0) > MAX_BAD_SHARE] = np.nan
    return data
