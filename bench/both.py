"""What both sides of a comparison do alike: sizes, going through an epoch, training steps.

Nothing here needs this project: TorchEEG's side runs in an environment of its own (``bench/theirs.py``).

Legend: B windows of a batch, C channels, W samples per window.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

SFREQ_HZ = 128
LENGTH_S, STEP_S = 4.0, 2.0
CHANNELS, SAMPLES = 32, round(LENGTH_S * SFREQ_HZ)
BATCH, CLASSES = 64, 2
# EEGNet-8,2: temporal filters, signals of each, taps, taps of the separable filter, features, dropout
FILTERS, DEPTH, TAPS, SEPARABLE_TAPS, FEATURES, DROPOUT = 8, 2, 64, 16, 32, 0.25


def go_through(batches: Iterable[tuple[Any, Any]], start: float) -> dict[str, Any]:
    """Go through all batches (B, C, W), (B,) once, tensors or arrays; every window is touched."""
    windows, total = 0, 0.0
    for x, y in batches:
        if x.shape[1:] != (CHANNELS, SAMPLES) or len(y) != len(x):
            raise AssertionError(f"a batch of shape {tuple(x.shape)} with {len(y)} labels")
        windows += len(x)
        total += float(x[:, 0, 0].sum())
    return {"work_s": time.perf_counter() - start, "windows": windows, "sum": total}


def stored_bytes(folder: Path) -> int:
    """Bytes that the files below *folder* take on disk (LMDB files are sparse)."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def train(encoder: Callable[[int], nn.Module], windows: int, samples: int, batch: int,
          threads: int = 1) -> dict[str, Any]:
    """Forward, backward and Adam over *windows* random windows, after one step that is not timed."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = nn.Sequential(encoder(samples), nn.Linear(FEATURES, CLASSES))
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(windows, CHANNELS, samples), torch.randint(CLASSES, (windows,))

    def step(rows: slice) -> float:
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    step(slice(0, batch))
    start = time.perf_counter()
    parts = [slice(first, first + batch) for first in range(0, windows, batch)]
    loss = sum(step(rows) for rows in parts) / len(parts)
    work_s = time.perf_counter() - start
    return {"work_s": work_s, "ms_per_step": 1e3 * work_s / len(parts), "steps": len(parts), "loss": loss}


def torch_alone() -> dict[str, Any]:
    """Floor of every process that ends with tensors: the import of torch."""
    import torch

    return {"torch": torch.__version__}


def run(variants: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Command line of a script: the variant's name and its options as JSON; prints one JSON line."""
    print(json.dumps(variants[sys.argv[1]](**json.loads(sys.argv[2]))))


if __name__ == "__main__":
    run({"torch_alone": torch_alone})
