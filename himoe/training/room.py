"""How many models fit into a device's memory at once: one step of one model is looked at.

Only where a device has memory of its own: on a CPU groups are as ``training.models_at_once`` says, so that no result
hangs on a machine's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from himoe.models.batches import Batch
from himoe.models.methods.base import Method

SPARE = 0.8  # of what is free: the rest is left to others and to the allocator's gaps
COPIES = 5  # of the weights: themselves, gradients, Adam's two moments, the running average
TRANSIENT = 2  # times what a step keeps for its gradients: as much again comes and goes while they are computed
Item = TypeVar("Item")
Result = TypeVar("Result")


def bytes_of_model(method: Method, batch: Batch) -> int:
    """Memory in bytes that one model takes in training, by a forward pass in training mode over *batch*."""
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in method.parameters()}

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    method.train()
    with saved_tensors_hooks(note, lambda value: value):
        losses = method(batch).losses  # alive until the end, and with them all that was noted
    weights = sum(p.numel() * p.element_size() for p in method.parameters())
    data = sum(part.numel() * part.element_size() for part in (*batch.x.values(), *batch.rest()))
    del losses
    return COPIES * weights + TRANSIENT * sum(kept.values()) + data


def free_bytes(device: torch.device) -> int | None:
    """What is free on *device*; None where it has no memory of its own."""
    if device.type != "cuda":
        return None
    torch.cuda.empty_cache()  # what an earlier group of this process has left cached counts as taken otherwise
    return torch.cuda.mem_get_info(device)[0]


def models_that_fit(method: Method, batch: Batch, free: int) -> int:
    """How many models like *method* can be trained at once in *free* bytes; one at least."""
    return max(1, int(SPARE * free // bytes_of_model(method, batch)))


def in_room(items: Sequence[Item], at_once: int, run: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
    """Results of *items*, *at_once* at most by one call of *run*; a part that has no room after all is halved."""
    found: list[Result] = []
    for first in range(0, len(items), at_once):
        part = items[first:first + at_once]
        try:
            found += run(part)
            continue
        except torch.OutOfMemoryError:
            if len(part) == 1:
                raise
        torch.cuda.empty_cache()  # outside of the handler: its traceback holds the part's tensors
        found += in_room(part, -(-len(part) // 2), run)
    return found
