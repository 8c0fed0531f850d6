"""One training epoch of EEGNet-8,2 on one thread: this project, and the textbook order in plain torch.

``python -m bench.eegnet VARIANT OPTIONS`` runs one variant with JSON options and prints one JSON line.
TorchEEG's is in ``theirs.py``. All three have F1 = 8, D = 2, F2 = 16, 64 and 16 taps, 32 features and a linear head
of 2 classes.

Legend: n windows, C channels, W samples per window, G temporal filters (F1), S = G·D signals, K taps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from bench import both
from bench.both import BATCH, CHANNELS, CLASSES, SAMPLES
from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.eegnet import POOLS, SEPARABLE_TAPS, EEGNet

SFREQ_HZ = float(both.SFREQ_HZ)
MODEL = ModelParams(features=both.FEATURES, eeg_filters=both.FILTERS, eeg_depth=both.DEPTH,
                    eeg_kernel_s=both.TAPS / SFREQ_HZ, dropout=both.DROPOUT)
MATMUL = 1024  # rows and columns of the matrices that measure the machine


class TextbookEEGNet(nn.Module):
    """Temporal filters on every channel, then spatial filters (Lawhern et al. 2018, doi 10.1088/1741-2552/aace8c).

    Without the batch norm between the two and without max-norm limits: the same function as
    :class:`himoe.models.encoders.eegnet.EEGNet`, whose weights it copies.
    """

    def __init__(self, like: EEGNet, dropout: float) -> None:
        super().__init__()
        filters, taps = like.temporal.shape
        signals, channels = like.spatial.shape
        self.temporal = nn.Conv2d(1, filters, (1, taps), padding="same", bias=False)
        self.spatial = nn.Conv2d(filters, signals, (channels, 1), groups=filters, bias=False)
        self.norm = nn.BatchNorm2d(signals)
        self.depthwise = nn.Conv2d(signals, signals, (1, SEPARABLE_TAPS), padding="same", groups=signals, bias=False)
        self.pointwise = nn.Conv2d(signals, signals, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(signals)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(like.linear.in_features, like.linear.out_features)
        with torch.no_grad():
            self.temporal.weight.copy_(like.temporal[:, None, None])
            self.spatial.weight.copy_(like.spatial[:, None, :, None])
            self.depthwise.weight.copy_(like.depthwise.weight[:, :, None])
            self.pointwise.weight.copy_(like.pointwise.weight[..., None])
        self.linear.load_state_dict(like.linear.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """Windows (n, C, W) → features (n, F)."""
        hidden = functional.elu(self.norm(self.spatial(self.temporal(x[:, None]))))
        hidden = self.dropout(functional.avg_pool2d(hidden, (1, POOLS[0])))
        hidden = functional.elu(self.second_norm(self.pointwise(self.depthwise(hidden))))
        return self.linear(self.dropout(functional.avg_pool2d(hidden, (1, POOLS[1]))).flatten(1))


def _ours(samples: int, model: ModelParams = MODEL) -> EEGNet:
    return EEGNet(ModalityShape(CHANNELS, samples, SFREQ_HZ), model)


def _textbook(samples: int) -> nn.Module:
    return TextbookEEGNet(_ours(samples), MODEL.dropout)


ENCODERS: dict[str, Callable[[int], nn.Module]] = {"ours": _ours, "textbook": _textbook}


def epoch(encoder: str, windows: int, samples: int = SAMPLES, batch: int = BATCH) -> dict[str, Any]:
    """One epoch of *encoder*."""
    return both.train(ENCODERS[encoder], windows, samples, batch)


def check(windows: int, samples: int = SAMPLES) -> dict[str, Any]:
    """Largest difference between ours and the textbook order, same weights, training mode, no dropout."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours = _ours(samples, ModelParams(**{**vars(MODEL), "dropout": 0.0}))
    textbook = TextbookEEGNet(ours, 0.0)
    x = torch.randn(windows, CHANNELS, samples)
    mine, reference = ours(x), textbook(x)
    torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)
    return {"largest_difference": float((mine - reference).detach().abs().max())}


def multiply_adds(windows: int, samples: int = SAMPLES) -> int:
    """Multiply-adds of a training step of *windows*, spatial mix first, every convolution done directly.

    Forward; then the gradients of weights and inputs, each as much again (the windows themselves need none).
    """
    signals = MODEL.eeg_filters * MODEL.eeg_depth
    pooled = samples // POOLS[0]
    spatial = samples * signals * CHANNELS
    temporal = samples * signals * round(MODEL.eeg_kernel_s * SFREQ_HZ)
    separable = pooled * signals * (SEPARABLE_TAPS + signals)
    linear = (pooled // POOLS[1]) * signals * MODEL.features + MODEL.features * CLASSES
    return windows * (2 * spatial + 3 * (temporal + separable + linear))


def matmul(size: int = MATMUL, passes: int = 10) -> dict[str, Any]:
    """The machine's float32 speed on one thread: multiply-adds of a square product, the median pass."""
    torch.set_num_threads(1)
    a, b = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(passes + 1):
        start = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - start)
    median = sorted(seconds[1:])[passes // 2]
    return {"gflop_per_s": 2 * size**3 / median / 1e9}


def reference(windows: int) -> dict[str, Any]:
    """What the timings are judged by: the proof of equality, the machine's speed, the work in a step."""
    return {**check(windows), **matmul(), "multiply_adds": multiply_adds(BATCH)}


VARIANTS: dict[str, Callable[..., dict[str, Any]]] = {"epoch": epoch, "reference": reference}

if __name__ == "__main__":
    both.run(VARIANTS)
