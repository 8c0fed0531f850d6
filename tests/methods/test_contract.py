"""What every registered method must do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from himoe.batches import Batch
from himoe.errors import InputError
from himoe.methods import build_method, method_class, method_names
from himoe.methods.base import Heads, Method, Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]
KINDS = ("regression", "classification", "three")
METHODS = method_names()
LEARNED = [name for name in METHODS if method_class(name).gradient]
LOOKING = [name for name in METHODS if not name.startswith("mean")]


def ready(name: str, spec: Spec, batch: Batch, steps: int = 3, rate: float = 1e-2) -> Method:
    """The method after a few steps of training on *batch*."""
    torch.manual_seed(0)
    method = build_method(name, spec)
    if not method.gradient:
        method.fit([batch], [batch])
        return method.eval()
    for module in method.modules():
        if isinstance(module, Heads):
            module.calibrate(batch.y.flatten(0, 1))
    optimiser = torch.optim.Adam(method.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(method(batch).losses.values()).backward()
        optimiser.step()
    return method.eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_output_shapes_and_ranges(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind)
    method = ready(name, make_spec(kind), batch)
    output = method(batch)
    dimensions, outputs = {"regression": (3, 1), "classification": (3, 2), "three": (2, 3)}[kind]
    assert output.prediction.shape == (8, 5, dimensions)
    assert output.raw.shape == (8, 5, dimensions, outputs)
    assert torch.isfinite(output.raw).all()  # one step is all-absent, two are padding
    assert set(output.losses) == {"emotion"}
    if kind == "regression":
        torch.testing.assert_close(output.prediction, output.raw[..., 0])
    elif kind == "classification":
        torch.testing.assert_close(output.prediction, torch.softmax(output.raw, -1)[..., 1], atol=2e-6, rtol=0)
    else:
        best = output.raw.max(-1, keepdim=True).values == output.raw
        assert best.gather(-1, output.prediction.long()[..., None]).all()
        assert output.prediction.dtype == torch.float32
        assert len(output.prediction.unique()) > 1 or not method.looks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_decode_under_a_mask_equals_forward_with_it(name: str, kind: str, make_spec: MakeSpec,
                                                    make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind)
    method = ready(name, make_spec(kind, alignment={"max_lag_s": 4.0}), batch)
    fewer = batch.with_present(torch.rand(batch.present.shape, generator=torch.Generator().manual_seed(9)) < 0.5)
    with torch.no_grad():
        once = method.decode(method.encode(batch), fewer).raw
        anew = method(fewer).raw
        full = method(batch).raw
    torch.testing.assert_close(once, anew, atol=1e-5, rtol=1e-5)
    assert torch.equal(once, full) == (name not in LOOKING)


@pytest.mark.parametrize(("training", "kind"), [(True, "regression"), (False, "regression"), (True, "three")])
@pytest.mark.parametrize("name", LEARNED)
def test_absent_values_have_no_influence(name: str, training: bool, kind: str, make_spec: MakeSpec,
                                         make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind)
    poisoned = dataclasses.replace(batch, x={
        m: torch.where(batch.present[..., i, None, None], x, float("nan")) for i, (m, x) in enumerate(batch.x.items())})
    seen = []
    for candidate in (batch, poisoned):
        method = ready(name, make_spec(kind, alignment={"max_lag_s": 4.0}), candidate).train(training)
        output = method(candidate)
        method.zero_grad()
        sum(output.losses.values()).backward()
        seen.append([output.raw, *(p.grad for p in method.parameters() if p.grad is not None),
                     *method.state_dict().values()])
    for clean, other in zip(*seen, strict=True):
        assert torch.isfinite(clean).all()
        assert torch.equal(clean, other)


@pytest.mark.parametrize("kind", ["regression", "three"])
def test_absent_values_have_no_influence_on_trees(kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind, sequences=16)
    poisoned = dataclasses.replace(batch, x={
        m: torch.where(batch.present[..., i, None, None], x, float("inf")) for i, (m, x) in enumerate(batch.x.items())})
    first, second = (ready("features_gbdt", make_spec(kind), b) for b in (batch, poisoned))
    assert torch.equal(first(batch).raw, second(poisoned).raw)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LEARNED)
def test_gradients_reach_every_parameter(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind)
    torch.manual_seed(0)
    method = build_method(name, make_spec(kind, alignment={"max_lag_s": 4.0}))
    sum(method(batch).losses.values()).backward()
    for parameter_name, parameter in method.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOOKING)
def test_overfits_a_tiny_set(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    sequences = 60 if name == "features_gbdt" else 8
    batch = make_batch(kind=kind, sequences=sequences, share=1.1)
    method = ready(name, make_spec(kind), batch, steps=200, rate=3e-3)
    floor = ready("mean", make_spec(kind), batch)
    with torch.no_grad():
        loss, chance = float(method(batch).losses["emotion"]), float(floor(batch).losses["emotion"])
    assert loss < (0.7 if name == "features_gbdt" else 0.2) * chance


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_result(name: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(sequences=16)
    spec = make_spec(model={"dropout": 0.3})
    first, second = (ready(name, spec, batch).state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_state_survives_safetensors(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch,
                                    tmp_path: Path) -> None:
    batch, other = make_batch(kind=kind, sequences=16), make_batch(seed=1, kind=kind, sequences=6)
    spec = make_spec(kind)
    method = ready(name, spec, batch)
    save_file({key: value.contiguous() for key, value in method.state_dict().items()}, tmp_path / "weights.safetensors")
    torch.manual_seed(5)
    fresh = build_method(name, spec)
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    fresh.eval()
    assert torch.equal(fresh(other).raw, method(other).raw)


def test_unknown_method_and_empty_spec_are_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match=r"'himo'.*himoe"):
        build_method("himo", make_spec())
    with pytest.raises(InputError, match="0 modalities"):
        build_method("himoe", dataclasses.replace(make_spec(), shapes={}))
