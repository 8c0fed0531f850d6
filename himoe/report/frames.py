"""The numbers behind the page's charts, as tidy frames; every one says which data it is from.

Frames hold one row per mark. A score is the mean over dimensions unless a column ``dimension`` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.params import ReportParams
from himoe.core.recordings import DIMENSIONS
from himoe.scoring.metrics import class_count
from himoe.scoring.paper import METHOD_LABELS, is_floor
from himoe.scoring.results import RunResult, figure_protocol, main_modality_set, plain_cost, select, sweep_curve

Results = Mapping[str, RunResult]
HEADLINE_METRIC = {"regression": "ccc", "classification": "accuracy"}
MEASURES = {"regression": {"CCC": "ccc", "within-trial CCC": "ccc_within"}, "classification": {"accuracy": "accuracy"}}
HELD_OUT = {"trial": "whole trials held out", "session": "days held out", "loso": "people held out",
            "stimulus": "clips held out", "sequential": "later trials held out",
            "leaky": "windows shuffled (leaky)"}
MAX_TRIALS = 24  # a page must stay small enough to mail
BINS = 10


def method_label(method: str) -> str:
    """A method's printed name; floors are named."""
    return METHOD_LABELS.get(method, method) + (" (floor)" if is_floor(method) else "")


def family(run: RunResult) -> str:
    """Runs of one family compare: data, what is held out, modalities, and the number of classes where not two."""
    classes = class_count(run.metrics)
    name = f"{run.data}, {HELD_OUT[run.metrics['protocol']]}, {run.metrics['modality_set']}"
    return f"{name}, {classes} classes" if (classes or 2) > 2 else name


def plain_runs(results: Results, task: str | None = None) -> list[RunResult]:
    """Runs that are scores of a method: no variant, no shuffled labels, no leaky split."""
    return [run for run in select(results, task=task, variant="") if run.metrics["protocol"] != "leaky"]


def _figure_set(results: Results, settings: ReportParams, method: str | None = None) -> list[RunResult]:
    """Plain regression runs of the figure set under the protocol that its figures show."""
    return select(results, set=settings.figure_set, protocol=figure_protocol(results, settings.figure_set),
                  task="regression", method=method, variant="")


def figure_runs(results: Results, settings: ReportParams) -> dict[str, RunResult]:
    """The runs most charts show, by method: the figure set's main comparison (``main_modality_set``)."""
    runs = _figure_set(results, settings)
    chosen = main_modality_set(runs)
    return {run.metrics["method"]: run for run in runs if run.metrics["modality_set"] == chosen}


def shown_runs(results: Results, settings: ReportParams) -> dict[str, RunResult]:
    """Hi-MoE and the two baselines of ``report.baselines``, as far as they were run."""
    runs = figure_runs(results, settings)
    return {method: runs[method] for method in ("himoe", *settings.baselines) if method in runs}


SCORE_COLUMNS = ["family", "measure", "method", "label", "score", "low", "high", "ceiling", "order", "run"]


def score_frame(results: Results, task: str) -> pd.DataFrame:
    """Every plain run's pooled score with its interval and ceiling, columns ``SCORE_COLUMNS``.

    ``order`` counts the runs of a family and measure: networks by falling score, then the floors likewise.
    """
    rows = [{"family": family(run), "measure": measure, **_names(run), "score": run.metrics.get(metric),
             "low": run.metrics.get(f"{metric}_low"), "high": run.metrics.get(f"{metric}_high"),
             "ceiling": run.attainable(metric), "floor": run.floor, "run": run.run}
            for measure, metric in MEASURES[task].items() for run in plain_runs(results, task)]
    frame = pd.DataFrame(rows, columns=[*SCORE_COLUMNS, "floor"]).dropna(subset=["score"])
    frame = frame.astype({"score": float, "low": float, "high": float, "ceiling": float})
    frame = frame.sort_values(["floor", "score"], ascending=[True, False], kind="stable")
    frame["order"] = frame.groupby(["family", "measure"]).cumcount()
    return frame.sort_index()[SCORE_COLUMNS].reset_index(drop=True)


