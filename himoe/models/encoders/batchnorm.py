"""Batch normalisation that bears a batch of one, and rows that do not count.

Legend: n (N) rows, S signals, W samples per row.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

MOMENTUM = 0.1  # of running statistics: nn.BatchNorm1d's own


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` for (n, S) or (n, S, W); with fewer than 2 rows it uses the running statistics.

    A batch of one window has no spread between windows, so in training mode such a batch is normalised
    as in evaluation mode and leaves the running statistics as they are. Its gradient still flows.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, signals: int) -> None:
        super().__init__(signals, momentum=MOMENTUM)

    def forward(self, input: Tensor, count: Tensor | None = None) -> Tensor:
        """With ``count`` (), in training, the statistics are of the first so many rows: those that are there."""
        if count is not None:  # statistics are never in half precision; torch sees to that only where it counts itself
            input = input.to(self.running_mean.dtype)
            if self.training:
                return self._of_first(input, count)
        if self.training and input.shape[0] < 2:
            return functional.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias,
                                         False, 0.0, self.eps)
        return super().forward(input)

    def _of_first(self, x: Tensor, count: Tensor) -> Tensor:
        """The same written out, without a choice that the numbers decide: many models can run it as one."""
        shape = (1, -1, *[1] * (x.dim() - 2))
        there_N, several = (torch.arange(len(x), device=x.device) < count).to(x.dtype), count >= 2
        values = count.to(x.dtype) * x[0, 0].numel()
        mean = _total(x, there_N) / values.clamp(min=1)
        centred = x - mean.view(shape)
        spread = _total(centred.square(), there_N)
        with torch.no_grad():
            share = MOMENTUM * several
            self.running_mean.add_(share * (mean - self.running_mean))
            self.running_var.add_(share * (spread / (values - 1).clamp(min=1) - self.running_var))
            self.num_batches_tracked.add_(several)
        variance = torch.where(several, spread / values.clamp(min=1), self.running_var)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias + torch.where(several, 0.0, mean - self.running_mean) * scale
        return torch.addcmul(shift.view(shape), centred, scale.view(shape))


def _total(x: Tensor, there_N: Tensor) -> Tensor:
    """The sum over rows and samples, each row weighted by *there_N*: (n, S) or (n, S, W) → (S,)."""
    return ((x.sum(2) if x.dim() == 3 else x) * there_N[:, None]).sum(0)
