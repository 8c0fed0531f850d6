from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from himoe.models.alignment import nt_xent
from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods.base import Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def test_diagnostics(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    diagnostics = build_method("himoe", make_spec(alignment={"max_lag_s": 4.0}))(make_batch()).diagnostics
    assert {name: tuple(value.shape) for name, value in diagnostics.items()} == {
        "modality_gates": (8, 5, 4, 2), "fusion_weights": (8, 5, 4), "emotion_gates": (8, 5, 6), "lags_s": (4,)}
    for name in ("modality_gates", "fusion_weights", "emotion_gates"):
        torch.testing.assert_close(diagnostics[name].sum(-1), torch.ones(diagnostics[name].shape[:-1]))


@pytest.mark.parametrize("experts", [6, 0])
def test_prediction_is_the_chain_of_its_parts(experts: int, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    """Without emotion experts their bank is the identity."""
    batch = make_batch()
    method = build_method("himoe", make_spec(model={"emotion_experts": experts})).eval()
    fused, _ = method.fusion(method.modality_bank(method.encode(batch))[0], batch.present)
    output = method(batch)
    emotion = method.emotion_bank(fused)[0] if experts else fused
    torch.testing.assert_close(output.prediction, method.heads(emotion)[0])
    assert set(output.diagnostics) == {"modality_gates", "fusion_weights", *(["emotion_gates"] if experts else [])}


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


def test_absent_everywhere_predicts_the_same_at_every_step(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    empty = batch.with_present(torch.zeros_like(batch.present))
    prediction = build_method("himoe", make_spec())(empty).prediction
    assert torch.isfinite(prediction).all()
    torch.testing.assert_close(prediction, prediction[:1, :1].expand(8, 5, 3))


def _survival(make_spec: MakeSpec, residual: bool, experts: int) -> tuple[dict[str, float], float]:
    """SD over windows of each stage, in SDs of the code, and the gradient at the encoders, at initialisation."""
    torch.manual_seed(0)
    method = build_method("himoe", make_spec(model={
        "features": 32, "modality_experts": 4, "emotion_experts": experts, "expert_hidden": 64, "residual": residual}))
    codes = torch.randn(40, 9, 4, 32, requires_grad=True)
    present = torch.ones(40, 9, 4, dtype=torch.bool)
    z, _ = method.modality_bank(codes)
    fused, _ = method.fusion(z, present)
    stages = {"code": codes, "modality": z, "fusion": fused}
    if experts:
        stages["emotion"] = method.emotion_bank(fused)[0]
    rated = method.heads.linear(list(stages.values())[-1])
    (gradient,) = torch.autograd.grad(rated.square().sum(), codes)
    spread = {name: float(value.detach().flatten(0, 1).std(0).mean()) for name, value in stages.items()}
    return {name: value / spread["code"] for name, value in spread.items()}, float(gradient.norm())


def test_the_signal_survives_both_banks(make_spec: MakeSpec) -> None:
    spread, gradient = _survival(make_spec, residual=True, experts=6)
    assert all(1 / 3 < value < 3 for value in spread.values()), spread
    assert 1 / 3 < gradient / _survival(make_spec, residual=True, experts=0)[1] < 3
    dead, faint = _survival(make_spec, residual=False, experts=6)
    assert dead["emotion"] < 1 / 30  # what the test would see if the skip connections went
    assert faint < gradient / 30
