"""One simulated session: emotion over time in, all signals of the recording out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from himoe.simulate import artefacts, peripheral
from himoe.simulate.artefacts import Dropout
from himoe.simulate.eeg import EPOC, GENEVA, simulate_eeg
from himoe.simulate.effects import Person, modulations
from himoe.simulate.latent import LATENT_HZ, rise

DRIVER_PER_LATENT = 2.0
RELEASE_S = 4.0
DREAMER_EEG_HZ = 128.0
DREAMER_ECG_HZ = 256.0
EPOC_OFFSET_UV = 4200.0  # the headset's unsigned samples lie round the middle of their range

# Which rows of which signal a modality is.
DEAP_ROWS: dict[str, tuple[str, slice]] = {
    "EEG": ("EEG", slice(0, 32)), "EOG": ("EXG", slice(0, 4)), "EMG": ("EXG", slice(4, 8)),
    "EDA": ("EDA", slice(0, 1)), "RSP": ("RSP", slice(0, 1)), "PPG": ("PPG", slice(0, 1)),
    "TEMP": ("TEMP", slice(0, 1)),
}
DREAMER_ROWS: dict[str, tuple[str, slice]] = {"EEG": ("EEG", slice(0, 14)), "ECG": ("ECG", slice(0, 2))}


@dataclass(frozen=True)
class Timeline:
    """When which video runs: session length, and per trial its video, start and length (s)."""

    duration_s: float
    videos: tuple[int, ...]
    start_s: tuple[float, ...]
    length_s: tuple[float, ...]


def make_timeline(
    videos: Sequence[int], length_s: Sequence[float], lead_s: float, between_s: float, tail_s: float
) -> Timeline:
    """Trials one after another: *lead_s* before the first, *between_s* between, *tail_s* after the last."""
    starts, clock_s = [], lead_s
    for length in length_s:
        starts.append(clock_s)
        clock_s += length + between_s
    return Timeline(clock_s - between_s + tail_s, tuple(videos), tuple(starts), tuple(length_s))


def session_driver(timeline: Timeline, latents: Sequence[np.ndarray]) -> np.ndarray:
    """The driver of the body over a whole session, (4, N) at ``LATENT_HZ``.

    ``DRIVER_PER_LATENT`` times the latent during a trial, 0 (neutral) elsewhere; after a trial it
    fades over ``RELEASE_S``. Trials are expected to start at whole quarters of a second.
    """
    driver = np.zeros((4, round(timeline.duration_s * LATENT_HZ) + 1))
    n_fade = round(RELEASE_S * LATENT_HZ)
    fade = 1.0 - rise(np.arange(1, n_fade + 1) / LATENT_HZ, RELEASE_S)
    for start_s, latent in zip(timeline.start_s, latents):
        first = round(start_s * LATENT_HZ)
        stop = first + latent.shape[1]
        driver[:, first:stop] = DRIVER_PER_LATENT * latent
        end = min(stop + n_fade, driver.shape[1])
        driver[:, stop:end] = DRIVER_PER_LATENT * latent[:, -1:] * fade[:end - stop]
    return driver


def deap_signals(
    person: Person, driver: np.ndarray, duration_s: float, sfreq_hz: float, seed: int, snr: float,
    noise: float = 1.0, ocular: bool = True,
) -> dict[str, np.ndarray]:
    """All signals of one DEAP session.

    Parameters
    ----------
    driver : ndarray, (4, n)
        At ``LATENT_HZ``, covering *duration_s*.
    noise : float
        Factor on everything that is not emotion (0 = none), for tests.
    ocular : bool
        Whether blinks leak into the EEG (DEAP's preprocessed files have them removed).

    Returns
    -------
    {"EEG": (32, N) uV, "EXG": (8, N) uV, "EDA": (N,) uS, "RSP", "PPG": (N,) a.u., "TEMP": (N,) degC}
        float32, without dropouts.
    """
    moved = modulations(person, driver, seed, snr, noise)
    eeg = simulate_eeg(person, moved, duration_s, sfreq_hz, GENEVA, seed, noise)
    exg = artefacts.external_electrodes(person, moved, duration_s, sfreq_hz, seed, noise)
    add_artefacts(eeg, person, moved, GENEVA, duration_s, sfreq_hz, seed, noise, ocular)
    signals = {"EEG": eeg, "EXG": exg}
    for name, simulate in _DEAP_SINGLE.items():
        signals[name] = simulate(person, moved, duration_s, sfreq_hz, seed, noise)
    return signals


_DEAP_SINGLE = {
    "EDA": peripheral.skin_conductance, "RSP": peripheral.respiration,
    "PPG": peripheral.finger_pulse, "TEMP": peripheral.skin_temperature,
}


def dreamer_signals(
    person: Person, driver: np.ndarray, duration_s: float, seed: int, snr: float, noise: float = 1.0
) -> dict[str, np.ndarray]:
    """All signals of one DREAMER session: {"EEG": (14, N) uV at 128 Hz, "ECG": (2, M) a.u. at 256 Hz}."""
    moved = modulations(person, driver, seed, snr, noise)
    eeg = simulate_eeg(person, moved, duration_s, DREAMER_EEG_HZ, EPOC, seed, noise)
    add_artefacts(eeg, person, moved, EPOC, duration_s, DREAMER_EEG_HZ, seed, noise, True)
    eeg += EPOC_OFFSET_UV
    ecg = peripheral.electrocardiogram(person, moved, duration_s, DREAMER_ECG_HZ, seed, noise)
    return {"EEG": eeg, "ECG": ecg}


def add_artefacts(
    eeg: np.ndarray, person: Person, moved: Mapping[str, np.ndarray], ch_names: Sequence[str],
    duration_s: float, sfreq_hz: float, seed: int, noise: float, ocular: bool,
) -> None:
    """Blinks and muscle bursts into *eeg*, in place."""
    if ocular and noise:
        blink = np.float32(noise) * artefacts.blinks(person, moved, duration_s, sfreq_hz, seed)
        for row, leak in enumerate(artefacts.blink_leak(ch_names)):
            if leak > 0.005:
                eeg[row] += leak * blink
    if noise:
        for row, place, wave in artefacts.muscle_bursts(person, ch_names, duration_s, sfreq_hz, seed):
            eeg[row, place] += noise * wave[:len(eeg[row, place])]


def deap_dropouts(person: Person, duration_s: float, seed: int) -> tuple[Dropout, ...]:
    """The sensors a DEAP participant loses."""
    return artefacts.draw_dropouts(person, GENEVA, tuple(DEAP_ROWS)[1:], duration_s, seed)


def dreamer_dropouts(person: Person, duration_s: float, seed: int) -> tuple[Dropout, ...]:
    """The sensors a DREAMER participant loses."""
    return artefacts.draw_dropouts(person, EPOC, tuple(DREAMER_ROWS)[1:], duration_s, seed)
