"""What stands under a table: how our runs were made, and numbers that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from himoe.metrics import class_count, mse_bound_problem
from himoe.paper import METHOD_LABELS, RECORDED, SCALES, SET_LABELS, paper_rows
from himoe.recordings import DIMENSIONS
from himoe.results import RunResult

OWN_METHODS = ("himoe", "mean", "mean_subject", "mean_stimulus", "features_gbdt")  # all others stand for a paper
_TRAINING = {
    "sampled": "trained with missing rates drawn at random, one model for all rates (training_missing: sampled)",
    "matched": "trained at the rate it is evaluated at, one model a rate, as in the paper (training_missing: matched)",
    "none": "trained on complete data (training_missing: none)",
}


def run_notes(runs: Sequence[RunResult]) -> list[str]:
    """Our implementation, and how the runs were split and trained."""
    notes = []
    if any(run.metrics["method"] not in OWN_METHODS for run in runs):
        notes.append("† our implementation, built from the cited paper's description and trained like Hi-MoE.")
    groups: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        trained = run.metrics.get("training_missing")
        text = f"protocol {run.metrics['protocol']}, {_count(run, 'folds', 'fold')}, {_count(run, 'seeds', 'seed')}"
        if trained is not None:
            text += "; " + _TRAINING.get(trained, f"training_missing: {trained}")
        groups.setdefault((run.data, text), []).append(run.label)
    sources = [data for data, _ in groups]
    for (data, text), labels in groups.items():
        which = f" ({'; '.join(dict.fromkeys(labels))})" if sources.count(data) > 1 else ""
        notes.append(f"Ours on {data}: {text}{which}.")
    return [*notes, *source_notes(runs)]


def source_notes(runs: Sequence[RunResult]) -> list[str]:
    """What the features of faces come from, and bands that a rate could not hold, each set once."""
    notes = []
    for run in runs:
        used = set(run.metrics["modalities"].split("+"))
        if "FACE" in used and run.info.get("face"):
            notes.append(f"FACE on {run.data}: {run.info['face']}.")
        notes += [f"{run.data}, {note}" for note in run.info.get("bands") or () if note.partition(":")[0] in used]
    return list(dict.fromkeys(notes))


def two_classes(run: RunResult) -> bool:
    """Whether the run told high from low."""
    return class_count(run.metrics) == 2


def more_classes_note(runs: Sequence[RunResult], what: str) -> list[str]:
    """One note where some of *runs* have more than two classes and *what* (a clause) keeps them out."""
    left_out = [run.run for run in runs if (class_count(run.metrics) or 0) > 2]
    if not left_out:
        return []
    return [f"Left out, as {what}: runs of more than two classes ({', '.join(left_out)}; their scores are in "
            "the table of every run's scores)."]


def bound_notes(runs: Sequence[RunResult], table: int | None = None) -> list[str]:
    """``mse_bound_problem`` of every result, ours first, then the paper's rows of *table*."""
    notes = []
    for run in runs:
        scale = _scale(run.metrics)
        for dimension in ("", *DIMENSIONS):
            suffix = f"_{dimension}" if dimension else ""
            scores = [run.metrics.get(metric + suffix) for metric in ("ccc", "mae")]
            problem = mse_bound_problem(scores[0], scores[1], scale) if scale else None
            if problem:
                notes.append(f"Check failed, ours, {run.label} on {run.data}{' ' + dimension if dimension else ''}: "
                             f"{problem}.")
    return notes + (_paper_bound_notes(table, {run.metrics["set"] for run in runs}) if table else [])


def _paper_bound_notes(table: int, datasets: set[str]) -> list[str]:
    rows = paper_rows(table)
    rows = rows[rows["dataset"].isin(datasets & set(SCALES)) & rows["metric"].isin(["ccc", "mae"])]
    notes = []
    for key, group in rows.groupby(["dataset", "method", "modalities", "dimension"], sort=False):
        dataset, method, modalities, _ = map(str, key)
        scores = dict(zip(group["metric"], group["value"], strict=True))
        problem = mse_bound_problem(scores.get("ccc"), scores.get("mae"), SCALES[dataset])
        if problem:
            notes.append(f"Check failed, paper, {METHOD_LABELS[method]} {modalities} on {SET_LABELS[dataset]}: "
                         f"{problem}.")
    return notes


def meant_modalities(published: str, dataset: str) -> list[str]:
    """What the paper's name of a modality set stands for in a data set ("PPS", "ALL" depend on it)."""
    recorded = RECORDED.get(dataset, ())
    meant: list[str] = []
    for name in published.split("+"):
        if name == "PPS":
            meant += [modality for modality in recorded if modality != "EEG"]
        elif name == "ALL":
            meant += [*recorded, "FACE"]
        else:
            meant.append(name)
    return list(dict.fromkeys(meant))


def same_modalities(published: str, metrics: Mapping[str, Any]) -> bool:
    """Whether a run used what the paper's name stands for."""
    return set(meant_modalities(published, metrics["set"])) == set(metrics["modalities"].split("+"))


def _scale(metrics: Mapping[str, Any]) -> tuple[float, float] | None:
    """The rating scale: the run's own ``scale_low``/``scale_high``, else the data set's."""
    if metrics.get("scale_low") is not None and metrics.get("scale_high") is not None:
        return float(metrics["scale_low"]), float(metrics["scale_high"])
    return SCALES.get(metrics["set"])


def _count(run: RunResult, key: str, unit: str) -> str:
    count = run.metrics.get(key)
    return f"{count} {unit}{'' if count == 1 else 's'}"
