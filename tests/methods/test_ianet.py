from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from sequence_checks import (
    check_codes_of_sequences_do_not_meet,
    check_length_and_gaps,
    check_padding_and_gradient_mode,
    choose,
)
from torch import Tensor, nn

from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods._attention import GroupedLayer, time_code
from himoe.methods.base import Method, Spec
from himoe.methods.ianet import LowRankFusion, cross_modal_transformers

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def built(spec: Spec) -> Method:
    torch.manual_seed(0)
    return build_method("ianet", spec).eval()


def slow_block(block: GroupedLayer, g: int, target: Tensor, source: Tensor, present: Tensor) -> Tensor:
    """Block *g* on one sequence (T, F), with torch's own attention; only the present source tokens are handed on."""
    features = target.shape[-1]

    def normed(norm: nn.Module, x: Tensor) -> Tensor:
        return functional.layer_norm(x, (features,), norm.weight[g, 0], norm.bias[g, 0])

    hidden = target
    if present.any():
        own = block.attention
        attention = nn.MultiheadAttention(features, own.heads, batch_first=True).eval()
        attention.in_proj_weight.copy_(torch.cat([own.query.weight[g].T, own.key_value.weight[g].T]))
        attention.in_proj_bias.copy_(torch.cat([own.query.bias[g, 0], own.key_value.bias[g, 0]]))
        attention.out_proj.weight.copy_(own.out.weight[g].T)
        attention.out_proj.bias.zero_()
        seen = normed(block.source_norm, source[present])[None]
        hidden = target + attention(normed(block.norm, target)[None], seen, seen)[0][0]
    wide = functional.gelu(normed(block.network_norm, hidden) @ block.wide.weight[g] + block.wide.bias[g])
    return hidden + wide @ block.narrow.weight[g] + block.narrow.bias[g]


def slow_fusion(fusion: LowRankFusion, g: int, vectors: list[Tensor]) -> Tensor:
    """Outer product of (z, 1) of one row, contracted with the full weight tensor; *vectors* has 0 where absent."""
    outputs = []
    for o in range(fusion.bias_GF.shape[1]):
        weight = 0
        for r in range(fusion.rank_GR.shape[1]):
            full = fusion.rank_GR[g, r]
            for j in range(len(vectors)):
                factor = torch.cat([fusion.factor_GJFRO[g, j, :, r, o], fusion.constant_GJRO[g, j, r, o][None]])
                full = full[..., None] * factor
            weight = weight + full
        outer = torch.ones(())
        for vector in vectors:
            outer = outer[..., None] * torch.cat([vector, torch.ones(1)])
        outputs.append((weight * outer).sum() + fusion.bias_GF[g, o])
    return torch.stack(outputs)


def scramble(module: nn.Module) -> None:
    """Random values in every parameter, those that start at 0 or 1 too."""
    for parameter in module.parameters():
        parameter.copy_(0.4 * torch.randn(parameter.shape))


