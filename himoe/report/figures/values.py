"""Numbers that figures take from runs: scores, bins of predictions, losses by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input

BINS = 10


def float_of(value: Any) -> float:
    """A metric as a float; NaN for one that is undefined (None)."""
    return float("nan") if value is None else float(value)


def calibration_curve(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Mean prediction and mean truth in *bins* quantile bins of the prediction.

    Unlabelled rows are left out. Equal predictions share a bin, so a constant prediction gives one bin.

    Returns
    -------
    DataFrame
        Columns predicted, true, n; one row per bin that holds something, by increasing prediction.
    """
    rows = predictions[predictions["y_true"].notna()]
    predicted, true = rows["y_pred"].to_numpy(float), rows["y_true"].to_numpy(float)
    if not np.isfinite(predicted).all():
        raise bad_input("predictions.parquet: y_pred", "values that are not finite", "a number for every test window",
                        "look for a diverged run")
    if len(rows) == 0:
        return pd.DataFrame({"predicted": [], "true": [], "n": []})
    inner = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    grouped = pd.DataFrame({"predicted": predicted, "true": true}).groupby(np.searchsorted(inner, predicted))
    return grouped.mean().assign(n=grouped.size()).reset_index(drop=True)


def loss_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Training and validation loss by epoch over folds and seeds; models of missing rate 0 where rates differ.

    Returns
    -------
    DataFrame
        Columns epoch, train_mean, train_low, train_high, validation_mean, validation_low, validation_high, models.
        ``models`` counts the fits that reached the epoch. Empty for methods that are fitted in one step.
    """
    rows = history[history["rate"] == 0] if "rate" in history else history
    if rows["epoch"].nunique() < 2:
        rows = rows.iloc[:0]
    grouped = rows.groupby("epoch")
    columns = {"epoch": grouped.size().index.to_numpy()}
    for kind in ("train", "validation"):
        losses = grouped[f"{kind}_loss"]
        for name, values in (("mean", losses.mean()), ("low", losses.min()), ("high", losses.max())):
            columns[f"{kind}_{name}"] = values.to_numpy(float)
    return pd.DataFrame({**columns, "models": grouped.size().to_numpy()})


def combination_scores(combinations: pd.DataFrame, metric: str = "ccc") -> pd.DataFrame:
    """Score by modality combination: columns combination, mean, sd (over folds and seeds, NaN with one)."""
    rows = combinations[(combinations["metric"] == metric) & (combinations["dimension"] == "mean")]
    grouped = rows.groupby("combination")["value"]
    return pd.DataFrame({"mean": grouped.mean(), "sd": grouped.std(ddof=1)}).reset_index()
