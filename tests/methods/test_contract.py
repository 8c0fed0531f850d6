"""What every registered method must do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from reference import FEATURES, SHAPES, choose, part, restless
from safetensors.torch import load_file, save_file
from torch import Tensor

from himoe.core.errors import InputError
from himoe.core.params import AlignmentParams, ModelParams
from himoe.models.batches import Batch, ModalityShape, Task
from himoe.models.methods import build_method, method_class, method_names
from himoe.models.methods.base import Method, Spec
from himoe.models.noise import Noise

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]
KINDS = ("regression", "classification", "three")
METHODS = method_names()
NETWORKS = [name for name in METHODS if method_class(name).gradient]
LOOKING = [name for name in METHODS if method_class(name).looks]
FITTED = [name for name in LOOKING if name not in NETWORKS]
EVERYTHING = {"max_lag_s": 4.0}
READ = {name: FEATURES if method_class(name).reads == "features" else SHAPES for name in METHODS}


@pytest.fixture(autouse=True)
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not hang on how many penalties are tried or trees are grown, but its time does."""
    monkeypatch.setattr("himoe.models.methods._ridge.SHARED_PENALTIES", (1.0, 0.1, 0.01))
    monkeypatch.setattr("himoe.models.methods.features_gbdt.MAX_TREES", 60)


