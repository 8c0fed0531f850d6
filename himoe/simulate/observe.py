"""What an ideal measurement sees of one trial: every effect's course, with the noise that its signal leaves.

The noise of a quantity is what a window of its signal cannot tell. For a rhythm it is the Cramer-Rao bound of its log
power from all channels, given head, background and contacts (Gaussian signals: Fisher information T B tr(S^-1 dS S^-1
dS), Whittle 1953); for a rate of events lambda it is 1 / (lambda T); for an amplitude of noise in a band B it is
1 / (4 B T). Where contact is bad (quality q) a quantity's own background counts again, 1 / q^2 - 1 times.
Legend: C channels, R regions, E effects, K terms, J nodes, n seconds, N samples at ``LATENT_HZ``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from himoe.simulate.conditions import channel_quality, noise_factor
from himoe.simulate.decoder import Evidence
from himoe.simulate.eeg import (
    CONTACT_HZ,
    CONTACT_SHARE,
    SENSOR_NOISE_UV,
    SOURCE_HZ,
    background_mixing,
    rest_levels,
    topography,
)
from himoe.simulate.effect_tables import BANDS_HZ, REGIONS, BodyWorld
from himoe.simulate.effects import driver_terms, recorded_modality
from himoe.simulate.latent import LATENT_HZ, ONSET_S, generator, rise
from himoe.simulate.peripheral import SIZE_SPREAD, SLOW_VARIABILITY, SLOW_VARIABILITY_TAU_S
from himoe.simulate.sessions import Session
from himoe.simulate.truth import session_quality

BEFORE_S = 12  # how far before the scored stretch the emotion is estimated, as lags reach back
EMG_BAND_HZ = 40.0
# SD of one second's reading where nothing above says it: chosen.
_READING_SD = {"heart_rate": 0.5, "heart_variability": 1.4, "pulse_amplitude": 0.05, "skin_conductance_level": 0.02,
               "breathing_rate": 0.10, "breathing_depth": 0.10, "skin_temperature": 0.01}
_LOST = 1e8  # a variance that stands for no reading
_REACH_S, _REACH_SETTLINGS = 12, 4  # how far back the known past counts: lags, and time constants of low-passes


@dataclass(frozen=True)
class Trial:
    """One trial's scored stretch: *start_s* and *length_s* (whole seconds) on the session clock.

    ``node_s`` (J,): times of the nodes from *start_s* on, one per second; the first may lie before it. ``rise`` (J,):
    how far the emotion has risen there. ``stream``: of the trial's random numbers.
    """

    index: int
    start_s: float
    length_s: int
    node_s: np.ndarray
    rise: np.ndarray
    stream: int


def make_trial(session: Session, index: int, last_s: float | None, stream: int | None = None) -> Trial:
    """The last *last_s* of a trial (None = all of it); nodes begin up to ``BEFORE_S`` earlier, within the video."""
    begins_s, lasts_s = session.timeline.start_s[index], session.timeline.length_s[index]
    seconds = int(min(last_s or lasts_s, lasts_s))
    before = int(min(BEFORE_S, lasts_s - seconds))
    node_s = np.arange(-before, seconds + 1, dtype=float)
    return Trial(index, begins_s + lasts_s - seconds, seconds, node_s, rise(lasts_s - seconds + node_s, ONSET_S),
                 session.timeline.videos[index] if stream is None else stream)


def second_means(values: np.ndarray, trial: Trial) -> np.ndarray:
    """Means over every second of the trial, (..., n), of courses (..., N) at ``LATENT_HZ`` of the session clock."""
    per_s = round(LATENT_HZ)
    first = round(trial.start_s * LATENT_HZ)
    part = values[..., first:first + trial.length_s * per_s + 1]
    edges = 0.5 * (part[..., :-1] + part[..., 1:])
    return edges.reshape(*edges.shape[:-1], trial.length_s, per_s).mean(axis=-1)


def response(session: Session, trial: Trial, modality: str, lag_s: float) -> tuple[np.ndarray, np.ndarray]:
    """How a modality's seconds answer the terms: matrix (n, J) for the nodes, and the known past's part (K, n)."""
    settle_s = session.person.body.settle_s.get(modality, 0.0)
    first_s = trial.node_s[0] - _REACH_S - round(_REACH_SETTLINGS * settle_s)
    time_s = np.arange(round((trial.length_s - first_s) * LATENT_HZ) + 1) / LATENT_HZ + first_s
    means = _means_matrix(time_s, trial)
    if settle_s:
        keep = np.exp(-1 / (LATENT_HZ * settle_s))
        age = np.arange(len(time_s))[:, None] - np.arange(len(time_s))[None]
        means = means @ np.where(age >= 0, (1 - keep) * keep**np.maximum(age, 0), 0.0)
    shifted = means @ _interpolation(time_s, time_s - lag_s)
    unknown = time_s >= trial.node_s[0]
    matrix = shifted[:, unknown] @ _interpolation(trial.node_s, time_s[unknown])
    places = np.round((trial.start_s + time_s[~unknown]) * LATENT_HZ).astype(int)
    past = np.where(places >= 0, session.driver[:, np.clip(places, 0, None)], 0.0)
    return matrix, driver_terms(past, len(session.person.body.terms)) @ shifted[:, ~unknown].T


def _means_matrix(time_s: np.ndarray, trial: Trial) -> np.ndarray:
    """Means over every second (n, len(time_s)) of a course at ``LATENT_HZ``."""
    per_s, first = round(LATENT_HZ), int(np.searchsorted(time_s, -1e-9))
    matrix = np.zeros((trial.length_s, len(time_s)))
    for row in range(trial.length_s):
        part = matrix[row, first + row * per_s:first + (row + 1) * per_s + 1]
        part[:] = 1 / per_s
        part[[0, -1]] /= 2
    return matrix


def _interpolation(nodes: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Linear interpolation as a matrix (len(at), len(nodes)); constant beyond the ends; *nodes* evenly spaced."""
    place = np.clip((at - nodes[0]) / (nodes[1] - nodes[0]), 0, len(nodes) - 1)
    low = np.minimum(place.astype(int), len(nodes) - 2)
    matrix = np.zeros((len(at), len(nodes)))
    rows = np.arange(len(at))
    matrix[rows, low] = 1 - (place - low)
    matrix[rows, low + 1] += place - low
    return matrix


