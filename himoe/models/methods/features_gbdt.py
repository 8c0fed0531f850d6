"""Gradient-boosted trees on features of windows: what one would otherwise pick.

Legend: B sequences, T time steps, M modalities, P features, N rows, D dimensions, R trees, J nodes a tree,
S scores: one per dimension (regression, two classes) or K per dimension (K > 2 classes).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods._features import FeatureMethod, mask_features
from himoe.models.methods.base import Output, Spec, class_prediction

MAX_TREES = 200
PATIENCE = 10
CHUNK_ROWS = 4096
SHARE_FLOOR = 1e-6
SETTINGS = {"learning_rate": 0.1, "max_depth": 6, "min_samples_leaf": 20, "max_bins": 63,
            "random_state": 0}


class FeaturesGBDT(FeatureMethod):
    """scikit-learn's ``HistGradientBoosting*``, one model per dimension; an absent modality is NaN.

    The number of trees is chosen on the validation batches. The fitted trees are plain tensors in buffers
    (safetensors can hold them; ``load_state_dict`` takes any number of trees), and :func:`predict_trees` walks them.
    """

    baseline: Tensor
    dimension: Tensor
    feature: Tensor
    threshold: Tensor
    missing_left: Tensor
    left: Tensor
    right: Tensor
    value: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        middle = 0.0 if spec.task.kind == "classification" else sum(spec.task.scale) / 2
        size = len(spec.task.dimensions) * self.scores
        self.register_buffer("baseline", torch.full((size,), middle, dtype=torch.float64))
        for name, tensor in stack_trees([]).items():
            self.register_buffer(name, tensor)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Predict from features (B, T, P)."""
        features = mask_features(codes, batch.present, self.feature_modality)
        raw = self.predict_rows(features.flatten(0, 1)).unflatten(0, batch.present.shape[:2])
        if self.spec.task.kind == "regression":
            return Output(raw, raw[..., None])
        if self.scores > 1:
            raw = raw.unflatten(-1, (-1, self.scores))
            return Output(class_prediction(raw), raw)
        return Output(torch.sigmoid(raw), torch.stack([torch.zeros_like(raw), raw], -1))

    def predict_rows(self, features: Tensor) -> Tensor:
        """Ratings, log odds of *high*, or logits of the classes dimension by dimension, (N, S) from features (N, P)."""
        trees = {name: getattr(self, name) for name in TREE_BUFFERS}
        return predict_trees(features, self.baseline, trees).to(torch.get_default_dtype())

    def fit(self, batches: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Grow the trees on *batches*; *validation* says when to stop (all ``MAX_TREES`` without it)."""
        rows, held = self.with_masked_copy(self.rows(batches)), self.rows(validation)
        x_all, y_all, x_validation, y_validation = (part.numpy() for part in (rows.x, rows.y, held.x, held.y))
        trees: list[tuple[int, np.ndarray]] = []
        for index in range(y_all.shape[1]):
            known, known_validation = np.isfinite(y_all[:, index]), np.isfinite(y_validation[:, index])
            labels = y_all[known, index]
            if len(labels) == 0:
                continue
            place = index * self.scores
            self.baseline[place:place + self.scores] = self._constant(labels)
            if len(np.unique(labels)) < 2:
                continue
            baseline, nodes = grow(self.spec.task.kind, x_all[known], labels,
                                   x_validation[known_validation], y_validation[known_validation, index])
            scores, baseline = self._scores(labels, baseline)
            self.baseline[place:place + self.scores] = torch.from_numpy(baseline)
            trees += [(place + score, tree) for trees_of_round in nodes
                      for score, tree in zip(scores, trees_of_round, strict=True)]
        for name, tensor in stack_trees(trees).items():
            setattr(self, name, tensor.to(self.baseline.device))

    def _constant(self, labels: np.ndarray) -> Tensor:
        """The answer without trees: mean, log odds of the share of *high*, or logs of the K classes' shares."""
        if self.scores > 1:
            shares = np.bincount(labels.astype(int), minlength=self.scores) / len(labels)
            return torch.from_numpy(np.log(np.maximum(shares, SHARE_FLOOR)))
        mean = float(labels.mean())
        if self.spec.task.kind == "regression":
            return torch.tensor([mean], dtype=torch.float64)
        share = min(max(mean, SHARE_FLOOR), 1 - SHARE_FLOOR)
        return torch.tensor([np.log(share / (1 - share))], dtype=torch.float64)

    def _scores(self, labels: np.ndarray, baseline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """To which of a dimension's scores the trees of a round add, and those scores before any tree.

        A model grown on two of more classes gives log odds of the higher one; a class that no label has keeps
        a share of ``SHARE_FLOOR`` at the start.
        """
        if self.scores == 1:
            return np.zeros(1, dtype=int), baseline
        found = np.unique(labels).astype(int)
        start = np.full(self.scores, -np.inf)
        start[found] = [0.0, *baseline] if len(found) == 2 else baseline
        start[np.isinf(start)] = np.log(np.exp(start).sum()) + np.log(SHARE_FLOOR)
        return found[1:] if len(found) == 2 else found, start


def grow(kind: str, x: np.ndarray, y: np.ndarray, x_validation: np.ndarray,
         y_validation: np.ndarray) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Fit one model on one thread; give its baseline, and round by round its trees' nodes.

    A round has one tree, or with more than two classes one per class, in the order of the classes.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    estimator = HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier
    if kind == "classification":
        y, y_validation = y.astype(int), y_validation.astype(int)
        seen = np.isin(y_validation, y)  # no tree can be fitted to a class that training lacks
        x_validation, y_validation = x_validation[seen], y_validation[seen]
        if len(np.unique(y_validation)) < 2:
            x_validation, y_validation = x_validation[:0], y_validation[:0]
    with threadpool_limits(limits=1):
        if len(y_validation) == 0:
            model = estimator(max_iter=MAX_TREES, early_stopping=False, **SETTINGS).fit(x, y)
            n_trees = MAX_TREES
        elif "X_val" in inspect.signature(estimator.fit).parameters:
            model = estimator(max_iter=MAX_TREES, early_stopping=True, n_iter_no_change=PATIENCE, **SETTINGS)
            model.fit(x, y, X_val=x_validation, y_val=y_validation)
            n_trees = best_count(model, kind, x_validation, y_validation)
        else:
            model = estimator(max_iter=MAX_TREES, early_stopping=False, **SETTINGS).fit(x, y)
            n_trees = best_count(model, kind, x_validation, y_validation)
    nodes = [[predictor.nodes for predictor in predictors] for predictors in model._predictors[:n_trees]]
    return np.ravel(model._baseline_prediction).astype(np.float64), nodes


def best_count(model: Any, kind: str, x: np.ndarray, y: np.ndarray) -> int:
    """Number of rounds with the smallest loss on (x, y), by staged prediction."""
    if kind == "regression":
        losses = [float(np.mean((stage - y) ** 2)) for stage in model.staged_predict(x)]
    else:
        columns = np.searchsorted(model.classes_, y)
        losses = [float(-np.mean(np.log(np.clip(stage[np.arange(len(y)), columns], 1e-12, 1.0))))
                  for stage in model.staged_predict_proba(x)]
    return int(np.argmin(losses)) + 1


TREE_BUFFERS = ("dimension", "feature", "threshold", "missing_left", "left", "right", "value")


def stack_trees(trees: Sequence[tuple[int, np.ndarray]]) -> dict[str, Tensor]:
    """Stack (score, nodes of one tree) into padded tables (R, J); a leaf points at itself.

    ``dimension`` (R,) is the score that a tree adds to: d * K + q for class q of dimension d (K = 1 but for more
    than two classes).
    """
    size = max((len(nodes) for _, nodes in trees), default=1)
    shape = (len(trees), size)
    own = np.broadcast_to(np.arange(size), shape)
    tables: dict[str, np.ndarray] = {
        "dimension": np.array([index for index, _ in trees], dtype=np.int64),
        "feature": np.zeros(shape, np.int64), "threshold": np.zeros(shape, np.float64),
        "missing_left": np.zeros(shape, bool), "left": own.copy(), "right": own.copy(),
        "value": np.zeros(shape, np.float64),
    }
    for row, (_, nodes) in enumerate(trees):
        inner = np.nonzero(nodes["is_leaf"] == 0)[0]
        tables["feature"][row, inner] = nodes["feature_idx"][inner]
        tables["threshold"][row, inner] = nodes["num_threshold"][inner]
        tables["missing_left"][row, inner] = nodes["missing_go_to_left"][inner] != 0
        tables["left"][row, inner] = nodes["left"][inner]
        tables["right"][row, inner] = nodes["right"][inner]
        tables["value"][row, :len(nodes)] = nodes["value"]
    return {name: torch.from_numpy(table) for name, table in tables.items()}


def predict_trees(features: Tensor, baseline: Tensor, trees: dict[str, Tensor]) -> Tensor:
    """Walk all trees for all rows at once: features (N, P) → (N, S) float64.

    ``x <= threshold`` goes left, NaN where training sent it; a leaf points at itself, so every row takes
    as many steps as the deepest tree needs.
    """
    result = baseline.expand(len(features), -1).clone()
    offset = torch.arange(len(trees["dimension"]), device=features.device) * trees["feature"].shape[1]
    flat = {name: table.flatten() for name, table in trees.items()}
    left, right = (flat[name].view_as(trees["feature"]) + offset[:, None] for name in ("left", "right"))
    left, right = left.flatten(), right.flatten()
    for first in range(0, len(features) if len(offset) else 0, CHUNK_ROWS):
        x = features[first:first + CHUNK_ROWS].double()
        node = offset.expand(len(x), -1)
        while True:
            seen = torch.gather(x, 1, flat["feature"][node])
            goes_left = torch.where(seen.isnan(), flat["missing_left"][node], seen <= flat["threshold"][node])
            following = torch.where(goes_left, left[node], right[node])
            if torch.equal(following, node):
                break
            node = following
        result[first:first + CHUNK_ROWS].index_add_(1, trees["dimension"], flat["value"][node])
    return result


METHOD = FeaturesGBDT
