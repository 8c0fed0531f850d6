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
from himoe.models.methods.base import Method, Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def slow_mult(method: Method, codes: Tensor, there: Tensor) -> Tensor:
    """One sequence: codes (T, M, F), presence (T, M) → features before the heads (T, M·F), by a loop over pairs."""
    n_steps, n, features = codes.shape
    weights = method.convolution.weight.unflatten(0, (n, features))
    tokens = [functional.conv1d(codes[:, m].T, weights[m], padding=1).T + time_code(torch.arange(n_steps), features)
              for m in range(n)]
    usable, fused, pair = [there[:, m] for m in range(n)], [], 0
    for target in range(n):
        told = []
        for source in (m for m in range(n) if m != target):
            hidden = tokens[target]
            for layer in method.cross_modal.layers:
                hidden = slow_layer(layer, pair, hidden, tokens[source], usable[source])
            told.append(plain_norm(method.cross_modal.norm, pair)(hidden))
            pair += 1
        hidden = plain_linear(method.narrow, target)(torch.cat(told, 1)) if told else tokens[target]
        for layer in method.self_attention.layers:
            hidden = slow_layer(layer, target, hidden, hidden, there.any(1))
        fused.append(plain_norm(method.self_attention.norm, target)(hidden))
    joint = torch.cat(fused, 1)
    return joint + method.joint.narrow(functional.relu(method.joint.wide(joint)))


@torch.no_grad()
@pytest.mark.parametrize("names", [["EEG", "EDA", "TEMP"], ["PPG", "EDA"], ["TEMP"]])
def test_prediction_equals_a_loop_over_ordered_pairs(names: list[str], make_spec: MakeSpec,
                                                     make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(model={"features": 6}), make_batch(share=0.6), names)
    torch.manual_seed(0)
    method = restless(build_method("mult", spec), 0.2)
    batch = part(batch, [0, 7])  # a step without any modality; two steps of padding
    codes = method.encode(batch)
    features = torch.stack([slow_mult(method, codes[b], batch.present[b]) for b in range(2)])
    torch.testing.assert_close(method.decode(codes, batch).raw, method.heads(features)[1], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_a_source_that_is_nowhere_leaves_a_target_its_own_tokens(make_spec: MakeSpec) -> None:
    method = restless(build_method("mult", make_spec(model={"features": 6})), 0.2)
    target, source = torch.randn(12, 3, 5, 6), torch.randn(12, 3, 5, 6)
    nothing = torch.zeros(12, 3, 5, dtype=torch.bool)
    alone = method.cross_modal(target, nothing, source)
    torch.testing.assert_close(alone, method.cross_modal(target, nothing, -source))
    told = method.cross_modal(target, ~nothing, source) - alone
    assert told.abs().amax((1, 2, 3)).min() > 1e-2  # every pair is told something
