"""Action units over time: lag, signs, squashing, and what else moves in a face video."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.core.recordings import DIMENSIONS
from himoe.simulate import artefacts, face_motion, face_units
from himoe.simulate.effects import make_person, modulations
from himoe.simulate.face_units import UNITS, FaceResponse, unit_logits
from himoe.simulate.latent import LATENT_HZ, generator, smooth_noise
from himoe.simulate.sessions import deap_session

N_SAMPLES = 1200


def make_response(seed: int, participant: int) -> FaceResponse:
    return face_units.make_response(seed, make_person(seed, "deap", participant, "additive"))


@pytest.fixture(scope="module")
def driver() -> np.ndarray:
    """Four independent courses of 300 s."""
    return smooth_noise(generator(5, "deap", "latent", 99), N_SAMPLES, LATENT_HZ, np.full(4, 3.0))


def best_lag_s(wanted: np.ndarray, got: np.ndarray) -> float:
    """Lag of *got* behind *wanted* at which their correlation is greatest."""
    time_s = np.arange(len(wanted)) / LATENT_HZ
    lags_s = np.arange(-1.0, 3.0, 0.02)
    inner = slice(20, -20)
    scores = [np.corrcoef(np.interp(time_s - lag, time_s, wanted)[inner], got[inner])[0, 1] for lag in lags_s]
    return float(lags_s[int(np.argmax(scores))])


@pytest.mark.parametrize("participant", [1, 6, 17])
def test_action_units_follow_the_driver_with_the_stated_lag(driver: np.ndarray, participant: int) -> None:
    response = make_response(3, participant)
    assert 0.3 <= response.lag_s <= 0.8
    logits = unit_logits(response, driver, 3, snr=1.0, noise=0.0)
    noisy = unit_logits(response, driver, 3, snr=6.0)
    assert logits.shape == (len(UNITS), N_SAMPLES)
    for gain, clean, full in zip(response.gains, logits, noisy):
        # Interpolation between samples of 0.25 s makes the lag uncertain by a fraction of that.
        assert best_lag_s(gain @ driver, clean) == pytest.approx(response.lag_s, abs=0.05)
        assert best_lag_s(gain @ driver, full) == pytest.approx(response.lag_s, abs=0.2)


def test_snr_scales_emotion_and_nothing_else(driver: np.ndarray) -> None:
    response = make_response(3, 2)
    none, one, three = (unit_logits(response, driver, 3, snr) for snr in (0.0, 1.0, 3.0))
    np.testing.assert_allclose(three - none, 3 * (one - none), atol=1e-12)
    background = none - response.rest[:, None]
    assert background.std() == pytest.approx(face_units.BACKGROUND_SD, rel=0.3)
    still = unit_logits(response, driver, 3, 0.0, noise=0.0)
    np.testing.assert_allclose(still, np.broadcast_to(response.rest[:, None], still.shape), atol=1e-12)


def test_people_share_the_signs_on_average_and_differ() -> None:
    gains = np.stack([make_response(seed, participant).gains for seed in range(20) for participant in range(1, 23)])
    assert gains.shape == (440, len(UNITS), len(DIMENSIONS))
    for place, unit in enumerate(UNITS):
        for dimension, weight in face_units.WEIGHTS[unit].items():
            column = gains[:, place, DIMENSIONS.index(dimension)]
            assert column.mean() == pytest.approx(weight, abs=0.06)
            assert column.std() > 0.1


def test_blinks_are_those_of_the_eog() -> None:
    seed = 4
    session = deap_session(seed, 7, 3, "physiological")
    person, length_s = session.person, session.timeline.duration_s
    closure = face_motion.session_blinks(session, seed, 1.0)
    moved = modulations(person, session.driver, seed, 1.0, lags_s=session.conditions.lags_s)
    potential_uv = artefacts.blinks(person, moved, length_s, 512.0, seed)
    time_s = (np.arange(len(potential_uv)) + 0.5) / 512
    assert np.corrcoef(face_motion.blink_at(closure, time_s), potential_uv)[0, 1] > 0.95
    edges = np.flatnonzero(np.diff(np.concatenate([[0], closure > 0.01, [0]]).astype(int)))
    lasts_s = np.diff(edges)[::2] / face_motion.BLINK_HZ
    assert len(lasts_s) > 15
    assert 0.2 <= np.median(lasts_s) <= 0.4
    assert closure.max() == 1.0


def test_hidden_stretches_last_seconds_and_lie_inside_the_trial() -> None:
    stretches = [s for person in range(1, 23) for s in face_motion.draw_hidden(1, person, range(1, 41), 60.0)]
    assert len(stretches) / (22 * 40) == pytest.approx(face_motion.HIDDEN_CHANCE, abs=0.06)
    assert {stretch.kind for stretch in stretches} == set(face_motion.HIDINGS)
    assert all(0 <= s.start_s < s.stop_s <= 60 and 1.9 < s.stop_s - s.start_s < 6.1 for s in stretches)
    first = stretches[0]
    time_s = np.arange(600) / 10
    kinds = face_motion.hidden_kinds(stretches[:1], first.video, time_s)
    inside = (time_s >= first.start_s) & (time_s < first.stop_s)
    np.testing.assert_array_equal(kinds, np.where(inside, 1 + face_motion.HIDINGS.index(first.kind), 0))
    assert not face_motion.hidden_kinds(stretches[:1], first.video + 1, time_s).any()
