"""CAFNet: cross-attention fusion of EEG and face, or of EEG and all others; our implementation of the name.

The row "CAFNet" of the paper's Table 10 has no reference, so nothing here is a paper's but the name: cross-attention of
two sides, each the other's query, and both answers concatenated. Our reading: one block of Vaswani et al. 2017 a side,
tokens of all steps with a time code, an answer at each step.

Legend: B sequences, T time steps, M modalities, N tokens of a side (T·M of that side), F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import GroupedAttention, pool
from himoe.models.methods._times import with_time
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Dropout


class CrossAttention(nn.Module):
    """One side asks, the other answers: attention, then a two-layer network; residual and layer norm after each.

    The block of Vaswani et al. 2017 (arXiv:1706.03762) with the other side as keys and values.
    """

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        self.attention = GroupedAttention(1, features, dropout)
        self.norm = nn.LayerNorm(features)
        self.network = nn.Sequential(nn.Linear(features, 4 * features), nn.ReLU(), Dropout(dropout),
                                     nn.Linear(4 * features, features))
        self.last_norm = nn.LayerNorm(features)
        self.dropout = Dropout(dropout)

    def forward(self, query_BNF: Tensor, source_BNF: Tensor, usable_BN: Tensor) -> Tensor:
        """Query (B, N, F), source (B, N', F) and which of the source is usable (B, N') → (B, N, F).

        Without any usable source the attention adds nothing.
        """
        rows = self.attention(query_BNF.flatten(0, 1)[None], source_BNF.flatten(0, 1)[None], usable_BN[None])
        answer_BNF = rows[0].view(query_BNF.shape)
        hidden_BNF = self.norm(query_BNF + self.dropout(answer_BNF))
        return self.last_norm(hidden_BNF + self.dropout(self.network(hidden_BNF)))


class CAFNet(Method):
    """Two sides, each the other's query; their answers are concatenated.

    One side is EEG (the first modality if there is no EEG), the other side all other modalities, FACE among
    them; with one modality both sides are it. A side's tokens are its codes at all steps, with a time code.
    Only present tokens are attended to. At each step a side is the mean of its present tokens' answers (of
    all its tokens' if none is present, which then hold what the other side told them).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, dropout = spec.model.features, spec.model.dropout
        self.sides = split_sides(spec.modalities)
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.first_asks = CrossAttention(features, dropout)
        self.second_asks = CrossAttention(features, dropout)
        self.dropout = Dropout(dropout)
        self.heads = Heads(2 * features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Let both sides ask each other, from codes (B, T, M, F)."""
        usable_BTM = batch.present & batch.valid[..., None]
        codes_BTMF = self.encoders.masked(codes, usable_BTM)
        tokens_BTMF = with_time(codes_BTMF.transpose(1, 2)).transpose(1, 2)
        tokens, usable = zip(*((tokens_BTMF[:, :, side], usable_BTM[:, :, side]) for side in self.sides), strict=True)
        answers = []
        for own, other, asks in ((0, 1, self.first_asks), (1, 0, self.second_asks)):
            answer_BNF = asks(tokens[own].flatten(1, 2), tokens[other].flatten(1, 2), usable[other].flatten(1))
            answers.append(pool(answer_BNF.unflatten(1, usable[own].shape[1:]), usable[own]))
        return Output(*self.heads(self.dropout(torch.cat(answers, -1))))


def split_sides(modalities: tuple[str, ...]) -> tuple[list[int], list[int]]:
    """Places of the modalities on either side: EEG (else the first) and the others (itself if alone)."""
    first = modalities.index("EEG") if "EEG" in modalities else 0
    return [first], [place for place in range(len(modalities)) if place != first] or [first]


METHOD = CAFNet
