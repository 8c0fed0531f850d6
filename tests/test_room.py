"""How many models fit into a device's memory at once, and that it changes no result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from toysets import make_config, make_data, make_store

from himoe.training import fit as training
from himoe.training.fit import fit_tasks
from himoe.training.material import Material, gather, steps_per_epoch
from himoe.training.room import COPIES, bytes_of_model, in_room
from himoe.training.rundata import FoldTask


def test_a_steps_memory_grows_with_its_batch_and_holds_the_weights() -> None:
    config = make_config("himoe", batch_sequences=2)
    data = make_data(config, make_store())
    material = gather(config, data, FoldTask(0, 0), torch.device("cpu"), steps_per_epoch(config, data))
    method = material.build()
    weights = COPIES * sum(4 * p.numel() for p in method.parameters())
    one = material.sequences["train"][:1]
    once, thrice = (bytes_of_model(method, material.assembler.batch(np.repeat(one, n, axis=0))) - weights
                    for n in (2, 6))
    assert once > 0
    assert 2.5 < thrice / once < 4.0  # in step with the batch; the contrastive loss grows with its square


def test_models_are_fitted_in_parts_that_fit_and_each_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(epochs=2, model={"eeg_encoder": "bands", "signal_encoder": "features"})
    data = make_data(config, make_store())
    tasks = [FoldTask(fold, seed) for seed in range(3) for fold in (0, 1)][:5]
    together = fit_tasks(config, data, tasks)
    sizes: list[int] = []
    whole = training._fit_group

    def noted(materials: Sequence[Material], told: str = "") -> list[training.Found]:
        sizes.append(len(materials))
        return whole(materials, told)

    monkeypatch.setattr(training, "_fit_group", noted)
    monkeypatch.setattr(training, "free_bytes", lambda device: 1000)
    monkeypatch.setattr(training, "models_that_fit", lambda method, batch, free: 2 if free == 1000 else 0)
    parts = fit_tasks(config, data, tasks)
    assert sizes == [2, 2, 1]
    for one, other in zip(parts, together, strict=True):
        assert one.tensors.keys() == other.tensors.keys()
        for name, value in one.tensors.items():
            torch.testing.assert_close(value, other.tensors[name], rtol=1e-4, atol=1e-5)


def test_a_part_without_room_is_halved_until_one_is_left() -> None:
    tried: list[int] = []

    def run(part: Sequence[int]) -> list[int]:
        tried.append(len(part))
        if len(part) > 2 or 9 in part:
            raise torch.OutOfMemoryError("none left")
        return [10 * item for item in part]

    assert in_room([1, 2, 3, 4, 5, 6, 7], 5, run) == [10, 20, 30, 40, 50, 60, 70]
    assert tried == [5, 3, 2, 1, 2, 2]
    with pytest.raises(torch.OutOfMemoryError):
        in_room([9], 1, run)