def missing_frame(results: Results) -> pd.DataFrame:
    """Scores against missing rate: family, measure, method, label, rate, ccc, sd (over mask seeds), low, high.

    ``low`` and ``high`` are an SD below and above; ``ceiling`` is what is attainable with nothing missing.
    """
    parts = []
    for run in plain_runs(results, "regression"):
        sweep = run.part("sweep") if run.metrics["protocol"] == "trial" else pd.DataFrame()
        for measure, metric in MEASURES["regression"].items():
            if len(sweep) and (sweep["metric"] == metric).any():
                curve = sweep_curve(sweep, metric, "mean").dropna(subset=["mean"])
                curve = curve.rename(columns={"missing_rate": "rate", "mean": "ccc"})[["rate", "ccc", "sd"]]
                known = float(run.attainable(metric) or np.nan)
                parts.append(curve.assign(family=family(run), measure=measure, ceiling=known, **_names(run)))
    frame = _concat(parts, ["family", "measure", "method", "label", "rate", "ccc", "sd", "ceiling"])
    spread = frame["sd"].astype(float).fillna(0.0)
    return frame.assign(low=frame["ccc"] - spread, high=frame["ccc"] + spread, ceiling=frame["ceiling"].astype(float))


def trajectory_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """One row per window and dimension: trial, time_s, dimension, truth, and a column per method (its key).

    Predictions are means over seeds; ``time_s`` is the window's middle. At most ``MAX_TRIALS`` trials, evenly
    spaced in the order of person and trial.
    """
    keys = ["subject", "trial", "window", "start_s", "dimension"]
    parts: list[pd.Series] = []
    length_s = 0.0
    for method, run in shown_runs(results, settings).items():
        length_s = float(run.info["length_s"])
        by_window = run.part("predictions").groupby(keys)[["y_true", "y_pred"]].mean()
        parts += [by_window["y_true"].rename("truth")] if not parts else []
        parts.append(by_window["y_pred"].rename(method))
    if not parts:
        return pd.DataFrame(columns=["trial", "time_s", "dimension", "truth"])
    wide = pd.concat(parts, axis=1).reset_index()
    pairs = wide[["subject", "trial"]].drop_duplicates().sort_values(["subject", "trial"]).reset_index(drop=True)
    chosen = pairs.iloc[np.unique(np.linspace(0, len(pairs) - 1, min(MAX_TRIALS, len(pairs))).round().astype(int))]
    wide = wide.merge(chosen, on=["subject", "trial"]).sort_values(["subject", "trial", "dimension", "window"])
    wide["trial"] = "person " + wide["subject"] + ", trial " + wide["trial"]
    wide["start_s"] += length_s / 2
    return wide.drop(columns=["subject", "window"]).rename(columns={"start_s": "time_s"}).reset_index(drop=True)


def trajectory_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """The chart's text alternative: mean rating and each method's mean absolute error, per trial and dimension."""
    methods = [name for name in frame.columns if name not in ("trial", "time_s", "dimension", "truth")]
    errors = {f"MAE {method_label(name)}": (frame[name] - frame["truth"]).abs() for name in methods}
    table = frame[["trial", "dimension", "truth"]].assign(**errors)
    return table.groupby(["trial", "dimension"], sort=False).mean().reset_index().rename(
        columns={"truth": "mean true rating"})


def combination_label(bits: str, modalities: Sequence[str]) -> str:
    """``"101"`` of EEG, ECG, EDA is ``"EEG+EDA"``; of four or more, all and all but one are named so."""
    absent = [name for bit, name in zip(bits, modalities, strict=True) if bit != "1"]
    if not absent:
        return f"all {len(bits)}"
    if len(absent) == 1 and len(bits) > 3:
        return f"all but {absent[0]}"
    return "+".join(name for bit, name in zip(bits, modalities, strict=True) if bit == "1")


def routing_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """Hi-MoE's routing weights: view (fusion, or a modality's experts), combination, size, column, weight."""
    parts = []
    for run in _figure_set(results, settings, "himoe"):
        table = run.part("routing")
        fusion = table["expert"] == -1
        modalities = list(run.info["modalities"])
        view = np.where(fusion, "fusion weights", "experts of " + table["modality"].astype(str))
        column = np.where(fusion, table["modality"], "expert " + table["expert"].astype(str))
        parts.append(pd.DataFrame({
            "family": family(run), "view": view,
            "combination": [combination_label(bits, modalities) for bits in table["combination"]],
            "size": table["combination"].str.count("1"), "column": column, "weight": table["weight"]}))
    return _concat(parts, ["family", "view", "combination", "size", "column", "weight"])


def combination_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """CCC when only some modalities are there: family, method, label, combination, size, ccc."""
    parts = []
    for method in ("himoe", *settings.baselines):
        for run in _figure_set(results, settings, method):
            table = run.part("combinations")
            table = table[(table["metric"] == "ccc") & (table["dimension"] == "mean")]
            means = table.groupby("combination", sort=False)["value"].mean().dropna().reset_index()
            labels = [combination_label(bits, run.info["modalities"]) for bits in means["combination"]]
            parts.append(pd.DataFrame({"family": family(run), **_names(run), "combination": labels,
                                       "size": means["combination"].str.count("1"), "ccc": means["value"]}))
    return _concat(parts, ["family", "method", "label", "combination", "size", "ccc"])


