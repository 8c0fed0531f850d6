"""Disturbances in the raw signals: what a bad contact, a movement or a railed amplifier looks like.

Sizes follow the quality of :mod:`himoe.simulate.conditions`; of the EEG see :func:`himoe.simulate.eeg.contact_noise`.
Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from himoe.simulate.artefacts import muscle
from himoe.simulate.conditions import Disturbance, noise_factor
from himoe.simulate.effects import Person
from himoe.simulate.latent import generator
from himoe.simulate.shaped import shaped_noise

POP_UV = (60.0, 300.0)
POP_DECAY_S = 0.6
POPS_PER_S = 0.7
COOLING_DEGC = 2.5
_GRID_HZ = 64.0
_MOST = 10.0  # a disturbance is at most this many times as large as the signal
# Size of the undisturbed signal, and the band (Hz) in which its disturbance lies.
_CLEAN = {"PPG": (650.0, (0.3, 5.0)), "ECG": (120.0, (0.5, 20.0)), "RSP": (700.0, (0.1, 1.0)),
          "EOG": (40.0, (0.2, 10.0))}
LEAST_US = 0.2  # of a disturbed skin conductance: its resistance stays within what a BDF file holds
_PRESSURE = (0.05, (0.1, 1.0))  # in parts of the resting skin conductance


def disturb(
    signals: Mapping[str, np.ndarray], rows: Mapping[str, tuple[str, slice]], events: Sequence[Disturbance],
    person: Person, sfreq_hz: Mapping[str, float], seed: int,
) -> None:
    """Put every disturbance but those of the EEG into *signals*, in place.

    Parameters
    ----------
    signals : {key: ndarray (C, N) or (N,)}
        From time 0 of the session clock.
    rows : {modality: (key, rows)}
        Which rows of which signal a modality is.
    sfreq_hz : {key: float}
    """
    rails = {"EDA": 1.05 * float(signals["EDA"].max())} if "EDA" in signals else {}
    for number, event in enumerate(events):
        if event.modality not in rows or event.modality == "EEG":
            continue
        key, row = rows[event.modality]
        signal = np.atleast_2d(signals[key])[row]  # a view: writing goes through
        rate = sfreq_hz[key]
        first, stop = max(round(event.start_s * rate), 0), min(round(event.stop_s * rate), signal.shape[1])
        if stop <= first:
            continue
        rng = generator(seed, person.dataset, "disturbance", person.participant, 1000 + number)
        strength = event.strength(np.arange(first, stop) / rate)
        part = signal[:, first:stop]
        if event.kind == "saturation":
            part[:] = rails["EDA"] + 0.0005 * rng.standard_normal(part.shape)
        elif event.kind == "detachment":
            part -= (COOLING_DEGC * strength).astype(np.float32)
        else:
            part += _noise(rng, event, part, strength, person, rate)
            if event.modality == "EDA":
                np.maximum(part, LEAST_US, out=part)


def _noise(rng: np.random.Generator, event: Disturbance, part: np.ndarray, strength: np.ndarray, person: Person,
           sfreq_hz: float) -> np.ndarray:
    """The disturbing signal of one stretch, like *part* (C, n) float32."""
    factor = np.minimum(noise_factor(np.maximum(1 - strength, 1e-3)), _MOST)
    if event.modality == "EMG":  # both muscles tense, in the difference of each pair of electrodes
        own = np.array([person.levels["zygomaticus_uv"], person.levels["trapezius_uv"]])
        waves = [0.5 * level * factor * muscle(rng, part.shape[1]) for level in own]
        return np.stack([sign * wave for wave in waves for sign in (1, -1)]).astype(np.float32)
    if event.modality == "EDA":
        size, band_hz = _PRESSURE[0] * person.levels["skin_conductance_us"], _PRESSURE[1]
    else:
        size, band_hz = _CLEAN[event.modality]
    n_grid = max(round(part.shape[1] / sfreq_hz * _GRID_HZ), 1) + 1
    grid = shaped_noise(rng, part.shape[0], max(n_grid, 256), _GRID_HZ, band_hz, exponent=1.0)[:, :n_grid]
    time_s, grid_s = np.arange(part.shape[1]) / sfreq_hz, np.arange(n_grid) / _GRID_HZ
    return np.stack([size * factor * np.interp(time_s, grid_s, row) for row in grid]).astype(np.float32)


def pops(eeg: np.ndarray, ch_names: Sequence[str], events: Sequence[Disturbance], person: Person, sfreq_hz: float,
         seed: int) -> None:
    """Electrode pops into *eeg* (C, N) uV, in place: sudden steps that decay, at one electrode."""
    decay = np.exp(-np.arange(round(5 * POP_DECAY_S * sfreq_hz)) / (POP_DECAY_S * sfreq_hz)).astype(np.float32)
    for number, event in enumerate(events):
        if event.kind != "pops" or event.place not in ch_names:
            continue
        rng = generator(seed, person.dataset, "disturbance", person.participant, 1000 + number)
        length_s = event.stop_s - event.start_s
        count = 1 + int(rng.poisson(POPS_PER_S * event.severity * length_s))
        row = eeg[ch_names.index(event.place)]
        for start_s, size, sign in zip(rng.uniform(0, length_s, count), rng.uniform(*POP_UV, count),
                                       rng.choice([-1.0, 1.0], count)):
            first = round((event.start_s + start_s) * sfreq_hz)
            if first >= 0:
                part = row[first:first + len(decay)]
                part += np.float32(sign * size) * decay[:len(part)]
