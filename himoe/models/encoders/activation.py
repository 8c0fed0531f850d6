"""ELU written with exp: the same function as torch's, several times faster on a CPU."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Elu(torch.autograd.Function):
    """torch's CPU kernel takes expm1 value by value; ``exp(x) - 1`` is vectorised and differs by rounding only."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp(max=0).exp_().sub_(1).add_(x.clamp(min=0))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y.clamp(max=0).add_(1).mul_(grad)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        return cast(Tensor, _Elu.apply(x)), in_dims[0]  # value by value: one more axis changes nothing


def elu(x: Tensor) -> Tensor:
    """``x`` above 0, ``exp(x) - 1`` below (Clevert et al. 2016, arXiv:1511.07289); any shape."""
    return _Elu.apply(x) if x.device.type == "cpu" else functional.elu(x)
