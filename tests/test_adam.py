"""The optimiser against torch's own, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from himoe.training.adam import Adam, scheduled


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_torchs_own(weight_decay: float) -> None:
    ours, theirs = network(3), network(3)
    adam = Adam(ours.parameters(), 0.05, weight_decay)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.05, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(reference, 9)  # no warm-up
    generator = torch.Generator().manual_seed(1)
    for epoch in range(9):
        adam.learning_rate = scheduled(0.05, epoch, 0, 9)
        assert adam.learning_rate == pytest.approx(reference.param_groups[0]["lr"])
        x = torch.randn(11, 5, generator=generator)
        for model, optimizer in ((ours, adam), (theirs, reference)):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        schedule.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_the_rate_rises_over_the_warm_up_and_falls_to_nothing() -> None:
    rates = [scheduled(0.05, step, 4, 30) for step in range(30)]
    cosine = [scheduled(0.05, step, 0, 30) for step in range(30)]
    assert [rate / whole for rate, whole in zip(rates, cosine, strict=True)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, *[1.0] * 26])
    assert rates[-1] < 0.01 * max(rates)


def test_parameters_without_a_gradient_stay() -> None:
    used, unused = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(3))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    adam = Adam([used, unused, frozen], 0.1)
    used.sum().backward()
    adam.step()
    assert (used < 1).all()
    assert (unused == 1).all()
    assert (frozen == 1).all()
    adam.zero_grad()
    assert used.grad is None


def test_parts_of_the_first_axis_may_have_rates_of_their_own() -> None:
    torch.manual_seed(1)
    start, gradient = torch.randn(5, 3), torch.randn(5, 3)
    together = start.clone().requires_grad_()
    optimiser = Adam([together], 1.0, 0.1)
    alone = [start[part].clone().requires_grad_() for part in (slice(0, 2), slice(2, 5))]
    each = [Adam([parameter], rate, 0.1) for parameter, rate in zip(alone, (0.5, 0.01), strict=True)]
    for _ in range(3):
        together.grad = gradient.clone()
        optimiser.step([(slice(0, 2), 0.5), (slice(2, 5), 0.01)])
        for parameter, part, own in zip(alone, (slice(0, 2), slice(2, 5)), each, strict=True):
            parameter.grad = gradient[part].clone()
            own.step()
    torch.testing.assert_close(together.detach(), torch.cat([parameter.detach() for parameter in alone]))
