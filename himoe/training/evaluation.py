"""Scoring a fitted model on its test fold: missing rates, modality combinations, routing.

Every test window is encoded once; masks are applied to its codes.
Legend: n windows, k tested windows, M modalities, D dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.params import MissingParams, RunConfig
from himoe.models.encoders.action_units import AU_NAMES
from himoe.prepare.masks import evaluation_draws
from himoe.scoring.metrics import METRICS, task_metrics
from himoe.training.conformal import bounds
from himoe.training.inference import EncodedFold, masked_present, prediction_frame
from himoe.training.rundata import FoldTask, RunData

MAX_COMBINATIONS = 64  # of modalities: all of them up to six modalities
SWEEP_COLUMNS = ["run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric", "value"]
COMBINATION_COLUMNS = ["run", "seed", "fold", "combination", "dimension", "metric", "value"]
ROUTING_COLUMNS = ["run", "combination", "modality", "expert", "weight"]
Intervals = Mapping[str, Sequence[float]]
ACTION_UNIT_COLUMNS = ["run", "seed", "fold", "subject", "trial", "window", "action_unit", "activation"]


@dataclass(frozen=True)
class Scores:
    """Tables of one model, or of a whole run (:func:`join`); columns as the constants above say.

    ``predictions_missing`` are those at the highest swept rate under the first mask seed; no rows where that is 0.
    """

    predictions: pd.DataFrame
    predictions_missing: pd.DataFrame
    sweep: pd.DataFrame
    combinations: pd.DataFrame
    routing: pd.DataFrame
    action_units: pd.DataFrame


def score_task(config: RunConfig, data: RunData, task: FoldTask, encoded: EncodedFold, missing: MissingParams,
               rate: float = 0.0, intervals: Intervals | None = None) -> Scores:
    """Score one model at every missing rate and mask seed, and by combination; keep its predictions at *rate*
    and at the highest swept rate.

    A model trained for one rate (``task.rate``) is scored at that rate alone. *intervals* are the model's
    (:class:`himoe.training.description.Description`): their coverage and width are scored, too.
    """
    rates = sorted({*missing.rates, rate}) if task.rate is None else [task.rate]
    sweep, kept = sweep_table(config, data, task, encoded, rates, missing.mask_seeds, {rate, highest_rate(missing)},
                              intervals or {})
    whole = task.rate in (None, 0.0)
    combined, routing = combination_tables(config, data, task, encoded) if whole else ([], [])
    return Scores(pd.concat(kept[rate], ignore_index=True) if rate in kept else pd.DataFrame(),
                  kept.get(highest_rate(missing), [pd.DataFrame()])[0] if highest_rate(missing) else pd.DataFrame(),
                  pd.DataFrame(sweep, columns=SWEEP_COLUMNS), pd.DataFrame(combined, columns=COMBINATION_COLUMNS),
                  pd.DataFrame(routing, columns=ROUTING_COLUMNS), action_unit_table(config, data, task, encoded))


def highest_rate(missing: MissingParams) -> float:
    """The highest swept missing rate, 0 where nothing is swept."""
    return max(missing.rates, default=0.0)


def sweep_table(config: RunConfig, data: RunData, task: FoldTask, encoded: EncodedFold, rates: Sequence[float],
                mask_seeds: Sequence[int], keep: Collection[float], intervals: Intervals
                ) -> tuple[list[tuple[Any, ...]], dict[float, list[pd.DataFrame]]]:
    """Rows of the sweep, and the predictions at the rates *keep* (one frame per mask seed)."""
    rows, trials = encoded.rows, trial_codes(data)[encoded.rows]
    sweep: list[tuple[Any, ...]] = []
    kept: dict[float, list[pd.DataFrame]] = {}
    draws = {seed: evaluation_draws(data.store.index, config.run.modalities, seed) for seed in mask_seeds}
    for rate in rates:
        drawn = draws if rate > 0 else {mask_seeds[0]: draws[mask_seeds[0]]}  # at 0 nothing is masked: all are equal
        for seed, draw in drawn.items():
            kept_sensors = masked_present(data, draw, rate)
            predicted = encoded.predict(kept_sensors)
            sweep += [(config.name, rate, seed, task.seed, task.fold, *score)
                      for score in (*scores_of(config, data, rows, predicted, trials),
                                    *interval_scores(data, rows, predicted, kept_sensors, intervals))]
            if rate in keep:
                kept.setdefault(rate, []).append(
                    prediction_frame(config, data, task, rate, rows, predicted).assign(mask_seed=seed))
    return sweep, kept


def trial_codes(data: RunData) -> np.ndarray:
    """(n,) the trial of each window as a number."""
    return data.store.index.groupby(["subject", "trial"], sort=False).ngroup().to_numpy()


def scores_of(config: RunConfig, data: RunData, rows: np.ndarray, predicted: np.ndarray,
              trials: np.ndarray) -> list[tuple[Any, ...]]:
    """(dimension, metric, value) of predictions (k, D): every metric, each dimension and their mean; trials (k,)."""
    scored: list[tuple[Any, ...]] = []
    for metric in task_metrics(config.run.task, data.task.classes):
        values = [METRICS[metric](data.labels[rows, d], predicted[:, d], trials)
                  for d in range(len(data.task.dimensions))]
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
        scored += [(dimension, metric, value) for dimension, value in
                   zip((*data.task.dimensions, "mean"), (*values, mean), strict=True)]
    return scored


def interval_scores(data: RunData, rows: np.ndarray, predicted: np.ndarray, present: np.ndarray,
                    intervals: Intervals) -> list[tuple[str, str, float]]:
    """(dimension, metric, value): share of labelled windows inside their interval, and its mean width."""
    scored = []
    absent = (~present[rows]).sum(1)
    for d, name in enumerate(data.task.dimensions):
        truth = data.labels[rows, d]
        known = np.isfinite(truth)
        if name in intervals and known.any():
            low, high = bounds(predicted[known, d], absent[known], intervals[name], data.task.scale)
            inside = (truth[known] >= low) & (truth[known] <= high)
            scored.append((name, "coverage", float(inside.mean())))
            scored.append((name, "width", float((high - low).mean())))
    for metric in ("coverage", "width") if scored else ():
        scored.append(("mean", metric, float(np.mean([value for _, one, value in scored if one == metric]))))
    return scored


def combinations(modalities: Sequence[str]) -> list[tuple[bool, ...]]:
    """All non-empty subsets of up to six modalities; of more: all of them, all but one, single ones."""
    m = len(modalities)
    everything = [bits for bits in itertools.product((True, False), repeat=m) if any(bits)]
    if len(everything) <= MAX_COMBINATIONS:
        return everything
    return [bits for bits in everything if sum(bits) in (m, m - 1, 1)]


def combination_tables(config: RunConfig, data: RunData, task: FoldTask,
                       encoded: EncodedFold) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Scores and mean routing weights of a fold's test windows by modality combination.

    Only windows where the run's modalities are all there count. Methods that look at no signal have neither;
    those without gates and fusion weights (Eq. 2, 4) have no routing.
    """
    rows = encoded.rows
    complete = data.present[rows].all(1)
    trials = trial_codes(data)[rows[complete]]
    scores: list[tuple[Any, ...]] = []
    routing: list[tuple[Any, ...]] = []
    if not complete.any() or not encoded.method.looks:
        return scores, routing
    for bits in combinations(config.run.modalities):
        text = "".join("1" if bit else "0" for bit in bits)
        outputs = encoded.outputs(data.present & np.array(bits))
        predicted = encoded.flatten(outputs)
        scores += [(config.name, task.seed, task.fold, text, *score)
                   for score in scores_of(config, data, rows[complete], predicted[complete], trials)]
        if "modality_gates" in outputs[0].diagnostics:
            routing += _routing_rows(config, encoded, outputs, complete, text)
    return scores, routing


