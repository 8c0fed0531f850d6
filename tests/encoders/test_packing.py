"""Encoders of several models as one: each with its own weights, windows, mask and dropout, equal to it alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders import build_encoder, encode_present
from himoe.models.encoders.packing import pack, unpack
from himoe.models.noise import Noise

MODEL = ModelParams(features=7, dropout=0.3)
MODELS, SEQUENCES, STEPS = 3, 4, 6


def encoders_of(modality: str, shape: ModalityShape, changes: dict[str, Any]) -> list[nn.Module]:
    """In training mode, each with its own weights and its own keys of dropout."""
    made = []
    for model in range(MODELS):
        torch.manual_seed(model)
        made.append(build_encoder(modality, shape, replace(MODEL, **changes)).train())
        for place, source in enumerate(module for module in made[-1].modules() if isinstance(module, Noise)):
            source.key.fill_(17 * model + place + 1)
    return made


def windows_of(shape: ModalityShape) -> tuple[Tensor, Tensor]:
    """Windows and what is present: much, some, one window alone; NaN where absent, and zeros as of no face."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(MODELS, SEQUENCES, STEPS, shape.channels, shape.samples, generator=generator)
    x[0, 1, :2] = 0.0
    x[1, ..., 2:4] = 0.0
    share = torch.tensor([0.8, 0.4, 0.0])[:, None, None]
    present = torch.rand(MODELS, SEQUENCES, STEPS, generator=generator) < share
    present[2, 1, 3] = True
    return torch.where(present[..., None, None], x, float("nan")), present


@pytest.mark.filterwarnings("error:There is a performance drop")  # of an operation that runs model by model after all
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("modality", "shape", "changes"), [
    ("EEG", ModalityShape(5, 64, 32.0), {}), ("EEG", ModalityShape(5, 64, 32.0), {"eeg_encoder": "power"}),
    ("EOG", ModalityShape(2, 80, 20.0), {}), ("EDA", ModalityShape(1, 16, 4.0), {}),
    ("FACE", ModalityShape(19, 5, 2.0), {}), ("FACE", ModalityShape(19, 5, 2.0), {"face_adjacency": "learned"})])
def test_together_they_are_what_they_are_alone(modality: str, shape: ModalityShape, changes: dict[str, Any],
                                               training: bool) -> None:
    encoders = [encoder.train(training) for encoder in encoders_of(modality, shape, changes)]
    x, present = windows_of(shape)
    weight = torch.randn(MODELS, SEQUENCES, STEPS, MODEL.features, generator=torch.Generator().manual_seed(6))
    parameters, buffers = stack_module_state(encoders)  # type: ignore[arg-type]
    template = copy.deepcopy(encoders[0])

    def run(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, present: Tensor) -> Tensor:
        class Called(nn.Module):
            def forward(self, *inputs: Tensor) -> Tensor:
                return functional_call(template, (parameters, buffers), inputs)

        return encode_present(Called(), x, present, MODEL.features, one_shape=True)

    codes = vmap(run)(parameters, buffers, x, present)
    (codes * weight).sum().backward()
    for model, encoder in enumerate(encoders):
        alone = encode_present(encoder, x[model], present[model], MODEL.features)
        (alone * weight[model]).sum().backward()
        torch.testing.assert_close(codes[model], alone, rtol=1e-4, atol=1e-5)
        for name, parameter in encoder.named_parameters():
            torch.testing.assert_close(parameters[name].grad[model], parameter.grad, rtol=1e-3, atol=1e-4)
        for name, buffer in encoder.named_buffers():
            torch.testing.assert_close(buffers[name][model], buffer, rtol=1e-4, atol=1e-5)


def test_rows_that_are_there_come_first_and_go_back() -> None:
    x = torch.arange(10.0).view(5, 2) + 1
    there = torch.tensor([False, True, True, False, True])
    packed = pack(torch.where(there[:, None], x, float("nan")), there)
    assert packed.tolist() == [[3, 4], [5, 6], [9, 10], [0, 0], [0, 0]]
    assert unpack(packed, there).tolist() == [[0, 0], [3, 4], [5, 6], [0, 0], [9, 10]]
    assert unpack(pack(x, ~there & there), ~there & there).abs().sum() == 0
