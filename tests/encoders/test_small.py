from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.small import SmallCNN, WindowMLP, window_statistics


def test_statistics_match_numpy() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 9)) * 4 + 2
    got = window_statistics(torch.from_numpy(x)).numpy().reshape(3, 3, 2)
    slope = np.polyfit(np.arange(9), x.reshape(6, 9).T, 1)[0].reshape(3, 2)
    np.testing.assert_allclose(got[:, 0], x.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(got[:, 1], x.std(-1), rtol=1e-6)
    np.testing.assert_allclose(got[:, 2], slope * 9, rtol=1e-6)


def test_one_sample_has_a_level_and_no_slope() -> None:
    got = window_statistics(torch.tensor([[[5.0], [7.0]]]))
    torch.testing.assert_close(got, torch.tensor([[5.0, 7.0, 1e-3, 1e-3, 0.0, 0.0]]))


def _windows(cue: str, value: torch.Tensor, samples: int) -> torch.Tensor:
    """One-channel windows of noise whose level, amplitude or frequency is *value*."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(len(value), samples, generator=generator)
    time = torch.linspace(0, 1, samples)
    if cue == "level":
        return (noise * 0.3 + value[:, None])[:, None]
    if cue == "amplitude":
        return (noise * value.exp()[:, None])[:, None]
    phase = torch.rand(len(value), 1, generator=generator)
    return torch.sin(2 * np.pi * ((6 + 2 * value[:, None]) * time + phase))[:, None] + 0.1 * noise[:, None]


@pytest.mark.parametrize("cue,samples", [("level", 128), ("amplitude", 128), ("rate", 128), ("level", 16)])
def test_level_amplitude_and_rate_get_through(cue: str, samples: int) -> None:
    """Trained on one cue, the encoder and a linear read-out explain it on windows they never saw."""
    torch.manual_seed(0)
    value = torch.randn(400).clamp(-2, 2)
    x = _windows(cue, value, samples)
    encoder_class = SmallCNN if samples >= 64 else WindowMLP
    encoder = encoder_class(ModalityShape(1, samples, 32.0), ModelParams(features=6, dropout=0.0))
    readout = nn.Linear(6, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *readout.parameters()], 1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        nn.functional.mse_loss(readout(encoder(x[:300]))[:, 0], value[:300]).backward()
        optimiser.step()
    encoder.eval()
    with torch.no_grad():
        error = nn.functional.mse_loss(readout(encoder(x[300:]))[:, 0], value[300:])
    assert error < 0.2 * value[300:].var()
