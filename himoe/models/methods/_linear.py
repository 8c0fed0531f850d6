"""Linear models with a part that all people share and a part of each person's own, both penalised.

The answer to a row x of person g is ``x (w + v_g)``. With the squared error the optimum is closed form:
each ``v_g`` is eliminated from the normal equations, so that no matrix is larger than one person's.
Legend: N rows, Q columns (the first one is 1, the intercept), G people, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_STEPS = 200


@dataclass(frozen=True)
class Linear:
    """Weights: shared (S, Q) and of each person (G, S, Q), for S scores."""

    shared: np.ndarray
    own: np.ndarray

    def scores(self, x: np.ndarray, person: np.ndarray) -> np.ndarray:
        """Scores (N, S) of rows (N, Q) of people (N,); people beyond G have the shared part alone."""
        scores = x @ self.shared.T
        for code in np.unique(person[person < len(self.own)]):
            rows = person == code
            scores[rows] += x[rows] @ self.own[code].T
        return scores


def fit_ridge(x: np.ndarray, y: np.ndarray, person: np.ndarray, shared: Sequence[float], own: Sequence[float],
              x_validation: np.ndarray, y_validation: np.ndarray, person_validation: np.ndarray) -> Linear:
    """Ridge regression; of all pairs of penalties the one with the smallest squared error on the validation rows.

    Penalties are squared weights' factors per row: *shared* of w (times N), *own* of each v_g (times N / G);
    infinity = no own part. The shared intercept is free, a person's own one is not. The first of equals, and the
    first pair without validation rows.
    """
    people = _People.of(x, y, person)
    best, lowest = None, np.inf
    for own_penalty in own:
        gram, moment = people.without_own_parts(own_penalty)
        for shared_penalty in shared:
            penalty = np.diag([0.0, *[shared_penalty * len(x)] * (len(gram) - 1)])
            common = np.linalg.solve(gram + penalty, moment)
            model = Linear(common[None], people.own_parts(own_penalty, common))
            if len(y_validation) == 0:
                return model
            error = float(((model.scores(x_validation, person_validation)[:, 0] - y_validation) ** 2).mean())
            if best is None or error < lowest:
                best, lowest = model, error
    assert best is not None
    return best


@dataclass(frozen=True)
class _People:
    """Sums over each person's rows: X'X = U diag(d) U' and X'y.

    ``vectors`` U (G, Q, Q), ``values`` d (G, Q), ``turned`` U'X'y (G, Q); ``rows_each``: N / G.
    """

    vectors: np.ndarray
    values: np.ndarray
    turned: np.ndarray
    rows_each: float

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, person: np.ndarray) -> _People:
        """Sums over the rows of each person; zeros for a code without rows."""
        n_people, width = int(person.max()) + 1, x.shape[1]
        grams, moments = np.zeros((n_people, width, width)), np.zeros((n_people, width))
        for code in np.unique(person):
            rows = x[person == code]
            grams[code], moments[code] = rows.T @ rows, rows.T @ y[person == code]
        values, vectors = np.linalg.eigh(grams)
        return cls(vectors, np.maximum(values, 0.0), (moments[:, None] @ vectors)[:, 0], len(x) / n_people)

    def without_own_parts(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """The normal equations (Q, Q), (Q,) of the shared part, every person's own part eliminated."""
        damping = 1.0 if np.isinf(penalty) else penalty * self.rows_each / (self.values + penalty * self.rows_each)
        side_by_side = self.vectors.transpose(1, 0, 2).reshape(self.vectors.shape[1], -1)
        return (side_by_side * (self.values * damping).ravel() @ side_by_side.T,
                side_by_side @ (self.turned * damping).ravel())

    def own_parts(self, penalty: float, shared: np.ndarray) -> np.ndarray:
        """Every person's own part (G, 1, Q) beside the shared one (Q,); none under an infinite penalty."""
        if np.isinf(penalty):
            return np.zeros((0, 1, len(shared)))
        rest = (self.turned - self.values * (shared @ self.vectors)) / (self.values + penalty * self.rows_each)
        return (self.vectors @ rest[..., None]).transpose(0, 2, 1)


def fit_logistic(x: np.ndarray, y: np.ndarray, person: np.ndarray, shared: Sequence[float], own: Sequence[float],
                 x_validation: np.ndarray, y_validation: np.ndarray, person_validation: np.ndarray) -> Linear:
    """Logistic regression (scikit-learn; multinomial for K > 2) under the penalties of :func:`fit_ridge`.

    The shared penalty is chosen without own parts, then the own one at that penalty, both by the log loss on
    validation rows; strong ones first, each fit starting from the one before. Gives one score of the higher of two
    classes, or K logits, in the order of the classes in *y*.
    """
    from sklearn.linear_model import LogisticRegression

    classes, n_people = np.unique(y), int(person.max()) + 1
    seen = np.isin(y_validation, classes)
    held = (x_validation[seen], person_validation[seen], np.searchsorted(classes, y_validation[seen]))
    best, lowest, common = None, np.inf, shared[0]
    for own_penalty in sorted(own, reverse=True):
        penalties = shared if np.isinf(own_penalty) else (common,)
        ratio = 0.0 if np.isinf(own_penalty) else float(np.sqrt(common / own_penalty * n_people))
        design = _design(x, person, n_people, ratio)
        solver = LogisticRegression(max_iter=MAX_STEPS, tol=1e-3, warm_start=True)
        for penalty in penalties:
            # scikit-learn's C is the inverse of the factor of half the squared weights, beside summed log losses.
            fitted = solver.set_params(C=1 / (penalty * len(x))).fit(design, y)
            model = _linear(fitted.coef_, fitted.intercept_, n_people, ratio)
            if len(held[0]) == 0:
                return model
            loss = log_loss(model.scores(*held[:2]), held[2])
            if best is None or loss < lowest:
                best, lowest, common = model, loss, penalty
    assert best is not None
    return best


def log_loss(scores: np.ndarray, place: np.ndarray) -> float:
    """Mean log loss of the classes numbered *place* (N,) under scores (N, 1) of the second of two, or (N, K) logits."""
    logits = np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
    logits = logits - logits.max(1, keepdims=True)
    return float((np.log(np.exp(logits).sum(1)) - logits[np.arange(len(place)), place]).mean())


def _design(x: np.ndarray, person: np.ndarray, n_people: int, ratio: float) -> Any:
    """Columns but the intercept, and behind them *ratio* times every column in its person's own place (sparse)."""
    from scipy import sparse

    if ratio == 0:
        return x[:, 1:]
    n_rows, width = x.shape
    places = person[:, None] * width + np.arange(width)
    own = sparse.csr_array((ratio * x.ravel(), places.ravel(), np.arange(0, x.size + 1, width)),
                           shape=(n_rows, n_people * width))
    return sparse.hstack([sparse.csr_array(x[:, 1:]), own], format="csr")


def _linear(coefficients: np.ndarray, intercept: np.ndarray, n_people: int, ratio: float) -> Linear:
    """Undo :func:`_design` on fitted coefficients (S, columns)."""
    if ratio == 0:
        shared = np.concatenate([intercept[:, None], coefficients], axis=1)
        return Linear(shared, np.zeros((0, *shared.shape)))
    width = (coefficients.shape[1] + 1) // (n_people + 1)
    shared = np.concatenate([intercept[:, None], coefficients[:, :width - 1]], axis=1)
    own = ratio * coefficients[:, width - 1:].reshape(len(shared), n_people, width)
    return Linear(shared, own.transpose(1, 0, 2))
