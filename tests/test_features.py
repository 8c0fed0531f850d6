from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import signal, stats

from himoe.errors import InputError
from himoe.features import EEG_BANDS_HZ, GENEVA_32, feature_names, periodogram, projection, window_features

RATE_HZ = 128.0
TIME_S = np.arange(512) / RATE_HZ


def _column(modality: str, data: np.ndarray, name: str, rate_hz: float = RATE_HZ) -> np.ndarray:
    values, names = window_features(modality, data, rate_hz)
    return values[:, names.index(f"{modality}_{name}")]


@pytest.mark.parametrize("samples", [64, 65])
def test_periodogram_equals_scipy(samples: int) -> None:
    data = np.random.default_rng(0).normal(size=(3, 2, samples)) + 5
    frequency, power = periodogram(data, 50.0)
    expected_frequency, expected = signal.periodogram(data, 50.0, window="hann", detrend="constant")
    np.testing.assert_allclose(frequency, expected_frequency)
    np.testing.assert_allclose(power, expected, rtol=1e-9, atol=1e-15)


def test_band_power_rises_in_its_band_alone() -> None:
    rng = np.random.default_rng(0)
    for band, (low_hz, high_hz) in EEG_BANDS_HZ.items():
        quiet = rng.normal(size=(2, 3, 512))
        loud = quiet + 3 * np.sin(2 * np.pi * (low_hz + high_hz) / 2 * TIME_S)
        for other in EEG_BANDS_HZ:
            rise = _column("EEG", loud, f"{other}_1") - _column("EEG", quiet, f"{other}_1")
            assert (rise > 1).all() if other == band else (np.abs(rise) < 0.1).all()


def test_frontal_asymmetry_is_log_right_minus_log_left() -> None:
    data = np.random.default_rng(0).normal(size=(4, 32, 512))
    values, names = window_features("EEG", data, RATE_HZ)
    named, same_names = window_features("EEG", data[:, ::-1], RATE_HZ, GENEVA_32[::-1])
    right = values[:, names.index(f"EEG_alpha_{GENEVA_32.index('F4')}")]
    left = values[:, names.index(f"EEG_alpha_{GENEVA_32.index('F3')}")]
    np.testing.assert_allclose(values[:, names.index("EEG_asymmetry_F4_F3")], right - left, rtol=1e-5)
    assert names == same_names
    np.testing.assert_allclose(values[:, -3:], named[:, -3:], rtol=1e-5)
    assert not any("asymmetry" in name for name in feature_names("EEG", 5, 512, RATE_HZ))


def test_level_and_slope_match_linear_regression() -> None:
    data = np.random.default_rng(0).normal(size=(3, 2, 20)) + 30
    for window in range(3):
        for channel in range(2):
            fit = stats.linregress(np.arange(20) / 4.0, data[window, channel])
            assert _column("TEMP", data, f"slope_{channel}", 4.0)[window] == pytest.approx(fit.slope, abs=1e-4)
            assert _column("TEMP", data, f"mean_{channel}", 4.0)[window] == pytest.approx(data[window, channel].mean())
            assert _column("TEMP", data, f"sd_{channel}", 4.0)[window] == pytest.approx(data[window, channel].std())


@pytest.mark.parametrize("modality", ["PPG", "ECG"])
@pytest.mark.parametrize("rate_bpm", [60.0, 96.0])
def test_heart_rate_of_simulated_beats(modality: str, rate_bpm: float) -> None:
    import neurokit2

    make = neurokit2.ppg_simulate if modality == "PPG" else neurokit2.ecg_simulate
    options = {"ibi_randomness": 0.0, "frequency_modulation": 0.0} if modality == "PPG" else {"heart_rate_std": 0}
    long = make(duration=20, sampling_rate=128, heart_rate=rate_bpm, random_state=1, **options)
    data = np.stack([long[start:start + 1024] for start in (300, 700, 1100)])[:, None]
    rate = _column(modality, data, "rate_0")
    assert np.abs(rate - rate_bpm).max() < 3


