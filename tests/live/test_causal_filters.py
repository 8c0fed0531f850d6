"""Causal filters against SciPy and MNE: same magnitude as offline, delay as stated, no future, no seams."""

from __future__ import annotations

import mne
import numpy as np
import pytest
from scipy.signal import butter, firwin, freqz, sosfreqz, upfirdn

from himoe.core.errors import InputError
from himoe.core.params import FilterParams
from himoe.core.recordings import Signal
from himoe.live.filters import Chain, Fir, causal_signal, delays_s, grid_hz, hold, resampling_taps, stages
from himoe.prepare.signals import clean_signal

CASES = [("EMG", FilterParams(128, (20, 45)), 512.0), ("EDA", FilterParams(8, (None, 2)), 500.0),
         ("RSP", FilterParams(16, (0.05, 2)), 64.0), ("PPG", FilterParams(100, (0.5, 8)), 64.0),
         ("TEMP", FilterParams(4, (None, 1)), 4.0), ("EEG", FilterParams(128, (4, 45)), 512.0)]


@pytest.mark.parametrize(("modality", "spec", "rate"), CASES)
def test_the_magnitude_is_the_offline_filter_s(modality: str, spec: FilterParams, rate: float) -> None:
    frequency = np.linspace(0.02, 0.49 * min(rate, spec.sfreq_hz or rate), 400)
    found = np.ones(400, dtype=complex)
    for stage in stages(modality, spec, rate):
        found *= stage.response(frequency)
    low, high = spec.band_hz
    if modality == "EEG":
        taps = mne.filter.create_filter(None, rate, low, high, fir_design="firwin", verbose="error")
        expected = np.abs(freqz(taps, worN=frequency, fs=rate)[1])
    else:  # forward and backward: the square of once
        kind, edges = ("bandpass", [low, high]) if low else ("lowpass", high)
        sos = butter(2, edges, kind, fs=rate, output="sos")
        expected = np.abs(sosfreqz(sos, worN=frequency, fs=rate)[1]) ** 2
    if rate != spec.sfreq_hz:
        ratio = {512.0: (1, 4), 500.0: (2, 125), 64.0: (1, 4) if spec.sfreq_hz == 16 else (25, 16)}[rate]
        taps = firwin(20 * max(ratio) + 1, 1 / max(ratio), window=("kaiser", 5.0))
        expected = expected * np.abs(freqz(taps, worN=frequency, fs=rate * ratio[0])[1])
    np.testing.assert_allclose(np.abs(found), expected, atol=5e-3)


def test_the_resampler_is_scipy_s_upfirdn() -> None:
    data = np.random.default_rng(0).standard_normal((3, 211))
    up, down = 5, 3
    taps = resampling_taps(up, down)
    filtered = Fir(taps, 12.0, up, down)
    found = np.concatenate([filtered(part) for part in np.split(data, [1, 2, 60, 100], axis=1)], axis=1)
    before = np.repeat(data[:, :1], 300, axis=1)  # the first sample stood there before: outputs from 0 on follow
    expected = upfirdn(taps, np.concatenate([before, data], axis=1), up, down, axis=1)[:, 300 * up // down:]
    assert found.shape == (3, -(-211 * 5 // 3))
    np.testing.assert_allclose(found, expected[:, :found.shape[1]], atol=1e-9)


@pytest.mark.parametrize(("modality", "spec", "rate"), CASES)
def test_a_slow_beat_comes_late_by_the_stated_delay(modality: str, spec: FilterParams, rate: float) -> None:
    """A carrier in the middle of the band whose size changes slowly: the change is late by the group delay."""
    low, high = spec.band_hz
    assert high is not None
    carrier = np.sqrt(low * high) if low else high / 100
    stated, longest = delays_s(modality, spec, rate)
    assert 0 <= stated <= longest + 1e-12
    step = carrier / 200 if low else carrier / 2
    frequency = np.array([carrier - step, carrier + step])
    gain = np.prod([stage.response(frequency) for stage in stages(modality, spec, rate)], axis=0)
    turned = np.angle(gain[1] / gain[0])
    assert -turned / (2 * np.pi * 2 * step) == pytest.approx(stated, rel=0.05, abs=1e-4)


def test_chunks_have_no_seams_and_know_no_future() -> None:
    rng = np.random.default_rng(1)
    data = rng.standard_normal((2, 3000)) + 100
    data[0, 700:760] = np.nan
    whole = Chain("EMG", FilterParams(128, (20, 45)), 512, 0, 2)(data)
    chain = Chain("EMG", FilterParams(128, (20, 45)), 512, 0, 2)
    parts = [chain(part) for part in np.split(data, [1, 5, 730, 2049], axis=1)]
    assert [part[0] for part in parts] == [0, 1, 2, 183, 513]
    np.testing.assert_allclose(np.concatenate([part[1] for part in parts], axis=1), whole[1], atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([part[2] for part in parts], axis=1), whole[2])
    assert whole[2].sum() == 15  # 60 samples of 512 Hz, in one channel
    other = data.copy()
    other[:, 2000:] = 5
    np.testing.assert_array_equal(Chain("EMG", FilterParams(128, (20, 45)), 512, 0, 2)(other)[1][:, :500],
                                  whole[1][:, :500])


def test_a_step_at_the_start_leaves_no_transient_and_a_late_start_keeps_the_grid() -> None:
    spec = FilterParams(8, (None, 2))
    first, data, _ = Chain("EDA", spec, 20, 7, 1)(np.full((1, 50), 3.5))
    assert first == 3  # 7 / 20 s lies between 2 / 8 and 3 / 8 s
    np.testing.assert_allclose(data, 3.5, rtol=1e-4)  # as far as SciPy's resampler keeps a constant


def test_a_smooth_signal_is_the_offline_one_moved_by_the_delay() -> None:
    rate, spec = 32.0, FilterParams(8, (None, 2))
    time_s = np.arange(0, 40, 1 / rate)
    signal = Signal((5 + np.sin(2 * np.pi * 0.1 * time_s)[None]).astype(np.float32), rate, ("GSR",), "uS")
    live, offline = causal_signal("EDA", signal, spec), clean_signal(signal, spec)
    later = np.arange(80, 240) / 8 - delays_s("EDA", spec, rate)[0]
    expected = np.interp(later, np.arange(320) / 8, offline.data[0])
    np.testing.assert_allclose(live.data[0, 80:240], expected, atol=2e-3)


def test_odd_rates_go_to_a_grid_of_small_factors() -> None:
    assert grid_hz(512, 128) == 512
    assert grid_hz(255.93, 128) == pytest.approx(255.93, rel=2e-3)
    assert grid_hz(100, 128) == 100


def test_lost_samples_hold_the_one_before() -> None:
    data = np.array([[1.0, np.nan, np.nan, 4], [np.nan, 6, np.nan, np.nan]])
    np.testing.assert_array_equal(hold(data, np.isnan(data), np.array([9.0, 7])), [[1, 1, 1, 4], [7, 6, 6, 6]])


def test_a_band_that_the_rate_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"causal filter of EMG: band_hz: found 45 Hz"):
        causal_signal("EMG", Signal(np.zeros((1, 99), np.float32), 80.0, ("zEMG",), "uV"), FilterParams(64, (20, 45)))
