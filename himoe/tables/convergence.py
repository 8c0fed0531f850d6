"""Were the networks still improving when training ended? One line for each run, from its history of losses."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from himoe.results import RunResult, provenance, select
from himoe.tables.rows import Inputs, run_label, set_label, spread
from himoe.tables.runs import split_label
from himoe.tables.table import Cell, Table

MODEL = ["fold", "seed"]


class Ending(NamedTuple):
    """How one model's training ended: best epoch (from 1), epochs, and the gain of the last quarter (a share)."""

    best: int
    epochs: int
    gain: float


def convergence(inputs: Inputs) -> Table | None:
    """Models, those that had not converged, the last quarter's gain, and the best epoch."""
    runs = [run for run in select(inputs.results, shuffled=None)
            if not run.floor and not run.part("history").empty]
    if not runs:
        return None
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        ends = endings(run)
        gains, best = spread([100 * end.gain for end in ends], 1), spread([float(end.best) for end in ends], 1)
        lines.append((run.run, set_label(run.metrics["set"]), split_label(run), run_label(run),
                      run.metrics["modality_set"], run.data, run.metrics.get("models") or len(ends),
                      run.metrics.get("unconverged_models"), gains, best, max(end.epochs for end in ends)))
    return Table("convergence", f"Convergence: {provenance(runs)}",
                 ("Run", "Set", "Held out", "Method", "Modalities", "Our data", "Models", "Not converged",
                  "Last-quarter gain, %", "Best epoch", "Epochs"), tuple(lines),
                 ("Last-quarter gain: by how much the lowest validation loss fell in the last quarter of the epochs, "
                  "in percent of the lowest before; best epoch: that of the weights kept. Mean ± SD over models.",))


def endings(run: RunResult) -> list[Ending]:
    """How each model of a run ended; models of missing rate 0 where there is one for each rate."""
    history = run.part("history")
    if "rate" in history:
        history = history[history["rate"] == 0]
    return [ending(rows) for _, rows in history.groupby(MODEL)]


def ending(history: pd.DataFrame) -> Ending:
    """One model's history, a row per epoch (columns epoch, validation_loss, best), to how it ended.

    The gain is 0 where the last quarter brought no lower loss, NaN with fewer than four epochs or without a loss.
    """
    rows = history.sort_values("epoch")
    losses = rows["validation_loss"].astype(float)
    before = losses.iloc[:len(losses) - len(losses) // 4].min()
    chosen = rows.loc[rows["best"].astype(bool), "epoch"]
    best = int(chosen.iloc[-1] if len(chosen) else rows["epoch"].iloc[-1]) - int(rows["epoch"].iloc[0]) + 1
    gain = math.nan if len(losses) < 4 else float((before - losses.min()) / abs(before))
    return Ending(best, len(losses), gain)
