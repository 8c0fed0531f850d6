from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods.base import Spec


@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
def test_decisions_are_averaged_over_present_modalities(kind: str, make_spec: Callable[..., Spec],
                                                        make_batch: Callable[..., Batch]) -> None:
    batch = make_batch(kind=kind)
    method = build_method("late_fusion", make_spec(kind)).eval()
    codes = method.encode(batch)
    output = method.decode(codes, batch)
    found = torch.softmax(output.raw, -1) if kind == "three" else output.prediction
    for b in range(8):
        votes = []
        for m in range(4):
            state = (torch.zeros(1, 1, 7), torch.zeros(1, 1, 7))
            steps = []
            for t in range(5):
                hidden, state = method.recurrent[m](codes[b:b + 1, t:t + 1, m], state)
                decision = method.heads[m](hidden[0, 0])
                steps.append(torch.softmax(decision[1], -1) if kind == "three" else decision[0])
            votes.append(steps)
        for t in range(5):
            voters = [m for m in range(4) if batch.present[b, t, m]] or [0, 1, 2, 3]
            expected = sum(votes[m][t] for m in voters) / len(voters)
            torch.testing.assert_close(found[b, t], expected, atol=1e-5, rtol=1e-5)
            if kind == "three":
                assert torch.equal(output.prediction[b, t], expected.argmax(-1).float())
