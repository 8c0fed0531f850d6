"""Training a run: folds × seeds (× rates) as independent tasks in worker processes.

Each task uses one thread, so its result does not depend on the number of cores or on the order of tasks;
a finished task is kept under a key of all it depends on and reused only when that key still matches.
Legend: n windows, M modalities, D dimensions.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from himoe.batches import (
    Assembler,
    Batch,
    Normaliser,
    Task,
    WindowStore,
    codes,
    label_matrix,
    make_sequences,
    shuffle_between_trials,
)
from himoe.errors import InputError, bad_input
from himoe.files import atomic_path, write_json
from himoe.folds import role_rows
from himoe.masks import drop, evaluation_draws, training_mask
from himoe.methods import METHODS, build_method
from himoe.methods.base import Heads, Method, Spec
from himoe.params import RunConfig
from himoe.progress import progress

EVALUATION_SEQUENCES = 64  # sequences a batch when nothing is learned
FIT_SEED = 0


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
    task = Task(config.run.task, meta.dimensions, meta.scale, meta.threshold)
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
    rates: Sequence[float | None] = config.rates if matched else (None,)
    seeds = config.training.seeds if trained_by_gradient(config) else config.training.seeds[:1]
    return [FoldTask(int(fold), seed, rate) for fold in sorted(folds["fold"].unique())
            for seed in seeds for rate in rates]


def trained_by_gradient(config: RunConfig) -> bool:
    """Whether the run's method is trained by gradient (the others have no seeds and no schedule)."""
    if config.run.method not in METHODS:
        raise bad_input(f"run {config.name}: method", repr(config.run.method), "one of " + ", ".join(METHODS),
                        "correct the name")
    return METHODS[config.run.method].gradient


def make_spec(config: RunConfig, data: RunData) -> Spec:
    """What the run's method is built from."""
    shapes = {m: data.store.meta.shape(m) for m in config.run.modalities}
    return Spec(shapes, data.task, config.model, config.alignment, data.store.meta.step_s)


def choose_device(name: str) -> torch.device:
    """``auto`` = CUDA when there is one.

    Raises
    ------
    InputError
        If ``cuda`` is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device: found 'cuda' but no CUDA device, expected one; set it to auto or cpu.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":  # worker i of n takes GPU i mod n
        return torch.device("cuda", os.getpid() % torch.cuda.device_count())
    return torch.device(name)


def fit_task(config: RunConfig, data: RunData, task: FoldTask) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Fit one model: its weights (with the normaliser's) and its history by epoch."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = choose_device(config.training.device)
    index = data.store.index
    rows = {role: role_rows(index, data.folds, task.fold, role) for role in ("train", "validation")}
    rows = {role: r[data.present[r].any(1) & np.isfinite(data.labels[r]).any(1)] for role, r in rows.items()}
    for role, found in rows.items():
        if len(found) == 0:
            raise bad_input(f"run {config.name} fold {task.fold}", f"no labelled {role} window",
                            "at least one", "check the fold table and the labels")
    with threadpool_limits(1):
        normaliser = Normaliser.fit(data.store, rows["train"], data.present)
        assembler = data.assembler(normaliser)
        sequences = {r: make_sequences(index, v, config.training.sequence_length) for r, v in rows.items()}
        seed = derive_seed(config.seed, task.seed, task.fold, config.run.method)
        torch.manual_seed(seed)
        method = build_method(config.run.method, make_spec(config, data)).to(device)
        if method.gradient:
            calibrate_heads(method, data.labels[rows["train"]])
            history = _fit_gradient(config, method, assembler, sequences, task, seed, device)
        else:
            history = _fit_closed(config, method, assembler, sequences)
    weights = {k: v.detach().cpu().contiguous() for k, v in method.state_dict().items()}
    return weights | normaliser.tensors(), history


def calibrate_heads(method: Method, labels: np.ndarray) -> None:
    """Tell every head the training labels' mean and SD."""
    known = torch.from_numpy(labels.astype(np.float32))
    for module in method.modules():
        if isinstance(module, Heads):
            module.calibrate(known.to(module.centre.device))


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from anything printable."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little") >> 1


def _fit_closed(config: RunConfig, method: Method, assembler: Assembler,
                sequences: Mapping[str, np.ndarray]) -> pd.DataFrame:
    batches = {role: [assembler.batch(part) for part in _chunks(s, EVALUATION_SEQUENCES)]
               for role, s in sequences.items()}
    method.fit(batches["train"], batches["validation"])
    losses = [float(_mean_loss(method, batches[role])) for role in ("train", "validation")]
    return pd.DataFrame([{"epoch": 0, "train_loss": losses[0], "validation_loss": losses[1], "best": True}])


