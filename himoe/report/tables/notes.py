"""What stands under a table: the front ends of its runs, and numbers that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from himoe.core.recordings import DIMENSIONS
from himoe.report.tables.table import MAX_NOTES
from himoe.scoring.metrics import class_count, mse_bound_problem
from himoe.scoring.paper import METHOD_LABELS, RECORDED, SCALES, SET_LABELS, is_floor, paper_rows
from himoe.scoring.results import EEG_LABELS, SIGNAL_LABELS, RunResult

# What RunParams.normalise means for people held out.
SCALED_BY = {"person": "the mean and SD of their own windows, so the tested windows (not their ratings) are used",
             "training": "the mean and SD of everybody's training windows"}


def stands_for_a_paper(method: str) -> bool:
    """Whether a method is our implementation of a cited paper's."""
    return method != "himoe" and not is_floor(method)


def table_notes(runs: Sequence[RunResult], *own: str, checked: int | None = None) -> tuple[str, ...]:
    """What stands under a table: its *own* sentences, how people held out were scaled, front ends, checks that failed.

    *checked*: the paper's table whose rows are checked too. At most ``MAX_NOTES`` lines: the last takes the rest.
    """
    notes = [note for note in (*own, people_note(runs), front_note(runs), *bound_notes(runs, checked)) if note]
    return tuple([*notes[:MAX_NOTES - 1], " ".join(notes[MAX_NOTES - 1:])] if len(notes) > MAX_NOTES else notes)


def people_note(runs: Sequence[RunResult]) -> str:
    """By what the signals of people held out were scaled, run by run where it differs; empty where none are."""
    labels: dict[str, list[str]] = {}
    for run in runs:
        if run.metrics["protocol"] == "loso" and run.info.get("normalise") in SCALED_BY:
            labels.setdefault(run.info["normalise"], []).append(run.label)
    first, *others = sorted(labels, key=lambda policy: -len(labels[policy])) or [""]
    rest = (f"; in {', '.join(dict.fromkeys(labels[policy]))} by {SCALED_BY[policy]}" for policy in others)
    return f"Signals of people held out are scaled by {SCALED_BY[first]}{''.join(rest)}." if first else ""


def front_note(runs: Sequence[RunResult]) -> str:
    """The front ends of the networks among *runs*, a rarer one with the methods that have it; empty without any."""
    networks = [run for run in runs if not run.floor]
    parts = [_front("EEG", [(EEG_LABELS, run.metrics.get("eeg_encoder"), run.label) for run in networks]),
             _front("other signals", [(SIGNAL_LABELS, run.metrics.get("signal_encoder"), run.label)
                                      for run in networks])]
    faces = dict.fromkeys(", ".join(str(run.info["face"]).split(", ")[:2]) for run in networks
                          if "FACE" in run.metrics["modalities"].split("+") and run.info.get("face"))
    text = "; ".join([*(part for part in parts if part), *(f"FACE: {face}" for face in faces)])
    return text[:1].upper() + text[1:] + "." if text else ""


def _front(what: str, found: Sequence[tuple[Mapping[str, str], str | None, str]]) -> str:
    """``"EEG: log band powers; EEGNet in Hi-MoE with EEGNet"``, the commonest first."""
    labels: dict[str, list[str]] = {}
    for names, key, label in found:
        if key is not None:
            labels.setdefault(names.get(key, key), []).append(label)
    if not labels:
        return ""
    first, *others = sorted(labels, key=lambda name: -len(labels[name]))
    rest = (f", {name} in {', '.join(dict.fromkeys(labels[name]))}" for name in others)
    return f"{what}: {first}{''.join(rest)}"


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
    """One sentence with every result whose CCC and MAE cannot both be true, ours first, then the paper's *table*."""
    failed = []
    for run in runs:
        scale = _scale(run.metrics)
        for dimension in ("", *DIMENSIONS):
            suffix = f"_{dimension}" if dimension else ""
            scores = [run.metrics.get(metric + suffix) for metric in ("ccc", "mae")]
            if scale and mse_bound_problem(scores[0], scores[1], scale):
                failed.append(f"ours, {run.label} on {run.data}{' ' + dimension if dimension else ''}"
                              f" (CCC {scores[0]:.4f}, MAE {scores[1]:.4f})")
    failed += _paper_failures(table, {run.metrics["set"] for run in runs}) if table else []
    return [f"Check failed, CCC and MAE cannot both be true on the scale: {'; '.join(failed)}."] if failed else []


def _paper_failures(table: int, datasets: set[str]) -> list[str]:
    rows = paper_rows(table)
    rows = rows[rows["dataset"].isin(datasets & set(SCALES)) & rows["metric"].isin(["ccc", "mae"])]
    failed = []
    for key, group in rows.groupby(["dataset", "method", "modalities", "dimension"], sort=False):
        dataset, method, modalities, _ = map(str, key)
        scores = dict(zip(group["metric"], group["value"], strict=True))
        if mse_bound_problem(scores.get("ccc"), scores.get("mae"), SCALES[dataset]):
            failed.append(f"paper, {METHOD_LABELS[method]} {modalities} on {SET_LABELS[dataset]} "
                          f"(CCC {scores['ccc']:.4f}, MAE {scores['mae']:.4f})")
    return failed


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

