"""Were the networks still improving when training ended? One line for each run, from its history of losses."""

from __future__ import annotations

from himoe.report.chosen import split_label
from himoe.report.tables.notes import front_note
from himoe.report.tables.rows import Inputs, run_label, set_label, spread
from himoe.report.tables.table import Cell, Table
from himoe.scoring.convergence import endings
from himoe.scoring.results import provenance, select


def convergence(inputs: Inputs) -> Table | None:
    """Models, those that had not converged, the last quarter's gain, and the best epoch."""
    runs = [run for run in select(inputs.results, shuffled=None)
            if not run.floor and not run.part("history").empty]
    if not runs:
        return None
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        ends = endings(run.part("history"))
        gains, best = spread([100 * end.gain for end in ends], 1), spread([float(end.best) for end in ends], 1)
        lines.append((run.run, set_label(run.metrics["set"]), split_label(run), run_label(run),
                      run.metrics["modality_set"], run.data, run.metrics.get("models") or len(ends),
                      run.metrics.get("unconverged_models"), gains, best, max(end.epochs for end in ends)))
    return Table("convergence", f"Convergence: {provenance(runs)}",
                 ("Run", "Set", "Held out", "Method", "Modalities", "Our data", "Models", "Not converged",
                  "Last-quarter gain, %", "Best epoch", "Epochs"), tuple(lines),
                 ("Last-quarter gain: by how much the lowest validation loss fell in the last quarter of the epochs, "
                  "in percent of the lowest before; best epoch: that of the weights kept. Mean ± SD over models.",
                  front_note(runs)))
