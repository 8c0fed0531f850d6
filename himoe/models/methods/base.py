"""The one contract of every method: ``method(batch) -> Output``.

Legend: B sequences, T time steps, M modalities, F features, D dimensions, Q outputs per dimension.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.core.params import AlignmentParams, ModelParams
from himoe.models.batches import Batch, ModalityShape, Task


@dataclass(frozen=True)
class Spec:
    """What a method is built from: modality shapes (in order), task, parameters, window step (s), number of people."""

    shapes: Mapping[str, ModalityShape]
    task: Task
    model: ModelParams
    alignment: AlignmentParams
    step_s: float = 2.0
    people: int = 0

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
    (:class:`himoe.models.methods.resizable.FittedMethod`), ``looks`` for those that look at no signal. ``reads`` is
    ``"model"`` where the model's front ends say which modalities come as windows and which as their features
    (:func:`himoe.training.rundata.feature_modalities`), ``"features"`` where all come as features. ``learns_lags`` is
    True for a method that learns how late each sensor is where ``alignment.max_lag_s`` is above 0.
    """

    gradient = True
    looks = True
    reads = "model"
    learns_lags = False
    loss_unit: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("loss_unit", torch.ones(len(spec.task.dimensions)), persistent=False)

    def calibrate(self, labels: Tensor) -> None:
        """Tell loss and heads the training labels (N, D), NaN = unknown: see :func:`loss_unit` and :class:`Heads`."""
        self.loss_unit.copy_(loss_unit(labels, self.spec.task))
        for module in self.modules():
            if isinstance(module, Heads):
                module.calibrate(labels.to(module.centre.device))

    def start_lags(self, lags_s: Tensor) -> None:
        """Begin the learned lags at these (M,), in seconds; a method that learns none does nothing."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """Codes of every window: (B, T, M, F) for networks; rows of absent modalities are 0."""

    @abstractmethod
    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Predict from codes; only modalities that ``batch.present`` admits may have influence."""

    def forward(self, batch: Batch) -> Output:
        """Predict, with the training losses (Eq. 8)."""
        output = self.decode(self.encode(batch), batch)
        losses = {"emotion": emotion_loss(output.raw, batch.y, self.spec.task, self.loss_unit), **output.losses}
        return Output(output.prediction, output.raw, losses, output.diagnostics)

    def look_inside(self, batch: Batch) -> dict[str, Tensor]:
        """Diagnostics of the encoders, which :meth:`decode` does not see; empty for a method without ``encoders``.

        ``action_units`` (B, T, A) with FACE: see :meth:`himoe.models.encoders.ModalityEncoders.diagnostics`.
        """
        diagnostics = getattr(getattr(self, "encoders", None), "diagnostics", None)
        return diagnostics(batch) if diagnostics is not None else {}


def count_parameters(method: Method) -> int | None:
    """Number of trainable parameters; None for methods fitted in closed form."""
    if not method.gradient:
        return None
    return sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad)


class Heads(nn.Module):
    """One linear head per dimension (independent heads; paper, "Dimension-Specific Prediction and Loss").

    Regression heads answer on the rating scale. With the training rows' label mean and SD as fixed buffers (set by
    :meth:`calibrate`; the scale's middle and 1 before), u = W x + b counts SDs from the mean, and
    ``rating = m + h tanh(artanh((centre - m) / h) + spread u / h)`` with the scale's middle m and half range h keeps
    to the scale: about ``centre + spread u`` inside it. ``bounded=False``: exactly that, without an end.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int, task: Task, bounded: bool = True) -> None:
        super().__init__()
        self.task, self.bounded = task, bounded
        n_dimensions = len(task.dimensions)
        self.outputs = task.outputs
        self.middle, self.half_range = sum(task.scale) / 2, (task.scale[1] - task.scale[0]) / 2
        self.linear = nn.Linear(features, n_dimensions * self.outputs)
        self.register_buffer("centre", torch.full((n_dimensions,), self.middle))
        self.register_buffer("spread", torch.ones(n_dimensions))

    def calibrate(self, y: Tensor) -> None:
        """Set centre and spread (D,) from training labels *y* (N, D), NaN ignored."""
        if self.task.kind != "regression":
            return
        centre, variance = moments(y)
        self.centre.copy_(centre)
        self.spread.copy_(variance.sqrt().clamp(min=1e-3))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (..., F) → prediction (..., D), raw (..., D, Q)."""
        raw = self.linear(features).unflatten(-1, (len(self.task.dimensions), self.outputs))
        if self.task.kind == "regression":
            raw = self.rate(raw[..., 0])[..., None]
            return raw[..., 0], raw
        return class_prediction(raw), raw

    def rate(self, units: Tensor) -> Tensor:
        """SDs from the mean (..., D) → ratings (..., D)."""
        if not self.bounded:
            return self.centre + self.spread * units
        place = ((self.centre - self.middle) / self.half_range).clamp(-0.999, 0.999)
        return self.middle + self.half_range * torch.tanh(torch.atanh(place) + self.spread / self.half_range * units)


def moments(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (D,) over the known labels of *y* (N, D)."""
    known = torch.isfinite(y)
    count = known.sum(0).clamp(min=1)
    centre = torch.where(known, y, 0.0).sum(0) / count
    return centre, torch.where(known, (y - centre) ** 2, 0.0).sum(0) / count


def class_prediction(raw: Tensor) -> Tensor:
    """Logits (..., Q) → probability of *high* where Q is 2, else the most probable class (the lowest of equals)."""
    if raw.shape[-1] == 2:
        return torch.softmax(raw, -1)[..., 1]
    return raw.argmax(-1).to(raw.dtype)


def loss_unit(labels: Tensor, task: Task) -> Tensor:
    """What a constant loses on training labels (N, D): variance (regression) or entropy in nats (classes), (D,).

    Losses are counted in it, so that 1 is the floor on every scale and task, and the weight of another term of the
    loss (lambda in Eq. 8) means the same everywhere. A dimension that does not vary has 1.
    """
    if task.kind == "regression":
        unit = moments(labels)[1]
    else:
        known = torch.isfinite(labels)
        classes = functional.one_hot(torch.nan_to_num(labels).long(), task.outputs) * known[..., None]
        shares = classes.sum(0) / known.sum(0).clamp(min=1)[:, None]
        unit = -torch.xlogy(shares, shares).sum(-1)
    return torch.where(unit > 1e-6, unit, 1.0).to(labels.dtype)


def emotion_loss(raw: Tensor, y: Tensor, task: Task, unit: Tensor) -> Tensor:
    """MSE (regression) or cross-entropy (classes) over the known labels, in units of what a constant loses.

    ``raw`` (B, T, D, Q), ``y`` (B, T, D), ``unit`` (D,) from :func:`loss_unit`. NaN carries no gradient; with no known
    label the loss is 0 (and has a gradient of 0).
    """
    known = torch.isfinite(y)
    target = torch.where(known, y, 0.0)
    if task.kind == "regression":
        each = (raw[..., 0] - target) ** 2
    else:
        each = -torch.log_softmax(raw, -1).gather(-1, target.long()[..., None])[..., 0]
    return torch.where(known, each / unit, 0.0).sum() / known.sum().clamp(min=1)
