"""Random numbers of a module, a model and a step."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import nn

from himoe.models.noise import Dropout, Noise, mix, noise_keys, step_keys


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.999])
def test_dropout_keeps_the_mean_and_the_asked_share(p: float) -> None:
    dropout, x = Dropout(p), torch.full((301, 333), 2.0, requires_grad=True)
    y = dropout(x)
    kept = y.detach() != 0
    n = x.numel()
    assert abs(float(kept.double().mean()) - (1 - p)) < 4 * math.sqrt(p * (1 - p) / n) + 2**-16
    torch.testing.assert_close(y.detach()[kept], torch.full((int(kept.sum()),), 2.0 / (1 - p)), rtol=0.01, atol=0)
    y.sum().backward()
    assert torch.equal(x.grad * 2.0, y.detach())
    # Neighbours, which share one draw of 32 bits, are independent.
    flat = kept.flatten().double()
    for gap in (1, 2, 3, 4):
        both = float((flat[:-gap] * flat[gap:]).mean())
        assert abs(both - (1 - p) ** 2) < 5 * math.sqrt(p * (1 - p) / n)


def test_dropout_is_off_in_evaluation_and_takes_any_shape() -> None:
    x = torch.randn(3, 5, 7)
    assert Dropout(0.5).eval()(x) is Dropout(0.0)(x) is x
    assert (Dropout(1.0)(x) == 0).all()
    assert Dropout(0.5)(x.transpose(0, 2)).shape == (7, 5, 3)


class Pair(nn.Module):
    """Two sources of noise."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Dropout(0.5), Noise()


def test_numbers_follow_source_model_and_step() -> None:
    """What a source gives is the same beside another model, and else differs: no two streams agree beyond chance."""
    pair, seeds = Pair(), torch.tensor([7, 2**31 - 1], dtype=torch.int32)
    assert list(noise_keys(pair)) == ["one.key", "two.key"]
    streams = {}
    for step in (0, 1, 2):
        keys = step_keys(2, seeds, step)
        assert torch.equal(keys[:, 1:], step_keys(2, seeds[1:], step))
        for place, source in enumerate((pair.one, pair.two)):
            for model in (0, 1):
                source.key.copy_(keys[place, model])
                streams[place, model, step] = source.uniform(4001)
    for one, other in itertools.combinations(streams.values(), 2):
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 5 / math.sqrt(4001)
    for numbers in streams.values():
        assert numbers.min() >= 0
        assert numbers.max() < 1
        assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-4


def test_mixing_is_lowbias32() -> None:
    def slowly(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D & 0xFFFFFFFF
        x ^= x >> 15
        x = x * 0x846CA68B & 0xFFFFFFFF
        return x ^ x >> 16

    values = [0, 1, 2, 77, 2**31 - 1, -1, -2**31, -123456789]
    mixed = mix(torch.tensor(values, dtype=torch.int32))
    assert [int(v) & 0xFFFFFFFF for v in mixed] == [slowly(v & 0xFFFFFFFF) for v in values]
