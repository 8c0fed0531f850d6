"""What share of a Hi-MoE training step the contrastive loss takes: ``python -m bench.alignment``.

One thread, DEAP's seven sensors, with the default front ends (features: the cheapest step, so the largest share) and
with raw signals. A share is the loss's own forward and backward pass over the whole step; medians, taken in turns.
``all rows`` is the loss without its bound (``alignment.max_rows``).

Legend: B sequences, T time steps, M modalities, F features.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median

import torch

from bench.training import as_features, default_spec, random_batch, total_loss
from himoe.models.alignment import nt_xent
from himoe.models.methods.base import Spec
from himoe.models.methods.himoe import HiMoE
from himoe.prepare.threads import one_thread
from himoe.training.adam import Adam

WINDOWS = (64, 96, 128, 256, 512, 1024)
STEPS = 8  # windows of a sequence


def feature_spec() -> Spec:
    """The default model on features of DEAP's windows."""
    return as_features(default_spec()[0])


def calls(spec: Spec, windows: int, max_rows: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """A whole training step of *windows* windows, and the contrastive loss of its codes, forward and backward."""
    torch.manual_seed(0)
    spec = replace(spec, alignment=replace(spec.alignment, max_rows=max_rows))
    net = HiMoE(spec).train()
    batch = random_batch(spec, windows // STEPS, STEPS, torch.Generator().manual_seed(0))
    optimiser = Adam(net.parameters(), 1e-3)
    with torch.no_grad():
        codes_BTMF = net.encoders.masked(net.encode(batch), batch.present)
    codes_BTMF.requires_grad_()

    def step() -> None:
        optimiser.zero_grad()
        total_loss(net, batch, spec.task)[1].backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()

    def loss() -> None:
        codes_BTMF.grad = None
        nt_xent(codes_BTMF, batch.present, spec.alignment.temperature, net.rows.uniform, max_rows).backward()

    return step, loss


def measured(spec: Spec, windows: int, max_rows: int, repeats: int) -> tuple[float, float]:
    """Median seconds of a step and of the loss in it, after one of each that is not timed."""
    both = calls(spec, windows, max_rows)
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + 1):
        for call, seconds in zip(both, taken, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return median(taken[0][1:]), median(taken[1][1:])


def lines(repeats: int, sizes: Sequence[int] = WINDOWS) -> Iterator[str]:
    """The table, line by line."""
    yield "| front ends | windows in a batch | rows in the loss | step (ms) | loss (ms) | share |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for label, spec in (("features", feature_spec()), ("raw signals", default_spec()[0])):
        for windows in sizes:
            for rows in sorted({min(windows, spec.alignment.max_rows), windows}):
                step_s, loss_s = measured(spec, windows, rows, repeats)
                cells = (label, windows, rows, f"{1e3 * step_s:.1f}", f"{1e3 * loss_s:.1f}", f"{loss_s / step_s:.0%}")
                yield f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.alignment", description="Cost of the contrastive loss.")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each kind (default 5)")
    with one_thread():
        for line in lines(parser.parse_args().repeats):
            print(line, flush=True)


if __name__ == "__main__":
    main()
