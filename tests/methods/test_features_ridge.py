"""The linear floors: against scikit-learn, what is absent, who is known, labels that teach nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from himoe.models.batches import Batch, ModalityShape
from himoe.models.methods import build_method
from himoe.models.methods.base import Spec

MakeSpec = Callable[..., Spec]
SHAPES = {"EEG": ModalityShape(4, 1, 0.25), "EDA": ModalityShape(3, 1, 0.25), "TEMP": ModalityShape(2, 1, 0.25)}
METHODS = ("features_ridge", "features_ridge_person")


@pytest.fixture
def spec(make_spec: MakeSpec) -> Callable[[str], Spec]:
    """A spec of three modalities of 4, 3 and 2 features."""
    return lambda kind="regression": replace(make_spec(kind), shapes=SHAPES)


def feature_batch(seed: int, kind: str = "regression", sequences: int = 60, own: float = 0.0,
                  share: float = 1.1) -> Batch:
    """Labels that are linear in the features; *own* is how far each of five people has weights of their own."""
    generator, fixed = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(42)
    x = {m: torch.randn(sequences, 5, shape.channels, 1, generator=generator) for m, shape in SHAPES.items()}
    together = torch.cat(list(x.values()), 2)[..., 0]
    subject = torch.arange(sequences) % 5
    weights = torch.randn(9, 3, generator=fixed) + own * torch.randn(5, 9, 3, generator=fixed)
    y = (together @ weights[subject] / 2 + 0.2 * torch.randn(sequences, 5, 3, generator=generator)).clamp(-4, 4) + 5
    if kind != "regression":
        y = torch.stack([y > t for t in ((5.0,) if kind == "classification" else (4.4, 5.5))]).sum(0).float()
    y = y[..., :2] if kind == "three" else y
    present = torch.rand(sequences, 5, 3, generator=generator) < share
    return Batch(x, present, y, torch.ones(sequences, 5, dtype=torch.bool), subject, subject)


def flat(batch: Batch) -> np.ndarray:
    """Features as rows (N, P)."""
    return torch.cat([v.flatten(2) for v in batch.x.values()], -1).flatten(0, 1).numpy()


def test_ridge_equals_scikit_learn_on_standardised_features(spec: Callable[..., Spec],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Without masks in training: present rows, means for what is absent, an indicator that no row needs."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setattr("himoe.models.methods._ridge.SHARED_PENALTIES", (0.1,))
    train, test = feature_batch(0), feature_batch(1)
    train = replace(train, x={m: 3 * v + 7 for m, v in train.x.items()})
    method = build_method("features_ridge", spec())
    method.missing_max = 0.0
    method.fit([train], [])
    scaler = StandardScaler().fit(flat(train))
    test = replace(test, x={m: 3 * v + 7 for m, v in test.x.items()})
    for d in range(3):
        model = Ridge(alpha=0.1 * 600).fit(np.tile(scaler.transform(flat(train)), (2, 1)),
                                           np.tile(train.y[..., d].flatten().numpy(), 2))
        expected = model.predict(scaler.transform(flat(test))).clip(1, 9)
        np.testing.assert_allclose(method(test).prediction[..., d].flatten().numpy(), expected, rtol=1e-4)
    assert (method(test).prediction.min(), method(test).prediction.max()) == (1, 9)  # kept to the scale


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
def test_learns_what_is_linear(name: str, kind: str, spec: Callable[..., Spec]) -> None:
    own = 0.0 if name == "features_ridge" else 0.8
    train, held, test = (feature_batch(seed, kind, own=own) for seed in range(3))
    method = build_method(name, spec(kind))
    method.fit([train], [held])
    output = method(test)
    if kind == "regression":
        assert ((output.prediction - test.y) ** 2).mean() < 0.1
    else:
        right = ((output.prediction > 0.5) == test.y) if kind == "classification" else output.prediction == test.y
        assert right.float().mean() > (0.9 if kind == "classification" else 0.8)
    assert output.raw.shape[-1] == {"regression": 1, "classification": 2, "three": 3}[kind]
    assert (len(method.own) > 0) == (name == "features_ridge_person")


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_people_whom_training_does_not_know_get_the_shared_part(kind: str, spec: Callable[..., Spec]) -> None:
    train, held, test = (feature_batch(seed, kind, own=1.0) for seed in range(3))
    losses = {}
    for name in METHODS:
        method = build_method(name, spec(kind))
        method.fit([train], [held])
        losses[name] = float(method(test).losses["emotion"])
    assert losses["features_ridge_person"] < 0.5 * losses["features_ridge"]
    stranger = replace(test, subject=torch.full_like(test.subject, 6))
    alone = build_method("features_ridge_person", spec(kind))
    alone.load_state_dict({**method.state_dict(), "own": method.own[:0]})
    assert torch.equal(method(stranger).raw, alone(test).raw)
    assert not torch.equal(method(stranger).raw, method(test).raw)


def test_nobody_has_an_own_part_where_it_does_not_help(spec: Callable[..., Spec]) -> None:
    train, held = feature_batch(0, sequences=10), feature_batch(1, sequences=200)
    method = build_method("features_ridge_person", spec())
    method.fit([train], [replace(held, subject=(held.subject + 1) % 5)])
    plain = build_method("features_ridge", spec())
    plain.fit([train], [held])
    error, usual = (float(((m(held).prediction - held.y) ** 2).mean()) for m in (method, plain))
    assert error < 1.1 * usual


def test_absent_modalities_are_at_the_mean_with_an_indicator(spec: Callable[..., Spec]) -> None:
    batch = feature_batch(0, share=0.7)
    method = build_method("features_ridge", spec())
    method.fit([batch], [])
    x = method.columns(method.encode(batch), batch.present)
    assert x.shape == (60, 5, 1 + 9 + 3)
    assert (x[..., 0] == 1).all()
    assert torch.equal(x[..., 10:], (~batch.present).double())
    known = batch.present[..., method.feature_modality]
    assert (x[..., 1:10][~known] == 0).all()
    for k in range(9):
        values = x[..., 1 + k][known[..., k]]
        assert values.mean() == pytest.approx(0, abs=1e-6)
        assert values.std(unbiased=False) == pytest.approx(1, abs=1e-6)


def test_training_has_every_row_twice_once_with_modalities_dropped(spec: Callable[..., Spec]) -> None:
    method = build_method("features_ridge", spec())
    rows = method.rows([feature_batch(0, sequences=400, share=0.9)])
    both = method.with_masked_copy(rows)
    assert len(both.x) == len(both.y) == len(both.subject) == 2 * 2000
    for name in ("x", "present", "y", "subject"):
        torch.testing.assert_close(getattr(both, name)[:2000], getattr(rows, name), equal_nan=True)
    kept = both.present[2000:]
    assert not (kept & ~rows.present).any()
    assert torch.equal(kept.any(1), rows.present.any(1))
    assert float(1 - kept.sum() / rows.present.sum()) == pytest.approx(0.19, abs=0.02)
    torch.testing.assert_close(both.x[2000:], torch.where(kept[:, method.feature_modality], rows.x, float("nan")),
                               equal_nan=True)
    torch.testing.assert_close(both.y[2000:], rows.y)
    assert torch.equal(both.subject[2000:], rows.subject)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_class_that_training_lacks_is_as_good_as_excluded(lost: int, spec: Callable[..., Spec]) -> None:
    batch, held = (feature_batch(seed, "three") for seed in (0, 1))
    batch.y[batch.y == lost] = float("nan")
    method = build_method("features_ridge_person", spec("three"))
    method.fit([batch], [held])  # its rows of the lost class cannot count
    output = method(held)
    assert (torch.softmax(output.raw, -1)[..., lost] < 1e-2).all()
    rest = held.y != lost
    assert (output.prediction == held.y)[rest].float().mean() > 0.85
