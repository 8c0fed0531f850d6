"""Heart beats: against NeuroKit's finders on its simulated signals, and beats whose times are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from himoe.prepare.beats import DETECTORS, find_beats, rhythm

WIDTH_S = {"PPG": 0.12, "ECG": 0.015}


def beats_at(modality: str, times_s: np.ndarray, duration_s: float, rate_hz: float) -> np.ndarray:
    """A wave (N,) of equal bumps at known times, with a little noise."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    wave = np.exp(-0.5 * ((time_s[:, None] - times_s) / WIDTH_S[modality]) ** 2).sum(1)
    return wave + 0.001 * np.random.default_rng(0).normal(size=len(wave))


@pytest.mark.parametrize("modality", ["PPG", "ECG"])
@pytest.mark.parametrize("rate_bpm", [55, 75, 110])
def test_windows_agree_with_neurokit_on_the_whole_recording(modality: str, rate_bpm: int) -> None:
    import neurokit2 as nk

    make, find, key = ((nk.ppg_simulate, nk.ppg_findpeaks, "PPG_Peaks") if modality == "PPG" else
                       (nk.ecg_simulate, nk.ecg_findpeaks, "ECG_R_Peaks"))
    long = np.asarray(make(duration=90, sampling_rate=512, heart_rate=rate_bpm, random_state=1))
    cleaned = nk.signal_filter(long, 512, 0.5, 8) if modality == "PPG" else long
    beats_s = np.asarray(find(cleaned, sampling_rate=512)[key]) / 512
    starts_s = np.arange(0, 84, 3)
    signal = resample_poly(long, 1, 8)  # 64 Hz
    windows = np.stack([signal[64 * s:64 * s + 320] for s in starts_s])
    windows = windows + 0.02 * signal.std() * np.random.default_rng(0).normal(size=windows.shape)
    rate, rmssd = rhythm(windows, np.ones(windows.shape, bool), 64.0, DETECTORS[modality])
    inside = [np.diff(beats_s[(beats_s >= s) & (beats_s < s + 5)]) for s in starts_s]
    assert np.median(np.abs(rate - [60 / d.mean() for d in inside])) < 0.5
    expected = np.array([np.sqrt((np.diff(d) ** 2).mean()) for d in inside])
    assert np.median(np.abs(rmssd - expected)) < 0.008
    assert np.isfinite(rate).all()


@pytest.mark.parametrize("modality", ["PPG", "ECG"])
@pytest.mark.parametrize("difference_s", [0.0, 0.15])
@pytest.mark.parametrize("rate_hz", [32.0, 128.0])
def test_rhythm_of_equal_and_unequal_beats(modality: str, difference_s: float, rate_hz: float) -> None:
    """Intervals that alternate about 0.9 s: rate 60 / 0.9, RMSSD their difference, to a third of a sample at 32 Hz."""
    half = difference_s / 2
    times_s = 0.6 + np.cumsum([0, 0.9 - half, 0.9 + half, 0.9 - half, 0.9 + half])
    wave = beats_at(modality, times_s, 5.2, rate_hz)[None]
    rate, rmssd = rhythm(wave, np.ones(wave.shape, bool), rate_hz, DETECTORS[modality])
    assert rate[0] == pytest.approx(60 / 0.9, abs=0.3)
    assert rmssd[0] == pytest.approx(difference_s, abs=0.01)
    _, found = find_beats(wave, rate_hz, DETECTORS[modality])
    np.testing.assert_allclose(found / rate_hz, times_s, atol=0.008)


@pytest.mark.parametrize("modality", ["PPG", "ECG"])
def test_a_gap_takes_intervals_away_and_never_makes_a_long_one(modality: str) -> None:
    times_s = np.arange(0.5, 7.8, 0.8)
    wave = beats_at(modality, times_s, 8.0, 64.0)[None].repeat(3, 0)
    known = np.ones(wave.shape, bool)
    known[1, 170:235] = False  # from 2.66 s: the beats at 2.9 s and 3.7 s (by its border) are lost
    known[2, 60:] = False  # one beat is left
    bridged = np.where(known, wave, wave[:, [160]])
    rate, rmssd = rhythm(bridged, known, 64.0, DETECTORS[modality])
    assert rate[:2] == pytest.approx([75, 75], abs=0.5)
    assert rmssd[:2] == pytest.approx([0, 0], abs=0.006)
    assert np.isnan(rate[2])
    assert np.isnan(rmssd[2])


def test_a_missed_beat_does_not_halve_the_rate() -> None:
    times_s = np.delete(np.arange(0.5, 7.8, 0.8), 4)
    wave = beats_at("PPG", times_s, 8.0, 64.0)[None]
    rate, rmssd = rhythm(wave, np.ones(wave.shape, bool), 64.0, DETECTORS["PPG"])
    assert rate[0] == pytest.approx(75, abs=0.5)
    assert rmssd[0] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("modality", ["PPG", "ECG"])
def test_rows_do_not_mix_and_a_flat_row_has_no_rhythm(modality: str) -> None:
    slow, fast = (beats_at(modality, np.arange(0.5, 5.5, 60 / bpm), 6.0, 64.0) for bpm in (60, 100))
    rows = np.stack([np.zeros(384), slow, fast, np.zeros(384), slow])
    rate, rmssd = rhythm(rows, np.ones(rows.shape, bool), 64.0, DETECTORS[modality])
    assert rate[[1, 2, 4]] == pytest.approx([60, 100, 60], abs=0.5)
    assert np.isnan(rate[[0, 3]]).all()
    assert np.isnan(rmssd[[0, 3]]).all()
    assert np.isnan(rhythm(rows[:1], np.ones((1, 384), bool), 64.0, DETECTORS[modality])[0]).all()
