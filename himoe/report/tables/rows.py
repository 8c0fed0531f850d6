"""What tables are built from: the inputs, our scores as cells, and rows that pair a run with the paper's row."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import ReportParams
from himoe.core.recordings import DIMENSIONS
from himoe.report.chosen import ceiling
from himoe.report.tables.notes import meant_modalities, same_modalities, stands_for_a_paper
from himoe.report.tables.table import Cell, Ours
from himoe.scoring.paper import METHOD_LABELS, RECORDED, SET_LABELS, is_floor, load_paper_datasets, paper_rows
from himoe.scoring.results import RunResult, provenance

METRIC_LABELS = {"ccc": "CCC", "ccc_within": "Within-trial CCC", "pcc": "PCC", "mae": "MAE", "accuracy": "ACC",
                 "f1": "F1", "f1_macro": "F1 macro"}
# Published accuracies and F1 are percentages; ours are shares.
PERCENT = ("accuracy", "f1", "f1_macro")
_CEILED = ("ccc", "ccc_within")
ATTAINABLE = "Attainable (true gains and lags known)"


@dataclass(frozen=True)
class Inputs:
    """All that the builders read."""

    results: Mapping[str, RunResult]
    comparisons: pd.DataFrame
    cost: pd.DataFrame
    settings: ReportParams


@dataclass(frozen=True)
class Row:
    """One line to print: a method on a data set, with the run that fills it (None = the paper's alone).

    ``modalities`` is the paper's name of the set where ``published``, else the run's.
    """

    dataset: str
    method: str
    modalities: str
    result: RunResult | None
    published: bool


def ours(result: RunResult, metric: str, dimension: str = "mean") -> Ours | None:
    """One of a run's pooled scores with its own interval, percent for classes; None for a dimension its data lacks."""
    key = metric if dimension == "mean" else f"{metric}_{dimension}"
    if key not in result.metrics:
        if metric in result.metrics and dimension in set(DIMENSIONS) - set(result.info["dimensions"]):
            return None
        raise bad_input(f"metrics of run {result.run!r}", f"no field {key!r} (task {result.metrics['task']})",
                        "that score", f"make it with `dvc repro train@{result.run} evaluate`")
    value, low, high = (_scaled(result.metrics.get(part), metric) for part in (key, f"{key}_low", f"{key}_high"))
    return Ours(value, low=low, high=high, digits=score_digits(metric))


def over_folds(result: RunResult, metric: str) -> Ours:
    """Mean and SD over folds and seeds of the folds' own scores, percent for classes."""
    mean, sd = (_scaled(result.metrics.get(f"{metric}_{part}"), metric) for part in ("folds", "sd"))
    return Ours(mean, sd, digits=score_digits(metric))


def attainable(runs: Sequence[RunResult], metric: str) -> Ours | None:
    """The ceiling that the first of *runs* knows of, percent for classes; None where none does."""
    known = ceiling(runs, metric)
    return None if known is None else Ours(_scaled(known, metric), digits=score_digits(metric))


def attainable_rows(columns: Sequence[str], groups: Mapping[str, Sequence[RunResult]],
                    **shown: Callable[[RunResult], Cell]) -> list[tuple[Cell, ...]]:
    """One row for each ceiling known of some groups of runs (by modalities); cells go by the names of *columns*.

    *shown* gives further cells of a row from a run of its group, e.g. ``Task=...``; a blank in a column's name is
    written ``_``.
    """
    rows = []
    ceilings: dict[tuple[Ours | None, ...], list[str]] = {}
    for modalities, runs in groups.items():
        ceilings.setdefault(tuple(attainable(runs, metric) for metric in _CEILED), []).append(modalities)
    for values, names in ceilings.items():
        if any(values):
            run = groups[names[0]][0]
            every = len(names) == len(groups) > 1
            cells: dict[str, Cell] = {
                "Set": set_label(run.metrics["set"]), "Method": ATTAINABLE, "Our data": run.data, "Source": run.data,
                "Modalities": "any" if every else "; ".join(names),
                **dict(zip((METRIC_LABELS[metric] for metric in _CEILED), values, strict=True))}
            cells |= {name.replace("_", " "): cell(run) for name, cell in shown.items()}
            rows.append(tuple(cells.get(column) for column in columns))
    return rows


def by_modalities(runs: Sequence[RunResult], name: Callable[[RunResult], str] | None = None
                  ) -> dict[str, list[RunResult]]:
    """Runs by the printed name of their modalities (their own by default), in order."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(name(run) if name else str(run.metrics["modality_set"]), []).append(run)
    return groups


def score_digits(metric: str) -> int:
    """Digits of a score in print: two, of a percentage one."""
    return 1 if metric in PERCENT else 2


def spread(values: Sequence[float] | pd.Series, digits: int = 3) -> Ours:
    """Mean and SD of some scores, NaN left out; undefined if none is defined."""
    series = pd.Series(values, dtype=float)
    return Ours(number(series.mean()), number(series.std(ddof=1)), digits=digits)


def paper_ordered(table: int, runs: Sequence[RunResult], modalities: Callable[[RunResult], str],
                  methods: Callable[[RunResult], str], sets: Collection[str] = ()) -> list[Row]:
    """Data set by data set: the paper's rows in its order, each with our run, then our own ones.

    *modalities* and *methods* give the names under which the paper has a run. Of several runs with the same
    names the first counts. *sets* limits the paper's rows to these modality sets.
    """
    given: dict[tuple[str, str, str], RunResult] = {}
    for run in runs:
        given.setdefault((run.metrics["set"], methods(run), modalities(run)), run)
    rows: list[Row] = []
    for dataset in dict.fromkeys(key[0] for key in given):
        published = paper_rows(table, dataset)[["method", "modalities"]].drop_duplicates()
        keys = [(dataset, str(method), str(names)) for method, names in published.itertuples(index=False)
                if not sets or names in sets]
        rows += [Row(*key, given.get(key), True) for key in keys]
        rows += [Row(*key, run, False) for key, run in given.items() if key[0] == dataset and key not in keys]
    return rows


def title(number: int, text: str, runs: Sequence[RunResult]) -> str:
    """The paper's number and our provenance."""
    if not runs:
        return f"Table {number}. {text}: published numbers only"
    return f"Table {number}. {text}: {provenance(runs)}{beside_the_paper('numbers', runs)}"


def beside_the_paper(what: str, runs: Sequence[RunResult]) -> str:
    """The end of a title: that the paper's *what* stand beside ours; empty where it never had the data of *runs*."""
    known = set(load_paper_datasets()["dataset"])
    return f", beside the paper's {what}" if any(run.metrics["set"] in known for run in runs) else ""


def set_label(dataset: str) -> str:
    """The data set's printed name."""
    return SET_LABELS.get(dataset, dataset)


def run_label(result: RunResult) -> str:
    """The run's label; a dagger where the method stands for a paper, floors and unconverged models named."""
    label = method_name(str(result.metrics["method"]), result.label)
    return f"{label}, {result.not_converged}" if result.not_converged else label


def method_name(method: str, label: str = "") -> str:
    """A method's printed name (or *label*): a dagger where it stands for a paper, ``(floor)`` where it is one."""
    label = label or METHOD_LABELS.get(method, method)
    return label + (" †" if stands_for_a_paper(method) else " (floor)" if is_floor(method) else "")


def row_label(row: Row) -> str:
    """The run's label, or the paper's method."""
    return run_label(row.result) if row.result else METHOD_LABELS.get(row.method, row.method)


def row_modalities(row: Row) -> str:
    """The paper's name for the set where our run uses just that, else what our run uses."""
    if row.result is None or same_modalities(row.modalities, row.result.metrics):
        return row.modalities
    return str(row.result.metrics["modalities"])


def row_data(row: Row, inputs: Inputs) -> str | None:
    """Our data's label, or what it would take to fill the row (None = it could be run)."""
    if row.result:
        return row.result.data
    absent = lacking(row.modalities, row.dataset, inputs)
    return "needs " + ", ".join(absent) if absent else None


def lacking(published: str, dataset: str, inputs: Inputs) -> list[str]:
    """The modalities of the paper's set that this data set has in none of our runs and is not known to record."""
    known = set(RECORDED.get(dataset, ()))
    for run in inputs.results.values():
        if run.metrics["set"] == dataset:
            known |= set(run.metrics["modalities"].split("+"))
    return [name for name in meant_modalities(published, dataset) if name not in known]


def number(value: float) -> float | None:
    """None for NaN."""
    return None if value is None or math.isnan(value) else float(value)


def _scaled(value: float | None, metric: str) -> float | None:
    return None if value is None else float(value) * (100.0 if metric in PERCENT else 1.0)
