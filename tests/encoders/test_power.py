"""The power front end against a plain computation, and its filter bank against SciPy's view of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.power import FLOOR, PowerNet, filter_bank

MODEL = ModelParams(features=7, dropout=0.0, power_filters=3, power_depth=2)


def test_features_are_a_linear_map_of_normed_log_power() -> None:
    torch.manual_seed(0)
    encoder = PowerNet(ModalityShape(5, 96, 48.0), MODEL).eval()
    encoder.norm.running_mean.uniform_(-1, 1)
    encoder.norm.running_var.uniform_(0.5, 2)
    x = torch.randn(4, 5, 96)
    spatial, taps = encoder.spatial.detach().numpy(), encoder.temporal.detach().numpy()
    power = np.empty((4, 6))
    for n in range(4):
        for s in range(6):
            mixed = spatial[s] @ x[n].numpy()
            kernel = taps[s // 2]
            padded = np.pad(mixed, ((len(kernel) - 1) // 2, len(kernel) - 1 - (len(kernel) - 1) // 2))
            power[n, s] = np.log((np.correlate(padded, kernel, "valid") ** 2).mean() + FLOOR)
    normed = (power - encoder.norm.running_mean.numpy()) / np.sqrt(encoder.norm.running_var.numpy() + encoder.norm.eps)
    expected = normed @ encoder.linear.weight.detach().numpy().T + encoder.linear.bias.detach().numpy()
    np.testing.assert_allclose(encoder(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sfreq_hz", [64.0, 128.0, 200.0])
def test_the_filters_start_at_log_spaced_centres(sfreq_hz: float) -> None:
    bank = filter_bank(6, round(sfreq_hz), sfreq_hz).numpy()
    edges_hz = np.geomspace(4.0, 0.45 * sfreq_hz, 7)
    for taps, low_hz, high_hz in zip(bank, edges_hz[:-1], edges_hz[1:], strict=True):
        frequency_hz, response = signal.freqz(taps, worN=4096, fs=sfreq_hz)
        peak_hz = frequency_hz[np.abs(response).argmax()]
        assert peak_hz == pytest.approx(np.sqrt(low_hz * high_hz), abs=0.6)
        assert (taps**2).sum() == pytest.approx(1.0)