def action_unit_table(config: RunConfig, data: RunData, task: FoldTask, encoded: EncodedFold) -> pd.DataFrame:
    """Mean activation of every action unit in every test window that shows a face; no rows without FACE.

    What an activation means: :class:`himoe.models.encoders.face.FaceEncoder`.
    """
    if "action_units" not in encoded.inside or task.rate not in (None, 0.0):
        return pd.DataFrame(columns=ACTION_UNIT_COLUMNS)
    values = encoded.inside["action_units"]
    seen = np.isfinite(values).all(1)
    ids = data.store.index.iloc[encoded.rows[seen]][["subject", "trial", "window"]].reset_index(drop=True)
    wide = pd.DataFrame(values[seen], columns=list(AU_NAMES))
    frame = pd.concat([ids.assign(run=config.name, seed=task.seed, fold=task.fold), wide], axis=1)
    return frame.melt(ACTION_UNIT_COLUMNS[:-2], var_name="action_unit", value_name="activation")[ACTION_UNIT_COLUMNS]


def _routing_rows(config: RunConfig, encoded: EncodedFold, outputs: Sequence[Any], complete: np.ndarray,
                  text: str) -> list[tuple[Any, ...]]:
    """Mean fusion weight (expert −1) and gates of each modality under one combination."""
    def mean(name: str) -> np.ndarray:
        parts = [output.diagnostics[name].flatten(0, 1).numpy()[place.reshape(-1) >= 0]
                 for output, place in zip(outputs, encoded.places, strict=True)]
        return np.concatenate(parts)[complete].mean(0)

    gates, fusion = mean("modality_gates"), mean("fusion_weights")
    rows: list[tuple[Any, ...]] = []
    for m, modality in enumerate(config.run.modalities):
        rows.append((config.name, text, modality, -1, float(fusion[m])))
        rows += [(config.name, text, modality, k, float(w)) for k, w in enumerate(gates[m])]
    return rows


def join(parts: Iterable[Scores]) -> Scores:
    """The tables of a whole run: rows one after another; routing weights averaged over its models."""
    found = list(parts)
    tables = {field.name: pd.concat([frame for part in found if len(frame := getattr(part, field.name))]
                                    or [getattr(found[0], field.name)], ignore_index=True)
              for field in fields(Scores)}
    routing = tables["routing"].groupby(ROUTING_COLUMNS[:-1], sort=False)["weight"].mean().reset_index()
    return Scores(**{**tables, "routing": routing})
