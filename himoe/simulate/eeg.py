"""Simulated EEG: 1/f background and four bands of rhythms from ten regions, moved by emotion.

Legend: C channels, R regions, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from himoe.simulate.effects import BANDS_HZ, REGIONS, Person
from himoe.simulate.latent import LATENT_HZ, generator

SOURCE_HZ = 128.0
LINE_HZ = 50.0
SENSOR_NOISE_UV = 0.5
_RHYTHM_UV = {"theta": 4.0, "alpha": 5.5, "beta": 3.2, "gamma": 2.2}
_REACH = 0.30  # how far a region is seen, in head radii
_CHANNEL_CHUNK = 4

# Head seen from above, nose up, radius about 1: places in the 10-20 system, rounded.
_GENEVA_POSITIONS: dict[str, tuple[float, float]] = {
    "Fp1": (-0.29, 0.88), "AF3": (-0.35, 0.70), "F3": (-0.40, 0.48), "F7": (-0.73, 0.54),
    "FC5": (-0.68, 0.25), "FC1": (-0.22, 0.24), "C3": (-0.45, 0.00), "T7": (-0.90, 0.00),
    "CP5": (-0.68, -0.25), "CP1": (-0.22, -0.24), "P3": (-0.40, -0.48), "P7": (-0.73, -0.54),
    "PO3": (-0.35, -0.70), "O1": (-0.29, -0.88), "Oz": (0.00, -0.92), "Pz": (0.00, -0.47),
    "Fp2": (0.29, 0.88), "AF4": (0.35, 0.70), "Fz": (0.00, 0.47), "F4": (0.40, 0.48),
    "F8": (0.73, 0.54), "FC6": (0.68, 0.25), "FC2": (0.22, 0.24), "Cz": (0.00, 0.00),
    "C4": (0.45, 0.00), "T8": (0.90, 0.00), "CP6": (0.68, -0.25), "CP2": (0.22, -0.24),
    "P4": (0.40, -0.48), "P8": (0.73, -0.54), "PO4": (0.35, -0.70), "O2": (0.29, -0.88),
}
# The places between them, of caps with more electrodes; CB1 and CB2 lie below O1 and O2.
_MORE_POSITIONS: dict[str, tuple[float, float]] = {
    "Fpz": (0.00, 0.92), "F5": (-0.57, 0.51), "F1": (-0.20, 0.47), "F2": (0.20, 0.47), "F6": (0.57, 0.51),
    "FT7": (-0.86, 0.28), "FC3": (-0.45, 0.24), "FCz": (0.00, 0.24), "FC4": (0.45, 0.24), "FT8": (0.86, 0.28),
    "C5": (-0.68, 0.00), "C1": (-0.22, 0.00), "C2": (0.22, 0.00), "C6": (0.68, 0.00), "TP7": (-0.86, -0.28),
    "CP3": (-0.45, -0.24), "CPz": (0.00, -0.24), "CP4": (0.45, -0.24), "TP8": (0.86, -0.28), "P5": (-0.57, -0.51),
    "P1": (-0.20, -0.47), "P2": (0.20, -0.47), "P6": (0.57, -0.51), "PO7": (-0.54, -0.74), "PO5": (-0.45, -0.72),
    "POz": (0.00, -0.70), "PO6": (0.45, -0.72), "PO8": (0.54, -0.74), "CB1": (-0.45, -0.93), "CB2": (0.45, -0.93),
}
# In this order, the first 32 first: a channel's random strength is drawn by its place in it.
POSITIONS: dict[str, tuple[float, float]] = {**_GENEVA_POSITIONS, **_MORE_POSITIONS}
GENEVA: tuple[str, ...] = tuple(_GENEVA_POSITIONS)
EPOC: tuple[str, ...] = (
    "AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4",
)
_REGION_POSITIONS: dict[str, tuple[float, float]] = {
    "frontal_left": (-0.45, 0.58), "frontal_right": (0.45, 0.58), "frontal_middle": (0.0, 0.48),
    "central_left": (-0.45, 0.05), "central_right": (0.45, 0.05),
    "temporal_left": (-0.85, 0.0), "temporal_right": (0.85, 0.0),
    "parietal_left": (-0.45, -0.50), "parietal_right": (0.45, -0.50), "occipital": (0.0, -0.85),
}


def shaped_noise(
    rng: np.random.Generator, n_rows: int, n_samples: int, sfreq_hz: float,
    band_hz: tuple[float, float], exponent: float = 0.0,
) -> np.ndarray:
    """Gaussian noise of variance 1 with power ``f^-exponent`` inside *band_hz* and none outside.

    The spectrum is drawn at random and transformed back (Timmer & Koenig 1995).

    Returns
    -------
    ndarray, (n_rows, n_samples) float32
    """
    from scipy.fft import irfft, next_fast_len, rfftfreq

    n_fft = next_fast_len(n_samples, real=True)
    frequency_hz = rfftfreq(n_fft, 1 / sfreq_hz)
    inside = (frequency_hz >= band_hz[0]) & (frequency_hz <= band_hz[1]) & (frequency_hz < sfreq_hz / 2)
    gain = np.zeros(len(frequency_hz))
    gain[inside] = frequency_hz[inside] ** (-exponent / 2)
    gain *= n_fft / np.sqrt(4 * (gain**2).sum())
    parts = rng.standard_normal((n_rows, 2, len(frequency_hz)), dtype=np.float32)
    spectrum = (parts[:, 0] + 1j * parts[:, 1]) * gain.astype(np.float32)
    return irfft(spectrum, n_fft)[:, :n_samples].astype(np.float32, copy=False)


def topography(person: Person, ch_names: Sequence[str], seed: int) -> np.ndarray:
    """How strongly each channel sees each region, (C, R): Gaussian in distance, moved and scaled by person."""
    rng = generator(seed, person.dataset, "eeg", person.participant, 1)
    places = np.array([_REGION_POSITIONS[region] for region in REGIONS])
    places = places + 0.08 * rng.standard_normal(places.shape)
    strength = np.exp(0.25 * rng.standard_normal((len(POSITIONS), 1)))
    every = np.array(list(POSITIONS.values()))
    distance = np.linalg.norm(every[:, None] - places[None], axis=-1)
    seen = strength * np.exp(-(distance**2) / (2 * _REACH**2))
    every_name = list(POSITIONS)
    return seen[[every_name.index(name) for name in ch_names]]


def rhythms(
    person: Person, moved: Mapping[str, np.ndarray], n_samples: int, ch_names: Sequence[str], seed: int,
    head: Person | None = None,
) -> np.ndarray:
    """The emotion-driven rhythms at the channels, (C, n_samples) uV float32 at ``SOURCE_HZ``.

    Every region and band is narrow-band noise whose log power follows ``moved["<band>_<region>"]``.
    *head*: whose head it is, if *person* stands for one of several recordings of somebody.
    """
    rng = generator(seed, person.dataset, "eeg", person.participant, 2)
    seen = topography(head or person, ch_names, seed).astype(np.float32)
    own_level = np.exp(0.25 * rng.standard_normal((len(BANDS_HZ), len(REGIONS))))
    if head is not None:
        at_rest = generator(seed, head.dataset, "eeg", head.participant, 2)
        own_level = np.exp(0.25 * at_rest.standard_normal(own_level.shape))
    time_s = np.arange(n_samples) / SOURCE_HZ
    total = np.zeros((len(ch_names), n_samples), dtype=np.float32)
    for level, (band, band_hz) in zip(own_level, BANDS_HZ.items()):
        sources = shaped_noise(rng, len(REGIONS), n_samples, SOURCE_HZ, band_hz)
        for source, region, factor in zip(sources, REGIONS, level):
            log_power = moved[f"{band}_{region}"]
            grid_s = np.arange(len(log_power)) / LATENT_HZ
            source *= _RHYTHM_UV[band] * factor * np.exp(0.5 * np.interp(time_s, grid_s, log_power))
        total += seen @ sources
    return total


def background(person: Person, n_samples: int, ch_names: Sequence[str], seed: int) -> np.ndarray:
    """1/f background, (C, n_samples) uV float32 at ``SOURCE_HZ``, alike in neighbouring channels."""
    rng = generator(seed, person.dataset, "eeg", person.participant, 3)
    places = np.array([POSITIONS[name] for name in ch_names])
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    mixing = np.exp(-(distance**2) / (2 * _REACH**2))
    mixing *= person.levels["eeg_background_uv"] / np.linalg.norm(mixing, axis=1, keepdims=True)
    noise = shaped_noise(rng, len(ch_names), n_samples, SOURCE_HZ, (0.3, 60.0), exponent=1.0)
    return mixing.astype(np.float32) @ noise


def simulate_eeg(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float,
    ch_names: Sequence[str], seed: int, noise: float = 1.0, head: Person | None = None,
) -> np.ndarray:
    """EEG without blinks and muscle, (C, N) uV float32 at *sfreq_hz*, a simple multiple of ``SOURCE_HZ``.

    *noise* scales the background, the line noise and the sensor noise; *head* as in :func:`rhythms`.
    """
    from scipy.signal import resample_poly

    n_source, ratio = round(duration_s * SOURCE_HZ), Fraction(sfreq_hz / SOURCE_HZ).limit_denominator(64)
    sources = rhythms(person, moved, n_source, ch_names, seed, head)
    if noise:
        sources += np.float32(noise) * background(person, n_source, ch_names, seed)
    up, down = ratio.numerator, ratio.denominator
    eeg = np.empty((len(ch_names), n_source * up // down), dtype=np.float32)
    rng = generator(seed, person.dataset, "eeg", person.participant, 4)
    phase = 2 * np.pi * LINE_HZ * np.arange(eeg.shape[1]) / sfreq_hz
    line = np.stack([np.sin(phase), np.cos(phase)]).astype(np.float32)
    wiring = rng if head is None else generator(seed, head.dataset, "eeg", head.participant, 4)
    pickup = noise * person.levels["line_noise_uv"] * wiring.standard_normal((len(ch_names), 2))
    for first in range(0, len(ch_names), _CHANNEL_CHUNK):
        part = slice(first, first + _CHANNEL_CHUNK)
        eeg[part] = (resample_poly(sources[part], up, down, axis=1)[:, :eeg.shape[1]] if ratio != 1
                     else sources[part])
        eeg[part] += pickup[part].astype(np.float32) @ line
        eeg[part] += np.float32(noise * SENSOR_NOISE_UV) * rng.standard_normal(eeg[part].shape, dtype=np.float32)
    return eeg
