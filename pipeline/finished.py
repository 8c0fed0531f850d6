"""What is said of a run when it is trained: one line, and below ``make repro`` how far all of it is."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from himoe.core.files import read_json
from himoe.core.progress import duration_text, note
from himoe.scoring.convergence import endings
from himoe.scoring.metrics import METRICS, mean_defined
from pipeline.pace import position


def tell(stage: str, out: Path, seconds: float) -> None:
    """Print the line of the run in the folder *out*, which *stage* took so many *seconds* to make."""
    place, left = position(stage, seconds)
    note(f"{place}{run_line(out)}; {duration_text(seconds)}{left}")


def run_line(out: Path) -> str:
    """Name, method, models, epochs, loss and, where the test folds were scored, the score, as ``metrics/`` has it."""
    info = read_json(out / "run.json")
    history = pd.read_csv(out / "history.csv")
    best = history[history["best"].astype(bool)]
    ends = endings(history)
    epochs = max(end.epochs for end in ends)
    parts = [f"{epochs} epochs, best {median(end.best for end in ends):g}" if epochs > 1 else "fitted in one go",
             f"loss {best['train_loss'].mean():.3f}, validation {best['validation_loss'].mean():.3f}"]
    if (out / "predictions.parquet").is_file():
        metric, name = ("ccc", "CCC") if info["task"] == "regression" else ("accuracy", "accuracy")
        parts.append(f"test {name} {pooled(pd.read_parquet(out / 'predictions.parquet'), metric):.3f}")
    models = f"{info['models']} {info['method']} model{'' if info['models'] == 1 else 's'}"
    return f"{info['run']} on {info['data']}, {models}: {'; '.join(parts)}"


def pooled(predictions: pd.DataFrame, metric: str) -> float:
    """The score of all test windows pooled, averaged over dimensions and seeds where defined."""
    keys = ["dimension", "seed", *(["mask_seed"] if "mask_seed" in predictions else [])]
    scores = [METRICS[metric](rows["y_true"].to_numpy(), rows["y_pred"].to_numpy())
              for _, rows in predictions.groupby(keys)]
    return float(mean_defined(np.array(scores)))
