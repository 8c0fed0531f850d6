"""EEGNet with the spatial mix first, at about a tenth of the work of the textbook order.

Temporal and spatial filters are linear and act on different axes, so they commute. The norm that the textbook has
between the two is dropped: one batch norm follows both (a test compares with the textbook order, without that norm).

Legend: n windows, C channels, W samples per window, G temporal filters (F1), S = G·D signals (F2), K taps, F features.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.activation import elu
from himoe.models.encoders.batchnorm import BatchNorm
from himoe.models.noise import Dropout

POOLS = (4, 8)
SEPARABLE_TAPS = 16


def fast_length(n_samples: int) -> int:
    """Smallest even length >= *n_samples* without a prime factor above 5 (fast to Fourier transform)."""
    length = n_samples + n_samples % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


class _SpectralFilter(torch.autograd.Function):
    """Correlation as a product of spectra, with its gradient (the plain graph costs a third more).

    Axes in front are models, each with its own filters. The spectra are outputs only because ``setup_context``, which
    models that run as one need, sees nothing else.
    """

    @staticmethod
    def forward(x: Tensor, taps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        before, length = _room(x, taps)
        kernel = torch.roll(functional.pad(taps, (0, length - taps.shape[-1])), -before, -1)
        spectrum_x = torch.fft.rfft(x, n=length)
        spectrum_taps = torch.fft.rfft(kernel)[..., None, :, None, :]
        y = torch.fft.irfft(spectrum_x * spectrum_taps.conj(), n=length)[..., :x.shape[-1]]
        return y, spectrum_x, spectrum_taps

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        x, taps = inputs
        ctx.n_samples, ctx.n_taps = x.shape[-1], taps.shape[-1]
        ctx.before, ctx.length = _room(x, taps)
        ctx.save_for_backward(*output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor, Tensor]:
        spectrum_x, spectrum_taps = ctx.saved_tensors
        spectrum = torch.fft.rfft(grad, n=ctx.length)
        product = (spectrum.conj() * spectrum_x).sum((-4, -2))
        grad_taps = torch.roll(torch.fft.irfft(product, n=ctx.length), ctx.before, -1)[..., :ctx.n_taps]
        grad_x = torch.fft.irfft(spectrum.mul_(spectrum_taps), n=ctx.length)[..., :ctx.n_samples]
        return grad_x, grad_taps

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], x: Tensor,
             taps: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        first = [each.movedim(axis, 0) if axis is not None else each.expand(info.batch_size, *each.shape)
                 for each, axis in zip((x, taps), in_dims, strict=True)]
        return _SpectralFilter.apply(*first), (0, 0, 0)


def _room(x: Tensor, taps: Tensor) -> tuple[int, int]:
    """Taps before the middle one, and a length at which what wraps round falls outside the samples kept."""
    n_samples, n_taps = x.shape[-1], taps.shape[-1]
    before = (n_taps - 1) // 2
    return before, fast_length(max(n_samples, n_taps) + n_taps - 1 - before)


def filter_same(x: Tensor, taps: Tensor) -> Tensor:
    """Correlate every signal with its filter, "same" padding: ``y[t] = sum_k taps[k] x[t + k - (K-1)//2]``.

    ``x`` (n, G, D, W), ``taps`` (G, K) → (n, G, D, W). Done as a product of spectra long enough that
    nothing wraps round: the convolution itself up to rounding, several times faster.
    """
    at_least = torch.promote_types(x.dtype, torch.float32)  # there is no Fourier transform of half precision
    return _SpectralFilter.apply(x.to(at_least), taps)[0]


class EEGNet(nn.Module):
    """EEGNet (Lawhern et al. 2018, doi 10.1088/1741-2552/aace8c): (n, C, W) → (n, F).

    The temporal filters (G of K taps) and the spatial filters (D for each temporal one) are linear and act on
    different axes, so they commute: C channels are mixed to S = G·D signals first, then filtered. The batch
    norm between the two in the original is dropped (the one after both absorbs its scale), and so are the
    max-norm limits. Then ELU, average pool 4, dropout; separable convolution (16 taps), batch norm, ELU,
    average pool 8, dropout; linear. A window shorter than 32 samples gets pools no longer than what is left,
    and a filter is never longer than the window.
    """

    counted = True

    def __init__(self, shape: ModalityShape, model: ModelParams) -> None:
        super().__init__()
        n_taps = max(1, min(round(model.eeg_kernel_s * shape.sfreq_hz), shape.samples))
        n_signals = model.eeg_filters * model.eeg_depth
        self.spatial = nn.Parameter(torch.empty(n_signals, shape.channels))
        self.temporal = nn.Parameter(torch.empty(model.eeg_filters, n_taps))
        self.norm = BatchNorm(n_signals)
        self.first_pool = min(POOLS[0], shape.samples)
        pooled = shape.samples // self.first_pool
        self.depthwise = nn.Conv1d(n_signals, n_signals, SEPARABLE_TAPS, groups=n_signals, bias=False)
        self.pointwise = nn.Conv1d(n_signals, n_signals, 1, bias=False)
        self.second_norm = BatchNorm(n_signals)
        self.second_pool = min(POOLS[1], pooled)
        self.dropout = Dropout(model.dropout)
        self.linear = nn.Linear(n_signals * (pooled // self.second_pool), model.features)
        for weight in (self.spatial, self.temporal):
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Windows (n, C, W) → features (n, F); ``count``: see :func:`himoe.models.encoders.encode_present`."""
        mixed = torch.bmm(self.spatial.expand(len(x), -1, -1), x)
        grouped = mixed.unflatten(1, (self.temporal.shape[0], -1))
        filtered = filter_same(grouped, self.temporal).flatten(1, 2)
        hidden = functional.avg_pool1d(elu(self.norm(filtered, count)), self.first_pool)
        padded = functional.pad(self.dropout(hidden), ((SEPARABLE_TAPS - 1) // 2, SEPARABLE_TAPS // 2))
        hidden = self.pointwise(self.depthwise(padded))
        hidden = functional.avg_pool1d(elu(self.second_norm(hidden, count)), self.second_pool)
        return self.linear(self.dropout(hidden).flatten(1))
