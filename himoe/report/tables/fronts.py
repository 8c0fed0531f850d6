"""Tables of front ends: EEG encoders in one network after another, and every modality alone against its features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from himoe.report.tables.rows import (
    METRIC_LABELS,
    Inputs,
    attainable_rows,
    by_modalities,
    method_name,
    number,
    ours,
    run_label,
    set_label,
)
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.results import EEG_LABELS, SIGNAL_LABELS, RunResult, measured_on, provenance, select

FRONT = "front_"  # variants of a run that change the EEG front end alone
FLOORS = ("features_ridge", "features_gbdt")  # what a modality's network is held against
MOST_BEHIND = 0.03
_SCORES = ("ccc", "ccc_within", "accuracy")


def front_ends(inputs: Inputs) -> Table | None:
    """EEG front end by method and data set, whole trials held out: the variants ``front_*`` and the runs they vary."""
    honest = select(inputs.results, protocol="trial")
    varied = [run for run in honest if run.metrics["variant"].startswith(FRONT)]
    places = {_place(run) for run in varied}
    taken = {(*_place(run), run.metrics.get("eeg_encoder")) for run in varied}  # with the seeds of the other variants
    plain = [run for run in select(honest, variant="") if _place(run) in places
             and (*_place(run), run.metrics.get("eeg_encoder")) not in taken]
    runs = [run for run in [*plain, *varied] if run.metrics.get("eeg_encoder")]
    if not varied:
        return None
    shown = [metric for metric in _SCORES if any(metric in run.metrics for run in runs)]
    timed = any(seconds_per_step(inputs.cost, run) for run in runs)
    measured = measured_on(inputs.cost[inputs.cost["seconds_per_step"].notna()]) if timed else ""
    columns = ("Set", "Method", "Modalities", "Our data", "EEG front end", *(METRIC_LABELS[m] for m in shown),
               "Parameters", *(["Seconds per step"] if timed else []))
    lines: list[tuple[Cell, ...]] = []
    order = list(dict.fromkeys([*EEG_LABELS, *(run.metrics["eeg_encoder"] for run in runs)]))
    for place in dict.fromkeys(_place(run) for run in runs):
        group = [run for run in runs if _place(run) == place]
        for run in sorted(group, key=lambda run: order.index(run.metrics["eeg_encoder"])):
            name = method_name(str(run.metrics["method"])) + (f", {run.not_converged}" if run.not_converged else "")
            scores = (ours(run, metric) if metric in run.metrics else None for metric in shown)
            lines.append((set_label(run.metrics["set"]), name, run.metrics["modality_set"], run.data,
                          eeg_label(run.metrics["eeg_encoder"]), *scores, run.metrics.get("parameters"),
                          *([seconds_per_step(inputs.cost, run)] if timed else [])))
    for dataset in dict.fromkeys(run.metrics["set"] for run in runs):
        lines += attainable_rows(columns, by_modalities([run for run in runs if run.metrics["set"] == dataset]))
    return Table("front_ends", f"EEG front ends: {provenance(runs)}", columns, tuple(lines),
                 ("Other signals, training and folds are the same in all rows of a data set.",
                  *([f"Seconds per step: one forward and backward pass of a training batch on one CPU thread, "
                     f"{measured}."] if timed else [])))


def seconds_per_step(cost: pd.DataFrame, run: RunResult) -> float | None:
    """The measured time of a training step with the run's method, data and EEG front end; None where not measured."""
    rows = cost[cost["seconds_per_step"].notna()]
    for key in ("method", "set", "modality_set", "eeg_encoder"):
        rows = rows[rows[key] == run.metrics[key]]
    return None if rows.empty else number(float(rows["seconds_per_step"].iloc[0]))


def encoders(inputs: Inputs) -> Table | None:
    """One modality at a time: networks with their encoder against ridge and trees on the same modality's features."""
    runs = [run for run in select(inputs.results, task="regression")
            if "+" not in run.metrics["modalities"] and run.metrics["protocol"] != "leaky"]
    networks = [run for run in runs if not run.floor]
    if not networks:
        return None
    columns = ("Set", "Protocol", "Modalities", "Our data", "Method", "Encoder", "CCC", "Within-trial CCC",
               *(f"CCC, {method_name(method)}" for method in FLOORS), "Network minus the better one",
               f"More than {MOST_BEHIND} behind")
    lines: list[tuple[Cell, ...]] = []
    for run in networks:
        floors = [_floor(runs, run, method) for method in FLOORS]
        behind = _behind(run, floors)
        lines.append((set_label(run.metrics["set"]), run.metrics["protocol"], run.metrics["modalities"], run.data,
                      run_label(run), encoder_label(run.metrics), ours(run, "ccc"), ours(run, "ccc_within"),
                      *(ours(floor, "ccc") if floor else None for floor in floors),
                      None if behind is None else Ours(behind),
                      None if behind is None else "yes" if behind < -MOST_BEHIND else "no"))
    for dataset in dict.fromkeys(run.metrics["set"] for run in networks):
        group = [run for run in networks if run.metrics["set"] == dataset]
        lines += attainable_rows(columns, by_modalities(group))
    return Table("encoders", f"Encoders, one modality at a time: {provenance(networks)}", columns, tuple(lines),
                 ("The features are those of `himoe.prepare.features`, the same windows and folds.",
                  "An encoder of raw signals (EEGNet, learned filters, CNN) has to find in a fold's training windows "
                  "what features and band powers are made of; that is the likely reason where it is behind."))


def encoder_label(metrics: Mapping[str, Any]) -> str | None:
    """The encoder of a run with one modality, in words; None for FACE, which has one of its own."""
    if metrics["modalities"] == "EEG":
        return eeg_label(metrics.get("eeg_encoder"))
    return SIGNAL_LABELS.get(metrics.get("signal_encoder") or "", metrics.get("signal_encoder"))


def eeg_label(name: str | None) -> str | None:
    """An EEG front end in words; one that another package brings keeps its name."""
    return EEG_LABELS.get(name or "", name)


def _floor(runs: Sequence[RunResult], run: RunResult, method: str) -> RunResult | None:
    """The plain run of *method* on the same data, split and modality."""
    same = {key: run.metrics[key] for key in ("set", "protocol", "task")}
    found = [one for one in select(runs, method=method, variant="", **same)
             if one.metrics["modalities"] == run.metrics["modalities"]]
    return found[0] if found else None


def _behind(run: RunResult, floors: Sequence[RunResult | None]) -> float | None:
    scores = [floor.metrics["ccc"] for floor in floors if floor and floor.metrics["ccc"] is not None]
    mine = run.metrics["ccc"]
    return None if mine is None or not scores or math.isnan(mine) else float(mine) - max(scores)


def _place(run: RunResult) -> tuple[str, ...]:
    return tuple(str(run.metrics[key]) for key in ("set", "task", "modality_set", "method"))