@torch.no_grad()
@pytest.mark.parametrize("features,heads", [(8, 4), (6, 2), (7, 1)])
def test_cross_modal_blocks_equal_torchs_attention(features: int, heads: int) -> None:
    torch.manual_seed(1)
    blocks = cross_modal_transformers(3, features, 0.4).eval()
    assert blocks.attention.heads == heads
    scramble(blocks)
    target, source = torch.randn(3, 5, 4, features), torch.randn(3, 5, 4, features)
    present = torch.rand(3, 5, 4) < 0.6
    present[1, 2] = False
    got = blocks(target, source, present)
    for g in range(3):
        for b in range(5):
            expected = slow_block(blocks, g, target[g, b], source[g, b], present[g, b])
            torch.testing.assert_close(got[g, b], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_low_rank_fusion_equals_the_outer_product() -> None:
    torch.manual_seed(1)
    fusion = LowRankFusion(2, 3, 4, rank=5)
    scramble(fusion)
    z, present = torch.randn(2, 3, 6, 4), torch.rand(3, 6) < 0.6
    present[:, 2], present[:, 4] = False, True
    got = fusion(torch.where(present[..., None], z, float("nan")), present)  # what is absent is not looked at
    assert got.shape == (2, 6, 4)
    for g in range(2):
        for n in range(6):
            expected = slow_fusion(fusion, g, [z[g, j, n] * present[j, n] for j in range(3)])
            torch.testing.assert_close(got[g, n], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_absent_vector_leaves_its_constant_alone() -> None:
    torch.manual_seed(1)
    fusion = LowRankFusion(1, 2, 3, rank=4)
    scramble(fusion)
    z = torch.randn(1, 2, 1, 3)
    got = fusion(z, torch.tensor([[True], [False]]))[0, 0]
    one = torch.einsum("f,fro->ro", z[0, 0, 0], fusion.factor_GJFRO[0, 0]) + fusion.constant_GJRO[0, 0]
    expected = torch.einsum("r,ro,ro->o", fusion.rank_GR[0], one, fusion.constant_GJRO[0, 1]) + fusion.bias_GF[0]
    torch.testing.assert_close(got, expected)


def test_a_product_of_many_factors_starts_neither_at_nothing_nor_out_of_bounds() -> None:
    torch.manual_seed(1)
    fused = LowRankFusion(2, 11, 32)(torch.randn(2, 11, 50, 32), torch.ones(11, 50, dtype=torch.bool))
    assert 0.1 < float(fused.detach().std()) < 20


@torch.no_grad()
def test_prediction_is_the_chain_of_the_paper(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=0.5)
    spec, batch = choose(make_spec(), batch, ("PPG", "EEG", "EDA", "TEMP"))  # the primary is not the first
    method = built(spec)
    assert (method.primary, method.auxiliary) == (1, [0, 2, 3])
    codes, auxiliary, features = method.encode(batch), [0, 2, 3], 7
    tokens = codes * math.sqrt(features) + time_code(5, features)[None, :, None]
    prediction = method.decode(codes, batch).prediction
    pair = {(i, j): p for p, (i, j) in enumerate((i, j) for i in range(3) for j in range(3) if i != j)}
    for b in range(8):
        there = batch.present[b][:, auxiliary]
        z = [tokens[b, :, m] for m in auxiliary]
        refined, enhanced = [], []
        for i in range(3):
            views = [z[i] if j == i else slow_block(method.refine, pair[i, j], z[i], z[j], there[:, j])
                     for j in range(3)]
            refined.append(torch.stack([slow_fusion(method.fusion, i, [views[j][t] * there[t, j] for j in range(3)])
                                        for t in range(5)]))
            enhanced.append(slow_block(method.enhance, i, tokens[b, :, 1], refined[i], there.any(1)))
        some = batch.present[b].any(1)
        joint = torch.zeros(1, 5, 21)
        if some.any():
            joint = method.self_attention.layers(torch.cat(enhanced, 1)[None], src_key_padding_mask=~some[None])
        parts = torch.cat([joint[0], torch.cat(refined, 1) * there.any(1)[:, None]], 1)
        expected = method.heads(method.norm(parts))[0]
        torch.testing.assert_close(prediction[b], expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("names,pairs,auxiliaries", [(("EDA", "PPG", "TEMP"), 2, 2), (("EEG", "TEMP"), 0, 1),
                                                     (("TEMP",), 0, 0), (("TEMP", "EDA", "EEG", "PPG"), 6, 3)])
def test_parts_by_number_of_modalities(names: tuple[str, ...], pairs: int, auxiliaries: int, make_spec: MakeSpec,
                                       make_batch: MakeBatch) -> None:
    method = built(choose(make_spec(), make_batch(), names)[0])
    assert method.primary == (names.index("EEG") if "EEG" in names else 0)
    assert (0 if method.refine is None else len(method.refine.wide.weight)) == pairs
    assert (0 if method.enhance is None else len(method.enhance.wide.weight)) == auxiliaries
    assert (0 if method.fusion is None else len(method.fusion.bias_GF)) == auxiliaries
    assert method.heads.linear.in_features == 7 * max(1, 2 * auxiliaries)


@pytest.mark.parametrize("names", [("EEG",), ("TEMP", "PPG"), ("EEG", "EDA", "PPG", "TEMP")])
def test_gradients_with_any_number_of_auxiliaries(names: tuple[str, ...], make_spec: MakeSpec,
                                                  make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(), make_batch(), names)
    method = built(spec).train()
    sum(method(batch).losses.values()).backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
@pytest.mark.parametrize("steps", [1, 37])
@pytest.mark.parametrize("names", [("EEG",), ("TEMP",), ("EDA", "PPG", "TEMP"), ("PPG", "EEG")])
def test_any_modalities_and_length(names: tuple[str, ...], steps: int, kind: str, make_spec: MakeSpec,
                                   make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind, sequences=4, steps=max(steps, 2), share=0.5)
    check_length_and_gaps(built, *choose(make_spec(kind), batch, names), steps)


def test_sequences_do_not_meet(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    check_codes_of_sequences_do_not_meet(built(make_spec()), make_batch(), atol=1e-5, rtol=1e-5)


def test_padding_and_gradient_mode_have_no_influence(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    check_padding_and_gradient_mode(built(make_spec()), make_batch())