def background_kernel(session: Session, name: str, n_seconds: int) -> np.ndarray:
    """Covariance (n, n) of what moves an effect without emotion, seconds apart."""
    effect, distance = session.person.body.effects[name], np.subtract.outer(np.arange(n_seconds), np.arange(n_seconds))
    kernel = effect.background_sd**2 * slow_and_fast(session.person.body, effect.background_tau_s, distance)
    if name == "heart_rate":  # the heart's own variability: with the breath, and slower
        levels = session.person.levels
        swing = 0.5 * np.cos(2 * np.pi * levels["breathing_hz"] * distance) * np.exp(-((distance / 20.0) ** 2))
        slower = SLOW_VARIABILITY**2 * np.exp(-((distance / SLOW_VARIABILITY_TAU_S) ** 2))
        kernel = kernel + levels["heart_variability_bpm"] ** 2 * (swing + slower)
    return kernel


def slow_and_fast(body: BodyWorld, tau_s: float, distance_s: np.ndarray) -> np.ndarray:
    """Autocorrelation of a background at *distance_s*."""
    slow = np.exp(-((distance_s / tau_s) ** 2))
    return (1 - body.fast_share) * slow + body.fast_share * np.exp(-((distance_s / body.fast_tau_s) ** 2))


def reading_noise(session: Session, trial: Trial, moved: Mapping[str, np.ndarray],
                  high_hz: float) -> dict[str, np.ndarray]:
    """Variance of one second's reading of every recorded effect, (n,); rhythms above *high_hz* are not seen."""
    person, quality = session.person, session_quality(session, trial.start_s + np.arange(trial.length_s) + 0.5)
    noise = _rhythm_noise(session, trial, moved, high_hz)
    for name, effect in person.body.effects.items():
        modality = recorded_modality(effect.modality, person.dataset)
        if modality == "EEG" or modality not in session.modalities or (name == "pulse_amplitude" and modality == "ECG"):
            continue
        left, own = quality[modality], effect.background_sd**2
        plain = _plain_noise(session, trial, name, moved)
        noise[name] = np.where(left > 0, (plain + own) / np.maximum(left, 1e-3) ** 2 - own, _LOST)
    return noise


