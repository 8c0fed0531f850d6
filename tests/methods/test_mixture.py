from __future__ import annotations

import numpy as np
import torch

from himoe.models.methods._mixture import Experts, spread_squared, top_gates


def test_top_gates_are_a_softmax_over_the_best() -> None:
    scores = torch.randn(11, 5, generator=torch.Generator().manual_seed(0))
    gates = top_gates(scores, 2).numpy()
    for row, found in zip(scores.numpy(), gates, strict=True):
        best = np.argsort(row)[-2:]
        expected = np.zeros(5)
        expected[best] = np.exp(row[best]) / np.exp(row[best]).sum()
        np.testing.assert_allclose(found, expected, atol=1e-6)
    torch.testing.assert_close(top_gates(scores, 9), torch.softmax(scores, -1))  # fewer experts than are kept


@torch.no_grad()
def test_experts_equal_a_loop() -> None:
    torch.manual_seed(0)
    experts, x = Experts(3, 5, 7, 0.0), torch.randn(11, 5)
    gates = top_gates(torch.randn(11, 3), 2)
    expected = torch.zeros(11, 5)
    for e in range(3):
        hidden = torch.nn.functional.gelu(x @ experts.first.weight[e] + experts.first.bias[e])
        expected += gates[:, e, None] * (hidden @ experts.second.weight[e] + experts.second.bias[e])
    torch.testing.assert_close(experts(x, gates), expected)


def test_spread_is_that_of_the_tokens_that_count() -> None:
    gates = torch.softmax(torch.randn(11, 4, generator=torch.Generator().manual_seed(0)), -1)
    counted = torch.arange(11) % 3 == 0
    importance = gates[counted].sum(0).numpy()
    np.testing.assert_allclose(spread_squared(gates, counted), (importance.std() / importance.mean()) ** 2, rtol=1e-5)
    assert spread_squared(gates, torch.zeros(11, dtype=torch.bool)) == 0
    assert spread_squared(torch.full((11, 4), 0.25), counted) < 1e-9