def ready(name: str, spec: Spec, batch: Batch, steps: int = 3, rate: float = 1e-2) -> Method:
    """The method after a few steps of training on *batch*."""
    torch.manual_seed(0)
    method = build_method(name, spec)
    method.calibrate(batch.y.flatten(0, 1))
    if not method.gradient:
        method.fit([batch], [batch])
        return method.eval()
    optimiser = torch.optim.Adam(method.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(method(batch).losses.values()).backward()
        optimiser.step()
    return method.eval()


FITS: dict[tuple[str, str], Method] = {}


def fitted(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> tuple[Method, Spec, Batch]:
    """A method after training on 16 sequences, its spec and the batch; trained once for all tests, which only read."""
    batch, spec = make_batch(kind=kind, sequences=16, shapes=READ[name]), make_spec(kind, shapes=READ[name])
    if (name, kind) not in FITS:
        FITS[name, kind] = ready(name, spec, batch)
    return FITS[name, kind], spec, batch


def untrained(name: str, spec: Spec) -> Method:
    """A network with every parameter moved from where it starts."""
    torch.manual_seed(0)
    return restless(build_method(name, spec), 0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_output_state_and_masks(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch,
                                tmp_path: Path) -> None:
    """Shapes and ranges; weights that survive a file; decoding under a mask is the forward pass with it."""
    method, spec, batch = fitted(name, kind, make_spec, make_batch)
    with torch.no_grad():
        output, codes = method(batch), method.encode(batch)
    dimensions, outputs = {"regression": (3, 1), "classification": (3, 2), "three": (2, 3)}[kind]
    assert output.prediction.shape == (16, 5, dimensions)
    assert output.raw.shape == (16, 5, dimensions, outputs)
    assert torch.isfinite(output.raw).all()  # one step is all-absent, two are padding
    assert set(output.losses) == {"emotion"}
    if kind == "regression":
        torch.testing.assert_close(output.prediction, output.raw[..., 0])
    elif kind == "classification":
        torch.testing.assert_close(output.prediction, torch.softmax(output.raw, -1)[..., 1], atol=2e-6, rtol=0)
    else:
        best = output.raw.max(-1, keepdim=True).values == output.raw
        assert best.gather(-1, output.prediction.long()[..., None]).all()
    fewer = batch.with_present(torch.rand(batch.present.shape, generator=torch.Generator().manual_seed(9)) < 0.5)
    with torch.no_grad():
        once = method.decode(codes, fewer).raw
        torch.testing.assert_close(once, method(fewer).raw, atol=1e-5, rtol=1e-5)
    assert torch.equal(once, output.raw) == (name not in LOOKING)
    save_file({key: value.contiguous() for key, value in method.state_dict().items()}, tmp_path / "weights.safetensors")
    torch.manual_seed(5)
    fresh = build_method(name, spec)
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(fresh.eval()(batch).raw, output.raw)


@pytest.mark.parametrize(("training", "kind"), [(True, "regression"), (False, "three")])
@pytest.mark.parametrize("name", NETWORKS)
def test_absent_values_have_no_influence(name: str, training: bool, kind: str, make_spec: MakeSpec,
                                         make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind)
    poisoned = dataclasses.replace(batch, x={
        m: torch.where(batch.present[..., i, None, None], x, float("nan")) for i, (m, x) in enumerate(batch.x.items())})
    seen = []
    for candidate in (batch, poisoned):
        method = ready(name, make_spec(kind, alignment=EVERYTHING), candidate).train(training)
        output = method(candidate)
        method.zero_grad()
        sum(output.losses.values()).backward()
        seen.append([output.raw, *(p.grad for p in method.parameters() if p.grad is not None),
                     *method.state_dict().values()])
    for clean, other in zip(*seen, strict=True):
        assert torch.isfinite(clean).all()
        assert torch.equal(clean, other)
    codes = method.eval().encode(batch)
    junk = torch.where(batch.present[..., None], codes, 9.0)
    assert torch.equal(method.decode(junk, batch).raw, method.decode(codes, batch).raw)


@pytest.mark.parametrize("name", FITTED)
def test_absent_values_have_no_influence_on_fitted_methods(name: str, make_spec: MakeSpec,
                                                           make_batch: MakeBatch) -> None:
    first, spec, batch = fitted(name, "regression", make_spec, make_batch)
    poisoned = dataclasses.replace(batch, x={
        m: torch.where(batch.present[..., i, None, None], x, float("inf")) for i, (m, x) in enumerate(batch.x.items())})
    second = ready(name, spec, poisoned)
    assert torch.equal(first(batch).raw, second(poisoned).raw)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in METHODS if name not in NETWORKS])
def test_labels_that_teach_nothing(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    """Without a label the middle is predicted, and a label that never changes as it is."""
    batch = make_batch(kind=kind, shapes=READ[name])
    batch.y[..., 0], batch.y[..., 1] = float("nan"), 1.0
    prediction = ready(name, make_spec(kind, shapes=READ[name]), batch)(batch).prediction
    middle = {"regression": 5.0, "classification": 0.5, "three": 0.0}[kind]
    torch.testing.assert_close(prediction[..., :2], torch.tensor([middle, 1.0]).expand(8, 5, 2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name,kind", [(name, "regression") for name in LOOKING] + [("late_fusion", "three"),
                                                                                    ("himoe", "classification")])
def test_overfits_a_tiny_set(name: str, kind: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind, sequences=60 if name in FITTED else 8, share=1.1, shapes=READ[name])
    method = ready(name, make_spec(kind, shapes=READ[name]), batch, steps=30, rate=2e-2)
    floor = ready("mean", make_spec(kind), batch)
    with torch.no_grad():
        loss, chance = float(method(batch).losses["emotion"]), float(floor(batch).losses["emotion"])
    assert loss < (0.85 if name in FITTED else 0.3) * chance


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_result(name: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    before, _, batch = fitted(name, "regression", make_spec, make_batch)
    spec = make_spec(model={"dropout": 0.3}, shapes=READ[name])
    first = ready(name, spec, batch).state_dict() if name in NETWORKS else before.state_dict()
    second = ready(name, spec, batch).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("names,kind,steps", [
    (("EEG",), "three", 1), (("TEMP",), "regression", 37), (("EDA", "PPG", "TEMP"), "classification", 2),
    (("PPG", "EEG"), "three", 5), (tuple(SHAPES), "regression", 5)])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_modalities_and_length(name: str, names: tuple[str, ...], kind: str, steps: int, make_spec: MakeSpec,
                                   make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(kind), make_batch(kind=kind, sequences=4, steps=max(steps, 2), share=0.5), names)
    batch = part(batch, slice(None), slice(steps)).with_present(torch.arange(4)[:, None, None] != 2)  # one has nothing
    method = untrained(name, dataclasses.replace(spec, alignment=AlignmentParams(**EVERYTHING))).train()
    output = method(batch)
    assert output.prediction.shape == (4, steps, len(spec.task.dimensions))
    assert torch.isfinite(output.raw).all()
    sum(output.losses.values()).backward()
    absent = {m for k, m in enumerate(names) if not batch.present[..., k].any()}
    for key, parameter in method.named_parameters():  # the encoder of a modality that no window has is not run
        assert parameter.grad is not None or absent & set(key.split(".")), key
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key
        assert len(names) < 4 or parameter.grad.any(), key


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_sequences_do_not_mix_and_padding_is_not_read(name: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    method = untrained(name, make_spec(alignment=EVERYTHING))
    codes = method.encode(batch)
    known = method.decode(codes, batch).prediction
    close = {"atol": 1e-4, "rtol": 1e-4}
    order = [3, 7, 0, 5, 1, 6, 2, 4]
    torch.testing.assert_close(method.decode(codes[order], part(batch, order)).prediction, known[order], **close)
    alone = method.decode(codes[-1:, :3], part(batch, [7], slice(3)))  # the last sequence is padded by two steps
    torch.testing.assert_close(alone.prediction[0], known[-1, :3], **close)
    nothing = torch.zeros(8, 4, 4, dtype=torch.bool)
    longer = dataclasses.replace(batch, present=torch.cat([batch.present, nothing], 1),
                                 valid=torch.cat([batch.valid, nothing[..., 0]], 1))
    padded = method.decode(torch.cat([codes, torch.full((8, 4, 4, 7), 1e3)], 1), longer).prediction[:, :5]
    torch.testing.assert_close(padded[batch.valid], known[batch.valid], **close)


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_how_far_a_step_is_heard(name: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=1.1, steps=6)
    batch.present[:], batch.valid[:] = True, True
    method = untrained(name, make_spec())
    codes = torch.randn(8, 6, 4, 7)
    changed = codes.clone()
    changed[2, 3, 1] += torch.randn(7)
    moved = (method.decode(changed, batch).prediction - method.decode(codes, batch).prediction).abs().amax(-1) > 1e-6
    heard = {"himoe": [3], "late_fusion": [3, 4, 5]}.get(name, list(range(6)))
    assert moved.nonzero().tolist() == [[2, step] for step in heard]


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("himoe", "late_fusion")])
def test_dropout_only_in_training(name: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method, batch = build_method(name, make_spec(model={"dropout": 0.5})), make_batch()
    codes = torch.randn(8, 5, 4, 7)
    first = method.decode(codes, batch).raw
    for source in (module for module in method.modules() if isinstance(module, Noise)):
        source.key += 1
    assert not torch.equal(method.decode(codes, batch).raw, first)
    method.eval()
    assert torch.equal(method.decode(codes, batch).raw, method.decode(codes, batch).raw)


@cache
def at_the_start(name: str, modalities: int) -> tuple[float, float]:
    """SD over windows of what enters a network's heads, and size of the codes' gradient, for random codes of SD 1."""
    shapes = {m: ModalityShape(1, 4, 1.0) for m in ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP", "ECG")}
    shapes = dict(list(shapes.items())[:modalities])
    spec = Spec(shapes, Task("regression", ("valence", "arousal"), (1.0, 9.0), (5.0,)),
                ModelParams(features=32, dropout=0.0), AlignmentParams(weight=0.0))
    spreads, gradients = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        method, labels = build_method(name, spec), 5 + 2 * torch.randn(32, 8, 2)
        method.calibrate(labels.flatten(0, 1))
        there = torch.ones(32, 8, modalities, dtype=torch.bool)
        nobody = torch.zeros(32, dtype=torch.int64)
        batch = Batch({m: torch.zeros(32, 8, 1, 4) for m in shapes}, there, labels, there[..., 0], nobody, nobody)
        inputs: list[Tensor] = []
        method.heads.linear.register_forward_pre_hook(lambda _, given, into=inputs: into.append(given[0].detach()))
        codes = torch.randn(32, 8, modalities, 32, requires_grad=True)
        output = method.decode(codes, batch)
        ((output.prediction - labels) ** 2 / method.loss_unit).mean().backward()
        entering = inputs[0].reshape(-1, 256, inputs[0].shape[-1])
        spreads.append(float(entering.var(1).mean().sqrt()))
        gradients.append(float(codes.grad.norm()))
    return sum(spreads) / 3, sum(gradients) / 3


@pytest.mark.parametrize("modalities", [2, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_signal_survives_at_the_start(name: str, modalities: int) -> None:
    spread, gradient = at_the_start(name, modalities)
    assert 1 / 3 < spread < 3
    usual = at_the_start("late_fusion", modalities)[1]
    assert usual / 6 < gradient < 6 * usual


def test_unknown_method_and_empty_spec_are_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match=r"'himo'.*himoe"):
        build_method("himo", make_spec())
    with pytest.raises(InputError, match="0 modalities"):
        build_method("himoe", dataclasses.replace(make_spec(), shapes={}))