@pytest.mark.parametrize("modality,width_s", [("PPG", 0.12), ("ECG", 0.015)])
@pytest.mark.parametrize("difference_s", [0.0, 0.2])
def test_rmssd_of_equal_and_unequal_beats(modality: str, width_s: float, difference_s: float) -> None:
    """Beats whose intervals alternate about 0.9 s: rate 60/0.9, RMSSD their difference (within 2 samples)."""
    wave = np.zeros(128 * 6)
    half = difference_s / 2
    for beat_s in 1.0 + np.cumsum([0, 0.9 - half, 0.9 + half, 0.9 - half, 0.9 + half]):
        wave += np.exp(-0.5 * ((np.arange(len(wave)) / 128 - beat_s) / width_s) ** 2)
    data = (wave + 0.001 * np.random.default_rng(0).normal(size=len(wave)))[None, None]
    assert _column(modality, data, "rate_0")[0] == pytest.approx(60 / 0.9, abs=1)
    assert _column(modality, data, "rmssd_0")[0] == pytest.approx(difference_s, abs=2 / 128)


@pytest.mark.parametrize("modality", ["PPG", "ECG"])
def test_no_beats_is_nan_not_an_error(modality: str) -> None:
    flat = np.zeros((2, 1, 512))
    assert np.isnan(_column(modality, flat, "rate_0")).all()
    assert np.isnan(_column(modality, np.ones((2, 1, 3)), "rate_0", 4.0)).all()


def test_eda_counts_rises_and_their_height() -> None:
    tonic = np.full((1, 2, 512), 4.0)
    tonic[0, 1] += sum(h * np.exp(-0.5 * ((TIME_S - s) / 0.3) ** 2) for s, h in ((1.0, 0.5), (2.7, 0.8), (2.0, 0.01)))
    assert _column("EDA", tonic, "peak_rate_0")[0] == 0
    assert _column("EDA", tonic, "peak_height_0")[0] == 0
    assert _column("EDA", tonic, "peak_rate_1")[0] == pytest.approx(2 / 4)
    assert _column("EDA", tonic, "peak_height_1")[0] == pytest.approx(1.3, rel=0.2)
    assert _column("EDA", tonic, "mean_0")[0] == 4


def test_eda_rises_match_a_loop() -> None:
    from scipy.ndimage import uniform_filter1d

    data = np.random.default_rng(0).normal(size=(5, 2, 40)).cumsum(-1) * 0.05
    for window in range(5):
        for channel in range(2):
            smooth = uniform_filter1d(data[window, channel].astype(np.float32), 2, mode="nearest").astype(float)
            heights, height = [], 0.0
            for step in [*np.diff(smooth), -1.0]:
                if step > 0:
                    height += step
                else:
                    heights, height = [*heights, height], 0.0
            kept = [h for h in heights if h >= 0.05]
            assert kept
            assert _column("EDA", data, f"peak_rate_{channel}", 4.0)[window] == pytest.approx(len(kept) / 10)
            assert _column("EDA", data, f"peak_height_{channel}", 4.0)[window] == pytest.approx(sum(kept), rel=1e-4)


@pytest.mark.parametrize("breaths", [12.0, 24.0])
def test_breathing_rate(breaths: float) -> None:
    wave = 2 * np.sin(2 * np.pi * breaths / 60 * np.arange(900) / 30)[None, None]
    assert _column("RSP", wave, "rate_0", 30.0)[0] == pytest.approx(breaths, abs=1)
    assert _column("RSP", wave, "range_0", 30.0)[0] == pytest.approx(4, rel=0.01)


def test_emg_power_and_crossings() -> None:
    wave = np.stack([np.sin(2 * np.pi * 20 * TIME_S + 0.1), 10 * np.sin(2 * np.pi * 40 * TIME_S + 0.1)])[None]
    assert _column("EMG", wave, "zero_crossings_0")[0] == pytest.approx(40, abs=1)
    assert _column("EMG", wave, "zero_crossings_1")[0] == pytest.approx(80, abs=1)
    assert _column("EMG", wave, "log_rms_1")[0] == pytest.approx(np.log(10 / np.sqrt(2)), abs=0.01)


def test_blinks_are_counted() -> None:
    data = 0.1 * np.random.default_rng(0).normal(size=(1, 2, 512))
    data[0, 1] += sum(5 * np.exp(-0.5 * ((TIME_S - s) / 0.05) ** 2) for s in (0.8, 2.0, 3.1))
    assert _column("EOG", data, "blink_rate_1")[0] == pytest.approx(3 / 4)


