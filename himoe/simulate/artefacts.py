"""Blinks, muscle and lost sensors.

Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from himoe.simulate.effects import Person
from himoe.simulate.latent import LATENT_HZ, generator
from himoe.simulate.montage import POSITIONS

BLINK_UV = 150.0
LINE_HZ = 50.0
_BLINK_S = 0.3
_BURST_UV = 12.0
_TEMPORAL = ("F7", "F8", "FC5", "FC6", "T7", "T8")
# Chance that a person loses a sensor in the way named.
_FLAT_STRETCH_CHANCE = 0.35
_FLAT_SESSION_CHANCE = 0.12
_LOST_STRETCH_CHANCE = 0.40
_LOST_SESSION_CHANCE = 0.10


@dataclass(frozen=True)
class Dropout:
    """A sensor that reads exactly 0 from *start_s* to *stop_s* (session clock).

    ``channel`` is an EEG channel's name, or None when the whole modality is lost.
    """

    modality: str
    channel: str | None
    start_s: float
    stop_s: float

    def record(self) -> dict[str, Any]:
        """As a plain dict for ``truth.json``."""
        return asdict(self)


def blinks(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int
) -> np.ndarray:
    """Blink potential above the eye, (N,) uV float32; blinks start at random at the driven rate."""
    from scipy.signal import oaconvolve

    rng = generator(seed, person.dataset, "artefact", person.participant, 1)
    rate_hz = person.levels["blinks_per_min"] / 60 * np.exp(moved["blink_rate"])
    starts = rng.random(len(rate_hz)) < np.minimum(rate_hz, 1.0) / LATENT_HZ
    size = BLINK_UV * np.exp(0.2 * rng.standard_normal(len(rate_hz)))
    place_s = (np.arange(len(rate_hz)) + rng.random(len(rate_hz))) / LATENT_HZ
    n_samples = round(duration_s * sfreq_hz)
    index = np.round(place_s * sfreq_hz).astype(int)
    keep = starts & (index < n_samples)
    train = np.zeros(n_samples, dtype=np.float32)
    np.add.at(train, index[keep], size[keep])
    shape = np.hanning(round(_BLINK_S * sfreq_hz) + 2)[1:-1].astype(np.float32)
    return oaconvolve(train, shape)[:n_samples].astype(np.float32)


def saccades(person: Person, duration_s: float, sfreq_hz: float, seed: int) -> np.ndarray:
    """Horizontal eye position potential, (N,) uV float32: steps that leak back (AC coupling)."""
    from scipy.signal import lfilter

    rng = generator(seed, person.dataset, "artefact", person.participant, 2)
    n_samples = round(duration_s * sfreq_hz)
    steps = np.where(rng.random(n_samples) < 0.8 / sfreq_hz, 60.0 * rng.standard_normal(n_samples), 0.0)
    return lfilter([1.0], [1.0, -np.exp(-1 / (1.5 * sfreq_hz))], steps).astype(np.float32)


def blink_leak(ch_names: Sequence[str]) -> np.ndarray:
    """Share of the blink potential in each EEG channel, (C,): falls off behind the forehead."""
    front = np.array([POSITIONS[name][1] for name in ch_names])
    return np.where(front > 0, 0.6 * np.exp(-((0.9 - front) / 0.35) ** 2), 0.0).astype(np.float32)


def muscle(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """Wide-band muscle activity of SD 1, (n_samples,) float32: differenced white noise (high-pass)."""
    white = rng.standard_normal(n_samples + 1, dtype=np.float32)
    return np.diff(white) / np.float32(np.sqrt(2))


def muscle_bursts(person: Person, ch_names: Sequence[str], duration_s: float, sfreq_hz: float, seed: int,
                  ) -> list[tuple[int, slice, np.ndarray]]:
    """Jaw muscle in temporal EEG channels: (channel, samples, uV) of every burst of 1 to 3 s."""
    rng = generator(seed, person.dataset, "artefact", person.participant, 3)
    n_bursts = int(rng.poisson(person.levels["emg_bursts_per_min"] * duration_s / 60))
    columns = [ch_names.index(name) for name in _TEMPORAL if name in ch_names]
    bursts = []
    for _ in range(n_bursts):
        channel = columns[int(rng.integers(len(columns)))]
        first = int(rng.uniform(0, duration_s - 3.0) * sfreq_hz)
        length = int(rng.uniform(1.0, 3.0) * sfreq_hz)
        wave = _BURST_UV * np.hanning(length).astype(np.float32) * muscle(rng, length)
        bursts.append((channel, slice(first, first + length), wave))
    return bursts


def external_electrodes(
    person: Person, moved: Mapping[str, np.ndarray], duration_s: float, sfreq_hz: float, seed: int,
    noise: float = 1.0,
) -> np.ndarray:
    """DEAP's EXG1..8, (8, N) uV float32: hEOG left/right, vEOG above/below, zEMG x2, tEMG x2.

    Emotion is in the *difference* of each pair; both electrodes of a pair share line noise.
    """
    n_samples = round(duration_s * sfreq_hz)
    time_s = np.arange(n_samples) / sfreq_hz
    grid_s = np.arange(len(moved["zygomaticus"])) / LATENT_HZ
    rng = generator(seed, person.dataset, "muscle", person.participant)
    gaze, blink = saccades(person, duration_s, sfreq_hz, seed), blinks(person, moved, duration_s, sfreq_hz, seed)
    pairs = [(-0.5 * gaze, 0.5 * gaze), (blink, -0.2 * blink)]
    for name in ("zygomaticus", "trapezius"):
        envelope = person.levels[f"{name}_uv"] * np.exp(np.interp(time_s, grid_s, moved[name]))
        wave = (envelope * muscle(rng, n_samples)).astype(np.float32)
        pairs.append((0.5 * wave, -0.5 * wave))
    line = np.sin(2 * np.pi * LINE_HZ * time_s).astype(np.float32)
    out = np.empty((8, n_samples), dtype=np.float32)
    for row, wave in enumerate(wave for pair in pairs for wave in pair):
        hum = noise * person.levels["line_noise_uv"] * (1.0 + 0.1 * (row % 2))
        out[row] = wave + np.float32(hum) * line
        out[row] += np.float32(0.5 * noise) * rng.standard_normal(n_samples, dtype=np.float32)
    return out


def draw_dropouts(
    person: Person, ch_names: Sequence[str], modalities: Sequence[str], duration_s: float, seed: int
) -> tuple[Dropout, ...]:
    """Which sensors this person loses and when: one EEG channel or one peripheral modality at a time."""
    rng = generator(seed, person.dataset, "dropout", person.participant)
    chance = rng.random(4)
    channels = rng.choice(len(ch_names), 2, replace=False)
    lost = rng.choice(len(modalities), 2, replace=len(modalities) < 2)
    first_s = rng.uniform(0.1, 0.7, 2) * duration_s
    length_s = rng.uniform(20.0, 180.0, 2)
    dropouts = []
    if chance[0] < _FLAT_STRETCH_CHANCE:
        dropouts.append(_stretch("EEG", ch_names[channels[0]], first_s[0], length_s[0], duration_s))
    if chance[1] < _FLAT_SESSION_CHANCE:
        dropouts.append(Dropout("EEG", ch_names[channels[1]], 0.0, duration_s))
    if chance[2] < _LOST_STRETCH_CHANCE:
        dropouts.append(_stretch(modalities[lost[0]], None, first_s[1], length_s[1], duration_s))
    if chance[3] < _LOST_SESSION_CHANCE:
        dropouts.append(Dropout(modalities[lost[1]], None, 0.0, duration_s))
    return tuple(dropouts)


def _stretch(modality: str, channel: str | None, first_s: float, length_s: float, end_s: float) -> Dropout:
    stop_s = min(first_s + length_s, end_s)
    return Dropout(modality, channel, round(float(first_s), 2), round(float(stop_s), 2))


def apply_dropouts(
    signals: Mapping[str, np.ndarray], rows: Mapping[str, tuple[str, slice]], dropouts: Sequence[Dropout],
    ch_names: Sequence[str], sfreq_hz: Mapping[str, float], start_s: float = 0.0,
) -> None:
    """Set the lost stretches of *signals* to 0, in place.

    Parameters
    ----------
    signals : {key: ndarray (C, N) or (N,)}
        Starting at *start_s* on the session clock.
    rows : {modality: (key, rows)}
        Which rows of which signal a modality is.
    sfreq_hz : {key: float}
    """
    for dropout in dropouts:
        key, row = rows[dropout.modality]
        signal = np.atleast_2d(signals[key])  # a view: writing goes through
        if dropout.channel is not None:
            place = ch_names.index(dropout.channel)
            row = slice(place, place + 1)
        first = max(round((dropout.start_s - start_s) * sfreq_hz[key]), 0)
        stop = max(round((dropout.stop_s - start_s) * sfreq_hz[key]), 0)
        signal[row, first:stop] = 0.0
