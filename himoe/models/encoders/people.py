"""A linear map of the codes for every person known from training.

Legend: B sequences, T time steps, M modalities, F features, G people.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PersonMaps(nn.Module):
    """``x + W_p x`` per modality, with ``W_p`` of person p: (B, T, M, F) → (B, T, M, F).

    The maps start at 0 and have no bias, so a person whose windows were never trained on keeps the codes as they are,
    and an absent modality stays 0.
    """

    def __init__(self, people: int, modalities: int, features: int) -> None:
        super().__init__()
        self.maps_GMFF = nn.Parameter(torch.zeros(people, modalities, features, features))

    def forward(self, codes_BTMF: Tensor, subject: Tensor) -> Tensor:
        """Codes and the subjects' codes (B,); a subject of −1 or beyond G is nobody known."""
        known = (subject >= 0) & (subject < len(self.maps_GMFF))
        maps_BMFF = self.maps_GMFF[torch.where(known, subject, 0)] * known[:, None, None, None]
        return codes_BTMF + torch.einsum("btmf,bmfg->btmg", codes_BTMF, maps_BMFF)
