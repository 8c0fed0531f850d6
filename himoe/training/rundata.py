"""A run's windows with all that is derived from them once, and the models it needs.

Legend: n windows, M modalities, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import ModelParams, RunConfig, RunParams
from himoe.models.batches import Assembler, Normaliser, Task, WindowStore, codes, label_matrix, shuffle_between_trials
from himoe.models.methods import method_class
from himoe.models.methods.base import Spec
from himoe.prepare.windows import ShardMeta, folder_meta


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
    """A run's windows with everything derived from them once: labels (n, D), present (n, M), codes (n,).

    ``raw_meta`` describes the windows behind features (None = those of the store); ``folders`` are those of windows and
    features that it was read from, () = none.
    """

    store: WindowStore
    folds: pd.DataFrame
    task: Task
    labels: np.ndarray
    present: np.ndarray
    subject: np.ndarray
    stimulus: np.ndarray
    raw_meta: ShardMeta | None = None
    min_completeness: float = 0.5
    folders: tuple[Path, ...] = ()

    @property
    def windows_meta(self) -> ShardMeta:
        """The description of the windows, whatever the store holds of them."""
        return self.raw_meta or self.store.meta

    def assembler(self, normaliser: Normaliser, subject: np.ndarray) -> Assembler:
        """Batches normalised by *normaliser*, whose rows *subject* (n,) names (:mod:`himoe.training.people`)."""
        return Assembler(self.store, normaliser, self.labels, self.present, subject, self.stimulus)


def feature_modalities(config: RunConfig) -> tuple[str, ...]:
    """The run's modalities that its method reads as features of windows; the others it reads as windows."""
    return read_as_features(config.run, config.model)


def read_as_features(run: RunParams, model: ModelParams) -> tuple[str, ...]:
    """:func:`feature_modalities` of a run whose model is *model*.

    A network's front ends decide: EEG comes as features for ``bands``, every other signal for
    ``signal_encoder: features``, FACE never. A method that looks at no signal gets the smaller folder.
    """
    cls = method_class(run.method)
    if cls.reads == "features" or not cls.looks:
        return run.modalities
    front = {"EEG": model.eeg_encoder == "bands", "FACE": False}
    return tuple(m for m in run.modalities if front.get(m, model.signal_encoder == "features"))


def open_store(config: RunConfig, windows: Path, features: Path, scratch: Path) -> WindowStore:
    """A run's modalities, each from the folder that its method reads; a folder that no modality needs is not opened.

    Raises
    ------
    InputError
        If the two folders are not of the same windows.
    """
    made = feature_modalities(config)
    raw = tuple(m for m in config.run.modalities if m not in made)
    stores = [WindowStore.open(folder, names, config.training.memory_gib, scratch)
              for folder, names in ((windows, raw), (features, made)) if names]
    if len(stores) == 1:
        return stores[0]
    first, second = stores
    if not first.index.equals(second.index) or plain_meta(first.meta) != plain_meta(second.meta):
        raise bad_input(features, "features of other windows", f"those of {windows}", "run the features stage again")
    arrays = {**first.arrays, **second.arrays}
    entries = {m: (second if m in made else first).meta.modalities[m] for m in first.meta.modalities}
    return WindowStore(first.index, {m: arrays[m] for m in config.run.modalities},
                       replace(first.meta, modalities=entries))


def plain_meta(meta: ShardMeta) -> ShardMeta:
    """What windows and their features must agree on: all but the modalities' shapes."""
    return replace(meta, modalities={m: {} for m in meta.modalities})


def load_run_data(config: RunConfig, windows: Path, features: Path, folds: pd.DataFrame, min_completeness: float,
                  scratch: Path) -> RunData:
    """Open a run's shards (windows, features of windows, or both) and derive labels, presence and codes."""
    store = open_store(config, windows, features, scratch)
    meta = store.meta
    task = Task(config.run.task, meta.dimensions, meta.scale, meta.thresholds)
    labels = label_matrix(store.index, task)
    if not np.isfinite(labels).any():
        raise bad_input(f"run {config.name}: labels", "only missing ones", "ratings or annotations",
                        "check windows.labels and the data set's ratings")
    if config.run.shuffle_labels:
        labels = shuffle_between_trials(store.index, labels, config.seed)
    return RunData(store, folds, task, labels, store.present(min_completeness), codes(store.index["subject"]),
                   codes(store.index["stimulus"]), folder_meta(windows), min_completeness,
                   (windows, features))


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


def make_spec(config: RunConfig, data: RunData, people: int | None = None) -> Spec:
    """What the run's method is built from; *people* that it will know, None = all there are."""
    shapes = {m: data.store.meta.shape(m) for m in config.run.modalities}
    return Spec(shapes, data.task, config.model, config.alignment, data.store.meta.step_s,
                int(data.subject.max()) + 1 if people is None else people)
