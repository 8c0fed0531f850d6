"""Builders of small specs and batches; every axis has a size of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from reference import SHAPES

from himoe.core.params import AlignmentParams, ModelParams
from himoe.models.batches import Batch, ModalityShape, Task
from himoe.models.methods.base import Spec

DIMENSIONS = ("valence", "arousal", "dominance")
# Kinds of task that tests are run for: "classification" is into two classes, "three" into three (of two dimensions).
THRESHOLDS = {"regression": (5.0,), "classification": (5.0,), "three": (4.4, 5.5)}


@pytest.fixture
def make_spec() -> Callable[..., Spec]:
    """``make_spec(kind, model={...}, alignment={...}, shapes=...)``; *kind* is a key of ``THRESHOLDS``."""

    def build(kind: str = "regression", model: dict | None = None, alignment: dict | None = None,
              shapes: dict[str, ModalityShape] = SHAPES) -> Spec:
        sizes = {"features": 7, "modality_experts": 2, "emotion_experts": 6, "expert_hidden": 11, "dropout": 0.0,
                 "eeg_filters": 3, **(model or {})}
        task = Task(kind, DIMENSIONS, (1.0, 9.0), THRESHOLDS[kind])
        if kind == "three":
            task = replace(task, kind="classification", dimensions=DIMENSIONS[:2])
        return Spec(dict(shapes), task, ModelParams(**sizes), AlignmentParams(**(alignment or {})), step_s=2.0)

    return build


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """``make_batch(seed, kind, sequences, steps, share, shapes)``: labels hang on each modality's level and spread.

    About a tenth of the labels is NaN, the last sequence is two steps short, and one valid step has no
    modality at all. ``share`` is the share of modalities present.
    """

    def build(seed: int = 0, kind: str = "regression", sequences: int = 8, steps: int = 5, share: float = 0.8,
              shapes: dict[str, ModalityShape] = SHAPES) -> Batch:
        generator = torch.Generator().manual_seed(seed)

        def normal(*size: int) -> torch.Tensor:
            return torch.randn(*size, generator=generator)

        mood = normal(sequences, steps, len(DIMENSIONS)).clamp(-2, 2)
        x = {name: (normal(sequences, steps, shape.channels, shape.samples) * (1 + 0.4 * mood[..., 1, None, None])
                    + mood[..., 0, None, None]) for name, shape in shapes.items()}
        y = 5 + mood
        if kind != "regression":
            y = torch.stack([y > threshold for threshold in THRESHOLDS[kind]]).sum(0).float()
        y = y[..., :2] if kind == "three" else y
        y = torch.where(torch.rand(y.shape, generator=generator) < 0.1, float("nan"), y)
        present = torch.rand(sequences, steps, len(SHAPES), generator=generator) < share
        present[0, 1] = False
        valid = torch.ones(sequences, steps, dtype=torch.bool)
        valid[-1, -2:] = False
        return Batch(x, present & valid[..., None], torch.where(valid[..., None], y, float("nan")), valid,
                     torch.arange(sequences) % 3, torch.arange(sequences) // 2)

    return build
