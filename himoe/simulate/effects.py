"""What emotion does to the body: the table of effects, a person's own version of it, and its lags.

Sources for the signs are in ``docs/simulator.md``; the sizes are chosen, not measured.
Legend: N samples at ``LATENT_HZ``; the *driver* is twice the latent, about 1 standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from himoe.recordings import DIMENSIONS
from himoe.simulate.latent import LATENT_HZ, generator, smooth_noise

BANDS_HZ: dict[str, tuple[float, float]] = {
    "theta": (4.0, 7.5), "alpha": (8.0, 13.0), "beta": (14.0, 28.0), "gamma": (30.0, 45.0),
}
REGIONS: tuple[str, ...] = (
    "frontal_left", "frontal_right", "frontal_middle", "central_left", "central_right",
    "temporal_left", "temporal_right", "parietal_left", "parietal_right", "occipital",
)
# Shortest and longest response lag in s. A person's own lag lies between them.
LAGS_S: dict[str, tuple[float, float]] = {
    "EEG": (0.2, 0.5), "EOG": (0.2, 0.5), "EMG": (0.2, 0.4), "PPG": (1.0, 2.0), "ECG": (1.0, 2.0),
    "RSP": (1.5, 3.0), "EDA": (2.0, 4.0), "TEMP": (4.0, 8.0),
}
OWN_SHARE = 0.75  # SD of a person's own weights, as a share of the effect's largest shared weight


@dataclass(frozen=True)
class Effect:
    """One physiological quantity that emotion moves.

    Parameters
    ----------
    modality : str
        Whose lag it has.
    weights : {dimension: float}
        Change per unit of the driver, shared by all people, in *unit*.
    background_sd, background_tau_s : float
        Size (in *unit*) and time constant of the changes that have nothing to do with emotion.
    unit : str
        ``"log power"``, ``"log"`` (of an amplitude or rate), ``"bpm"`` or ``"degC"``.
    """

    modality: str
    weights: Mapping[str, float]
    background_sd: float
    background_tau_s: float
    unit: str


# Band and region of the effects that all people share. Every other band and region has only a
# person's own part.
_EEG_WEIGHTS: dict[tuple[str, str], dict[str, float]] = {
    ("alpha", "frontal_left"): {"valence": -0.28, "arousal": -0.06},
    ("alpha", "frontal_right"): {"valence": 0.28, "arousal": -0.06},
    ("alpha", "parietal_left"): {"arousal": -0.20},
    ("alpha", "parietal_right"): {"arousal": -0.20},
    ("alpha", "occipital"): {"arousal": -0.16},
    ("beta", "frontal_left"): {"arousal": 0.16, "dominance": 0.14},
    ("beta", "frontal_right"): {"arousal": 0.16, "dominance": 0.14},
    ("beta", "parietal_left"): {"arousal": 0.12},
    ("beta", "parietal_right"): {"arousal": 0.12},
    ("gamma", "temporal_left"): {"valence": 0.26, "arousal": 0.06},
    ("gamma", "temporal_right"): {"valence": 0.26, "arousal": 0.06},
    ("theta", "frontal_middle"): {"valence": 0.22, "dominance": -0.20, "liking": 0.15},
}


def _eeg_effects() -> dict[str, Effect]:
    return {
        f"{band}_{region}": Effect("EEG", _EEG_WEIGHTS.get((band, region), {}), 0.45, 20.0, "log power")
        for band in BANDS_HZ for region in REGIONS
    }


EFFECTS: dict[str, Effect] = _eeg_effects() | {
    "blink_rate": Effect("EOG", {"liking": -0.25, "arousal": 0.10}, 0.30, 20.0, "log"),
    "zygomaticus": Effect("EMG", {"valence": 0.28, "liking": 0.15}, 0.45, 10.0, "log"),
    "trapezius": Effect("EMG", {"arousal": 0.14, "dominance": 0.20}, 0.40, 20.0, "log"),
    "heart_rate": Effect("HEART", {"arousal": 1.5, "valence": 0.7}, 2.5, 20.0, "bpm"),
    "heart_variability": Effect("HEART", {"arousal": -0.20, "valence": 0.15}, 0.30, 30.0, "log"),
    "pulse_amplitude": Effect("HEART", {"arousal": -0.10}, 0.20, 20.0, "log"),
    "skin_conductance_level": Effect("EDA", {"arousal": 0.06}, 0.12, 40.0, "log"),
    "skin_response_rate": Effect("EDA", {"arousal": 0.40}, 0.30, 20.0, "log"),
    "skin_response_size": Effect("EDA", {"arousal": 0.20}, 0.25, 20.0, "log"),
    "breathing_rate": Effect("RSP", {"arousal": 0.05, "valence": -0.02}, 0.08, 20.0, "log"),
    "breathing_depth": Effect("RSP", {"arousal": 0.08, "valence": 0.05}, 0.18, 20.0, "log"),
    "skin_temperature": Effect("TEMP", {"arousal": -0.08, "valence": 0.05}, 0.15, 60.0, "degC"),
}
# The spread of a person's own weights where nothing is shared (log power).
_UNSHARED_SPREAD = 0.10


@dataclass(frozen=True)
class Person:
    """One simulated person.

    ``gains`` {effect: (4,)} in the effect's unit per unit of the driver, dimensions in order;
    ``lags_s`` {modality: s}; ``clock_drift_ppm``: how much faster the peripheral clock runs;
    ``levels``: resting values (bpm, uS, degC, ...), see :func:`make_person`.
    """

    dataset: str
    participant: int
    gains: Mapping[str, np.ndarray]
    lags_s: Mapping[str, float]
    clock_drift_ppm: float
    levels: Mapping[str, float]


def make_person(seed: int, dataset: str, participant: int) -> Person:
    """Draw one person; depends on nothing but the three arguments."""
    rng = generator(seed, dataset, "person", participant)
    lags_s = {modality: float(rng.uniform(*span)) for modality, span in LAGS_S.items()}
    gains = {}
    for name, effect in EFFECTS.items():
        shared = np.array([effect.weights.get(dimension, 0.0) for dimension in DIMENSIONS])
        spread = OWN_SHARE * np.abs(shared).max() if effect.weights else _UNSHARED_SPREAD
        gains[name] = shared + spread * rng.standard_normal(len(DIMENSIONS))
    levels = {
        "heart_rate_bpm": rng.uniform(58, 82),
        "heart_variability_bpm": 2.5 * np.exp(0.3 * rng.standard_normal()),
        "breathing_hz": rng.uniform(0.20, 0.30),
        "skin_conductance_us": 5.0 * np.exp(0.5 * rng.standard_normal()),
        "skin_responses_per_min": rng.uniform(3, 8),
        "skin_temperature_degc": rng.uniform(31, 35),
        "blinks_per_min": rng.uniform(8, 20),
        "zygomaticus_uv": 4.0 * np.exp(0.3 * rng.standard_normal()),
        "trapezius_uv": 8.0 * np.exp(0.3 * rng.standard_normal()),
        "eeg_background_uv": 6.0 * np.exp(0.2 * rng.standard_normal()),
        "line_noise_uv": rng.uniform(0.5, 4.0),
        "emg_bursts_per_min": rng.uniform(0.2, 1.0),
    }
    return Person(dataset, participant, gains, lags_s, float(rng.uniform(-50, 50)),
                  {name: float(value) for name, value in levels.items()})


def modulations(
    person: Person, driver: np.ndarray, seed: int, snr: float, noise: float = 1.0
) -> dict[str, np.ndarray]:
    """How far each effect is moved at each moment.

    ``snr * gains . driver(t - lag) + noise * background(t)``. The peripheral clock runs at its own
    speed, so its signals read the driver at a slightly different time than the EEG.

    Parameters
    ----------
    driver : ndarray, (4, N)
        At ``LATENT_HZ``.
    snr, noise : float
        Factors on everything emotional and on everything else.

    Returns
    -------
    {effect: ndarray (N,)} in the effect's unit, at ``LATENT_HZ`` of the recording's clock
    """
    n_samples = driver.shape[1]
    time_s = np.arange(n_samples) / LATENT_HZ
    rng = generator(seed, person.dataset, "background", person.participant)
    background = smooth_noise(rng, n_samples, LATENT_HZ,
                              np.array([effect.background_tau_s for effect in EFFECTS.values()]))
    moved = {}
    for row, (name, effect) in enumerate(EFFECTS.items()):
        modality = heart_modality(person.dataset) if effect.modality == "HEART" else effect.modality
        rate = 1.0 if modality in ("EEG", "EOG", "EMG") else 1.0 + 1e-6 * person.clock_drift_ppm
        then_s = time_s * rate - person.lags_s[modality]
        emotional = person.gains[name] @ np.stack([np.interp(then_s, time_s, d) for d in driver])
        moved[name] = snr * emotional + noise * effect.background_sd * background[row]
    return moved


def heart_modality(dataset: str) -> str:
    """The modality that shows the heart: DEAP has a finger pulse, the others an electrocardiogram or none."""
    return "PPG" if dataset == "deap" else "ECG"
