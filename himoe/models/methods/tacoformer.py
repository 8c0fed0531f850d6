"""TACOformer: token-channel compound cross-attention (Li 2023, arXiv 2306.13592); our implementation.

The paper's: a transformer encoder for EEG and one for the peripheral signals; a 2-D code of electrode positions on the
EEG side; one cross-attention that joins a token attention (time x time) and a channel attention (feature x feature);
pooling. Our reading: both directions of it, the two attentions multiplied around the values, pre-norm residual blocks,
two layers per encoder, the code of time added to both sides, positions through the front end's spatial filters, an
answer at each step.

Legend: G groups (the sides), B sequences, T time steps (tokens), F features, H heads, E features per head,
C electrodes, S spatial filters, P values of a position code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import Encoder, GroupedLinear, GroupedNorm, n_heads, pool
from himoe.models.methods._times import with_time
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Dropout

LAYERS = 2  # of each transformer encoder
WIDENING = 2  # hidden units of a feed-forward block, as a multiple of F
WAVES = 4  # a 2-D code: sine and cosine of each wave along each axis


@cache
def electrode_positions() -> dict[str, tuple[float, float]]:
    """Name in capitals → (right, front) of the 10-20 electrodes seen from above; the vertex is about (0, 0).

    Azimuthal equidistant projection of MNE's template: 1 is 90 degrees from the vertical.
    """
    import mne

    positions = {}
    for name, xyz in mne.channels.make_standard_montage("colin27_1020").get_positions()["ch_pos"].items():
        x, y, z = (float(value) for value in xyz)
        flat = math.hypot(x, y)
        radius = math.atan2(flat, z) / (math.pi / 2)
        positions[name.upper()] = (radius * x / flat, radius * y / flat) if flat > 0 else (0.0, 0.0)
    return positions


def electrode_codes(ch_names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Sinusoidal 2-D codes of electrodes: codes (C, P), known (C,) bool; unknown names have zeros."""
    table = electrode_positions() if ch_names else {}
    known = torch.tensor([name.upper() in table for name in ch_names], dtype=torch.bool)
    places = torch.tensor([table.get(name.upper(), (0.0, 0.0)) for name in ch_names], dtype=torch.float32)
    angles = places.reshape(-1, 2, 1) * (math.pi / 2 * 2.0 ** torch.arange(WAVES))
    codes = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    return codes * known[:, None], known


class SpatialCode(nn.Module):
    """Where the EEG's spatial filters look, as one vector (F,).

    A filter's code is the mean of its electrodes' 2-D codes, weighted by the size of their weights; a linear
    layer maps the S codes to F features.
    """

    codes_CP: Tensor
    known_C: Tensor

    def __init__(self, ch_names: Sequence[str], filters: int, features: int) -> None:
        super().__init__()
        codes, known = electrode_codes(ch_names)
        self.register_buffer("codes_CP", codes, persistent=False)
        self.register_buffer("known_C", known, persistent=False)
        self.linear = nn.Linear(filters * codes.shape[1], features)

    def filter_codes(self, weights: Tensor) -> Tensor:
        """Filters (S, C) → their codes (S, P)."""
        share_SC = weights.abs() * self.known_C
        share_SC = share_SC / share_SC.sum(1, keepdim=True).clamp(min=torch.finfo(share_SC.dtype).tiny)
        return share_SC @ self.codes_CP

    def forward(self, weights: Tensor) -> Tensor:
        """Filters (S, C) → code (F,)."""
        return self.linear(self.filter_codes(weights).flatten())


def compound_attention(query: Tensor, key: Tensor, value: Tensor, query_present: Tensor, key_present: Tensor) -> Tensor:
    """Token attention times values times channel attention: ``A_token V A_channel^T``.

    ``A_token = softmax_s(Q K^T / sqrt(E))`` (T × T), over the present keys; ``A_channel = softmax_g(Q^T K / sqrt(n))``
    (E × E), summed over the n steps where both sides are present (n = 0: all features weigh the same).

    Parameters
    ----------
    query, key, value : Tensor (B, H, T, E)
    query_present, key_present : Tensor (B, T) bool

    Returns
    -------
    Tensor (B, H, T, E)
        Zeros for a sequence without any present key.
    """
    keys_B11T = key_present[:, None, None]
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    token = torch.softmax(scores.masked_fill(~keys_B11T, torch.finfo(scores.dtype).min), -1) * keys_B11T
    both = query_present & key_present
    steps = both.sum(1).clamp(min=1)[:, None, None, None]
    masked_query = query * both[:, None, :, None]
    channel = torch.softmax(masked_query.transpose(-1, -2) @ key / steps.sqrt(), -1)
    return token @ value @ channel.transpose(-1, -2)


