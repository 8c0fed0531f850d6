from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._attention import time_code
from himoe.models.methods._times import grid_s, time_code_at, times_s
from himoe.models.methods.base import Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


@dataclass(frozen=True)
class TimedBatch(Batch):
    """A batch whose windows carry their own times, (B, T, M) in s."""

    times_s: Tensor


def timed(batch: Batch, times: Tensor) -> TimedBatch:
    return TimedBatch(*(getattr(batch, field.name) for field in fields(Batch)), times)


def test_without_times_of_their_own_windows_lie_on_the_grid(make_batch: MakeBatch) -> None:
    batch = make_batch()
    assert grid_s(batch, 2.5)[3].tolist() == [0.0, 2.5, 5.0, 7.5, 10.0]
    assert torch.equal(times_s(batch, 2.5), grid_s(batch, 2.5)[..., None].repeat(1, 1, 4))
    own = torch.rand(8, 5, 4)
    assert torch.equal(times_s(timed(batch, own), 2.5)[batch.present], own[batch.present])
    assert torch.equal(times_s(timed(batch, own), 2.5)[~batch.present], times_s(batch, 2.5)[~batch.present])


def test_on_the_grid_the_code_is_that_of_the_steps_number() -> None:
    grid = 2.5 * torch.arange(9)
    for features in (7, 8):
        torch.testing.assert_close(time_code_at(grid, 2.5, features), time_code(9, features))
    between = time_code_at(torch.tensor([[3.0], [4.0]]), 2.0, 7)
    assert between.shape == (2, 1, 7)
    torch.testing.assert_close(between[0, 0, :2], torch.tensor([math.sin(1.5), math.cos(1.5)]))


@torch.no_grad()
def test_methods_read_each_modalitys_own_times(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=1.1)
    codes, grid = torch.randn(8, 5, 4, 7), times_s(make_batch(), 2.0)
    moved = grid.clone()
    moved[..., 2] += 0.7
    for name in ("mult", "fusemoe", "flex_moe", "momke"):
        torch.manual_seed(0)
        method = build_method(name, make_spec()).eval()
        known = method.decode(codes, batch).raw
        assert torch.equal(method.decode(codes, timed(batch, grid)).raw, known)
        assert (method.decode(codes, timed(batch, moved)).raw - known).abs().max() > 1e-4
        gone = batch.with_present(torch.arange(4) != 2)  # a lag of what is absent changes nothing
        assert torch.equal(method.decode(codes, timed(gone, moved)).raw, method.decode(codes, gone).raw)
