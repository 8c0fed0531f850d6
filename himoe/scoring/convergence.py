"""Was a network still improving when its training ended? From its history of losses; needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

MODEL = ["fold", "seed"]
STILL_IMPROVING = 0.02  # a last quarter that lowers the loss by more than this share says that more epochs would pay


class Ending(NamedTuple):
    """How one model's training ended: best epoch (from 1), epochs, and the gain of the last quarter (a share)."""

    best: int
    epochs: int
    gain: float


def ending(history: pd.DataFrame) -> Ending:
    """One model's history, a row per epoch (columns epoch, validation_loss, best), to how it ended.

    The gain is the share by which the lowest validation loss fell in the last quarter of the epochs: 0 where that
    brought no lower loss, NaN with fewer than four epochs or without a loss.
    """
    rows = history.sort_values("epoch")
    losses = rows["validation_loss"].astype(float)
    before = losses.iloc[:len(losses) - len(losses) // 4].min()
    chosen = rows.loc[rows["best"].astype(bool), "epoch"]
    best = int(chosen.iloc[-1] if len(chosen) else rows["epoch"].iloc[-1]) - int(rows["epoch"].iloc[0]) + 1
    gain = math.nan if len(losses) < 4 else float((before - losses.min()) / abs(before))
    return Ending(best, len(losses), gain)


def endings(history: pd.DataFrame) -> list[Ending]:
    """How each model of a run ended; models of missing rate 0 where there is one for each rate."""
    if "rate" in history:
        history = history[history["rate"] == history["rate"].min()]
    return [ending(rows) for _, rows in history.groupby(MODEL)]


def still_improving(gains: Sequence[float]) -> tuple[bool, int]:
    """Whether a run was still improving, by the mean of its models' gains in the last quarter; how many of them were.
    """
    return sum(gains) / len(gains) > STILL_IMPROVING, sum(gain > STILL_IMPROVING for gain in gains)


def converged(history: pd.DataFrame, trained: bool) -> dict[str, Any]:
    """What a run's metrics say: ``converged``, ``unconverged_models`` and ``models``.

    A model that gained more than ``STILL_IMPROVING`` in its last quarter was still improving, and so was a run whose
    models did so in the mean. Null for methods fitted in closed form and for fewer than four epochs.
    """
    ends = endings(history)
    gains = [end.gain for end in ends if not math.isnan(end.gain)]
    judged = trained and len(gains) == len(ends)
    improving, models = still_improving(gains) if judged else (False, 0)
    return {"converged": not improving if judged else None, "unconverged_models": models, "models": len(ends)}
