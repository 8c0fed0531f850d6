"""The floors: the training mean over everybody, of the subject, of the stimulus.

Legend: B sequences, T time steps, D dimensions, G codes (subjects or stimuli).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from himoe.batches import Batch, Task
from himoe.methods.base import Output, Spec
from himoe.methods.resizable import FittedMethod

PROBABILITY_FLOOR = 1e-6


class Mean(FittedMethod):
    """Predicts the mean training label of each dimension; for classification the share of *high*.

    ``level`` says over whom: ``"overall"``, ``"subject"`` or ``"stimulus"``. A code without a training
    label gets the overall mean; a dimension without any, the middle of the scale (or 0.5). It never looks
    at a signal, and :meth:`encode` returns an empty code (B, T, 0).
    """

    level = "overall"
    looks = False
    overall: Tensor
    table: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("overall", _middle(spec.task))
        self.register_buffer("table", torch.zeros(0, len(spec.task.dimensions)))

    def encode(self, batch: Batch) -> Tensor:
        """An empty code (B, T, 0)."""
        return batch.y.new_zeros(*batch.y.shape[:2], 0)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """The mean, at every step."""
        mean_BD = self.overall.expand(len(batch.y), -1)
        if self.level != "overall" and len(self.table) > 0:
            code_B = self._codes(batch)
            known_B = (code_B >= 0) & (code_B < len(self.table))
            mean_BD = torch.where(known_B[:, None], self.table[code_B.clamp(0, len(self.table) - 1)], mean_BD)
        return constant_output(mean_BD[:, None].expand(-1, batch.y.shape[1], -1), self.spec.task)

    def fit(self, batches: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Average the known labels of the training batches; validation is not used."""
        labels, codes = [], []
        for batch in batches:
            labels.append(batch.y[batch.valid].double())
            codes.append(self._codes(batch)[:, None].expand_as(batch.valid)[batch.valid])
        if not labels:
            return
        y_ND, code_N = torch.cat(labels), torch.cat(codes)
        known_ND = torch.isfinite(y_ND)
        y_ND = torch.where(known_ND, y_ND, 0.0)
        count_D = known_ND.sum(0)
        overall_D = torch.where(count_D > 0, y_ND.sum(0) / count_D.clamp(min=1), _middle(self.spec.task).to(y_ND))
        size = int(code_N.max()) + 1 if len(code_N) else 0
        totals_GD = y_ND.new_zeros(size, y_ND.shape[1]).index_add_(0, code_N, y_ND)
        counts_GD = y_ND.new_zeros(size, y_ND.shape[1]).index_add_(0, code_N, known_ND.to(y_ND))
        table_GD = torch.where(counts_GD > 0, totals_GD / counts_GD.clamp(min=1), overall_D)
        self.overall, self.table = overall_D.to(self.overall), table_GD.to(self.overall)

    def _codes(self, batch: Batch) -> Tensor:
        """The code (B,) that this level averages over; all 0 for the overall mean."""
        if self.level == "overall":
            return torch.zeros_like(batch.subject)
        return batch.subject if self.level == "subject" else batch.stimulus


class MeanSubject(Mean):
    """The training mean of the sequence's subject."""

    level = "subject"


class MeanStimulus(Mean):
    """The training mean of the sequence's stimulus."""

    level = "stimulus"


def constant_output(mean_BTD: Tensor, task: Task) -> Output:
    """Output of known ratings or probabilities (B, T, D)."""
    if task.kind == "regression":
        return Output(mean_BTD, mean_BTD[..., None])
    high = mean_BTD.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return Output(mean_BTD, torch.stack([torch.log1p(-high), high.log()], -1))


def _middle(task: Task) -> Tensor:
    """Middle of the scale (regression) or 0.5, once a dimension."""
    return torch.full((len(task.dimensions),), 0.5 if task.kind == "classification" else sum(task.scale) / 2)
