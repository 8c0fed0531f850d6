"""``python -m pipeline.personal reports/personal``: what adapting to one new person gains, on simulated people.

Simulates a cohort, fits every method on part of its people, adapts it to each of the others with k rated trials and
scores trials that are never among the k. Everything but the report is kept below ``.himoe/studies/personal``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import himoe
from himoe.core.files import write_text
from himoe.core.workers import map_forked
from himoe.report.tables.personal import readme
from himoe.scoring.personal import personal_rows
from himoe.simulate.generate import SimulationParams
from pipeline.people import simulated_people
from pipeline.stage import jobs, main
from pipeline.study import STUDIES

SEED = 31001
LOOKED_AT = (777, 778, 779)  # cohorts on which adapting was developed
PEOPLE, TRIALS, SNR = 10, 12, 1.5
GROUPS = 2  # of people; each is met by models of the others
SPLITS = 3  # of a person's trials; each is tested once
KS = (0, 1, 2, 4, 8)
METHODS = {"himoe": "HiMoE", "late_fusion": "LateFusion", "features_gbdt": "FeaturesGBDT"}
POLICIES = ("person", "training")


class Task(NamedTuple):
    """One model: its method, how it scales people, and the group that it has not met."""

    method: str
    normalise: str
    group: int


def personal(folder: str) -> None:
    """Measure, and write personal.csv and README.md into *folder*."""
    windows = cohort(STUDIES / "personal", SEED)
    tasks = [Task(method, policy, group) for method in METHODS for policy in POLICIES for group in range(GROUPS)]
    parts = list(map_forked(predict, windows, tasks, jobs()))
    rows = personal_rows(pd.concat(parts, ignore_index=True))
    label = str(windows.meta.provenance["label"])
    about: dict[str, Any] = {
        "label": label, "seed": SEED, "looked_at": LOOKED_AT, "people": PEOPLE, "trials": TRIALS, "groups": GROUPS,
        "splits": SPLITS, "normalise": himoe.HiMoE().normalise}
    target = Path(folder)
    write_text(target / "personal.csv", rows.assign(data=label).to_csv(index=False, float_format="%.6g",
                                                                       lineterminator="\n"))
    write_text(target / "README.md", readme(rows, about))


def cohort(work: Path, seed: int) -> himoe.Windows:
    """Windows of simulated people, with every feature that a model reads."""
    windows = himoe.make_windows(simulated_people(work, SimulationParams(PEOPLE, TRIALS, seed, SNR)))
    for modality in windows.modalities:  # before the processes part, so that none makes them again
        windows.features(modality)
    return windows


def predict(windows: himoe.Windows, task: Task) -> pd.DataFrame:
    """Predictions for one group of people by a model of the others, at every k."""
    people = np.unique(windows.groups)
    met = [name for place, name in enumerate(people) if place % GROUPS != task.group]
    model = getattr(himoe, METHODS[task.method])(normalise=task.normalise).fit(windows.people(*met)).model_
    ks = KS if task.normalise == himoe.HiMoE().normalise else KS[:1]
    parts = []
    for place, name in enumerate(people):
        if name not in met:
            own = windows.people(name)
            for k in ks:
                parts += [adapted(model, own, tested, order, k) for tested, order in dealt(own, (SEED, place))]
    return pd.concat(parts, ignore_index=True).assign(method=task.method, normalise=task.normalise)


def dealt(own: himoe.Windows, seed: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Names of the tested trials and of the others, in random order, for each part of a person's trials."""
    order = np.random.default_rng(seed).permutation(np.unique(own.index["trial"].to_numpy(str)))
    return [(part, order[~np.isin(order, part)]) for part in np.array_split(order, SPLITS)]


def adapted(model: himoe.Fitted, own: himoe.Windows, tested: np.ndarray, others: np.ndarray, k: int) -> pd.DataFrame:
    """Predictions for the *tested* trials by the model adapted to the *others*, the first *k* of them rated."""
    trials = own.index["trial"].to_numpy(str)
    recorded, names = own[np.isin(trials, others)], list(own.dimensions)
    hidden = ~np.isin(recorded.index["trial"].to_numpy(str), others[:k])
    index = recorded.index.copy()
    index.loc[hidden, names] = np.nan
    one = model.adapt(himoe.Windows(index, recorded.arrays, recorded.meta, _features=recorded._features))
    chosen = one.description.training["adapted"][str(own.groups[0])]["chosen"]
    return one.predict(own[np.isin(trials, tested)]).assign(k=k, chosen=chosen)


if __name__ == "__main__":
    main(personal)
