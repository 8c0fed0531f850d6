"""Incongruity-aware fusion (Li et al. 2024, doi 10.1016/j.inffus.2023.102220); our implementation.

The paper's: one primary modality, the others auxiliary; cross-modal transformers among the auxiliaries (incongruity);
low-rank fusion (redundancy); a second cross-modal transformer per auxiliary that enhances the primary; self-attention
over the enhanced primaries, concatenated; its output and the auxiliaries, concatenated, decide. Our reading: one block
in each transformer, rank 4, a pair of auxiliaries per transformer, the enhanced primaries concatenated by features; no
dropout of attention weights; a layer norm before the low-rank fusion's product and factors that start near 1, without
which a product of six factors explodes; an answer at each step.

Legend: B sequences, T time steps, M modalities, A auxiliary modalities, F features, G groups (blocks of equal shape
with weights of their own, run as one), N rows, J factors, R rank.
"""

from __future__ import annotations

import math
from functools import reduce

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import Encoder, GroupedLayer
from himoe.models.methods._times import with_time
from himoe.models.methods.base import Heads, Method, Output, Spec

LAYERS = 1  # of the self-attention transformer
WIDENING = 2  # hidden units of a feed-forward block, as a multiple of its width
RANK = 4


def cross_modal_transformers(groups: int, features: int, dropout: float) -> GroupedLayer:
    """G cross-modal transformer blocks (Tsai et al. 2019, doi 10.18653/v1/P19-1656), none shared.

    In each, the target's tokens ask the source's; target and source have layer norms of their own.
    """
    return GroupedLayer(groups, features, dropout, widening=WIDENING, activation=functional.gelu, source_norm=True,
                        out_bias=False, attention_dropout=False)


class LowRankFusion(nn.Module):
    """G low-rank fusions of J vectors each (Liu et al. 2018, doi 10.18653/v1/P18-1209).

    ``h = sum_r w_r prod_j (U_rj n(z_j) + u_rj) + b``: the vectors, each with a 1 appended, in an outer product,
    contracted with a weight tensor of rank R. n is a layer norm without parameters; an absent vector leaves the factor
    of its 1 alone, ``u_rj``. Each factor starts as 1 plus a deviation of SD 1/sqrt(J), so the variance of the product
    is (1 + 1/J)^J - 1, between 1 and e - 1 for any number of factors.
    """

    def __init__(self, groups: int, factors: int, features: int, rank: int = RANK) -> None:
        super().__init__()
        bound = math.sqrt(3.0 / (factors * features))  # of a uniform draw; its sum over F terms has variance 1/J
        self.factor_GJFRO = nn.Parameter(
            torch.empty(groups, factors, features, rank, features).uniform_(-bound, bound))
        self.constant_GJRO = nn.Parameter(torch.ones(groups, factors, rank, features))
        self.rank_GR = nn.Parameter(torch.randn(groups, rank) / math.sqrt(rank))
        self.bias_GF = nn.Parameter(torch.zeros(groups, features))

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        """Vectors (G, J, N, F), present (J, N) or (G, J, N) bool → fused (G, N, F)."""
        z = torch.where(present[..., None], functional.layer_norm(z, z.shape[-1:]), 0.0)
        factors = torch.baddbmm(self.constant_GJRO.flatten(0, 1).flatten(1)[:, None], z.flatten(0, 1),
                                self.factor_GJFRO.flatten(0, 1).flatten(2))
        # One by one: the gradient of torch's prod takes care of zeros and is many times slower.
        product = reduce(torch.mul, factors.unflatten(0, z.shape[:2]).unbind(1))
        product_GNRO = product.unflatten(-1, self.constant_GJRO.shape[2:])
        return torch.einsum("gnro,gr->gno", product_GNRO, self.rank_GR) + self.bias_GF[:, None]


class IANet(Method):
    """One primary modality, the others auxiliary: refine the auxiliaries, enhance the primary by each, self-attend.

    The primary modality is ``EEG``, or the first one where there is no EEG. (1) A cross-modal transformer for every
    ordered pair of auxiliaries: each is refined by each other one (incongruity). (2) For each auxiliary, low-rank
    fusion of its own code with what the others made of it (redundancy); what stems from a modality absent at that
    step takes part with its constant alone. (3) A second cross-modal transformer enhances the primary by each refined
    auxiliary. (4) A self-attention transformer over the enhanced primaries, concatenated by features.
    (5) Its output and the refined auxiliaries, concatenated, go to the heads.

    A refined auxiliary is there at the steps where any auxiliary is. With one auxiliary, step 1 has no pair. A single
    modality is the primary alone: only step 4 and the heads remain.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, dropout, names = spec.model.features, spec.model.dropout, spec.modalities
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.primary = names.index("EEG") if "EEG" in names else 0
        self.auxiliary = [m for m in range(len(names)) if m != self.primary]
        n = len(self.auxiliary)
        self.targets = [i for i in range(n) for j in range(n) if j != i]
        self.sources = [j for i in range(n) for j in range(n) if j != i]
        self.refine = cross_modal_transformers(n * (n - 1), features, dropout) if n > 1 else None
        self.fusion = LowRankFusion(n, n, features) if n else None
        self.enhance = cross_modal_transformers(n, features, dropout) if n else None
        width = max(n, 1) * features
        self.self_attention = Encoder(1, width, LAYERS, dropout, WIDENING)
        self.norm = nn.LayerNorm(width + n * features)
        self.heads = Heads(width + n * features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Refine, fuse, enhance, self-attend and predict from codes (B, T, M, F)."""
        present_MBT = batch.present.movedim(-1, 0)
        tokens_MBTF = with_time(self.encoders.masked(codes, batch.present).movedim(2, 0))
        primary = tokens_MBTF[self.primary]
        if self.enhance is None:
            return self._predict([self.self_attention(primary[None], present_MBT)[0]])
        present_ABT = present_MBT[self.auxiliary]
        refined_ABTF = self.refined(tokens_MBTF[self.auxiliary], present_ABT)
        some_BT = present_ABT.any(0)
        enhanced_ABTF = self.enhance(primary.expand_as(refined_ABTF), refined_ABTF, some_BT.expand_as(present_ABT))
        joint = self.self_attention(_concatenate(enhanced_ABTF)[None], batch.present.any(-1)[None])[0]
        return self._predict([joint, _concatenate(refined_ABTF) * some_BT[..., None]])

    def refined(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Tokens of the auxiliaries (A, B, T, F), present (A, B, T) → refined by the others, fused (A, B, T, F)."""
        assert self.fusion is not None
        n, sizes = len(self.auxiliary), tokens.shape[1:3]
        views_AABTF = tokens.expand(n, *tokens.shape)
        if self.refine is not None:
            sources = present[self.sources]
            pairs = self.refine(tokens[self.targets], tokens[self.sources], sources)
            # Factor j of auxiliary i is i as j refined it; factor i is its own code.
            views_AABTF = views_AABTF.index_put((torch.tensor(self.targets), torch.tensor(self.sources)), pairs)
        return self.fusion(views_AABTF.flatten(2, 3), present.flatten(1)).unflatten(1, sizes)

    def _predict(self, parts: list[Tensor]) -> Output:
        """Features (B, T, ...) of all parts, concatenated → Output."""
        return Output(*self.heads(self.norm(torch.cat(parts, -1))))


def _concatenate(x: Tensor) -> Tensor:
    """(A, B, T, F) → (B, T, A·F)."""
    return x.movedim(0, 2).flatten(2)


METHOD = IANet
