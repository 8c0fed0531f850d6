"""Simulated people as a data set, for the studies that are commands of their own (``make personal, asynchrony``)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import himoe
from himoe.core.files import atomic_path, read_json, remove
from himoe.datasets import get_dataset
from himoe.datasets.fetch import write_provenance
from himoe.simulate.generate import SimulationParams, simulate_deap
from himoe.simulate.request import TRUTH_FILE
from pipeline.stage import jobs

LAYOUT = {"layout": "dat"}


def simulated_people(work: Path, params: SimulationParams) -> himoe.Data:
    """Write their raw files anew below the folder *work*, with a word of where they come from, and open them."""
    remove(work)
    with atomic_path(work / "raw") as raw:
        simulate_deap(raw, params, jobs=jobs(), **LAYOUT)
        dataset = get_dataset("deap", raw)
        write_provenance(raw, dataset, "simulate", dataset.inspect(raw, LAYOUT))
    return himoe.load("deap", work / "raw", **LAYOUT)


def true_lags(root: Path) -> pd.DataFrame:
    """By how much each simulated person's sensors answer later than the ratings: ``person, modality, lag_s``."""
    told = read_json(root / TRUTH_FILE)
    reaction_s = float(told["reports"]["reaction_lag_s"])
    return pd.DataFrame([{"person": f"s{person['participant']:02d}", "modality": modality, "lag_s": lag_s - reaction_s}
                         for person in told["people"] for modality, lag_s in person["lags_s"].items()])
