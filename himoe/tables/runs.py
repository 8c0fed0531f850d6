"""Tables of runs that the paper does not have: leak audit, every run's scores, numbers of experts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from himoe.metrics import task_label
from himoe.results import RunResult, provenance, select
from himoe.tables.notes import bound_notes, run_notes
from himoe.tables.rows import METRIC_LABELS, Inputs, ours, run_label, set_label
from himoe.tables.scores import NOT_RUN, OURS
from himoe.tables.table import Cell, Ours, Table

SPLITS = {"trial": "trials held out", "session": "days held out", "loso": "people held out",
          "stimulus": "clips held out",
          "leaky": "windows shuffled"}
_AUDITED = ("himoe", "features_gbdt", "mean")
_SCORES = ("ccc", "pcc", "mae")
_ALL_SCORES = (*_SCORES, "accuracy", "f1", "f1_macro")
_MACRO_NOTE = ("F1 is of the class high where there are two classes. F1 macro is the mean of the classes' F1, a class "
               "that is neither true nor predicted left out. Chance depends on the number of classes.")


def split_label(result: RunResult) -> str:
    """How the run was split, in words, and whether its labels were shuffled."""
    protocol = str(result.metrics["protocol"])
    return SPLITS.get(protocol, protocol) + (
        ", labels shuffled between trials" if result.metrics["shuffled_labels"] else "")


def audited_runs(inputs: Inputs) -> list[RunResult]:
    """Runs that leak or have shuffled labels, and the honest ones of the same data to hold them against."""
    every = select(inputs.results, task="regression", variant="", shuffled=None)
    odd = [run for run in every if run.metrics["protocol"] == "leaky" or run.metrics["shuffled_labels"]]
    places = {(run.metrics["set"], run.metrics["modality_set"]) for run in odd}
    honest = [run for run in every if run not in odd and run.metrics["method"] in _AUDITED
              and run.metrics["protocol"] in ("trial", "loso")
              and (run.metrics["set"], run.metrics["modality_set"]) in places]
    return [*honest, *odd]


def leak_audit(inputs: Inputs) -> Table | None:
    """The same model and data, split honestly and not."""
    runs = audited_runs(inputs)
    if not any(run.metrics["protocol"] == "leaky" or run.metrics["shuffled_labels"] for run in runs):
        return None
    lines: list[tuple[Cell, ...]] = [
        (split_label(run), run.metrics["protocol"], run_label(run), run.metrics["modality_set"], run.data,
         *_counts(run), *(ours(run, metric) for metric in _SCORES)) for run in runs]
    return Table("leak_audit", f"Leak audit. The same data, split differently: {provenance(runs)}",
                 ("Split", "Protocol", "Method", "Modalities", "Our data", "Trials", "Windows",
                  *(METRIC_LABELS[metric] for metric in _SCORES)), tuple(lines),
                 (OURS.strip(), "A leaky split puts windows of one trial on both sides: its score measures the leak, "
                  "not the model.", *run_notes(runs), *bound_notes(runs)))


def scores(inputs: Inputs) -> Table | None:
    """Every run, whatever its protocol and task."""
    runs = select(inputs.results, shuffled=None)
    if not runs:
        return None
    dimensions = list(dict.fromkeys(d for run in runs for d in run.info["dimensions"]))
    macro = any("f1_macro" in run.metrics for run in runs)
    shown = [metric for metric in _ALL_SCORES if macro or metric != "f1_macro"]
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        lead = (run.run, set_label(run.metrics["set"]), split_label(run), run_label(run), run.metrics["modality_set"],
                task_label(run.metrics), run.data)
        main = "ccc" if run.metrics["task"] == "regression" else "accuracy"
        lines.append((*lead, *_counts(run),
                      *(ours(run, metric) if metric in run.metrics else None for metric in shown),
                      *(ours(run, main, dimension) for dimension in dimensions)))
    notes = (OURS + NOT_RUN, "By dimension: CCC of regression, ACC of classification. ACC and F1 in percent.",
             *([_MACRO_NOTE] if macro else []),
             "CCC 0 is what a constant reaches; the row of a mean is the floor to beat.",
             *run_notes(runs), *bound_notes(runs))
    return Table("scores", f"Scores of every run: {provenance(runs)}",
                 ("Run", "Set", "Held out", "Method", "Modalities", "Task", "Our data", "Trials", "Windows",
                  *(METRIC_LABELS[metric] for metric in shown), *(d.capitalize() for d in dimensions)),
                 tuple(lines), notes)


def expert_runs(inputs: Inputs) -> list[RunResult]:
    """The figure set's Hi-MoE runs that differ in emotion experts alone, fewest first within a modality set."""
    every = select(inputs.results, set=inputs.settings.figure_set, protocol="trial", task="regression",
                   method="himoe")
    varied = [run for run in every if re.fullmatch(r"experts\d+", run.metrics["variant"])]
    places = [run.metrics["modality_set"] for run in varied]
    runs = [*varied, *(run for run in select(every, variant="") if run.metrics["modality_set"] in places)]
    return sorted(runs, key=lambda run: (places.index(run.metrics["modality_set"]), _experts(run)))


def experts(inputs: Inputs) -> Table | None:
    """CCC against the number of emotion experts (the numbers of Figure 4b)."""
    runs = expert_runs(inputs)
    if not runs:
        return None
    lines: list[tuple[Cell, ...]] = [
        (set_label(run.metrics["set"]), run.metrics["modality_set"], run.data, _experts(run),
         ours(run, "ccc"), *(ours(run, "ccc", d) for d in run.info["dimensions"]), run.metrics.get("parameters"))
        for run in runs]
    dimensions = [f"CCC {d}" for d in runs[0].info["dimensions"]]
    return Table("experts", f"Hi-MoE by its number of emotion experts: {provenance(runs)}",
                 ("Set", "Modalities", "Our data", "Emotion experts", "CCC", *dimensions, "Parameters"),
                 tuple(lines), (OURS.strip(), *run_notes(runs), *bound_notes(runs)))


def _experts(run: RunResult) -> int:
    return int(run.info["model"]["emotion_experts"])


def _counts(run: RunResult) -> Sequence[int | Ours | None]:
    return [run.metrics.get(key) for key in ("n_trials", "n_windows")]
