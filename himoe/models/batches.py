"""What a method sees: sequences of windows, which modalities are there, the labels.

Legend: B sequences, T time steps (windows), M modalities, C channels, W samples per window, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from himoe.prepare.window_arrays import WindowArray
from himoe.prepare.windows import ModalityShape, WindowStore

__all__ = ["SEQUENCES", "Assembler", "Batch", "ModalityShape", "Normaliser", "Task", "WindowStore", "chunks",
           "codes", "label_matrix", "make_sequences", "shuffle_between_trials", "step_times_s"]

SEQUENCES = 32  # a batch, when nothing is learned; larger ones outgrow a processor's cache
CLIP = 10.0  # SDs; a burst or a rail must not dominate a batch
READY_BYTES = 64 * 2**20  # a modality's windows up to this size are normalised once rather than batch by batch


@dataclass(frozen=True)
class Task:
    """What is predicted.

    ``kind``: ``"regression"`` (on the rating scale) or ``"classification"`` (class = number of
    thresholds below the rating); ``dimensions``: D names; ``scale``: lowest and highest rating; ``thresholds``:
    K - 1 limits of K classes.
    """

    kind: str
    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    thresholds: tuple[float, ...]

    @property
    def classes(self) -> int | None:
        """Number of classes K; None for regression."""
        return None if self.kind == "regression" else len(self.thresholds) + 1

    @property
    def outputs(self) -> int:
        """Numbers Q that a method gives for a dimension: the rating, or a logit a class."""
        return self.classes or 1


@dataclass(frozen=True)
class Batch:
    """B sequences of T consecutive windows of one trial each.

    Parameters
    ----------
    x : {modality: Tensor (B, T, C, W)}
        Normalised windows; finite everywhere (gaps are 0).
    present : Tensor (B, T, M) bool
        Which modality is there, in the order of ``x``; False on padded steps.
    y : Tensor (B, T, D)
        Ratings, or classes 0..K-1; NaN = missing label (and padded steps).
    valid : Tensor (B, T) bool
        False on steps that only pad a short sequence.
    subject, stimulus : Tensor (B,) int64
        Codes, for the floors that predict a subject's or a stimulus' mean. Never a model input.
    times_s : Tensor (B, T, M), optional
        When each window begins by its sensor's own clock, in s from the sequence's first step. None: with its step.
    """

    x: Mapping[str, Tensor]
    present: Tensor
    y: Tensor
    valid: Tensor
    subject: Tensor
    stimulus: Tensor
    times_s: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on *device*."""
        return combine(lambda parts: parts[0].to(device), [self])

    def rest(self) -> tuple[Tensor, ...]:
        """All but the windows, in the order in which a batch is made of them."""
        own = () if self.times_s is None else (self.times_s,)
        return self.present, self.y, self.valid, self.subject, self.stimulus, *own

    def with_present(self, present: Tensor) -> Batch:
        """The same batch with fewer modalities present (never more than there were)."""
        return replace(self, present=present & self.present)


def combine(how: Callable[[list[Tensor]], Tensor], batches: Sequence[Batch]) -> Batch:
    """One batch of several: *how* makes each of its tensors from theirs."""
    return Batch({m: how([batch.x[m] for batch in batches]) for m in batches[0].x},
                 *(how(list(parts)) for parts in zip(*(batch.rest() for batch in batches), strict=True)))


