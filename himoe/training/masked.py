"""What a fitted model says of its test fold under every mask: missing rates, modality combinations, routing.

Every test window is encoded once; masks are applied to its codes. Nothing is scored here: that is
:mod:`himoe.scoring.sweep`, which needs no model, so that a change there trains nothing again.

Legend: n windows, k tested windows, M modalities, D dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.params import MissingParams, RunConfig
from himoe.models.encoders.action_units import AU_NAMES
from himoe.prepare.masks import evaluation_draws
from himoe.training.conformal import widths_of
from himoe.training.inference import EncodedFold, masked_present, prediction_frame
from himoe.training.rundata import FoldTask, RunData

MAX_COMBINATIONS = 64  # of modalities: all of them up to six modalities
MASKED_COLUMNS = ["fold", "seed", "missing_rate", "mask_seed", "combination", "predicted", "half_width"]
ROUTING_COLUMNS = ["run", "combination", "modality", "expert", "weight"]
ACTION_UNIT_COLUMNS = ["run", "seed", "fold", "subject", "trial", "window", "action_unit", "activation"]
Intervals = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Said:
    """Tables of one model, or of a whole run (:func:`join`); columns as the constants above say.

    - ``tested``: one row per tested window and fold, with its labels, and whether it has all of the run's modalities
      (``complete``), in the order of the lists in ``masked``.
    - ``masked``: one row per model and mask; ``predicted`` (k·D float32) and ``half_width`` (k·D, of the intervals;
      None without) list the fold's windows, dimension by dimension within a window. A mask is a missing rate with its
      seed, or a combination: a 1 for each modality that is left (rate 0 and seed 0 then).
    - ``predictions`` at one rate; ``predictions_missing`` at the highest swept one under the first mask seed, no rows
      where that is 0. Both long: one row per window and dimension.
    """

    predictions: pd.DataFrame
    predictions_missing: pd.DataFrame
    tested: pd.DataFrame
    masked: pd.DataFrame
    routing: pd.DataFrame
    action_units: pd.DataFrame


def predict_task(config: RunConfig, data: RunData, task: FoldTask, encoded: EncodedFold, missing: MissingParams,
                 rate: float = 0.0, intervals: Intervals | None = None) -> Said:
    """One model under every missing rate and mask seed, and every combination; long tables at *rate* and the highest.

    A model trained for one rate (``task.rate``) is asked at that rate alone. *intervals* are the model's
    (:class:`himoe.training.description.Description`).
    """
    rates = sorted({*missing.rates, rate}) if task.rate is None else [task.rate]
    rows: list[tuple[Any, ...]] = []
    kept: dict[float, list[pd.DataFrame]] = {}
    for one, mask_seed, present in rate_masks(config, data, rates, missing.mask_seeds):
        predicted = encoded.predict(present)
        rows.append((task.fold, task.seed, one, mask_seed, "", flat(predicted),
                     half_widths_of(data, encoded.rows, present, intervals or {})))
        if one in (rate, highest_rate(missing)):
            kept.setdefault(one, []).append(
                prediction_frame(config, data, task, one, encoded.rows, predicted).assign(mask_seed=mask_seed))
    combined, routing = combination_rows(config, data, task, encoded) if task.rate in (None, 0.0) else ([], [])
    return Said(pd.concat(kept[rate], ignore_index=True) if rate in kept else pd.DataFrame(),
                kept.get(highest_rate(missing), [pd.DataFrame()])[0] if highest_rate(missing) else pd.DataFrame(),
                tested_table(data, task, encoded.rows), pd.DataFrame([*rows, *combined], columns=MASKED_COLUMNS),
                pd.DataFrame(routing, columns=ROUTING_COLUMNS), action_unit_table(config, data, task, encoded))


def highest_rate(missing: MissingParams) -> float:
    """The highest swept missing rate, 0 where nothing is swept."""
    return max(missing.rates, default=0.0)


def rate_masks(config: RunConfig, data: RunData, rates: Sequence[float],
               mask_seeds: Sequence[int]) -> Iterator[tuple[float, int, np.ndarray]]:
    """Rate, mask seed and what is present (n, M); at rate 0 the first seed alone, for nothing is masked there."""
    draws = {seed: evaluation_draws(data.store.index, config.run.modalities, seed) for seed in mask_seeds}
    for rate in rates:
        for seed in mask_seeds if rate > 0 else mask_seeds[:1]:
            yield rate, seed, masked_present(data, draws[seed], rate)


def flat(predicted: np.ndarray) -> np.ndarray:
    """Predictions (k, D) as a list of float32, window by window."""
    return predicted.astype(np.float32).reshape(-1)


def half_widths_of(data: RunData, rows: np.ndarray, present: np.ndarray, intervals: Intervals) -> np.ndarray | None:
    """Half widths of the intervals of *rows* under a mask (n, M), a list like :func:`flat`'s; None without any."""
    if not intervals:
        return None
    absent = (~present[rows]).sum(1)
    nothing = np.full(len(rows), np.nan)
    return np.stack([widths_of(absent, intervals[name]) if name in intervals else nothing
                     for name in data.task.dimensions], axis=1).reshape(-1)