def _face_windows(count: int, channels: int, frames: int) -> np.ndarray:
    """Windows of which some frames are 0 (no face), and the last window has none with a face."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(count, channels, frames)) + 1
    data[np.broadcast_to((rng.random((count, frames)) < 0.3)[:, None], data.shape)] = 0
    data[-1] = 0
    return data


@pytest.mark.parametrize("channels,numbers", [(1280, 24), (65, 24), (64, 64), (5, 5)])
def test_face_features_equal_a_loop_over_known_frames(channels: int, numbers: int) -> None:
    data = _face_windows(6, channels, 8)
    values, names = window_features("FACE", data, 2.0)
    assert names == (*(f"FACE_mean_{k}" for k in range(numbers)), "FACE_spread_0", "FACE_known_0")
    assert names == feature_names("FACE", channels, 8, 2.0)
    for window, row in zip(data[:-1], values, strict=False):
        frames = [frame for frame in window.T if (frame != 0).any()]
        mean = np.mean(frames, 0)
        seen = np.array([f if channels <= 64 else f @ projection(channels) for f in frames])
        np.testing.assert_allclose(row[:numbers], mean if channels <= 64 else mean @ projection(channels),
                                   rtol=1e-4, atol=1e-5)
        assert row[-2] == pytest.approx(np.sqrt(np.mean([np.var(column) for column in seen.T])), rel=1e-4)
        assert row[-1] == pytest.approx(len(frames) / 8)
    assert np.isnan(values[-1, :-1]).all()
    assert values[-1, -1] == 0


def test_the_face_projection_is_fixed_and_keeps_distances() -> None:
    matrix = projection(1280)
    assert matrix.shape == (1280, 24)
    np.testing.assert_array_equal(matrix, projection.__wrapped__(1280))
    vectors = np.random.default_rng(3).normal(size=(300, 1280))
    ratio = np.linalg.norm(vectors @ matrix, axis=1) / np.linalg.norm(vectors, axis=1)
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert ratio.std() == pytest.approx(1 / np.sqrt(2 * 24), rel=0.2)


@pytest.mark.parametrize("modality", ["EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "ECG", "TEMP", "GAZE", "FACE"])
@pytest.mark.parametrize("samples,rate_hz", [(1, 1.0), (2, 0.5), (7, 4.0), (300, 64.0)])
def test_any_window_gives_the_announced_features(modality: str, samples: int, rate_hz: float) -> None:
    data = np.random.default_rng(0).normal(size=(4, 3, samples))
    values, names = window_features(modality, data, rate_hz)
    assert names == feature_names(modality, 3, samples, rate_hz)
    assert len(set(names)) == len(names)
    assert values.shape == (4, len(names))
    assert values.dtype == np.float32
    assert not np.isinf(values).any()
    assert np.isfinite(window_features(modality, np.zeros((4, 3, samples)), rate_hz)[0]).any()


@pytest.mark.parametrize("modality,shape,rate_hz,word", [
    ("BRAIN", (2, 3, 4), 4.0, "BRAIN"), ("EEG", (3, 4), 4.0, "shape"), ("EEG", (2, 3, 4), 0.0, "rate")])
def test_bad_input(modality: str, shape: tuple[int, ...], rate_hz: float, word: str) -> None:
    with pytest.raises(InputError, match=word):
        window_features(modality, np.zeros(shape), rate_hz)
    with pytest.raises(InputError, match="names"):
        window_features("EEG", np.zeros((2, 3, 4)), 4.0, ["Fz"])


def test_a_deap_window_takes_about_a_millisecond() -> None:
    rng = np.random.default_rng(0)
    channels = {"EEG": 32, "EOG": 2, "EMG": 2, "EDA": 1, "RSP": 1, "PPG": 1, "TEMP": 1}
    data = {m: rng.normal(size=(200, c, 512)) for m, c in channels.items()}
    window_features("PPG", data["PPG"][:1], RATE_HZ)  # first import
    start = time.process_time()
    for modality, windows in data.items():
        window_features(modality, windows, RATE_HZ)
    assert (time.process_time() - start) / 200 < 5e-3  # five times the usual: a shared machine is not a stopwatch