@dataclass(frozen=True)
class Normaliser:
    """Mean and SD of training rows by modality, subject and channel, (G, C); a window becomes (x − mean) / SD.

    G counts subject codes. Subjects with no training window of a modality have the statistics of all. Features (one
    value per window) have one SD for everybody, about each subject's own mean: most are logarithms, free of anybody's
    scale, and a subject's few trials say little about a spread.
    """

    mean: Mapping[str, np.ndarray]
    spread: Mapping[str, np.ndarray]

    @classmethod
    def fit(cls, store: WindowStore, rows: np.ndarray, present: np.ndarray, subject: np.ndarray,
            by_subject: bool) -> Normaliser:
        """Statistics of *rows* of the store only, over the windows where the modality is present.

        ``by_subject``: of each subject (codes *subject*, (n,)) for itself, else of everybody.
        """
        mean, spread = {}, {}
        n_subjects = int(subject.max()) + 1
        for column, (modality, array) in enumerate(store.arrays.items()):
            there = rows[present[rows, column]]
            parts = np.stack([_sums(array, there[subject[there] == code]) for code in range(n_subjects)])
            filled = np.where(parts[:, :1] > 0, parts, parts.sum(0)) if by_subject else np.broadcast_to(
                parts.sum(0), parts.shape)
            mean[modality], spread[modality] = _moments(filled)
            if by_subject and array.shape[2] == 1:
                spread[modality] = np.broadcast_to(_pooled_spread(parts), spread[modality].shape).copy()
        return cls(mean, spread)

    def apply(self, modality: str, windows: np.ndarray, subject: np.ndarray) -> np.ndarray:
        """Normalise (n, C, W) of subjects (n,); gaps become 0, outliers are bounded at ±``CLIP`` SD."""
        scaled = windows - self.mean[modality][subject][..., None]
        scaled /= self.spread[modality][subject][..., None]
        np.clip(scaled, -CLIP, CLIP, out=scaled)
        return np.nan_to_num(scaled, copy=False, nan=0.0)

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, to be stored beside the weights."""
        named = {f"normaliser.{m}.mean": torch.from_numpy(v.copy()) for m, v in self.mean.items()}
        return named | {f"normaliser.{m}.spread": torch.from_numpy(v.copy()) for m, v in self.spread.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Normaliser:
        """Undo :meth:`tensors`; other names are ignored."""
        parts: dict[str, dict[str, np.ndarray]] = {"mean": {}, "spread": {}}
        for name, tensor in tensors.items():
            if name.startswith("normaliser."):
                _, modality, kind = name.split(".")
                parts[kind][modality] = tensor.numpy()
        return cls(parts["mean"], parts["spread"])


def _sums(array: WindowArray, rows: np.ndarray) -> np.ndarray:
    """Count, sum and sum of squares (3, C) over rows and samples, gaps left out; in blocks: memory stays small."""
    sums = np.zeros((3, array.shape[1]))
    for block in np.array_split(rows, max(1, len(rows) // 512)):
        values = array[block].astype(np.float64)
        known = np.isfinite(values)
        values[~known] = 0.0
        sums += np.stack([known.sum((0, 2)), values.sum((0, 2)), np.einsum("ncw,ncw->c", values, values)])
    return sums


def _moments(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums (G, 3, C) → mean and SD (G, C); a channel that never varies has SD 1."""
    count, total, squares = (np.maximum(sums[:, 0], 1), sums[:, 1], sums[:, 2])
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return mean.astype(np.float32), np.where(spread > 1e-8, spread, 1.0).astype(np.float32)


def _pooled_spread(sums: np.ndarray) -> np.ndarray:
    """Sums (G, 3, C) → SD (C,) about each subject's own mean; 1 where nothing varies."""
    count, total, squares = sums[:, 0], sums[:, 1], sums[:, 2]
    rest = np.maximum(squares - total**2 / np.maximum(count, 1), 0.0).sum(0)
    spread = np.sqrt(rest / np.maximum(count.sum(0), 1))
    return np.where(spread > 1e-8, spread, 1.0).astype(np.float32)


