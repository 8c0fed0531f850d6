"""What is for GPUs, on a processor: bfloat16, and models that go through torch's compiler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from toysets import make_config, make_data, make_store

from himoe.core.errors import InputError
from himoe.training.fit import fit_tasks
from himoe.training.rundata import FoldTask

TASKS = [FoldTask(0, 0), FoldTask(1, 3)]
FRONT = {"eeg_encoder": "bands", "signal_encoder": "features"}


def histories(**changes: Any) -> tuple[np.ndarray, list[dict[str, torch.Tensor]]]:
    """Training and validation losses (models, epochs, 2) of two models that are fitted as one, and their weights."""
    config = make_config(epochs=4, patience=4, model=FRONT, **changes)
    found = fit_tasks(config, make_data(config, make_store()), TASKS)
    losses = [fitted.history[["train_loss", "validation_loss"]].to_numpy() for fitted in found]
    return np.stack(losses), [fitted.tensors for fitted in found]


def test_half_the_precision_is_near_and_keeps_weights_in_full() -> None:
    full, _ = histories()
    half, weights = histories(precision="bfloat16")
    assert not np.array_equal(half, full)
    np.testing.assert_allclose(half, full, rtol=0.02)
    assert {value.dtype for one in weights for value in one.values() if value.is_floating_point()} == {torch.float32}


@pytest.mark.slow
def test_models_that_go_through_the_compiler_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as one graph without a break, as a GPU's compiler needs it, and run as it was traced."""
    whole, traced = torch.compile, []

    def compile_(function: Callable[..., Any]) -> Callable[..., Any]:
        traced.append(function)
        return whole(function, backend="eager", fullgraph=True)

    monkeypatch.setattr(torch, "compile", compile_)
    plain, _ = histories()
    assert traced == []
    compiled, _ = histories(compile=True)
    assert len(traced) == 1
    np.testing.assert_allclose(compiled, plain, rtol=1e-5)


def test_another_precision_is_refused() -> None:
    with pytest.raises(InputError, match="precision: found 'float16', expected"):
        make_config(precision="float16")
