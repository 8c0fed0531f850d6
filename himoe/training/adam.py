"""AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) through torch's fused kernel, without the rest of ``torch.optim``.

Without weight decay it is Adam (Kingma & Ba 2015, arXiv:1412.6980), which the paper uses.

Making any ``torch.optim`` optimiser imports torch's compiler: 900 modules, 1.3 s in every worker of every run
(torch 2.14); nothing here is compiled. A test holds the steps to those of ``torch.optim.AdamW``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Adam:
    """AdamW with torch's default moments: each step also shrinks weights by ``learning_rate · weight_decay``.

    Parameters whose gradient is None are left alone.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float = 0.0) -> None:
        self.parameters: list[Tensor] = [p for p in parameters if p.requires_grad]
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def keep(self, parameters: Iterable[Tensor], places: Sequence[int]) -> None:
        """Go on with *parameters*, which are these *places* of the first axis of what they were."""
        self.parameters = list(parameters)
        self.first, self.second = [m[list(places)] for m in self.first], [m[list(places)] for m in self.second]

    @torch.no_grad()
    def step(self, rates: Sequence[tuple[slice, float]] = ()) -> None:
        """One update of every parameter that has a gradient.

        *rates* says which parts of the first axis have which learning rate; none = ``learning_rate`` for all of it.
        """
        chosen = [k for k, parameter in enumerate(self.parameters) if parameter.grad is not None]
        gradients = [g for k in chosen if (g := self.parameters[k].grad) is not None]
        for k in chosen:
            self.steps[k] += 1

        whole: list[tuple[slice | None, float]] = [(None, self.learning_rate)]
        for part, rate in [*rates] or whole:
            def of(tensors: list[Tensor], part: slice | None = part) -> list[Tensor]:
                return [tensors[k] if part is None else tensors[k][part] for k in chosen]

            torch._fused_adamw_(of(self.parameters), gradients if part is None else [g[part] for g in gradients],
                                of(self.first), of(self.second), [], [self.steps[k] for k in chosen], lr=rate,
                                beta1=BETAS[0], beta2=BETAS[1], weight_decay=self.weight_decay, eps=EPSILON,
                                amsgrad=False, maximize=False)


def scheduled(learning_rate: float, step: int, warmup: int, steps: int) -> float:
    """The rate of *step* (from 0) of *steps*: up to its full value over *warmup* steps, down to 0 along half a cosine.

    Warm-up: Goyal et al. 2017 (arXiv:1706.02677); cosine: Loshchilov & Hutter 2017 (arXiv:1608.03983).
    """
    rise = min(1.0, (step + 1) / (warmup + 1))
    return learning_rate * rise * (1 + math.cos(math.pi * step / steps)) / 2
