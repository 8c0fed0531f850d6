"""Features of windows against SciPy, textbook formulas and slow loops; gaps; scales."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal, stats

from himoe.core.errors import InputError
from himoe.prepare.features import (
    EEG_BANDS_HZ,
    FEATURES,
    GENEVA_32,
    feature_names,
    periodogram,
    projection,
    sine_tapers,
    window_features,
)

RATE_HZ = 128.0
TIME_S = np.arange(512) / RATE_HZ
MODALITIES = [*FEATURES, "GAZE", "FACE"]


def column(modality: str, data: np.ndarray, name: str, rate_hz: float = RATE_HZ) -> np.ndarray:
    """One feature (n,) by its name."""
    values, names = window_features(modality, data, rate_hz)
    return values[:, names.index(name)]


def with_gaps(data: np.ndarray, share: float, seed: int = 3) -> np.ndarray:
    """A copy in which each window and channel has lost one stretch of about that share, somewhere."""
    rng, gappy = np.random.default_rng(seed), data.astype(float).copy()
    width = round(share * data.shape[-1])
    for place in np.ndindex(*data.shape[:2]):
        first = rng.integers(data.shape[-1] - width + 1)
        gappy[(*place, slice(first, first + width))] = np.nan
    return gappy


@pytest.mark.parametrize("samples", [64, 65])
def test_periodogram_is_the_mean_of_scipys_over_sine_tapers(samples: int) -> None:
    data = np.random.default_rng(0).normal(size=(3, 2, samples)) + 5
    tapers = sine_tapers(samples, 3)
    np.testing.assert_allclose(tapers @ tapers.T, np.eye(3), atol=1e-12)
    frequency, power = periodogram(data, np.isfinite(data), 50.0)
    expected = [signal.periodogram(data, 50.0, window=taper, detrend="constant") for taper in tapers]
    np.testing.assert_allclose(frequency, expected[0][0])
    np.testing.assert_allclose(power, np.mean([p for _, p in expected], 0), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("colour", [0.0, 1.0])
def test_gaps_do_not_change_the_expected_power(colour: float) -> None:
    noise = np.fft.rfft(np.random.default_rng(0).normal(size=(1500, 2, 256)))
    noise *= np.maximum(np.fft.rfftfreq(256, 1 / 64), 4.0) ** (-colour / 2)  # flat below 4 Hz, as after a filter
    data = np.fft.irfft(noise)
    for band in ("theta", "alpha", "beta"):
        whole, gappy = (np.exp(column("EEG", d, f"{band}_0", 64.0)).mean() for d in (data, with_gaps(data, 0.3)))
        assert gappy == pytest.approx(whole, rel=0.08)


def test_band_power_rises_in_its_band_alone() -> None:
    rng = np.random.default_rng(0)
    for band, (low_hz, high_hz) in EEG_BANDS_HZ.items():
        quiet = rng.normal(size=(2, 3, 512))
        loud = quiet + 3 * np.sin(2 * np.pi * (low_hz + high_hz) / 2 * TIME_S)
        for other in EEG_BANDS_HZ:
            rise = column("EEG", loud, f"{other}_1") - column("EEG", quiet, f"{other}_1")
            assert (rise > 1).all() if other == band else (np.abs(rise) < 0.1).all()


def test_frontal_asymmetry_is_log_right_minus_log_left() -> None:
    data = np.random.default_rng(0).normal(size=(4, 32, 512))
    values, names = window_features("EEG", data, RATE_HZ)
    turned, turned_names = window_features("EEG", data[:, ::-1], RATE_HZ, GENEVA_32[::-1])
    right, left = (values[:, names.index(f"alpha_{name}")] for name in ("F4", "F3"))
    np.testing.assert_allclose(values[:, names.index("asymmetry_F4_F3")], right - left, rtol=1e-5)
    order = [turned_names.index(name) for name in names]
    np.testing.assert_allclose(values, turned[:, order], rtol=1e-4, atol=1e-4)
    assert not any("asymmetry" in name for name in feature_names("EEG", 5, 512, RATE_HZ))


@pytest.mark.parametrize("gaps", [False, True])
def test_level_and_slope_match_linear_regression(gaps: bool) -> None:
    data = np.random.default_rng(0).normal(size=(3, 2, 20)) + 30
    data = with_gaps(data, 0.3) if gaps else data
    found = {name: column("GAZE", data, f"{name}_1", 4.0) for name in ("mean", "sd", "slope")}
    for window in range(3):
        known = np.isfinite(data[window, 1])
        values = data[window, 1, known]
        assert found["mean"][window] == pytest.approx(values.mean())
        assert found["sd"][window] == pytest.approx(values.std(), rel=1e-4)
        slope = stats.linregress(np.arange(20)[known] / 4.0, values).slope
        assert found["slope"][window] == pytest.approx(slope, abs=1e-4)
        assert column("TEMP", data, "slope_1", 4.0)[window] == pytest.approx(slope, abs=1e-4)
    conductance = window_features("EDA", data, 4.0)
    assert np.sinh(conductance[0][:, 1]) == pytest.approx(found["mean"], rel=1e-4)
    assert conductance[0][:, 3] == pytest.approx(found["slope"] / found["mean"], rel=0.01)  # of a level far above 1


def test_eda_counts_rises_and_their_height() -> None:
    tonic = np.full((1, 2, 512), 4.0)
    tonic[0, 1] += sum(h * np.exp(-0.5 * ((TIME_S - s) / 0.3) ** 2) for s, h in ((1.0, 0.5), (2.7, 0.8), (2.0, 0.01)))
    assert column("EDA", tonic, "rise_rate_0")[0] == 0
    assert column("EDA", tonic, "log_rise_0")[0] == pytest.approx(np.log(0.01))
    assert np.isnan(column("EDA", tonic, "log_sd_0")[0])  # the logarithm of nothing
    assert column("EDA", tonic, "rise_rate_1")[0] == pytest.approx(2 / 4)
    assert np.exp(column("EDA", tonic, "log_rise_1")[0]) == pytest.approx(1.3, rel=0.2)
    assert column("EDA", tonic, "level_0")[0] == pytest.approx(np.arcsinh(4))
    bridged = tonic.copy()
    bridged[0, 1, 40:60] = np.nan  # before the first rise: a straight line over it changes nothing
    assert column("EDA", bridged, "log_rise_1")[0] == pytest.approx(column("EDA", tonic, "log_rise_1")[0], abs=1e-3)


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
            assert column("EDA", data, f"rise_rate_{channel}", 4.0)[window] == pytest.approx(len(kept) / 10)
            log_rise = column("EDA", data, f"log_rise_{channel}", 4.0)[window]
            assert log_rise == pytest.approx(np.log(0.01 + sum(heights)), rel=1e-4)


@pytest.mark.parametrize("breaths", [10.0, 24.0])
@pytest.mark.parametrize("gaps", [False, True])
def test_breathing_rate_and_depth(breaths: float, gaps: bool) -> None:
    """A sine on an offset is found exactly, whatever part of it is known."""
    wave = 7 + 2 * np.sin(2 * np.pi * breaths / 60 * np.arange(180) / 30 + 0.4)[None, None].repeat(3, 0)
    wave = with_gaps(wave, 0.35) if gaps else wave
    assert np.exp(column("RSP", wave, "log_rate_0", 30.0)) == pytest.approx([breaths] * 3, rel=1e-4)
    assert np.exp(column("RSP", wave, "log_depth_0", 30.0)) == pytest.approx([2] * 3, rel=1e-3)
    extent = np.nanmax(wave, -1) - np.nanmin(wave, -1)
    assert np.exp(column("RSP", wave, "log_range_0", 30.0)) == pytest.approx(extent[:, 0], rel=1e-3)


def test_breathing_equals_least_squares_line_by_line() -> None:
    data = with_gaps(np.random.default_rng(0).normal(size=(4, 2, 96)).cumsum(-1), 0.2)
    time_s = np.arange(96) / 16
    for window in range(4):
        for channel in range(2):
            known = np.isfinite(data[window, channel])
            fits = []
            for per_min in range(6, 37):
                phase = 2 * np.pi * per_min / 60 * time_s[known]
                design = np.stack([np.ones_like(phase), np.cos(phase), np.sin(phase)], 1)
                weights, error, *_ = np.linalg.lstsq(design, data[window, channel, known], rcond=None)
                fits.append((float(error[0]), per_min, float(np.hypot(*weights[1:]))))
            _, rate, depth = min(fits)
            assert np.exp(column("RSP", data, f"log_rate_{channel}", 16.0)[window]) == pytest.approx(rate, rel=1e-4)
            assert np.exp(column("RSP", data, f"log_depth_{channel}", 16.0)[window]) == pytest.approx(depth, rel=1e-3)


def test_emg_power_and_crossings() -> None:
    wave = np.stack([np.sin(2 * np.pi * 20 * TIME_S + 0.1), 10 * np.sin(2 * np.pi * 40 * TIME_S + 0.1)])[None] + 3
    for data in (wave, with_gaps(wave, 0.25)):
        assert column("EMG", data, "zero_crossings_0")[0] == pytest.approx(40, abs=1.5)
        assert column("EMG", data, "zero_crossings_1")[0] == pytest.approx(80, abs=1.5)
        assert column("EMG", data, "log_rms_1")[0] == pytest.approx(np.log(10 / np.sqrt(2)), abs=0.01)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("noise", [0.1, 1e-6])
def test_blinks_are_counted(sign: int, noise: float) -> None:
    data = noise * np.random.default_rng(0).normal(size=(1, 2, 512))
    data[0, 1] += sign * sum(5 * np.exp(-0.5 * ((TIME_S - s) / 0.05) ** 2) for s in (0.8, 2.0, 3.1))
    assert column("EOG", data, "blink_rate_1")[0] == pytest.approx(3 / 4)
    if noise == 0.1:
        assert column("EOG", data, "blink_rate_0")[0] == 0
        assert column("EOG", data, "log_sd_0")[0] == pytest.approx(np.log(0.1), abs=0.1)


def face_windows(count: int, channels: int, frames: int) -> np.ndarray:
    """Windows of which some frames have no face (NaN), and the last window has none with a face."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(count, channels, frames)) + 1
    data[np.broadcast_to((rng.random((count, frames)) < 0.3)[:, None], data.shape)] = np.nan
    data[-1] = np.nan
    return data


