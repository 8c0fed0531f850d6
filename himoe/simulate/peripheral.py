"""Simulated heart, skin, breath and temperature, each driven over time.

All functions take *moved* (see :func:`himoe.simulate.effects.modulations`) and give float32 signals.
Legend: N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from himoe.simulate.effects import Person
from himoe.simulate.latent import LATENT_HZ, generator, smooth_noise

EDA_HZ = 32.0
SIZE_SPREAD = 0.4  # log SD of a skin response's size
SLOW_VARIABILITY, SLOW_VARIABILITY_TAU_S = 0.6, 3.0  # of the heart rate: in parts of its variability; s
# Gaussian bumps of one beat: centre and width as parts of the cycle, height. ECG: P Q R S T, after
# McSharry et al. 2003 (doi:10.1109/TBME.2003.808805, angles and widths b over 2 pi; the height of a
# bump of their model is a b^2, here relative to R).
ECG_BUMPS = np.array([
    [-1 / 6, 0.25 / (2 * np.pi), 0.25], [-1 / 24, 0.10 / (2 * np.pi), -0.17], [0.0, 0.10 / (2 * np.pi), 1.0],
    [1 / 24, 0.10 / (2 * np.pi), -0.25], [1 / 4, 0.40 / (2 * np.pi), 0.40],
])
# Finger pulse: systolic wave and the smaller wave after the dicrotic notch.
PPG_BUMPS = np.array([[-0.10, 0.09, 1.0], [0.20, 0.12, 0.40]])


def _at(values: np.ndarray, time_s: np.ndarray) -> np.ndarray:
    """*values* at ``LATENT_HZ``, read at *time_s*."""
    return np.interp(time_s, np.arange(len(values)) / LATENT_HZ, values)


def _cycle_wave(phase: np.ndarray, bumps: np.ndarray) -> np.ndarray:
    """Sum of Gaussian bumps over the cycle; *phase* counts cycles, a whole number is the beat."""
    place = phase - np.round(phase)
    wave = np.zeros_like(phase)
    for centre, width, height in bumps:
        distance = place - centre
        distance -= np.round(distance)
        wave += height * np.exp(-0.5 * (distance / width) ** 2)
    return wave


def breathing(
    person: Person, moved: Mapping[str, np.ndarray], time_s: np.ndarray, sfreq_hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """Phase (cycles) and depth (1 = resting) of breathing at *time_s*, (N,) each."""
    rate_hz = person.levels["breathing_hz"] * np.exp(_at(moved["breathing_rate"], time_s))
    return np.cumsum(rate_hz) / sfreq_hz, np.exp(_at(moved["breathing_depth"], time_s))


def respiration(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int,
    noise: float = 1.0,
) -> np.ndarray:
    """Respiration belt, (N,) a.u.: a breath with a quicker rise than fall, rate and depth driven."""
    time_s = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    phase, depth = breathing(person, moved, time_s, sfreq_hz)
    angle = 2 * np.pi * phase
    belt = 1000.0 * depth * (np.sin(angle) + 0.2 * np.sin(2 * angle))
    rng = generator(seed, person.dataset, "slow", person.participant, 1)
    wander = smooth_noise(rng, round(duration_s * LATENT_HZ) + 1, LATENT_HZ, np.array([40.0]))[0]
    belt += noise * (150.0 * _at(wander, time_s) + 8.0 * rng.standard_normal(len(time_s)))
    return belt.astype(np.float32)


def heart_phase(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int,
    noise: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Instantaneous rate (bpm) and beat phase (cycles, a whole number is a beat), (N,) each.

    Rate = resting rate + emotion + respiratory sinus arrhythmia + slow (0.1 Hz band) variability.
    """
    time_s = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    breath, depth = breathing(person, moved, time_s, sfreq_hz)
    size = person.levels["heart_variability_bpm"] * np.exp(_at(moved["heart_variability"], time_s))
    rng = generator(seed, person.dataset, "cardiac", person.participant, 1)
    mayer = smooth_noise(rng, round(duration_s * LATENT_HZ) + 1, LATENT_HZ, np.array([SLOW_VARIABILITY_TAU_S]))[0]
    rate_bpm = person.levels["heart_rate_bpm"] + _at(moved["heart_rate"], time_s)
    rate_bpm = rate_bpm + noise * size * (np.sqrt(depth) * np.sin(2 * np.pi * breath)
                                          + SLOW_VARIABILITY * _at(mayer, time_s))
    rate_bpm = np.clip(rate_bpm, 40.0, 160.0)
    return rate_bpm, np.cumsum(rate_bpm) / (60.0 * sfreq_hz)


