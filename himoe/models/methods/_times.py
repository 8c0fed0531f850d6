"""When windows lie in time, and codes of it, in one place: for attention over pairs (code, time).

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


def time_code(steps: Tensor, features: int) -> Tensor:
    """Sinusoidal code (..., F) of times (...) in steps: sines in the even columns, cosines in the odd ones.

    Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    rates = torch.exp(torch.arange(0, features, 2, device=steps.device) * (-math.log(10000.0) / features))
    angles = steps[..., None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., :features]


def with_time(tokens: Tensor, scale: float = 1.0) -> Tensor:
    """Scaled tokens (..., T, F) plus the code of their step's number: (..., T, F).

    Vaswani et al. 2017 (section 3.4) scale by sqrt(F) embeddings that are drawn with SD 1/sqrt(F); codes have SD 1.
    """
    n_steps, features = tokens.shape[-2:]
    return tokens * scale + time_code(torch.arange(n_steps, device=tokens.device), features).to(tokens)


def with_own_times(tokens: Tensor, batch: Batch, step_s: float) -> Tensor:
    """Tokens (B, T, M, F) plus the code of each modality's own times, in steps: (B, T, M, F)."""
    return tokens + time_code(times_s(batch, step_s) / step_s, tokens.shape[-1])
