"""The emotion a simulated person feels over time, and how the person reports it.

Legend: D = 4 dimensions (valence, arousal, dominance, liking), N samples at ``LATENT_HZ``.
A *latent* lies in (-1, 1); 0 is neutral, -1 and 1 are the ends of the rating scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LATENT_HZ = 4.0
ONSET_S = 4.0
REACTION_LAG_S = 0.5
ANNOTATION_NOISE_SD = 0.05
ANNOTATION_NOISE_TAU_S = 6.0
RATING_NOISE_SD = 0.08

# Rows: how valence, arousal, dominance and liking are made of four independent normal numbers.
# Dominance and liking follow valence, as reported for DEAP (Koelstra et al. 2012).
MIXING = np.array([
    [1.0, 0.0, 0.0, 0.0],
    [0.1, 0.995, 0.0, 0.0],
    [0.5, 0.1, 0.860, 0.0],
    [0.6, 0.25, 0.1, 0.753],
])


@dataclass(frozen=True)
class Prior:
    """How emotions spread in one world, in units of the latent before its tanh.

    ``drifts``: (SD, range of the time constant in s) of each kind of change within a trial. ``paired``: also every two
    videos in a row are opposite in valence and arousal, so that any even number of them is balanced.
    """

    bias_sd: float
    stimulus_sd: float
    own_sd: float
    drifts: tuple[tuple[float, tuple[float, float]], ...]
    paired: bool


PRIORS: dict[str, Prior] = {
    "additive": Prior(0.10, 0.42, 0.32, ((0.33, (8.0, 20.0)),), False),
    "physiological": Prior(0.10, 0.28, 0.22, ((0.32, (8.0, 20.0)), (0.36, (3.0, 6.0))), True),
}

TAGS: dict[str, int] = {
    "stimulus": 1, "order": 2, "person": 3, "latent": 4, "report": 5, "background": 6,
    "eeg": 7, "artefact": 8, "muscle": 9, "cardiac": 10, "electrodermal": 11, "slow": 12, "dropout": 13,
    "face": 14, "lag": 15, "disturbance": 16, "decoder": 17,
}
_DATASETS: dict[str, int] = {"deap": 100, "dreamer": 200, "seed": 300, "amigos": 400}


@dataclass(frozen=True)
class Scale:
    """A rating scale, from *low* to *high*."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The neutral rating."""
        return (self.low + self.high) / 2

    @property
    def half_range(self) -> float:
        """Distance from the neutral rating to an end."""
        return (self.high - self.low) / 2


SCALES: dict[str, Scale] = {"deap": Scale(1.0, 9.0), "dreamer": Scale(1.0, 5.0), "seed": Scale(-1.0, 1.0),
                           "amigos": Scale(1.0, 9.0)}


def generator(seed: int, dataset: str, tag: str, participant: int = 0, trial: int = 0) -> np.random.Generator:
    """The random generator of one purpose (*tag*), participant and trial; independent of all others."""
    return np.random.default_rng([seed, _DATASETS[dataset] + TAGS[tag], participant, trial])


def smooth_noise(rng: np.random.Generator, n_samples: int, sfreq_hz: float, tau_s: np.ndarray) -> np.ndarray:
    """Smooth Gaussian noise of variance 1.

    Parameters
    ----------
    tau_s : ndarray, (R,)
        Lag in s at which the autocorrelation ``exp(-(lag / tau)^2)`` has fallen to 1/e, one per row.

    Returns
    -------
    ndarray, (R, n_samples) float64
    """
    from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

    tau_s = np.asarray(tau_s, dtype=float)[:, None]
    # Circular filtering: the padding keeps the two ends from being alike.
    n_fft = next_fast_len(n_samples + int(4 * tau_s.max() * sfreq_hz), real=True)
    frequency_hz = rfftfreq(n_fft, 1 / sfreq_hz)
    gain = np.exp(-0.5 * (np.pi * frequency_hz * tau_s) ** 2)
    weight = np.where((frequency_hz > 0) & (frequency_hz < sfreq_hz / 2), 2.0, 1.0)
    variance = (weight * gain**2).sum(axis=1, keepdims=True) / n_fft
    noise = irfft(rfft(rng.standard_normal((len(tau_s), n_fft))) * gain, n_fft)
    return (noise / np.sqrt(variance))[:, :n_samples]


