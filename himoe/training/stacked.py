"""Models of one structure as one: every parameter and buffer with a leading axis of G models.

Most of what a small model costs is the calling of its many operations; G models in one call share that cost. Each
keeps its own weights, data, masks, noise and gradients, so it is what it would be alone, to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from himoe.models.batches import Batch
from himoe.models.methods.base import Method
from himoe.models.noise import noise_keys, step_keys

# Devices on which encoders that draw statistics from a batch run as one. Not on a CPU: signals of several models
# outgrow its cache, and a fixed shape holds absent windows too. `python -m bench.at_once`, step per model over that of
# one alone, 8 and 32 at once, on two cores beside other work. One thread: EEGNet 1.1 and 1.7, power 2.4 and 2.7, CNN
# 0.54 and 0.42, FACE 0.59 and 0.69; two threads: 1.7 and 5.7, 4.4 and 4.5, 0.62 and 0.56, 0.92 and 1.6. CNN and FACE
# gain, but not in groups of two, which a run of four folds has on two workers (one thread: 1.3 and 1.3).
COUNTED_ON = ("cuda",)


def can_stack(method: Method, device: torch.device) -> bool:
    """Whether models of this method are fitted as one on *device*: networks whose encoders all allow it.

    An encoder allows it everywhere where each window's code is its own, and on ``COUNTED_ON`` where it draws
    statistics from the windows that are present.
    """
    encoders = getattr(method, "encoders", None)
    kinds = ("rowwise", "counted") if device.type in COUNTED_ON else ("rowwise",)
    return encoders is not None and all(any(getattr(encoder, kind, False) for kind in kinds)
                                        for encoder in encoders.encoders.values())


class Stacked:
    """G models: :meth:`losses` calls them all, ``parameters`` and ``buffers`` (name → (G, ...)) are theirs.

    One model that cannot be stacked works as well. ``precision`` ``bfloat16``: products and convolutions in it,
    weights, sums and what else needs more in float32 (torch's autocast). With ``compiled`` the models in training go
    through torch's compiler, which takes minutes at the first step and whenever their number changes.
    """

    def __init__(self, methods: Sequence[Method], seeds: Sequence[int], precision: str = "float32",
                 compiled: bool = False) -> None:
        parameters, self.buffers = stack_module_state(list(methods))  # type: ignore[arg-type]
        self.parameters = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        self.template = copy.deepcopy(methods[0])
        device = next(iter(self.parameters.values())).device
        self.together = can_stack(methods[0], device)
        if self.together:
            self.template.encoders.one_shape = True  # type: ignore[union-attr]
        self.sources = list(noise_keys(self.template))
        self.seeds = torch.tensor([seed & 0x7FFFFFFF for seed in seeds], dtype=torch.int32, device=device)
        self.kept = set(self.template.state_dict())
        self.half = precision == "bfloat16"
        self._many: Callable[..., dict[str, Tensor]] = vmap(self._call)
        if compiled and self.together:
            self._many = torch.compile(self._many)

    def __len__(self) -> int:
        return len(self.seeds)

    def train(self, step: int) -> None:
        """Training mode, with the noise of *step*."""
        self.template.train()
        for name, key in zip(self.sources, step_keys(len(self.sources), self.seeds, step), strict=True):
            self.buffers[name].copy_(key)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss, each (G,), of a batch with a leading axis of models."""
        with torch.autocast(self.seeds.device.type, torch.bfloat16, enabled=self.half):
            return self._losses(batch)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        if not self.together:
            return {name: loss[None] for name, loss in self._call(
                {k: v[0] for k, v in self.parameters.items()}, {k: v[0] for k, v in self.buffers.items()},
                {m: x[0] for m, x in batch.x.items()}, *(part[0] for part in batch.rest())).items()}
        return self._many(self.parameters, self.buffers, dict(batch.x), *batch.rest())

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: dict[str, Tensor],
              *rest: Tensor) -> dict[str, Tensor]:
        return dict(functional_call(self.template, (parameters, buffers), (Batch(x, *rest),)).losses)

    def clip_gradients(self, largest: float) -> None:
        """Shorten each model's gradient to the length *largest* where it is longer."""
        gradients = [p.grad for p in self.parameters.values() if p.grad is not None]
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        share = (largest / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(share.view(-1, *[1] * (gradient.dim() - 1)))

    def weights(self, model: int) -> dict[str, Tensor]:
        """A copy of what one model's ``state_dict`` holds."""
        return {name: value[model].detach().clone() for name, value in {**self.parameters, **self.buffers}.items()
                if name in self.kept}

    def keep(self, models: Sequence[int]) -> None:
        """Go on with these models alone."""
        places = torch.tensor(list(models), dtype=torch.int64, device=self.seeds.device)
        self.parameters = {k: v.detach()[places].requires_grad_() for k, v in self.parameters.items()}
        self.buffers = {k: v[places] for k, v in self.buffers.items()}
        self.seeds = self.seeds[places]


class Average(Stacked):
    """A running average of models' weights and running statistics, in evaluation mode."""

    def __init__(self, source: Stacked) -> None:
        self.source = source
        self.parameters = {k: v.detach().clone() for k, v in source.parameters.items()}
        self.buffers = {k: v.clone() for k, v in source.buffers.items()}
        self.template = copy.deepcopy(source.template).eval()
        self.together, self.sources, self.seeds, self.kept = source.together, source.sources, source.seeds, source.kept
        self.half, self._many = source.half, vmap(self._call)

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """``average = decay · average + (1 - decay) · source``; whole numbers are copied."""
        pairs = [(self.parameters[k], v.detach()) for k, v in self.source.parameters.items()]
        pairs += [(self.buffers[k], v) for k, v in self.source.buffers.items() if v.is_floating_point()]
        torch._foreach_lerp_([old for old, _ in pairs], [new for _, new in pairs], 1.0 - decay)
        for name, value in self.source.buffers.items():
            if not value.is_floating_point():
                self.buffers[name].copy_(value)

    def keep(self, models: Sequence[int]) -> None:
        """Go on with these models alone; call it after the source's own."""
        super().keep(models)
        self.parameters = {k: v.detach() for k, v in self.parameters.items()}
