"""Tables of methods down and scores across, beside the paper's: Tables 2, 4, 5, 6 and 10."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from himoe.report.chosen import largest_modality_set
from himoe.report.tables.against import AGAINST, against, against_notes, at_rate
from himoe.report.tables.notes import more_classes_note, same_modalities, table_notes, two_classes
from himoe.report.tables.rows import (
    METRIC_LABELS,
    Inputs,
    Row,
    attainable_rows,
    lacking,
    ours,
    paper_ordered,
    row_data,
    row_label,
    row_modalities,
    set_label,
    title,
)
from himoe.report.tables.table import Cell, Table
from himoe.scoring.paper import paper_rows, paper_value
from himoe.scoring.results import RunResult, select

Names = Callable[[RunResult], str]

_REGRESSION = (("mean", "ccc"), ("mean", "ccc_within"), ("mean", "pcc"), ("mean", "mae"))
_CLASSES = (("valence", "accuracy"), ("valence", "f1"), ("arousal", "accuracy"), ("arousal", "f1"))
_LOSO = (*((dimension, "ccc") for dimension in ("valence", "arousal", "dominance", "liking")), ("mean", "ccc"),
         ("mean", "ccc_within"))
PAPER_VARIANTS = ("no_emotion_experts", "no_alignment", "no_soft_routing")  # the paper's Table 6


@dataclass(frozen=True)
class ScoreTable:
    """What one such table shows: its number in the paper and the (dimension, metric) of its columns."""

    number: int
    text: str
    cells: tuple[tuple[str, str], ...]


def table2(inputs: Inputs) -> Table | None:
    """Regression, every method, modality set and data set."""
    runs = of_several_modalities(select(inputs.results, protocol="trial", task="regression", variant=""))
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
    return _table(ScoreTable(5, "People held out, CCC per dimension", _LOSO),
                  paper_ordered(5, runs, _largest_as("ALL", runs), _method), inputs)


def table6(inputs: Inputs) -> Table | None:
    """What each part of Hi-MoE adds: variants without it, and the whole."""
    every = select(inputs.results, protocol="trial", task="regression", method="himoe")
    variants = [run for run in every if run.metrics["variant"] in PAPER_VARIANTS]
    places = {(run.metrics["set"], run.metrics["modality_set"]) for run in variants}
    full = [run for run in select(every, variant="")
            if (run.metrics["set"], run.metrics["modality_set"]) in places]
    runs = [*variants, *full]
    rows = paper_ordered(6, runs, _largest_as("EEG+PPS+FACE", runs), _method_variant)
    return _table(ScoreTable(6, "Ablation, average over dimensions", _REGRESSION), rows, inputs)


def differing_modalities(rows: Sequence[Row], inputs: Inputs) -> str:
    """One sentence on rows where ours use other modalities than the paper's; empty where there is none."""
    differing: dict[str, None] = {}
    for row in rows:
        if row.result and row.published and not same_modalities(row.modalities, row.result.metrics):
            needs = lacking(row.modalities, row.dataset, inputs)
            text = f"{row.result.metrics['modalities']} where the paper has {row.modalities}"
            differing[text + (f", which needs {', '.join(needs)}" if needs else "")] = None
    return f"Ours use {'; '.join(differing)}." if differing else ""


def of_several_modalities(runs: Sequence[RunResult]) -> list[RunResult]:
    """*runs* without those of one modality, where their data set has others (those stand in the table ``encoders``)."""
    several = {run.metrics["set"] for run in runs if "+" in run.metrics["modalities"]}
    return [run for run in runs if "+" in run.metrics["modalities"] or run.metrics["set"] not in several]


def tests_note(runs: Sequence[RunResult], inputs: Inputs) -> str:
    """What other tests say of the comparisons with *runs*, and the power; how they are made is common to all tables."""
    shown = at_rate(inputs.comparisons, 0.0)
    return " ".join(against_notes(shown[shown["run"].isin([run.run for run in runs])])[1:])


def unique_runs(rows: Sequence[Row]) -> list[RunResult]:
    """The rows' runs, each once."""
    return list({row.result.run: row.result for row in rows if row.result}.values())


def _class_runs(inputs: Inputs) -> list[RunResult]:
    return select(inputs.results, protocol="trial", task="classification", variant="")


def _class_table(spec: ScoreTable, runs: Sequence[RunResult], inputs: Inputs) -> Table | None:
    """The runs that tell high from low; those of more classes are named in a note."""
    binary = [run for run in runs if two_classes(run)]
    rows = paper_ordered(spec.number, binary, _modality_set, _method)
    return _table(spec, rows, inputs, *more_classes_note(runs, "the table is of high against low"))


def _table(spec: ScoreTable, rows: Sequence[Row], inputs: Inputs, *own: str) -> Table | None:
    runs = unique_runs(rows)
    if not runs:
        return None
    numbers = paper_rows(spec.number)
    numbers = numbers[numbers["dataset"].isin({row.dataset for row in rows})]  # none beside data of one's own
    published = set(numbers[["dimension", "metric"]].itertuples(index=False, name=None))
    heads = []
    for dimension, metric in spec.cells:
        head = METRIC_LABELS[metric] if dimension == "mean" else f"{METRIC_LABELS[metric]} {dimension}"
        heads += [head, f"{head} (paper)"] if (dimension, metric) in published else [head]
    columns = ("Set", "Method", "Modalities", "Our data", *heads, AGAINST)
    lines: list[tuple[Cell, ...]] = []
    for _, group in itertools.groupby(rows, key=lambda row: row.dataset):
        part = list(group)
        for row in part:
            line: list[Cell] = [set_label(row.dataset), row_label(row), row_modalities(row), row_data(row, inputs)]
            for dimension, metric in spec.cells:
                line.append(ours(row.result, metric, dimension) if row.result else None)
                if (dimension, metric) in published:
                    line.append(paper_value(spec.number, row.dataset, row.method, row.modalities, metric, dimension))
            lines.append((*line, against(row.result, inputs)))
        lines += attainable_rows(columns, printed_groups(part))
    notes = table_notes(runs, *own, differing_modalities(rows, inputs), tests_note(runs, inputs), checked=spec.number)
    return Table(f"table{spec.number}", title(spec.number, spec.text, runs), columns, tuple(lines), notes)


def printed_groups(rows: Sequence[Row]) -> dict[str, list[RunResult]]:
    """The rows' runs by the modalities as printed."""
    groups: dict[str, list[RunResult]] = {}
    for row in rows:
        if row.result:
            groups.setdefault(row_modalities(row), []).append(row.result)
    return groups


def _modality_set(run: RunResult) -> str:
    return str(run.metrics["modality_set"])


def _method(run: RunResult) -> str:
    return str(run.metrics["method"])


def _method_variant(run: RunResult) -> str:
    variant = run.metrics["variant"]
    return f"{run.metrics['method']}-{variant}" if variant else str(run.metrics["method"])


def _largest_as(published: str, runs: Sequence[RunResult]) -> Names:
    """Each data set's largest modality set goes by the paper's name, others by their own."""
    largest = {dataset: largest_modality_set([run for run in runs if run.metrics["set"] == dataset])
               for dataset in {run.metrics["set"] for run in runs}}
    return lambda run: published if _modality_set(run) == largest[run.metrics["set"]] else _modality_set(run)