def make_sequences(index: pd.DataFrame, rows: np.ndarray, length: int) -> np.ndarray:
    """Cut rows into sequences of *length* consecutive windows of one trial: (S, T) row numbers, −1 = padding.

    Rows are grouped by subject and trial and ordered by window; a trial's last sequence is padded. Under
    ``leaky`` a sequence holds those windows of the trial that play the role, in order.
    """
    part = index.iloc[rows][["subject", "trial", "window"]].assign(row=rows)
    sequences = []
    for _, group in part.sort_values(["subject", "trial", "window"]).groupby(["subject", "trial"], sort=True):
        ordered = group["row"].to_numpy()
        padded = np.full(-(-len(ordered) // length) * length, -1)
        padded[: len(ordered)] = ordered
        sequences.append(padded.reshape(-1, length))
    return np.concatenate(sequences) if sequences else np.empty((0, length), dtype=int)


@dataclass(frozen=True)
class Assembler:
    """Turns sequences of row numbers into batches.

    ``labels`` (n, D): rating or class; ``present`` (n, M); ``subject``, ``stimulus`` (n,): integer codes.
    """

    store: WindowStore
    normaliser: Normaliser
    labels: np.ndarray
    present: np.ndarray
    subject: np.ndarray
    stimulus: np.ndarray
    _ready: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def off_grid_s(self) -> np.ndarray | None:
        """The store's (:meth:`WindowStore.off_grid_s`), looked up once."""
        return self.store.off_grid_s()

    def windows(self, modality: str, rows: np.ndarray) -> Tensor:
        """Normalised windows (k, C, W) of these rows of the store; a new tensor."""
        array = self.store.arrays[modality]
        if not isinstance(array, np.ndarray) or array.nbytes > READY_BYTES:
            return torch.from_numpy(self.normaliser.apply(modality, array[rows], self.subject[rows]))
        if modality not in self._ready:
            self._ready[modality] = torch.from_numpy(self.normaliser.apply(modality, array, self.subject))
        return self._ready[modality][torch.from_numpy(rows)]

    def batch(self, sequences: np.ndarray) -> Batch:
        """The batch of *sequences* (B, T); -1 = padding, up to whole sequences of it (codes -1)."""
        shape, flat = sequences.shape, sequences.reshape(-1)
        valid = flat >= 0
        rows = np.where(valid, flat, flat.max())
        x = {}
        for modality in self.store.arrays:
            windows = self.windows(modality, rows)
            windows[torch.from_numpy(~valid)] = 0.0
            x[modality] = windows.unflatten(0, shape)
        y = np.where(valid[:, None], self.labels[rows], np.nan).astype(np.float32)
        present = self.present[rows] & valid[:, None]
        off_s = None if self.off_grid_s is None else torch.from_numpy(self.off_grid_s[rows]).unflatten(0, shape)
        first = sequences[:, 0]
        subject, stimulus = (np.where(first >= 0, known[first], -1) for known in (self.subject, self.stimulus))
        return Batch(x, torch.from_numpy(present).unflatten(0, shape), torch.from_numpy(y).unflatten(0, shape),
                     torch.from_numpy(valid).unflatten(0, shape), torch.from_numpy(subject), torch.from_numpy(stimulus),
                     None if off_s is None else step_times_s(shape[1], self.store.meta.step_s)[:, None] + off_s)

    def batches(self, sequences: np.ndarray, size: int) -> Iterator[Batch]:
        """Batches of *size* sequences, made as they are asked for."""
        for part in chunks(sequences, size):
            yield self.batch(part)


def step_times_s(n_steps: int, step_s: float) -> Tensor:
    """When the steps of a sequence begin, (T,) in s from its first."""
    return torch.arange(n_steps) * step_s


def chunks(sequences: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Consecutive parts of at most *size* sequences."""
    for first in range(0, len(sequences), size):
        yield sequences[first:first + size]


def codes(names: pd.Series) -> np.ndarray:
    """Integer codes (n,) of names, in sorted order."""
    return np.unique(names.to_numpy(str), return_inverse=True)[1].astype(np.int64)


def label_matrix(index: pd.DataFrame, task: Task) -> np.ndarray:
    """Labels (n, D): ratings, or classes (the number of thresholds below the rating); NaN stays NaN."""
    ratings = index[list(task.dimensions)].to_numpy(np.float64)
    if task.kind == "regression":
        return ratings
    classes = (ratings[..., None] > np.array(task.thresholds)).sum(-1)
    return np.where(np.isnan(ratings), np.nan, classes.astype(np.float64))


def shuffle_between_trials(index: pd.DataFrame, labels: np.ndarray, seed: int) -> np.ndarray:
    """Give every trial the labels of another trial (leak audit); window k gets the other's window k.

    A longer trial repeats the other's last label. (n, D) → (n, D).
    """
    rows = index.reset_index(drop=True).sort_values(["subject", "trial", "window"])
    groups = [group.index.to_numpy() for _, group in rows.groupby(["subject", "trial"], sort=True)]
    order = np.random.default_rng(seed).permutation(len(groups))
    shuffled = np.empty_like(labels)
    for target, source in zip(groups, order, strict=True):
        shuffled[target] = labels[groups[source]][np.minimum(np.arange(len(target)), len(groups[source]) - 1)]
    return shuffled
