"""Learned log power: the filters of EEGNet, then what emotion moves, power, instead of a sum of amplitudes.

Legend: n windows, C channels, W samples per window, G temporal filters, S = G·D signals, K taps, F features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.batchnorm import BatchNorm
from himoe.models.encoders.eegnet import filter_same
from himoe.models.noise import Dropout

LOWEST_HZ = 4.0  # of the filter bank; its upper end is the signal's
FLOOR = 1e-4  # of power, in normalised units squared


class PowerNet(nn.Module):
    """Spatial mix, filter bank, log of mean power, batch norm, linear: (n, C, W) → (n, F).

    Filters and spatial mixes are learned as in EEGNet (Lawhern et al. 2018, doi 10.1088/1741-2552/aace8c); square,
    mean and logarithm follow Schirrmeister et al. 2017 (doi 10.1002/hbm.23730), a filter bank Mane et al. 2021
    (arXiv 2104.01233). The G temporal filters start as Hann-windowed cosines, log-spaced from 4 Hz to 0.45 of the rate.
    """

    counted = True

    def __init__(self, shape: ModalityShape, model: ModelParams) -> None:
        super().__init__()
        n_taps = max(1, min(round(model.eeg_kernel_s * shape.sfreq_hz), shape.samples))
        n_signals = model.power_filters * model.power_depth
        self.spatial = nn.Parameter(torch.empty(n_signals, shape.channels))
        nn.init.kaiming_uniform_(self.spatial, a=math.sqrt(5))
        self.temporal = nn.Parameter(filter_bank(model.power_filters, n_taps, shape.sfreq_hz))
        self.norm = BatchNorm(n_signals)
        self.dropout = Dropout(model.dropout)
        self.linear = nn.Linear(n_signals, model.features)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Windows (n, C, W) → features (n, F); ``count``: see :func:`himoe.models.encoders.encode_present`."""
        mixed = torch.bmm(self.spatial.expand(len(x), -1, -1), x)
        filtered = filter_same(mixed.unflatten(1, (self.temporal.shape[0], -1)), self.temporal).flatten(1, 2)
        power = torch.log(filtered.square().mean(-1) + FLOOR)
        return self.linear(self.dropout(self.norm(power, count)))


def filter_bank(filters: int, taps: int, sfreq_hz: float) -> Tensor:
    """Hann-windowed cosines of unit energy, (G, K), whose centres are log-spaced from 4 Hz to 0.45 of the rate."""
    highest_hz = max(0.45 * sfreq_hz, LOWEST_HZ)
    edges_hz = torch.logspace(math.log10(min(LOWEST_HZ, highest_hz)), math.log10(highest_hz), filters + 1)
    centres_hz = (edges_hz[:-1] * edges_hz[1:]).sqrt()
    time_s = (torch.arange(taps) - (taps - 1) / 2) / sfreq_hz
    bank = torch.cos(2 * math.pi * centres_hz[:, None] * time_s) * torch.hann_window(taps + 2, periodic=False)[1:-1]
    return bank / bank.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-6)
