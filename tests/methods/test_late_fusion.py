from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference import plain_linear, restless, slow_lstm

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods.base import Spec
from himoe.models.methods.late_fusion import LateFusion

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
def test_decisions_are_averaged_over_present_modalities(kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    torch.manual_seed(0)
    batch = make_batch(kind=kind)
    method = restless(build_method("late_fusion", make_spec(kind)))
    method.calibrate(batch.y.flatten(0, 1))
    codes = method.encode(batch)
    output = method.decode(codes, batch)
    for b in range(8):
        states = [slow_lstm(method.recurrent, m, codes[b, :, m]) for m in range(4)]
        decisions = [plain_linear(method.heads.linear, m)(states[m]) for m in range(4)]
        for t in range(5):
            voters = [m for m in range(4) if batch.present[b, t, m]] or [0, 1, 2, 3]
            if kind == "regression":  # in SDs from the mean; then on the scale
                expected = method.heads.rate(sum(decisions[m][t] for m in voters) / len(voters))
                torch.testing.assert_close(output.prediction[b, t], expected, atol=1e-5, rtol=1e-5)
            else:
                votes = [torch.softmax(decisions[m][t].unflatten(0, output.raw.shape[2:]), -1) for m in voters]
                expected = sum(votes) / len(voters)
                torch.testing.assert_close(torch.softmax(output.raw[b, t], -1), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_alone_each_modality_is_trained_on_its_own_decision(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    class Alone(LateFusion):
        alone = True

    torch.manual_seed(0)
    batch = make_batch()
    method = restless(Alone(make_spec(model={"bounded": False})))
    method.calibrate(batch.y.flatten(0, 1))
    codes, known = method.encode(batch), torch.isfinite(batch.y)
    assert not method.decode(codes, batch).losses  # judged by the mean, as every method is
    decisions = method.heads.decisions(method.recurrent(codes.movedim(2, 0)))[..., 0]
    errors = [(method.heads.rate(decisions[m]) - batch.y) ** 2 / method.loss_unit for m in range(4)]
    expected = torch.cat([errors[m][known & batch.present[..., m, None]] for m in range(4)]).mean()
    torch.testing.assert_close(method.train().decode(codes, batch).losses["emotion"], expected)
    batch.present[:] = True  # then the mean of losses is the loss of the mean, plus the decisions' spread
    output = method.decode(codes, batch)
    joint = ((output.prediction - batch.y) ** 2 / method.loss_unit)[known].mean()
    decisions = method.heads.rate(method.heads.decisions(method.recurrent(codes.movedim(2, 0)))[..., 0])
    spread = (decisions.var(0, correction=0) / method.loss_unit)[known].mean()
    torch.testing.assert_close(output.losses["emotion"], joint + spread)
