"""Using fitted models: build one from its tensors, encode a fold's test windows once, predict under any mask.

Legend: n windows, k tested windows, M modalities, D dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from himoe.core.checksums import checked
from himoe.core.errors import InputError, bad_input
from himoe.core.params import RunConfig
from himoe.models.batches import SEQUENCES, Batch, Normaliser, chunks, make_sequences
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Output
from himoe.prepare.folds import role_rows
from himoe.prepare.masks import drop
from himoe.training.rundata import FoldTask, RunData, make_spec

TRAIN_AGAIN = "train the run again"


def read_weights(path: Path) -> dict[str, Tensor]:
    """A task's tensors, from the ``weights.safetensors`` of a run; InputError if it is not as it was written."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(checked(path, TRAIN_AGAIN))
    except (SafetensorError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise bad_input(path, f"no tensors ({error})", "weights as the train stage wrote them", TRAIN_AGAIN) from error


def load_method(config: RunConfig, data: RunData, tensors: Mapping[str, Tensor]) -> tuple[Method, Normaliser]:
    """A fitted method in evaluation mode, and its normaliser, from what a task's ``weights.safetensors`` holds.

    Raises
    ------
    InputError
        If tensors are missing, or of other shapes than the run's method and modalities have.
    """
    method = build_method(config.run.method, make_spec(config, data))
    people = int(data.subject.max()) + 1
    wanted = {f"normaliser.{m}.{kind}": (people, data.store.meta.shape(m).channels)
              for m in config.run.modalities for kind in ("mean", "spread")}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name.startswith("normaliser.")}
    expected = f"the tensors of {config.run.method} on {'+'.join(config.run.modalities)} and {people} people"
    if found != wanted:
        raise bad_input(f"run {config.name}: weights", f"the normaliser's shapes {found}", f"{wanted}, {expected}",
                        TRAIN_AGAIN)
    try:
        method.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in wanted})
    except RuntimeError as error:
        raise bad_input(f"run {config.name}: weights", error, expected, TRAIN_AGAIN) from error
    return method.eval(), Normaliser.from_tensors(tensors)


@dataclass(frozen=True)
class EncodedFold:
    """A fold's test windows, encoded once: batches with their codes, and the rows of the store they are.

    ``inside``: the encoders' diagnostics of those rows, (k, ...) by name.
    """

    method: Method
    batches: list[tuple[Batch, Tensor]]
    places: list[np.ndarray]
    inside: Mapping[str, np.ndarray] = field(default_factory=dict)

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
        """Predictions (k, D) of :meth:`outputs`, padding left out."""
        parts = [output.prediction.flatten(0, 1).numpy()[place.reshape(-1) >= 0]
                 for output, place in zip(outputs, self.places, strict=True)]
        return np.concatenate([np.empty((0, len(self.method.spec.task.dimensions))), *parts])

    def predict(self, kept: np.ndarray) -> np.ndarray:
        """Predictions (k, D) under a mask (n, M)."""
        return self.flatten(self.outputs(kept))


@torch.no_grad()
def encode_fold(config: RunConfig, data: RunData, task: FoldTask, tensors: Mapping[str, Tensor]) -> EncodedFold:
    """Build a task's model and encode its fold's test windows."""
    torch.set_num_threads(1)
    method, normaliser = load_method(config, data, tensors)
    rows = role_rows(data.store.index, data.folds, task.fold, "test")
    rows = rows[data.present[rows].any(1)]
    assembler = data.assembler(normaliser)
    batches, places = [], []
    inside: dict[str, list[np.ndarray]] = {}
    for part in chunks(make_sequences(data.store.index, rows, config.training.sequence_length), SEQUENCES):
        batch = assembler.batch(part)
        code = method.encode(batch)
        for name, values in method.look_inside(batch).items():
            inside.setdefault(name, []).append(values.flatten(0, 1).numpy()[part.reshape(-1) >= 0])
        # Codes carry all a method needs: the raw windows are let go.
        batches.append((replace(batch, x={m: v[..., :0] for m, v in batch.x.items()}), code))
        places.append(part)
    return EncodedFold(method, batches, places, {name: np.concatenate(parts) for name, parts in inside.items()})


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
