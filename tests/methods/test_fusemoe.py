from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from reference import part, restless
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Spec
from himoe.models.methods.fusemoe import FuseMoE, LaplaceMixture, TimeAttention, entropy_term

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


class Joint(FuseMoE):
    router = "joint"


def built(spec: Spec, kind: type[Method] = FuseMoE) -> Method:
    torch.manual_seed(0)
    return restless(kind(spec), 0.1)


@torch.no_grad()
def test_the_gate_is_a_softmax_of_distances_to_the_nearest_experts() -> None:
    torch.manual_seed(0)
    mixture, x = LaplaceMixture(3, 5, 4, 0.0), torch.randn(3, 11, 5)
    _, gates, _ = mixture(x)
    for r in range(3):
        for n in range(11):
            scores = -np.linalg.norm(mixture.places_REI[r].numpy() - x[r, n].numpy(), axis=1)
            best = np.argsort(scores)[-2:]
            expected = np.zeros(8)
            expected[best] = np.exp(scores[best]) / np.exp(scores[best]).sum()
            np.testing.assert_allclose(gates[r, n], expected, atol=1e-5)


def test_a_token_on_an_experts_place_has_a_finite_gradient() -> None:
    mixture = LaplaceMixture(1, 5, 4, 0.0)
    x = mixture.places_REI.detach()[:, :3].clone().requires_grad_()
    mixture(x)[0].sum().backward()
    assert torch.isfinite(x.grad).all()


def slow_time_attention(attention: TimeAttention, m: int, codes: Tensor, there: Tensor, times: Tensor,
                        grid: Tensor) -> Tensor:
    """One sequence of one modality: codes (S, F), presence and times (S,), times asked about (T,) → (T, F)."""
    def code(time: Tensor) -> Tensor:
        angles = attention.rate_MP[m] * time / attention.step_s + attention.phase_MP[m]
        return torch.cat([angles[:1], torch.sin(angles[1:])])

    known = [s for s in range(len(times)) if there[s]]
    rows = []
    for asked in grid:
        heads = []
        for head in range(4):
            columns = slice(16 * head, 16 * head + 16)
            query = (code(asked) @ attention.query_MPJ[m])[columns]
            weights = torch.stack([query @ (code(times[s]) @ attention.key_MPJ[m])[columns] / 4 for s in known])
            heads.append(sum(w * codes[s] for w, s in zip(torch.softmax(weights, 0), known, strict=True)))
        rows.append(torch.cat(heads) @ attention.out.weight[m] + attention.out.bias[m, 0])
    return torch.stack(rows)


@torch.no_grad()
def test_time_attention_equals_a_loop_at_any_times() -> None:
    torch.manual_seed(0)
    attention = restless(TimeAttention(3, 6, 2.0), 0.1)
    codes, there = torch.randn(2, 5, 3, 6), torch.rand(2, 5, 3) < 0.6
    there[1, :, 2], there[0, 0] = False, True
    times, grid = 10 * torch.rand(2, 5, 3), 2.0 * torch.arange(7).repeat(2, 1)
    found = attention(codes, there, times, grid)
    assert found.shape == (2, 7, 3, 6)
    for b in range(2):
        for m in range(3):
            expected = (slow_time_attention(attention, m, codes[b, :, m], there[b, :, m], times[b, :, m], grid[b])
                        if there[b, :, m].any() else torch.zeros(7, 6))
            torch.testing.assert_close(found[b, :, m], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_untrained_time_attention_looks_at_what_is_near() -> None:
    torch.manual_seed(0)
    attention = TimeAttention(1, 9, 2.0)
    grid, there = 2.0 * torch.arange(9)[None], torch.ones(1, 9, 1, dtype=torch.bool)
    attention.out.bias.zero_()
    own = []
    for head in range(4):
        attention.out.weight.zero_()[0, 9 * head:9 * head + 9] = torch.eye(9)  # that head's answer: its weights
        share = attention(torch.eye(9)[None, :, None], there, grid[..., None], grid)[0, :, 0]
        assert share.argmax(-1).tolist() == list(range(9))
        own.append(float(share[4, 4]))
        assert share[4, 4] > share[4, 3] > share[4, 2] > share[4, 1]
    assert own == sorted(own)
    assert own[0] < 0.2 < 0.8 < own[-1]


@torch.no_grad()
def test_what_is_nowhere_has_its_indicator(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method, batch = built(make_spec()), make_batch(share=0.7)
    batch = batch.with_present((torch.arange(8)[:, None, None] != 3) | (torch.arange(4) != 2))
    codes = method.encoders.masked(torch.randn(8, 5, 4, 7), batch.present)
    gridded = method.gridded(codes, batch)
    indicator = (gridded - method.missing_MF).abs().amax((1, 3)) == 0  # (B, M)
    assert torch.equal(indicator, ~batch.present.any(1))
    assert indicator[3, 2]


def test_the_entropy_term_wants_few_experts_each_and_many_together() -> None:
    certain = 20 * torch.eye(3)[:, None].repeat(1, 5, 1)  # R = 3 routers, N = 5, E = 3
    everyone = torch.ones(5, dtype=torch.bool)
    np.testing.assert_allclose(entropy_term(certain, everyone), -np.log(3), atol=1e-5)
    np.testing.assert_allclose(entropy_term(certain[:1].repeat(3, 1, 1), everyone), 0, atol=1e-5)
    assert entropy_term(certain[:1], everyone).abs() < 1e-5
    scores, counted = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)), torch.arange(5) != 2
    p = torch.softmax(scores, -1)[:, counted].mean(1).numpy()
    expected = (-p * np.log(p)).sum(1).mean() + (p.mean(0) * np.log(p.mean(0))).sum()
    np.testing.assert_allclose(entropy_term(scores, counted), expected, rtol=1e-4)
    scores.requires_grad_()
    entropy_term(scores, torch.zeros(5, dtype=torch.bool)).backward()
    assert torch.isfinite(scores.grad).all()


@torch.no_grad()
@pytest.mark.parametrize("kind,routers", [(FuseMoE, 4), (Joint, 1)])
def test_both_routers_give_gates_that_sum_to_1(kind: type[Method], routers: int, make_spec: MakeSpec,
                                               make_batch: MakeBatch) -> None:
    method, batch = built(make_spec(), kind), make_batch()
    output = method(batch)
    gates = output.diagnostics["expert_gates"]
    assert gates.shape == (8, 5, routers, 8)
    assert ((gates > 0).sum(-1) == 2).all()
    torch.testing.assert_close(gates.sum(-1), torch.ones(8, 5, routers))
    alone = method(dataclasses.replace(part(batch, [4]), y=batch.y[[4]]))
    torch.testing.assert_close(alone.raw[0], output.raw[4], rtol=1e-4, atol=1e-4)


def test_the_entropy_term_is_part_of_training_alone(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method, batch = build_method("fusemoe", make_spec()), make_batch()
    assert set(method.train()(batch).losses) == {"emotion", "routing"}
    assert set(method.eval()(batch).losses) == {"emotion"}
