from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._times import grid_s, time_code, times_s, with_own_times
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


def test_tokens_get_the_code_of_their_own_times_in_steps(make_batch: MakeBatch) -> None:
    batch = make_batch(share=1.1)
    moved = times_s(batch, 2.5).clone()
    moved[..., 2] += 1.0
    code = with_own_times(torch.zeros(8, 5, 4, 7), timed(batch, moved), 2.5)
    torch.testing.assert_close(code[3, :, 0], time_code(torch.arange(5), 7))
    torch.testing.assert_close(code[3, 4, 2, :2], torch.tensor([math.sin(4.4), math.cos(4.4)]))


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
