"""What each switch of Hi-MoE does: every variant of a run beside the run itself (more than the paper's Table 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from himoe.report.chosen import split_label
from himoe.report.tables.against import AGAINST, against
from himoe.report.tables.fronts import FRONT
from himoe.report.tables.notes import table_notes
from himoe.report.tables.rows import METRIC_LABELS, Inputs, attainable_rows, by_modalities, ours, run_label, set_label
from himoe.report.tables.scores import tests_note
from himoe.report.tables.table import Cell, Table
from himoe.scoring.paper import METHOD_LABELS
from himoe.scoring.results import RunResult, provenance, select

_SCORES = ("ccc", "ccc_within", "pcc", "mae", "accuracy")
# Whole runs in other tables: more seeds, numbers of experts (table experts), front ends of every method (front_ends).
_ELSEWHERE = re.compile(rf"seeds|experts\d+|{FRONT}\w+")


def ablation_groups(results: Mapping[str, RunResult]) -> dict[str, list[RunResult]]:
    """By plain Hi-MoE run: itself, then its variants, wherever there are any."""
    every = select(results, method="himoe")
    groups: dict[str, list[RunResult]] = {}
    for full in select(every, variant=""):
        variants = [run for run in every if _place(run) == _place(full) and run.metrics["variant"]
                    and not _ELSEWHERE.fullmatch(run.metrics["variant"])]
        if variants:
            groups.setdefault("/".join(_place(full)), [full, *variants])
    return groups


def ablations(inputs: Inputs) -> Table | None:
    """One line per variant: its parameters that differ, its scores, and the whole model against it."""
    groups = ablation_groups(inputs.results)
    runs = [run for group in groups.values() for run in group]
    if not runs:
        return None
    shown = [metric for metric in _SCORES if any(metric in run.metrics for run in runs)]
    columns = ("Set", "Held out", "Method", "Modalities", "Our data", "What differs",
               *(METRIC_LABELS[metric] for metric in shown), AGAINST)
    lines: list[tuple[Cell, ...]] = []
    for full, *variants in groups.values():
        for run in (full, *variants):
            scores = (ours(run, metric) if metric in run.metrics else None for metric in shown)
            lines.append((set_label(run.metrics["set"]), split_label(run), run_label(run),
                          run.metrics["modality_set"], run.data, changes(full, run), *scores, against(run, inputs)))
        lines += attainable_rows(columns, by_modalities([full]), Held_out=split_label)
    return Table("ablations", f"Ablations of {METHOD_LABELS['himoe']}: {provenance(runs)}", columns, tuple(lines),
                 table_notes(runs, tests_note(runs, inputs)))


def changes(full: RunResult, variant: RunResult) -> str | None:
    """The parameters in which a variant differs, e.g. ``"residual false"``; None for the run itself."""
    found = [*_differing(full.info.get("model", {}), variant.info.get("model", {})),
             *_differing(full.info.get("alignment", {}), variant.info.get("alignment", {}), "alignment "),
             *_differing(_policy(full), _policy(variant))]
    return ", ".join(found) or None


def _policy(run: RunResult) -> dict[str, Any]:
    return {"normalise": run.info.get("normalise")}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Sequence[str]:
    return [f"{prefix}{key} {str(after[key]).lower()}" for key in sorted(after) if before.get(key) != after[key]]


def _place(run: RunResult) -> tuple[str, ...]:
    return tuple(str(run.metrics[key]) for key in ("set", "protocol", "task", "modality_set"))
