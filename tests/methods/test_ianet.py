from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference import choose, restless, slow_layer
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._times import time_code
from himoe.models.methods.base import Spec
from himoe.models.methods.ianet import LowRankFusion

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def slow_fusion(fusion: LowRankFusion, g: int, vectors: Tensor, there: Tensor) -> Tensor:
    """Outer product of (n(z), 1) of one row, contracted with the full weight tensor: vectors (J, F), there (J,)."""
    spread = (vectors - vectors.mean(-1, keepdim=True)) / (vectors.var(-1, False, keepdim=True) + 1e-5).sqrt()
    outer = torch.ones(())
    for z, here in zip(spread, there, strict=True):
        outer = outer[..., None] * torch.cat([z * here, torch.ones(1)])
    outputs = []
    for o in range(fusion.bias_GF.shape[1]):
        weight = torch.zeros(())
        for r in range(fusion.rank_GR.shape[1]):
            full = fusion.rank_GR[g, r]
            for j in range(len(vectors)):
                full = full[..., None] * torch.cat([fusion.factor_GJFRO[g, j, :, r, o],
                                                    fusion.constant_GJRO[g, j, r, o][None]])
            weight = weight + full
        outputs.append((weight * outer).sum() + fusion.bias_GF[g, o])
    return torch.stack(outputs)


@torch.no_grad()
def test_low_rank_fusion_equals_the_outer_product() -> None:
    torch.manual_seed(1)
    fusion = restless(LowRankFusion(2, 3, 4, rank=5))
    z, present = 7 * torch.randn(2, 3, 6, 4) + 3, torch.rand(3, 6) < 0.6
    present[:, 2], present[:, 4] = False, True
    got = fusion(torch.where(present[..., None], z, 9e9), present)  # what is absent is not looked at
    assert torch.isfinite(fusion(torch.where(present[..., None], z, float("nan")), present)).all()
    for g in range(2):
        for n in range(6):
            expected = slow_fusion(fusion, g, z[g, :, n], present[:, n])
            torch.testing.assert_close(got[g, n], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("factors", [1, 2, 5, 11])
def test_the_product_starts_at_one_scale_for_any_number_of_factors(factors: int) -> None:
    torch.manual_seed(1)
    fusion, z = LowRankFusion(20, factors, 32), torch.randn(20, factors, 500, 32)
    there = torch.ones(factors, 500, dtype=torch.bool)
    fused = fusion(z, there)
    variance = fused.var(1).mean(1) / fusion.rank_GR.square().sum(1)
    assert float(variance.mean()) == pytest.approx((1 + 1 / factors) ** factors - 1, rel=0.1)  # at most e - 1
    torch.testing.assert_close(fusion(100.0 * z, there), fused, atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_prediction_is_the_chain_of_the_paper(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(), make_batch(share=0.5), ("PPG", "EEG", "EDA", "TEMP"))  # the primary is not first
    torch.manual_seed(0)
    method = restless(build_method("ianet", spec), 0.1)
    assert (method.primary, method.auxiliary) == (1, [0, 2, 3])
    codes = method.encode(batch)
    tokens = codes + time_code(torch.arange(5), 7)[:, None]
    prediction = method.decode(codes, batch).prediction
    pair = {(i, j): p for p, (i, j) in enumerate((i, j) for i in range(3) for j in range(3) if i != j)}
    for b in range(8):
        there, z = batch.present[b][:, [0, 2, 3]], [tokens[b, :, m] for m in (0, 2, 3)]
        refined, enhanced = [], []
        for i in range(3):
            views = torch.stack([z[i] if j == i else slow_layer(method.refine, pair[i, j], z[i], z[j], there[:, j])
                                 for j in range(3)])
            refined.append(torch.stack([slow_fusion(method.fusion, i, views[:, t], there[t]) for t in range(5)]))
            enhanced.append(slow_layer(method.enhance, i, tokens[b, :, 1], refined[i], there.any(1)))
        joint = torch.cat(enhanced, 1)
        some = batch.present[b].any(1)
        joint = slow_layer(method.self_attention.layers[0], 0, joint, joint, some) * some.any()
        parts = torch.cat([joint, torch.cat(refined, 1) * there.any(1)[:, None]], 1)
        torch.testing.assert_close(prediction[b], method.heads(method.norm(parts))[0], atol=1e-4, rtol=1e-4)