def _plain_noise(session: Session, trial: Trial, name: str, moved: Mapping[str, np.ndarray]) -> np.ndarray:
    """Variance of one second's reading, (n,), with a good contact."""
    levels = session.person.levels
    if name in ("zygomaticus", "trapezius"):
        return np.full(trial.length_s, 1 / (4 * EMG_BAND_HZ))
    if name == "blink_rate":
        return 60 / levels["blinks_per_min"] * np.exp(-second_means(moved["blink_rate"], trial))
    if name in ("skin_response_rate", "skin_response_size"):
        seldom = 60 / levels["skin_responses_per_min"] * np.exp(-second_means(moved["skin_response_rate"], trial))
        return seldom * (1.0 if name == "skin_response_rate" else SIZE_SPREAD**2)
    return np.full(trial.length_s, _READING_SD[name] ** 2)


def _rhythm_noise(session: Session, trial: Trial, moved: Mapping[str, np.ndarray],
                  high_hz: float) -> dict[str, np.ndarray]:
    """Variance of one second's reading of every rhythm's log power, (n,): the Cramer-Rao bound from all channels."""
    person, names = session.person, session.ch_names
    seen = topography(person, names, session.seed)
    levels_uv = rest_levels(person, session.seed)
    mixing = background_mixing(person, names)
    floor, clean_uv = mixing @ mixing.T, CONTACT_SHARE * person.levels["eeg_background_uv"]
    time_s = trial.start_s + np.arange(trial.length_s) + 0.5
    contact = (clean_uv * noise_factor(channel_quality(session.conditions.events, names, time_s))) ** 2
    for dropout in session.dropouts:
        if dropout.modality == "EEG":
            lost = (time_s >= dropout.start_s) & (time_s < dropout.stop_s)
            rows = np.array([dropout.channel in (None, name) for name in names])
            contact[np.ix_(rows, lost)] = 1e9
    noise: dict[str, np.ndarray] = {}
    for row, (band, (low_hz, top_hz)) in enumerate(BANDS_HZ.items()):
        if top_hz > high_hz:
            continue
        width_hz, density = top_hz - low_hz, _pink_density(low_hz, top_hz)
        log_power = np.stack([second_means(moved[f"{band}_{region}"], trial) for region in REGIONS])  # (R, n)
        power = levels_uv[row][:, None] ** 2 * np.exp(log_power) / width_hz
        other = floor * density(0.3) + np.eye(len(names)) * SENSOR_NOISE_UV**2 / (SOURCE_HZ / 2)
        bound = rhythm_bound(seen, power, other, contact * density(CONTACT_HZ[0]), width_hz)
        noise |= {f"{band}_{region}": values for region, values in zip(REGIONS, bound)}
    return noise


def rhythm_bound(seen: np.ndarray, power: np.ndarray, other: np.ndarray, contact: np.ndarray,
                 width_hz: float) -> np.ndarray:
    """Cramer-Rao bound (R, n) of every source's log power in one second.

    Parameters
    ----------
    seen : ndarray, (C, R)
        How channels see sources.
    power : ndarray, (R, n)
        Of the sources, uV^2/Hz.
    other : ndarray, (C, C)
        Cross-spectrum of everything else, uV^2/Hz.
    contact : ndarray, (C, n)
        Bad contacts' noise, uV^2/Hz, independent between channels.
    width_hz : float
    """
    sources = np.einsum("cr,rn,dr->ncd", seen, power, seen, optimize=True)
    total = sources + other + np.einsum("cn,cd->ncd", contact, np.eye(len(seen)))
    inner = seen.T @ np.linalg.solve(total, seen)  # (n, R, R)
    information = width_hz * power.T[:, :, None] * power.T[:, None, :] * inner**2
    bound = np.diagonal(np.linalg.inv(information + 1e-9 * np.eye(seen.shape[1])), axis1=1, axis2=2).T
    return np.where(bound > 0, np.minimum(bound, _LOST), _LOST)  # not above 0: a source lost in rounding


