"""The encoder of windows that arrive as features (log band powers, heart rate, skin conductance level, ...).

Legend: n windows, P features per window, H hidden units, F code features.
"""

from __future__ import annotations

from torch import Tensor, nn

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.noise import Dropout

HIDDEN = 64


class FeatureEncoder(nn.Module):
    """Normalised features (n, P, 1) → codes (n, F): a linear map plus a two-layer network.

    What emotion does to log power is close to linear (differential entropy, Duan et al. 2013,
    doi 10.1109/NER.2013.6695876), so the linear path learns in few steps and the network adds what is not.
    """

    rowwise = True  # no statistics over a batch: each window's code is its own

    def __init__(self, shape: ModalityShape, model: ModelParams) -> None:
        super().__init__()
        size = shape.channels * shape.samples
        self.linear = nn.Linear(size, model.features)
        self.network = nn.Sequential(nn.Linear(size, HIDDEN), nn.GELU(), Dropout(model.dropout),
                                     nn.Linear(HIDDEN, model.features))

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, P, 1) → codes (n, F)."""
        flat = x.flatten(1)
        return self.linear(flat) + self.network(flat)
