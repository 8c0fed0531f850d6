"""Light encoders of few-channel signals; the window's level, spread and trend always get through.

Legend: n windows, C channels, W samples per window, S signals after a convolution, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.activation import elu
from himoe.models.encoders.batchnorm import BatchNorm
from himoe.models.noise import Dropout

WIDTHS = (12, 16)
MLP_HIDDEN = 64
MIN_CNN_SAMPLES = 64
VARIANCE_FLOOR = 1e-6


def window_statistics(x: Tensor) -> Tensor:
    """Mean, SD and rise of every channel: (n, C, W) → (n, 3C).

    The rise is the least-squares slope times the window's length, in the signal's unit.
    Batch-normalised convolutions would lose a tonic level; these numbers keep it.
    """
    n_samples = x.shape[-1]
    mean = x.mean(-1)
    centred = x - mean[..., None]
    deviation = (centred.square().mean(-1) + VARIANCE_FLOOR).sqrt()
    time = torch.arange(n_samples, dtype=x.dtype, device=x.device) - (n_samples - 1) / 2
    rise = (centred @ time) * (n_samples / time.square().sum().clamp(min=1.0))
    return torch.cat([mean, deviation, rise], 1)


class SmallCNN(nn.Module):
    """Two strided convolutions, pooled by mean and log variance over time: (n, C, W) → (n, F).

    The first convolution's stride brings any window to about 64 steps, the second's to about 16. The mean
    carries what a filter finds, the log variance how strong and how fast it swings.
    """

    counted = True

    def __init__(self, shape: ModalityShape, model: ModelParams) -> None:
        super().__init__()
        stride = max(1, shape.samples // 64)
        taps = max(2 * stride + 1, 7)
        first, second = WIDTHS
        self.first = nn.Conv1d(shape.channels, first, taps, stride, padding=taps // 2, bias=False)
        self.first_norm = BatchNorm(first)
        self.second = nn.Conv1d(first, second, 9, 4, padding=4, bias=False)
        self.second_norm = BatchNorm(second)
        self.dropout = Dropout(model.dropout)
        self.linear = nn.Linear(first + 2 * second + 3 * shape.channels, model.features)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Windows (n, C, W) → features (n, F); ``count``: see :func:`himoe.models.encoders.encode_present`."""
        first = elu(self.first_norm(self.first(x), count))
        second = elu(self.second_norm(self.second(first), count))
        pooled = [_log_variance(first), second.mean(-1), _log_variance(second)]
        return self.linear(torch.cat([self.dropout(torch.cat(pooled, 1)), window_statistics(x)], 1))


class WindowMLP(nn.Module):
    """Two-layer network on the flattened window and its statistics: (n, C, W) → (n, F)."""

    counted = True

    def __init__(self, shape: ModalityShape, model: ModelParams) -> None:
        super().__init__()
        n_statistics = 3 * shape.channels
        self.hidden = nn.Linear(shape.channels * shape.samples + n_statistics, MLP_HIDDEN, bias=False)
        self.norm = BatchNorm(MLP_HIDDEN)
        self.dropout = Dropout(model.dropout)
        self.linear = nn.Linear(MLP_HIDDEN + n_statistics, model.features)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Windows (n, C, W) → features (n, F); ``count``: see :func:`himoe.models.encoders.encode_present`."""
        statistics = window_statistics(x)
        hidden = elu(self.norm(self.hidden(torch.cat([x.flatten(1), statistics], 1)), count))
        return self.linear(torch.cat([self.dropout(hidden), statistics], 1))


def _log_variance(x: Tensor) -> Tensor:
    """Log variance over the last axis (written out: twice as fast as ``Tensor.var`` here)."""
    return torch.log((x - x.mean(-1, keepdim=True)).square().mean(-1) + VARIANCE_FLOOR)
