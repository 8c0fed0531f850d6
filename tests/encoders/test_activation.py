"""ELU against torch's own."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

from himoe.models.encoders.activation import elu


def test_values_and_gradients_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = torch.tensor([0.0, -0.0, -90.0, 1e-6, -1e-6, 200.0, -1e30])
    x = torch.cat([3 * torch.randn(7, 5, 11, generator=generator).flatten(), edges])
    weight = torch.randn(x.shape, generator=generator)
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    left, right = elu(ours), functional.elu(theirs)
    torch.testing.assert_close(left, right.float(), rtol=1e-6, atol=2e-7)
    (left * weight).sum().backward()
    (right * weight.double()).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad.float(), rtol=1e-6, atol=5e-7)


def test_gradients_are_those_of_finite_differences() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(elu, (x,))
