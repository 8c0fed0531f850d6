"""Tables of runs that the paper does not have: leak audit, every run's scores, numbers of experts."""

from __future__ import annotations

from collections.abc import Sequence

from himoe.report.chosen import audited_runs, expert_runs, is_suspect, n_experts, split_label
from himoe.report.tables.notes import bound_notes, people_note, table_notes
from himoe.report.tables.rows import (
    METRIC_LABELS,
    Inputs,
    attainable,
    attainable_rows,
    by_modalities,
    ours,
    over_folds,
    run_label,
    set_label,
)
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.metrics import task_label
from himoe.scoring.results import RunResult, provenance, select

_SCORES = ("ccc", "ccc_within", "pcc", "mae")
_ALL_SCORES = (*_SCORES, "accuracy", "f1", "f1_macro")


def leak_audit(inputs: Inputs) -> Table | None:
    """The same model and data, split honestly and not."""
    runs = audited_runs(inputs.results)
    if not any(map(is_suspect, runs)):
        return None
    columns = ("Held out", "Protocol", "Method", "Modalities", "Our data", "Trials", "Windows",
               *(METRIC_LABELS[metric] for metric in _SCORES))
    lines: list[tuple[Cell, ...]] = [
        (split_label(run), run.metrics["protocol"], run_label(run), run.metrics["modality_set"], run.data,
         *_counts(run), *(ours(run, metric) for metric in _SCORES)) for run in runs]
    honest = [run for run in runs if run.metrics["protocol"] == "trial" and not run.metrics["shuffled_labels"]]
    lines += attainable_rows(columns, by_modalities(honest), Held_out=split_label)
    return Table("leak_audit", f"Leak audit. The same data, split differently: {provenance(runs)}", columns,
                 tuple(lines), table_notes(runs, "A leaky split puts windows of one trial on both sides: its score "
                                           "measures the leak, not the model."))


def scores(inputs: Inputs) -> Table | None:
    """Every run, whatever its protocol and task."""
    runs = select(inputs.results, shuffled=None)
    if not runs:
        return None
    dimensions = list(dict.fromkeys(d for run in runs for d in run.info["dimensions"]))
    shown = [metric for metric in _ALL_SCORES if any(metric in run.metrics for run in runs)]
    lines: list[tuple[Cell, ...]] = []
    for run in runs:
        lead = (run.run, set_label(run.metrics["set"]), split_label(run), run_label(run), run.metrics["modality_set"],
                task_label(run.metrics), run.data)
        main = "ccc" if run.metrics["task"] == "regression" else "accuracy"
        lines.append((*lead, *_counts(run),
                      *(ours(run, metric) if metric in run.metrics else None for metric in shown),
                      attainable([run], "ccc"), attainable([run], "ccc_within"), over_folds(run, main),
                      *(ours(run, main, dimension) for dimension in dimensions),
                      *(run.metrics.get(key) for key in ("eeg_encoder", "signal_encoder", "training_missing"))))
    notes = ("By fold: mean ± SD over folds and seeds of the folds' own CCC or ACC, as papers print it; by dimension: "
             "CCC of regression, ACC of classification.", "CCC 0 is what a constant reaches.")
    return Table("scores", f"Scores of every run: {provenance(runs)}",
                 ("Run", "Set", "Held out", "Method", "Modalities", "Task", "Our data", "Trials", "Windows",
                  *(METRIC_LABELS[metric] for metric in shown), "Attainable CCC", "Attainable within-trial CCC",
                  "By fold", *(d.capitalize() for d in dimensions), "EEG encoder", "Signal encoder",
                  "Missing in training"), tuple(lines),
                 (f"{notes[0]} {notes[1]}", *(note for note in (people_note(runs), *bound_notes(runs)) if note)))


def whole_trials(inputs: Inputs) -> Table | None:
    """Runs on data with one rating a trial: scores of whole trials beside those of windows."""
    runs = [run for run in select(inputs.results, shuffled=None) if "trial_ccc" in run.metrics]
    if not runs:
        return None
    dimensions = list(dict.fromkeys(d for run in runs for d in run.info["dimensions"]))
    shown = [(metric, dimension) for dimension in dimensions for metric in ("trial_ccc", "ccc")]
    lines: list[tuple[Cell, ...]] = [
        (set_label(run.metrics["set"]), split_label(run), run_label(run), run.metrics["modality_set"], run.data,
         *_counts(run), ours(run, "trial_ccc"), ours(run, "trial_pcc"), ours(run, "trial_mae"),
         *(ours(run, metric, dimension) for metric, dimension in shown)) for run in runs]
    heads = [f"CCC {dimension}" + (" of windows" if metric == "ccc" else "") for metric, dimension in shown]
    return Table("whole_trials", f"Scores of whole trials, each with one rating: {provenance(runs)}",
                 ("Set", "Held out", "Method", "Modalities", "Our data", "Trials", "Windows", "CCC", "PCC", "MAE",
                  *heads), tuple(lines),
                 table_notes(runs, "A trial's prediction is the mean over its windows, and every trial counts once; "
                             "of windows, a long trial counts for more."))


def experts(inputs: Inputs) -> Table | None:
    """CCC against the number of emotion experts (the numbers of Figure 4b)."""
    runs = expert_runs(inputs.results, inputs.settings)
    if not runs:
        return None
    columns = ("Set", "Method", "Modalities", "Our data", "Emotion experts", "CCC", "Within-trial CCC",
               *(f"CCC {d}" for d in runs[0].info["dimensions"]), "Parameters")
    lines: list[tuple[Cell, ...]] = [
        (set_label(run.metrics["set"]), run_label(run), run.metrics["modality_set"], run.data, n_experts(run),
         ours(run, "ccc"), ours(run, "ccc_within"), *(ours(run, "ccc", d) for d in run.info["dimensions"]),
         run.metrics.get("parameters")) for run in runs]
    return Table("experts", f"Hi-MoE by its number of emotion experts: {provenance(runs)}", columns,
                 (*lines, *attainable_rows(columns, by_modalities(runs))), table_notes(runs))


def _counts(run: RunResult) -> Sequence[int | Ours | None]:
    return [run.metrics.get(key) for key in ("n_trials", "n_windows")]
