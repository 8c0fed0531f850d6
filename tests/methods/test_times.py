from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._times import at_own_times, grid_s, time_code, times_s, with_own_times
from himoe.models.methods.base import Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def test_without_times_of_their_own_windows_lie_on_the_grid(make_batch: MakeBatch) -> None:
    batch = make_batch()
    assert grid_s(batch, 2.5)[3].tolist() == [0.0, 2.5, 5.0, 7.5, 10.0]
    assert torch.equal(times_s(batch, 2.5), grid_s(batch, 2.5)[..., None].repeat(1, 1, 4))
    own = torch.rand(8, 5, 4)
    assert torch.equal(times_s(replace(batch, times_s=own), 2.5)[batch.present], own[batch.present])
    assert torch.equal(times_s(replace(batch, times_s=own), 2.5)[~batch.present], times_s(batch, 2.5)[~batch.present])


def test_tokens_get_the_code_of_their_own_times_in_steps(make_batch: MakeBatch) -> None:
    batch = make_batch(share=1.1)
    moved = times_s(batch, 2.5).clone()
    moved[..., 2] += 1.0
    code = with_own_times(torch.zeros(8, 5, 4, 7), replace(batch, times_s=moved), 2.5)
    torch.testing.assert_close(code[3, :, 0], time_code(torch.arange(5), 7))
    torch.testing.assert_close(code[3, 4, 2, :2], torch.tensor([math.sin(4.4), math.cos(4.4)]))


@torch.no_grad()
def test_methods_read_each_modalitys_own_times(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=1.1)
    codes, grid = torch.randn(8, 5, 4, 7), times_s(make_batch(), 2.0)
    moved = grid.clone()
    moved[..., 2] -= 2.7
    for name in ("mult", "fusemoe", "flex_moe", "momke", "himoe"):
        torch.manual_seed(0)
        method = build_method(name, make_spec(alignment={"max_lag_s": 4.0})).eval()
        known = method.decode(codes, batch).raw
        assert torch.equal(method.decode(codes, replace(batch, times_s=grid)).raw, known)
        assert (method.decode(codes, replace(batch, times_s=moved)).raw - known).abs().max() > 1e-4
        gone = batch.with_present(torch.arange(4) != 2)  # a lag of what is absent changes nothing
        assert torch.equal(method.decode(codes, replace(gone, times_s=moved)).raw, method.decode(codes, gone).raw)


def test_windows_go_to_the_steps_where_their_clocks_put_them(make_batch: MakeBatch) -> None:
    batch, grid = make_batch(share=1.1, sequences=3), times_s(make_batch(sequences=3), 2.0)
    batch = replace(batch, present=batch.present.clone())
    batch.present[0, 2, 1], batch.present[1:, :, 1] = False, True
    codes, own = torch.randn(3, 5, 4, 7), grid.clone()
    assert torch.equal(at_own_times(codes, batch, 2.0)[0], codes)
    own[..., 0] -= 4.3  # two steps and a bit late
    own[1, :, 3] = torch.tensor([0.0, 0.0, 4.0, 4.0, 8.0])  # at half the rate
    placed, there = at_own_times(codes, replace(batch, times_s=own), 2.0)
    assert torch.equal(placed[0, :3, 0], codes[0, 2:, 0])
    assert torch.equal(placed[0, 3:, 0], codes[0, 3:, 0])  # nothing nearer than a step has come: what there is
    assert torch.equal(placed[1, :, 3], codes[1, [0, 1, 2, 3, 4], 3])
    for m in (1, 2):
        assert torch.equal(placed[:, :, m], codes[:, :, m])
    assert torch.equal(there[0, :, 1], batch.present[0, :, 1])  # a lost window is not filled by its neighbours
