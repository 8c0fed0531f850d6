"""Incongruity-aware fusion (Li et al. 2024, doi 10.1016/j.inffus.2023.102220); our implementation.

Legend: B sequences, T time steps, M modalities, A auxiliary modalities, F features, G groups (blocks of equal shape
with weights of their own, run as one), N rows, H heads, E features a head, J factors, R rank.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.batches import Batch
from himoe.encoders import ModalityEncoders, mask_codes
from himoe.methods.base import Heads, Method, Output, Spec

LAYERS = 1  # of the self-attention transformer
WIDENING = 2  # hidden units of a feed-forward block, as a multiple of its width
RANK = 4


def n_heads(features: int) -> int:
    """The largest of 4, 2, 1 that divides *features*."""
    return next(heads for heads in (4, 2, 1) if features % heads == 0)


def time_code(n_steps: int, features: int) -> Tensor:
    """Sinusoidal code of the step's number, (T, F): sines in the even columns, cosines in the odd ones.

    Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    rates = torch.exp(torch.arange(0, features, 2) * (-math.log(10000.0) / features))
    angles = torch.arange(n_steps)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :features]


def _uniform(fan_in: int, *shape: int) -> nn.Parameter:
    """A parameter drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as ``nn.Linear`` does."""
    bound = 1.0 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


