"""The one contract of every method: ``method(batch) -> Output``.

Legend: B sequences, T time steps, M modalities, F features, D dimensions, Q outputs a dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.batches import Batch, ModalityShape, Task
from himoe.params import AlignmentParams, ModelParams


@dataclass(frozen=True)
class Spec:
    """What a method is built from: modality shapes (in order), task, parameters, number of subjects and stimuli."""

    shapes: Mapping[str, ModalityShape]
    task: Task
    model: ModelParams
    alignment: AlignmentParams
    step_s: float = 2.0

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modality names, in the order of ``present``'s last axis."""
        return tuple(self.shapes)


@dataclass(frozen=True)
class Output:
    """What a method gives.

    Parameters
    ----------
    prediction : Tensor (B, T, D)
        Rating; of two classes the probability of *high*; of more the number of the most probable one.
    raw : Tensor (B, T, D, Q)
        Q = 1: the rating; else logits of the Q classes, the lowest first.
    losses : {name: scalar Tensor}
        Terms of the training loss, already weighted; their sum is minimised.
    diagnostics : {name: Tensor}
        Routing weights, attention, lags; each method documents its own.
    """

    prediction: Tensor
    raw: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


class Method(nn.Module, ABC):
    """Base of all methods.

    A subclass implements :meth:`encode` (costly, sees the signals, does not depend on the evaluation
    mask) and :meth:`decode` (cheap, sees the codes and the mask), so that evaluation under many masks
    encodes once. ``gradient`` is False for methods that are fitted in closed form
    (:class:`himoe.methods.resizable.FittedMethod`), ``looks`` for those that look at no signal.
    """

    gradient = True
    looks = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """Codes of every window: (B, T, M, F) for networks; rows of absent modalities are 0."""

    @abstractmethod
    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Predict from codes; only modalities that ``batch.present`` admits may have influence."""

    def forward(self, batch: Batch) -> Output:
        """Predict, with the training losses (Eq. 8)."""
        output = self.decode(self.encode(batch), batch)
        losses = {"emotion": emotion_loss(output.raw, batch.y, self.spec.task), **output.losses}
        return Output(output.prediction, output.raw, losses, output.diagnostics)

    def look_inside(self, batch: Batch) -> dict[str, Tensor]:
        """Diagnostics of the encoders, which :meth:`decode` does not see; empty for a method without ``encoders``.

        ``action_units`` (B, T, A) with FACE: see :meth:`himoe.encoders.ModalityEncoders.diagnostics`.
        """
        diagnostics = getattr(getattr(self, "encoders", None), "diagnostics", None)
        return diagnostics(batch) if diagnostics is not None else {}


def count_parameters(method: Method) -> int | None:
    """Number of trainable parameters; None for methods fitted in closed form."""
    if not method.gradient:
        return None
    return sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad)


class Heads(nn.Module):
    """One linear head a dimension (independent heads; paper, "Dimension-Specific Prediction and Loss").

    Regression heads answer on the rating scale: ``centre + spread * (W x + b)`` with the training rows'
    label mean and SD as fixed buffers (set by :meth:`calibrate`; 0 and 1 before).
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int, task: Task) -> None:
        super().__init__()
        self.task = task
        n_dimensions = len(task.dimensions)
        self.outputs = task.outputs
        self.linear = nn.Linear(features, n_dimensions * self.outputs)
        self.register_buffer("centre", torch.zeros(n_dimensions))
        self.register_buffer("spread", torch.ones(n_dimensions))

    def calibrate(self, y: Tensor) -> None:
        """Set centre and spread (D,) from training labels *y* (N, D), NaN ignored."""
        if self.task.kind != "regression":
            return
        known = torch.isfinite(y)
        count = known.sum(0).clamp(min=1)
        centre = torch.where(known, y, 0.0).sum(0) / count
        variance = torch.where(known, (y - centre) ** 2, 0.0).sum(0) / count
        self.centre.copy_(centre)
        self.spread.copy_(variance.sqrt().clamp(min=1e-3))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (..., F) → prediction (..., D), raw (..., D, Q)."""
        raw = self.linear(features).unflatten(-1, (len(self.task.dimensions), self.outputs))
        if self.task.kind == "regression":
            raw = self.centre[:, None] + self.spread[:, None] * raw
            return raw[..., 0], raw
        return class_prediction(raw), raw


def class_prediction(raw: Tensor) -> Tensor:
    """Logits (..., Q) → probability of *high* where Q is 2, else the most probable class (the lowest of equals)."""
    if raw.shape[-1] == 2:
        return torch.softmax(raw, -1)[..., 1]
    return raw.argmax(-1).to(raw.dtype)


def emotion_loss(raw: Tensor, y: Tensor, task: Task) -> Tensor:
    """MSE (regression) or cross-entropy (classification) over the known labels; NaN carries no gradient.

    ``raw`` (B, T, D, Q), ``y`` (B, T, D). With no known label the loss is 0 (and has a gradient of 0).
    """
    known = torch.isfinite(y)
    if not known.any():
        return raw.sum() * 0.0
    if task.kind == "regression":
        return functional.mse_loss(raw[..., 0][known], y[known])
    return functional.cross_entropy(raw[known], y[known].long())