def stimulus_profile(seed: int, dataset: str, video: int, world: str) -> np.ndarray:
    """What a video evokes in everybody: (4,) standard units, the same for all people.

    Every four videos in a row cover the four valence-arousal quadrants, as the selection of the
    DEAP videos did (Koelstra et al. 2012, doi:10.1109/T-AFFC.2011.15).
    """
    block, place = divmod(video - 1, 4)
    order = generator(seed, dataset, "stimulus", 0, block).permutation(4)
    if PRIORS[world].paired:  # opposite quadrants are q and 3 - q
        first, third = order[0], next(q for q in order[1:] if q != 3 - order[0])
        order = np.array([first, 3 - first, third, 3 - third])
    quadrant = order[place]
    signs = np.array([1.0 if quadrant & 1 else -1.0, 1.0 if quadrant & 2 else -1.0])
    raw = generator(seed, dataset, "stimulus", 1, video).standard_normal(4)
    raw[:2] = signs * (0.9 + 0.43 * raw[:2])  # mean square 1
    return MIXING @ raw


def trial_latent(seed: int, dataset: str, participant: int, video: int, duration_s: float, world: str) -> np.ndarray:
    """One person's emotion during one video.

    ``tanh(stimulus + person bias + person x stimulus + drifts)``, which rises from neutral over
    the first ``ONSET_S`` seconds.

    Returns
    -------
    ndarray, (4, N) float64
        At times ``k / LATENT_HZ`` for k = 0 .. N - 1, the end included; inside (-1, 1).
    """
    prior = PRIORS[world]
    n_samples = round(duration_s * LATENT_HZ) + 1
    bias = prior.bias_sd * generator(seed, dataset, "latent", participant, 0).standard_normal(4)
    rng = generator(seed, dataset, "latent", participant, video)
    own = prior.own_sd * MIXING @ rng.standard_normal(4)
    drift = drifts(rng, n_samples, world)
    level = prior.stimulus_sd * stimulus_profile(seed, dataset, video, world) + bias + own
    time_s = np.arange(n_samples) / LATENT_HZ
    return np.tanh(level[:, None] + drift) * rise(time_s, ONSET_S)


def drifts(rng: np.random.Generator, n_samples: int, world: str) -> np.ndarray:
    """What changes within a trial, slow and (in some worlds) fast, (4, n_samples), before the tanh."""
    parts = [sd * MIXING @ smooth_noise(rng, n_samples, LATENT_HZ, rng.uniform(*span_s, 4))
             for sd, span_s in PRIORS[world].drifts]
    return sum(parts[1:], parts[0])


def rise(time_s: np.ndarray, duration_s: float) -> np.ndarray:
    """Raised cosine from 0 (at or before 0 s) to 1 (from *duration_s* on)."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(time_s / duration_s, 0, 1))


def to_scale(latent: np.ndarray, scale: Scale) -> np.ndarray:
    """Turn a latent in (-1, 1) into numbers on the rating scale."""
    return scale.middle + scale.half_range * latent


def report(
    seed: int, dataset: str, participant: int, video: int, latent: np.ndarray, scale: Scale
) -> tuple[np.ndarray, np.ndarray]:
    """What the person says: a running annotation and one rating for the trial.

    The annotation follows the latent by ``REACTION_LAG_S`` with slow noise; the rating is the mean
    of the latent with noise. A slider ends at the ends of its scale, so both are clipped there.

    Returns
    -------
    annotation : ndarray, (4, N)
        On the rating scale, at the latent's times.
    rating : ndarray, (4,)
    """
    rng = generator(seed, dataset, "report", participant, video)
    n_samples = latent.shape[1]
    time_s = np.arange(n_samples) / LATENT_HZ
    late = np.stack([np.interp(time_s - REACTION_LAG_S, time_s, row) for row in latent])
    noise = smooth_noise(rng, n_samples, LATENT_HZ, np.full(len(latent), ANNOTATION_NOISE_TAU_S))
    annotation = to_scale(late + ANNOTATION_NOISE_SD * noise, scale)
    rating = to_scale(latent.mean(axis=1) + RATING_NOISE_SD * rng.standard_normal(len(latent)), scale)
    return np.clip(annotation, scale.low, scale.high), np.clip(rating, scale.low, scale.high)
