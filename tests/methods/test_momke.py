from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from reference import choose, part, plain_linear, plain_norm, restless, slow_layer
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._times import time_code
from himoe.models.methods.base import Method, Spec, emotion_loss

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def opinion(method: Method, k: int, tokens: Tensor, there: Tensor) -> Tensor:
    """What expert *k* makes of a modality's tokens (T, F); without a present step its norm of nothing."""
    hidden = tokens
    for layer in method.experts.layers:
        hidden = slow_layer(layer, k, hidden, hidden, there)
    return plain_norm(method.norm, k)(hidden * there.any())


def slow_momke(method: Method, codes: Tensor, there: Tensor) -> Tensor:
    """One sequence: codes (T, M, F), presence (T, M) → features before the heads (T, M·F); a loop over all pairs."""
    mixed = []
    for m in range(codes.shape[1]):
        tokens = codes[:, m] + time_code(torch.arange(len(codes)), codes.shape[2])
        hidden = functional.gelu(plain_linear(method.router.wide, m)(tokens))
        weights = torch.softmax(plain_linear(method.router.narrow, m)(hidden), -1)
        seen = [opinion(method, k, tokens, there[:, m]) for k in range(codes.shape[1])]
        mixed.append(sum(weights[:, k, None] * seen[k] for k in range(codes.shape[1])) * there[:, m, None])
    joint = torch.cat(mixed, 1)
    return joint + method.joint.narrow(functional.relu(method.joint.wide(joint)))


@torch.no_grad()
@pytest.mark.parametrize("names", [["EEG", "EDA", "TEMP"], ["PPG", "EDA"], ["TEMP"]])
def test_prediction_equals_a_loop_over_experts_and_modalities(names: list[str], make_spec: MakeSpec,
                                                              make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(model={"features": 6}), make_batch(share=0.6), names)
    torch.manual_seed(0)
    method = restless(build_method("momke", spec), 0.2)
    batch = part(batch, [0, 7])  # a step without any modality; two steps of padding
    codes = method.encode(batch)
    features = torch.stack([slow_momke(method, codes[b], batch.present[b]) for b in range(2)])
    output = method.decode(codes, batch)
    torch.testing.assert_close(output.raw, method.heads(features)[1], rtol=1e-3, atol=1e-3)
    gates = output.diagnostics["expert_gates"]
    assert gates.shape == (2, 5, len(names), len(names))
    torch.testing.assert_close(gates.sum(-1), torch.ones(2, 5, len(names)))


@pytest.mark.parametrize("kind", ["regression", "three"])
def test_each_expert_answers_for_its_own_modality_where_that_is_present(kind: str, make_spec: MakeSpec,
                                                                        make_batch: MakeBatch) -> None:
    method, batch = restless(build_method("momke", make_spec(kind)), 0.1), make_batch(kind=kind)
    seen = torch.randn(4, 4, 8, 5, 7, requires_grad=True)
    loss = method.own_losses(seen, batch)
    raw = torch.stack([plain_linear(method.expert_heads.linear, k)(seen[k, k]) for k in range(4)])
    raw = raw.unflatten(-1, (batch.y.shape[-1], -1))
    raw = method.expert_heads.rate(raw[..., 0])[..., None] if kind == "regression" else raw
    losses, counts = [], []
    for k in range(4):
        y = torch.where(batch.present[..., k, None], batch.y, float("nan"))
        losses.append(emotion_loss(raw[k], y, method.spec.task, method.loss_unit))
        counts.append(torch.isfinite(y).sum())
    expected = sum(one * count for one, count in zip(losses, counts, strict=True)) / sum(counts)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    of_whom = seen.grad.abs().amax((2, 3, 4)) > 0
    assert torch.equal(of_whom, torch.eye(4, dtype=torch.bool))
    assert not seen.grad.diagonal(0, 0, 1).movedim(-1, 0)[~batch.present.movedim(-1, 0)].any()


def test_the_experts_own_losses_are_part_of_training_alone(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method, batch = build_method("momke", make_spec()), make_batch()
    assert set(method.train()(batch).losses) == {"emotion", "experts"}
    assert set(method.eval()(batch).losses) == {"emotion"}
