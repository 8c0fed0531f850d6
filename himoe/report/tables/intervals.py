"""What the prediction intervals promise and what came out, by missing rate."""

from __future__ import annotations

from himoe.core.files import read_json
from himoe.report.chosen import split_label
from himoe.report.tables.notes import people_note
from himoe.report.tables.rows import Inputs, number, run_label, set_label
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.results import RunResult, provenance, select, sweep_curve

NOMINAL = 90  # percent, as himoe.training.conformal aims at
MODEL_FILE = "config.json"  # of every model of a run (himoe.training.description)
NOTE = (f"Coverage: percent of labelled test windows whose rating lies in the interval. Aimed at: {NOMINAL}, or K / "
        "(K + 1) where K validation trials can promise no more (whole scale below 4), for new trials of the people who "
        "validated; for people held out nothing is promised. Width: on the rating scale. Mean ± SD over mask seeds, "
        "folds averaged first.")


def intervals(inputs: Inputs) -> Table | None:
    """Coverage and width of the split conformal intervals, run by run."""
    runs = [run for run in select(inputs.results, task="regression", shuffled=False) if _has_intervals(run)]
    if not runs:
        return None
    curves = {run.run: (sweep_curve(run.part("sweep"), "coverage"), sweep_curve(run.part("sweep"), "width"))
              for run in runs}
    rates = sorted({rate for coverage, _ in curves.values() for rate in coverage["missing_rate"]})
    shown = [rate for rate in rates if round(10 * rate, 6) == round(10 * rate)]
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        coverage, width = ({rate: (mean, sd) for rate, mean, sd in zip(curve["missing_rate"], curve["mean"],
                                                                       curve["sd"], strict=True)}
                           for curve in curves[run.run])
        cells = [Ours(number(100 * coverage[rate][0]), number(100 * coverage[rate][1]), digits=1)
                 if rate in coverage else None for rate in shown]
        widths = [Ours(number(width[rate][0]), number(width[rate][1]), digits=2) if rate in width else None
                  for rate in (shown[0], shown[-1])]
        lines.append((set_label(run.metrics["set"]), split_label(run), run_label(run), run.metrics["modality_set"],
                      run.data, aimed_at(run), *cells, *widths))
    columns = ("Set", "Held out", "Method", "Modalities", "Our data", "Aimed at",
               *(f"r = {rate:.2f}" for rate in shown), f"Width, r = {shown[0]:.2f}", f"Width, r = {shown[-1]:.2f}")
    return Table("intervals", f"Coverage of prediction intervals: {provenance(runs)}", columns, tuple(lines),
                 tuple(note for note in (NOTE, people_note(runs)) if note))


def aimed_at(run: RunResult) -> Ours | None:
    """Percent that the intervals of a run's models aim at, the lowest of them; None where no model says it."""
    levels = [read_json(path)["level"] for path in sorted(run.folder.glob(f"*/{MODEL_FILE}"))]
    return Ours(100 * min(levels), digits=1) if levels else None


def _has_intervals(run: RunResult) -> bool:
    sweep = run.part("sweep")
    return bool((sweep["metric"] == "coverage").any())
