"""The two worlds: the additive one is as it was; the physiological one has interactions, types, lags by trial."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.core.recordings import DIMENSIONS
from himoe.simulate import latent, physiology
from himoe.simulate.conditions import draw_conditions, trial_lags
from himoe.simulate.effect_tables import BODIES, PHYSIOLOGICAL, SYSTEMS
from himoe.simulate.effects import Person, answers, make_person, modulations, recorded_modality
from himoe.simulate.latent import LATENT_HZ
from himoe.simulate.montage import EPOC
from himoe.simulate.request import participants
from himoe.simulate.sessions import deap_session, dreamer_session
from himoe.simulate.timeline import make_timeline

# The last row of each signal at two samples, seed 11, snr 2: made before there was a second world.
DEAP_WAS = {"EEG": (21.939596, 0.624364), "EXG": (3.372059, 2.817622), "EDA": (6.611585, 8.188231),
            "RSP": (10.054021, 589.286072), "PPG": (640.321838, 38.224842), "TEMP": (34.484501, 33.924259)}
DREAMER_WAS = {"EEG": (4174.681641, 4197.678711), "ECG": (2101.778076, 2131.908936)}


def test_the_additive_world_is_as_it_was() -> None:
    deap, dreamer = deap_session(11, 24, 2, "additive"), dreamer_session(11, 2, 2, "additive")
    made = physiology.deap_signals(deap.person, deap.driver, deap.timeline.duration_s, 128.0, 11, 2.0,
                                   conditions=deap.conditions)
    for name, expected in DEAP_WAS.items():
        np.testing.assert_allclose(np.atleast_2d(made[name])[-1, [5000, 12000]], expected, rtol=2e-5)
    made = physiology.dreamer_signals(dreamer.person, dreamer.driver, dreamer.timeline.duration_s, 11, 2.0,
                                      conditions=dreamer.conditions)
    for name, expected in DREAMER_WAS.items():
        np.testing.assert_allclose(made[name][-1, [20000, 30000]], expected, rtol=2e-5)
    assert deap.conditions.lags_s is None
    assert deap.conditions.events == ()


def within_share(world: str) -> float:
    """Share of the variance of 4 s means that lies within trials, mean of dimensions."""
    courses = np.stack([latent.trial_latent(seed, "deap", person, video, 60.0, world)
                        for seed in (31, 32) for person in range(1, 7) for video in range(1, 9)])
    means = courses[..., :240].reshape(len(courses), 4, 15, 16).mean(axis=-1)
    return float((means.var(axis=-1).mean(axis=0) / means.transpose(1, 0, 2).reshape(4, -1).var(axis=1)).mean())


def test_half_of_what_changes_changes_within_trials() -> None:
    assert within_share("additive") < 0.3
    assert 0.42 < within_share("physiological") < 0.62


@pytest.mark.parametrize("n_videos", [2, 6, 10])
def test_an_even_number_of_videos_is_balanced(n_videos: int) -> None:
    """But for the one video in fifty whose own part outweighs its quadrant."""
    exact = []
    for seed in range(20):
        raw = np.array([np.linalg.solve(latent.MIXING, latent.stimulus_profile(seed, "deap", video, "physiological"))
                        for video in range(1, n_videos + 1)])
        up = (raw[:, :2] > 0).sum(axis=0)
        exact += (up == n_videos // 2).tolist()
        assert np.abs(up - n_videos // 2).max() <= 1
        signs = {(v > 0, a > 0) for v, a in raw[:4, :2]}
        assert len(signs) >= min(n_videos, 4) - 1
    assert np.mean(exact) > 0.7


def slow_answer(person: Person, name: str, driver: np.ndarray, lag_s: float) -> np.ndarray:
    """One effect by loops: products, lag, low-pass."""
    body, gain = person.body, dict(zip(person.body.terms, person.gains[name]))
    modality = recorded_modality(body.effects[name].modality, person.dataset)
    n_samples = driver.shape[1]
    wanted = np.zeros(n_samples)
    for term, weight in gain.items():
        course = np.ones(n_samples)
        for factor in term.split("*"):
            course = course * driver[DIMENSIONS.index(factor)]
        wanted += weight * course
    rate = 1.0 if modality in ("EEG", "EOG", "EMG") else 1 + 1e-6 * person.clock_drift_ppm
    time_s = np.arange(n_samples) / LATENT_HZ
    late = np.interp(time_s * rate - lag_s, time_s, wanted)
    if modality not in body.settle_s:
        return late
    keep, state, out = np.exp(-1 / (LATENT_HZ * body.settle_s[modality])), 0.0, []
    for value in late:
        state = keep * state + (1 - keep) * value
        out.append(state)
    return np.array(out)


def test_effects_are_gains_times_products_late_and_low_passed() -> None:
    rng, person = np.random.default_rng(2), make_person(3, "deap", 6, "physiological")
    driver = latent.smooth_noise(rng, 480, LATENT_HZ, np.array([3.0, 4.0, 5.0, 6.0]))
    driver[:, :60] = 0.0  # the low-pass begins at rest
    found = answers(person, driver, 2.0)
    assert set(found) == set(PHYSIOLOGICAL.effects)
    for name, effect in PHYSIOLOGICAL.effects.items():
        lag_s = person.lags_s[recorded_modality(effect.modality, "deap")]
        np.testing.assert_allclose(found[name], 2.0 * slow_answer(person, name, driver, lag_s), atol=1e-12)
    changed = answers(person, driver, 2.0, {name: np.full(480, lag_s / 2) for name, lag_s in person.lags_s.items()})
    np.testing.assert_allclose(changed["heart_rate"],
                               2.0 * slow_answer(person, "heart_rate", driver, person.lags_s["PPG"] / 2), atol=1e-12)


@pytest.mark.parametrize(("dataset", "subjects"), [("deap", 8), ("amigos", 12), ("dreamer", 4)])
def test_each_response_system_leads_once_among_four_people(dataset: str, subjects: int) -> None:
    people = [make_person(5, dataset, number, "physiological") for number in participants(dataset, subjects)]
    for first in range(0, subjects, 4):
        assert {person.leading for person in people[first:first + 4]} == set(SYSTEMS)
    assert make_person(5, dataset, 1, "additive").leading == ""


def test_lags_change_from_trial_to_trial_round_the_persons_own() -> None:
    session = deap_session(4, 15, 6, "physiological")
    timeline, courses = session.timeline, session.conditions.lags_s
    assert courses is not None
    for modality, own_s in session.person.lags_s.items():
        lags_s = [lags[modality] for lags in session.conditions.trial_lags_s]
        assert len(set(lags_s)) == 6
        assert all(0.5 * own_s <= lag_s <= 1.5 * own_s for lag_s in lags_s)
        for start_s, length_s, lag_s in zip(timeline.start_s, timeline.length_s, lags_s):
            part = courses[modality][round(start_s * LATENT_HZ):round((start_s + length_s) * LATENT_HZ)]
            np.testing.assert_array_equal(part, lag_s)
    factors = [trial_lags({"EDA": 3.0}, PHYSIOLOGICAL, seed, "deap", 1, video)["EDA"] / 3
               for seed in range(40) for video in range(1, 11)]
    assert np.mean(factors) == pytest.approx(1.0, abs=0.05)
    assert np.std(factors) == pytest.approx(PHYSIOLOGICAL.lag_jitter, abs=0.05)


def test_snr_is_of_emotion_alone_and_the_background_has_a_fast_part() -> None:
    person = make_person(1, "dreamer", 3, "physiological")
    timeline = make_timeline([1], [900.0], 5.0, 5.0, 5.0)
    lags_s = draw_conditions(person, timeline, ("EEG", "ECG"), EPOC, 1).lags_s
    driver = latent.smooth_noise(np.random.default_rng(0), round(910 * LATENT_HZ) + 1, LATENT_HZ, np.full(4, 5.0))
    none, one, three = (modulations(person, driver, 1, snr, lags_s=lags_s) for snr in (0.0, 1.0, 3.0))
    names = [name for name in one if name.startswith(("alpha", "beta"))]
    for name in names:
        np.testing.assert_allclose(three[name] - none[name], 3 * (one[name] - none[name]), atol=1e-9)
    courses = np.stack([none[name] for name in names])
    assert courses.std() == pytest.approx(0.45, rel=0.15)
    after_8_s = np.mean(courses[:, 32:] * courses[:, :-32]) / np.mean(courses**2)
    expected = 0.6 * np.exp(-((8 / 20) ** 2)) + 0.4 * np.exp(-((8 / 4) ** 2))
    assert after_8_s == pytest.approx(expected, abs=0.08)
    assert BODIES[person.world] is PHYSIOLOGICAL
