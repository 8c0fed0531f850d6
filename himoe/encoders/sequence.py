"""Context in time for each modality's codes (the paper's appendix writes encoders as sequence to sequence).

Legend: B sequences, T time steps, M modalities, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SequenceContext(nn.Module):
    """One bidirectional GRU per modality whose answer is added to the codes: (B, T, M, F) → (B, T, M, F)."""

    def __init__(self, modalities: int, features: int) -> None:
        super().__init__()
        half = max(1, features // 2)
        self.recurrent = nn.ModuleList(nn.GRU(features, half, batch_first=True, bidirectional=True)
                                       for _ in range(modalities))
        self.out = nn.ModuleList(nn.Linear(2 * half, features, bias=False) for _ in range(modalities))

    def forward(self, codes_BTMF: Tensor) -> Tensor:
        """Codes, 0 where absent → codes that know their neighbours."""
        added = [out(recurrent(codes_BTMF[:, :, m])[0])
                 for m, (recurrent, out) in enumerate(zip(self.recurrent, self.out, strict=True))]
        return codes_BTMF + torch.stack(added, 2)