@pytest.mark.parametrize("channels,numbers", [(1280, 24), (65, 24), (64, 64), (5, 5)])
def test_face_features_equal_a_loop_over_known_frames(channels: int, numbers: int) -> None:
    data = face_windows(6, channels, 8)
    values, names = window_features("FACE", data, 2.0)
    assert names == (*(f"mean_{k}" for k in range(numbers)), "spread_0", "known_0")
    assert names == feature_names("FACE", channels, 8, 2.0)
    for window, row in zip(data[:-1], values, strict=False):
        frames = [frame for frame in window.T if np.isfinite(frame).all()]
        mean = np.mean(frames, 0)
        seen = np.array([f if channels <= 64 else f @ projection(channels) for f in frames])
        np.testing.assert_allclose(row[:numbers], mean if channels <= 64 else mean @ projection(channels),
                                   rtol=1e-4, atol=1e-5)
        assert row[-2] == pytest.approx(np.sqrt(np.mean([np.var(values) for values in seen.T])), rel=1e-4)
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


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("samples,rate_hz", [(1, 1.0), (2, 0.5), (7, 4.0), (300, 64.0)])
def test_any_window_gives_the_announced_features(modality: str, samples: int, rate_hz: float) -> None:
    data = np.random.default_rng(0).normal(size=(4, 3, samples))
    values, names = window_features(modality, data, rate_hz, ("a", "b", "c"))
    assert names == feature_names(modality, 3, samples, rate_hz, ("a", "b", "c"))
    assert len(set(names)) == len(names)
    assert values.shape == (4, len(names))
    assert values.dtype == np.float32
    assert not np.isinf(values).any()
    for other in (0 * data, np.full_like(data, np.nan), data[:0]):
        assert window_features(modality, other, rate_hz, ("a", "b", "c"))[1] == names
    assert samples < 7 or np.isfinite(values).any()  # one sample has no logarithm of a spread


