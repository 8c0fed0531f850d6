"""Using fitted models: encode windows once, predict under any mask.

Legend: n windows, k tested windows, M modalities, D dimensions.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from himoe.core.checksums import checked
from himoe.core.errors import bad_input
from himoe.core.params import RunConfig
from himoe.models.batches import SEQUENCES, Assembler, Batch, chunks, make_sequences
from himoe.models.methods.base import Method, Output
from himoe.prepare.masks import drop
from himoe.training.calibration import Calibration
from himoe.training.rundata import FoldTask, RunData

CPU = torch.device("cpu")
MANY = 40_000  # windows, about a day: memory is what is short then
TRAIN_AGAIN = "train the run again"


def read_weights(path: Path) -> dict[str, Tensor]:
    """A task's tensors, from the ``weights.safetensors`` of a run; InputError if it is not as it was written."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = checked(path, TRAIN_AGAIN)
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise bad_input(path, f"no tensors ({error})", "weights as the train stage wrote them", TRAIN_AGAIN) from error


@dataclass(frozen=True)
class EncodedFold:
    """A fold's test windows, encoded once: batches with their codes, and the rows of the store they are.

    ``inside``: the encoders' diagnostics of those rows, (k, ...) by name. ``own``: flags (k,) of the rows of people
    whose predictions are calibrated, with how.
    """

    method: Method
    batches: list[tuple[Batch, Tensor]]
    places: list[np.ndarray]
    inside: Mapping[str, np.ndarray] = field(default_factory=dict)
    own: Sequence[tuple[np.ndarray, Calibration]] = ()

    @property
    def rows(self) -> np.ndarray:
        """Row numbers (k,) of the tested windows, in the order of every prediction."""
        flat = [place.reshape(-1) for place in self.places]
        return np.concatenate([np.empty(0, dtype=int), *(rows[rows >= 0] for rows in flat)])

    def mask(self, kept: np.ndarray, place: np.ndarray) -> Tensor:
        """A mask (n, M) over the store's rows, for a batch whose rows are *place* (B, T)."""
        flat = place.reshape(-1)
        return torch.from_numpy(kept[np.maximum(flat, 0)] & (flat >= 0)[:, None]).unflatten(0, place.shape)

    @torch.no_grad()
    def outputs(self, kept: np.ndarray) -> list[Output]:
        """What the method gives, batch by batch, under a mask (n, M) over the store's rows."""
        return [self.method.decode(code, batch.with_present(self.mask(kept, place)))
                for (batch, code), place in zip(self.batches, self.places, strict=True)]

    def flatten(self, outputs: list[Output]) -> np.ndarray:
        """Predictions (k, D) of :meth:`outputs`, padding left out, calibrated."""
        task = self.method.spec.task
        values = np.concatenate([np.empty((0, len(task.dimensions))),
                                 *self.unpadded([output.prediction for output in outputs])])
        for theirs, calibration in self.own:
            values[theirs] = calibration.apply(values[theirs], task.scale)
        return values

    def diagnostic(self, outputs: list[Output], name: str) -> np.ndarray | None:
        """A diagnostic (k, ...) of :meth:`outputs`, padding left out; None for a method without it."""
        parts = [output.diagnostics[name] for output in outputs if name in output.diagnostics]
        return np.concatenate(self.unpadded(parts)) if parts else None

    def unpadded(self, parts: Sequence[Tensor]) -> list[np.ndarray]:
        """The windows (k', ...) of each batch's tensor (B, T, ...), padding left out."""
        return [_windows(part, place) for part, place in zip(parts, self.places, strict=True)]

    def probabilities(self, outputs: list[Output]) -> np.ndarray:
        """Of every class, (k, D, K), of :meth:`outputs`, padding left out."""
        task = self.method.spec.task
        parts = self.unpadded([torch.softmax(output.raw, -1) for output in outputs])
        return np.concatenate([np.empty((0, len(task.dimensions), task.outputs)), *parts])

    def predict(self, kept: np.ndarray) -> np.ndarray:
        """Predictions (k, D) under a mask (n, M)."""
        return self.flatten(self.outputs(kept))


@torch.no_grad()
def encode_rows(method: Method, assembler: Assembler, rows: np.ndarray, length: int,
                device: torch.device = CPU) -> EncodedFold:
    """Encode *rows* of the assembler's store, in sequences of *length* windows; of many rows fewer at a time.

    The costly part of a network may be done on another *device*; codes come back, and are decoded here.
    """
    torch.set_num_threads(1)  # the same numbers on any number of cores
    device = device if method.gradient else CPU
    encoder = method if device == CPU else copy.deepcopy(method).to(device)
    batches, places = [], []
    inside: dict[str, list[np.ndarray]] = {}
    at_once = SEQUENCES if len(rows) <= MANY else SEQUENCES // 8  # the filters' outputs are many times their input
    for part in chunks(make_sequences(assembler.store.index, rows, length), at_once):
        batch = assembler.batch(part)
        there = batch.to(device)
        code = encoder.encode(there).cpu()
        for name, values in encoder.look_inside(there).items():
            inside.setdefault(name, []).append(_windows(values.cpu(), part))
        # Codes carry all a method needs: the raw windows are let go (a slice would hold them).
        batches.append((replace(batch, x={m: v.new_empty((*v.shape[:-1], 0)) for m, v in batch.x.items()}), code))
        places.append(part)
    return EncodedFold(method, batches, places, {name: np.concatenate(parts) for name, parts in inside.items()})


def _windows(values: Tensor, place: np.ndarray) -> np.ndarray:
    """The windows of a batch's tensor (B, T, ...) whose rows are *place* (B, T), -1 = padding."""
    return values.flatten(0, 1).numpy()[place.reshape(-1) >= 0]


def prediction_frame(config: RunConfig, data: RunData, task: FoldTask, rate: float, rows: np.ndarray,
                     predictions: np.ndarray) -> pd.DataFrame:
    """One row a test window and dimension, as in predictions.parquet."""
    index, dimensions = data.store.index, data.task.dimensions
    frame = index.iloc[np.repeat(rows, len(dimensions))][["subject", "trial", "window", "start_s"]]
    return frame.reset_index(drop=True).assign(
        run=config.name, fold=task.fold, seed=task.seed, missing_rate=rate,
        dimension=np.tile(np.array(dimensions, dtype=object), len(rows)),
        y_true=data.labels[rows].reshape(-1), y_pred=predictions.reshape(-1),
    )[["run", "fold", "seed", "missing_rate", "subject", "trial", "window", "start_s", "dimension", "y_true", "y_pred"]]


def masked_present(data: RunData, draws: np.ndarray, rate: float) -> np.ndarray:
    """(n, M): what is present at missing rate *rate*."""
    return drop(data.present, draws, rate) if rate > 0 else data.present
