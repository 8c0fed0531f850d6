"""Batch normalisation that bears a batch of one."""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` for (n, S) or (n, S, W); with fewer than 2 rows it uses the running statistics.

    A batch of one window has no spread between windows, so in training mode such a batch is normalised
    as in evaluation mode and leaves the running statistics as they are. Its gradient still flows.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.shape[0] < 2:
            return functional.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias,
                                         False, 0.0, self.eps)
        return super().forward(input)
