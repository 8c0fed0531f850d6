"""Fitting one model of a run: the schedule that is the same for every method.

A fit uses one thread, so its result does not depend on the number of cores or on what else runs.
Legend: n windows, M modalities, D dimensions, G models, B sequences, T time steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from himoe.core.errors import InputError, bad_input
from himoe.core.params import RunConfig
from himoe.core.progress import progress
from himoe.core.workers import own_gpu
from himoe.models.batches import SEQUENCES, Assembler, Batch, Normaliser, make_sequences
from himoe.models.methods import build_method, method_class
from himoe.models.methods.base import Method, Spec
from himoe.models.methods.resizable import FittedMethod
from himoe.prepare.folds import role_rows
from himoe.prepare.masks import training_mask
from himoe.training.adam import Adam, scheduled
from himoe.training.lags import start_lags_s
from himoe.training.people import fit_normaliser, names_of, numbered, person_codes, with_strangers
from himoe.training.rundata import FoldTask, RunData, make_spec
from himoe.training.stacked import Average, Stacked, can_stack, stack_batches

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
    if name == "cuda":
        return torch.device("cuda", own_gpu(torch.cuda.device_count()))
    return torch.device(name)


@dataclass(frozen=True)
class FitResult:
    """What a fit gives: named tensors (weights and normaliser), history by epoch, what the search tried."""

    tensors: dict[str, Tensor]
    history: pd.DataFrame
    search: pd.DataFrame


def fit_task(config: RunConfig, data: RunData, task: FoldTask, told: str = "") -> FitResult:
    """Fit one model on its fold's training rows; its validation rows choose settings and the epoch."""
    return fit_tasks(config, data, [task], told)[0]


def fit_tasks(config: RunConfig, data: RunData, tasks: Sequence[FoldTask], told: str = "") -> list[FitResult]:
    """Fit several models of a run, as one where their method allows it; alone, each would be the same to rounding.

    With *told* the progress over epochs is told under that name.
    """
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs 8 %
    device = choose_device(config.training.device)
    with threadpool_limits(1):
        steps = steps_per_epoch(config, data)
        folds: dict[int, Material] = {}
        for task in tasks:
            if task.fold not in folds:
                folds[task.fold] = gather(config, data, task, device, steps)
        materials = [replace(folds[task.fold], task=task) for task in tasks]
        if not method_class(config.run.method).gradient:
            found = [_fit_closed(material) for material in materials]
        else:
            # Encoders with statistics over a batch cannot be run as one, nor maps for different numbers of people.
            alike = not config.model.person_map or len({material.spec.people for material in materials}) == 1
            together = alike and can_stack(materials[0].build())
            groups = [materials] if together else [[material] for material in materials]
            found = [each for group in groups for each in _fit_group(group, told)]
    return [FitResult({k: v.detach().cpu().contiguous() for k, v in weights.items()}
                   | material.normaliser.tensors(), history, search)
            for material, (weights, history, search) in zip(materials, found, strict=True)]


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


def gather(config: RunConfig, data: RunData, task: FoldTask, device: torch.device, steps: int) -> Material:
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
                    start_lags_s(config, data, rows["train"]))


