"""From loaded results to tables: one registry entry a table, three shapes of table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from himoe.errors import bad_input
from himoe.paper import CONTRADICTIONS, METHOD_LABELS, RECORDED, SET_LABELS, paper_rows, paper_value
from himoe.tables.notes import OWN_METHODS, bound_notes, run_notes, same_modalities
from himoe.tables.results import RunResult, find_run, provenance, sweep_curve
from himoe.tables.table import Cell, Ours, Table

METRIC_LABELS = {"ccc": "CCC", "pcc": "PCC", "mae": "MAE", "accuracy": "ACC", "f1": "F1"}
# Published accuracies and F1 are percentages; ours are shares.
_PERCENT = ("accuracy", "f1")


@dataclass(frozen=True)
class ScoreTable:
    """Methods down, scores across; ``modalities`` None = every row names its own."""

    number: int
    title: str
    cells: tuple[tuple[str, str], ...]
    modalities: str | None = None


@dataclass(frozen=True)
class RateTable:
    """Methods down, missing rates across, CCC averaged over dimensions."""

    number: int
    title: str
    modalities: str


@dataclass(frozen=True)
class RunTable:
    """Runs down, each with a label of its own; scores across, with CCC by dimension for ``dimensions``."""

    title: str
    first: str
    note: str
    dimensions: tuple[str, ...] = ()


_REGRESSION = (("mean", "ccc"), ("mean", "pcc"), ("mean", "mae"))
_CLASSES = (("valence", "accuracy"), ("valence", "f1"), ("arousal", "accuracy"), ("arousal", "f1"))
_LOSO = tuple((dimension, "ccc") for dimension in ("valence", "arousal", "dominance", "liking"))

TABLES: dict[str, ScoreTable | RateTable | RunTable] = {
    "table2": ScoreTable(2, "Regression, average over dimensions", _REGRESSION),
    "table3": RateTable(3, "CCC under missing modalities", "ALL"),
    "table4": ScoreTable(4, "Binary classification", _CLASSES, "EEG+PPS"),
    "table5": ScoreTable(5, "People held out, CCC a dimension", _LOSO, "ALL"),
    "table6": ScoreTable(6, "Ablation, average over dimensions", _REGRESSION, "EEG+PPS+FACE"),
    "table8": RateTable(8, "CCC under missing modalities, EEG and PPS", "EEG+PPS"),
    "table9": RateTable(9, "CCC under missing modalities, EEG, EOG, EMG and EDA", "EEG+EOG+EMG+EDA"),
    "table10": ScoreTable(10, "Binary classification, other modalities", _CLASSES),
    "leak_audit": RunTable(
        "Leak audit. The same model and data, split differently", "Split",
        "A leaky split puts windows of one trial on both sides: its score measures the leak, not the model."),
    "scores": RunTable(
        "Scores of every run", "Held out",
        "CCC 0 is what a constant reaches; the row of a mean is the floor to beat.", ("valence", "arousal")),
}


@dataclass(frozen=True)
class Row:
    """One line to print: a method on a data set, with the run that fills it (None = the paper's alone)."""

    dataset: str
    method: str
    modalities: str
    result: RunResult | None


def build_table(name: str, roles: Any, results: Mapping[str, RunResult]) -> Table:
    """One table of the report.

    Parameters
    ----------
    name : str
        A key of ``TABLES``.
    roles : mapping or list
        The entry ``name`` of the parameter block ``reports`` (see ``himoe.tables``).
    results : {run: RunResult}
        From ``load_results``.

    Raises
    ------
    InputError
        For an unknown table, roles of the wrong shape, or a run without results.
    """
    if name not in TABLES:
        raise bad_input("reports", repr(name), "one of " + " ".join(TABLES), "correct the name")
    spec = TABLES[name]
    if isinstance(spec, RunTable):
        return _run_table(name, spec, roles, results)
    rows = _rows(name, spec, roles, results)
    return _rate_table(name, spec, rows) if isinstance(spec, RateTable) else _score_table(name, spec, rows)


def _rows(name: str, spec: ScoreTable | RateTable, roles: Any, results: Mapping[str, RunResult]) -> list[Row]:
    """The runs of ``reports`` and the paper's remaining rows, in the paper's order, ours-only ones last."""
    given = _rows_by_method(name, spec, roles, results)
    ordered: dict[tuple[str, str, str], Row] = {}
    for dataset in dict.fromkeys(row.dataset for row in given.values()):
        published = paper_rows(spec.number, dataset)[["method", "modalities"]].drop_duplicates()
        for method, modalities in published.itertuples(index=False):
            key = (dataset, method, modalities)
            ordered[key] = given.get(key, Row(dataset, method, modalities, None))
        ordered.update({key: row for key, row in given.items() if key[0] == dataset and key not in ordered})
    return list(ordered.values())


def _rows_by_method(name: str, spec: ScoreTable | RateTable, roles: Any,
                    results: Mapping[str, RunResult]) -> dict[tuple[str, str, str], Row]:
    found: list[Row] = []
    fixed = spec.modalities
    if fixed is not None and isinstance(roles, Mapping):
        for method, run in roles.items():
            result = find_run(results, run)
            found.append(Row(result.metrics["set"], method, fixed, result))
    elif fixed is None and isinstance(roles, Sequence) and all({"method", "modalities"} <= set(r) for r in roles):
        for role in roles:
            for dataset, run in role.items():
                if dataset not in ("method", "modalities") and run is not None:
                    result = find_run(results, run)
                    _check_set(name, dataset, result)
                    found.append(Row(dataset, role["method"], role["modalities"], result))
    else:
        raise bad_input(f"params.yaml: reports.{name}", type(roles).__name__,
                        "rows of method, modalities and a run a data set" if fixed is None else "method: run",
                        "write it as himoe.tables shows")
    return {(row.dataset, row.method, row.modalities): row for row in found}


def _check_set(name: str, dataset: str, result: RunResult) -> None:
    if result.metrics["set"] != dataset:
        raise bad_input(f"params.yaml: reports.{name}", f"run {result.run!r} of set {result.metrics['set']!r} "
                        f"under {dataset!r}", "a run of that set", "move it or correct the run")


def _score_table(name: str, spec: ScoreTable, rows: list[Row]) -> Table:
    heads = []
    for dimension, metric in spec.cells:
        head = METRIC_LABELS[metric] if dimension == "mean" else f"{METRIC_LABELS[metric]} {dimension}"
        heads += [head, f"{head} (paper)"]
    lines: list[tuple[Cell, ...]] = []
    for row in rows:
        line: list[Cell] = [_set_label(row.dataset), _method_label(row), _modalities(row), _our_data(row)]
        for dimension, metric in spec.cells:
            line += [ours(row.result, metric, dimension) if row.result else None,
                     paper_value(spec.number, row.dataset, row.method, row.modalities, metric, dimension)]
        lines.append(tuple(line))
    notes = ["Ours: mean ± SD over folds [95 % interval of all test windows pooled, trials resampled]. "
             "— = not run, or not published."]
    return Table(name, _title(spec.number, spec.title, rows),
                 ("Set", "Method", "Modalities", "Our data", *heads), tuple(lines),
                 (*notes, *_common_notes(name, spec.number, rows)))


def _rate_table(name: str, spec: RateTable, rows: list[Row]) -> Table:
    curves = {row.result.run: sweep_curve(row.result.part("sweep")) for row in rows if row.result}
    rates = set(paper_rows(spec.number)["missing_rate"].round(4))
    rates |= {rate for curve in curves.values() for rate in curve["missing_rate"]}
    lines: list[tuple[Cell, ...]] = []
    for row in rows:
        lead = (_set_label(row.dataset), _method_label(row), _modalities(row))
        published = [paper_value(spec.number, row.dataset, row.method, row.modalities, "ccc", "mean", rate)
                     for rate in sorted(rates)]
        if row.result:
            lines.append((*lead, row.result.data, *_curve_cells(curves[row.result.run], sorted(rates))))
        if any(value is not None for value in published):
            paper_lead = (lead[0], METHOD_LABELS.get(row.method, row.method), row.modalities, "paper")
            lines.append((*paper_lead, *published))
    notes = ["Ours: mean ± SD over mask seeds, folds and seeds averaged first. — = not run, or not published."]
    lost = {run: int(curve["undefined"].sum()) for run, curve in curves.items() if curve["undefined"].sum()}
    notes += [f"{run}: {count} undefined scores left out of the means." for run, count in lost.items()]
    return Table(name, _title(spec.number, spec.title, rows),
                 ("Set", "Method", "Modalities", "Source", *(f"r = {rate:.2f}" for rate in sorted(rates))),
                 tuple(lines), (*notes, *_common_notes(name, spec.number, rows)))


def _curve_cells(curve: pd.DataFrame, rates: Sequence[float]) -> list[Cell]:
    found = {rate: (mean, sd) for rate, mean, sd in
             zip(curve["missing_rate"], curve["mean"], curve["sd"], strict=True)}
    return [Ours(_number(found[rate][0]), _number(found[rate][1])) if rate in found else None for rate in rates]


def _run_table(name: str, spec: RunTable, roles: Any, results: Mapping[str, RunResult]) -> Table:
    if isinstance(roles, str | Mapping) or not all({"label", "run"} <= set(role) for role in roles):
        raise bad_input(f"params.yaml: reports.{name}", type(roles).__name__, "rows of label and run",
                        "write it as himoe.tables shows")
    found = [(str(role["label"]), find_run(results, role["run"])) for role in roles]
    lines: list[tuple[Cell, ...]] = []
    for label, result in found:
        counts = [result.metrics.get(key) for key in ("n_trials", "n_windows")]
        scores = [ours(result, metric, "mean") for metric in ("ccc", "pcc", "mae")]
        scores += [ours(result, "ccc", dimension) for dimension in spec.dimensions]
        lines.append((label, result.metrics["protocol"], result.label, result.data, *counts, *scores))
    runs = [result for _, result in found]
    notes = ("Ours: mean ± SD over folds [95 % interval of all test windows pooled, trials resampled].",
             spec.note, *run_notes(runs), *bound_notes(runs))
    return Table(name, f"{spec.title}: {provenance(runs)}",
                 (spec.first, "Protocol", "Method", "Our data", "Trials", "Windows", "CCC", "PCC", "MAE",
                  *(f"CCC {dimension}" for dimension in spec.dimensions)),
                 tuple(lines), notes)


def ours(result: RunResult, metric: str, dimension: str = "mean") -> Ours:
    """One of a run's scores with SD and interval, as far as its metrics hold them; percent for classes."""
    key = metric if dimension == "mean" else f"{metric}_{dimension}"
    if key not in result.metrics:
        raise bad_input(f"metrics of run {result.run!r}", f"no field {key!r} (task {result.metrics['task']})",
                        "that score", "give this table a run of the right task and data set")
    factor, digits = (100.0, 1) if metric in _PERCENT else (1.0, 3)
    mean, sd, low, high = (_scaled(result.metrics.get(part), factor)
                           for part in (key, f"{key}_sd", f"{key}_low", f"{key}_high"))
    return Ours(mean, sd, low, high, digits)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else float(value) * factor


def _common_notes(name: str, number: int, rows: list[Row]) -> list[str]:
    runs = list({row.result.run: row.result for row in rows if row.result}.values())
    differing: dict[str, list[str]] = {}
    for row in rows:
        if row.result and not same_modalities(row.modalities, row.result.metrics):
            text = f"Ours use {row.result.metrics['modalities']} where the paper has {row.modalities}"
            differing.setdefault(text, []).append(row.result.label)
    starred = (paper_rows(number)["reproduced_by_authors"] == 1).any()
    return [*run_notes(runs), *(f"{text}: {'; '.join(labels)}." for text, labels in differing.items()),
            *(["* baseline re-run by the paper's authors."] if starred else []),
            *bound_notes(runs, number), *CONTRADICTIONS.get(name, ())]


def _title(number: int, title: str, rows: list[Row]) -> str:
    runs = [row.result for row in rows if row.result]
    source = provenance(runs) if runs else "published numbers only"
    return f"Table {number}. {title}: {source}, beside the paper's numbers"


def _set_label(dataset: str) -> str:
    return SET_LABELS.get(dataset, dataset)


def _method_label(row: Row) -> str:
    if row.result is None:
        return METHOD_LABELS.get(row.method, row.method)
    baseline = row.method.split("-")[0] not in OWN_METHODS
    return row.result.label + (" †" if baseline else "")


def _modalities(row: Row) -> str:
    """The paper's name for the set where our run uses just that, else what our run uses."""
    if row.result is None or same_modalities(row.modalities, row.result.metrics):
        return row.modalities
    return str(row.result.metrics["modalities"])


def _our_data(row: Row) -> str | None:
    """Our data's label, or what it would take to fill the row."""
    if row.result:
        return row.result.data
    named = [m for m in row.modalities.split("+") if m not in ("PPS", "ALL")]
    absent = [m for m in named if m not in RECORDED.get(row.dataset, tuple(named)) or m == "FACE"]
    return "needs " + ", ".join(absent) if absent else None


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