@pytest.mark.parametrize("modality", [m for m in MODALITIES if m != "FACE"])
def test_a_mostly_missing_channel_says_nothing_and_changes_no_other(modality: str) -> None:
    data = np.random.default_rng(0).normal(size=(4, 3, 512)).cumsum(-1)
    values, names = window_features(modality, data, 64.0)
    lost = data.copy()
    lost[2, 1, :260] = np.nan
    found, _ = window_features(modality, lost, 64.0)
    hit = np.zeros(values.shape, dtype=bool)
    hit[2] = [name.endswith("_1") for name in names]
    assert np.isnan(found[hit]).all()
    np.testing.assert_allclose(found[~hit], values[~hit], rtol=1e-4, atol=1e-5)
    alone, _ = window_features(modality, lost[2:3], 64.0)
    np.testing.assert_allclose(alone[0], found[2], rtol=1e-4, atol=1e-5)  # a window's features are its own


@pytest.mark.parametrize("modality", ["EEG", "EMG", "EOG", "PPG", "ECG", "RSP"])
def test_scaling_a_signal_moves_its_logarithms_and_nothing_else(modality: str) -> None:
    data = np.random.default_rng(0).normal(size=(3, 2, 512)).cumsum(-1)
    values, names = window_features(modality, data, 64.0)
    scaled, _ = window_features(modality, 8 * data, 64.0)
    power = 2 if modality == "EEG" else 1
    moved = np.array([name.startswith(("log_sd", "log_rms_", "log_depth", "log_range", *EEG_BANDS_HZ))
                      for name in names])
    np.testing.assert_allclose((scaled - values)[:, moved], power * np.log(8), rtol=1e-4)
    np.testing.assert_allclose(scaled[:, ~moved], values[:, ~moved], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("modality,shape,rate_hz,word", [
    ("BRAIN", (2, 3, 4), 4.0, "BRAIN"), ("EEG", (3, 4), 4.0, "shape"), ("EEG", (2, 3, 4), 0.0, "rate")])
def test_bad_input(modality: str, shape: tuple[int, ...], rate_hz: float, word: str) -> None:
    with pytest.raises(InputError, match=word):
        window_features(modality, np.zeros(shape), rate_hz)
    with pytest.raises(InputError, match="names"):
        window_features("EEG", np.zeros((2, 3, 4)), 4.0, ["Fz"])