@dataclass(frozen=True)
class Material:
    """What a fit draws on.

    ``normaliser`` is that of the training rows, which the model keeps; sequences by role, how to make batches of them,
    training labels (n, D), steps per epoch, and where learned lags (M,) begin, in seconds.
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

    @property
    def seed(self) -> int:
        """The seed of initial weights, order of batches and training masks."""
        return derive_seed(self.config.seed, self.task.seed, self.task.fold, self.config.run.method)

    def batch(self, sequences: np.ndarray) -> Batch:
        """The batch of *sequences* (B, T), or of one that is empty where there are none."""
        none = np.full((1, self.config.training.sequence_length), -1)
        return self.assembler.batch(sequences if len(sequences) else none)

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


Found = tuple[dict[str, Tensor], pd.DataFrame, pd.DataFrame]  # weights, history, search


def _fit_closed(material: Material) -> Found:
    method = material.build()
    assert isinstance(method, FittedMethod)
    batches = [partial(material.assembler.batches, material.sequences[role], SEQUENCES)
               for role in ("train", "validation")]
    method.fit(*(make() for make in batches))
    losses = [_mean_loss(method, make()) for make in batches]
    history = pd.DataFrame([{"epoch": 0, "train_loss": losses[0], "validation_loss": losses[1], "best": True}])
    return method.state_dict(), history, pd.DataFrame(columns=SEARCH_COLUMNS)


@torch.no_grad()
def _mean_loss(method: Method, batches: Iterable[Batch]) -> float:
    """Emotion loss over known labels, batches weighted by their number of labels."""
    method.eval()
    total, count = 0.0, 0
    for batch in batches:
        known = int(torch.isfinite(batch.y).sum())
        total, count = total + float(method(batch).losses["emotion"]) * known, count + known
    return total / max(count, 1)


def _fit_group(materials: Sequence[Material], told: str = "") -> list[Found]:
    """Every learning rate of the search for its first epochs, then each model's best on validation rows to the end."""
    training = materials[0].config.training
    rates = training.search.learning_rate if len(training.search.learning_rate) > 1 else (training.learning_rate,)
    fits = [Fit(materials, rate) for rate in rates]
    if len(fits) > 1:
        for fit in fits:
            fit.advance(min(training.search.epochs, training.epochs))
    losses = np.array([fit.best_loss for fit in fits])  # rate, model
    chosen = losses.argmin(0)  # the first of equals
    found: dict[int, Found] = {}
    for k, fit in enumerate(fits):
        models = np.flatnonzero(chosen == k).tolist()
        if not models:
            continue
        fit.keep(models)
        fit.advance(training.epochs, told)
        for place, model in enumerate(models):
            tried = [(j, rate, losses[j, model], j == k) for j, rate in enumerate(rates)] if len(rates) > 1 else []
            found[model] = (*fit.result(place), pd.DataFrame(tried, columns=SEARCH_COLUMNS))
    return [found[model] for model in range(len(materials))]


