from __future__ import annotations

import math

import pytest
import torch

from himoe.core.errors import InputError
from himoe.models.alignment import LagAligner, nt_xent


def slow_nt_xent(codes: torch.Tensor, present: torch.Tensor, temperature: float) -> torch.Tensor:
    """Eq. 1 and 7 word for word, one pair and one row at a time."""
    rows, masks = codes.flatten(0, 1), present.flatten(0, 1)
    losses = []
    for i in range(rows.shape[1]):
        for j in range(i + 1, rows.shape[1]):
            both = [n for n in range(len(rows)) if masks[n, i] and masks[n, j]]
            if len(both) < 2:
                continue
            concatenated = [rows[n, m] / rows[n, m].norm() for m in (i, j) for n in both]
            total = torch.zeros((), dtype=codes.dtype)
            for r, anchor in enumerate(concatenated):
                positive = (r + len(both)) % (2 * len(both))
                scores = [anchor @ other / temperature for s, other in enumerate(concatenated) if s != r]
                total = total - anchor @ concatenated[positive] / temperature + torch.logsumexp(torch.stack(scores), 0)
            losses.append(total / (2 * len(both)))
    return torch.stack(losses).mean() if losses else torch.zeros((), dtype=codes.dtype)


@pytest.mark.parametrize("share,temperature", [(1.0, 0.5), (0.6, 0.5), (0.4, 0.07), (0.25, 0.5), (0.7, 0.005)])
def test_equals_the_loop(share: float, temperature: float) -> None:
    generator = torch.Generator().manual_seed(3)
    codes = torch.randn(2, 5, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    present = torch.rand(2, 5, 4, generator=generator) < share
    fast, slow = nt_xent(codes, present, temperature), slow_nt_xent(codes, present, temperature)
    assert slow.item() > 0
    torch.testing.assert_close(fast, slow, atol=1e-9, rtol=0)
    (gradient,), (expected,) = torch.autograd.grad(fast, codes), torch.autograd.grad(slow, codes)
    torch.testing.assert_close(gradient, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("temperature", [0.01, 0.03, 0.5])
def test_single_precision_equals_the_loop(temperature: float) -> None:
    codes = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(3))
    codes[..., 1, :] *= -1  # far apart as well as near
    present = torch.rand(2, 5, 4, generator=torch.Generator().manual_seed(4)) < 0.8
    slow = slow_nt_xent(codes.double(), present, temperature)
    assert nt_xent(codes, present, temperature).item() == pytest.approx(slow.item(), rel=1e-5)


def test_pairs_with_one_row_are_left_out_and_no_pair_gives_zero() -> None:
    codes = torch.randn(2, 3, 3, 4, requires_grad=True)
    present = torch.zeros(2, 3, 3, dtype=torch.bool)
    present[0, 0] = True  # one row for every pair
    loss = nt_xent(codes, present, 0.5)
    loss.backward()
    assert loss == 0
    assert (codes.grad == 0).all()
    present[1, 1, :2] = True  # a second row for the pair (0, 1) alone
    torch.testing.assert_close(nt_xent(codes, present, 0.5), nt_xent(codes[:, :, :2], present[:, :, :2], 0.5))


def test_one_modality_gives_zero() -> None:
    assert nt_xent(torch.randn(2, 3, 1, 4), torch.ones(2, 3, 1, dtype=torch.bool), 0.5) == 0


@pytest.mark.parametrize("temperature", [1e-3, 0.02, 0.5])
def test_absent_rows_carry_no_gradient_and_extremes_stay_finite(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    codes = (torch.randn(3, 4, 5, 2, generator=generator) * 1e4)
    present = torch.rand(3, 4, 5, generator=generator) < 0.6
    codes = torch.where(present[..., None], codes, 0.0).requires_grad_()
    loss = nt_xent(codes, present, temperature)
    loss.backward()
    assert torch.isfinite(loss)
    assert loss >= 0
    assert torch.isfinite(codes.grad).all()
    assert (codes.grad[~present] == 0).all()


def test_perfect_alignment_is_the_closed_form() -> None:
    """N orthogonal samples, equal in both modalities: every row has 1 positive and 2(N-1) negatives at 0."""
    codes = torch.eye(6).reshape(2, 3, 1, 6).repeat(1, 1, 2, 1)
    loss = nt_xent(codes, torch.ones(2, 3, 2, dtype=torch.bool), 0.5)
    assert float(loss) == pytest.approx(math.log(1 + 10 * math.exp(-2)), rel=1e-5)


def test_aligner_matches_its_formula() -> None:
    torch.manual_seed(0)
    aligner = LagAligner(modalities=3, max_lag_s=5.0, step_s=2.0).double()
    with torch.no_grad():
        aligner.logits_MG.normal_(std=0.05)
    present = torch.rand(2, 7, 3) < 0.6
    present[1, 5:] = False  # padding
    codes = torch.where(present[..., None], torch.randn(2, 7, 3, 4, dtype=torch.float64), 0.0)
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[1, 5:] = False
    got, there = aligner(codes, present, valid)
    share = torch.softmax(20.0 * aligner.logits_MG, -1)
    for b in range(2):
        for t in range(7):
            for m in range(3):
                expected, total = torch.zeros(4, dtype=torch.float64), 0.0
                for g, lag in enumerate(range(-2, 3)):
                    if valid[b, t] and 0 <= t + lag < 7 and present[b, t + lag, m]:
                        expected = expected + share[m, g] * codes[b, t + lag, m]
                        total = total + share[m, g]
                assert bool(there[b, t, m]) == (total >= 0.5)
                torch.testing.assert_close(got[b, t, m], expected / total if total >= 0.5 else 0 * expected)
    assert 0 < there.sum() < there.numel() - 6
    lags_s = [sum(share[m, g].item() * lag * 2.0 for g, lag in enumerate(range(-2, 3))) for m in range(3)]
    assert aligner.lags_s().tolist() == pytest.approx(lags_s)


def test_aligner_starts_where_it_is_told_and_undoes_a_delay() -> None:
    """A code that says its own time: after a lag of 3 s, at 2 s per step, step t holds what was seen at t + 1.5."""
    aligner = LagAligner(2, max_lag_s=6.0, step_s=2.0)
    aligner.start(torch.tensor([3.0, -20.0]))  # the second is beyond reach
    assert aligner.lags_s().tolist() == pytest.approx([3.0, -6.0], abs=0.8)
    assert float(aligner.lags_s()[0]) == pytest.approx(3.0, abs=0.05)
    time = torch.arange(24.0)[None, :, None, None].expand(1, 24, 2, 1)
    got, there = aligner(time, torch.ones(1, 24, 2, dtype=torch.bool), torch.ones(1, 24, dtype=torch.bool))
    assert got[0, 4:20, 0, 0].tolist() == pytest.approx((torch.arange(4.0, 20.0) + 1.5).tolist(), abs=0.05)
    assert there[0, :, 0].tolist() == [True] * 23 + [False]  # at the end there is nothing to come


def test_aligner_learns_a_known_delay() -> None:
    """Modality 1 repeats modality 0 two steps later; aligning them contrastively must find +2 against 0."""
    torch.manual_seed(0)
    source = torch.randn(3, 30, 5)
    codes = torch.stack([source[:, 3:-3], source[:, 1:-5]], 2)
    present, valid = torch.ones(3, 24, 2, dtype=torch.bool), torch.ones(3, 24, dtype=torch.bool)
    aligner = LagAligner(2, max_lag_s=6.0, step_s=2.0)
    optimiser = torch.optim.Adam(aligner.parameters(), 0.01)
    for _ in range(50):
        optimiser.zero_grad()
        nt_xent(*aligner(codes, present, valid), 0.2).backward()
        optimiser.step()
    lags_s = aligner.lags_s()
    assert float(lags_s[1] - lags_s[0]) == pytest.approx(4.0, abs=0.4)


def test_lag_shorter_than_a_step_is_refused() -> None:
    with pytest.raises(InputError, match="max_lag_s"):
        LagAligner(2, max_lag_s=1.0, step_s=2.0)


def test_a_bound_on_rows_changes_nothing_until_it_is_met_and_is_the_loss_of_those_rows_then() -> None:
    generator = torch.Generator().manual_seed(5)
    codes, present = torch.randn(3, 4, 5, 2, generator=generator), torch.ones(3, 4, 5, dtype=torch.bool)
    whole = nt_xent(codes, present, 0.5)
    assert torch.equal(nt_xent(codes, present, 0.5, max_rows=12), whole)
    draws = torch.arange(12) / 12  # the largest win: the last 7 samples
    bounded = nt_xent(codes, present, 0.5, lambda count: draws, max_rows=7)
    last = nt_xent(codes.flatten(0, 1)[None, 5:], present.flatten(0, 1)[None, 5:], 0.5)
    torch.testing.assert_close(bounded, last)
    assert bounded < whole  # fewer negatives
