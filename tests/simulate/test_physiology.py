"""The body: signals follow the driver with the recorded lag and gain, over the stated backgrounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt, welch

from himoe.core.recordings import DIMENSIONS
from himoe.simulate import artefacts, latent, peripheral, physiology
from himoe.simulate import eeg as eeg_module
from himoe.simulate.effect_tables import ADDITIVE, REGIONS
from himoe.simulate.effects import Person, make_person, modulations
from himoe.simulate.latent import LATENT_HZ
from himoe.simulate.montage import EPOC, GENEVA
from himoe.simulate.timeline import make_timeline, session_driver

DURATION_S = 300.0
GRID_S = np.arange(int(DURATION_S * LATENT_HZ) + 1) / LATENT_HZ


def arousal_driver() -> np.ndarray:
    """A driver that moves in arousal alone, (4, N)."""
    driver = np.zeros((4, len(GRID_S)))
    driver[1] = latent.smooth_noise(np.random.default_rng(5), len(GRID_S), LATENT_HZ, np.array([6.0]))[0]
    return driver


def only_arousal(person: Person, sizes: dict[str, float]) -> Person:
    """The person with gains from arousal alone, only for the effects in *sizes*."""
    gains = {name: np.array([0.0, sizes.get(name, 0.0), 0.0, 0.0]) for name in ADDITIVE.effects}
    return replace(person, gains=gains)


def lag_of(measured: np.ndarray, time_s: np.ndarray, course: np.ndarray) -> float:
    """The lag (s) at which *course* correlates best with what was measured."""
    lags_s = np.arange(0.0, 10.0, 0.05)
    middle = (time_s > 12) & (time_s < DURATION_S - 5)
    scores = [np.corrcoef(measured[middle], np.interp(time_s[middle] - lag, GRID_S, course))[0, 1] for lag in lags_s]
    assert max(scores) > 0.9
    return float(lags_s[int(np.argmax(scores))])


@pytest.mark.parametrize("participant", [1, 24])
def test_heart_rate_lag_is_recovered_from_the_electrocardiogram(participant: int) -> None:
    import neurokit2 as nk

    person = only_arousal(make_person(2, "dreamer", participant, "additive"), {"heart_rate": 6.0})
    driver = arousal_driver()
    moved = modulations(person, driver, seed=2, snr=1.0, noise=0.0)
    lead = peripheral.electrocardiogram(person, moved, DURATION_S, 256.0, 2, noise=0.0)[0]
    peaks = nk.ecg_peaks(lead - 2048.0, sampling_rate=256)[1]["ECG_R_Peaks"]
    middle_s = (peaks[1:] + peaks[:-1]) / 2 / 256
    time_s = np.arange(0, DURATION_S, 0.1)
    rate = np.interp(time_s, middle_s, 60 * 256 / np.diff(peaks))
    assert lag_of(rate, time_s, driver[1]) == pytest.approx(person.lags_s["ECG"], abs=0.25)
    expected_bpm = person.levels["heart_rate_bpm"]
    assert rate.mean() == pytest.approx(expected_bpm + 6.0 * driver[1].mean(), abs=1.5)


def test_temperature_lag_and_muscle_lag_are_recovered() -> None:
    person = only_arousal(make_person(4, "deap", 6, "additive"), {"skin_temperature": -0.2, "zygomaticus": 0.8})
    driver = arousal_driver()
    moved = modulations(person, driver, seed=4, snr=1.0, noise=0.0)
    warm = peripheral.skin_temperature(person, moved, DURATION_S, 64.0, 4, noise=0.0)
    time_s = np.arange(len(warm)) / 64
    assert lag_of(-warm, time_s, driver[1]) == pytest.approx(person.lags_s["TEMP"], abs=0.1)
    exg = artefacts.external_electrodes(person, moved, DURATION_S, 512.0, 4, noise=0.0)
    log_power = np.log(((exg[4] - exg[5]) ** 2).reshape(-1, 64).mean(axis=1))
    centre_s = (np.arange(len(log_power)) + 0.5) / 8
    assert lag_of(log_power, centre_s, driver[1]) == pytest.approx(person.lags_s["EMG"], abs=0.15)


def test_modulation_is_gain_times_late_driver_and_scales_with_snr() -> None:
    person, driver = make_person(0, "deap", 2, "additive"), arousal_driver()
    one, three = (modulations(person, driver, 0, snr, noise=0.0) for snr in (1.0, 3.0))
    for name, effect in ADDITIVE.effects.items():
        np.testing.assert_allclose(three[name], 3 * one[name])
        modality = "PPG" if effect.modality == "HEART" else effect.modality
        late = np.interp(GRID_S - person.lags_s[modality], GRID_S, driver[1])
        # 50 ppm over 300 s is 0.015 s.
        np.testing.assert_allclose(one[name], person.gains[name][1] * late, atol=0.02 * abs(person.gains[name][1]))
    none = modulations(person, driver, 0, snr=0.0)
    for name, effect in ADDITIVE.effects.items():
        assert 0.4 * effect.background_sd < none[name].std() < 1.6 * effect.background_sd


def test_people_share_a_part_of_their_gains_and_have_a_part_of_their_own() -> None:
    people = [make_person(0, "deap", participant, "additive") for participant in range(1, 33)]
    gains = np.stack([[person.gains[name] for name in ADDITIVE.effects] for person in people])
    for row, effect in enumerate(ADDITIVE.effects.values()):
        shared = np.array([effect.weights.get(dimension, 0.0) for dimension in DIMENSIONS])
        spread = gains[:, row].std(axis=0)
        assert (spread > 0).all()
        assert (np.abs(gains[:, row].mean(axis=0) - shared) < 5 * spread / np.sqrt(32)).all()


def test_correlation_of_alpha_power_with_arousal_grows_with_snr() -> None:
    person, driver = make_person(0, "deap", 1, "additive"), arousal_driver()
    gains = dict(person.gains) | {f"alpha_parietal_{side}": np.array([0, -0.2, 0, 0]) for side in ("left", "right")}
    person = replace(person, gains=gains)
    band = butter(4, (8, 13), "bandpass", fs=128, output="sos")
    centre_s = np.arange(2, DURATION_S, 4)
    late = np.interp(centre_s - person.lags_s["EEG"], GRID_S, driver[1])
    found = []
    for snr in (0.0, 0.5, 1.5, 5.0):
        moved = modulations(person, driver, 0, snr)
        eeg = eeg_module.simulate_eeg(person, moved, DURATION_S, 128.0, ("P3", "P4", "Pz"), 0)
        power = (sosfiltfilt(band, eeg) ** 2).reshape(3, -1, 512).mean(axis=(0, 2))
        found.append(-np.corrcoef(np.log(power), late)[0, 1])
    assert found == sorted(found)
    assert abs(found[0]) < 0.35
    assert found[-1] > 0.8


def test_background_falls_like_one_over_f() -> None:
    person = make_person(0, "deap", 3, "additive")
    noise = eeg_module.background(person, 128 * 120, EPOC, 0)
    assert noise.shape == (14, 128 * 120)
    frequency_hz, power = welch(noise, 128.0, nperseg=1024)
    use = (frequency_hz > 1) & (frequency_hz < 45)
    slope = np.polyfit(np.log(frequency_hz[use]), np.log(power.mean(axis=0)[use]), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.1)
    np.testing.assert_allclose(noise.std(axis=1), person.levels["eeg_background_uv"], rtol=0.25)


def test_regions_are_seen_best_by_near_channels() -> None:
    seen = np.mean([eeg_module.topography(make_person(0, "deap", k, "additive"), GENEVA, 0) for k in range(1, 33)], 0)
    assert seen.shape == (32, 10)
    best = {region: GENEVA[int(np.argmax(seen[:, row]))] for row, region in enumerate(REGIONS)}
    assert best["occipital"] in ("O1", "Oz", "O2")
    assert best["temporal_left"] == "T7"
    assert best["temporal_right"] == "T8"
    assert best["frontal_left"] in ("F3", "AF3")


def test_blinks_leak_into_the_forehead_and_muscle_is_in_the_difference() -> None:
    person = make_person(0, "deap", 1, "additive")
    moved = modulations(person, arousal_driver(), 0, 1.0)
    blink = artefacts.blinks(person, moved, DURATION_S, 128.0, 0)
    assert blink.max() > 75
    leak = dict(zip(GENEVA, artefacts.blink_leak(GENEVA)))
    assert leak["Fp1"] > 0.4 > leak["F3"] > leak["Pz"] == 0.0
    signals = physiology.deap_signals(person, arousal_driver(), DURATION_S, 128.0, 0, 1.0)
    clean = physiology.deap_signals(person, arousal_driver(), DURATION_S, 128.0, 0, 1.0, ocular=False)
    added = signals["EEG"] - clean["EEG"]
    front, back = GENEVA.index("Fp2"), GENEVA.index("O2")
    np.testing.assert_allclose(added[front], leak["Fp2"] * blink, atol=1e-3)
    assert not added[back].any()
    exg = artefacts.external_electrodes(person, moved, DURATION_S, 512.0, 0, noise=0.0)
    np.testing.assert_allclose(exg[4] + exg[5], 0.0, atol=1e-5)
    assert (exg[4] - exg[5]).std() > 1.0


def test_driver_is_the_latent_in_trials_and_neutral_elsewhere() -> None:
    timeline = make_timeline((3, 1), (60.0, 70.0), 30.0, 12.0, 10.0)
    assert timeline.start_s == (30.0, 102.0)
    assert timeline.duration_s == 182.0
    latents = [latent.trial_latent(0, "deap", 1, video, length, "additive")
               for video, length in zip(timeline.videos, timeline.length_s)]
    driver = session_driver(timeline, latents)
    assert driver.shape == (4, 182 * 4 + 1)
    np.testing.assert_array_equal(driver[:, 120:361], 2 * latents[0])
    np.testing.assert_array_equal(driver[:, 408:689], 2 * latents[1])
    for first, stop in ((0, 121), (361 + 16, 408), (689 + 16, 729)):
        np.testing.assert_allclose(driver[:, first:stop], 0.0, atol=1e-12)


def test_dropouts_zero_what_they_name_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    before = {"EEG": rng.normal(size=(32, 900)), "EXG": rng.normal(size=(8, 900)), "EDA": rng.normal(size=900)}
    after = {name: values.copy() for name, values in before.items()}
    lost = [artefacts.Dropout("EEG", "F3", 2.0, 5.0), artefacts.Dropout("EMG", None, 0.0, 4.5),
            artefacts.Dropout("EDA", None, 1.0, 99.0)]
    artefacts.apply_dropouts(after, physiology.DEAP_ROWS, lost, GENEVA, dict.fromkeys(after, 100.0), 1.0)
    expected = {name: values.copy() for name, values in before.items()}
    expected["EEG"][2, 100:400] = 0
    expected["EXG"][4:8, 0:350] = 0
    expected["EDA"][0:] = 0
    for name in before:
        np.testing.assert_array_equal(after[name], expected[name])
