"""MoMKE (Xu et al. 2024, ACM Multimedia, pages 438-446): modality experts that all see every modality; our own.

The paper's: (1) unimodal expert training: one transformer per modality, on that modality alone, with a head of its
own; (2) experts mixing training: every expert sees every modality that is present. A modality's own expert gives its
unimodal representation, the others' its joint ones, and a soft router, a two-layer network with a softmax over the
experts on that modality's input, mixes them. What is absent has the zero vector. The modalities are concatenated and
pass a residual block to one head.

Our reading: both stages at once, since every method has one schedule, which it does not see: the loss is that of the
answer plus, in training, the mean of the experts' own ones on their own modality where it is present; 2 layers per
expert (the published code's 4), pre-norm (it has none); a code of time (it has none); the residual block has two
layers (its one); an answer at each step.

Legend: B sequences, T time steps, M modalities, K experts (one per modality), F features, D dimensions, Q outputs per
dimension.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.batches import Batch, Task
from himoe.models.encoders import ModalityEncoders, mask_codes
from himoe.models.methods._attention import Encoder, GroupedLinear, GroupedNorm
from himoe.models.methods._joint import JointBlock
from himoe.models.methods._times import with_own_times
from himoe.models.methods.base import Heads, Method, Output, Spec, emotion_loss

LAYERS = 2  # of each expert
WIDENING = 1  # hidden units of a feed-forward block, as a multiple of F
EXPERTS_LOSS = 1.0  # the experts' own losses beside that of the answer


class SoftRouter(nn.Module):
    """Weights of the K experts for each modality, from that modality's input: a two-layer network and a softmax."""

    def __init__(self, modalities: int, features: int) -> None:
        super().__init__()
        self.wide = GroupedLinear(modalities, features, features)
        self.narrow = GroupedLinear(modalities, features, modalities)

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (M, B, T, F) → weights (M, B, T, K), sum 1."""
        scores = self.narrow(functional.gelu(self.wide(x.flatten(1, 2))))
        return torch.softmax(scores, -1).unflatten(1, x.shape[1:3])


class ExpertHeads(Heads):
    """One set of heads per expert, for the experts' own losses."""

    def __init__(self, modalities: int, features: int, task: Task, bounded: bool) -> None:
        super().__init__(features, task, bounded)
        self.linear = GroupedLinear(modalities, features, len(task.dimensions) * task.outputs)  # type: ignore[assignment]

    def raw(self, unimodal: Tensor) -> Tensor:
        """Unimodal representations (M, B, T, F) → ratings or logits (M, B, T, D, Q)."""
        raw = self.linear(unimodal.flatten(1, 2)).unflatten(-1, (len(self.task.dimensions), self.outputs))
        raw = raw.unflatten(1, unimodal.shape[1:3])
        return self.rate(raw[..., 0])[..., None] if self.task.kind == "regression" else raw


class MoMKE(Method):
    """All experts see every present modality; a soft router mixes what they make of it.

    Diagnostics: ``expert_gates`` (B, T, M, K).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, n, dropout = spec.model.features, len(spec.modalities), spec.model.dropout
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.experts = Encoder(n, features, LAYERS, dropout, WIDENING)
        self.norm = GroupedNorm(n, features)
        self.router = SoftRouter(n, features)
        self.expert_heads = ExpertHeads(n, features, spec.task, spec.model.bounded)
        self.joint = JointBlock(n, features, dropout)
        self.heads = Heads(self.joint.width, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Ask all experts about each modality, mix and predict from codes (B, T, M, F)."""
        codes_BTMF = self.encoders.masked(codes, batch.present)
        tokens_MBTF = with_own_times(codes_BTMF, batch, self.spec.step_s).movedim(2, 0)
        seen_KMBTF = self.opinions(tokens_MBTF, batch.present.movedim(-1, 0))
        gates_MBTK = self.router(tokens_MBTF)
        mixed_BTMF = torch.einsum("mbtk,kmbtf->btmf", gates_MBTK, seen_KMBTF)
        prediction, raw = self.heads(self.joint(mask_codes(mixed_BTMF, batch.present)))
        losses = {"experts": EXPERTS_LOSS * self.own_losses(seen_KMBTF, batch)} if self.training else {}
        return Output(prediction, raw, losses, {"expert_gates": gates_MBTK.movedim(0, 2)})

    def opinions(self, tokens_MBTF: Tensor, present_MBT: Tensor) -> Tensor:
        """What each expert makes of each modality, from the present steps: (K, M, B, T, F)."""
        n, sizes = len(tokens_MBTF), tokens_MBTF.shape
        rows = tokens_MBTF.flatten(0, 1)
        seen = self.experts(rows.expand(n, *rows.shape), present_MBT.flatten(0, 1)[None])
        return self.norm(seen.flatten(1, 2)).view(n, *sizes)

    def own_losses(self, seen_KMBTF: Tensor, batch: Batch) -> Tensor:
        """Mean loss of the experts, each on its own modality, over the labels of steps where that is present."""
        own_MBTF = seen_KMBTF.diagonal(0, 0, 1).movedim(-1, 0)
        there_MBT1 = batch.present.movedim(-1, 0)[..., None]
        labels = torch.where(there_MBT1, batch.y, float("nan"))
        return emotion_loss(self.expert_heads.raw(own_MBTF), labels, self.spec.task, self.loss_unit)


METHOD = MoMKE
