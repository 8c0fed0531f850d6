"""What is said of a run when it is trained: one line, and below ``make repro`` how far all of it is."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pandas as pd

from himoe.core.files import read_json
from himoe.core.progress import duration_text, note
from himoe.scoring.convergence import endings
from himoe.scoring.statistics.sums import arrange, sum_trials
from pipeline.pace import position


def tell(stage: str, out: Path, seconds: float) -> None:
    """Print the line of the run in the folder *out*, which *stage* took so many *seconds* to make."""
    place, left = position(stage, seconds)
    note(f"{place}{run_line(out)}; {duration_text(seconds)}{left}")


def run_line(out: Path) -> str:
    """Name, method, models, epochs, loss and the score on the test folds, as ``metrics/`` will have it."""
    info = read_json(out / "run.json")
    history = pd.read_csv(out / "history.csv")
    best = history[history["best"].astype(bool)]
    ends = endings(history)
    epochs = max(end.epochs for end in ends)
    metric, name = ("ccc", "CCC") if info["task"] == "regression" else ("accuracy", "accuracy")
    score = sum_trials(arrange(pd.read_parquet(out / "predictions.parquet")), metric).score()
    parts = [f"{epochs} epochs, best {median(end.best for end in ends):g}" if epochs > 1 else "fitted in one go",
             f"loss {best['train_loss'].mean():.3f}, validation {best['validation_loss'].mean():.3f}",
             f"test {name} {score:.3f}"]
    models = f"{len(ends)} {info['method']} model{'' if len(ends) == 1 else 's'}"
    return f"{info['run']} on {info['data']}, {models}: {'; '.join(parts)}"