class Fit:
    """Models under training that can be advanced epoch by epoch, all in the same number of steps.

    Adam; the learning rate rises over the first steps and falls along a cosine to the end of the schedule. What is
    judged and kept is a running average of the weights (Polyak & Juditsky 1992, doi 10.1137/0330046; its decay is
    ``training.ema``): early stopping on the validation rows' emotion loss, the best epoch's average is the model.
    A model whose loss is not finite has diverged: it is judged no more and has no result.
    """

    def __init__(self, materials: Sequence[Material], learning_rate: float) -> None:
        self.materials, self.learning_rate = list(materials), learning_rate
        self.training, self.device = materials[0].config.training, materials[0].device
        self.models = Stacked([material.build() for material in materials], [m.seed for m in materials])
        self.average = Average(self.models)
        self.generators = [torch.Generator().manual_seed(material.seed) for material in materials]
        self.optimizer = Adam(self.models.parameters.values(), learning_rate, self.training.weight_decay)
        self.steps = 0
        n = len(materials)
        self.history: list[list[dict[str, float]]] = [[] for _ in range(n)]
        self.best_loss, self.best_epoch = [float("inf")] * n, [0] * n
        self.best_weights: list[dict[str, Tensor] | None] = [None] * n
        self.diverged: list[int | None] = [None] * n  # the step
        self.epochs = 0

    def advance(self, until: int, told: str = "") -> None:
        """Train until *until* epochs are done, or every model's patience is at its end; *told* names the progress."""
        epochs = range(self.epochs, until)
        for _ in progress(epochs, told, "epoch", len(epochs)) if told else epochs:
            if not any(self.running(model) for model in range(len(self.materials))):
                break
            self._epoch()

    def running(self, model: int) -> bool:
        """Whether a model still learns."""
        patient = self.epochs - 1 - self.best_epoch[model] < self.training.patience
        return patient and self.diverged[model] is None

    def keep(self, models: Sequence[int]) -> None:
        """Go on with these models alone."""
        if len(models) == len(self.materials):
            return
        for name in ("materials", "generators", "history", "best_loss", "best_epoch", "best_weights", "diverged"):
            setattr(self, name, [getattr(self, name)[model] for model in models])
        self.models.keep(models)
        self.average.keep(models)
        self.optimizer.keep(self.models.parameters.values(), models)

    def result(self, model: int) -> tuple[dict[str, Tensor], pd.DataFrame]:
        """Weights and history of a model.

        Raises
        ------
        InputError
            If it diverged.
        """
        weights, task = self.best_weights[model], self.materials[model].task
        if self.diverged[model] is not None or weights is None:
            where = "the validation rows" if self.diverged[model] is None else f"step {self.diverged[model]}"
            raise InputError(f"run {self.materials[model].config.name} {task.name}: found a loss that is not finite in "
                             f"{where}, expected a finite one; lower training.learning_rate or look for extreme "
                             "values in the signals.")
        frame = pd.DataFrame(self.history[model])
        return weights, frame.assign(best=frame["epoch"] == self.best_epoch[model])

    def _epoch(self) -> None:
        running = [self.running(model) for model in range(len(self.materials))]
        orders = [material.sequences["train"][torch.randperm(len(material.sequences["train"]), generator=g).numpy()]
                  for material, g in zip(self.materials, self.generators, strict=True)]
        totals: dict[str, Tensor] = {}
        for parts in zip(*(np.array_split(order, self.materials[0].steps) for order in orders), strict=True):
            for name, value in self._step(parts).items():
                totals[name] = totals.get(name, 0.0) + value / self.materials[0].steps
        losses = self._validation_losses()
        for model in np.flatnonzero(running):
            self._note(int(model), {name: float(total[model]) for name, total in totals.items()}, losses[model])
        self.epochs += 1

    def _note(self, model: int, totals: dict[str, float], loss: float) -> None:
        """Take down a model's epoch, and its weights where they are the best so far."""
        self.history[model].append({"epoch": self.epochs, "train_loss": totals.pop("emotion"),
                                    **{f"train_{k}": v for k, v in totals.items()}, "validation_loss": loss})
        if loss < self.best_loss[model] and self.diverged[model] is None:
            self.best_loss[model], self.best_epoch[model] = loss, self.epochs
            self.best_weights[model] = self.average.weights(model)

    def _step(self, parts: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """One step of every model on its own sequences (B, T); the terms of the loss, each (G,)."""
        # Always of one size, so that dropout meets the same places whatever the other models' batches are.
        size = self.training.batch_sequences if self.models.together else 0
        batch = stack_batches([self._batch(model, part) for model, part in enumerate(parts)], size).to(self.device)
        self.models.train(self.steps)
        losses = self.models.losses(batch)
        total = torch.stack(list(losses.values())).sum(0)
        for model in torch.nonzero(~torch.isfinite(total)).flatten().tolist():
            if self.diverged[model] is None:
                self.diverged[model], self.best_loss[model] = self.steps, float("inf")
        self.optimizer.zero_grad()
        total.sum().backward()
        self.models.clip_gradients(MAX_GRADIENT_NORM)
        self.optimizer.learning_rate = scheduled(self.learning_rate, self.steps, self.training.warmup_steps,
                                                 self.training.epochs * self.materials[0].steps)
        self.optimizer.step()
        self.steps += 1
        self.average.update(min(self.training.ema, self.steps / (self.steps + 10)))
        return {name: value.detach() for name, value in losses.items()}

    def _batch(self, model: int, part: np.ndarray) -> Batch:
        """A model's training batch, with modalities dropped."""
        material, training = self.materials[model], self.training
        batch = material.batch(part)
        if training.missing == "none":
            return batch
        rate = material.task.rate if training.missing == "matched" else None
        return batch.with_present(training_mask(batch.present, rate, training.missing_max, self.generators[model]))

    @torch.no_grad()
    def _validation_losses(self) -> list[float]:
        """Every model's emotion loss over its known validation labels, batches weighted by their number of labels."""
        total, count = torch.zeros(len(self.materials)), torch.zeros(len(self.materials))
        longest = max(len(material.sequences["validation"]) for material in self.materials)
        size = max(1, SEQUENCES // len(self.materials))
        for first in range(0, longest, size):
            batch = stack_batches([material.batch(material.sequences["validation"][first:first + size])
                                   for material in self.materials])
            known = torch.isfinite(batch.y).flatten(1).sum(1)
            total += self.average.losses(batch.to(self.device))["emotion"].cpu() * known
            count += known
        return (total / count.clamp(min=1)).tolist()
