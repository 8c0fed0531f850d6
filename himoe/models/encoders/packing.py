"""Rows that are there in front of those that are not, so that no shape depends on a mask.

Models that run as one need one shape, whatever is present in each one's batch. Packed rows stand at the places that
they have where absent ones are left out, so that dropout, which draws by place, treats them alike.

Legend: n rows (windows or frames).
"""

from __future__ import annotations

import torch
from torch import Tensor


def pack(x: Tensor, there: Tensor) -> Tensor:
    """Rows (n, ...) that are ``there`` (n,) bool first, in their order; behind them zeros, whatever was there."""
    order = torch.argsort((~there).to(torch.uint8), stable=True)
    return torch.where(_beside(there, x), x, 0.0)[order]


def unpack(packed: Tensor, there: Tensor) -> Tensor:
    """Undo :func:`pack`: (n, ...), 0 for rows that are not ``there`` (n,)."""
    place = (there.cumsum(0) - 1).clamp(min=0)
    return torch.where(_beside(there, packed), packed[place], 0.0)


def _beside(rows: Tensor, x: Tensor) -> Tensor:
    """A value per row (n,) with as many axes as ``x``."""
    return rows.view(-1, *[1] * (x.dim() - 1))
