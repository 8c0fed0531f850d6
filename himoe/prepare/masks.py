"""Which modalities are dropped: for evaluation the same for every method, for training at random.

A missing rate r drops each modality of each sample (window) independently with probability r; at
least one of those present stays. Legend: n windows, M modalities, B T batch and time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from himoe.core.recordings import MODALITIES


def evaluation_draws(index: pd.DataFrame, modalities: Sequence[str], seed: int) -> np.ndarray:
    """Uniform numbers (n, M) in [0, 1) that depend on the seed, the sample and the modality alone.

    They do not depend on the rate: a sample's mask at a higher rate drops at least what a lower one drops.
    """
    draws = np.empty((len(index), len(MODALITIES)))
    rows = index.reset_index(drop=True)
    for (subject, trial), group in rows.groupby(["subject", "trial"], sort=False):
        windows = group["window"].to_numpy()
        digest = hashlib.sha256(f"{seed}|{subject}|{trial}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(digest[:16], dtype=np.uint32))
        draws[group.index] = rng.random((int(windows.max()) + 1, len(MODALITIES)))[windows]
    return draws[:, [MODALITIES.index(m) for m in modalities]]


def drop(present: np.ndarray, draws: np.ndarray, rate: float) -> np.ndarray:
    """Apply missing rate *rate*: (n, M) bool, (n, M) uniform numbers → (n, M) bool.

    If all present modalities would go, the one with the largest number stays.
    """
    kept = present & (draws >= rate)
    lost = present.any(1) & ~kept.any(1)
    if lost.any():
        best = np.where(present, draws, -1.0).argmax(1)
        kept[lost, best[lost]] = True
    return kept


def keep_at_most(present: np.ndarray, draws: np.ndarray, count: int) -> np.ndarray:
    """At most *count* of what is present in a window, those with the largest numbers: (n, M), (n, M) → (n, M) bool."""
    order = np.argsort(-np.where(present, draws, -1.0), axis=1, kind="stable")
    place = np.argsort(order, axis=1, kind="stable")
    return present & (place < count)


def training_draws(shapes: Sequence[Sequence[int]], rate: float | None, rate_max: float,
                   generator: torch.Generator) -> Iterator[tuple[Tensor, float]]:
    """For each batch in turn, of these *shapes* (B, T, M): uniform numbers of that shape, and its missing rate.

    ``rate`` None draws one rate uniformly from 0..*rate_max* for each batch (``missing: sampled``).
    """
    own = int(rate is None)
    sizes = [own + math.prod(shape) for shape in shapes]
    # All at once: the same numbers as batch by batch, without a call for each.
    for shape, numbers in zip(shapes, torch.rand(sum(sizes), generator=generator).split(sizes), strict=True):
        yield numbers[own:].view(*shape), float(numbers[0]) * rate_max if rate is None else rate


def training_mask(present: Tensor, draws: Tensor, rate: Tensor | float) -> Tensor:
    """Drop modalities of a training batch: (..., M) bool, (..., M) uniform numbers → (..., M) bool.

    As :func:`drop`; *rate* is one, or a tensor of one or more that broadcasts.
    """
    kept = present & (draws >= rate)
    lost = present.any(-1) & ~kept.any(-1)
    best = torch.where(present, draws, torch.full_like(draws, -1.0)).argmax(-1, keepdim=True)
    stay = torch.zeros_like(kept).scatter(-1, best, True)
    return torch.where(lost[..., None], stay & present, kept)
