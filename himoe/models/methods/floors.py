"""The floors: the training mean over everybody, of the subject, of the stimulus.

Legend: B sequences, T time steps, D dimensions, G codes (subjects or stimuli), S = D, or D times K for K > 2 classes.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as functional
from torch import Tensor

from himoe.models.batches import Batch, Task
from himoe.models.methods.base import Output, Spec, class_prediction
from himoe.models.methods.resizable import FittedMethod

PROBABILITY_FLOOR = 1e-6


class Mean(FittedMethod):
    """Predicts the mean training label of each dimension; for two classes the share of *high*, for more the commonest.

    ``level`` says over whom: ``"overall"``, ``"subject"`` or ``"stimulus"``. A code without a training
    label gets the overall mean; a dimension without any, the middle of the scale (or equal shares of the classes,
    of which the lowest is named). It never looks at a signal, and :meth:`encode` returns an empty code (B, T, 0).
    """

    level = "overall"
    looks = False
    overall: Tensor
    table: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("overall", _middle(spec.task))
        self.register_buffer("table", torch.zeros(0, len(self.overall)))

    def encode(self, batch: Batch) -> Tensor:
        """An empty code (B, T, 0)."""
        return batch.y.new_zeros(*batch.y.shape[:2], 0)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """The mean, at every step."""
        mean_BS = self.overall.expand(len(batch.y), -1)
        if self.level != "overall" and len(self.table) > 0:
            code_B = self._codes(batch)
            known_B = (code_B >= 0) & (code_B < len(self.table))
            mean_BS = torch.where(known_B[:, None], self.table[code_B.clamp(0, len(self.table) - 1)], mean_BS)
        return constant_output(mean_BS[:, None].expand(-1, batch.y.shape[1], -1), self.spec.task)

    def fit(self, batches: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Average the known labels of the training batches; validation is not used."""
        labels, codes = [], []
        for batch in batches:
            labels.append(batch.y[batch.valid].double())
            codes.append(self._codes(batch)[:, None].expand_as(batch.valid)[batch.valid])
        if not labels:
            return
        y_NS, code_N = _averaged(torch.cat(labels), self.spec.task), torch.cat(codes)
        known_NS = torch.isfinite(y_NS)
        y_NS = torch.where(known_NS, y_NS, 0.0)
        count_S = known_NS.sum(0)
        overall_S = torch.where(count_S > 0, y_NS.sum(0) / count_S.clamp(min=1), _middle(self.spec.task).to(y_NS))
        size = int(code_N.max()) + 1 if len(code_N) else 0
        totals_GS = y_NS.new_zeros(size, y_NS.shape[1]).index_add_(0, code_N, y_NS)
        counts_GS = y_NS.new_zeros(size, y_NS.shape[1]).index_add_(0, code_N, known_NS.to(y_NS))
        table_GS = torch.where(counts_GS > 0, totals_GS / counts_GS.clamp(min=1), overall_S)
        self.overall, self.table = overall_S.to(self.overall), table_GS.to(self.overall)

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


def constant_output(mean_BTS: Tensor, task: Task) -> Output:
    """Output of known ratings, probabilities of *high*, or (K > 2) shares of the classes, (B, T, S)."""
    if task.kind == "regression":
        return Output(mean_BTS, mean_BTS[..., None])
    if task.outputs > 2:
        raw_BTDK = mean_BTS.unflatten(-1, (-1, task.outputs)).clamp(min=PROBABILITY_FLOOR).log()
        return Output(class_prediction(raw_BTDK), raw_BTDK)
    high = mean_BTS.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return Output(mean_BTS, torch.stack([torch.log1p(-high), high.log()], -1))


def _averaged(y_ND: Tensor, task: Task) -> Tensor:
    """What is averaged, (N, S): the labels, or whether each of K > 2 classes is theirs; NaN stays NaN."""
    if task.outputs <= 2:
        return y_ND
    known_ND1 = torch.isfinite(y_ND)[..., None]
    own_NDK = functional.one_hot(torch.nan_to_num(y_ND).long(), task.outputs).to(y_ND)
    return torch.where(known_ND1, own_NDK, float("nan")).flatten(1)


def _middle(task: Task) -> Tensor:
    """Middle of the scale (regression), 0.5 (two classes), once a dimension; 1/K once a dimension and class (K > 2)."""
    if task.kind == "regression":
        return torch.full((len(task.dimensions),), sum(task.scale) / 2)
    repeats = 1 if task.outputs == 2 else task.outputs
    return torch.full((len(task.dimensions) * repeats,), 1 / task.outputs)
