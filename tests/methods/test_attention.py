from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from reference import plain_attention, plain_linear, plain_norm, restless, slow_layer
from torch import nn

from himoe.models.methods._attention import (
    Encoder,
    GroupedAttention,
    GroupedLayer,
    GroupedLinear,
    pool,
)
from himoe.models.methods._times import time_code, with_time


@pytest.mark.parametrize("features", [1, 6, 7])
def test_time_code_equals_the_formula(features: int) -> None:
    code = time_code(torch.arange(5), features)
    for t in range(5):
        for f in range(features):
            angle = t / 10000 ** ((f - f % 2) / features)
            assert float(code[t, f]) == pytest.approx(math.cos(angle) if f % 2 else math.sin(angle), abs=1e-6)
    tokens = torch.randn(2, 3, 5, features)
    torch.testing.assert_close(with_time(tokens, 3.0)[1, 2], 3.0 * tokens[1, 2] + code)


def test_pooling_is_the_mean_of_the_usable_or_of_all() -> None:
    torch.manual_seed(0)
    tokens, usable = torch.randn(6, 5, 3, 4), torch.rand(6, 5, 3) < 0.4
    usable[1, 2], usable[2, 3] = False, True
    pooled = pool(tokens, usable)
    for b in range(6):
        for t in range(5):
            chosen = [tokens[b, t, s].numpy() for s in range(3) if usable[b, t, s] or not usable[b, t].any()]
            np.testing.assert_allclose(pooled[b, t].numpy(), np.mean(chosen, axis=0), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("groups,features,heads", [(3, 8, 4), (2, 6, 2), (1, 7, 1)])
@pytest.mark.parametrize("source_norm,out_bias", [(False, True), (True, False)])
def test_layer_equals_separate_layers_of_torch(groups: int, features: int, heads: int, source_norm: bool,
                                               out_bias: bool) -> None:
    torch.manual_seed(0)
    activation = functional.gelu if source_norm else functional.relu
    layer = restless(GroupedLayer(groups, features, 0.4, widening=3, activation=activation, source_norm=source_norm,
                                  out_bias=out_bias))
    assert layer.attention.heads == heads
    x, source = torch.randn(groups, 5, 4, features), torch.randn(groups, 5, 9, features)
    for rows in (1, groups):  # one mask for all groups; a mask for each
        usable = torch.rand(rows, 5, 9) < 0.6
        usable[-1, 2] = False
        for asked in (x, source):  # cross-modal; self-attention
            got = layer(asked, source, usable)
            for g in range(groups):
                slow = [slow_layer(layer, g, asked[g, b], source[g, b], usable[g % rows, b]) for b in range(5)]
                torch.testing.assert_close(got[g], torch.stack(slow), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_encoder_equals_torchs_own() -> None:
    torch.manual_seed(1)
    encoder = restless(Encoder(2, 6, 3, 0.1, widening=2))
    tokens, present = torch.randn(2, 5, 4, 6), torch.rand(2, 5, 4) < 0.6
    present[1, 3] = False
    got = encoder(tokens, present)
    for g in range(2):
        expected = tokens[g]
        for layer in encoder.layers:
            plain = nn.TransformerEncoderLayer(6, 2, 12, 0.1, "gelu", batch_first=True, norm_first=True).eval()
            plain.self_attn = plain_attention(layer.attention, g)
            plain.norm1, plain.norm2 = plain_norm(layer.norm, g), plain_norm(layer.network_norm, g)
            plain.linear1, plain.linear2 = plain_linear(layer.wide, g), plain_linear(layer.narrow, g)
            expected = plain(expected, src_key_padding_mask=~(present[g] | ~present[g].any(1, keepdim=True)))
        expected = torch.where(present[g].any(1)[:, None, None], expected, 0.0)
        torch.testing.assert_close(got[g], expected, atol=1e-5, rtol=1e-5)


def test_draws_are_those_of_torchs_own_layers() -> None:
    torch.manual_seed(0)
    attention, torchs = GroupedAttention(9, 32, 0.1), nn.MultiheadAttention(32, 4)
    linear, torchs_linear = GroupedLinear(9, 32, 50), nn.Linear(32, 50)
    for own, other in ((attention.query.weight, torchs.in_proj_weight), (linear.weight, torchs_linear.weight),
                       (attention.key_value.weight, torchs.in_proj_weight), (linear.bias, torchs_linear.bias),
                       (attention.out.weight, torchs.out_proj.weight)):
        assert float(own.detach().abs().max()) == pytest.approx(float(other.detach().abs().max()), rel=0.05)
        assert float(own.detach().std()) == pytest.approx(float(other.detach().std()), rel=0.2)
    assert not any(module.bias.any() for module in (attention.query, attention.key_value, attention.out))
