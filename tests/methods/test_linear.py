"""Shared and own linear parts against scikit-learn on explicit interaction columns."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.models.methods._linear import Linear, fit_logistic, fit_ridge, log_loss

NONE = np.inf


def table(seed: int, rows: int = 240, people: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows with an intercept (N, 6), people (N,) and a score that has a shared and an own part."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    x = np.concatenate([np.ones((rows, 1)), rng.normal(size=(rows, 5))], axis=1)
    person = rng.integers(people, size=rows)
    weights = fixed.normal(size=6) + 0.7 * fixed.normal(size=(people, 6))
    return x, person, (x * weights[person]).sum(1) + 0.5 * rng.normal(size=rows)


def interactions(x: np.ndarray, person: np.ndarray, people: int = 3) -> np.ndarray:
    """x beside itself in its person's own place, (N, Q (1 + G)): the textbook's design matrix."""
    own = np.zeros((len(x), people, x.shape[1]))
    own[np.arange(len(x)), person] = x
    return np.concatenate([x, own.reshape(len(x), -1)], axis=1)


@pytest.mark.parametrize("shared,own", [(0.01, 0.3), (1.0, 0.02), (0.2, NONE)])
def test_ridge_equals_the_normal_equations_of_the_explicit_design(shared: float, own: float) -> None:
    (x, person, y), (unseen, others, _) = table(0), table(1)
    model = fit_ridge(x, y, person, (shared,), (own,), x[:0], y[:0], person[:0])
    if np.isinf(own):
        design, penalty = x, np.array([0.0, *[shared * 240] * 5])
    else:
        design = interactions(x, person)
        penalty = np.array([0.0, *[shared * 240] * 5, *[own * 240 / 3] * 18])
    weights = np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ y)
    np.testing.assert_allclose(model.shared[0], weights[:6], rtol=1e-6, atol=1e-9)
    assert model.own.shape == ((0 if np.isinf(own) else 3), 1, 6)
    np.testing.assert_allclose(model.own.ravel(), weights[6:], rtol=1e-6, atol=1e-9)
    expected = (unseen if np.isinf(own) else interactions(unseen, others)) @ weights
    np.testing.assert_allclose(model.scores(unseen, others)[:, 0], expected, rtol=1e-6)
    strangers = model.scores(unseen, np.full(240, 7))
    np.testing.assert_allclose(strangers[:, 0], unseen @ model.shared[0])


def test_validation_rows_choose_both_penalties() -> None:
    (x, person, y), (held, others, truth) = table(0, 60), table(1)
    shared, own = (10.0, 0.1, 1e-3), (NONE, 3.0, 0.1, 1e-3)
    chosen = fit_ridge(x, y, person, shared, own, held, truth, others)
    tried = {(a, b): fit_ridge(x, y, person, (a,), (b,), x[:0], y[:0], person[:0]) for a in shared for b in own}
    errors = {key: ((model.scores(held, others)[:, 0] - truth) ** 2).mean() for key, model in tried.items()}
    best = tried[min(errors, key=errors.__getitem__)]
    np.testing.assert_allclose(chosen.shared, best.shared)
    np.testing.assert_allclose(chosen.own, best.own)
    assert len(chosen.own) == 3  # these people do differ


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("own", [NONE, 0.1])
def test_logistic_minimises_the_penalised_loss(classes: int, own: float) -> None:
    """At the optimum no direction of either part improves loss + penalties."""
    x, person, score = table(0)
    y = np.digitize(score, (-0.5, 1.0)) if classes == 3 else (score > 0).astype(int)
    model = fit_logistic(x, 2.0 * y, person, (0.02,), (own,) if np.isinf(own) else (NONE, own), x, 2.0 * y, person)
    assert model.shared.shape == (1 if classes == 2 else 3, 6)
    assert len(model.own) in ((0,) if np.isinf(own) else (0, 3))

    def objective(candidate: Linear) -> float:
        penalty = 0.02 * 240 * (candidate.shared[:, 1:] ** 2).sum() / 2
        penalty += own * 240 / 3 * (candidate.own**2).sum() / 2 if len(candidate.own) else 0.0
        return 240 * log_loss(candidate.scores(x, person), y) + penalty

    lowest, rng = objective(model), np.random.default_rng(0)
    for size in (0.003, 0.03, 0.3):
        for _ in range(30):
            moved = Linear(model.shared + size * rng.normal(size=model.shared.shape),
                           model.own + size * rng.normal(size=model.own.shape))
            assert objective(moved) > lowest * (1 - 1e-4)  # the solver stops near the optimum
    if not np.isinf(own):
        assert len(model.own) == 3  # its own rows prefer it


def test_log_loss_equals_scikit_learn() -> None:
    from sklearn.metrics import log_loss as reference

    rng = np.random.default_rng(0)
    place, logits, score = rng.integers(3, size=40), rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert log_loss(logits, place) == pytest.approx(reference(place, probability))
    high = (place > 0).astype(int)
    assert log_loss(score, high) == pytest.approx(reference(high, 1 / (1 + np.exp(-score[:, 0]))))
