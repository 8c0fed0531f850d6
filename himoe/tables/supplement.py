"""Supplementary tables: data sets that the paper prepares but prints no scores of, every protocol and task."""

from __future__ import annotations

from himoe.metrics import task_label
from himoe.paper import SET_LABELS, load_paper_results
from himoe.results import RunResult, provenance, select
from himoe.tables.against import AGAINST, against, against_notes
from himoe.tables.notes import bound_notes, run_notes
from himoe.tables.rows import METRIC_LABELS, Inputs, ours, run_label
from himoe.tables.runs import split_label
from himoe.tables.scores import NOT_RUN, OURS
from himoe.tables.table import Cell, Table

SCORES = ("ccc", "pcc", "mae", "accuracy", "f1", "f1_macro")
_ORDER = ("trial", "session", "stimulus", "loso")


def supplement(inputs: Inputs, dataset: str) -> Table | None:
    """All plain runs of one data set: what is held out, method, task, scores; None for sets with published scores."""
    if dataset in set(load_paper_results()["dataset"]):
        return None
    runs = [run for run in select(inputs.results, set=dataset, variant="") if run.metrics["protocol"] in _ORDER]
    if not runs:
        return None
    runs.sort(key=_place)
    shown = [metric for metric in SCORES if any(metric in run.metrics for run in runs)]
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        scores = (ours(run, metric) if metric in run.metrics else None for metric in shown)
        lines.append((split_label(run), task_label(run.metrics), run_label(run), run.metrics["modalities"], run.data,
                      *scores, against(run, inputs)))
    notes = [OURS + NOT_RUN, "The paper prepares this set and prints no score of it. ACC and F1 in percent; F1 macro: "
             "the classes' F1 averaged.", *against_notes(runs, inputs), *run_notes(runs), *bound_notes(runs)]
    if any(run.metrics["protocol"] == "session" for run in runs):
        notes.append("Days held out: trained on everybody's other sessions, tested on theirs of one day; the same "
                     "clips may stand on both sides.")
    name = SET_LABELS.get(dataset, dataset)
    return Table(dataset, f"Supplementary table. {name}: {provenance(runs)}",
                 ("Held out", "Task", "Method", "Modalities", "Our data", *(METRIC_LABELS[m] for m in shown), AGAINST),
                 tuple(lines), tuple(notes))


def seed(inputs: Inputs) -> Table | None:
    """SEED: three classes."""
    return supplement(inputs, "seed")


def amigos(inputs: Inputs) -> Table | None:
    """AMIGOS: ratings, and high against low."""
    return supplement(inputs, "amigos")


def _place(run: RunResult) -> tuple[int, str]:
    return _ORDER.index(str(run.metrics["protocol"])), "" if run.metrics["task"] == "regression" else "classes"
