"""Filters against scipy and known sinusoids; gaps stay gaps; bad channels are repaired."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from himoe.core.errors import InputError
from himoe.core.params import FilterParams
from himoe.core.recordings import Session, Signal, Trial
from himoe.prepare.signals import (
    bad_channels,
    band_notes,
    clean_eeg,
    clean_signal,
    effective_band_hz,
    fill_gaps,
    interpolate_channels,
    preprocess_session,
    reference_notes,
    repair_eeg,
    standard_places,
)

NAMES = ("Fp1", "F3", "C3", "P3", "O1", "Fp2", "F4", "C4", "P4", "O2", "Cz")


def eeg(n_samples: int = 5120, sfreq_hz: float = 512.0, seed: int = 0) -> Signal:
    data = np.random.default_rng(seed).standard_normal((len(NAMES), n_samples)) * 10
    return Signal(data.astype(np.float32), sfreq_hz, NAMES, "uV")


def sine(frequency_hz: float, sfreq_hz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * sfreq_hz)) / sfreq_hz)


def test_the_filter_is_scipys_zero_phase_butterworth() -> None:
    data = np.random.default_rng(1).standard_normal((2, 3000)).astype(np.float32)
    ours = clean_signal(Signal(data, 100.0, ("a", "b"), "V"), FilterParams(None, (1.0, 10.0))).data
    sos = butter(2, [1.0, 10.0], "bandpass", fs=100.0, output="sos")
    np.testing.assert_allclose(ours[:, 300:-300], sosfiltfilt(sos, data, axis=1)[:, 300:-300], atol=1e-3)


def test_resampling_keeps_a_slow_sine_in_place() -> None:
    data = sine(1.0, 512.0, 30)[None].astype(np.float32)
    ours = clean_signal(Signal(data, 512.0, ("a",), "V"), FilterParams(16.0, (None, 4.0)))
    assert ours.sfreq_hz == 16.0
    np.testing.assert_allclose(ours.data[0, 48:-48], sine(1.0, 16.0, 30)[48:-48], atol=0.02)


def test_eeg_band_removes_drift_and_line_noise_and_keeps_alpha() -> None:
    signal = eeg(512 * 20)
    time_s = np.arange(signal.data.shape[1]) / 512.0
    pattern = np.linspace(-1, 1, len(NAMES))[:, None]
    mix = pattern * (20 * np.sin(2 * np.pi * 10 * time_s) + 500 * np.sin(2 * np.pi * 0.5 * time_s)
                     + 100 * np.sin(2 * np.pi * 60 * time_s))
    cleaned = clean_eeg(Signal(mix.astype(np.float32), 512.0, NAMES, "uV"), FilterParams(128.0, (4.0, 45.0)))
    spectrum = np.abs(np.fft.rfft(cleaned.data[0, 256:-256] * np.hanning(cleaned.data.shape[1] - 512)))
    peaks = np.fft.rfftfreq(cleaned.data.shape[1] - 512, 1 / 128)
    alpha = spectrum[np.argmin(abs(peaks - 10))]
    for frequency_hz, amplitude in ((0.5, 500 / 20), (60, 100 / 20)):  # both at least 40 dB down on what went in
        assert spectrum[np.argmin(abs(peaks - frequency_hz))] < 0.01 * amplitude * alpha
    np.testing.assert_allclose(cleaned.data.mean(axis=0), 0, atol=1e-3)  # common average reference


def test_gaps_come_back_as_gaps() -> None:
    data = sine(0.5, 64.0, 20)[None].astype(np.float32)
    data[0, 320:640] = np.nan
    cleaned = clean_signal(Signal(data, 64.0, ("a",), "V"), FilterParams(8.0, (None, 2.0)))
    assert np.isnan(cleaned.data[0, 40:80]).all()
    assert np.isfinite(np.delete(cleaned.data[0], np.arange(40, 80))).all()


def test_all_gap_stays_all_gap_at_the_new_rate() -> None:
    lost = Signal(np.full((2, 512), np.nan, np.float32), 64.0, ("a", "b"), "V")
    assert clean_signal(lost, FilterParams(8.0, (None, 2.0))).data.shape == (2, 64)
    assert np.isnan(clean_signal(lost, FilterParams(8.0)).data).all()


def test_fill_gaps_draws_straight_lines() -> None:
    data = np.array([[0, np.nan, np.nan, 3, np.nan], [np.nan] * 5, [1, 2, 3, 4, 5]], np.float32)
    assert fill_gaps(data).tolist() == [[0, 1, 2, 3, 3], [0] * 5, [1, 2, 3, 4, 5]]


@pytest.mark.parametrize(("factor", "is_bad"), [(0.0, True), (1e3, True), (1e-3, True), (1.3, False)])
def test_flat_dead_and_loud_channels_are_bad(factor: float, is_bad: bool) -> None:
    signal = eeg()
    signal.data[4] *= factor
    bad = bad_channels(signal.data, np.zeros(signal.data.shape, bool))
    assert bad[4] == is_bad
    assert not np.delete(bad, 4).any()


def test_a_bad_channel_is_interpolated_from_its_neighbours() -> None:
    time_s = np.arange(512 * 10) / 512.0
    rng = np.random.default_rng(3)
    common = rng.standard_normal(time_s.size)
    weights = np.linspace(0.6, 1.4, len(NAMES))[:, None]
    data = (10 * weights * common + 0.5 * rng.standard_normal((len(NAMES), time_s.size))).astype(np.float32)
    broken = data.copy()
    broken[2] = 0.0
    spec = FilterParams(128.0, (4.0, 45.0))
    whole, repaired = (clean_eeg(Signal(d, 512.0, NAMES, "uV"), spec).data for d in (data, broken))
    assert np.abs(repaired[2]).max() > 0
    error = np.sqrt(np.mean((whole[2] - repaired[2]) ** 2)) / np.sqrt(np.mean(whole**2))
    assert error < 1.0
    assert np.isfinite(repaired).all()


def test_filters_run_before_cutting() -> None:
    """A step just outside the trial must not ring at the trial's edge as it would in a filter after the cut."""
    session = Session("s01", {"EDA": Signal(np.ones((1, 4000), np.float32), 64.0, ("a",), "uS")},
                      (Trial("t1", "c1", 10.0, 20.0, {"valence": 3.0}), Trial("t2", "c2", 35.0, 20.0, {})))
    cut = list(preprocess_session(session, {"EDA": FilterParams(8.0, (None, 2.0))}))
    assert [r.trial for r in cut] == ["t1", "t2"]
    assert cut[0].signals["EDA"].data.shape == (1, 160)
    np.testing.assert_allclose(cut[0].signals["EDA"].data, 1.0, atol=1e-4)
    assert cut[0].ratings == {"valence": 3.0}


