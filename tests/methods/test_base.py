"""Heads that keep to the scale, and losses in units of what a constant loses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from himoe.models.batches import Task
from himoe.models.methods.base import Heads, emotion_loss, loss_unit

TASK = Task("regression", ("valence", "arousal", "dominance"), (1.0, 5.0), (3.0,))


def labels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    y = torch.tensor([2.0, 3.0, 4.2]) + torch.randn(41, 3, generator=generator) * torch.tensor([0.3, 0.6, 0.2])
    y[::7, 1] = float("nan")
    return y.clamp(1, 5)


def test_bounded_heads_keep_to_the_scale_and_start_at_the_training_mean() -> None:
    heads = Heads(4, TASK)
    heads.calibrate(labels())
    units = torch.linspace(-50, 50, 101)[:, None].expand(-1, 3)
    ratings = heads.rate(units)
    assert ((ratings >= 1) & (ratings <= 5)).all()
    assert (ratings.diff(dim=0) >= 0).all()
    torch.testing.assert_close(heads.rate(torch.zeros(3)), torch.from_numpy(np.nanmean(labels().numpy(), 0)))
    slope = (heads.rate(torch.full((3,), 1e-3)) - heads.rate(torch.full((3,), -1e-3))) / 2e-3
    place = (heads.centre - 3) / 2
    torch.testing.assert_close(slope, heads.spread * (1 - place**2), rtol=1e-2, atol=1e-3)  # of tanh at the mean


def test_unbounded_heads_are_linear() -> None:
    heads = Heads(4, TASK, bounded=False)
    heads.calibrate(labels())
    y = labels().numpy()
    torch.testing.assert_close(heads.rate(torch.tensor([2.0, -1.0, 30.0])), torch.from_numpy(
        np.nanmean(y, 0) + np.array([2.0, -1.0, 30.0], np.float32) * np.nanstd(y, 0)).float())


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_training_mean_loses_one_on_every_scale(scale: float) -> None:
    y = labels() * scale
    known = torch.isfinite(y).all(1)
    y = y[known]
    raw = y.mean(0).expand_as(y)[None, ..., None]
    assert emotion_loss(raw, y[None], TASK, loss_unit(y, TASK)).item() == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("thresholds", [(3.0,), (2.5, 3.5)])
def test_shares_of_the_classes_lose_one_and_the_loss_is_cross_entropy(thresholds: tuple[float, ...]) -> None:
    task = replace(TASK, kind="classification", thresholds=thresholds)
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.integers(0, task.outputs, (60, 3))).float()
    unit = loss_unit(y, task)
    shares = torch.stack([torch.bincount(y[:, d].long(), minlength=task.outputs) / 60 for d in range(3)])
    raw = shares.log().expand(1, 60, 3, task.outputs)
    assert emotion_loss(raw, y[None], task, unit).item() == pytest.approx(1.0, rel=1e-5)
    logits = torch.randn(1, 60, 3, task.outputs)
    each = [log_loss(y[:, d], torch.softmax(logits[0, :, d].double(), -1), labels=range(task.outputs)) / unit[d].item()
            for d in range(3)]
    assert emotion_loss(logits, y[None], task, unit).item() == pytest.approx(np.mean(each), rel=1e-4)


def test_missing_labels_carry_no_gradient_and_constant_dimensions_no_unit() -> None:
    y = torch.full((1, 5, 3), 2.0)
    y[..., 1] = float("nan")
    raw = torch.zeros(1, 5, 3, 1, requires_grad=True)
    emotion_loss(raw, y, TASK, loss_unit(y[0], TASK)).backward()
    assert loss_unit(y[0], TASK).tolist() == [1.0, 1.0, 1.0]
    assert raw.grad is not None
    assert (raw.grad[:, :, 1] == 0).all()
    assert (raw.grad[:, :, [0, 2]] != 0).all()