def finger_pulse(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int,
    noise: float = 1.0,
) -> np.ndarray:
    """Finger photoplethysmogram, (N,) a.u.: two Gaussian waves a beat, amplitude driven."""
    _, phase = heart_phase(person, moved, duration_s, sfreq_hz, seed, noise)
    time_s = np.arange(len(phase)) / sfreq_hz
    pulse = 1000.0 * np.exp(_at(moved["pulse_amplitude"], time_s)) * _cycle_wave(phase, PPG_BUMPS)
    rng = generator(seed, person.dataset, "cardiac", person.participant, 2)
    wander = smooth_noise(rng, round(duration_s * LATENT_HZ) + 1, LATENT_HZ, np.array([8.0]))[0]
    pulse += noise * (120.0 * _at(wander, time_s) + 15.0 * rng.standard_normal(len(time_s)))
    return pulse.astype(np.float32)


def electrocardiogram(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int,
    noise: float = 1.0,
) -> np.ndarray:
    """Two ECG leads, (2, N) a.u. round the converter's middle (2048); five Gaussians a beat."""
    _, phase = heart_phase(person, moved, duration_s, sfreq_hz, seed, noise)
    beat = _cycle_wave(phase, ECG_BUMPS)
    rng = generator(seed, person.dataset, "cardiac", person.participant, 2)
    n_slow = round(duration_s * LATENT_HZ) + 1
    wander = smooth_noise(rng, n_slow, LATENT_HZ, np.array([3.0, 4.0]))
    time_s = np.arange(len(phase)) / sfreq_hz
    height = rng.uniform(350, 650, 2)
    leads = np.stack([
        2048.0 + size * beat + noise * (40.0 * _at(slow, time_s) + 8.0 * rng.standard_normal(len(time_s)))
        for size, slow in zip(height, wander)
    ])
    return leads.astype(np.float32)


def skin_response_shape() -> np.ndarray:
    """One skin conductance response at ``EDA_HZ``, peak 1: difference of exponentials (0.75 s, 3 s)."""
    time_s = np.arange(round(20 * EDA_HZ)) / EDA_HZ
    shape = np.exp(-time_s / 3.0) - np.exp(-time_s / 0.75)
    return shape / shape.max()


def skin_conductance(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int,
    noise: float = 1.0,
) -> np.ndarray:
    """Skin conductance, (N,) uS: level plus responses whose rate and size are driven.

    Responses start at random (Poisson); *noise* = 0 removes the sensor noise, not their chance.
    """
    from scipy.signal import fftconvolve

    n_low = round(duration_s * EDA_HZ)
    low_s = np.arange(n_low) / EDA_HZ
    rng = generator(seed, person.dataset, "electrodermal", person.participant)
    level = person.levels["skin_conductance_us"] * np.exp(_at(moved["skin_conductance_level"], low_s))
    rate_hz = person.levels["skin_responses_per_min"] / 60 * np.exp(_at(moved["skin_response_rate"], low_s))
    # The probability of a response in each sample; one draw a sample keeps the stream in step.
    starts = rng.random(n_low) < np.minimum(rate_hz, 0.5) / EDA_HZ
    size = 0.05 * person.levels["skin_conductance_us"] * np.exp(_at(moved["skin_response_size"], low_s))
    size = size * np.exp(SIZE_SPREAD * rng.standard_normal(n_low))
    phasic = fftconvolve(starts * size, skin_response_shape())[:n_low]
    time_s = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    conductance = np.interp(time_s, low_s, level + phasic)
    conductance += noise * 0.002 * rng.standard_normal(len(time_s))
    return np.maximum(conductance, 0.05).astype(np.float32)


def skin_temperature(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int,
    noise: float = 1.0,
) -> np.ndarray:
    """Finger temperature, (N,) degC: it falls when the vessels narrow."""
    time_s = np.arange(round(duration_s * sfreq_hz)) / sfreq_hz
    rng = generator(seed, person.dataset, "slow", person.participant, 2)
    temperature = person.levels["skin_temperature_degc"] + _at(moved["skin_temperature"], time_s)
    temperature += noise * 0.005 * rng.standard_normal(len(time_s))
    return temperature.astype(np.float32)