def _pink_density(low_hz: float, top_hz: float) -> Callable[[float], float]:
    """Mean density over a band of 1/f noise of variance 1 between a lowest frequency and 60 Hz."""
    return lambda lowest_hz: float(np.log(top_hz / low_hz) / np.log(60.0 / lowest_hz) / (top_hz - low_hz))


@dataclass(frozen=True)
class Readings:
    """What is measured in one trial, {effect: (n,)}, and the inverse covariance of its noise and background, (n, n)."""

    values: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]


def read(session: Session, trial: Trial, moved: Mapping[str, np.ndarray], high_hz: float,
         rest: Mapping[str, float] | None = None) -> Readings:
    """Measure every effect once a second, with noise from a stream of the trial's own.

    *rest*: what is known to lie under *moved* (log power of a day); it is taken off.
    """
    levels = {name: course + (rest or {}).get(name, 0.0) for name, course in moved.items()}
    noise = reading_noise(session, trial, levels, high_hz)
    rng = generator(session.seed, session.person.dataset, "decoder", session.person.participant, trial.stream)
    drawn = {name: rng.standard_normal(trial.length_s) for name in moved}
    values = {name: second_means(moved[name], trial) + np.sqrt(variance) * drawn[name]
              for name, variance in noise.items()}
    return Readings(values, {name: np.linalg.inv(background_kernel(session, name, trial.length_s) + np.diag(variance))
                             for name, variance in noise.items()})


def evidence(session: Session, trial: Trial, readings: Readings, snr: float, modality: str, lag_s: float) -> Evidence:
    """What one modality's readings say of the terms at the nodes, its lag taken to be *lag_s*."""
    person = session.person
    matrix, past = response(session, trial, modality, lag_s)
    n_terms = len(person.body.terms)
    names = [name for name, effect in person.body.effects.items() if name in readings.values
             and recorded_modality(effect.modality, person.dataset) == modality]
    gains = np.array([person.gains[name] for name in names]).reshape(len(names), n_terms)
    return weigh(matrix, past, snr * gains, [readings.values[name] for name in names],
                 [readings.weights[name] for name in names])


def weigh(matrix: np.ndarray, past: np.ndarray, gains: np.ndarray, values: Sequence[np.ndarray],
          weights: Sequence[np.ndarray]) -> Evidence:
    """The evidence of E quantities that answer alike.

    Parameters
    ----------
    matrix : ndarray, (n, J)
        How seconds answer the nodes.
    past : ndarray, (K, n)
        What is known to have come before.
    gains : ndarray, (E, K)
    values, weights : (n,) and (n, n) of every quantity
    """
    n_terms, n_nodes = len(past), matrix.shape[1]
    if not len(gains):
        return Evidence(np.zeros((n_terms, n_nodes) * 2), np.zeros((n_terms, n_nodes)))
    weighted = np.stack(weights) @ matrix  # (E, n, J)
    left = np.stack(values) - gains @ past
    each = matrix.T @ weighted  # (E, J, J)
    pairs = np.einsum("ek,el->ekl", gains, gains).reshape(len(gains), -1)
    precision = (pairs.T @ each.reshape(len(gains), -1)).reshape(n_terms, n_terms, n_nodes, n_nodes)
    return Evidence(np.ascontiguousarray(precision.transpose(0, 2, 1, 3)),
                    gains.T @ np.einsum("enj,en->ej", weighted, left))
