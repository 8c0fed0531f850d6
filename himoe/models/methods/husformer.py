"""Husformer (Wang et al. 2022, arXiv:2209.15182): cross-modal attention, then self-attention; our implementation.

The paper's: a temporal convolution per modality; a cross-modal transformer per modality, its own tokens asking those of
all modalities; a self-attention transformer over the concatenation; pooling to one answer. From the authors' published
code: norm first, ReLU network of 4F, tokens scaled by sqrt(F) before the time code in both transformers, no layer
norm but the transformers' own. Our reading: 3 cross-modal and 5 self-attention layers (the code's two numbers; its
default setting raises both to 5), a convolution over 3 steps (the code's is over 1), no causal mask (the code has one
by default), 0.4 of the model's dropout (the code's 0.1, mostly) but none of attention weights, which would double a
step's cost, and a mean over the modalities of each step where the paper pools over all tokens.

Legend: B sequences, T time steps, M modalities, N tokens, F features, G groups (stacks of equal shape
with weights of their own, run as one), Q modalities a group asks with.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import Stack, pool
from himoe.models.methods._times import with_time
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Dropout

CONV_STEPS = 3
CROSS_LAYERS = 3
SELF_LAYERS = 5
DROPOUT_SHARE = 0.4  # of the model's dropout, in each of 8 layers: the authors' 0.1 where that is 0.25


class TimedStack(Stack):
    """The same on tokens with a time code, in a row, and with a source that all groups share."""

    def __init__(self, groups: int, features: int, layers: int, dropout: float) -> None:
        super().__init__(groups, features, layers, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, usable: Tensor, source: Tensor | None = None) -> Tensor:
        """Tokens (G, B, Q, T, F), source (B, M, T, F) of all groups, which of it is usable (B, M, T) → (G, B, Q, T, F).

        Without a source ``usable`` speaks of the tokens themselves (B, Q, T).
        """
        source_GBNF = None if source is None else self._timed(source.expand(len(tokens), *source.shape))
        return super().forward(self._timed(tokens), usable.flatten(1)[None], source_GBNF).view(tokens.shape)

    def _timed(self, tokens: Tensor) -> Tensor:
        """Scaled tokens plus their time code, in a row: (G, B, Q·T, F)."""
        return self.dropout(with_time(tokens, math.sqrt(tokens.shape[-1])).flatten(2, 3))


class Husformer(Method):
    """Each modality attends to all, then all attend to all.

    A convolution over 3 steps turns each modality's codes into tokens (one filter bank a modality). A
    cross-modal transformer a modality (3 layers) has its tokens as queries and the tokens of all modalities,
    its own included, as keys and values. A self-attention transformer (5 layers) runs over the concatenation.

    A prediction is due at each step, so tokens are averaged over the modalities present at that step (over all if none
    is, which then hold what other steps told them). Only present tokens are attended to. No modality has a part of its
    own; with one modality its cross-modal transformer looks at itself.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, n_modalities, dropout = spec.model.features, len(spec.modalities), DROPOUT_SHARE * spec.model.dropout
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.convolution = nn.Conv1d(n_modalities * features, n_modalities * features, CONV_STEPS, padding="same",
                                     groups=n_modalities, bias=False)
        self.cross_modal = TimedStack(n_modalities, features, CROSS_LAYERS, dropout)
        self.self_attention = TimedStack(1, features, SELF_LAYERS, dropout)
        self.heads = Heads(features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Attend across modalities, then over all, from codes (B, T, M, F)."""
        usable_BTM = batch.present & batch.valid[..., None]
        tokens_BMTF = self.tokens(self.encoders.masked(codes, usable_BTM))
        usable_BMT = usable_BTM.transpose(1, 2)
        crossed_MB1TF = self.cross_modal(tokens_BMTF.transpose(0, 1)[:, :, None], usable_BMT, tokens_BMTF)
        fused_BMTF = self.self_attention(crossed_MB1TF.squeeze(2).transpose(0, 1)[None], usable_BMT)[0]
        return Output(*self.heads(pool(fused_BMTF.transpose(1, 2), usable_BTM)))

    def tokens(self, codes_BTMF: Tensor) -> Tensor:
        """Convolve each modality's codes (B, T, M, F) over time → tokens (B, M, T, F)."""
        rows = codes_BTMF.permute(0, 2, 3, 1)
        return self.convolution(rows.flatten(1, 2)).unflatten(1, rows.shape[1:3]).transpose(2, 3)


METHOD = Husformer