@pytest.mark.parametrize("modality", ["EEG", "EDA"])
def test_a_band_above_nyquist_is_refused(modality: str) -> None:
    session = Session("s01", {modality: Signal(np.zeros((1, 400), np.float32), 64.0, ("Cz",), "uV")},
                      (Trial("t", "c", 0, 4, {}),))
    with pytest.raises(InputError, match=rf"s01, {modality}: band_hz: found 40 Hz, expected less than 32 Hz"):
        list(preprocess_session(session, {modality: FilterParams(None, (4.0, 40.0))}))


def test_a_band_the_target_rate_cannot_hold_is_cut_only_where_that_is_allowed_and_said() -> None:
    cut = FilterParams(64.0, (4.0, 45.0), cut_at_nyquist=True)
    assert effective_band_hz(cut, 128.0) == (4.0, 28.8)
    assert effective_band_hz(FilterParams(200.0, (4.0, 45.0), True), 80.0) == (4.0, 36.0)  # never above the recording
    assert effective_band_hz(FilterParams(128.0, (4.0, 45.0), True), 128.0) == (4.0, 45.0)
    facts = {"EEG": {"sfreq_hz": 128.0}, "ECG": {"sfreq_hz": 128.0}}
    assert band_notes(facts, {"EEG": cut}) == [
        "EEG: 4-45 Hz asked, 4-28.8 Hz kept, because 64 Hz cannot hold what is above its Nyquist limit of 32 Hz."]


def test_a_cut_band_keeps_what_fits_and_folds_nothing_back() -> None:
    spec = FilterParams(64.0, (4.0, 45.0), cut_at_nyquist=True)
    pattern = np.linspace(-1, 1, len(NAMES))[:, None]
    trial = Trial("t", "t", 0.0, 20.0, {})
    power = {}
    for frequency_hz in (20.0, 40.0):  # 40 Hz would come back as 24 Hz
        data = (pattern * 10 * sine(frequency_hz, 128.0, 20)).astype(np.float32)
        session = Session("s", {"EEG": Signal(data, 128.0, NAMES, "uV")}, (trial,))
        (recording,) = preprocess_session(session, {"EEG": spec})
        assert recording.signals["EEG"].sfreq_hz == 64.0
        power[frequency_hz] = recording.signals["EEG"].data[0, 128:-128].std() / (10 / np.sqrt(2))
    assert 0.95 < power[20.0] < 1.05
    assert power[40.0] < 0.01
    plain = FilterParams(64.0, (4.0, 45.0))
    with pytest.raises(InputError, match="less than 32 Hz, the Nyquist limit of its target rate"):
        list(preprocess_session(session, {"EEG": plain}))


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_a_gap_in_time_is_no_fault_of_the_channels(share: float) -> None:
    signal = eeg()
    whole = clean_eeg(signal, FilterParams(128.0, (4.0, 45.0))).data
    first = int(0.2 * signal.data.shape[1])
    last = first + int(share * signal.data.shape[1])
    signal.data[:, first:last] = np.nan
    cleaned = clean_eeg(signal, FilterParams(128.0, (4.0, 45.0))).data
    inside = np.arange(cleaned.shape[1]) * 4
    gap = (inside >= first) & (inside < last)
    assert np.isnan(cleaned[:, gap]).mean() > 0.99
    far = np.abs(inside[:, None] - [first, last]).min(axis=1) > 512  # a second from the gap's edges
    np.testing.assert_allclose(cleaned[:, ~gap & far], whole[:, ~gap & far], atol=0.5)


