from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.methods._attention import (
    Dropout,
    Encoder,
    GroupedAttention,
    GroupedLayer,
    GroupedLinear,
    GroupedNorm,
    n_heads,
    pool,
    time_code,
    with_time,
)

ACTIVATIONS = {"relu": (functional.relu, nn.ReLU), "gelu": (functional.gelu, nn.GELU)}


def scramble(module: nn.Module) -> None:
    """Random values in every parameter, those that start at 0 or 1 too."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape))


def plain_linear(linear: GroupedLinear, g: int) -> nn.Linear:
    """Group *g* as torch's own layer."""
    plain = nn.Linear(*linear.weight.shape[1:], bias=linear.bias is not None)
    plain.weight.data.copy_(linear.weight[g].T)
    if linear.bias is not None:
        plain.bias.data.copy_(linear.bias[g, 0])
    return plain


def plain_norm(norm: GroupedNorm, g: int) -> nn.LayerNorm:
    plain = nn.LayerNorm(norm.weight.shape[-1])
    plain.weight.data.copy_(norm.weight[g, 0])
    plain.bias.data.copy_(norm.bias[g, 0])
    return plain


def plain_attention(attention: GroupedAttention, g: int) -> nn.MultiheadAttention:
    features = attention.query.weight.shape[1]
    plain = nn.MultiheadAttention(features, attention.heads, batch_first=True)
    plain.in_proj_weight.data.copy_(torch.cat([attention.query.weight[g].T, attention.key_value.weight[g].T]))
    plain.in_proj_bias.data.copy_(torch.cat([attention.query.bias[g, 0], attention.key_value.bias[g, 0]]))
    plain.out_proj.weight.data.copy_(attention.out.weight[g].T)
    plain.out_proj.bias.data.zero_()
    if attention.out.bias is not None:
        plain.out_proj.bias.data.copy_(attention.out.bias[g, 0])
    return plain


def slow_layer(layer: GroupedLayer, g: int, x: Tensor, source: Tensor, usable: Tensor, activation: nn.Module) -> Tensor:
    """Group *g* of the layer on one sequence (Q, F) by torch's own layers; only usable source tokens are handed on."""
    hidden = x
    if usable.any():
        seen = plain_norm(layer.source_norm or layer.norm, g)(source[usable])[None]
        hidden = x + plain_attention(layer.attention, g)(plain_norm(layer.norm, g)(x)[None], seen, seen)[0][0]
    network = nn.Sequential(plain_norm(layer.network_norm, g), plain_linear(layer.wide, g), activation,
                            plain_linear(layer.narrow, g))
    return hidden + network(hidden)


@pytest.mark.parametrize("features,heads", [(32, 4), (12, 4), (6, 2), (7, 1), (1, 1)])
def test_heads_divide_the_features(features: int, heads: int) -> None:
    assert n_heads(features) == heads


@pytest.mark.parametrize("features", [1, 6, 7])
def test_time_code_equals_the_formula(features: int) -> None:
    code = time_code(5, features)
    assert code.shape == (5, features)
    for t in range(5):
        for f in range(features):
            angle = t / 10000 ** ((f - f % 2) / features)
            assert float(code[t, f]) == pytest.approx(math.cos(angle) if f % 2 else math.sin(angle), abs=1e-6)
    tokens = torch.randn(2, 3, 5, features)
    for b in range(2):
        for m in range(3):
            torch.testing.assert_close(with_time(tokens)[b, m], tokens[b, m] * features**0.5 + code)


def test_pooling_is_the_mean_of_the_usable_or_of_all() -> None:
    torch.manual_seed(0)
    tokens, usable = torch.randn(6, 5, 3, 4), torch.rand(6, 5, 3) < 0.4
    usable[1, 2], usable[2, 3] = False, True
    pooled = pool(tokens, usable)
    assert pooled.shape == (6, 5, 4)
    for b in range(6):
        for t in range(5):
            chosen = [tokens[b, t, s].numpy() for s in range(3) if usable[b, t, s] or not usable[b, t].any()]
            np.testing.assert_allclose(pooled[b, t].numpy(), np.mean(chosen, axis=0), atol=1e-6)


def test_grouped_linear_and_norm_equal_torchs_own() -> None:
    torch.manual_seed(0)
    for groups in (1, 3):
        rows = torch.randn(groups, 5, 4)
        norm = GroupedNorm(groups, 4)
        modules = [GroupedLinear(groups, 4, 7), GroupedLinear(groups, 4, 7, bias=False)]
        for module in (norm, *modules):
            scramble(module)
        for g in range(groups):
            torch.testing.assert_close(norm(rows)[g], plain_norm(norm, g)(rows[g]))
            for linear in modules:
                torch.testing.assert_close(linear(rows)[g], plain_linear(linear, g)(rows[g]))


@torch.no_grad()
@pytest.mark.parametrize("groups,features,heads", [(3, 8, 4), (2, 6, 2), (1, 7, 1)])
@pytest.mark.parametrize("source_norm,out_bias,activation", [(False, True, "relu"), (True, False, "gelu")])
def test_layer_equals_separate_layers_of_torch(groups: int, features: int, heads: int, source_norm: bool,
                                               out_bias: bool, activation: str) -> None:
    torch.manual_seed(0)
    function, module = ACTIVATIONS[activation]
    layer = GroupedLayer(groups, features, 0.4, widening=3, activation=function, source_norm=source_norm,
                         out_bias=out_bias).eval()
    scramble(layer)
    assert layer.attention.heads == heads
    x, source = torch.randn(groups, 5, 4, features), torch.randn(groups, 5, 9, features)
    for rows in (1, groups):  # one mask for all groups; a mask for each
        usable = torch.rand(rows, 5, 9) < 0.6
        usable[-1, 2] = False
        for asked, mask in ((x, usable), (source, usable)):  # cross-modal; self-attention
            got = layer(asked, source, mask)
            slow = torch.stack([torch.stack([
                slow_layer(layer, g, asked[g, b], source[g, b], mask[g % rows, b], module()) for b in range(5)])
                for g in range(groups)])
            torch.testing.assert_close(got, slow, atol=1e-5, rtol=1e-5)


