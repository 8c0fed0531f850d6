"""FuseMoE (Han et al. 2024, arXiv 2402.03226): time attention, then a sparse mixture with a Laplace gate; our own.

The paper's (encoders, sparse backbone, fusion layer): irregular series are brought to a common grid by multi-time
attention (Shukla & Marlin 2021, arXiv 2101.10318, section 3); a modality that is missing altogether has a learned
indicator for its embedding; transformer layers, in which each modality attends to itself and a sparse mixture of
experts, shared by all, fuses; a router per modality, or a joint one that reads their concatenation; the gate keeps the
k experts that are nearest, ``g = softmax(top_k(-||W_e - x||))``, by distance (Laplace) rather than by dot product; an
entropy term that lets each modality have few experts and all of them many; the modalities' concatenation, a residual
block, one answer.

Our reading: the grid is that of the answers, and a window's own code is added to what the attention over times gives,
which smooths; where nothing of a modality is in the whole sequence its indicator stands for it; experts and routers
read one step (the published code's the whole flattened sequence), so any length works; 1 layer, 8 experts, 2 of them
kept; no noise on the gates; ``router = "joint"`` gives the other router (the paper's third design, disjoint experts,
is left out); an answer at each step.

Legend: B sequences, T time steps (answers), S time steps (windows), M modalities, F features, E experts, P values of a
time's code, H heads, R routers, N = B·T, I inputs of an expert.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import LOWEST, GroupedAttention, GroupedLinear, GroupedNorm
from himoe.models.methods._joint import JointBlock
from himoe.models.methods._mixture import Experts, top_gates
from himoe.models.methods._times import grid_s, times_s
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Dropout

LAYERS = 1
EXPERTS = 8
KEPT = 2
WIDENING = 2  # hidden units of an expert and of a feed-forward block, as a multiple of F
TIME_CODE = 16  # values of a time's code: one linear, the others sines
SHARPNESS = (0.5, 1.0, 2.0, 4.0)  # of each head's first kernel: the higher, the fewer windows it looks at
ENTROPY_LOSS = 0.01
SMALLEST = 1e-9  # of a share, whose logarithm is taken


class TimeAttention(nn.Module):
    """Multi-time attention of each modality: windows at any times → what it says at the times of the grid.

    ``x(t) = sum_h U_h sum_s softmax_s(phi(t) W_h (phi(s) V_h)^T / sqrt(P)) x_s`` over the windows that are present;
    ``phi(t)`` is a linear function of the time, then sines of learned frequencies and phases (in steps). The sines
    start in pairs, a quarter apart, with periods of 6, 12, 24, ... steps, and W and V as multiples of the identity: so
    the heads' first weights fall with the distance in time.
    """

    def __init__(self, modalities: int, features: int, step_s: float) -> None:
        super().__init__()
        self.step_s = step_s
        place = torch.arange(TIME_CODE - 1)
        rates = 2 * math.pi / (6 * 2.0 ** (place // 2))
        self.rate_MP = nn.Parameter(torch.cat([torch.full((1,), 0.01), rates]).repeat(modalities, 1))
        self.phase_MP = nn.Parameter(torch.cat([torch.zeros(1), place % 2 * math.pi / 2]).repeat(modalities, 1))
        first_MPJ = torch.cat([sharp * torch.eye(TIME_CODE) for sharp in SHARPNESS], 1).repeat(modalities, 1, 1)
        self.query_MPJ, self.key_MPJ = nn.Parameter(first_MPJ), nn.Parameter(first_MPJ.clone())  # J = H·P
        self.out = GroupedLinear(modalities, len(SHARPNESS) * features, features)

    def forward(self, codes_BSMF: Tensor, present_BSM: Tensor, times_BSM: Tensor, grid_BT: Tensor) -> Tensor:
        """Codes, presence and times of the windows, times asked about → (B, T, M, F); 0 where nothing is present."""
        asked_MBHTP = self._coded(self.query_MPJ, grid_BT[..., None].expand(*grid_BT.shape, times_BSM.shape[-1]))
        known_MBHSP = self._coded(self.key_MPJ, times_BSM)
        scores_MBHTS = asked_MBHTP @ known_MBHSP.transpose(-1, -2) / math.sqrt(TIME_CODE)
        usable_MB11S = present_BSM.permute(2, 0, 1)[:, :, None, None]
        share_MBHTS = torch.softmax(torch.where(usable_MB11S, scores_MBHTS, LOWEST), -1) * usable_MB11S
        said_MBHTF = share_MBHTS @ codes_BSMF.permute(2, 0, 1, 3)[:, :, None]
        rows_MNI = said_MBHTF.transpose(2, 3).flatten(3).flatten(1, 2)  # I = H·F
        said_BTMF = self.out(rows_MNI).unflatten(1, grid_BT.shape).movedim(0, 2)
        return said_BTMF * present_BSM.any(1)[:, None, :, None]

    def _coded(self, weight_MPJ: Tensor, times_BTM: Tensor) -> Tensor:
        """Times (B, T, M) in s → (M, B, H, T, P)."""
        steps_MBT1 = (times_BTM / self.step_s).permute(2, 0, 1)[..., None]
        linear_MBTP = steps_MBT1 * self.rate_MP[:, None, None] + self.phase_MP[:, None, None]
        code_MBTP = torch.cat([linear_MBTP[..., :1], linear_MBTP[..., 1:].sin()], -1)
        rows_MBTJ = torch.bmm(code_MBTP.flatten(1, 2), weight_MPJ).unflatten(1, code_MBTP.shape[1:3])
        return rows_MBTJ.unflatten(-1, (len(SHARPNESS), -1)).transpose(2, 3)


class LaplaceMixture(nn.Module):
    """E experts shared by R routers; a router's gate knows each expert by a place, and keeps the nearest ones."""

    def __init__(self, routers: int, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.places_REI = nn.Parameter(torch.randn(routers, EXPERTS, inputs) / math.sqrt(inputs))
        self.experts = Experts(EXPERTS, inputs, hidden, dropout)

    def forward(self, x_RNI: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens → outputs (R, N, I), gates (R, N, E), scores (R, N, E)."""
        scores_RNE = -distance(x_RNI, self.places_REI)
        gates_RNE = top_gates(scores_RNE, KEPT)
        return self.experts(x_RNI.flatten(0, 1), gates_RNE.flatten(0, 1)).view(x_RNI.shape), gates_RNE, scores_RNE


def distance(x_RNI: Tensor, places_REI: Tensor) -> Tensor:
    """Euclidean distance of each token to each place, (R, N, E); its gradient is finite also at 0."""
    squares = (x_RNI**2).sum(-1)[..., None] + (places_REI**2).sum(-1)[:, None] - 2 * x_RNI @ places_REI.mT
    return squares.clamp(min=1e-6).sqrt()


def entropy_term(scores_RNE: Tensor, counted_N: Tensor) -> Tensor:
    """``mean_r H(p_r) - H(mean_r p_r)`` with p_r the mean routing distribution of router r over the tokens that count.

    Never above 0; 0 for a single router.
    """
    share_N = counted_N / counted_N.sum().clamp(min=1)
    p_RE = torch.einsum("rne,n->re", torch.softmax(scores_RNE, -1), share_N).clamp(min=SMALLEST)
    each, together = -torch.xlogy(p_RE, p_RE).sum(-1), p_RE.mean(0)
    return each.mean() + torch.xlogy(together, together).sum()


class FuseLayer(nn.Module):
    """Self-attention of each modality over time, the mixture, a feed-forward block; pre-norm, residuals."""

    def __init__(self, modalities: int, features: int, joint: bool, dropout: float) -> None:
        super().__init__()
        self.joint, self.dropout = joint, Dropout(dropout)
        self.attention_norm, self.mixture_norm, self.network_norm = (GroupedNorm(modalities, features)
                                                                     for _ in range(3))
        self.attention = GroupedAttention(modalities, features, 0.0)
        inputs = modalities * features if joint else features
        self.mixture = LaplaceMixture(1 if joint else modalities, inputs, WIDENING * features, dropout)
        self.wide = GroupedLinear(modalities, features, WIDENING * features)
        self.narrow = GroupedLinear(modalities, WIDENING * features, features)

    def forward(self, rows_MNF: Tensor, usable_1BT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, which steps may be attended to → tokens (M, N, F), gates (R, N, E), scores (R, N, E)."""
        asked = self.attention_norm(rows_MNF)
        rows_MNF = rows_MNF + self.dropout(self.attention(asked, asked, usable_1BT))
        x = self.mixture_norm(rows_MNF)
        x_RNI = x.transpose(0, 1).flatten(1)[None] if self.joint else x
        mixed_RNI, gates, scores = self.mixture(x_RNI)
        mixed_MNF = mixed_RNI[0].unflatten(1, (len(x), -1)).transpose(0, 1) if self.joint else mixed_RNI
        rows_MNF = rows_MNF + self.dropout(mixed_MNF)
        hidden = self.dropout(functional.relu(self.wide(self.network_norm(rows_MNF))))
        return rows_MNF + self.dropout(self.narrow(hidden)), gates, scores


class FuseMoE(Method):
    """Every modality on one grid, shared experts chosen by distance.

    Diagnostics: ``expert_gates`` (B, T, R, E) of the last layer.
    """

    router = "per_modality"  # or joint

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, n, dropout = spec.model.features, len(spec.modalities), spec.model.dropout
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.time_attention = TimeAttention(n, features, spec.step_s)
        self.missing_MF = nn.Parameter(torch.randn(n, features))
        self.layers = nn.ModuleList(FuseLayer(n, features, self.router == "joint", dropout) for _ in range(LAYERS))
        self.norm = GroupedNorm(n, features)
        self.joint = JointBlock(n, features, dropout)
        self.heads = Heads(self.joint.width, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Bring to the grid, attend, route and predict from codes (B, T, M, F)."""
        gridded_BTMF = self.gridded(self.encoders.masked(codes, batch.present), batch)
        some_BT = batch.present.any(-1)
        rows_MNF = gridded_BTMF.movedim(2, 0).flatten(1, 2)
        terms = []
        for layer in self.layers:
            rows_MNF, gates_RNE, scores_RNE = layer(rows_MNF, some_BT[None])
            terms.append(entropy_term(scores_RNE, some_BT.flatten()))
        fused_BTMF = self.norm(rows_MNF).unflatten(1, some_BT.shape).movedim(0, 2)
        prediction, raw = self.heads(self.joint(fused_BTMF))
        losses = {"routing": ENTROPY_LOSS * torch.stack(terms).sum()} if self.training else {}
        return Output(prediction, raw, losses, {
            "expert_gates": gates_RNE.unflatten(1, some_BT.shape).movedim(0, 2)})

    def gridded(self, codes_BTMF: Tensor, batch: Batch) -> Tensor:
        """Codes, 0 where absent → every modality at every step (B, T, M, F), its indicator where it is nowhere."""
        step_s = self.spec.step_s
        said = self.time_attention(codes_BTMF, batch.present, times_s(batch, step_s), grid_s(batch, step_s))
        return torch.where(batch.present.any(1)[:, None, :, None], codes_BTMF + said, self.missing_MF)


METHOD = FuseMoE