def test_a_channel_that_is_lost_while_the_cap_lives_is_still_bad() -> None:
    signal = eeg()
    lost = np.zeros(signal.data.shape, bool)
    lost[:, 1000:2500] = True
    lost[4, 2500:3600] = True  # 30 % of what the cap recorded
    assert np.flatnonzero(bad_channels(signal.data, lost)).tolist() == [4]
    signal.data[7] = 3.0
    assert np.flatnonzero(bad_channels(signal.data, lost)).tolist() == [4, 7]
    assert bad_channels(signal.data, np.ones(lost.shape, bool)).all()


@pytest.mark.parametrize("unit, factor", [("uV", 1.0), ("mV", 1e-3), ("V", 1e-6), ("nV", 1e3), ("a.u.", 1e-9)])
def test_a_microvolt_is_alive_and_nothing_is_flat_in_any_unit(unit: str, factor: float) -> None:
    signal = eeg()
    data = (signal.data * 0.1 * factor).astype(np.float32)  # 1 uV
    data[4] = data[4].mean()
    bad = bad_channels(data, np.zeros(data.shape, bool), unit)
    assert np.flatnonzero(bad).tolist() == [4]


@pytest.mark.parametrize("names", [("Fp1",), ("Fp1", "Fp2"), ("TP9", "AF7")])
def test_few_electrodes_keep_their_reference_and_that_is_said(names: tuple[str, ...]) -> None:
    data = np.random.default_rng(0).normal(0, 10, (len(names), 5120)).astype(np.float32)
    cleaned = clean_eeg(Signal(data, 512.0, names, "uV"), FilterParams(64.0, (4.0, 30.0))).data
    assert cleaned.std(axis=1).min() > 2
    assert len(names) == 1 or abs(np.corrcoef(cleaned)[0, 1]) < 0.3  # no mirror images
    (note,) = reference_notes({"EEG": {"channels": len(names)}})
    assert note.startswith("EEG: left with the reference it was recorded with")
    assert reference_notes({"EEG": {"channels": 3}}) == reference_notes({}) == []


def test_two_good_electrodes_of_three_are_a_gap_not_three() -> None:
    data = np.random.default_rng(0).normal(0, 10, (3, 1280)).astype(np.float32)
    data[1] = 0
    _, lost = repair_eeg(data, np.zeros(data.shape, bool), ("Fp1", "Cz", "Pz"), 128.0)
    assert lost.all()


def test_electrodes_are_placed_whatever_their_case() -> None:
    names = ("FP1", "f3", "c3", "P3", "O1", "FP2", "F4", "C4", "P4", "O2", " CZ", "XX9")
    assert standard_places(names) == dict(enumerate(NAMES))
    assert standard_places(("Fp1", "FP1", "Cz")) == {0: "Fp1", 2: "Cz"}
    data = eeg().data
    bad = np.arange(len(NAMES)) == 0
    np.testing.assert_array_equal(interpolate_channels(data, bad, names[:11], 512.0),
                                  interpolate_channels(data, bad, NAMES, 512.0))


@pytest.mark.parametrize("n_samples", [1, 3, 128, 511])
def test_a_very_short_trial_stops_nothing(n_samples: int) -> None:
    signal = Signal(eeg(n_samples).data, 128.0, NAMES, "uV")
    skin = Signal(np.ones((1, n_samples), np.float32), 128.0, ("skin",), "uS")
    session = Session("mia", {"EEG": signal, "EDA": skin}, (Trial("t", "t", 0.0, n_samples / 128, {}),))
    (recording,) = preprocess_session(session, {"EEG": FilterParams(64.0, (4.0, 30.0)),
                                                "EDA": FilterParams(16.0, (0.05, 2.0))})
    assert recording.signals["EEG"].data.shape == (len(NAMES), round(n_samples / 2))
