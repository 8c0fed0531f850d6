"""Fitting one model of a run: the schedule that is the same for every method.

A fit uses one thread, so its result does not depend on the number of cores or on what else runs.
Legend: n windows, M modalities, D dimensions.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from himoe.batches import Assembler, Batch, Normaliser, chunks, make_sequences
from himoe.errors import InputError, bad_input
from himoe.folds import role_rows
from himoe.masks import training_mask
from himoe.methods import build_method
from himoe.methods.base import Heads, Method
from himoe.params import RunConfig
from himoe.rundata import FoldTask, RunData, make_spec

VALIDATION_SEQUENCES = 64  # a batch, when nothing is learned
MAX_GRADIENT_NORM = 5.0


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
    # In the order of names, so that sums do not depend on the order of files or rows.
    ordered = index.reset_index(drop=True).sort_values(["subject", "trial", "window"]).index.to_numpy()
    rows = {role: ordered[np.isin(ordered, role_rows(index, data.folds, task.fold, role))]
            for role in ("train", "validation")}
    rows = {role: r[data.present[r].any(1) & np.isfinite(data.labels[r]).any(1)] for role, r in rows.items()}
    for role, found in rows.items():
        if len(found) == 0:
            raise bad_input(f"run {config.name} fold {task.fold}", f"no labelled {role} window",
                            "at least one", "check the fold table and the labels")
    with threadpool_limits(1):
        normaliser = Normaliser.fit(data.store, rows["train"], data.present, data.subject,
                                    knows_test_subjects(data, task, rows["train"]))
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


def knows_test_subjects(data: RunData, task: FoldTask, train: np.ndarray) -> bool:
    """Whether every subject of the test fold has training rows: then each is normalised by its own.

    Where people are held out this must not be, and everybody is normalised by all training rows.
    """
    test = role_rows(data.store.index, data.folds, task.fold, "test")
    return bool(np.isin(data.subject[test], data.subject[train]).all())


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
    method.fit(*(assembler.batches(sequences[role], VALIDATION_SEQUENCES) for role in ("train", "validation")))
    losses = [_mean_loss(method, assembler.batches(sequences[role], VALIDATION_SEQUENCES))
              for role in ("train", "validation")]
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
    best, best_epoch, best_weights, history = float("inf"), 0, None, []
    for epoch in range(training.epochs):
        method.train()
        order = torch.randperm(len(sequences["train"]), generator=generator).numpy()
        totals: dict[str, float] = {}
        parts = list(chunks(sequences["train"][order], training.batch_sequences))
        for part in parts:
            losses = _step(method, optimizer, assembler.batch(part), config, task, generator, device)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value / len(parts)
        schedule.step()
        loss = _mean_loss(method, assembler.batches(sequences["validation"], VALIDATION_SEQUENCES), device)
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
    torch.nn.utils.clip_grad_norm_(method.parameters(), MAX_GRADIENT_NORM)
    optimizer.step()
    return {name: float(value.detach()) for name, value in output.losses.items()}


@torch.no_grad()
def _mean_loss(method: Method, batches: Iterable[Batch], device: torch.device | None = None) -> float:
    """Emotion loss over known labels, batches weighted by their number of labels."""
    method.eval()
    total, count = 0.0, 0
    for batch in batches:
        known = int(torch.isfinite(batch.y).sum())
        output = method(batch if device is None else batch.to(device))
        total, count = total + float(output.losses["emotion"]) * known, count + known
    return total / max(count, 1)
