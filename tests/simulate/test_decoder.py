"""The decoder against independent solutions: the exact Gaussian one, closed forms, loops, finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from himoe.simulate import latent, observe
from himoe.simulate.decoder import Evidence, decode, join, level_covariance, prior_covariance, square_root, term_slopes
from himoe.simulate.effects import answers, driver_terms
from himoe.simulate.latent import LATENT_HZ
from himoe.simulate.observe import make_trial, response, rhythm_bound, second_means, weigh
from himoe.simulate.sessions import deap_session, dreamer_session


def test_in_a_linear_world_the_guess_is_the_exact_gaussian_one() -> None:
    """A faint emotion (tanh(u) = u), dimensions that add up: the conditional mean of one big Gaussian."""
    rng, n_seconds, n_nodes = np.random.default_rng(0), 11, 12
    node_s = np.arange(n_nodes, dtype=float)
    faint = 1e-4
    prior = faint**2 * prior_covariance(np.diag([1.0, 0.5, 0.7, 0.2]), ((0.8, (2.0, 4.0)),), node_s)
    rise = np.linspace(0.3, 1.0, n_nodes)
    parts, matrices, values, noises = [], [], [], []
    for n_effects in (3, 2):  # two modalities, each with a lag of its own
        matrix = rng.normal(size=(n_seconds, n_nodes)) / 3
        past = rng.normal(size=(4, n_seconds)) * faint
        gains, y = rng.normal(size=(n_effects, 4)), faint * rng.normal(size=(n_effects, n_seconds))
        noise = [faint**2 * (np.diag(rng.uniform(0.5, 2, n_seconds))
                             + np.exp(-np.subtract.outer(node_s[:11], node_s[:11]) ** 2 / 9)) for _ in range(n_effects)]
        parts.append(weigh(matrix, past, gains, list(y), [np.linalg.inv(one) for one in noise]))
        for gain, row, one in zip(gains, y, noise):
            matrices.append(np.concatenate([2 * weight * matrix * rise for weight in gain], axis=1))
            values.append(row - gain @ past)
            noises.append(one)
    seen, observed = np.concatenate(matrices), np.concatenate(values)
    spread = np.zeros((len(observed), len(observed)))
    for place, one in enumerate(noises):
        spread[place * 11:(place + 1) * 11, place * 11:(place + 1) * 11] = one
    exact = prior @ seen.T @ np.linalg.solve(seen @ prior @ seen.T + spread, observed)
    guess = decode(join(parts), square_root(prior), rise)
    np.testing.assert_allclose(guess.latent, exact.reshape(4, n_nodes) * rise, atol=0.02 * np.abs(exact).max())


def test_without_evidence_the_guess_is_neutral_and_with_all_of_it_the_truth() -> None:
    rng, node_s = np.random.default_rng(4), np.arange(25.0)
    prior = latent.PRIORS["physiological"]
    root = square_root(prior_covariance(level_covariance(prior), prior.drifts, node_s))
    rise = np.ones(25)
    nothing = Evidence(np.zeros((7, 25, 7, 25)), np.zeros((7, 25)))
    assert np.abs(decode(nothing, root, rise).latent).max() < 1e-9
    felt = np.tanh((root @ rng.standard_normal(root.shape[1])).reshape(4, 25))
    gains = rng.normal(size=(9, 7))
    clear = weigh(np.eye(25), np.zeros((7, 25)), gains, list(gains @ driver_terms(2 * felt, 7)), [1e6 * np.eye(25)] * 9)
    np.testing.assert_allclose(decode(clear, root, rise).latent, felt, atol=0.02)


def test_several_answers_are_averaged() -> None:
    """Only the square of valence is seen: both signs are as likely, and the mean is neutral."""
    node_s = np.arange(9.0)
    root = square_root(prior_covariance(np.diag([0.5, 0.3, 0.2, 0.1]), ((0.1, (3.0, 6.0)),), node_s))
    gain = np.zeros((1, 7))
    gain[0, 5] = 1.0
    told = weigh(np.eye(9), np.zeros((7, 9)), gain, [np.full(9, 1.0)], [400 * np.eye(9)])
    up = np.linalg.lstsq(root, np.repeat([0.5, 0, 0, 0], 9), rcond=None)[0]
    both = decode(told, root, np.ones(9), [up, -up])
    one = decode(told, root, np.ones(9), [up])
    assert one.latent[0].mean() == pytest.approx(0.5, abs=0.05)
    assert abs(both.latent[0].mean()) < 0.01


def test_slopes_of_terms_are_their_derivatives() -> None:
    rng = np.random.default_rng(3)
    driver = rng.normal(size=(4, 1))
    table = np.zeros((7, 4))
    for k, d, value in term_slopes(driver, np.ones((4, 1)), 7):
        table[k, d] += value[0]
    for k in range(7):
        numeric = approx_fprime(driver[:, 0], lambda x, k=k: float(driver_terms(x[:, None], 7)[k, 0]), 1e-7)
        np.testing.assert_allclose(table[k], numeric, atol=1e-5)


@pytest.mark.parametrize("dataset", ["deap", "dreamer"])
def test_the_response_matrix_gives_what_the_simulator_makes(dataset: str) -> None:
    """Nodes and known past, put through lag and low-pass as a matrix, against the simulator's own filters."""
    make = {"deap": deap_session, "dreamer": dreamer_session}[dataset]
    session = make(14, 2, 3, "physiological")
    emotional = answers(session.person, session.driver, 1.0, session.conditions.lags_s)
    for index in range(3):
        trial = make_trial(session, index, 60.0)
        start = round((trial.start_s + trial.node_s[0]) * LATENT_HZ)
        nodes = session.driver[:, start:start + 4 * len(trial.node_s) - 3:4]
        for name in ("heart_rate", "alpha_frontal_left", "skin_temperature"):
            modality = observe.recorded_modality(session.person.body.effects[name].modality, dataset)
            matrix, past = response(session, trial, modality, session.conditions.trial_lags_s[index][modality])
            made = session.person.gains[name] @ (driver_terms(nodes, 7) @ matrix.T + past)
            wanted = second_means(emotional[name], trial)
            assert np.std(made - wanted) < 0.05 * np.std(wanted), name  # between nodes the emotion is taken as straight


