"""What the page says before and after its tables: what was run, who wins, where ours and the paper differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from himoe.report.chosen import HELD_OUT, Results, family, method_label
from himoe.report.tables.against import UNTESTABLE, against_notes, at_rate
from himoe.report.tables.notes import front_note, source_notes
from himoe.report.tables.rows import ours, run_label
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.metrics import task_label
from himoe.scoring.paper import PaperValue, paper_value
from himoe.scoring.results import RunResult, provenance

HEADLINE_METRIC = {"regression": "ccc", "classification": "accuracy"}
PAPER_SUFFIX = " (paper)"
_VERDICTS = ("better", "not distinguishable", "worse")
_METRIC_NAMES = {"ccc": "CCC", "accuracy": "accuracy"}


def banner(results: Results) -> str:
    """The loud line: which numbers are simulated."""
    simulated = provenance(run for run in results.values() if run.metrics["simulated"])
    real = provenance(run for run in results.values() if not run.metrics["simulated"])
    if not simulated:
        return f"Real recordings: {real}."
    text = (f"SIMULATED DATA: {simulated}. Our numbers on it show that the code works and how methods compare on such "
            "signals; they say nothing about people, and are not comparable with the paper's.")
    return f"{text} Real recordings: {real}." if real else text


def data_table(results: Results) -> Table:
    """What was run on which data, one row per data set, split, task and modality set."""
    groups: dict[tuple[str, str, str, str], list[RunResult]] = {}
    for run in results.values():
        m = run.metrics
        key = (run.data, HELD_OUT[m["protocol"]], task_label(m), str(m["modality_set"]))
        groups.setdefault(key, []).append(run)
    rows: list[tuple[Cell, ...]] = []
    for key, runs in groups.items():
        m = runs[0].metrics
        rows.append((*key, _span(runs, "n_trials"), _span(runs, "n_windows"), _span(runs, "folds"),
                     _span(runs, "seeds"), str(m["label_source"]),
                     ", ".join(dict.fromkeys(str(run.metrics.get("training_missing")) for run in runs)), len(runs)))
    return Table("data", f"What was run: {provenance(results.values())}",
                 ("Data", "Held out", "Task", "Modalities", "Trials", "Windows", "Folds", "Seeds", "Labels",
                  "Missing in training", "Runs"), tuple(rows),
                 tuple(text for text in [" ".join(source_notes(list(results.values())))] if text))


def headline(results: Results, comparisons: pd.DataFrame, first: str = "") -> list[tuple[str, Table]]:
    """Per family a sentence and a table: Hi-MoE against every method, the paper's number, verdicts; *first* first."""
    at_zero = at_rate(comparisons, 0.0)
    plain = at_zero[at_zero["run"].isin(list(results)) & ~at_zero["family"].str.endswith("/variants")]
    found = []
    for reference, rows in plain.groupby("reference", sort=False):
        run = results[str(reference)]
        found.append((_sentence(run, rows, results), _headline_table(run, rows, results)))
    return sorted(found, key=lambda pair: pair[1].title != first)


def _headline_table(reference: RunResult, rows: pd.DataFrame, results: Results) -> Table:
    metric = HEADLINE_METRIC[reference.metrics["task"]]
    lines: list[tuple[Cell, ...]] = [
        (run_label(reference), *_scores(reference), _paper(reference), None, None, "reference")]
    for line in rows.to_dict("records"):
        run = results[line["run"]]
        lines.append((run_label(run), *_scores(run), _paper(run), _difference(line), _number(line["p_holm"]),
                      str(line["verdict"])))
    within = ("Within-trial CCC, ours",) if metric == "ccc" else ()
    notes = ("Paper: its Table 2, where it has that method, data set and modalities. Its accuracies are in Tables 4 "
             "and 10, people held out in Table 5.", " ".join(against_notes(rows)[1:]),
             front_note([reference, *(results[run] for run in rows["run"])]))
    return Table(f"headline-{reference.run}", family(reference),
                 ("Method", f"{_METRIC_NAMES[metric]}, ours", *within, f"{_METRIC_NAMES[metric]}, paper",
                  "Hi-MoE minus it", "p (Holm)", "Verdict"), tuple(lines), tuple(note for note in notes if note))