def tested_table(data: RunData, task: FoldTask, rows: np.ndarray) -> pd.DataFrame:
    """Ids, ``complete`` and labels of a fold's tested windows, in the order of every prediction."""
    ids = data.store.index.iloc[rows][["subject", "trial", "window", "start_s"]].reset_index(drop=True)
    labels = {name: data.labels[rows, d].astype(np.float64) for d, name in enumerate(data.task.dimensions)}
    return pd.DataFrame({"fold": task.fold, **ids, "complete": data.present[rows].all(1), **labels})


def combinations(modalities: Sequence[str]) -> list[tuple[bool, ...]]:
    """All non-empty subsets of up to six modalities; of more: all of them, all but one, single ones."""
    m = len(modalities)
    everything = [bits for bits in itertools.product((True, False), repeat=m) if any(bits)]
    if len(everything) <= MAX_COMBINATIONS:
        return everything
    return [bits for bits in everything if sum(bits) in (m, m - 1, 1)]


def combination_rows(config: RunConfig, data: RunData, task: FoldTask,
                     encoded: EncodedFold) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Predictions of a fold's test windows and mean routing weights by modality combination.

    Routing is of windows where the run's modalities are all there; a fold without such windows has no combinations.
    Methods that look at no signal have neither; those without gates and fusion weights (Eq. 2, 4) have no routing.
    """
    complete = data.present[encoded.rows].all(1)
    masked: list[tuple[Any, ...]] = []
    routing: list[tuple[Any, ...]] = []
    if not complete.any() or not encoded.method.looks:
        return masked, routing
    for bits in combinations(config.run.modalities):
        text = "".join("1" if bit else "0" for bit in bits)
        outputs = encoded.outputs(data.present & np.array(bits))
        masked.append((task.fold, task.seed, 0.0, 0, text, flat(encoded.flatten(outputs)), None))
        gates, fusion = (encoded.diagnostic(outputs, name) for name in ("modality_gates", "fusion_weights"))
        if gates is not None and fusion is not None:
            routing += _routing_rows(config, text, gates[complete].mean(0), fusion[complete].mean(0))
    return masked, routing


def _routing_rows(config: RunConfig, text: str, gates: np.ndarray, fusion: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Mean fusion weight (M,) as expert −1, and gates (M, K), of each modality under one combination."""
    for m, modality in enumerate(config.run.modalities):
        yield config.name, text, modality, -1, float(fusion[m])
        yield from ((config.name, text, modality, k, float(w)) for k, w in enumerate(gates[m]))


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


def join(parts: Iterable[Said]) -> Said:
    """The tables of a whole run: rows one after another; each tested window once; routing averaged over its models."""
    found = list(parts)
    tables = {field.name: pd.concat([frame for part in found if len(frame := getattr(part, field.name))]
                                    or [getattr(found[0], field.name)], ignore_index=True)
              for field in fields(Said)}
    tables["tested"] = tables["tested"].drop_duplicates(["fold", "subject", "trial", "window"], ignore_index=True)
    tables["routing"] = tables["routing"].groupby(ROUTING_COLUMNS[:-1], sort=False)["weight"].mean().reset_index()
    return Said(**tables)
