"""What emotion does to one simulated body: a person's own version of the table of effects, lags and response system.

Legend: N samples at ``LATENT_HZ``, K terms (dimensions, then products of two); the *driver* is twice the latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from himoe.core.recordings import DIMENSIONS
from himoe.simulate.effect_tables import BODIES, LAGS_S, PRODUCTS, SYSTEMS, BodyWorld
from himoe.simulate.latent import LATENT_HZ, generator, smooth_noise

_SYSTEM = 1000  # the stream of a person's response system and products
_FAST = 1  # the stream of the fast part of the background
_N_DIMENSIONS = len(DIMENSIONS)


@dataclass(frozen=True)
class Person:
    """One simulated person.

    ``gains`` {effect: (K,)} in the effect's unit per unit of the driver (of a product), terms in the world's order;
    ``lags_s`` {modality: s}; ``clock_drift_ppm``: how much faster the peripheral clock runs; ``levels``: resting
    values (bpm, uS, degC, ...); ``leading``: the response system that answers most, "" where there are none;
    ``system_gain`` {system: factor}, contained in ``gains``.
    """

    dataset: str
    participant: int
    gains: Mapping[str, np.ndarray]
    lags_s: Mapping[str, float]
    clock_drift_ppm: float
    levels: Mapping[str, float]
    world: str
    leading: str
    system_gain: Mapping[str, float]

    @property
    def body(self) -> BodyWorld:
        """The world's table of effects."""
        return BODIES[self.world]


def make_person(seed: int, dataset: str, participant: int, world: str) -> Person:
    """Draw one person; depends on nothing but the arguments. Lags and levels are the same in every world."""
    body = BODIES[world]
    rng = generator(seed, dataset, "person", participant)
    lags_s = {modality: float(rng.uniform(*span)) for modality, span in LAGS_S.items()}
    drawn = {name: rng.standard_normal(_N_DIMENSIONS) for name in body.effects}
    levels: dict[str, float] = {
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
    levels = {name: float(value) for name, value in levels.items()}
    drift_ppm = float(rng.uniform(-50, 50))
    leading, factors = response_system(seed, dataset, participant, body)
    own = generator(seed, dataset, "person", participant, _SYSTEM)
    gains = {name: _gain(body, name, drawn[name], own) * factors[system_of(effect.modality)]
             for name, effect in body.effects.items()}
    return Person(dataset, participant, gains, lags_s, drift_ppm, levels, world, leading, factors)


def _gain(body: BodyWorld, name: str, drawn: np.ndarray, own: np.random.Generator) -> np.ndarray:
    """The shared weights plus a person's own, (K,): of every dimension, and of the products the effect has."""
    effect = body.effects[name]
    shared = np.array([effect.weights.get(term, 0.0) for term in body.terms])
    spread = body.own_share * np.abs(shared)
    spread[:_N_DIMENSIONS] = spread[:_N_DIMENSIONS].max() if effect.weights else body.unshared_sd
    extra = own.standard_normal(len(shared) - _N_DIMENSIONS)
    return shared + spread * np.concatenate([drawn, extra])


def response_system(seed: int, dataset: str, participant: int, body: BodyWorld) -> tuple[str, dict[str, float]]:
    """The system that answers most in a person ("" where a world has none), and the factor of every system.

    Among four people in a row each system leads once; so it does in the order of the simulated participants.
    """
    names = tuple(SYSTEMS)
    if body.leading == body.others:
        return "", dict.fromkeys(names, body.leading)
    place = generator(seed, dataset, "person", 0, _SYSTEM).permutation(len(names))[(participant - 1) % len(names)]
    spread = generator(seed, dataset, "person", participant, _SYSTEM + 1).standard_normal(len(names))
    return names[place], {
        name: float((body.leading if row == place else body.others) * np.exp(body.system_spread * spread[row]))
        for row, name in enumerate(names)}


def system_of(modality: str) -> str:
    """The response system that a modality belongs to."""
    return next(name for name, members in SYSTEMS.items() if modality in members)


def driver_terms(driver: np.ndarray, n_terms: int) -> np.ndarray:
    """The driver (4, N) and, as far as *n_terms* K reaches, its products: (K, N)."""
    places = {name: row for row, name in enumerate(DIMENSIONS)}
    products = [driver[places[one]] * driver[places[other]] for one, other in PRODUCTS[:n_terms - _N_DIMENSIONS]]
    return np.stack([*driver, *products])


def answers(person: Person, driver: np.ndarray, snr: float, lags_s: Mapping[str, np.ndarray] | None = None,
            ) -> dict[str, np.ndarray]:
    """What emotion alone does to each effect, {effect: (N,)} at ``LATENT_HZ``.

    *lags_s*: each modality's lag at every moment, (N,); None = the person's, constant.
    """
    from scipy.signal import lfilter

    body = person.body
    terms = driver_terms(driver, len(body.terms))
    time_s = np.arange(driver.shape[1]) / LATENT_HZ
    seen: dict[str, np.ndarray] = {}
    emotional = {}
    for name, effect in body.effects.items():
        modality = recorded_modality(effect.modality, person.dataset)
        if modality not in seen:
            rate = 1.0 if modality in ("EEG", "EOG", "EMG") else 1.0 + 1e-6 * person.clock_drift_ppm
            then_s = time_s * rate - (person.lags_s[modality] if lags_s is None else lags_s[modality])
            seen[modality] = np.stack([np.interp(then_s, time_s, term) for term in terms])
            if modality in body.settle_s:
                keep = np.exp(-1 / (LATENT_HZ * body.settle_s[modality]))
                seen[modality] = lfilter([1 - keep], [1, -keep], seen[modality], axis=1)
        emotional[name] = snr * (person.gains[name] @ seen[modality])
    return emotional


def modulations(
    person: Person, driver: np.ndarray, seed: int, snr: float, noise: float = 1.0,
    lags_s: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """How far each effect is moved at each moment.

    ``snr * gains . terms(t - lag) + noise * background(t)``, the first low-passed where the world says so. The
    peripheral clock runs at its own speed, so its signals read the driver at a slightly different time than the EEG.

    Parameters
    ----------
    driver : ndarray, (4, N)
        At ``LATENT_HZ``.
    snr, noise : float
        Factors on everything emotional and on everything else.
    lags_s : {modality: ndarray (N,)}, optional
        Lags at every moment; None = the person's, constant.

    Returns
    -------
    {effect: ndarray (N,)} in the effect's unit, at ``LATENT_HZ`` of the recording's clock
    """
    body, n_samples = person.body, driver.shape[1]
    rng = generator(seed, person.dataset, "background", person.participant)
    background = smooth_noise(rng, n_samples, LATENT_HZ,
                              np.array([effect.background_tau_s for effect in body.effects.values()]))
    if body.fast_share:
        rng = generator(seed, person.dataset, "background", person.participant, _FAST)
        fast = smooth_noise(rng, n_samples, LATENT_HZ, np.full(len(body.effects), body.fast_tau_s))
        background = np.sqrt(1 - body.fast_share) * background + np.sqrt(body.fast_share) * fast
    return {name: moved + noise * body.effects[name].background_sd * background[row]
            for row, (name, moved) in enumerate(answers(person, driver, snr, lags_s).items())}


def recorded_modality(modality: str, dataset: str) -> str:
    """The modality as recorded: DEAP shows the heart in a finger pulse, the others in an electrocardiogram or not."""
    return ("PPG" if dataset == "deap" else "ECG") if modality == "HEART" else modality