def test_the_bound_of_one_source_at_one_electrode_is_the_textbook_one() -> None:
    """var log S >= (1 + N / S)^2 / (B T)."""
    bound = rhythm_bound(np.array([[0.7]]), np.array([[3.0, 0.4]]), np.array([[0.5]]), np.array([[0.0, 1.5]]), 5.0)
    power = 0.49 * np.array([3.0, 0.4])
    np.testing.assert_allclose(bound[0], (1 + np.array([0.5, 2.0]) / power) ** 2 / 5.0)


def test_the_bound_of_many_is_the_inverse_fisher_information() -> None:
    """Fisher information of complex Gaussian bins, B of them a second, by traces and finite differences."""
    rng, n_channels, n_sources, width_hz = np.random.default_rng(7), 6, 3, 4.0
    seen, log_power = rng.normal(size=(n_channels, n_sources)), rng.normal(size=(n_sources, 2))
    other = np.cov(rng.normal(size=(n_channels, 40))) + 0.2 * np.eye(n_channels)
    contact = rng.uniform(0, 3, size=(n_channels, 2))
    bound = rhythm_bound(seen, np.exp(log_power), other, contact, width_hz)
    for moment in range(2):
        def total(logs: np.ndarray, moment: int = moment) -> np.ndarray:
            return seen @ np.diag(np.exp(logs)) @ seen.T + other + np.diag(contact[:, moment])

        logs, step = log_power[:, moment], 1e-5
        inverse = np.linalg.inv(total(logs))
        slopes = [(total(logs + step * unit) - total(logs - step * unit)) / (2 * step) for unit in np.eye(n_sources)]
        fisher = width_hz * np.array([[np.trace(inverse @ a @ inverse @ b) for b in slopes] for a in slopes])
        np.testing.assert_allclose(bound[:, moment], np.diag(np.linalg.inv(fisher)), rtol=1e-4)
