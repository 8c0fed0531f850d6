"""Tables of methods down and scores across, beside the paper's: Tables 2, 4, 5, 6 and 10."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from himoe.paper import CONTRADICTIONS, paper_rows, paper_value
from himoe.results import RunResult, select
from himoe.tables.against import AGAINST, against, against_notes
from himoe.tables.notes import bound_notes, more_classes_note, run_notes, same_modalities, two_classes
from himoe.tables.rows import (
    METRIC_LABELS,
    Inputs,
    Row,
    lacking,
    largest_set,
    ours,
    paper_ordered,
    row_data,
    row_label,
    row_modalities,
    set_label,
    title,
)
from himoe.tables.table import Cell, Table

Names = Callable[[RunResult], str]
OURS = "Ours: mean ± SD over folds and seeds [95 % interval of all test windows pooled, trials resampled]. "
NOT_RUN = "— = not run, not published, or no such dimension."

_REGRESSION = (("mean", "ccc"), ("mean", "pcc"), ("mean", "mae"))
_CLASSES = (("valence", "accuracy"), ("valence", "f1"), ("arousal", "accuracy"), ("arousal", "f1"))
_LOSO = tuple((dimension, "ccc") for dimension in ("valence", "arousal", "dominance", "liking"))


@dataclass(frozen=True)
class ScoreTable:
    """What one such table shows: its number in the paper and the (dimension, metric) of its columns."""

    number: int
    text: str
    cells: tuple[tuple[str, str], ...]


def table2(inputs: Inputs) -> Table | None:
    """Regression, every method, modality set and data set."""
    runs = select(inputs.results, protocol="trial", task="regression", variant="")
    spec = ScoreTable(2, "Regression, average over dimensions", _REGRESSION)
    return _table(spec, paper_ordered(2, runs, _modality_set, _method), inputs)


def table4(inputs: Inputs) -> Table | None:
    """High against low, EEG and PPS."""
    runs = [run for run in _class_runs(inputs) if run.metrics["modality_set"] == "EEG+PPS"]
    return _class_table(ScoreTable(4, "Binary classification", _CLASSES), runs, inputs)


def table10(inputs: Inputs) -> Table | None:
    """High against low, all other modality sets."""
    runs = [run for run in _class_runs(inputs) if run.metrics["modality_set"] != "EEG+PPS"]
    return _class_table(ScoreTable(10, "Binary classification, other modalities", _CLASSES), runs, inputs)


def table5(inputs: Inputs) -> Table | None:
    """People held out; the largest modality set that was run stands for the paper's ALL."""
    runs = select(inputs.results, protocol="loso", task="regression", variant="")
    return _table(ScoreTable(5, "People held out, CCC a dimension", _LOSO),
                  paper_ordered(5, runs, _largest_as("ALL", runs), _method), inputs)


def table6(inputs: Inputs) -> Table | None:
    """What each part of Hi-MoE adds: variants without it, and the whole."""
    every = select(inputs.results, protocol="trial", task="regression", method="himoe")
    variants = [run for run in every if run.metrics["variant"].startswith("no_")]
    places = {(run.metrics["set"], run.metrics["modality_set"]) for run in variants}
    full = [run for run in select(every, variant="")
            if (run.metrics["set"], run.metrics["modality_set"]) in places]
    runs = [*variants, *full]
    rows = paper_ordered(6, runs, _largest_as("EEG+PPS+FACE", runs), _method_variant)
    return _table(ScoreTable(6, "Ablation, average over dimensions", _REGRESSION), rows, inputs)


def common_notes(name: str, number: int, rows: Sequence[Row], inputs: Inputs) -> list[str]:
    """How ours were run, where they differ from the paper's modalities, checks and contradictions."""
    runs = unique_runs(rows)
    differing: dict[str, list[str]] = {}
    for row in rows:
        if row.result and row.published and not same_modalities(row.modalities, row.result.metrics):
            needs = lacking(row.modalities, row.dataset, inputs)
            text = f"Ours use {row.result.metrics['modalities']} where the paper has {row.modalities}"
            text += f", which needs {', '.join(needs)}" if needs else ""
            differing.setdefault(text, []).append(row.result.label)
    starred = (paper_rows(number)["reproduced_by_authors"] == 1).any()
    return [*run_notes(runs), *(f"{text}: {'; '.join(labels)}." for text, labels in differing.items()),
            *(["* baseline re-run by the paper's authors."] if starred else []),
            *bound_notes(runs, number), *CONTRADICTIONS.get(name, ())]


def unique_runs(rows: Sequence[Row]) -> list[RunResult]:
    """The rows' runs, each once."""
    return list({row.result.run: row.result for row in rows if row.result}.values())


def _class_runs(inputs: Inputs) -> list[RunResult]:
    return select(inputs.results, protocol="trial", task="classification", variant="")


def _class_table(spec: ScoreTable, runs: Sequence[RunResult], inputs: Inputs) -> Table | None:
    """The runs that tell high from low; those of more classes are named in a note."""
    binary = [run for run in runs if two_classes(run)]
    made = _table(spec, paper_ordered(spec.number, binary, _modality_set, _method), inputs)
    notes = more_classes_note(runs, "the table is of high against low")
    return made and replace(made, notes=(*made.notes, *notes))


def _table(spec: ScoreTable, rows: Sequence[Row], inputs: Inputs) -> Table | None:
    runs = unique_runs(rows)
    if not runs:
        return None
    heads = []
    for dimension, metric in spec.cells:
        head = METRIC_LABELS[metric] if dimension == "mean" else f"{METRIC_LABELS[metric]} {dimension}"
        heads += [head, f"{head} (paper)"]
    lines: list[tuple[Cell, ...]] = []
    for row in rows:
        line: list[Cell] = [set_label(row.dataset), row_label(row), row_modalities(row), row_data(row, inputs)]
        for dimension, metric in spec.cells:
            line += [ours(row.result, metric, dimension) if row.result else None,
                     paper_value(spec.number, row.dataset, row.method, row.modalities, metric, dimension)]
        lines.append((*line, against(row.result, inputs)))
    name = f"table{spec.number}"
    notes = (OURS + NOT_RUN, *against_notes(runs, inputs), *common_notes(name, spec.number, rows, inputs))
    return Table(name, title(spec.number, spec.text, runs),
                 ("Set", "Method", "Modalities", "Our data", *heads, AGAINST), tuple(lines), notes)


def _modality_set(run: RunResult) -> str:
    return str(run.metrics["modality_set"])


def _method(run: RunResult) -> str:
    return str(run.metrics["method"])


def _method_variant(run: RunResult) -> str:
    variant = run.metrics["variant"]
    return f"{run.metrics['method']}-{variant}" if variant else str(run.metrics["method"])


def _largest_as(published: str, runs: Sequence[RunResult]) -> Names:
    """Each data set's largest modality set goes by the paper's name, others by their own."""
    largest = {dataset: largest_set([run for run in runs if run.metrics["set"] == dataset])
               for dataset in {run.metrics["set"] for run in runs}}
    return lambda run: published if _modality_set(run) == largest[run.metrics["set"]] else _modality_set(run)
