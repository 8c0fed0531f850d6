"""What the methods fitted on features of windows share: rows of features, and the masking of modalities.

Legend: B sequences, T time steps, M modalities, P features, N rows, D dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods.base import Spec
from himoe.models.methods.resizable import FittedMethod


@dataclass(frozen=True)
class Rows:
    """Windows as rows, on the CPU: features x (N, P), NaN where absent; presence (N, M); labels (N, D); people (N,)."""

    x: Tensor
    present: Tensor
    y: Tensor
    subject: Tensor


class FeatureMethod(FittedMethod):
    """Base of methods that are fitted on the features of all modalities side by side.

    They are trained on the rows as they are plus one copy in which every row loses each modality with a probability
    drawn for it from U(0, ``missing_max``) (at least one stays; generator seeded by ``seed``).
    """

    reads = "features"
    seed = 0
    missing_max = 0.4
    feature_modality: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        widths = torch.tensor([shape.channels * shape.samples for shape in spec.shapes.values()])
        owner = torch.repeat_interleave(torch.arange(len(widths)), widths)
        self.register_buffer("feature_modality", owner, persistent=False)
        self.scores = spec.task.outputs if spec.task.outputs > 2 else 1  # per dimension: log odds of *high*, or logits

    def encode(self, batch: Batch) -> Tensor:
        """Features (B, T, P), NaN where a modality is absent."""
        features = torch.cat([batch.x[name].flatten(2) for name in self.spec.shapes], -1)
        return mask_features(features, batch.present, self.feature_modality)

    def rows(self, batches: Iterable[Batch]) -> Rows:
        """All valid steps of the batches."""
        parts = [(self.encode(b)[b.valid], b.present[b.valid], b.y[b.valid],
                  b.subject[:, None].expand_as(b.valid)[b.valid]) for b in batches]
        if not parts:
            return Rows(torch.zeros(0, len(self.feature_modality)),
                        torch.zeros(0, len(self.spec.shapes), dtype=torch.bool),
                        torch.zeros(0, len(self.spec.task.dimensions)), torch.zeros(0, dtype=torch.int64))
        return Rows(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))

    def with_masked_copy(self, rows: Rows) -> Rows:
        """The rows, and after them the same ones with modalities dropped."""
        kept = drop_modalities(rows.present, self.missing_max, torch.Generator().manual_seed(self.seed))
        masked = mask_features(rows.x, kept, self.feature_modality)
        return Rows(torch.cat([rows.x, masked]), torch.cat([rows.present, kept]), torch.cat([rows.y, rows.y]),
                    torch.cat([rows.subject, rows.subject]))


def mask_features(features: Tensor, present: Tensor, feature_modality: Tensor) -> Tensor:
    """Features (..., P) with NaN where the column's modality is not in ``present`` (..., M)."""
    return torch.where(present[..., feature_modality], features, float("nan"))


def drop_modalities(present: Tensor, missing_max: float, generator: torch.Generator | None = None) -> Tensor:
    """Drop each modality of each row of ``present`` (N, M) at the row's own rate from U(0, *missing_max*).

    A row that would lose all keeps one of those it had, drawn at random.
    """
    rate = missing_max * torch.rand(len(present), 1, generator=generator)
    kept = present & (torch.rand(present.shape, generator=generator) >= rate)
    lottery = torch.where(present, torch.rand(present.shape, generator=generator), -1.0)
    saved = torch.zeros_like(present).scatter_(1, lottery.argmax(1, keepdim=True), True) & present
    return torch.where(kept.any(1, keepdim=True), kept, saved)