def test_gradients_equal_differences() -> None:
    torch.manual_seed(0)
    layer = GroupedLayer(2, 4, 0.0).double()
    scramble(layer)
    x, source = torch.randn(2, 3, 2, 4, dtype=torch.float64), torch.randn(2, 3, 5, 4, dtype=torch.float64)
    usable = torch.rand(1, 3, 5) < 0.6
    usable[0, 1] = False
    inputs = (x.requires_grad_(), source.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: layer(a, b, usable), inputs)


@pytest.mark.parametrize("out_bias", [True, False])
def test_without_a_usable_token_the_answer_is_zero(out_bias: bool) -> None:
    torch.manual_seed(0)
    attention = GroupedAttention(2, 6, 0.3, out_bias)
    scramble(attention)
    usable = torch.rand(2, 5, 9) < 0.6
    usable[:, :, 0] = True
    usable[0, 3] = usable[1, 1] = False
    query, source = torch.randn(2, 20, 6), torch.randn(2, 45, 6)
    for training in (True, False):
        answer = attention.train(training)(query, source, usable).unflatten(1, (5, 4))
        nothing = (answer == 0).flatten(2).all(-1)
        assert nothing.nonzero().tolist() == [[0, 3], [1, 1]]
    other = torch.where(usable.flatten(1)[..., None], source, torch.randn(2, 45, 6))
    assert torch.equal(attention(query, other, usable), attention(query, source, usable))


def test_draws_are_those_of_torchs_own_layers() -> None:
    torch.manual_seed(0)
    attention, torchs = (module.requires_grad_(False) for module in
                         (GroupedAttention(9, 32, 0.1), nn.MultiheadAttention(32, 4)))
    bound = float(torchs.in_proj_weight.abs().max())
    for weight in (attention.query.weight, attention.key_value.weight):
        assert float(weight.abs().max()) == pytest.approx(bound, rel=0.01)
        assert float(weight.std()) == pytest.approx(float(torchs.in_proj_weight.std()), rel=0.05)
    assert float(attention.out.weight.std()) == pytest.approx(float(torchs.out_proj.weight.std()), rel=0.06)
    for linear in (attention.query, attention.key_value, attention.out):
        assert (linear.bias == 0).all()
    linear, torchs = (module.requires_grad_(False) for module in (GroupedLinear(9, 32, 50), nn.Linear(32, 50)))
    assert float(linear.weight.abs().max()) == pytest.approx(float(torchs.weight.abs().max()), rel=0.01)
    assert float(linear.bias.std()) == pytest.approx(32**-0.5 / 3**0.5, rel=0.1)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.999])
def test_dropout_keeps_the_mean_and_the_asked_share(p: float) -> None:
    torch.manual_seed(0)
    dropout, x = Dropout(p), torch.full((301, 333), 2.0, requires_grad=True)
    y = dropout(x)
    kept = y.detach() != 0
    n = x.numel()
    assert abs(float(kept.double().mean()) - (1 - p)) < 4 * math.sqrt(p * (1 - p) / n) + 2**-16
    torch.testing.assert_close(y.detach()[kept], torch.full((int(kept.sum()),), 2.0 / (1 - p)), rtol=0.01, atol=0)
    y.sum().backward()
    assert torch.equal(x.grad * 2.0, y.detach())
    # Neighbours, which share one draw of 64 bits, are independent.
    flat = kept.flatten().double()
    for gap in (1, 2, 3, 4):
        both = float((flat[:-gap] * flat[gap:]).mean())
        assert abs(both - (1 - p) ** 2) < 5 * math.sqrt(p * (1 - p) / n)


def test_dropout_is_off_in_evaluation_follows_the_seed_and_takes_any_shape() -> None:
    x = torch.randn(3, 5, 7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert (Dropout(1.0)(x) == 0).all()
    masks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        masks.append(Dropout(0.5)(x) != 0)
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert Dropout(0.5)(x.transpose(0, 2)).shape == (7, 5, 3)


def test_attention_weights_are_dropped_in_training() -> None:
    torch.manual_seed(0)
    attention = GroupedAttention(1, 8, 0.5)
    query, source, usable = torch.randn(1, 6, 8), torch.randn(1, 10, 8), torch.ones(1, 2, 5, dtype=torch.bool)
    assert not torch.equal(attention(query, source, usable), attention(query, source, usable))
    draws = torch.stack([attention(query, source, usable) for _ in range(3000)])
    expected = attention.eval()(query, source, usable)
    error = draws.std(0) / 3000**0.5
    assert ((draws.mean(0) - expected).abs() < 5 * error + 1e-6).all()
    assert torch.equal(expected, attention(query, source, usable))


@torch.no_grad()
def test_encoder_never_attends_to_absent_tokens() -> None:
    torch.manual_seed(1)
    encoder = Encoder(6, 2, 2, 12, 0.1).eval()
    tokens, present = torch.randn(5, 4, 6), torch.rand(5, 4) < 0.6
    present[1] = False
    other = torch.where(present[..., None], tokens, torch.randn(5, 4, 6))
    torch.testing.assert_close(encoder(tokens, present)[present], encoder(other, present)[present])
    assert (encoder(tokens, present)[1] == 0).all()
