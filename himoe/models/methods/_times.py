"""When windows lie in time, and codes of it, in one place: for attention over pairs (code, time).

A batch may carry the windows' own times for every modality (``times_s``); one without has them on the grid of its
steps.

Legend: B sequences, T time steps (answers), S time steps (windows), M modalities, F features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from himoe.models.batches import Batch, step_times_s

NEAR = 0.999  # steps; a window at a whole step's distance belongs to the next one


def grid_s(batch: Batch, step_s: float) -> Tensor:
    """When an answer is due, (B, T) in s from the sequence's first step."""
    times_T = step_times_s(batch.present.shape[1], step_s).to(batch.present.device)
    return times_T.expand(batch.present.shape[:2])


def times_s(batch: Batch, step_s: float) -> Tensor:
    """When each modality's windows lie, (B, T, M) in s from the sequence's first step; on the grid where absent."""
    grid_BTM = grid_s(batch, step_s)[..., None].expand(batch.present.shape)
    return grid_BTM if batch.times_s is None else torch.where(batch.present, batch.times_s, grid_BTM)


def at_own_times(codes_BTMF: Tensor, batch: Batch, step_s: float) -> tuple[Tensor, Tensor]:
    """Codes (B, T, M, F) and what is present (B, T, M), each window at the step where its own clock puts it.

    A step gets the present window that begins nearest to it, if nearer than one step, else its own one. Without times
    of their own, nothing moves.
    """
    if batch.times_s is None:
        return codes_BTMF, batch.present
    step_T = torch.arange(batch.present.shape[1], device=batch.present.device)
    place_BSM = times_s(batch, step_s) / step_s
    apart_BTSM = (place_BSM[:, None] - step_T[:, None, None]).abs().masked_fill(~batch.present[:, None], torch.inf)
    nearest_BTM = torch.where(apart_BTSM.amin(2) < NEAR, apart_BTSM.argmin(2), step_T[:, None])
    return (codes_BTMF.gather(1, nearest_BTM[..., None].expand_as(codes_BTMF)),
            batch.present.gather(1, nearest_BTM))


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
