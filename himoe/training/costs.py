"""What a method costs: parameters, multiply-adds, seconds per window and per training step.

Legend: B sequences, T time steps, M modalities, D dimensions; n samples of a Fourier transform.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from himoe.core.errors import bad_input
from himoe.models.batches import Batch
from himoe.models.methods.base import Method, Spec
from himoe.prepare.threads import one_thread

COMPLEX_PRODUCT_FLOPS = 6  # 4 products, 2 sums
aten = torch.ops.aten


def multiply_adds(method: Method, batch: Batch) -> int | None:
    """Multiply-adds of one forward pass in evaluation mode, per window (divided by B·T and rounded).

    None for methods fitted in closed form. 2 floating-point operations are 1 multiply-add. Counted: matrix
    products, convolutions, attention, the gates of recurrent layers (per step and direction 4 for an LSTM,
    3 for a GRU, times (in + hidden)·hidden), Fourier transforms. Elementwise work (activations, norms,
    pooling, softmax, mean and SD) is not. EEGNet's temporal filter stands for a correlation; counted is what
    is really done: see :func:`_transform_flops` and :func:`_inverse_transform_flops`.
    Absent windows are not encoded and cost less; a batch with everything present gives the full cost.
    Features of windows are computed once per set, before any method reads them, and are not counted either.
    """
    if not method.gradient:
        return None
    counter = FlopCounterMode(display=False, custom_mapping=UNCOUNTED)
    with _evaluating(method), _plain_attention(), counter:
        _predict(method, batch)
    return round(counter.get_total_flops() / 2 / batch.valid.numel())


def seconds_per_window(method: Method, batch: Batch, repeats: int = 5) -> float:
    """Seconds of one forward pass in evaluation mode on one CPU thread, divided by B·T.

    The median of *repeats* passes after one that is not timed. A measurement: it differs between machines.

    Raises
    ------
    InputError
        If *repeats* is below 1.
    """
    with _evaluating(method), one_thread():
        return _median_seconds(lambda: _predict(method, batch), repeats) / batch.valid.numel()


def seconds_per_step(method: Method, batch: Batch, repeats: int = 5) -> float:
    """Seconds of one forward and backward pass of *batch* in training mode on one CPU thread, as `seconds_per_window`.

    The optimiser's own work is not in it.
    """
    def step() -> None:
        method.zero_grad(set_to_none=True)
        torch.stack(list(method(batch).losses.values())).sum().backward()

    with _evaluating(method), one_thread():
        method.train()
        return _median_seconds(step, repeats)


def _median_seconds(call: Callable[[], None], repeats: int) -> float:
    """The median time of *repeats* calls after one that is not timed."""
    if repeats < 1:
        raise bad_input("repeats", repeats, "1 or more", "raise it")
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def random_batch(spec: Spec, sequences: int, steps: int, seed: int = 0) -> Batch:
    """A batch (B = *sequences*, T = *steps*) with everything present: standard normal windows and labels.

    For classification a label is 1 where the number drawn is positive. All are of subject 0 and stimulus 0.

    Raises
    ------
    InputError
        If *sequences* or *steps* is below 1.
    """
    if sequences < 1 or steps < 1:
        raise bad_input("size of the batch", f"{sequences} sequences of {steps} steps", "at least 1 of 1", "raise it")
    generator = torch.Generator().manual_seed(seed)
    x = {name: torch.randn(sequences, steps, shape.channels, shape.samples, generator=generator)
         for name, shape in spec.shapes.items()}
    y = torch.randn(sequences, steps, len(spec.task.dimensions), generator=generator)
    if spec.task.kind == "classification":
        y = (y > 0).to(y.dtype)
    codes = torch.zeros(sequences, dtype=torch.int64)
    return Batch(x, torch.ones(sequences, steps, len(x), dtype=torch.bool), y,
                 torch.ones(sequences, steps, dtype=torch.bool), codes, codes.clone())


def _predict(method: Method, batch: Batch) -> None:
    """One forward pass without losses."""
    with torch.no_grad():
        method.decode(method.encode(batch), batch)


@contextmanager
def _evaluating(method: Method) -> Iterator[None]:
    """Evaluation mode; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in method.modules()]
    method.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as plain matrix products, which the counter sees; its fused kernels it does not."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


# Formulas take the shapes of an operator's arguments, as FlopCounterMode hands them out, and give flops.

def _matrix_vector_flops(matrix: Sequence[int], *others: Any, **options: Any) -> int:
    return 2 * math.prod(matrix)


def _recurrent_flops(x: Sequence[int], w_in: Sequence[int], w_hidden: Sequence[int], *others: Any,
                     **options: Any) -> int:
    """One layer and direction of a fused recurrent kernel: x (T, B, in), weights (gates·hidden, in or hidden)."""
    return 2 * x[0] * x[1] * (math.prod(w_in) + math.prod(w_hidden))


def _transform_flops(signals: Sequence[int], axes: Sequence[int], *others: Any, **options: Any) -> int:
    """Real Fourier transforms of length n: about 2.5 n log2 n flops each."""
    return _fourier_flops(signals, axes)


def _inverse_transform_flops(spectra: Sequence[int], axes: Sequence[int], *others: Any, out_shape: Sequence[int],
                             **options: Any) -> int:
    """Back to real signals of length n: about 2.5 n log2 n flops each, plus the product that made each spectrum.

    Spectra are transformed back for one purpose here, a filter as a product of spectra: one complex product a bin.
    """
    return _fourier_flops(out_shape, axes) + COMPLEX_PRODUCT_FLOPS * math.prod(spectra)


def _fourier_flops(signals: Sequence[int], axes: Sequence[int]) -> int:
    length = math.prod(signals[axis] for axis in axes)
    return round(2.5 * math.prod(signals) * math.log2(length))


UNCOUNTED = {
    aten.mv: _matrix_vector_flops,
    aten.dot: _matrix_vector_flops,
    aten.mkldnn_rnn_layer: _recurrent_flops,
    aten._fft_r2c: _transform_flops,
    aten._fft_c2r: _inverse_transform_flops,
}
