"""One model under training: what it has reached, when it stops, what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor

from himoe.core.errors import InputError


@dataclass
class Learner:
    """A model's own part of a :class:`himoe.training.fit.Fit`: learning rate, random numbers, history, best epoch.

    ``name`` is what errors call it; ``diverged`` the first step whose loss was not finite.
    """

    name: str
    learning_rate: float
    generator: torch.Generator
    history: list[dict[str, float]] = field(default_factory=list)
    best_loss: float = float("inf")
    best_epoch: int = 0
    best_weights: dict[str, Tensor] | None = None
    diverged: int | None = None

    def running(self, epochs: int, patience: int) -> bool:
        """Whether it still learns after *epochs* epochs."""
        return epochs - 1 - self.best_epoch < patience and self.diverged is None

    def fail(self, step: int) -> None:
        """It diverged at *step*: it is judged no more and has no result."""
        self.diverged, self.best_loss = step, float("inf")

    def note(self, epoch: int, totals: Mapping[str, float], loss: float,
             weights: Callable[[], dict[str, Tensor]]) -> None:
        """Take down an epoch's training losses and validation *loss*, and its weights where it is the best so far."""
        others = {f"train_{name}": value for name, value in totals.items() if name != "emotion"}
        self.history.append({"epoch": epoch, "train_loss": totals["emotion"], **others, "validation_loss": loss})
        if loss < self.best_loss and self.diverged is None:
            self.best_loss, self.best_epoch, self.best_weights = loss, epoch, weights()

    def result(self) -> tuple[dict[str, Tensor], pd.DataFrame]:
        """Weights and history.

        Raises
        ------
        InputError
            If it diverged.
        """
        if self.diverged is not None or self.best_weights is None:
            where = "the validation rows" if self.diverged is None else f"step {self.diverged}"
            raise InputError(f"{self.name}: found a loss that is not finite in {where}, expected a finite one; lower "
                             "training.learning_rate or look for extreme values in the signals.")
        frame = pd.DataFrame(self.history)
        return self.best_weights, frame.assign(best=frame["epoch"] == self.best_epoch)
