"""Fitting one model of a run: the schedule that is the same for every method.

A fit uses one thread, so its result does not depend on the number of cores or on what else runs.
Legend: n windows, M modalities, D dimensions.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from himoe.adam import Adam, scheduled
from himoe.batches import SEQUENCES, Assembler, Batch, Normaliser, chunks, make_sequences
from himoe.errors import InputError, bad_input
from himoe.folds import role_rows
from himoe.masks import training_mask
from himoe.methods import build_method, method_class
from himoe.methods.base import Method, Spec
from himoe.methods.resizable import FittedMethod
from himoe.params import RunConfig
from himoe.rundata import FoldTask, RunData, make_spec

SEARCH_COLUMNS = ["trial", "learning_rate", "validation_loss", "chosen"]
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


@dataclass(frozen=True)
class Fitted:
    """A fitted model: named tensors (weights and normaliser), history by epoch, what the search tried."""

    tensors: dict[str, Tensor]
    history: pd.DataFrame
    search: pd.DataFrame


def fit_task(config: RunConfig, data: RunData, task: FoldTask) -> Fitted:
    """Fit one model on its fold's training rows; its validation rows choose settings and the epoch."""
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs 8 %
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
        material = Material(config, task, data.assembler(normaliser),
                            {r: make_sequences(index, v, config.training.sequence_length) for r, v in rows.items()},
                            make_spec(config, data), data.labels[rows["train"]], device)
        fit = _fit_gradient if method_class(config.run.method).gradient else _fit_closed
        weights, history, search = fit(material)
    tensors = {k: v.detach().cpu().contiguous() for k, v in weights.items()} | normaliser.tensors()
    return Fitted(tensors, history, search)


@dataclass(frozen=True)
class Material:
    """What a fit draws on: sequences by role, how to make batches of them, training labels (n, D)."""

    config: RunConfig
    task: FoldTask
    assembler: Assembler
    sequences: Mapping[str, np.ndarray]
    spec: Spec
    labels: np.ndarray
    device: torch.device

    @property
    def seed(self) -> int:
        """The seed of initial weights, order of batches and training masks."""
        return derive_seed(self.config.seed, self.task.seed, self.task.fold, self.config.run.method)


def knows_test_subjects(data: RunData, task: FoldTask, train: np.ndarray) -> bool:
    """Whether every subject of the test fold has training rows: then each is normalised by its own.

    Where people are held out this must not be, and everybody is normalised by all training rows.
    """
    test = role_rows(data.store.index, data.folds, task.fold, "test")
    return bool(np.isin(data.subject[test], data.subject[train]).all())


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from anything printable."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little") >> 1


def _fit_closed(material: Material) -> tuple[dict[str, Tensor], pd.DataFrame, pd.DataFrame]:
    torch.manual_seed(material.seed)
    method = build_method(material.config.run.method, material.spec).to(material.device)
    assert isinstance(method, FittedMethod)
    method.calibrate(torch.from_numpy(material.labels.astype(np.float32)))
    batches = [partial(material.assembler.batches, material.sequences[role], SEQUENCES)
               for role in ("train", "validation")]
    method.fit(*(make() for make in batches))
    losses = [_mean_loss(method, make()) for make in batches]
    history = pd.DataFrame([{"epoch": 0, "train_loss": losses[0], "validation_loss": losses[1], "best": True}])
    return method.state_dict(), history, pd.DataFrame(columns=SEARCH_COLUMNS)


def _fit_gradient(material: Material) -> tuple[dict[str, Tensor], pd.DataFrame, pd.DataFrame]:
    """Every learning rate of the search for its first epochs, then the best on validation rows to the end."""
    training = material.config.training
    rates = training.search.learning_rate if len(training.search.learning_rate) > 1 else (training.learning_rate,)
    fits = [Fit(material, rate) for rate in rates]
    if len(fits) > 1:
        for fit in fits:
            fit.advance(min(training.search.epochs, training.epochs))
    chosen = min(fits, key=lambda fit: fit.best_loss)  # the first of equals
    tried = [(k, fit.learning_rate, fit.best_loss, fit is chosen) for k, fit in enumerate(fits)]
    table = pd.DataFrame(tried if len(fits) > 1 else [], columns=SEARCH_COLUMNS)
    chosen.advance(training.epochs)
    if chosen.best_weights is None:
        raise InputError(f"run {material.config.name} {material.task.name}: the validation loss was never finite; "
                         "lower training.learning_rate or look for extreme values in the signals.")
    frame = pd.DataFrame(chosen.history)
    return chosen.best_weights, frame.assign(best=frame["epoch"] == chosen.best_epoch), table


