"""What the action units' heads of a face answer to: their activations beside the true ratings."""

from __future__ import annotations

import pandas as pd

from himoe.report.tables.notes import table_notes
from himoe.report.tables.rows import Inputs, run_label, spread
from himoe.report.tables.table import Cell, Table
from himoe.scoring.metrics import pcc
from himoe.scoring.results import RunResult, provenance, select

PART = "action_units"


def action_units(inputs: Inputs) -> Table | None:
    """One line per action unit of every plain Hi-MoE regression run with FACE, trials held out."""
    runs = [run for run in select(inputs.results, protocol="trial", task="regression", method="himoe", variant="")
            if run.has(PART)]
    if not runs:
        return None
    dimensions = list(dict.fromkeys(d for run in runs for d in run.info["dimensions"]))
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        joined = _with_ratings(run)
        for unit, rows in joined.groupby("action_unit", sort=False):
            windows = rows.drop_duplicates(["seed", "fold", "subject", "trial", "window"])["activation"]
            found = {str(name): spread(_correlations(part)) for name, part in rows.groupby("dimension")}
            lines.append((run.data, run_label(run), run.metrics["modality_set"], str(unit), spread(windows),
                          *(found.get(dimension) for dimension in dimensions)))
    return Table("action_units", f"Action units as the model uses them: {provenance(runs)}",
                 ("Our data", "Method", "Modalities", "Action unit", "Activation",
                  *(f"PCC {dimension}" for dimension in dimensions)), tuple(lines),
                 ("Activation: mean ± SD over test windows that show a face, 0 to 1. PCC: correlation of the "
                  "activation with the true rating, mean ± SD over folds and seeds.",
                  "The heads learn from ratings alone. Without labels of action units a head is tied to its name only "
                  "through the graph: the names are a hint, not a measurement.", *table_notes(runs)))


def _with_ratings(run: RunResult) -> pd.DataFrame:
    """Activations with the window's true rating, one row per dimension."""
    keys = ["seed", "fold", "subject", "trial", "window"]
    truth = run.part("predictions").drop_duplicates([*keys, "dimension"])[[*keys, "dimension", "y_true"]]
    return run.part(PART).merge(truth, on=keys)


def _correlations(rows: pd.DataFrame) -> list[float]:
    """PCC by seed and fold."""
    return [pcc(part["y_true"].to_numpy(float), part["activation"].to_numpy(float))
            for _, part in rows.groupby(["seed", "fold"])]