def calibration_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """True against predicted rating, means in bins of equal counts: dimension, method, label, predicted, true, n."""
    parts = []
    for run in figure_runs(results, settings).values():
        rows = run.part("predictions")
        for dimension in ("all", *(d for d in DIMENSIONS if d in set(rows["dimension"]))):
            used = rows if dimension == "all" else rows[rows["dimension"] == dimension]
            parts.append(_bins(used).assign(dimension=dimension, **_names(run)))
    return _concat(parts, ["dimension", "method", "label", "predicted", "true", "n"])


def _bins(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.dropna(subset=["y_true", "y_pred"])
    if rows["y_pred"].min() < rows["y_pred"].max():
        group = pd.qcut(rows["y_pred"], BINS, labels=False, duplicates="drop")
    else:  # a constant has no quantiles
        group = pd.Series(0, index=rows.index)
    by_bin = rows.groupby(group)
    return pd.DataFrame({"predicted": by_bin["y_pred"].mean(), "true": by_bin["y_true"].mean(), "n": by_bin.size()})


def training_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """Mean loss by epoch over the fits still running: part, method, label, epoch, loss, fits."""
    parts = []
    for run in figure_runs(results, settings).values():
        history = run.part("history")
        if history["epoch"].nunique() < 2:  # fitted in one step
            continue
        by_epoch = history.groupby("epoch")
        for part, column in (("validation loss", "validation_loss"), ("training loss", "train_loss")):
            parts.append(pd.DataFrame({"part": part, "loss": by_epoch[column].mean(), "fits": by_epoch.size(),
                                       **_names(run)}).reset_index())
    return _concat(parts, ["part", "method", "label", "epoch", "loss", "fits"])


COST_MEASURES = {"multiply_adds": "multiply-adds per window", "parameters": "parameters",
                 "seconds_per_window": "microseconds per window (one CPU thread)"}


def cost_frame(results: Results, cost: pd.DataFrame, settings: ReportParams) -> pd.DataFrame:
    """CCC against what a method costs: measure, method, label, cost, ccc; only costs above 0 (log axis)."""
    rows: list[dict[str, Any]] = []
    cost = plain_cost(cost)
    for method, run in figure_runs(results, settings).items():
        found = cost[(cost["method"] == method) & (cost["set"] == run.metrics["set"])
                     & (cost["modality_set"] == run.metrics["modality_set"])]
        for column, measure in COST_MEASURES.items():
            for value in pd.to_numeric(found[column]).dropna():
                if value > 0 and run.metrics["ccc"] is not None:
                    shown = float(value) * (1e6 if column == "seconds_per_window" else 1.0)
                    rows.append({"measure": measure, **_names(run), "cost": shown, "ccc": run.metrics["ccc"]})
    return pd.DataFrame(rows, columns=["measure", "method", "label", "cost", "ccc"])


def leak_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """CCC by split: honest splits, the leaky one, and both with labels shuffled between trials."""
    runs = select(results, set=settings.figure_set, task="regression", variant="", shuffled=None)
    suspect = [run for run in runs if run.metrics["protocol"] == "leaky" or run.metrics["shuffled_labels"]]
    if not suspect:
        return pd.DataFrame(columns=["label", "kind", "ccc", "low", "high"])
    sets = {run.metrics["modality_set"] for run in suspect}
    honest = [run for run in runs if run not in suspect and run.metrics["modality_set"] in sets
              and run.metrics["method"] in ("himoe", "features_ridge", "features_gbdt", "mean")]
    rows = [{"label": _leak_label(run), "kind": _leak_kind(run), "ccc": run.metrics["ccc"],
             "low": run.metrics.get("ccc_low"), "high": run.metrics.get("ccc_high")} for run in [*honest, *suspect]]
    return pd.DataFrame(rows).dropna(subset=["ccc"]).reset_index(drop=True)


def _leak_label(run: RunResult) -> str:
    shuffled = ", labels shuffled" if run.metrics["shuffled_labels"] else ""
    return f"{method_label(run.metrics['method'])}: {HELD_OUT[run.metrics['protocol']]}{shuffled}"


def _leak_kind(run: RunResult) -> str:
    if run.metrics["shuffled_labels"]:
        return "labels shuffled between trials"
    return "leaky split" if run.metrics["protocol"] == "leaky" else "honest split"


def _names(run: RunResult) -> dict[str, str]:
    return {"method": run.metrics["method"], "label": method_label(run.metrics["method"])}


def _concat(parts: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    kept = [part for part in parts if len(part)]
    return pd.concat(kept, ignore_index=True)[columns] if kept else pd.DataFrame(columns=columns)
