"""What a fit draws on: a fold's rows as sequences, how they are normalised, the first weights.

Legend: n windows, M modalities, D dimensions, B sequences, T time steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from himoe.core.errors import bad_input
from himoe.core.params import RunConfig
from himoe.models.batches import Assembler, Normaliser, make_sequences
from himoe.models.methods import build_method
from himoe.models.methods.base import Method, Spec
from himoe.prepare.folds import role_rows
from himoe.training.drawing import drawn_lags_s
from himoe.training.lags import start_lags_s
from himoe.training.people import fit_normaliser, names_of, numbered, person_codes, with_strangers
from himoe.training.rundata import FoldTask, RunData, make_spec


def labelled_rows(data: RunData, fold: int, role: str) -> np.ndarray:
    """Rows of a fold's role with a label and a signal."""
    rows = role_rows(data.store.index, data.folds, fold, role)
    return rows[data.present[rows].any(1) & np.isfinite(data.labels[rows]).any(1)]


def steps_per_epoch(config: RunConfig, data: RunData) -> int:
    """Batches that the largest training fold of the run fills: all folds take as many, so that they can be as one."""
    length, ids = config.training.sequence_length, data.store.index[["subject", "trial"]]
    counts = [ids.iloc[labelled_rows(data, int(fold), "train")].groupby(["subject", "trial"], sort=False).size()
              for fold in data.folds["fold"].unique()]
    return max(1, *(-(-int(np.ceil(count / length).sum()) // config.training.batch_sequences) for count in counts))


def gather(config: RunConfig, data: RunData, task: FoldTask, device: torch.device, steps: int,
           kept: Mapping[str, Tensor] | None = None) -> Material:
    """What a task's fit draws on; refuses a fold without labelled training or validation windows."""
    index = data.store.index
    # In the order of names, so that sums do not depend on the order of files or rows.
    ordered = index.reset_index(drop=True).sort_values(["subject", "trial", "window"]).index.to_numpy()
    rows = {role: ordered[np.isin(ordered, labelled_rows(data, task.fold, role))] for role in ("train", "validation")}
    for role, found in rows.items():
        if len(found) == 0:
            raise bad_input(f"run {config.name} fold {task.fold}", f"no labelled {role} window",
                            "at least one", "check the fold table and the labels")
    people, policy = names_of(index["subject"].iloc[rows["train"]]), config.run.normalise
    known = person_codes(index["subject"].to_numpy(str), numbered(people), len(people), policy)
    normaliser = fit_normaliser(data.store, rows["train"], data.present, known, len(people), policy)
    # Where people are held out, people validate too: they are scaled as the tested ones will be.
    validating = role_rows(index, data.folds, task.fold, "validation")
    assembler = data.assembler(with_strangers(normaliser, data.store, validating, data.present, known), known)
    return Material(config, task, normaliser, assembler,
                    {r: make_sequences(index, v, config.training.sequence_length) for r, v in rows.items()},
                    make_spec(config, data, len(people)),
                    torch.from_numpy(data.labels[rows["train"]].astype(np.float32)), device, steps,
                    start_lags_s(config, data, rows["train"]), kept)


@dataclass(frozen=True)
class Material:
    """What a fit draws on.

    ``normaliser`` is that of the training rows, which the model keeps; sequences by role, how to make batches of them,
    training labels (n, D), steps per epoch, where learned lags (M,) begin, in seconds, and the windows that lie on the
    device (:func:`himoe.training.feeding.kept_windows`).
    """

    config: RunConfig
    task: FoldTask
    normaliser: Normaliser
    assembler: Assembler
    sequences: Mapping[str, np.ndarray]
    spec: Spec
    labels: Tensor
    device: torch.device
    steps: int
    lags_s: Tensor | None = None
    kept: Mapping[str, Tensor] | None = None

    @property
    def seed(self) -> int:
        """The seed of initial weights, order of batches and training masks."""
        return derive_seed(self.config.seed, self.task.seed, self.task.fold, self.config.run.method)

    def drawn_lags_s(self, sequences: np.ndarray, epoch: int) -> np.ndarray:
        """The lags (B, M) that this epoch draws for *sequences* (B, T)."""
        return drawn_lags_s(self.config.training.asynchrony, self.assembler.store.index.iloc[sequences[:, 0]],
                            self.spec.modalities, self.seed, epoch)

    def build(self) -> Method:
        """The method with its first weights."""
        torch.manual_seed(self.seed)
        method = build_method(self.config.run.method, self.spec).to(self.device)
        method.calibrate(self.labels)
        if self.lags_s is not None:
            method.start_lags(self.lags_s)
        return method


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from anything printable."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little") >> 1
