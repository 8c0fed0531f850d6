"""Fitting one model of a run: the schedule that is the same for every method.

A fit uses one thread, so its result does not depend on the number of cores or on what else runs.
Legend: n windows, M modalities, D dimensions, G models, B sequences, T time steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from himoe.core.errors import InputError
from himoe.core.params import RunConfig
from himoe.core.progress import progress
from himoe.core.workers import own_gpu
from himoe.models.batches import SEQUENCES, Batch, combine
from himoe.models.methods import method_class
from himoe.models.methods.base import Method
from himoe.models.methods.resizable import FittedMethod
from himoe.prepare.masks import training_draws, training_mask
from himoe.training.adam import Adam, scheduled
from himoe.training.drawing import moved
from himoe.training.feeding import Feed, kept_windows, padded
from himoe.training.learner import Learner
from himoe.training.material import Material, gather, steps_per_epoch
from himoe.training.room import free_bytes, in_room, models_that_fit
from himoe.training.rundata import FoldTask, RunData
from himoe.training.stacked import Average, Stacked, can_stack

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
    """Fit several models of a run, as one where method and device allow it; alone, each would be the same to rounding.

    With *told* the progress over epochs is told under that name.
    """
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs 8 %
    device = choose_device(config.training.device)
    with threadpool_limits(1):
        steps, gradient = steps_per_epoch(config, data), method_class(config.run.method).gradient
        kept = kept_windows(data.store, device) if gradient else None
        folds: dict[int, Material] = {}
        for task in tasks:
            if task.fold not in folds:
                folds[task.fold] = gather(config, data, task, device, steps, kept)
        materials = [replace(folds[task.fold], task=task) for task in tasks]
        if not gradient:
            found = [_fit_closed(material) for material in materials]
        else:
            # Maps for different numbers of people cannot be run as one.
            alike = not config.model.person_map or len({material.spec.people for material in materials}) == 1
            together = alike and can_stack(materials[0].build(), device)
            at_once = _at_once(materials) if together else 1
            found = in_room(materials, at_once, partial(_fit_group, told=told))
    return [FitResult({k: v.detach().cpu().contiguous() for k, v in weights.items()}
                   | material.normaliser.tensors(), history, search)
            for material, (weights, history, search) in zip(materials, found, strict=True)]


Found = tuple[dict[str, Tensor], pd.DataFrame, pd.DataFrame]  # weights, history, search


def _at_once(materials: Sequence[Material]) -> int:
    """How many of the models are fitted as one: all, or as many as the device has room for in each try of a search."""
    first = materials[0]
    free = free_bytes(first.device)
    if free is None:
        return len(materials)
    rows = first.sequences["train"][:first.config.training.batch_sequences]
    batch = first.assembler.batch(rows).to(first.device)
    tries = max(1, len(first.config.training.search.learning_rate))
    return min(len(materials), max(1, models_that_fit(first.build(), batch, free) // tries))


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
    """Every learning rate of the search for its first epochs, then each model's best on validation rows to the end.

    Where models can be one, so can the tries of the search: they differ in their learning rate alone.
    """
    training, n = materials[0].config.training, len(materials)
    searched = training.search.learning_rate if len(training.search.learning_rate) > 1 else ()
    rates = searched or (training.learning_rate,)
    tries = [list(rates)] if can_stack(materials[0].build(), materials[0].device) else [[rate] for rate in rates]
    fits = [Fit([*materials] * len(part), np.repeat(part, n).tolist()) for part in tries]
    if searched:
        for fit in fits:
            fit.advance(min(training.search.epochs, training.epochs))
    losses = np.array([learner.best_loss for fit in fits for learner in fit.learners]).reshape(len(rates), n)
    chosen = losses.argmin(0)  # the first of equals
    found: dict[int, Found] = {}
    for part, fit in zip(tries, fits, strict=True):
        ours = [(part.index(rates[k]), int(i)) for k in range(len(rates)) if rates[k] in part
                for i in np.flatnonzero(chosen == k)]
        if not ours:
            continue
        fit.keep([place * n + i for place, i in ours])
        fit.advance(training.epochs, told)
        for learner, (_, i) in zip(fit.learners, ours, strict=True):
            rows = [(j, rate, losses[j, i], j == chosen[i]) for j, rate in enumerate(searched)]
            found[i] = (*learner.result(), pd.DataFrame(rows, columns=SEARCH_COLUMNS))
    return [found[model] for model in range(n)]


class Fit:
    """Models under training that can be advanced epoch by epoch, all in the same number of steps.

    Adam; each model's learning rate rises over the first steps and falls along a cosine to the end of the schedule.
    What is judged and kept is a running average of the weights (Polyak & Juditsky 1992, doi 10.1137/0330046; its decay
    is ``training.ema``): early stopping on the validation rows' emotion loss, the best epoch's average is the model.
    A model whose loss is not finite has diverged. Models that have stopped leave the batched model as soon as no more
    than half of those in it still learn.

    ``learners`` are all models, ``active`` those that are in the batched model, in its order.
    """

    def __init__(self, materials: Sequence[Material], learning_rate: float | Sequence[float]) -> None:
        rates = [learning_rate] * len(materials) if isinstance(learning_rate, int | float) else list(learning_rate)
        self.training, self.device = materials[0].config.training, materials[0].device
        self.models = Stacked([material.build() for material in materials], [m.seed for m in materials],
                              self.training.precision, self.training.compile)
        self.average = Average(self.models)
        self.feed = Feed([material.assembler for material in materials], self.device, materials[0].kept)
        self.learners = [Learner(f"run {m.config.name} {m.task.name}", rate, torch.Generator().manual_seed(m.seed))
                         for m, rate in zip(materials, rates, strict=True)]
        self.active = list(zip(materials, self.learners, strict=True))
        self.optimizer = Adam(self.models.parameters.values(), self.training.learning_rate, self.training.weight_decay)
        self.steps = self.epochs = 0

    def advance(self, until: int, told: str = "") -> None:
        """Train until *until* epochs are done, or every model's patience is at its end; *told* names the progress."""
        epochs = range(self.epochs, until)
        for _ in progress(epochs, told, "epoch", len(epochs)) if told else epochs:
            running = [place for place, (_, learner) in enumerate(self.active) if self._running(learner)]
            if not running:
                break
            if 2 * len(running) <= len(self.active):
                self._go_on_with(running)
            self._epoch()

    def _running(self, learner: Learner) -> bool:
        return learner.running(self.epochs, self.training.patience)

    def keep(self, models: Sequence[int]) -> None:
        """Go on with these models alone, in this order."""
        kept = [self.learners[model] for model in models]
        places = {id(learner): place for place, (_, learner) in enumerate(self.active)}
        self.learners = kept
        self._go_on_with([places[id(learner)] for learner in kept if id(learner) in places])

    def _go_on_with(self, places: Sequence[int]) -> None:
        """Leave only these places in the batched model."""
        if list(places) == list(range(len(self.active))):
            return
        self.active = [self.active[place] for place in places]
        self.models.keep(places)
        self.average.keep(places)
        self.feed.keep(places)
        self.optimizer.keep(self.models.parameters.values(), places)

    def _epoch(self) -> None:
        running = [self._running(learner) for _, learner in self.active]
        count, first = self.active[0][0].steps, self.steps
        totals: dict[str, Tensor] = {}
        finite = []
        for batch in self._batches(count):
            losses = self._step(batch)
            finite.append(torch.isfinite(torch.stack(list(losses.values())).sum(0)))
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value / count
        for place, good in enumerate(torch.stack(finite, 1).tolist()):  # looked at once per epoch: a GPU need not wait
            if not all(good) and self.active[place][1].diverged is None:
                self.active[place][1].fail(first + good.index(False))
        known = {name: total.tolist() for name, total in totals.items()}
        for place, loss in enumerate(self._validation_losses()):
            if running[place]:
                self.active[place][1].note(self.epochs, {name: values[place] for name, values in known.items()}, loss,
                                           partial(self.average.weights, place))
        self.epochs += 1

    def _batches(self, count: int) -> Iterator[Batch]:
        """An epoch of every model on its own sequences, in *count* steps: sensors out of step, modalities dropped."""
        training, drawn = self.training, [self._drawn(material, learner, count) for material, learner in self.active]
        # Always of one size, so that dropout meets the same places whatever the other models' batches are.
        size = training.batch_sequences if self.models.together else 0
        for step in range(count):
            parts = [own[step] for own, _ in drawn]
            rows = padded(parts, size)
            batch = self.feed.batch(rows)
            if training.asynchrony.drawn:
                batch = self._out_of_step(batch, parts)
            if training.missing != "none":
                masks = [next(masks) for _, masks in drawn]
                draws = torch.zeros(*rows.shape, batch.present.shape[-1])
                for place, (numbers, _) in enumerate(masks):
                    draws[place, :len(numbers)] = numbers
                rates = torch.tensor([rate for _, rate in masks])[:, None, None, None]
                batch = batch.with_present(training_mask(batch.present, draws.to(self.device), rates.to(self.device)))
            yield batch

    def _drawn(self, material: Material, learner: Learner,
               count: int) -> tuple[list[np.ndarray], Iterator[tuple[Tensor, float]]]:
        """What an epoch of one model draws: sequences (B, T) of each step; numbers and rate of each step's mask."""
        training, train = self.training, material.sequences["train"]
        parts = np.array_split(train[torch.randperm(len(train), generator=learner.generator).numpy()], count)
        rate = material.task.rate if training.missing == "matched" else None
        shapes = [(max(1, len(part)), part.shape[1], len(material.spec.modalities)) for part in parts]
        return parts, training_draws(shapes, rate, training.missing_max, learner.generator)

    def _out_of_step(self, batch: Batch, parts: Sequence[np.ndarray]) -> Batch:
        """The batch with the lags that each model draws in this epoch for its sequences."""
        def one(place: int) -> Batch:
            material, part = self.active[place][0], parts[place]
            lags_s = np.zeros((batch.present.shape[1], batch.present.shape[-1]))
            lags_s[:len(part)] = material.drawn_lags_s(part, self.epochs)
            return moved(combine(lambda own: own[0][place], [batch]), lags_s, material.spec.step_s,
                         material.assembler.store.meta.length_s)

        return combine(torch.stack, [one(place) for place in range(len(parts))])

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of every model; the terms of the loss, each (G,)."""
        self.models.train(self.steps)
        losses = self.models.losses(batch)
        self.optimizer.zero_grad()
        torch.stack(list(losses.values())).sum(0).sum().backward()
        self.models.clip_gradients(MAX_GRADIENT_NORM)
        self.optimizer.step(self._rates())
        self.steps += 1
        self.average.update(min(self.training.ema, self.steps / (self.steps + 10)))
        return {name: value.detach() for name, value in losses.items()}

    def _rates(self) -> list[tuple[slice, float]]:
        """Neighbours with one learning rate, and what it is at this step."""
        found, first = [], 0
        for rate, group in itertools.groupby(learner.learning_rate for _, learner in self.active):
            last = first + len(list(group))
            found.append((slice(first, last), scheduled(rate, self.steps, self.training.warmup_steps,
                                                        self.training.epochs * self.active[0][0].steps)))
            first = last
        return found

    @torch.no_grad()
    def _validation_losses(self) -> list[float]:
        """Every model's emotion loss over its known validation labels, batches weighted by their number of labels."""
        sequences = [material.sequences["validation"] for material, _ in self.active]
        total, count = (torch.zeros(len(sequences), device=self.device) for _ in range(2))
        # A processor's cache holds few windows; a GPU would wait for small batches.
        on_cpu = self.device.type == "cpu"
        size = max(1, SEQUENCES // len(sequences)) if on_cpu else self.training.batch_sequences
        for first in range(0, max(len(own) for own in sequences), size):
            batch = self.feed.batch(padded([own[first:first + size] for own in sequences]))
            known = torch.isfinite(batch.y).flatten(1).sum(1)
            total += self.average.losses(batch)["emotion"] * known
            count += known
        return (total / count.clamp(min=1)).tolist()
