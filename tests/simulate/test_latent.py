"""The latent emotion: bounded, as spread as asked, a video's profile shared by all people."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.simulate import latent
from himoe.simulate.latent import LATENT_HZ, SCALES

VIDEOS, PEOPLE = range(1, 41), range(1, 9)


@pytest.fixture(scope="module")
def population() -> np.ndarray:
    """(8 people, 40 videos, 4 dimensions, 241 samples) on 1..9."""
    return np.stack([
        [latent.to_scale(latent.trial_latent(3, "deap", person, video, 60.0, "additive"), SCALES["deap"])
         for video in VIDEOS] for person in PEOPLE
    ])


def test_latent_stays_on_the_scale_and_moves_as_much_as_stated(population: np.ndarray) -> None:
    assert population.shape == (8, 40, 4, 241)
    assert population.min() > 1.0
    assert population.max() < 9.0
    between = population.mean(axis=-1).std(axis=1).mean(axis=0)
    within = population.std(axis=-1).mean(axis=(0, 1))
    assert ((between > 1.5) & (between < 1.85)).all(), between
    assert ((within > 0.7) & (within < 1.0)).all(), within


def test_dominance_and_liking_follow_valence(population: np.ndarray) -> None:
    means = population.mean(axis=-1).reshape(-1, 4)
    correlation = np.corrcoef(means.T)
    assert 0.3 < correlation[0, 2] < 0.7
    assert 0.4 < correlation[0, 3] < 0.8
    assert abs(correlation[0, 1]) < 0.35


def test_a_video_means_the_same_to_everybody(population: np.ndarray) -> None:
    means = population.mean(axis=-1)
    others = np.stack([np.delete(means, person, axis=0).mean(axis=0) for person in range(8)])
    for dimension in range(4):
        shared = np.corrcoef(means[..., dimension].ravel(), others[..., dimension].ravel())[0, 1]
        assert 0.4 < shared < 0.95


def test_smooth_noise_has_variance_one_and_the_stated_correlation_time() -> None:
    tau_s = np.array([2.0, 8.0, 20.0])
    noise = latent.smooth_noise(np.random.default_rng(0), 400_000, LATENT_HZ, tau_s)
    np.testing.assert_allclose(noise.var(axis=1), 1.0, atol=0.05)
    for row, tau in zip(noise, tau_s):
        for lag_s in (0.5 * tau, tau):
            lag = round(lag_s * LATENT_HZ)
            measured = np.mean(row[lag:] * row[:-lag])
            assert measured == pytest.approx(np.exp(-(lag_s / tau) ** 2), abs=0.04)


def test_report_lags_and_scatters_as_recorded() -> None:
    late, errors, ratings = [], [], []
    for video in range(1, 41):
        course = latent.trial_latent(1, "deap", 5, video, 60.0, "additive")
        said, rating = latent.report(1, "deap", 5, video, course, SCALES["deap"])
        assert said.shape == course.shape
        assert said.min() >= 1.0
        assert said.max() <= 9.0
        true = latent.to_scale(course, SCALES["deap"])
        lags = range(0, 9)
        late.append([np.mean([(said[:, 8:] - true[:, 8 - k:true.shape[1] - k]) ** 2]) for k in lags])
        errors.append(said[:, 2:] - true[:, :-2])
        ratings.append(rating - true.mean(axis=1))
    best = np.argmin(np.mean(late, axis=0)) / LATENT_HZ
    assert best == latent.REACTION_LAG_S
    assert np.std(errors) == pytest.approx(4 * latent.ANNOTATION_NOISE_SD, rel=0.2)
    assert np.std(ratings) == pytest.approx(4 * latent.RATING_NOISE_SD, rel=0.2)
