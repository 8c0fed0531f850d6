"""Simulated EEG: 1/f background and four bands of rhythms from ten regions, moved by emotion.

Legend: C channels, R regions, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from himoe.simulate.artefacts import LINE_HZ
from himoe.simulate.conditions import Disturbance, channel_quality, noise_factor
from himoe.simulate.effect_tables import BANDS_HZ, REGIONS
from himoe.simulate.effects import Person
from himoe.simulate.latent import LATENT_HZ, generator
from himoe.simulate.montage import POSITIONS
from himoe.simulate.shaped import shaped_noise

SOURCE_HZ = 128.0
SENSOR_NOISE_UV = 0.5
CONTACT_SHARE = 1.6  # size of a channel's own signal, in SDs of its background
CONTACT_HZ = (0.5, 60.0)
_RHYTHM_UV = {"theta": 4.0, "alpha": 5.5, "beta": 3.2, "gamma": 2.2}
_REACH = 0.30  # how far a region is seen, in head radii
_CHANNEL_CHUNK = 4

_REGION_POSITIONS: dict[str, tuple[float, float]] = {
    "frontal_left": (-0.45, 0.58), "frontal_right": (0.45, 0.58), "frontal_middle": (0.0, 0.48),
    "central_left": (-0.45, 0.05), "central_right": (0.45, 0.05),
    "temporal_left": (-0.85, 0.0), "temporal_right": (0.85, 0.0),
    "parietal_left": (-0.45, -0.50), "parietal_right": (0.45, -0.50), "occipital": (0.0, -0.85),
}


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
    rest_uv = _rest_levels(rng)
    if head is not None:
        rest_uv = rest_levels(head, seed)
    time_s = np.arange(n_samples) / SOURCE_HZ
    total = np.zeros((len(ch_names), n_samples), dtype=np.float32)
    for level, (band, band_hz) in zip(rest_uv, BANDS_HZ.items()):
        sources = shaped_noise(rng, len(REGIONS), n_samples, SOURCE_HZ, band_hz)
        for source, region, size_uv in zip(sources, REGIONS, level):
            log_power = moved[f"{band}_{region}"]
            grid_s = np.arange(len(log_power)) / LATENT_HZ
            source *= size_uv * np.exp(0.5 * np.interp(time_s, grid_s, log_power))
        total += seen @ sources
    return total


def rest_levels(person: Person, seed: int) -> np.ndarray:
    """Size of every rhythm at rest, (bands, R) uV."""
    return _rest_levels(generator(seed, person.dataset, "eeg", person.participant, 2))


def _rest_levels(rng: np.random.Generator) -> np.ndarray:
    return np.array(list(_RHYTHM_UV.values()))[:, None] * np.exp(
        0.25 * rng.standard_normal((len(_RHYTHM_UV), len(REGIONS))))


def background_mixing(person: Person, ch_names: Sequence[str]) -> np.ndarray:
    """How channels share their background, (C, C) uV; a row's norm is the person's level."""
    places = np.array([POSITIONS[name] for name in ch_names])
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    mixing = np.exp(-(distance**2) / (2 * _REACH**2))
    mixing *= person.levels["eeg_background_uv"] / np.linalg.norm(mixing, axis=1, keepdims=True)
    return mixing


def background(person: Person, n_samples: int, ch_names: Sequence[str], seed: int) -> np.ndarray:
    """1/f background, (C, n_samples) uV float32 at ``SOURCE_HZ``, alike in neighbouring channels."""
    rng = generator(seed, person.dataset, "eeg", person.participant, 3)
    mixing = background_mixing(person, ch_names)
    noise = shaped_noise(rng, len(ch_names), n_samples, SOURCE_HZ, (0.3, 60.0), exponent=1.0)
    return mixing.astype(np.float32) @ noise


def contact_noise(
    person: Person, events: Sequence[Disturbance], n_samples: int, ch_names: Sequence[str], seed: int
) -> np.ndarray:
    """What loosening caps and movement add, (C, n_samples) uV float32 at ``SOURCE_HZ``: 1/f noise, own in each channel.

    Its size goes with the channels' quality (see :mod:`himoe.simulate.conditions`).
    """
    grid_s = np.arange(round(n_samples / SOURCE_HZ * LATENT_HZ) + 2) / LATENT_HZ
    left = channel_quality(events, ch_names, grid_s, ("loosening", "motion"))
    rng = generator(seed, person.dataset, "eeg", person.participant, 5)
    noise = shaped_noise(rng, len(ch_names), n_samples, SOURCE_HZ, CONTACT_HZ, exponent=1.0)
    time_s = np.arange(n_samples) / SOURCE_HZ
    size_uv = CONTACT_SHARE * person.levels["eeg_background_uv"] * noise_factor(left)
    for row, size in zip(noise, size_uv):
        row *= np.interp(time_s, grid_s, size).astype(np.float32)
    return noise


def simulate_eeg(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float,
    ch_names: Sequence[str], seed: int, noise: float = 1.0, head: Person | None = None,
    events: Sequence[Disturbance] = (),
) -> np.ndarray:
    """EEG without blinks and muscle, (C, N) uV float32 at *sfreq_hz*, a simple multiple of ``SOURCE_HZ``.

    *noise* scales the background, the line noise, the sensor noise and what bad contacts (*events*) add; *head* as in
    :func:`rhythms`.
    """
    from scipy.signal import resample_poly

    n_source, ratio = round(duration_s * SOURCE_HZ), Fraction(sfreq_hz / SOURCE_HZ).limit_denominator(64)
    sources = rhythms(person, moved, n_source, ch_names, seed, head)
    if noise:
        sources += np.float32(noise) * background(person, n_source, ch_names, seed)
        if events:
            sources += np.float32(noise) * contact_noise(person, events, n_source, ch_names, seed)
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
