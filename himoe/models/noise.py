"""Random numbers that belong to a module, a model and a step: the same alone, beside other models, and on any device.

torch's generators hand out numbers in the order in which they are asked, so what one model of a batch of models gets
would depend on the others. Here a number is a function of a key and its place: a counter, mixed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

GOLDEN = -1640531527  # 2^32 over the golden ratio, as a signed number, as are the next two


def mix(z: Tensor) -> Tensor:
    """int32 of any shape → int32, one to one and well mixed, in place: the finaliser ``lowbias32`` (Wellons 2018)."""
    z ^= z >> 16 & 0xFFFF  # torch's shift repeats the sign; the mask makes it that of unsigned numbers
    z *= 0x7FEB352D
    z ^= z >> 15 & 0x1FFFF
    z *= -2073254261  # 0x846CA68B
    z ^= z >> 16 & 0xFFFF
    return z


class Noise(nn.Module):
    """A source of random numbers with a key of its own; :func:`step_keys` gives every source its keys of a step."""

    key: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)

    def bits(self, count: int) -> Tensor:
        """*count* random int16."""
        counter = torch.arange(1, count // 2 + 2, dtype=torch.int32, device=self.key.device)
        return mix(counter * GOLDEN + self.key).view(torch.int16)[:count]

    def uniform(self, count: int) -> Tensor:
        """*count* numbers in [0, 1), float32, of 16 random bits each."""
        return self.bits(count).float().add_(32768).div_(65536)


class Dropout(Noise):
    """As ``nn.Dropout`` (Srivastava et al. 2014), from the module's own numbers, and faster on a CPU.

    The probability is rounded to a multiple of 2^-16.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.kept = round((1.0 - p) * 65536)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; in training each value is 0 or divided by the probability of being kept."""
        if not self.training or self.kept == 65536:
            return x
        # 1 below the limit, else 0: whole numbers, so clamping the distance to it decides.
        share = self.bits(x.numel()).float().neg_().add_(self.kept - 32768).clamp(0.0, 1.0)
        return x * share.mul_(65536 / max(self.kept, 1)).to(x.dtype).view(x.shape)


def noise_keys(model: nn.Module) -> Iterator[str]:
    """Names of the buffers that hold the keys of *model*'s sources."""
    return (f"{name}.key" if name else "key" for name, module in model.named_modules() if isinstance(module, Noise))


def step_keys(sources: int, seeds: Tensor, step: int) -> Tensor:
    """Keys (S, G) int32 of S sources at a step, for G models with these seeds (int32)."""
    places = torch.arange(1, sources + 1, dtype=torch.int32, device=seeds.device)[:, None] * GOLDEN
    return mix(mix(seeds + step) + places)