class GroupedLinear(nn.Module):
    """G linear layers in one call: (G, N, inputs) → (G, N, outputs)."""

    def __init__(self, groups: int, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = _uniform(inputs, groups, inputs, outputs)
        self.bias = _uniform(inputs, groups, 1, outputs) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(G, N, inputs) → (G, N, outputs)."""
        return x @ self.weight if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


class GroupedNorm(nn.Module):
    """G layer norms in one call: (G, N, F) → (G, N, F)."""

    def __init__(self, groups: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(groups, 1, features))
        self.bias = nn.Parameter(torch.zeros(groups, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        """(G, N, F) → (G, N, F)."""
        return torch.addcmul(self.bias, functional.layer_norm(x, x.shape[-1:]), self.weight)


class CrossModalTransformers(nn.Module):
    """G cross-modal transformer blocks (Tsai et al. 2019, doi 10.18653/v1/P19-1656), none shared.

    In each, the target's tokens ask the source's: pre-norm multi-head attention, feed-forward block, both with
    residuals.
    """

    def __init__(self, groups: int, features: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = n_heads(features), nn.Dropout(dropout)
        self.target_norm, self.source_norm, self.norm = (GroupedNorm(groups, features) for _ in range(3))
        self.query = GroupedLinear(groups, features, features)
        self.key_value = GroupedLinear(groups, features, 2 * features)
        self.out = GroupedLinear(groups, features, features, bias=False)
        self.wide = GroupedLinear(groups, features, WIDENING * features)
        self.narrow = GroupedLinear(groups, WIDENING * features, features)

    def forward(self, target: Tensor, source: Tensor, source_present: Tensor) -> Tensor:
        """Target, source (G, B, T, F), the source's present tokens (G, B, T) bool → the target, enriched (G, B, T, F).

        A sequence without any present source token adds nothing through the attention.
        """
        sizes = target.shape[1:3]
        x, other = target.flatten(1, 2), source.flatten(1, 2)
        query = self._split(self.query(self.target_norm(x)), sizes)
        key, value = (self._split(part, sizes) for part in self.key_value(self.source_norm(other)).chunk(2, -1))
        some_GB1 = source_present.any(-1, keepdim=True)
        mask = (source_present | ~some_GB1).flatten(0, 1)[:, None, None]
        drop = self.dropout.p if self.training else 0.0
        attended = functional.scaled_dot_product_attention(query, key, value, mask, drop)
        attended = attended.transpose(1, 2).reshape(x.shape)
        seen = some_GB1.expand_as(source_present).flatten(1)[..., None]
        x = x + self.dropout(self.out(attended * seen))
        hidden = functional.gelu(self.wide(self.norm(x)))
        return (x + self.dropout(self.narrow(self.dropout(hidden)))).unflatten(1, sizes)

    def _split(self, x: Tensor, sizes: torch.Size) -> Tensor:
        """(G, B·T, F) → (G·B, H, T, E)."""
        return x.unflatten(1, sizes).unflatten(-1, (self.heads, -1)).flatten(0, 1).transpose(1, 2)


class LowRankFusion(nn.Module):
    """G low-rank fusions of J vectors each (Liu et al. 2018, doi 10.18653/v1/P18-1209).

    ``h = sum_r w_r prod_j (U_rj z_j + u_rj) + b``: the vectors, each with a 1 appended, in an outer product,
    contracted with a weight tensor of rank R. An absent vector leaves the factor of its 1 alone, ``u_rj``.
    The constant factors start at 1, so that the product of many factors does not start at nothing.
    """

    def __init__(self, groups: int, factors: int, features: int, rank: int = RANK) -> None:
        super().__init__()
        self.factor_GJFRO = _uniform(features, groups, factors, features, rank, features)
        self.constant_GJRO = nn.Parameter(torch.ones(groups, factors, rank, features))
        self.rank_GR = nn.Parameter(torch.randn(groups, rank) / math.sqrt(rank))
        self.bias_GF = nn.Parameter(torch.zeros(groups, features))

    def forward(self, z: Tensor, present: Tensor) -> Tensor:
        """Vectors (G, J, N, F), present (J, N) or (G, J, N) bool → fused (G, N, F)."""
        z = torch.where(present[..., None], z, torch.zeros((), dtype=z.dtype, device=z.device))
        factors = torch.baddbmm(self.constant_GJRO.flatten(0, 1).flatten(1)[:, None], z.flatten(0, 1),
                                self.factor_GJFRO.flatten(0, 1).flatten(2))
        product_GNRO = factors.unflatten(0, z.shape[:2]).prod(1).unflatten(-1, self.constant_GJRO.shape[2:])
        return torch.einsum("gnro,gr->gno", product_GNRO, self.rank_GR) + self.bias_GF[:, None]


class IANet(Method):
    """One primary modality, the others auxiliary: refine the auxiliaries, enhance the primary by each, self-attend.

    The primary modality is ``EEG``, or the first one where there is no EEG. (1) A cross-modal transformer for every
    ordered pair of auxiliaries: each is refined by each other one (incongruity). (2) For each auxiliary, low-rank
    fusion of its own code with what the others made of it (redundancy); what stems from a modality absent at that
    step takes part with its constant alone. (3) A second cross-modal transformer enhances the primary by each refined
    auxiliary. (4) A self-attention transformer over the enhanced primaries, concatenated by features.
    (5) Its output and the refined auxiliaries, concatenated, go to the heads.

    Our reading where the paper is open: one block in each transformer, rank 4. A refined auxiliary is there at the
    steps where any auxiliary is. With one auxiliary, step 1 has no pair. A single modality is the primary alone:
    only step 4 and the heads remain.
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
        self.refine = CrossModalTransformers(n * (n - 1), features, dropout) if n > 1 else None
        self.fusion = LowRankFusion(n, n, features) if n else None
        self.enhance = CrossModalTransformers(n, features, dropout) if n else None
        width = max(n, 1) * features
        layer = nn.TransformerEncoderLayer(width, n_heads(features), WIDENING * width, dropout, "gelu",
                                           batch_first=True, norm_first=True)
        self.self_attention = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width + n * features)
        self.heads = Heads(width + n * features, spec.task)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Refine, fuse, enhance, self-attend and predict from codes (B, T, M, F)."""
        present_MBT = batch.present.movedim(-1, 0)
        tokens_MBTF = self._tokens(mask_codes(codes, batch.present))
        primary = tokens_MBTF[self.primary]
        if self.enhance is None:
            return self._predict([self._self_attend(primary, present_MBT[self.primary])])
        present_ABT = present_MBT[self.auxiliary]
        refined_ABTF = self.refined(tokens_MBTF[self.auxiliary], present_ABT)
        some_BT = present_ABT.any(0)
        enhanced_ABTF = self.enhance(primary.expand_as(refined_ABTF), refined_ABTF, some_BT.expand_as(present_ABT))
        joint = self._self_attend(_concatenate(enhanced_ABTF), batch.present.any(-1))
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

    def _tokens(self, codes: Tensor) -> Tensor:
        """Codes (B, T, M, F), scaled by sqrt(F) as in Vaswani et al. 2017, plus the code of time → (M, B, T, F)."""
        _, n_steps, _, features = codes.shape
        scaled = codes.movedim(2, 0) * math.sqrt(features)
        return scaled + time_code(n_steps, features).to(codes)

    def _self_attend(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Self-attention over tokens (B, T, width), present ones (B, T); zeros for sequences with none."""
        some_B1 = present.any(1, keepdim=True)
        hidden = self.self_attention(tokens, src_key_padding_mask=~(present | ~some_B1))
        return torch.where(some_B1[..., None], hidden, torch.zeros((), dtype=hidden.dtype, device=hidden.device))

    def _predict(self, parts: list[Tensor]) -> Output:
        """Features (B, T, ...) of all parts, concatenated → Output."""
        return Output(*self.heads(self.norm(torch.cat(parts, -1))))


def _concatenate(x: Tensor) -> Tensor:
    """(A, B, T, F) → (B, T, A·F)."""
    return x.movedim(0, 2).flatten(2)


METHOD = IANet
