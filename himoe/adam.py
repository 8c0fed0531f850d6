"""Adam (Kingma & Ba 2015, arXiv:1412.6980) through torch's fused kernel, without the rest of ``torch.optim``.

Making any ``torch.optim`` optimiser imports torch's compiler, 1.3 s in every worker of every run; nothing here
is compiled. A test holds the steps to those of ``torch.optim.Adam``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Adam:
    """Adam with an L2 penalty ``weight_decay`` on every parameter and torch's default moments.

    Parameters whose gradient is None are left alone.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float = 0.0) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        chosen = [k for k, parameter in enumerate(self.parameters) if parameter.grad is not None]
        gradients = [g for k in chosen if (g := self.parameters[k].grad) is not None]
        for k in chosen:
            self.steps[k] += 1

        def of(tensors: list[Tensor] | list[nn.Parameter]) -> list[Tensor]:
            return [tensors[k] for k in chosen]

        torch._fused_adam_(of(self.parameters), gradients, of(self.first), of(self.second), [], of(self.steps),
                           lr=self.learning_rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=self.weight_decay,
                           eps=EPSILON, amsgrad=False, maximize=False)


def cosine_annealed(learning_rate: float, epoch: int, epochs: int) -> float:
    """The rate of *epoch* (from 0) of *epochs*, falling to 0 along half a cosine (Loshchilov & Hutter 2017)."""
    return learning_rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