class Fit:
    """A model under training that can be advanced epoch by epoch.

    Adam; the learning rate rises over the first steps and falls along a cosine to the end of the schedule. What is
    judged and kept is a running average of the weights (Polyak & Juditsky 1992, doi 10.1137/0330046; its decay is
    ``training.ema``): early stopping on the validation rows' emotion loss, the best epoch's average is the model.
    """

    def __init__(self, material: Material, learning_rate: float) -> None:
        self.material, self.learning_rate = material, learning_rate
        training = material.config.training
        torch.manual_seed(material.seed)
        self.method = build_method(material.config.run.method, material.spec).to(material.device)
        self.method.calibrate(torch.from_numpy(material.labels.astype(np.float32)))
        self.average = Average(self.method)
        self.generator = torch.Generator().manual_seed(material.seed)
        self.noise = torch.random.get_rng_state()  # dropout's: each rate of the search has its own course
        self.optimizer = Adam(self.method.parameters(), learning_rate, training.weight_decay)
        self.n_batches = -(-len(material.sequences["train"]) // training.batch_sequences)
        self.steps = 0
        self.history: list[dict[str, float]] = []
        self.best_loss, self.best_epoch = float("inf"), 0
        self.best_weights: dict[str, Tensor] | None = None

    def advance(self, until: int) -> None:
        """Train until *until* epochs are done, or patience is at its end."""
        torch.random.set_rng_state(self.noise)
        patience = self.material.config.training.patience
        while len(self.history) < until and len(self.history) - 1 - self.best_epoch < patience:
            self._epoch()
        self.noise = torch.random.get_rng_state()

    def _epoch(self) -> None:
        material, epoch = self.material, len(self.history)
        self.method.train()
        train = material.sequences["train"]
        order = torch.randperm(len(train), generator=self.generator).numpy()
        totals: dict[str, float] = {}
        for part in chunks(train[order], material.config.training.batch_sequences):
            for name, value in self._step(material.assembler.batch(part)).items():
                totals[name] = totals.get(name, 0.0) + value / self.n_batches
        loss = _mean_loss(self.average.method, material.assembler.batches(material.sequences["validation"], SEQUENCES),
                          material.device)
        self.history.append({"epoch": epoch, "train_loss": totals.pop("emotion"),
                             **{f"train_{k}": v for k, v in totals.items()}, "validation_loss": loss})
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
            self.best_weights = {k: v.detach().clone() for k, v in self.average.method.state_dict().items()}

    def _step(self, batch: Batch) -> dict[str, float]:
        training, task = self.material.config.training, self.material.task
        if training.missing != "none":
            rate = task.rate if training.missing == "matched" else None
            batch = batch.with_present(training_mask(batch.present, rate, training.missing_max, self.generator))
        output = self.method(batch.to(self.material.device))
        loss = torch.stack(list(output.losses.values())).sum()
        if not torch.isfinite(loss):  # a step from here would spoil the weights and their average for good
            raise InputError(f"run {self.material.config.name} {task.name}: found the loss {float(loss.detach())} in "
                             f"step {self.steps}, expected a finite one; lower training.learning_rate or look for "
                             "extreme values in the signals.")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.method.parameters(), MAX_GRADIENT_NORM, foreach=True)
        self.optimizer.learning_rate = scheduled(self.learning_rate, self.steps, training.warmup_steps,
                                                 training.epochs * self.n_batches)
        self.optimizer.step()
        self.steps += 1
        self.average.update(min(training.ema, self.steps / (self.steps + 10)))
        return {name: float(value.detach()) for name, value in output.losses.items()}


class Average:
    """A running average of a method's weights and running statistics, held by a second method, ``method``."""

    def __init__(self, source: Method) -> None:
        self.method = copy.deepcopy(source).eval()
        pairs = [(value, source.state_dict()[name]) for name, value in self.method.state_dict().items()]
        self.smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        self.counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """``average = decay · average + (1 - decay) · source``; whole numbers are copied."""
        torch._foreach_lerp_([old for old, _ in self.smooth], [new for _, new in self.smooth], 1.0 - decay)
        for old, new in self.counts:
            old.copy_(new)


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