class CompoundCrossAttention(nn.Module):
    """G directions in one call: one side's tokens ask the other's (pre-norm; residuals; feed-forward block)."""

    def __init__(self, groups: int, features: int, dropout: float) -> None:
        super().__init__()
        self.heads = n_heads(features)
        self.query_norm, self.key_norm, self.norm = (GroupedNorm(groups, features) for _ in range(3))
        self.query = GroupedLinear(groups, features, features)
        self.key_value = GroupedLinear(groups, features, 2 * features)
        self.out = GroupedLinear(groups, features, features, bias=False)
        self.wide = GroupedLinear(groups, features, WIDENING * features)
        self.narrow = GroupedLinear(groups, WIDENING * features, features)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, other: Tensor, x_present: Tensor, other_present: Tensor) -> Tensor:
        """Tokens of both sides (G, B, T, F), which are present (G, B, T) bool → the first side's, enriched."""
        rows = x.flatten(1, 2)
        query = self._split(self.query(self.query_norm(rows)), x.shape)
        key, value = (self._split(part, x.shape) for part in
                      self.key_value(self.key_norm(other.flatten(1, 2))).chunk(2, -1))
        attended = compound_attention(query, key, value, x_present.flatten(0, 1), other_present.flatten(0, 1))
        rows = rows + self.dropout(self.out(attended.transpose(1, 2).reshape(rows.shape)))
        hidden = self.dropout(functional.gelu(self.wide(self.norm(rows))))
        return (rows + self.dropout(self.narrow(hidden))).view(x.shape)

    def _split(self, rows: Tensor, shape: torch.Size) -> Tensor:
        """(G, B·T, F) → (G·B, H, T, E)."""
        return rows.reshape(shape[0] * shape[1], shape[2], self.heads, -1).transpose(1, 2)


class TACOformer(Method):
    """Two transformer encoders, then compound cross-attention in both directions, pooled over the two sides.

    The EEG side is the modality ``EEG``, or the first one where there is no EEG; the peripheral side is a linear
    map of all others, concatenated (present where any of them is). A single modality stands on both sides.

    Our reading where the codes leave no room for the paper's: (1) an encoder gives one EEG vector a window, not
    one per channel, so the electrodes' positions enter through the spatial filters of its front end
    (:class:`SpatialCode`), added to every EEG token; there is none without spatial filters (front end ``bands``)
    or without a channel name of the 10-20 system. (2) The paper pools to one decision a trial; here each step has
    one, so the two sides are averaged step by step, over those present (over both where neither is).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, dropout = spec.model.features, spec.model.dropout
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        names = spec.modalities
        self.first = names.index("EEG") if "EEG" in names else 0
        self.others = [m for m in range(len(names)) if m != self.first]
        self.spatial_code = self._build_spatial_code()
        self.mix = nn.Linear(len(self.others) * features, features) if self.others else None
        sides = 2 if self.others else 1
        self.encoder = Encoder(sides, features, LAYERS, dropout, WIDENING)
        self.asks = CompoundCrossAttention(sides, features, dropout)
        self.norm = nn.LayerNorm(features)
        self.heads = Heads(features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Encode both sides, cross-attend, pool and predict from codes (B, T, M, F)."""
        tokens_GBTF, present_GBT = self.sides(self.encoders.masked(codes, batch.present), batch.present)
        encoded_GBTF = self.encoder(tokens_GBTF, present_GBT)
        asked_GBTF = self.asks(encoded_GBTF, encoded_GBTF.flip(0), present_GBT, present_GBT.flip(0))
        return Output(*self.heads(self.norm(pool(asked_GBTF.movedim(0, 2), present_GBT.movedim(0, 2)))))

    def sides(self, codes: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (B, T, M, F), present (B, T, M) → tokens of the sides (G, B, T, F), present (G, B, T)."""
        first = with_time(codes[:, :, self.first])
        if self.spatial_code is not None:
            first = first + self.spatial_code(self.encoders.encoders["EEG"].spatial)
        if self.mix is None:
            return first[None], present[None, :, :, self.first]
        other = with_time(self.mix(codes[:, :, self.others].flatten(2)))
        return (torch.stack([first, other]),
                torch.stack([present[..., self.first], present[..., self.others].any(-1)]))

    def _build_spatial_code(self) -> SpatialCode | None:
        """The EEG side's 2-D code, if its electrodes and filters are known."""
        name = self.spec.modalities[self.first]
        filters, ch_names = getattr(self.encoders.encoders[name], "spatial", None), self.spec.shapes[name].ch_names
        if name != "EEG" or filters is None or not electrode_codes(ch_names)[1].any():
            return None
        return SpatialCode(ch_names, len(filters), self.spec.model.features)


METHOD = TACOformer