def _sentence(run: RunResult, rows: pd.DataFrame, results: Results) -> str:
    """Hi-MoE's score, and which methods it is better than, not distinguishable from, worse than."""
    metric = HEADLINE_METRIC[run.metrics["task"]]
    paper = _paper(run)
    published = f" (paper: {paper.value:g})" if paper else ""
    counts = ", ".join(f"{verdict} {_than(verdict)} {_named(rows[rows['verdict'] == verdict], results)}"
                       for verdict in _VERDICTS if (rows["verdict"] == verdict).any())
    score = "undefined" if run.metrics[metric] is None else f"{run.metrics[metric]:.3f}"
    text = f"{family(run)}: Hi-MoE has {_METRIC_NAMES[metric]} {score}{published}; "
    untestable = rows[rows["verdict"].str.startswith(UNTESTABLE)]
    if len(untestable) and len(untestable) == len(rows):
        return f"{text}{rows['trials'].max()} trials are too few to tell it from {len(rows)} others by a test."
    return f"{text}it is {counts or 'not compared with any'}."


def _difference(line: Mapping[Any, Any]) -> str | None:
    if pd.isna(line["difference"]):
        return None
    interval = "" if pd.isna(line["low"]) or pd.isna(line["high"]) else f" [{line['low']:.3f}, {line['high']:.3f}]"
    return f"{line['difference']:+.3f}{interval}"


def difference_table(tables: Mapping[str, Table]) -> Table:
    """Every cell of *tables* that has both our number and the paper's: ours minus the paper's."""
    rows: list[tuple[Cell, ...]] = []
    for table in tables.values():
        pairs = [(j, table.columns.index(name + PAPER_SUFFIX)) for j, name in enumerate(table.columns)
                 if name + PAPER_SUFFIX in table.columns]
        for row in table.rows:
            for j, k in pairs:
                mine, published = row[j], row[k]
                if isinstance(mine, Ours) and mine.mean is not None and isinstance(published, PaperValue):
                    data, method, modalities = _named_cells(table, row)
                    rows.append((table.name, method, table.columns[j], replace(mine, low=None, high=None), published,
                                 round(mine.mean - published.value, 4), data, modalities))
    simulated = any("simulated" in str(row[6]) for row in rows)
    warning = ("Simulated recordings are not the paper's data: such a difference says nothing about the paper.",)
    return Table("differences", "Ours minus the paper's, wherever both are known",
                 ("Table", "Method", "Score", "Ours", "Paper", "Difference", "Our data", "Modalities"), tuple(rows),
                 (*(warning if simulated else ()), "Percent for accuracy and F1."))


def _named_cells(table: Table, row: tuple[Cell, ...]) -> tuple[Cell, ...]:
    cells = dict(zip(table.columns, row, strict=True))
    return cells.get("Our data"), cells.get("Method"), cells.get("Modalities")


def _scores(run: RunResult) -> list[Cell]:
    """The headline score, and for regression what is followed inside trials."""
    metric = HEADLINE_METRIC[run.metrics["task"]]
    if metric == "accuracy":  # a share here, percent in the tables beside the paper's
        return [Ours(run.metrics.get(metric), low=run.metrics.get(f"{metric}_low"),
                     high=run.metrics.get(f"{metric}_high"), digits=2)]
    return [ours(run, metric), ours(run, "ccc_within")]


def _paper(run: RunResult) -> PaperValue | None:
    m = run.metrics
    if m["protocol"] != "trial" or m["task"] != "regression":
        return None
    return paper_value(2, m["set"], m["method"], m["modality_set"], "ccc")


def _than(verdict: str) -> str:
    return "from" if verdict == "not distinguishable" else "than"


def _named(rows: pd.DataFrame, results: Results) -> str:
    """How many rows; which, where there is a verdict."""
    if (rows["verdict"] == "not distinguishable").all():
        return str(len(rows))
    return f"{len(rows)} ({', '.join(method_label(results[run].metrics['method']) for run in rows['run'])})"


def _span(runs: list[RunResult], key: str) -> Cell:
    values = sorted({int(run.metrics[key]) for run in runs})
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
