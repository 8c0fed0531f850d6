from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from reference import choose, part, plain_norm, restless, slow_layer
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._times import time_code
from himoe.models.methods.base import Method, Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def timed(tokens: Tensor) -> Tensor:
    """Tokens (..., T, F) as both transformers take them."""
    return tokens * tokens.shape[-1] ** 0.5 + time_code(torch.arange(tokens.shape[-2]), tokens.shape[-1])


def slow_husformer(method: Method, codes: Tensor, there: Tensor) -> Tensor:
    """One sequence: codes (T, M, F), presence (T, M) → features before the heads (T, F)."""
    n_modalities, features = codes.shape[1:]
    weights = method.convolution.weight.unflatten(0, (n_modalities, features))
    tokens = torch.stack([functional.conv1d(codes[:, m].T, weights[m], padding=1).T for m in range(n_modalities)])
    usable, source = there.T.flatten(), timed(tokens).flatten(0, 1)
    crossed = []
    for m, hidden in enumerate(timed(tokens)):
        for layer in method.cross_modal.layers:
            hidden = slow_layer(layer, m, hidden, source, usable)
        crossed.append(plain_norm(method.cross_modal.norm, m)(hidden))
    hidden = timed(torch.stack(crossed)).flatten(0, 1)
    for layer in method.self_attention.layers:
        hidden = slow_layer(layer, 0, hidden, hidden, usable)
    last = plain_norm(method.self_attention.norm, 0)(hidden).unflatten(0, (n_modalities, -1))
    return torch.stack([last[there[t] if there[t].any() else ~there[t], t].mean(0) for t in range(len(codes))])


@torch.no_grad()
@pytest.mark.parametrize("names", [["EEG", "EDA", "TEMP"], ["PPG", "EDA"], ["TEMP"]])
def test_prediction_equals_the_slow_model(names: list[str], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(model={"features": 6}), make_batch(share=0.6), names)
    torch.manual_seed(0)
    method = restless(build_method("husformer", spec))
    assert [len(layer.wide.weight) for layer in method.cross_modal.layers] == [len(names)] * 3
    assert len(method.self_attention.layers) == 5
    batch = part(batch, [0, 7])  # a step without any modality; two steps of padding
    codes = method.encode(batch)
    features = torch.stack([slow_husformer(method, codes[b], batch.present[b]) for b in range(2)])
    torch.testing.assert_close(method.decode(codes, batch).prediction, method.heads(features)[0], rtol=1e-3, atol=1e-3)
