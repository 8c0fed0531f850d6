"""Methods whose fitted state has a size that only the data tells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch

from himoe.models.batches import Batch
from himoe.models.methods.base import Method


class FittedMethod(Method):
    """Base of methods fitted in closed form; their state is plain tensors in buffers.

    ``load_state_dict`` takes buffers of any size: a stored buffer replaces the fresh one.
    """

    gradient = False

    @abstractmethod
    def fit(self, batches: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Fit to the training batches; validation may decide when to stop."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name, buffer in list(self._buffers.items()):
            stored = state_dict.get(prefix + name)
            if buffer is not None and stored is not None and stored.shape != buffer.shape:
                self._buffers[name] = torch.empty(stored.shape, dtype=buffer.dtype, device=buffer.device)
        super()._load_from_state_dict(state_dict, prefix, *args)
