"""A run's windows with all that is derived from them once, and the models it needs.

Legend: n windows, M modalities, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from himoe.batches import Assembler, Normaliser, Task, WindowStore, codes, label_matrix, shuffle_between_trials
from himoe.errors import bad_input
from himoe.methods import method_class
from himoe.methods.base import Spec
from himoe.params import RunConfig


@dataclass(frozen=True)
class FoldTask:
    """One model to fit: fold number, seed, and missing rate (None unless ``missing: matched``)."""

    fold: int
    seed: int
    rate: float | None = None

    @property
    def name(self) -> str:
        """Folder name, e.g. ``fold-02_seed-0`` or ``fold-02_seed-0_rate-0.30``."""
        suffix = "" if self.rate is None else f"_rate-{self.rate:.2f}"
        return f"fold-{self.fold:02d}_seed-{self.seed}{suffix}"


@dataclass(frozen=True)
class RunData:
    """A run's windows with everything derived from them once: labels (n, D), present (n, M), codes (n,)."""

    store: WindowStore
    folds: pd.DataFrame
    task: Task
    labels: np.ndarray
    present: np.ndarray
    subject: np.ndarray
    stimulus: np.ndarray

    def assembler(self, normaliser: Normaliser) -> Assembler:
        """Batches normalised by *normaliser*."""
        return Assembler(self.store, normaliser, self.labels, self.present, self.subject, self.stimulus)


def load_run_data(
    config: RunConfig, windows: Path, folds: pd.DataFrame, min_completeness: float, scratch: Path
) -> RunData:
    """Open a run's shards and derive labels, presence and codes."""
    store = WindowStore.open(windows, config.run.modalities, config.training.memory_gib, scratch)
    meta = store.meta
    task = Task(config.run.task, meta.dimensions, meta.scale, meta.thresholds)
    labels = label_matrix(store.index, task)
    if not np.isfinite(labels).any():
        raise bad_input(f"{windows}: labels", "only missing ones", "ratings or annotations",
                        "check windows.labels and the data set's ratings")
    if config.run.shuffle_labels:
        labels = shuffle_between_trials(store.index, labels, config.seed)
    return RunData(store, folds, task, labels, store.present(min_completeness),
                   codes(store.index["subject"]), codes(store.index["stimulus"]))


def run_tasks(config: RunConfig, folds: pd.DataFrame) -> list[FoldTask]:
    """Every model a run needs: folds × seeds, and × rates when training rates are matched."""
    matched = config.training.missing == "matched" and trained_by_gradient(config)
    rates: Sequence[float | None] = config.missing.rates if matched else (None,)
    seeds = config.training.seeds if trained_by_gradient(config) else config.training.seeds[:1]
    return [FoldTask(int(fold), seed, rate) for fold in sorted(folds["fold"].unique())
            for seed in seeds for rate in rates]


def trained_by_gradient(config: RunConfig) -> bool:
    """Whether the run's method is trained by gradient (the others have no seeds and no schedule)."""
    return method_class(config.run.method).gradient


def make_spec(config: RunConfig, data: RunData) -> Spec:
    """What the run's method is built from."""
    shapes = {m: data.store.meta.shape(m) for m in config.run.modalities}
    return Spec(shapes, data.task, config.model, config.alignment, data.store.meta.step_s)
