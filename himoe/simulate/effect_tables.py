"""What emotion moves in the body, in both worlds: effects, their weights, backgrounds, lags and response systems.

Sources for the signs are in ``docs/simulator.md``; the sizes are chosen, not measured. A *term* is a dimension or a
product of two (``"valence*arousal"``); the *driver* is twice the latent, about 1 standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from himoe.core.recordings import DIMENSIONS

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
PRODUCTS: tuple[tuple[str, str], ...] = (("valence", "arousal"), ("valence", "valence"), ("arousal", "dominance"))
TERMS: tuple[str, ...] = (*DIMENSIONS, *("*".join(pair) for pair in PRODUCTS))


@dataclass(frozen=True)
class Effect:
    """One physiological quantity that emotion moves.

    Parameters
    ----------
    modality : str
        Whose lag it has.
    weights : {term: float}
        Change per unit of the driver (or per unit of a product), shared by all people, in *unit*.
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


@dataclass(frozen=True)
class BodyWorld:
    """How bodies answer in one world.

    Parameters
    ----------
    effects : {name: Effect}
    own_share : float
        SD of a person's own weights, as a share of the effect's largest shared weight.
    unshared_sd : float
        The same where nothing is shared (log power).
    fast_share, fast_tau_s : float
        Share of a background's variance that changes fast, and its time constant.
    lag_jitter : float
        SD of a trial's lag as a share of the person's, drawn anew for every trial and modality.
    settle_s : {modality: s}
        Time constant of the low-pass through which a modality answers; none = at once.
    leading, others, system_spread : float
        Factor on the gains of a person's leading response system and of the others, and their log SD; 1, 1, 0 = no
        response types.
    """

    effects: Mapping[str, Effect]
    own_share: float
    unshared_sd: float
    fast_share: float = 0.0
    fast_tau_s: float = 1.0
    lag_jitter: float = 0.0
    settle_s: Mapping[str, float] = field(default_factory=dict)
    leading: float = 1.0
    others: float = 1.0
    system_spread: float = 0.0

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that any effect of this world has: dimensions first."""
        used = {term for effect in self.effects.values() for term in effect.weights}
        return DIMENSIONS + tuple(term for term in TERMS[len(DIMENSIONS):] if term in used)


# Which modalities answer together: a person's leading system is one of these.
SYSTEMS: dict[str, tuple[str, ...]] = {
    "cortex": ("EEG",), "heart": ("PPG", "ECG", "HEART", "RSP"), "skin": ("EDA", "TEMP"),
    "muscle": ("EMG", "EOG", "FACE"),
}


def _effects(eeg: Mapping[tuple[str, str], Mapping[str, float]], others: Mapping[str, Effect]) -> dict[str, Effect]:
    """Every band and region (those not in *eeg* have only a person's own part), then *others*."""
    rhythms = {f"{band}_{region}": Effect("EEG", eeg.get((band, region), {}), 0.45, 20.0, "log power")
               for band in BANDS_HZ for region in REGIONS}
    return rhythms | dict(others)


ADDITIVE = BodyWorld(own_share=0.75, unshared_sd=0.10, effects=_effects({
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
}, {
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
}))

_PRODUCT_VA, _PRODUCT_VV, _PRODUCT_AD = TERMS[len(DIMENSIONS):]

PHYSIOLOGICAL = BodyWorld(
    own_share=0.5, unshared_sd=0.08, fast_share=0.4, fast_tau_s=4.0, lag_jitter=0.25,
    settle_s={"PPG": 1.0, "ECG": 1.0, "RSP": 1.0, "EDA": 1.5, "TEMP": 6.0},
    leading=1.5, others=0.8, system_spread=0.2, effects=_effects({
        ("alpha", "frontal_left"): {"valence": -0.20, "arousal": -0.06, _PRODUCT_VA: -0.12, _PRODUCT_AD: -0.08},
        ("alpha", "frontal_right"): {"valence": 0.20, "arousal": -0.06, _PRODUCT_VA: 0.12, _PRODUCT_AD: 0.08},
        ("alpha", "parietal_left"): {"arousal": -0.16},
        ("alpha", "parietal_right"): {"arousal": -0.24},
        ("alpha", "occipital"): {"arousal": -0.16},
        ("beta", "frontal_left"): {"arousal": 0.14, "dominance": 0.14},
        ("beta", "frontal_right"): {"arousal": 0.14, "dominance": 0.14},
        ("beta", "parietal_left"): {"arousal": 0.12},
        ("beta", "parietal_right"): {"arousal": 0.12},
        ("gamma", "temporal_left"): {"valence": 0.16, "arousal": 0.06, _PRODUCT_VA: 0.10},
        ("gamma", "temporal_right"): {"valence": 0.16, "arousal": 0.06, _PRODUCT_VA: 0.10},
        ("theta", "frontal_middle"): {"valence": 0.18, "dominance": -0.20, "liking": 0.15},
    }, {
        "blink_rate": Effect("EOG", {"liking": -0.25, "arousal": 0.10}, 0.30, 20.0, "log"),
        "zygomaticus": Effect("EMG", {"valence": 0.20, "liking": 0.14, _PRODUCT_VV: 0.14}, 0.45, 10.0, "log"),
        "trapezius": Effect("EMG", {"arousal": 0.14, "dominance": 0.18, _PRODUCT_VA: -0.14}, 0.40, 20.0, "log"),
        "heart_rate": Effect("HEART", {"valence": 0.9, "arousal": 0.4, _PRODUCT_VA: 1.3}, 2.5, 20.0, "bpm"),
        "heart_variability": Effect("HEART", {"arousal": -0.20, "valence": 0.15}, 0.30, 30.0, "log"),
        "pulse_amplitude": Effect("HEART", {"arousal": -0.10, _PRODUCT_VA: 0.08}, 0.20, 20.0, "log"),
        "skin_conductance_level": Effect("EDA", {"arousal": 0.06}, 0.12, 40.0, "log"),
        "skin_response_rate": Effect("EDA", {"arousal": 0.40}, 0.30, 20.0, "log"),
        "skin_response_size": Effect("EDA", {"arousal": 0.20}, 0.25, 20.0, "log"),
        "breathing_rate": Effect("RSP", {"arousal": 0.05, _PRODUCT_VA: -0.03}, 0.08, 20.0, "log"),
        "breathing_depth": Effect("RSP", {"arousal": 0.06, "valence": 0.04, _PRODUCT_VA: 0.08}, 0.18, 20.0, "log"),
        "skin_temperature": Effect("TEMP", {"arousal": -0.08, "valence": 0.04, _PRODUCT_AD: 0.06}, 0.15, 60.0, "degC"),
    }))

BODIES: dict[str, BodyWorld] = {"additive": ADDITIVE, "physiological": PHYSIOLOGICAL}
