"""Flex-MoE (Yun et al. 2024, arXiv 2410.08245): a bank for what is missing, experts per combination; our own.

The paper's (method section): samples ordered by how much of them is there; a missing modality bank of learned
embeddings, one for each pair of an observed combination and a modality that it lacks; a transformer layer over the
tokens of all modalities whose network is a sparse mixture of experts (the k best); the G-Router trains experts on
complete samples, balanced; the S-Router is told by a cross-entropy to give the first place to the expert of the
sample's combination. The modalities' tokens are concatenated for the head.

Our reading: a window is a token of its modality (the paper's are patches of one sample), so combination, bank row and
routing are each step's; both routers learn at once, each on its own steps (the paper starts with complete samples for
some epochs; every method has one schedule here); 16 experts, 4 of them kept, as published: the complete combination
has expert 0, the others one each in the order of how little they lack, and take turns where there are more of them; no
noise on the gates, so they are balanced by importance alone; the code of time and a learned code of the modality for
the published position table; a layer norm before the heads. A step without any modality has a bank row too, and no
expert of its own; nobody attends to it.

Legend: B sequences, T time steps, M modalities, F features, E experts, N = B·T·M tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import GroupedAttention, GroupedNorm
from himoe.models.methods._mixture import Experts, spread_squared, top_gates
from himoe.models.methods._times import with_own_times
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Dropout

EXPERTS = 16
KEPT = 4
WIDENING = 2  # hidden units of an expert, as a multiple of F
ROUTING_LOSS = 0.01


def combination(present: Tensor) -> Tensor:
    """Which modalities are there as a number, (..., M) bool → (...): the m-th counts 2^m."""
    return (present.long() * 2 ** torch.arange(present.shape[-1], device=present.device)).sum(-1)


def expert_of(modalities: int, experts: int) -> Tensor:
    """The expert of each combination's number, (2^M,): 0 of the complete one, -1 (none) of the empty one.

    The others have 1, 2, ... in the order of how many modalities they lack, then of their number; where there are more
    of them than experts, they take turns.
    """
    complete = 2**modalities - 1
    order = sorted(range(1, complete), key=lambda number: (modalities - number.bit_count(), number))
    owner = torch.full((complete + 1,), -1, dtype=torch.int64)
    owner[complete] = 0
    for place, number in enumerate(order):
        owner[number] = 1 + place % (experts - 1)
    return owner


class FlexMoE(Method):
    """Tokens of what is there, learned ones for what is not, one attention layer, a mixture that knows the difference.

    Diagnostics: ``expert_gates`` (B, T, M, E).
    """

    owner: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, n, dropout = spec.model.features, len(spec.modalities), spec.model.dropout
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.bank_CMF = nn.Parameter(torch.randn(2**n, n, features))
        self.modality_MF = nn.Parameter(torch.zeros(n, features))
        self.attention_norm, self.expert_norm, self.last_norm = (GroupedNorm(1, features) for _ in range(3))
        self.attention = GroupedAttention(1, features, 0.0)
        self.gate = nn.Linear(features, EXPERTS, bias=False)
        self.experts = Experts(EXPERTS, features, WIDENING * features, dropout)
        self.dropout = Dropout(dropout)
        self.register_buffer("owner", expert_of(n, EXPERTS), persistent=False)
        self.heads = Heads(n * features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Complete by the bank, attend, route and predict from codes (B, T, M, F)."""
        codes_BTMF = self.encoders.masked(codes, batch.present)
        tokens_BTMF = self.completed(codes_BTMF, batch.present) + self.modality_MF
        tokens_BTMF = with_own_times(tokens_BTMF, batch, self.spec.step_s)
        rows_1NF = tokens_BTMF.flatten(0, 2)[None]
        usable_1BS = batch.present.any(-1, keepdim=True).expand(batch.present.shape).flatten(1)[None]  # S = T·M
        asked = self.attention_norm(rows_1NF)
        rows_1NF = rows_1NF + self.dropout(self.attention(asked, asked, usable_1BS))
        inputs_NF = self.expert_norm(rows_1NF)[0]
        scores_NE = self.gate(inputs_NF)
        gates_NE = top_gates(scores_NE, KEPT)
        rows_1NF = rows_1NF + self.dropout(self.experts(inputs_NF, gates_NE))
        fused_BTJ = self.last_norm(rows_1NF).view(*batch.present.shape[:2], -1)  # J = M·F
        prediction, raw = self.heads(fused_BTJ)
        losses = {"routing": ROUTING_LOSS * self.routing_loss(scores_NE, gates_NE, batch.present)}
        return Output(prediction, raw, losses if self.training else {},
                      {"expert_gates": gates_NE.view(*batch.present.shape, -1)})

    def completed(self, codes_BTMF: Tensor, present: Tensor) -> Tensor:
        """Codes (B, T, M, F) where present (B, T, M), else the bank's row of the step's combination."""
        return torch.where(present[..., None], codes_BTMF, self.bank_CMF[combination(present)])

    def routing_loss(self, scores: Tensor, gates: Tensor, present: Tensor) -> Tensor:
        """Balance on complete steps; on incomplete ones the cross-entropy to their expert, and balance of the others.

        Scores and gates (N, E), present (B, T, M); expert 0, of the complete steps, is left out of the second balance.
        """
        owner_N = self.owner[combination(present)][..., None].expand(present.shape).flatten()
        complete_N, lacking_N = owner_N == 0, owner_N > 0
        wanted_N = torch.log_softmax(scores, -1).gather(-1, owner_N.clamp(min=0)[:, None])[:, 0]
        told = -(wanted_N * lacking_N).sum() / lacking_N.sum().clamp(min=1)
        return told + spread_squared(gates, complete_N) + spread_squared(gates[:, 1:], lacking_N)


METHOD = FlexMoE
