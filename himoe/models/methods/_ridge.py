"""Ridge regression on features of windows: the linear floor (logistic regression for classes).

Legend: B sequences, T time steps, M modalities, P features, N rows, D dimensions, G people,
S scores: one per dimension (regression, two classes) or K per dimension (K > 2 classes), Q = 1 + P + M columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods._features import FeatureMethod, Rows, mask_features
from himoe.models.methods._linear import Linear, fit_logistic, fit_ridge
from himoe.models.methods.base import Output, Spec, class_prediction

SHARE_FLOOR = 1e-6
SHARED_PENALTIES = tuple(10.0 ** (k / 2) for k in range(2, -9, -1))  # per row; features have SD 1
NO_OWN_PART = (float("inf"),)


class FeaturesRidge(FeatureMethod):
    """A linear map of the features, one per dimension.

    Features are standardised on training rows. An absent modality has its features at the training mean, 0, and an
    indicator of its own at 1. Penalties are chosen from a fixed grid by the error on validation rows. Ratings keep
    to the scale.
    """

    own_penalties: tuple[float, ...] = NO_OWN_PART
    centre: Tensor
    spread: Tensor
    shared: Tensor
    own: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        n_features, size = len(self.feature_modality), len(spec.task.dimensions) * self.scores
        self.register_buffer("centre", torch.zeros(n_features, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(n_features, dtype=torch.float64))
        columns = 1 + n_features + len(spec.shapes)
        self.register_buffer("shared", torch.zeros(size, columns, dtype=torch.float64))
        self.register_buffer("own", torch.zeros(0, size, columns, dtype=torch.float64))
        if spec.task.kind == "regression":
            self.shared[:, 0] = sum(spec.task.scale) / 2

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Predict from features (B, T, P)."""
        x = self.columns(mask_features(codes, batch.present, self.feature_modality), batch.present)
        raw = x @ self.shared.T
        if len(self.own):
            known = batch.subject < len(self.own)
            own = self.own[batch.subject.clamp(max=len(self.own) - 1)] * known[:, None, None]
            raw = raw + x @ own.transpose(1, 2)
        raw = raw.to(torch.get_default_dtype())
        if self.spec.task.kind == "regression":
            raw = raw.clamp(*self.spec.task.scale)
            return Output(raw, raw[..., None])
        if self.scores > 1:
            raw = raw.unflatten(-1, (-1, self.scores))
            return Output(class_prediction(raw), raw)
        return Output(torch.sigmoid(raw), torch.stack([torch.zeros_like(raw), raw], -1))

    def columns(self, features: Tensor, present: Tensor) -> Tensor:
        """1, standardised features (0 where NaN) and what is absent: (..., P), (..., M) → (..., Q) float64."""
        known = torch.nan_to_num((features.double() - self.centre) / self.spread, nan=0.0)
        return torch.cat([torch.ones_like(known[..., :1]), known, (~present).double()], -1)

    def fit(self, batches: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Fit to *batches*; *validation* chooses the penalties (the largest ones without it)."""
        rows, held = self.rows(batches), self.rows(validation)
        if len(rows.x) == 0:
            return
        self._standardise(rows.x)
        rows = self.with_masked_copy(rows)
        x, x_held = (self.columns(part.x, part.present).cpu().numpy() for part in (rows, held))
        models = [self._fit_dimension(index, rows, held, x, x_held) for index in range(rows.y.shape[1])]
        n_people = max(len(model.own) for model in models)
        own = [np.concatenate([m.own, np.zeros((n_people - len(m.own), *m.shared.shape))]) for m in models]
        self.shared = torch.from_numpy(np.concatenate([m.shared for m in models])).to(self.shared)
        self.own = torch.from_numpy(np.concatenate(own, axis=1)).to(self.shared)

    def _standardise(self, x: Tensor) -> None:
        """Set centre and spread (P,) from the known values of (N, P)."""
        known = torch.isfinite(x)
        values, count = torch.where(known, x, 0.0).double(), known.sum(0).clamp(min=1)
        centre = values.sum(0) / count
        spread = (torch.where(known, values - centre, 0.0).square().sum(0) / count).sqrt()
        self.centre = centre.to(self.centre)
        self.spread = torch.where(spread > 1e-8, spread, 1.0).to(self.centre)

    def _fit_dimension(self, index: int, rows: Rows, held: Rows, x: np.ndarray, x_held: np.ndarray) -> Linear:
        """The model of one dimension, from rows whose label is known; a constant where the labels are one."""
        y, y_held = (part.y[:, index].double().numpy() for part in (rows, held))
        known, known_held = np.isfinite(y), np.isfinite(y_held)
        if len(np.unique(y[known])) < 2:
            return self._constant(y[known], index)
        train = (x[known], y[known], rows.subject.numpy()[known])
        validation = (x_held[known_held], y_held[known_held], held.subject.numpy()[known_held])
        if self.spec.task.kind == "regression":
            return fit_ridge(*train, SHARED_PENALTIES, self.own_penalties, *validation)
        model = fit_logistic(*train, SHARED_PENALTIES[::2], self.own_penalties, *validation)
        return model if self.scores == 1 else self._all_classes(model, np.unique(y[known]).astype(int))

    def _constant(self, y: np.ndarray, index: int) -> Linear:
        """A model that always gives the one label there is; the answer of an unfitted method without any."""
        shared = self.shared[index * self.scores:(index + 1) * self.scores].cpu().numpy().copy()
        shared[:, 1:] = 0.0
        if len(y) and self.spec.task.kind == "regression":
            shared[:, 0] = y[0]
        elif len(y) and self.scores == 1:
            shared[:, 0] = np.log(SHARE_FLOOR) * (1 if y[0] == 0 else -1)
        elif len(y):
            shared[:, 0] = np.where(np.arange(self.scores) == y[0], 0.0, np.log(SHARE_FLOOR))
        return Linear(shared, np.zeros((0, *shared.shape)))

    def _all_classes(self, model: Linear, classes: np.ndarray) -> Linear:
        """Logits of all K classes from those of the classes that training has (two of them have one score)."""
        shared = np.zeros((self.scores, model.shared.shape[1]))
        own = np.zeros((len(model.own), *shared.shape))
        absent = np.setdiff1d(np.arange(self.scores), classes)
        shared[absent, 0] = np.log(SHARE_FLOOR)
        scored = classes[1:] if len(model.shared) == 1 else classes
        shared[scored], own[:, scored] = model.shared, model.own
        return Linear(shared, own)


class FeaturesRidgePerson(FeaturesRidge):
    """A linear map of the features per person whom training knows; for everybody else the shared one.

    Ridge regression on features and on their products with indicators of the people, each part with a penalty of its
    own. Without validation rows nobody has an own part.
    """

    own_penalties = (*NO_OWN_PART, *(10.0**k for k in range(2, -4, -1)))
