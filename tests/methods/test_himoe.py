from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from himoe.alignment import nt_xent
from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods.base import Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def test_diagnostics(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    diagnostics = build_method("himoe", make_spec(alignment={"max_lag_s": 4.0}))(make_batch()).diagnostics
    assert {name: tuple(value.shape) for name, value in diagnostics.items()} == {
        "modality_gates": (8, 5, 4, 2), "fusion_weights": (8, 5, 4), "emotion_gates": (8, 5, 6), "lags_s": (4,)}
    for name in ("modality_gates", "fusion_weights", "emotion_gates"):
        torch.testing.assert_close(diagnostics[name].sum(-1), torch.ones(diagnostics[name].shape[:-1]))


def test_prediction_is_the_chain_of_its_parts(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    method = build_method("himoe", make_spec()).eval()
    z, _ = method.modality_bank(method.encode(batch))
    fused, _ = method.fusion(z)
    emotion, _ = method.emotion_bank(fused)
    torch.testing.assert_close(method(batch).prediction, method.heads(emotion)[0])


def test_no_emotion_experts_is_the_identity(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    method = build_method("himoe", make_spec(model={"emotion_experts": 0})).eval()
    fused, _ = method.fusion(method.modality_bank(method.encode(batch))[0])
    output = method(batch)
    torch.testing.assert_close(output.prediction, method.heads(fused)[0])
    assert set(output.diagnostics) == {"modality_gates", "fusion_weights"}


def test_hard_routing_uses_one_expert(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method = build_method("himoe", make_spec(model={"soft_routing": False}))
    output = method(make_batch())
    assert torch.equal(output.diagnostics["modality_gates"].max(-1).values, torch.ones(8, 5, 4))
    sum(output.losses.values()).backward()
    assert method.modality_bank.gate_weight_MKF.grad.abs().max() > 0


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_alignment_loss_only_in_training_and_if_weighted(weight: float, make_spec: MakeSpec,
                                                         make_batch: MakeBatch) -> None:
    batch = make_batch()
    method = build_method("himoe", make_spec(alignment={"weight": weight, "temperature": 0.2}))
    codes = method.encode(batch)
    losses = method.decode(codes, batch).losses
    assert set(losses) == ({"alignment"} if weight else set())
    if weight:
        torch.testing.assert_close(losses["alignment"], weight * nt_xent(codes, batch.present, 0.2))
    assert method.eval().decode(codes, batch).losses == {}


def test_lags_off_have_no_parameters(make_spec: MakeSpec) -> None:
    names = [name for name, _ in build_method("himoe", make_spec()).named_parameters()]
    lagged = [name for name, _ in build_method("himoe", make_spec(alignment={"max_lag_s": 4.0})).named_parameters()]
    assert set(lagged) - set(names) == {"lags.logits_MG"}


def test_absent_everywhere_predicts_the_same_at_every_step(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    empty = batch.with_present(torch.zeros_like(batch.present))
    prediction = build_method("himoe", make_spec())(empty).prediction
    assert torch.isfinite(prediction).all()
    torch.testing.assert_close(prediction, prediction[:1, :1].expand(8, 5, 3))
