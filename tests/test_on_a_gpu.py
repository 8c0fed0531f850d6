"""That every tensor of a step lies on the GPU, shown without one: torch's fake tensors know shape and device alone.

Forward passes only: a build of torch without CUDA cannot prepare gradients on such a device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from toysets import make_config, make_data, make_store

from himoe.models.methods import method_class, method_names
from himoe.training import stacked
from himoe.training.feeding import Feed
from himoe.training.fit import Fit
from himoe.training.material import gather
from himoe.training.rundata import FoldTask

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
NETWORKS = [name for name in method_names() if method_class(name).gradient]
FRONTS = {"features": {"eeg_encoder": "bands", "signal_encoder": "features"},
          "windows": {"eeg_encoder": "eegnet", "signal_encoder": "cnn"},
          "power": {"eeg_encoder": "power", "signal_encoder": "cnn"}}


def on_gpu(tensor: torch.Tensor) -> torch.Tensor:
    """A fake tensor like it, on the GPU."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=GPU)


def steps_on_gpu(fit: Fit, arrays: dict[str, Any]) -> Iterator[dict[str, torch.Tensor]]:
    """Losses of a training step and of a validation step of *fit*, moved to a GPU that is not there."""
    drawn = iter([(parts, iter(list(masks))) for parts, masks in (fit._drawn(*one, 3) for one in fit.active)])
    fit._drawn = lambda *_: next(drawn)  # type: ignore[method-assign]
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        fit.device = GPU
        kept = {name: torch.empty(array.shape, device=GPU) for name, array in arrays.items()}
        fit.feed = Feed([material.assembler for material, _ in fit.active], GPU, kept)
        for models in (fit.models, fit.average):
            models.parameters = {name: on_gpu(value) for name, value in models.parameters.items()}
            models.buffers = {name: on_gpu(value) for name, value in models.buffers.items()}
            models.seeds = on_gpu(models.seeds)
        batch = next(fit._batches(3))
        fit.models.train(0)
        yield fit.models.losses(batch)
        yield fit.average.losses(batch)


@pytest.mark.parametrize(("method", "front"), [(name, "windows") for name in NETWORKS]
                         + [("himoe", "features"), ("himoe", "power")])
def test_a_step_mixes_no_devices(method: str, front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked, "COUNTED_ON", ("cpu",))
    config = make_config(method, model=FRONTS[front])
    data = make_data(config, make_store())
    fit = Fit([gather(config, data, task, CPU, 3) for task in (FoldTask(0, 0), FoldTask(1, 3))], 0.01)
    for losses in steps_on_gpu(fit, dict(data.store.arrays)):
        assert losses
        for loss in losses.values():
            assert loss.device == GPU
            assert loss.shape == (2,)


def test_a_constant_left_on_the_cpu_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(model=FRONTS["features"])
    data = make_data(config, make_store())
    fit = Fit([gather(config, data, FoldTask(0, 0), CPU, 3)], 0.01)
    whole = fit.models.template.decode
    left = torch.ones(7)
    monkeypatch.setattr(fit.models.template, "decode", lambda codes, batch: whole(codes * left, batch))
    with pytest.raises((RuntimeError, AssertionError)):
        list(steps_on_gpu(fit, dict(data.store.arrays)))