def _fit_gradient(
    config: RunConfig, method: Method, assembler: Assembler, sequences: Mapping[str, np.ndarray],
    task: FoldTask, seed: int, device: torch.device,
) -> pd.DataFrame:
    """Adam, cosine annealing, early stopping on the validation rows' emotion loss; the best epoch's weights stay."""
    training = config.training
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(method.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
    validation = [assembler.batch(part) for part in _chunks(sequences["validation"], EVALUATION_SEQUENCES)]
    best, best_weights, history = float("inf"), None, []
    for epoch in range(training.epochs):
        method.train()
        order = torch.randperm(len(sequences["train"]), generator=generator).numpy()
        totals: dict[str, float] = {}
        parts = list(_chunks(sequences["train"][order], training.batch_sequences))
        for part in parts:
            losses = _step(method, optimizer, assembler.batch(part), config, task, generator, device)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value / len(parts)
        schedule.step()
        loss = _mean_loss(method, validation, device)
        history.append({"epoch": epoch, "train_loss": totals.pop("emotion"), **{f"train_{k}": v for k, v
                        in totals.items()}, "validation_loss": loss})
        if loss < best:
            best, best_epoch = loss, epoch
            best_weights = {k: v.detach().clone() for k, v in method.state_dict().items()}
        elif epoch - best_epoch >= training.patience:
            break
    if best_weights is None:
        raise InputError(f"run {config.name} {task.name}: the validation loss was never finite; "
                         "lower training.learning_rate or look for extreme values in the signals.")
    method.load_state_dict(best_weights)
    frame = pd.DataFrame(history)
    return frame.assign(best=frame["epoch"] == best_epoch)


def _step(method: Method, optimizer: torch.optim.Optimizer, batch: Batch, config: RunConfig, task: FoldTask,
          generator: torch.Generator, device: torch.device) -> dict[str, float]:
    if config.training.missing != "none":
        rate = task.rate if config.training.missing == "matched" else None
        batch = batch.with_present(training_mask(batch.present, rate, config.training.missing_max, generator))
    output = method(batch.to(device))
    loss = torch.stack(list(output.losses.values())).sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(method.parameters(), 5.0)
    optimizer.step()
    return {name: float(value) for name, value in output.losses.items()}


@torch.no_grad()
def _mean_loss(method: Method, batches: Sequence[Batch], device: torch.device | None = None) -> float:
    """Emotion loss over known labels, batches weighted by their number of labels."""
    method.eval()
    total, count = 0.0, 0
    for batch in batches:
        known = int(torch.isfinite(batch.y).sum())
        output = method(batch if device is None else batch.to(device))
        total, count = total + float(output.losses["emotion"]) * known, count + known
    return total / max(count, 1)


def _chunks(sequences: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for first in range(0, len(sequences), size):
        yield sequences[first:first + size]


def load_method(config: RunConfig, data: RunData, weights: Path) -> tuple[Method, Normaliser]:
    """A fitted method and its normaliser from a task's ``weights.safetensors``, in evaluation mode."""
    from safetensors.torch import load_file

    tensors = load_file(weights)
    method = build_method(config.run.method, make_spec(config, data))
    method.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("normaliser.")})
    return method.eval(), Normaliser.from_tensors(tensors)


