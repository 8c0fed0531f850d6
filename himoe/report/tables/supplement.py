"""Supplementary tables: data sets that the paper prepares but prints no scores of, every protocol and task."""

from __future__ import annotations

import itertools

from himoe.report.chosen import split_label
from himoe.report.tables.against import AGAINST, against
from himoe.report.tables.notes import table_notes
from himoe.report.tables.rows import METRIC_LABELS, Inputs, attainable_rows, by_modalities, ours, run_label
from himoe.report.tables.scores import tests_note
from himoe.report.tables.table import Cell, Table
from himoe.scoring.metrics import task_label
from himoe.scoring.paper import SET_LABELS, load_paper_results
from himoe.scoring.results import RunResult, provenance, select

SCORES = ("ccc", "ccc_within", "pcc", "mae", "accuracy", "f1", "f1_macro")
_ORDER = ("trial", "sequential", "session", "stimulus", "loso")


def supplement(inputs: Inputs, dataset: str) -> Table | None:
    """All plain runs of one data set: what is held out, method, task, scores; None for sets with published scores."""
    if dataset in set(load_paper_results()["dataset"]):
        return None
    runs = [run for run in select(inputs.results, set=dataset, variant="") if run.metrics["protocol"] in _ORDER]
    if not runs:
        return None
    runs.sort(key=_place)
    shown = [metric for metric in SCORES if any(metric in run.metrics for run in runs)]
    columns = ("Held out", "Task", "Method", "Modalities", "Our data", *(METRIC_LABELS[m] for m in shown), AGAINST)
    lines: list[tuple[Cell, ...]] = []
    for _, group in itertools.groupby(runs, key=_place):
        part = list(group)
        for run in part:
            scores = (ours(run, metric) if metric in run.metrics else None for metric in shown)
            lines.append((split_label(run), task_label(run.metrics), run_label(run), run.metrics["modalities"],
                          run.data, *scores, against(run, inputs)))
        groups = by_modalities(part, lambda run: str(run.metrics["modalities"]))
        lines += attainable_rows(columns, groups, Held_out=split_label, Task=lambda run: task_label(run.metrics))
    days = ("Days held out: trained on everybody's other sessions, tested on theirs of one day; the same clips may "
            "stand on both sides." if any(run.metrics["protocol"] == "session" for run in runs) else "")
    later = ("Later trials held out: trained on the first part of each person's session, tested on the rest, in the "
             "order of the recording." if any(run.metrics["protocol"] == "sequential" for run in runs) else "")
    name = SET_LABELS.get(dataset, dataset)
    return Table(dataset, f"Supplementary table. {name}, no scores in the paper: {provenance(runs)}", columns,
                 tuple(lines), table_notes(runs, days, later, tests_note(runs, inputs)))


def seed(inputs: Inputs) -> Table | None:
    """SEED: three classes."""
    return supplement(inputs, "seed")


def amigos(inputs: Inputs) -> Table | None:
    """AMIGOS: ratings, and high against low."""
    return supplement(inputs, "amigos")


def _place(run: RunResult) -> tuple[int, str]:
    return _ORDER.index(str(run.metrics["protocol"])), "" if run.metrics["task"] == "regression" else "classes"
