"""Batches of several models as one, drawn by row number: from memory, or from windows that lie once on the device.

Where a device has a memory of its own, all that an epoch sends there are row numbers and random numbers.

Legend: G models, F folds, P people, B sequences, T time steps, M modalities, C channels, W samples per window,
n windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from himoe.models.batches import CLIP, Assembler, Batch, WindowStore, combine, step_times_s
from himoe.training.room import free_bytes

KEPT_ON = ("cuda",)  # elsewhere a copy of the windows would only cost memory
SHARE = 0.5  # of what is free on the device: models need the rest
BLOCK = 512  # windows sent at once


def kept_windows(store: WindowStore, device: torch.device) -> dict[str, Tensor] | None:
    """Every modality's windows (n, C, W) on *device*, as they were read.

    None where the device has no memory of its own, or where they would take more than half of what is free there:
    batches are made in memory then, and sent.
    """
    if device.type not in KEPT_ON:
        return None
    free = free_bytes(device)
    if free is not None and sum(4 * math.prod(array.shape) for array in store.arrays.values()) > SHARE * free:
        return None
    kept = {}
    for modality, array in store.arrays.items():
        kept[modality] = torch.empty(tuple(array.shape), dtype=torch.float32, device=device)
        for rows in np.array_split(np.arange(array.shape[0]), max(1, -(-array.shape[0] // BLOCK))):
            kept[modality][rows[0]:rows[-1] + 1] = torch.from_numpy(np.ascontiguousarray(array[rows])).to(device)
    return kept


def padded(parts: Sequence[np.ndarray], at_least: int = 0) -> np.ndarray:
    """Sequences (b, T) of each model as one array (G, B, T); -1 fills what a model has too few of.

    B is that of the longest part, and never below *at_least* or 1.
    """
    longest = max(1, at_least, *(len(part) for part in parts))
    rows = np.full((len(parts), longest, parts[0].shape[1]), -1)
    for model, part in enumerate(parts):
        rows[model, :len(part)] = part
    return rows


class Feed:
    """What G models draw their batches from; *kept* is what :func:`kept_windows` gave."""

    def __init__(self, assemblers: Sequence[Assembler], device: torch.device,
                 kept: Mapping[str, Tensor] | None) -> None:
        self.assemblers, self.device = list(assemblers), device
        self._kept = None if kept is None else _Kept(self.assemblers, kept, device)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the models at these places alone."""
        self.assemblers = [self.assemblers[place] for place in places]
        if self._kept is not None:
            self._kept.fold = self._kept.fold[list(places)]

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of *rows* (G, B, T) on the device, with a leading axis of models; -1 = padding."""
        if self._kept is not None:
            return self._kept.batch(torch.from_numpy(rows).to(self.device))
        made = [assembler.batch(own) for assembler, own in zip(self.assemblers, rows, strict=True)]
        return combine(torch.stack, made).to(self.device)


class _Kept:
    """Windows on the device, and what each fold makes of them: statistics (F, P, C) by modality, people (F, n)."""

    def __init__(self, assemblers: Sequence[Assembler], windows: Mapping[str, Tensor], device: torch.device) -> None:
        def sent(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        folds = list({id(assembler): assembler for assembler in assemblers}.values())
        places = {id(assembler): fold for fold, assembler in enumerate(folds)}
        first, self.windows = folds[0], windows
        self.fold = sent(np.array([places[id(assembler)] for assembler in assemblers]))
        self.person = sent(np.stack([assembler.subject for assembler in folds]))
        self.mean, self.spread = ({m: sent(_stacked([getattr(a.normaliser, name)[m] for a in folds])) for m in windows}
                                  for name in ("mean", "spread"))
        self.labels, self.present = sent(first.labels.astype(np.float32)), sent(first.present)
        self.stimulus = sent(first.stimulus)
        self.off_grid_s = None if first.off_grid_s is None else sent(first.off_grid_s)
        self.step_s = first.store.meta.step_s

    def batch(self, rows: Tensor) -> Batch:
        """As stacked batches of the models' assemblers, to the bit."""
        valid, shape = rows >= 0, rows.shape
        rows = torch.where(valid, rows, rows.flatten(1).amax(1)[:, None, None])
        fold = self.fold[:, None, None].expand(shape)
        person = self.person[fold, rows]
        x = {m: self._normalised(m, rows, fold, person, valid) for m in self.windows}
        y = torch.where(valid[..., None], self.labels[rows], torch.nan)
        times_s = None
        if self.off_grid_s is not None:
            times_s = step_times_s(shape[2], self.step_s).to(rows.device)[:, None] + self.off_grid_s[rows]
        begun = valid[..., 0]
        return Batch(x, self.present[rows] & valid[..., None], y, valid, torch.where(begun, person[..., 0], -1),
                     torch.where(begun, self.stimulus[rows[..., 0]], -1), times_s)

    def _normalised(self, modality: str, rows: Tensor, fold: Tensor, person: Tensor, valid: Tensor) -> Tensor:
        """Windows (G, B, T, C, W), as :meth:`himoe.models.batches.Normaliser.apply` makes them."""
        x = self.windows[modality][rows]
        x -= self.mean[modality][fold, person][..., None]
        x /= self.spread[modality][fold, person][..., None]
        x.clamp_(-CLIP, CLIP).nan_to_num_(0.0)
        return x.masked_fill_(~valid[..., None, None], 0.0)


def _stacked(tables: Sequence[np.ndarray]) -> np.ndarray:
    """Tables (P, C) of several folds as one (F, P, C); rows that a fold lacks are 0 and never asked for."""
    people = max(len(table) for table in tables)
    return np.stack([np.pad(table, ((0, people - len(table)), (0, 0))) for table in tables])
