"""From a fit to a model that describes itself: what it was fitted on, and how wide its intervals are.

Legend: n windows, M modalities, D dimensions, G people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from himoe.core.params import FilterParams, RunConfig
from himoe.core.parsing import parse
from himoe.prepare.folds import trial_codes
from himoe.prepare.masks import evaluation_draws, keep_at_most
from himoe.prepare.windows import PERSON_UNIT
from himoe.training.conformal import LEVEL, half_widths, level_of
from himoe.training.description import Description, ModalityForm, content_digest
from himoe.training.fit import FitResult
from himoe.training.inference import CPU
from himoe.training.material import labelled_rows
from himoe.training.model import Model, encode_fold, from_tensors
from himoe.training.people import names_of
from himoe.training.rundata import FoldTask, RunData, feature_modalities

CALIBRATION_SEED = 90
PROVENANCE = ("source", "simulated", "label")


def make_model(config: RunConfig, data: RunData, task: FoldTask, result: FitResult,
               device: torch.device = CPU) -> Model:
    """The fitted model of a task, with intervals from its validation rows, which are encoded on *device*."""
    model = from_tensors(describe(config, data, task), result.tensors, f"run {config.name}")
    model = replace(model, history=result.history)
    return calibrated(model, data, task, device) if config.run.task == "regression" else model


def describe(config: RunConfig, data: RunData, task: FoldTask) -> Description:
    """What a task's model is, and what it was fitted on."""
    meta, train = data.windows_meta, labelled_rows(data, task.fold, "train")
    filters: Mapping[str, Any] = meta.provenance.get("filters") or {}
    made = feature_modalities(config)
    forms = {m: _form(meta.modalities[m], data.store.meta.shape(m).ch_names if m in made else (), filters.get(m))
             for m in config.run.modalities}
    person = any(data.store.meta.modalities[m]["unit"] == PERSON_UNIT for m in made)
    index = data.store.index
    about = {"set": meta.set, **{key: meta.provenance.get(key) for key in PROVENANCE},
             "protocol": config.run.protocol, "labels": meta.label_source,
             "people": int(index["subject"].iloc[train].nunique()),
             "trials": len(index.iloc[train][["subject", "trial"]].drop_duplicates()), "windows": len(train),
             "digest": content_digest(data.store.arrays, data.labels, train)}
    return Description(
        method=config.run.method, model=config.model, alignment=config.alignment, kind=data.task.kind,
        dimensions=data.task.dimensions, scale=data.task.scale, thresholds=data.task.thresholds, modalities=forms,
        length_s=meta.length_s, step_s=meta.step_s, min_completeness=data.min_completeness,
        sequence_length=config.training.sequence_length, normalise=config.run.normalise,
        features_normalise="person" if person else "none", people=names_of(index["subject"].iloc[train]),
        stimuli=names_of(index["stimulus"]), level=LEVEL, data=about,
        training={**asdict(config.training), "seed": task.seed, "fold": task.fold, "rate": task.rate})


def _form(entry: Mapping[str, Any], features: tuple[str, ...], chosen: Mapping[str, Any] | None) -> ModalityForm:
    return ModalityForm(tuple(entry["channels"]), int(entry["samples"]), float(entry["sfreq_hz"]), str(entry["unit"]),
                        features, parse(FilterParams, chosen, "windows", "filters") if chosen else None)


@torch.no_grad()
def calibrated(model: Model, data: RunData, task: FoldTask, device: torch.device = CPU) -> Model:
    """The model with half widths by dimension and number of absent modalities, from the task's validation rows.

    They are predicted with 0, 1, ... modalities left out of every window, chosen at random. They chose the epoch as
    well, so their residuals are a little small; the tables say what coverage came out.
    """
    encoded = encode_fold(model, data, task, "validation", device)
    rows, modalities = encoded.rows, tuple(model.description.modalities)
    if len(rows) == 0:
        return model
    draws = evaluation_draws(data.store.index, modalities, CALIBRATION_SEED)
    trials = trial_codes(data.store.index)[rows]
    errors, absent = [], []
    for kept in range(len(modalities), 0, -1):
        present = keep_at_most(data.present, draws, kept)
        errors.append(np.abs(encoded.predict(present) - data.labels[rows]))
        absent.append((~present[rows]).sum(1))
    labelled = [len(np.unique(trials[known])) for known in np.isfinite(data.labels[rows]).T]
    level = level_of(min((count for count in labelled if count), default=0))
    intervals = {name: half_widths([error[:, d] for error in errors], absent, trials, len(modalities), level)
                 for d, name in enumerate(data.task.dimensions)}
    return replace(model, description=replace(model.description, intervals=intervals, level=level))
