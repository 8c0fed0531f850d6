"""The two expert banks and the attention between them (Eq. 2–6 of the paper).

Legend: B sequences, T time steps, M modalities, K modality experts, L emotion experts, F features, H hidden
units, N = B·T windows.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.core.errors import bad_input
from himoe.core.params import SIMILARITIES


def _uniform(fan_in: int, *shape: int) -> nn.Parameter:
    """A parameter drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as ``nn.Linear`` does."""
    bound = 1.0 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


def hard_routing(gates: Tensor) -> Tensor:
    """All weight on the largest gate (..., K); the gradient is that of the soft gates (straight-through)."""
    winner = functional.one_hot(gates.argmax(-1), gates.shape[-1]).to(gates.dtype)
    return winner + (gates - gates.detach())


class ModalityExpertBank(nn.Module):
    """K two-layer experts and a gate for each modality (Eq. 2–3).

    ``alpha = softmax(W_g x + b_g)``, ``z = sum_k alpha_k E_k(x)``, ``E(x) = x + W_2 gelu(W_1 x + b_1) + b_2``; without
    ``residual`` the ``x +`` is left out, and little of the signal survives (the paper does not say which).
    For an absent modality x = 0: the gate's and the experts' biases alone give its default code.
    """

    def __init__(self, modalities: int, experts: int, features: int, hidden: int, soft_routing: bool = True,
                 residual: bool = True) -> None:
        super().__init__()
        self.soft_routing, self.residual = soft_routing, residual
        self.gate_weight_MKF = _uniform(features, modalities, experts, features)
        self.gate_bias_MK = _uniform(features, modalities, experts)
        self.w1_MKFH = _uniform(features, modalities, experts, features, hidden)
        self.b1_MKH = _uniform(features, modalities, experts, hidden)
        self.w2_MKHF = _uniform(hidden, modalities, experts, hidden, features)
        self.b2_MKF = _uniform(hidden, modalities, experts, features)

    def forward(self, x_BTMF: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (B, T, M, F) → outputs (B, T, M, F), gates (B, T, M, K)."""
        # Modalities first, so that every product is one batched matrix product without a copy between.
        x_MNF = x_BTMF.flatten(0, 1).transpose(0, 1)
        gates_MNK = torch.softmax(torch.baddbmm(self.gate_bias_MK[:, None], x_MNF, self.gate_weight_MKF.mT), -1)
        if not self.soft_routing:
            gates_MNK = hard_routing(gates_MNK)
        w1_MFJ = self.w1_MKFH.transpose(1, 2).flatten(2)  # J = K·H
        hidden_MNJ = functional.gelu(torch.baddbmm(self.b1_MKH.flatten(1)[:, None], x_MNF, w1_MFJ))
        # The second layer is linear, so weighting before it gives the sum over experts in the same product.
        weighted_MNJ = (hidden_MNJ.unflatten(-1, self.b1_MKH.shape[1:]) * gates_MNK[..., None]).flatten(-2)
        z_MNF = torch.baddbmm(torch.bmm(gates_MNK, self.b2_MKF), weighted_MNJ, self.w2_MKHF.flatten(1, 2))
        if self.residual:  # the gates sum to 1
            z_MNF = z_MNF + x_MNF
        return (z_MNF.transpose(0, 1).unflatten(0, x_BTMF.shape[:2]),
                gates_MNK.transpose(0, 1).unflatten(0, x_BTMF.shape[:2]))


class AttentionFusion(nn.Module):
    """One learned query attends to the M modality vectors (Eq. 4).

    ``a = softmax_m(q . z_m / sqrt(F))``, ``z = sum_m a_m z_m`` over the modalities that are present. Without
    ``present_only``, and where none is present, absent modalities take part with their default code.
    """

    def __init__(self, features: int, present_only: bool = True) -> None:
        super().__init__()
        self.present_only = present_only
        self.query_F = _uniform(1, features)

    def forward(self, z_BTMF: Tensor, present_BTM: Tensor) -> tuple[Tensor, Tensor]:
        """Modality vectors (B, T, M, F), present (B, T, M) bool → fused (B, T, F), weights (B, T, M)."""
        scores_BTM = (z_BTMF @ self.query_F) / math.sqrt(z_BTMF.shape[-1])
        if self.present_only:
            silent_BTM = ~present_BTM & present_BTM.any(-1, keepdim=True)
            scores_BTM = scores_BTM.masked_fill(silent_BTM, -torch.inf)
        weights_BTM = torch.softmax(scores_BTM, -1)
        return torch.einsum("btm,btmf->btf", weights_BTM, z_BTMF), weights_BTM


class EmotionExpertBank(nn.Module):
    """L two-layer experts, weighted by how similar their answer is to the question (Eq. 5–6).

    ``beta_l = softmax_l(phi(z, F_l(z)))``, ``e = sum_l beta_l F_l(z)``; phi is the scaled dot product
    ``z . y / sqrt(F)`` or the cosine. With ``residual`` experts, ``F(z) = z + MLP(z)``, the part ``z . z`` of the dot
    product is the same for all and leaves the softmax as it is.
    """

    def __init__(self, experts: int, features: int, hidden: int, similarity: str = "scaled_dot",
                 residual: bool = True) -> None:
        super().__init__()
        self.residual = residual
        if similarity not in SIMILARITIES:
            raise bad_input("similarity", repr(similarity), " or ".join(SIMILARITIES), "correct the name")
        self.similarity = similarity
        self.w1_LFH = _uniform(features, experts, features, hidden)
        self.b1_LH = _uniform(features, experts, hidden)
        self.w2_LHF = _uniform(hidden, experts, hidden, features)
        self.b2_LF = _uniform(hidden, experts, features)

    def forward(self, z_BTF: Tensor) -> tuple[Tensor, Tensor]:
        """Fused codes (B, T, F) → emotion codes (B, T, F), weights (B, T, L)."""
        z_NF = z_BTF.flatten(0, 1)
        hidden_LNH = functional.gelu(torch.baddbmm(self.b1_LH[:, None], z_NF.expand(len(self.b1_LH), -1, -1),
                                                   self.w1_LFH))
        y_LNF = torch.baddbmm(self.b2_LF[:, None], hidden_LNH, self.w2_LHF)
        y_BTLF = y_LNF.transpose(0, 1).unflatten(0, z_BTF.shape[:2])
        if self.residual:
            y_BTLF = y_BTLF + z_BTF[:, :, None]
        if self.similarity == "cosine":
            phi_BTL = functional.cosine_similarity(z_BTF[:, :, None], y_BTLF, dim=-1)
        else:
            phi_BTL = torch.einsum("btf,btlf->btl", z_BTF, y_BTLF) / math.sqrt(z_BTF.shape[-1])
        beta_BTL = torch.softmax(phi_BTL, -1)
        return torch.einsum("btl,btlf->btf", beta_BTL, y_BTLF), beta_BTL
