"""What stands between the modalities' vectors and the heads in several methods: their concatenation, a residual block.

Legend: B sequences, T time steps, M modalities, F features.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.noise import Dropout


class JointBlock(nn.Module):
    """``h = concat_m(z_m)``, then ``h + W_2 relu(W_1 h)`` (with biases and dropout)."""

    def __init__(self, modalities: int, features: int, dropout: float) -> None:
        super().__init__()
        self.width = modalities * features
        self.wide, self.narrow = nn.Linear(self.width, self.width), nn.Linear(self.width, self.width)
        self.dropout = Dropout(dropout)

    def forward(self, z_BTMF: Tensor) -> Tensor:
        """Vectors (B, T, M, F) → (B, T, M·F)."""
        joint = z_BTMF.flatten(2)
        return joint + self.narrow(self.dropout(functional.relu(self.wide(joint))))
