"""Scoring a trained run: folds, missing rates, intervals, routing, trajectories.

Every test window is encoded once; masks are applied to its codes.
Legend: n windows, k tested windows, M modalities, D dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from himoe.errors import bad_input
from himoe.inference import EncodedFold, encode_fold, masked_present
from himoe.masks import evaluation_draws
from himoe.metrics import METRICS, TASK_METRICS, bootstrap_interval
from himoe.params import BootstrapParams, MissingParams, RunConfig
from himoe.rundata import FoldTask, RunData, run_tasks
from himoe.workers import map_forked

MAX_COMBINATIONS = 64  # of modalities, in the routing table: all of them up to six modalities
TRAJECTORY_TRIALS = 3
SWEEP_COLUMNS = ["run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric", "value"]


@dataclass(frozen=True)
class Evaluation:
    """What the evaluate stage writes for a run."""

    sweep: pd.DataFrame
    predictions: pd.DataFrame
    routing: pd.DataFrame
    trajectories: pd.DataFrame


def evaluate_run(config: RunConfig, data: RunData, weights: Path, missing: MissingParams, rate: float,
                 jobs: int = 1) -> Evaluation:
    """Score a run at every missing rate and mask seed, and keep its predictions at *rate*.

    *weights* is the run's folder. With matched training rates, each rate is scored with its own model.
    """
    rates = sorted({*missing.rates, rate})
    draws = {seed: evaluation_draws(data.store.index, config.run.modalities, seed) for seed in missing.mask_seeds}
    shared = (config, data, weights, rates, draws, rate)
    parts = list(map_forked(_evaluate_task, shared, run_tasks(config, data.folds), jobs))
    kept = [frame for part in parts for frame in part[1]]
    if not kept:
        raise bad_input("missing_rate", rate, f"one of the trained rates {config.rates}",
                        "add it to missing.rates or train with training.missing: sampled")
    predictions = pd.concat(kept, ignore_index=True)
    return Evaluation(pd.DataFrame([row for part in parts for row in part[0]], columns=SWEEP_COLUMNS), predictions,
                      _mean_routing([table for part in parts for table in part[2]]),
                      trajectories(predictions, data.store.meta.length_s))


def _evaluate_task(shared: tuple[Any, ...], task: FoldTask) -> tuple[list[Any], list[pd.DataFrame], list[pd.DataFrame]]:
    """One fold and seed: sweep rows, predictions at the rate asked for, routing."""
    config, data, weights, rates, draws, rate = shared
    encoded = encode_fold(config, data, task, weights / task.name / "weights.safetensors")
    sweep, predictions = [], []
    for own_rate in [task.rate] if task.rate is not None else rates:
        for seed, draw in draws.items():
            rows, predicted = encoded.predict(masked_present(data, draw, own_rate))
            sweep += score_rows(config, data, task, own_rate, seed, rows, predicted)
            if own_rate == rate:
                predictions.append(_frame(data, task, seed, rows, predicted))
            if own_rate == 0:
                break  # nothing is masked: every seed gives the same
    routing = [routing_table(config, data, encoded)] if task.rate in (None, 0.0) else []
    return sweep, predictions, routing


def score_rows(config: RunConfig, data: RunData, task: FoldTask, rate: float, mask_seed: int, rows: np.ndarray,
               predicted: np.ndarray) -> list[tuple[Any, ...]]:
    """Sweep rows of one fold under one mask: every metric, each dimension and their mean."""
    scored = []
    for metric in TASK_METRICS[config.run.task]:
        values = [METRICS[metric](data.labels[rows, d], predicted[:, d]) for d in range(len(data.task.dimensions))]
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
        for dimension, value in zip((*data.task.dimensions, "mean"), (*values, mean), strict=True):
            scored.append((config.name, rate, mask_seed, task.seed, task.fold, dimension, metric, value))
    return scored


def _frame(data: RunData, task: FoldTask, mask_seed: int, rows: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    dimensions = data.task.dimensions
    index = data.store.index.iloc[np.repeat(rows, len(dimensions))]
    return index[["subject", "trial", "window", "start_s"]].reset_index(drop=True).assign(
        fold=task.fold, seed=task.seed, mask_seed=mask_seed,
        dimension=np.tile(np.array(dimensions, dtype=object), len(rows)),
        y_true=data.labels[rows].reshape(-1), y_pred=predicted.reshape(-1))


def summary(config: RunConfig, evaluation: Evaluation, rate: float, bootstrap: BootstrapParams) -> dict[str, Any]:
    """The flat metrics of a run at *rate*: mean and SD over folds (and seeds), 95 % intervals over trials."""
    part = evaluation.sweep[evaluation.sweep["missing_rate"] == rate]
    flat: dict[str, Any] = {}
    for metric in TASK_METRICS[config.run.task]:
        rows = part[part["metric"] == metric]
        by_fold = rows.groupby(["dimension", "seed", "fold"])["value"].mean()
        mean = by_fold.groupby("dimension").mean()
        flat[metric] = _number(mean["mean"])
        flat[f"{metric}_sd"] = _number(by_fold["mean"].std(ddof=1) if len(by_fold["mean"]) > 1 else np.nan)
        low, high = pooled_interval(evaluation.predictions, metric, bootstrap)
        flat[f"{metric}_pooled"] = _number(pooled(evaluation.predictions, METRICS[metric]))
        flat[f"{metric}_low"], flat[f"{metric}_high"] = _number(low), _number(high)
        for dimension in sorted(set(mean.index) - {"mean"}):
            flat[f"{metric}_{dimension}"] = _number(mean[dimension])
    return flat


def pooled(predictions: pd.DataFrame, score: Any) -> float:
    """A metric over all test windows pooled, averaged over dimensions and seeds."""
    values = [score(g["y_true"].to_numpy(), g["y_pred"].to_numpy())
              for _, g in predictions.groupby(["dimension", "seed", "mask_seed"])]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def pooled_interval(predictions: pd.DataFrame, metric: str, bootstrap: BootstrapParams) -> tuple[float, float]:
    """Interval of the pooled metric (mean over dimensions) by resampling trials; the first seeds' predictions."""
    first = predictions[(predictions["seed"] == predictions["seed"].min())
                        & (predictions["mask_seed"] == predictions["mask_seed"].min())]
    keys = ["subject", "trial", "window"]
    wide = first.pivot_table(index=keys, columns="dimension", values=["y_true", "y_pred"], dropna=False, sort=True)
    trials = np.array([f"{subject}/{trial}" for subject, trial, _ in wide.index])
    interval = bootstrap_interval(wide["y_true"].to_numpy(), wide["y_pred"].to_numpy(), trials, metric,
                                  bootstrap.draws, bootstrap.level, bootstrap.seed)
    return interval.low, interval.high


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def combinations(modalities: Sequence[str]) -> list[tuple[bool, ...]]:
    """All non-empty subsets of up to six modalities; of more: all of them, all but one, single ones."""
    m = len(modalities)
    everything = [bits for bits in itertools.product((True, False), repeat=m) if any(bits)]
    if len(everything) <= MAX_COMBINATIONS:
        return everything
    return [bits for bits in everything if sum(bits) in (m, m - 1, 1)]


