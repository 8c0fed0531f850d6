"""Sparse mixtures of experts: a gate that keeps the k best experts of each token, and experts run as one.

Legend: R routers, N tokens, E experts, I inputs, H hidden units.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.methods._attention import LOWEST, GroupedLinear
from himoe.models.noise import Dropout


def top_gates(scores: Tensor, k: int) -> Tensor:
    """Softmax of the *k* highest scores (..., E), 0 for the others: gates (..., E) whose sum is 1.

    Shazeer et al. 2017 (arXiv 1701.06538), equations 3 and 5, without their noise. Equals of the k-th are kept too.
    """
    lowest = scores.topk(min(k, scores.shape[-1]), -1).values[..., -1:]
    return torch.softmax(torch.where(scores >= lowest, scores, LOWEST), -1)


class Experts(nn.Module):
    """E two-layer networks on the same tokens, weighted by gates: ``sum_e g_e (W_2e gelu(W_1e x + b_1e) + b_2e)``.

    All run on every token: where a few of 16 small experts would do, choosing tokens for each costs more than that.
    """

    def __init__(self, experts: int, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.first = GroupedLinear(experts, inputs, hidden)
        self.second = GroupedLinear(experts, hidden, inputs)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, gates: Tensor) -> Tensor:
        """Tokens (N, I), gates (N, E) → (N, I)."""
        assert self.first.bias is not None
        assert self.second.bias is not None
        weight_IJ = self.first.weight.transpose(0, 1).flatten(1)  # J = E·H
        hidden_NJ = functional.gelu(torch.addmm(self.first.bias.flatten(), x, weight_IJ))
        # The second layer is linear, so weighting before it gives the sum over experts in the same product.
        weighted_NEH = self.dropout(hidden_NJ).unflatten(-1, (gates.shape[-1], -1)) * gates[..., None]
        return torch.addmm(gates @ self.second.bias.squeeze(1), weighted_NEH.flatten(1),
                           self.second.weight.flatten(0, 1))


def spread_squared(gates: Tensor, counted: Tensor) -> Tensor:
    """Squared coefficient of variation over experts of the gates' sums; tokens (N, E), which count (N,) → scalar.

    Shazeer et al. 2017 (arXiv 1701.06538), equations 6 and 7 (importance); 0 where no token counts.
    """
    importance = (gates * counted[:, None]).sum(0)
    return importance.var(correction=0) / (importance.mean() ** 2 + 1e-10)
