"""When windows lie in time, in one place, and codes of it: for attention over pairs (code, time).

A batch may carry the windows' own times for every modality (``times_s``); one without has them on the grid of its
steps.

Legend: B sequences, T time steps, M modalities, F features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from himoe.models.batches import Batch


def grid_s(batch: Batch, step_s: float) -> Tensor:
    """When an answer is due, (B, T) in s from the sequence's first step."""
    steps = torch.arange(batch.present.shape[1], device=batch.present.device)
    return (steps * step_s).expand(batch.present.shape[:2])


def times_s(batch: Batch, step_s: float) -> Tensor:
    """When each modality's windows lie, (B, T, M) in s from the sequence's first step; on the grid where absent."""
    grid_BTM = grid_s(batch, step_s)[..., None].expand(batch.present.shape)
    own: Tensor | None = getattr(batch, "times_s", None)
    return grid_BTM if own is None else torch.where(batch.present, own, grid_BTM)


def time_code_at(times: Tensor, step_s: float, features: int) -> Tensor:
    """Sinusoidal code (..., F) of times (...) in s: on the grid that of the step's number.

    Vaswani et al. 2017 (arXiv 1706.03762), section 3.5, with time / step_s for the position.
    """
    rates = torch.exp(torch.arange(0, features, 2, device=times.device) * (-math.log(10000.0) / features))
    angles = (times / step_s)[..., None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., :features]