@torch.no_grad()
def routing_table(config: RunConfig, data: RunData, encoded: EncodedFold) -> pd.DataFrame:
    """Mean gate (Eq. 2) and fusion (Eq. 4) weights of a fold's test windows by modality combination.

    Only windows where the run's modalities are all there count. Empty for methods without routing.
    """
    rows: list[tuple[Any, ...]] = []
    names = config.run.modalities
    for bits in combinations(names):
        gates, fusions = [], []
        for batch, code in encoded.batches:
            complete = batch.present.all(-1)
            output = encoded.method.decode(code, batch.with_present(torch.tensor(bits).expand_as(batch.present)))
            if "modality_gates" not in output.diagnostics or not complete.any():
                continue
            gates.append(output.diagnostics["modality_gates"][complete])
            fusions.append(output.diagnostics["fusion_weights"][complete])
        if not gates:
            continue
        gate, fusion = torch.cat(gates).mean(0).numpy(), torch.cat(fusions).mean(0).numpy()
        text = "".join("1" if bit else "0" for bit in bits)
        for m, modality in enumerate(names):
            rows.append((config.name, text, modality, -1, float(fusion[m])))
            rows += [(config.name, text, modality, k, float(w)) for k, w in enumerate(gate[m])]
    return pd.DataFrame(rows, columns=["run", "combination", "modality", "expert", "weight"])


def _mean_routing(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    every = pd.concat(list(tables), ignore_index=True)
    keys = ["run", "combination", "modality", "expert"]
    return every.groupby(keys, sort=False)["weight"].mean().reset_index()


def trajectories(predictions: pd.DataFrame, length_s: float) -> pd.DataFrame:
    """Truth and prediction over time for a few test trials, with the range over seeds.

    The trials are those whose labels move most within the trial (mean SD over dimensions; ties by name),
    chosen without a look at the predictions; at most one a subject.
    """
    by_trial = predictions.groupby(["subject", "trial", "dimension"])["y_true"].std().groupby(
        ["subject", "trial"]).mean().round(9).reset_index()
    ordered = by_trial.sort_values(["y_true", "subject", "trial"], ascending=[False, True, True])
    chosen = ordered.drop_duplicates("subject").head(TRAJECTORY_TRIALS)[["subject", "trial"]]
    part = predictions.merge(chosen, on=["subject", "trial"])
    keys = ["subject", "trial", "window", "start_s", "dimension"]
    grouped = part.groupby(keys, as_index=False).agg(
        y_true=("y_true", "mean"), y_low=("y_pred", "min"), y_high=("y_pred", "max"), y_pred=("y_pred", "mean"))
    grouped["time_s"] = grouped["start_s"] + length_s / 2
    return grouped[["subject", "trial", "window", "time_s", "dimension", "y_true", "y_pred", "y_low", "y_high"]]


def run_metrics(config: RunConfig, data: RunData, description: Mapping[str, Any], evaluation: Evaluation,
                rate: float, bootstrap: BootstrapParams, label: str) -> dict[str, Any]:
    """``metrics/<run>.json``: what was run on which data, and its scores."""
    predictions = evaluation.predictions
    return {
        "run": config.name, "method": config.run.method, "set": config.run.set, "protocol": config.run.protocol,
        "task": config.run.task, "modalities": "+".join(config.run.modalities), "data": label,
        "simulated": bool(description["simulated"]), "label_source": description["label_source"],
        "shuffled_labels": config.run.shuffle_labels, "missing_rate": rate,
        "training_missing": config.training.missing, "folds": int(data.folds["fold"].nunique()),
        "seeds": int(predictions["seed"].nunique()),
        "scale_low": data.task.scale[0], "scale_high": data.task.scale[1],
        "n_windows": len(predictions.drop_duplicates(["subject", "trial", "window"])),
        "n_trials": len(predictions.drop_duplicates(["subject", "trial"])),
        **summary(config, evaluation, rate, bootstrap),
    }
