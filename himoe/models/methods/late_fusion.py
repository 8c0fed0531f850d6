"""Late fusion of one LSTM per modality (Tang et al. 2017, doi 10.1007/978-3-319-70093-9_86); our implementation.

The paper's: an LSTM per modality over time, and the fusion of what they found; it has two modalities and one answer per
trial. Our reading: any number of modalities, heads of their own, an answer at each step that is the mean of the
modalities' decisions. Its abstract does not say what each modality is trained on. Here the loss is that of the *mean*
decision, as for every method; ``LateFusion.alone = True`` trains each modality on its own decision instead.

Legend: B sequences, T time steps, M modalities, F features, D dimensions, Q outputs per dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor

from himoe.models.batches import Batch, Task
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import GroupedLinear
from himoe.models.methods._recurrent import GroupedLSTM
from himoe.models.methods.base import Heads, Method, Output, Spec, class_prediction, emotion_loss


class ModalityHeads(Heads):
    """One set of heads per modality, whose decisions are averaged on the heads' own scale.

    The mean of ratings that were each bounded could hardly leave the scale's middle, so the bound comes last.
    """

    def __init__(self, modalities: int, features: int, task: Task, bounded: bool) -> None:
        super().__init__(features, task, bounded)
        outputs = len(task.dimensions) * task.outputs
        self.linear = GroupedLinear(modalities, features, outputs)  # type: ignore[assignment]

    def decisions(self, features: Tensor) -> Tensor:
        """Features (M, B, T, F) → decisions (M, B, T, D, Q): SDs from the mean rating, or logits."""
        sizes = (*features.shape[1:3], len(self.task.dimensions), self.outputs)
        return self.linear(features.flatten(1, 2)).unflatten(-1, sizes[2:]).unflatten(1, sizes[:2])

    def mean(self, decisions: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        """Decisions (M, B, T, D, Q), their shares (M, B, T), sum 1 → prediction (B, T, D), raw (B, T, D, Q)."""
        if self.task.kind == "regression":
            raw = self.rate(torch.einsum("mbt,mbtdq->btdq", share, decisions)[..., 0])[..., None]
            return raw[..., 0], raw
        # Log of the mean probability: softmax of it gives that mean back, and cross-entropy is exact.
        raw = torch.logsumexp(torch.log_softmax(decisions, -1) + share.log()[..., None, None], 0)
        return (raw[..., 1].exp() if raw.shape[-1] == 2 else class_prediction(raw)), raw


class LateFusion(Method):
    """One LSTM and one set of heads per modality; their decisions are averaged over present modalities.

    An absent step feeds zeros to its LSTM and has no say in the average; where every modality is absent
    all decide from what they remember. Ratings are averaged in SDs from the mean, classes as probabilities.

    For ratings the mean of the modalities' own losses is the loss of their mean plus their spread (Krogh & Vedelsby
    1995), so ``alone`` adds what keeps the decisions alike.
    """

    alone = False

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, n_modalities = spec.model.features, len(spec.modalities)
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.recurrent = GroupedLSTM(n_modalities, features, features)
        self.heads = ModalityHeads(n_modalities, features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Average the modalities' decisions from codes (B, T, M, F)."""
        codes_BTMF = self.encoders.masked(codes, batch.present)
        decisions_MBTDQ = self.heads.decisions(self.recurrent(codes_BTMF.movedim(2, 0)))
        absent_BT1 = ~batch.present.any(-1, keepdim=True)
        votes_MBT = (batch.present | absent_BT1).movedim(-1, 0).to(decisions_MBTDQ.dtype)
        losses = {"emotion": self._own_losses(decisions_MBTDQ, batch)} if self.alone and self.training else {}
        return Output(*self.heads.mean(decisions_MBTDQ, votes_MBT / votes_MBT.sum(0)), losses)

    def _own_losses(self, decisions_MBTDQ: Tensor, batch: Batch) -> Tensor:
        """Every modality's loss where it is present, averaged over those."""
        raw = decisions_MBTDQ
        if self.spec.task.kind == "regression":
            raw = self.heads.rate(raw[..., 0])[..., None]
        there_MBT1 = batch.present.movedim(-1, 0)[..., None]
        return emotion_loss(raw, torch.where(there_MBT1, batch.y, float("nan")), self.spec.task, self.loss_unit)


METHOD = LateFusion
