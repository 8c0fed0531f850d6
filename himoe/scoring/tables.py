"""Predictions in a file, and scores as a text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.datasets.tablefile import read_table
from himoe.scoring.frames import probability_column

TEXTS, NUMBERS, INTERVAL = ("subject", "trial", "dimension"), ("window", "predicted", "rating"), ("low", "high")
PROBABILITIES = tuple(probability_column(k) for k in range(100))  # more classes than anybody has
LABELS = {"ccc": "CCC", "pcc": "PCC", "mae": "MAE", "ccc_within": "CCC within trials", "coverage": "inside interval",
          "accuracy": "accuracy", "f1": "F1", "f1_macro": "mean F1 of classes"}


def read_predictions(path: Path) -> pd.DataFrame:
    """Predictions and ratings of a file, CSV or Parquet, that ``himoe predict`` wrote: what ``himoe.score`` takes.

    Raises
    ------
    InputError
        If it is no such table, or no row has a rating.
    """
    table = read_table(path, TEXTS, NUMBERS, optional_numbers=(*INTERVAL, *PROBABILITIES))
    frame = pd.DataFrame({**table.texts, **table.numbers})
    if frame["rating"].isna().all():
        raise bad_input(f"{path}: column 'rating'", "no rating", "ratings of at least one trial",
                        "predict for a folder whose trials are rated")
    if frame.loc[frame["rating"].notna(), "predicted"].isna().any():
        raise bad_input(f"{path}: column 'predicted'", "a rated row without a prediction", "a number in each",
                        "predict again")
    return frame


def scores_text(scores: pd.DataFrame) -> str:
    """The table of :func:`himoe.scoring.frames.score` as text: one line per dimension, one column per metric.

    A metric that is defined for no dimension (what is followed inside trials, where each has one rating) is left out.
    """
    defined = scores[scores["value"].notna()]
    metrics, dimensions = list(defined["metric"].unique()), list(scores["dimension"].unique())
    texts = [score_text(*numbers) for numbers in scores[["value", "low", "high"]].to_numpy(float)]
    cells = dict(zip(zip(scores["dimension"], scores["metric"], strict=True), texts, strict=True))
    lines = [["", *(LABELS.get(metric, metric) for metric in metrics)]]
    lines += [[name, *(cells.get((name, metric), "") for metric in metrics)] for name in dimensions]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
                     for line in lines)


def score_text(value: float, low: float = np.nan, high: float = np.nan) -> str:
    """``0.41 [0.20, 0.55]``, without the interval where there is none."""
    if not np.isfinite(value):
        return "undefined"
    return f"{value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if np.isfinite(low) and np.isfinite(high) else "")
