from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from reference import restless

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Spec
from himoe.models.methods.flex_moe import combination, expert_of

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def built(spec: Spec) -> Method:
    torch.manual_seed(0)
    return restless(build_method("flex_moe", spec), 0.1)


def test_every_combination_has_a_number_of_its_own() -> None:
    present = torch.tensor(list(itertools.product([False, True], repeat=5)))
    assert sorted(combination(present).tolist()) == list(range(32))
    assert combination(torch.tensor([[True, False, False, True]])).tolist() == [9]


@pytest.mark.parametrize(("modalities", "experts"), [(4, 16), (6, 16), (2, 5), (1, 3)])
def test_experts_of_combinations(modalities: int, experts: int) -> None:
    owner = expert_of(modalities, experts).tolist()
    assert owner[0] == -1
    assert owner[-1] == 0
    others = owner[1:-1]
    if len(others) < experts:
        assert len(set(others)) == len(others)
    else:  # those that lack least come first, and nobody has many more than another
        least = [owner[2**modalities - 1 - 2**m] for m in range(modalities)]
        assert sorted(least) == list(range(1, modalities + 1))
        counts = np.bincount(others, minlength=experts)[1:]
        assert counts.max() - counts.min() <= 1
    assert not others or min(others) >= 1


@torch.no_grad()
def test_what_is_missing_comes_from_the_row_of_the_steps_combination(make_spec: MakeSpec,
                                                                     make_batch: MakeBatch) -> None:
    method, batch = built(make_spec()), make_batch(share=0.5)
    codes = torch.randn(8, 5, 4, 7)
    tokens = method.completed(codes, batch.present)
    for b, t, m in itertools.product(range(8), range(5), range(4)):
        row = sum(2**k for k in range(4) if batch.present[b, t, k])
        expected = codes[b, t, m] if batch.present[b, t, m] else method.bank_CMF[row, m]
        assert torch.equal(tokens[b, t, m], expected)


@torch.no_grad()
def test_a_bank_row_speaks_for_its_own_combination_only(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method, batch = built(make_spec()), make_batch(share=1.1)
    batch.present[:], batch.valid[:] = True, True
    batch = batch.with_present((torch.arange(8)[:, None, None] != 5) | (torch.arange(4) != 1))  # number 13
    codes = method.encode(batch)
    known = method.decode(codes, batch).raw
    for row, heard in ((13, [5]), (11, [])):
        kept = method.bank_CMF[row].clone()
        method.bank_CMF[row] += torch.randn(4, 7)
        moved = (method.decode(codes, batch).raw - known).abs().amax((1, 2, 3)) > 1e-6
        method.bank_CMF[row] = kept
        assert moved.nonzero().flatten().tolist() == heard


def test_the_routing_loss_equals_the_formula(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method, batch = built(make_spec()), make_batch(share=0.7)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(160, 16, generator=generator)
    gates = torch.softmax(torch.randn(160, 16, generator=generator), -1)
    told, full, rest = [], np.zeros(16), np.zeros(15)
    rows = zip(scores.double().numpy(), gates.double().numpy(), strict=True)
    owner = expert_of(4, 16)
    for (b, t, _), (score, gate) in zip(itertools.product(range(8), range(5), range(4)), rows, strict=True):
        there = batch.present[b, t]
        if there.all():
            full += gate
        elif there.any():
            told.append(np.log(np.exp(score).sum()) - score[owner[combination(there)]])
            rest += gate[1:]
    expected = np.mean(told) + (full.std() / full.mean()) ** 2 + (rest.std() / rest.mean()) ** 2
    np.testing.assert_allclose(method.routing_loss(scores, gates, batch.present), expected, rtol=1e-4)
    nothing = torch.zeros(8, 5, 4, dtype=torch.bool)
    assert method.routing_loss(scores, gates, nothing) == 0


def test_the_router_learns_whose_step_it_is(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method, batch = build_method("flex_moe", make_spec()), make_batch(share=0.6)
    optimiser = torch.optim.Adam(method.parameters(), 3e-2)
    for _ in range(60):
        optimiser.zero_grad()
        method(batch).losses["routing"].backward()
        optimiser.step()
    first = method.eval()(batch).diagnostics["expert_gates"].argmax(-1)
    owner = expert_of(4, 16)[combination(batch.present)][..., None].expand(first.shape)
    lacking = owner > 0
    assert (first == owner)[lacking].double().mean() > 0.9
