"""One simulated session: emotion over time in, all signals of the recording out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from himoe.simulate import artefacts, peripheral
from himoe.simulate.artefacts import Dropout
from himoe.simulate.conditions import STEADY, Conditions
from himoe.simulate.corrupt import disturb, pops
from himoe.simulate.eeg import simulate_eeg
from himoe.simulate.effects import Person, modulations
from himoe.simulate.montage import EPOC, GENEVA

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


def deap_signals(
    person: Person, driver: np.ndarray, duration_s: float, sfreq_hz: float, seed: int, snr: float,
    noise: float = 1.0, ocular: bool = True, conditions: Conditions = STEADY,
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
    moved = modulations(person, driver, seed, snr, noise, conditions.lags_s)
    eeg = simulate_eeg(person, moved, duration_s, sfreq_hz, GENEVA, seed, noise, events=conditions.events)
    exg = artefacts.external_electrodes(person, moved, duration_s, sfreq_hz, seed, noise)
    add_artefacts(eeg, person, moved, GENEVA, duration_s, sfreq_hz, seed, noise, ocular, conditions)
    signals = {"EEG": eeg, "EXG": exg}
    for name, simulate in _DEAP_SINGLE.items():
        signals[name] = simulate(person, moved, duration_s, sfreq_hz, seed, noise)
    disturb(signals, DEAP_ROWS, conditions.events, person, dict.fromkeys(signals, sfreq_hz), seed)
    return signals


_DEAP_SINGLE = {
    "EDA": peripheral.skin_conductance, "RSP": peripheral.respiration,
    "PPG": peripheral.finger_pulse, "TEMP": peripheral.skin_temperature,
}


def dreamer_signals(
    person: Person, driver: np.ndarray, duration_s: float, seed: int, snr: float, noise: float = 1.0,
    conditions: Conditions = STEADY,
) -> dict[str, np.ndarray]:
    """All signals of one DREAMER session: {"EEG": (14, N) uV at 128 Hz, "ECG": (2, M) a.u. at 256 Hz}."""
    moved = modulations(person, driver, seed, snr, noise, conditions.lags_s)
    eeg = simulate_eeg(person, moved, duration_s, DREAMER_EEG_HZ, EPOC, seed, noise, events=conditions.events)
    add_artefacts(eeg, person, moved, EPOC, duration_s, DREAMER_EEG_HZ, seed, noise, True, conditions)
    eeg += EPOC_OFFSET_UV
    ecg = peripheral.electrocardiogram(person, moved, duration_s, DREAMER_ECG_HZ, seed, noise)
    signals = {"EEG": eeg, "ECG": ecg}
    disturb(signals, DREAMER_ROWS, conditions.events, person, {"EEG": DREAMER_EEG_HZ, "ECG": DREAMER_ECG_HZ}, seed)
    return signals


def add_artefacts(
    eeg: np.ndarray, person: Person, moved: Mapping[str, np.ndarray], ch_names: Sequence[str],
    duration_s: float, sfreq_hz: float, seed: int, noise: float, ocular: bool, conditions: Conditions = STEADY,
) -> None:
    """Blinks, muscle bursts and electrode pops into *eeg*, in place."""
    if ocular and noise:
        blink = np.float32(noise) * artefacts.blinks(person, moved, duration_s, sfreq_hz, seed)
        for row, leak in enumerate(artefacts.blink_leak(ch_names)):
            if leak > 0.005:
                eeg[row] += leak * blink
    if noise:
        for row, place, wave in artefacts.muscle_bursts(person, ch_names, duration_s, sfreq_hz, seed):
            eeg[row, place] += noise * wave[:len(eeg[row, place])]
        pops(eeg, ch_names, conditions.events, person, sfreq_hz, seed)


def deap_dropouts(person: Person, duration_s: float, seed: int) -> tuple[Dropout, ...]:
    """The sensors a DEAP participant loses."""
    return artefacts.draw_dropouts(person, GENEVA, tuple(DEAP_ROWS)[1:], duration_s, seed)


def dreamer_dropouts(person: Person, duration_s: float, seed: int) -> tuple[Dropout, ...]:
    """The sensors a DREAMER participant loses."""
    return artefacts.draw_dropouts(person, EPOC, tuple(DREAMER_ROWS)[1:], duration_s, seed)
