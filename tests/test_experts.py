"""Each module against a literal loop over its equation, in float64; every axis has its own size."""

from __future__ import annotations

import math

import pytest
import torch

from himoe.core.errors import InputError
from himoe.models.experts import AttentionFusion, EmotionExpertBank, ModalityExpertBank, hard_routing

B, T, M, K, L, F, H = 2, 3, 4, 5, 6, 7, 8


def _gelu(x: torch.Tensor) -> torch.Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def _softmax(scores: list[torch.Tensor]) -> list[torch.Tensor]:
    exponentials = [torch.exp(score) for score in scores]
    return [e / sum(exponentials) for e in exponentials]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("soft", [True, False])
def test_modality_bank_matches_equations_2_and_3(soft: bool, residual: bool) -> None:
    torch.manual_seed(0)
    bank = ModalityExpertBank(M, K, F, H, soft, residual).double()
    x = torch.randn(B, T, M, F, dtype=torch.float64)
    x[0, 1, 2] = 0  # an absent modality
    z, gates = bank(x)
    for b in range(B):
        for t in range(T):
            for m in range(M):
                code = x[b, t, m]
                scores = [bank.gate_weight_MKF[m, k] @ code + bank.gate_bias_MK[m, k] for k in range(K)]
                alpha = _softmax(scores)
                if not soft:
                    best = max(range(K), key=lambda k: scores[k].item())
                    alpha = [torch.tensor(float(k == best), dtype=torch.float64) for k in range(K)]
                answer = torch.zeros(F, dtype=torch.float64)
                for k in range(K):
                    hidden = _gelu(bank.w1_MKFH[m, k].T @ code + bank.b1_MKH[m, k])
                    expert = bank.w2_MKHF[m, k].T @ hidden + bank.b2_MKF[m, k] + (code if residual else 0)
                    answer = answer + alpha[k] * expert
                torch.testing.assert_close(z[b, t, m], answer, atol=1e-6, rtol=0)
                torch.testing.assert_close(gates[b, t, m], torch.stack(alpha), atol=1e-6, rtol=0)


def test_absent_modality_is_routed_by_the_gate_bias() -> None:
    torch.manual_seed(0)
    bank = ModalityExpertBank(M, K, F, H)
    _, gates = bank(torch.zeros(B, T, M, F))
    torch.testing.assert_close(gates, torch.softmax(bank.gate_bias_MK, -1).expand(B, T, M, K))


def test_hard_routing_has_the_soft_gradient() -> None:
    scores = torch.randn(3, K, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, K, dtype=torch.float64)
    hard = hard_routing(torch.softmax(scores, -1))
    assert torch.equal(hard.sort(-1).values, torch.tensor([[0.0] * (K - 1) + [1.0]] * 3, dtype=torch.float64))
    (gradient,) = torch.autograd.grad((hard * weights).sum(), scores)
    (expected,) = torch.autograd.grad((torch.softmax(scores, -1) * weights).sum(), scores)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("present_only", [True, False])
def test_fusion_matches_equation_4(present_only: bool) -> None:
    """Over present modalities, or over all of them where that is asked for or none is present."""
    torch.manual_seed(0)
    fusion = AttentionFusion(F, present_only).double()
    z = torch.randn(B, T, M, F, dtype=torch.float64)
    present = torch.rand(B, T, M) < 0.5
    present[1, 2] = False
    fused, weights = fusion(z, present)
    for b in range(B):
        for t in range(T):
            heard = [m for m in range(M) if present[b, t, m]] if present_only and present[b, t].any() else range(M)
            a = dict(zip(heard, _softmax([fusion.query_F @ z[b, t, m] / math.sqrt(F) for m in heard]), strict=True))
            expected = torch.stack([a.get(m, torch.zeros((), dtype=torch.float64)) for m in range(M)])
            torch.testing.assert_close(weights[b, t], expected, atol=1e-6, rtol=0)
            torch.testing.assert_close(fused[b, t], sum(a[m] * z[b, t, m] for m in heard), atol=1e-6, rtol=0)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("similarity", ["scaled_dot", "cosine"])
def test_emotion_bank_matches_equations_5_and_6(similarity: str, residual: bool) -> None:
    torch.manual_seed(0)
    bank = EmotionExpertBank(L, F, H, similarity, residual).double()
    z = torch.randn(B, T, F, dtype=torch.float64) * 2
    e, beta = bank(z)
    for b in range(B):
        for t in range(T):
            question = z[b, t]
            answers = [bank.w2_LHF[n].T @ _gelu(bank.w1_LFH[n].T @ question + bank.b1_LH[n]) + bank.b2_LF[n]
                       + (question if residual else 0) for n in range(L)]
            scale = [math.sqrt(F) if similarity == "scaled_dot" else question.norm() * y.norm() for y in answers]
            expected = _softmax([question @ y / s for y, s in zip(answers, scale, strict=True)])
            torch.testing.assert_close(beta[b, t], torch.stack(expected), atol=1e-6, rtol=0)
            torch.testing.assert_close(e[b, t], sum(w * y for w, y in zip(expected, answers, strict=True)),
                                       atol=1e-6, rtol=0)


def test_unknown_similarity_is_refused() -> None:
    with pytest.raises(InputError, match="'dot'"):
        EmotionExpertBank(L, F, H, "dot")