@dataclass(frozen=True)
class EncodedFold:
    """A fold's test windows, encoded once: batches with their codes, and the rows of the store they are."""

    method: Method
    batches: list[tuple[Batch, Tensor]]
    rows: list[np.ndarray]

    @torch.no_grad()
    def predict(self, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict under a mask (n, M) over the store's rows: row numbers (k,), predictions (k, D)."""
        rows, predictions = [], []
        for (batch, code), sequences in zip(self.batches, self.rows, strict=True):
            flat = sequences.reshape(-1)
            mask = torch.from_numpy(kept[np.maximum(flat, 0)] & (flat >= 0)[:, None]).unflatten(0, sequences.shape)
            output = self.method.decode(code, batch.with_present(mask))
            predictions.append(output.prediction.flatten(0, 1).numpy()[flat >= 0])
            rows.append(flat[flat >= 0])
        return np.concatenate(rows), np.concatenate(predictions).astype(np.float64)


@torch.no_grad()
def encode_fold(config: RunConfig, data: RunData, task: FoldTask, weights: Path) -> EncodedFold:
    """Load a task's model and encode its fold's test windows."""
    torch.set_num_threads(1)
    method, normaliser = load_method(config, data, weights)
    rows = role_rows(data.store.index, data.folds, task.fold, "test")
    rows = rows[data.present[rows].any(1)]
    assembler = data.assembler(normaliser)
    batches, places = [], []
    for part in _chunks(make_sequences(data.store.index, rows, config.training.sequence_length), EVALUATION_SEQUENCES):
        batch = assembler.batch(part)
        code = method.encode(batch)
        # Codes carry all a method needs: the raw windows are let go.
        batches.append((Batch({m: v[..., :0] for m, v in batch.x.items()}, batch.present, batch.y, batch.valid,
                              batch.subject, batch.stimulus), code))
        places.append(part)
    return EncodedFold(method, batches, places)


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


def task_key(config: RunConfig, task: FoldTask, inputs: Mapping[str, str]) -> str:
    """Key of a finished task: configuration, task, and digests of data and code."""
    value = json.dumps({"config": asdict(config), "task": asdict(task), "inputs": dict(inputs)}, sort_keys=True)
    return hashlib.sha256(value.encode()).hexdigest()[:24]


def complete_task(config: RunConfig, data: RunData, task: FoldTask, kept: Path) -> None:
    """Fit one task and leave weights, history and predictions in the folder *kept*, all or nothing."""
    from safetensors.torch import save_file

    weights, history = fit_task(config, data, task)
    with atomic_path(kept) as folder:
        folder.mkdir(parents=True)
        save_file(weights, folder / "weights.safetensors")
        history.assign(fold=task.fold, seed=task.seed).to_csv(folder / "history.csv", index=False,
                                                              float_format="%.6f", lineterminator="\n")
        encoded = encode_fold(config, data, task, folder / "weights.safetensors")
        rate = task.rate or 0.0
        draws = evaluation_draws(data.store.index, config.run.modalities, FIT_SEED)
        rows, predictions = encoded.predict(masked_present(data, draws, rate))
        prediction_frame(config, data, task, rate, rows, predictions).to_parquet(
            folder / "predictions.parquet", index=False)


def train_run(config: RunConfig, data: RunData, out: Path, kept: Path, inputs: Mapping[str, str], jobs: int) -> None:
    """Fit every task of a run and assemble the folder *out*.

    Finished tasks stay in *kept* until the run is whole; a killed run starts again with those whose key matches.
    """
    from joblib import Parallel, delayed

    tasks = run_tasks(config, data.folds)
    places = {task: kept / f"{task.name}-{task_key(config, task, inputs)}" for task in tasks}
    waiting = [task for task in tasks if not places[task].is_dir()]
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered", **worker_options(config, jobs))
    results = parallel(delayed(complete_task)(config, data, task, places[task]) for task in waiting)
    for _ in progress(results, config.name, "model", len(waiting)):
        pass
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        for task in tasks:
            target = folder / task.name
            target.mkdir()
            for name in ("weights.safetensors", "history.csv"):
                (target / name).write_bytes((places[task] / name).read_bytes())
        parts = [places[task] for task in tasks]
        pd.concat([pd.read_csv(p / "history.csv") for p in parts]).to_csv(
            folder / "history.csv", index=False, float_format="%.6f", lineterminator="\n")
        pd.concat([pd.read_parquet(p / "predictions.parquet") for p in parts], ignore_index=True).to_parquet(
            folder / "predictions.parquet", index=False)
        write_json(folder / "run.json", describe(config, data))


def worker_options(config: RunConfig, jobs: int) -> dict[str, Any]:
    """How joblib runs the tasks: forked workers share the windows; CUDA or a scheduler need fresh processes."""
    if os.environ.get("DASK_SCHEDULER_ADDRESS"):
        return {"backend": "dask"}
    if jobs == 1:
        return {"backend": "sequential"}
    fresh = choose_device(config.training.device).type == "cuda" or not hasattr(os, "fork")
    return {"backend": "loky"} if fresh else {"backend": "multiprocessing"}


def describe(config: RunConfig, data: RunData) -> dict[str, Any]:
    """What a run is, for every file made from it."""
    provenance = data.store.meta.provenance
    return {
        "run": config.name, "method": config.run.method, "set": config.run.set, "protocol": config.run.protocol,
        "task": config.run.task, "modalities": list(config.run.modalities),
        "shuffle_labels": config.run.shuffle_labels, "model": asdict(config.model),
        "alignment": asdict(config.alignment), "training": asdict(config.training),
        "source": provenance["source"], "simulated": provenance["simulated"],
        "label_source": data.store.meta.label_source,
    }
