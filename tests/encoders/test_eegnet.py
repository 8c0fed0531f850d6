from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.eegnet import EEGNet, fast_length, filter_same


class TextbookEEGNet(nn.Module):
    """Temporal filters on every channel first, then the depthwise spatial filters (Lawhern et al. 2018)."""

    def __init__(self, like: EEGNet, channels: int) -> None:
        super().__init__()
        filters, n_taps = like.temporal.shape
        signals = like.spatial.shape[0]
        self.temporal = nn.Conv2d(1, filters, (1, n_taps), padding="same", bias=False)
        self.spatial = nn.Conv2d(filters, signals, (channels, 1), groups=filters, bias=False)
        self.norm = nn.BatchNorm2d(signals)
        self.first_pool = nn.AvgPool2d((1, 4))
        self.depthwise = nn.Conv2d(signals, signals, (1, 16), padding="same", groups=signals, bias=False)
        self.pointwise = nn.Conv2d(signals, signals, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(signals)
        self.second_pool = nn.AvgPool2d((1, 8))
        self.linear = nn.Linear(like.linear.in_features, like.linear.out_features)
        with torch.no_grad():
            self.temporal.weight.copy_(like.temporal[:, None, None])
            self.spatial.weight.copy_(like.spatial[:, None, :, None])
            self.depthwise.weight.copy_(like.depthwise.weight[:, :, None])
            self.pointwise.weight.copy_(like.pointwise.weight[..., None])
            self.linear.load_state_dict(like.linear.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.spatial(self.temporal(x[:, None]))
        hidden = self.first_pool(nn.functional.elu(self.norm(hidden)))
        hidden = self.pointwise(self.depthwise(hidden))
        hidden = self.second_pool(nn.functional.elu(self.second_norm(hidden)))
        return self.linear(hidden.flatten(1))


def build(channels: int = 5, samples: int = 100, rate: float = 50.0, dropout: float = 0.0) -> EEGNet:
    torch.manual_seed(0)
    model = ModelParams(features=7, eeg_filters=3, eeg_depth=2, eeg_kernel_s=0.38, dropout=dropout)
    return EEGNet(ModalityShape(channels, samples, rate), model)


def test_equals_textbook_order_in_training_and_evaluation() -> None:
    ours = build()
    textbook = TextbookEEGNet(ours, channels=5)
    x = torch.randn(11, 5, 100) * 3 + 1
    for _ in range(3):  # training mode: batch statistics; the running ones move along
        torch.testing.assert_close(ours(x), textbook(x), atol=1e-5, rtol=1e-5)
    ours.eval()
    textbook.eval()
    torch.testing.assert_close(ours(x), textbook(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.norm.running_var, textbook.norm.running_var, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_equal_textbook_order(training: bool) -> None:
    ours = build().train(training)
    textbook = TextbookEEGNet(ours, channels=5).train(training)
    x, weights = torch.randn(11, 5, 100), torch.randn(11, 7)
    (ours(x) * weights).sum().backward()
    (textbook(x) * weights).sum().backward()
    pairs = [(ours.spatial, textbook.spatial), (ours.temporal, textbook.temporal),
             (ours.depthwise, textbook.depthwise), (ours.pointwise, textbook.pointwise),
             (ours.linear, textbook.linear), (ours.norm, textbook.norm)]
    for mine, reference in pairs:
        grad = mine.grad if isinstance(mine, nn.Parameter) else mine.weight.grad
        expected = reference.weight.grad
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(grad, expected.reshape(grad.shape), atol=1e-5 * float(expected.abs().max()),
                                   rtol=1e-4)


@pytest.mark.parametrize("n_samples,n_taps", [(40, 9), (40, 10), (17, 16), (5, 5), (3, 8), (1, 1)])
def test_filter_same_is_a_padded_correlation(n_samples: int, n_taps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, n_samples, generator=generator, dtype=torch.float64)
    taps = torch.randn(3, n_taps, generator=generator, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for t in range(n_samples):
        for k in range(n_taps):
            source = t + k - (n_taps - 1) // 2
            if 0 <= source < n_samples:
                expected[..., t] += taps[None, :, None, k] * x[..., source]
    torch.testing.assert_close(filter_same(x, taps), expected, atol=1e-12, rtol=0)


def test_fast_length_is_the_smallest_even_five_smooth_number() -> None:
    smooth = {2 ** a * 3 ** b * 5 ** c for a in range(1, 12) for b in range(7) for c in range(5)}
    for n in range(1, 700):
        assert fast_length(n) == min(m for m in smooth if m >= n)
