"""The proof against leaks: signals without emotion, random ratings, and a fingerprint of every trial.

An honest protocol must find nothing; shuffled windows find almost everything, through the fingerprint.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from textbook import ccc
from toysets import encode_tensors, make_config, make_data, make_index, make_meta

from himoe.core.params import RunConfig, SplitParams
from himoe.prepare.folds import make_folds
from himoe.prepare.windows import WindowStore
from himoe.training.fit import fit_task
from himoe.training.rundata import run_tasks

HONEST = ["trial", "loso", "stimulus"]
BOUND = 0.1
SHAPES = {"TEMP": (24, 6, 1.5), "EDA": (1, 16, 4.0)}


def fingerprints(subjects: int, trials: int, windows: int, seed: int) -> WindowStore:
    """Every trial has a waveform of its own and one random rating a dimension; nothing links the two."""
    index = make_index(subjects, trials, windows, seed)
    rng = np.random.default_rng(seed + 1)
    code = index.groupby(["subject", "trial"]).ngroup().to_numpy()
    ratings = rng.uniform(1, 9, (code.max() + 1, 4))
    dimensions = ("valence", "arousal", "dominance", "liking")
    index = index.assign(**{d: ratings[code, i] for i, d in enumerate(dimensions)},
                         completeness_TEMP=np.float32(1), completeness_EDA=np.float32(1))
    temp, eda = (rng.standard_normal((code.max() + 1, *SHAPES[m][:2])) for m in SHAPES)
    arrays = {m: (prints[code] + 0.3 * rng.standard_normal((len(index), *SHAPES[m][:2]))).astype(np.float32)
              for m, prints in zip(SHAPES, (temp, eda), strict=True)}
    return WindowStore(index, arrays, make_meta(SHAPES, dimensions=dimensions))


def pooled_ccc(config: RunConfig, store: WindowStore) -> float:
    """Fit every fold; CCC over all test windows together, averaged over dimensions."""
    split = SplitParams(3, 0.2, people=3)
    data = make_data(config, store, folds=make_folds(store.index, config.run.protocol, split, 0))
    predicted = np.full(data.labels.shape, np.nan)
    for task in run_tasks(config, data.folds):
        encoded = encode_tensors(config, data, task, fit_task(config, data, task).tensors)
        predicted[encoded.rows] = encoded.predict(data.present)
    assert np.isfinite(predicted).all()  # every window is tested
    return float(np.mean([ccc(data.labels[:, d], predicted[:, d]) for d in range(4)]))


@pytest.fixture(scope="module")
def store() -> WindowStore:
    """160 trials with four independent ratings: chance gives a mean CCC with an SD of at most 0.04."""
    return fingerprints(8, 20, 8, 0)


def configure(method: str, protocol: str) -> RunConfig:
    """A method with time and size enough to learn fingerprints by heart."""
    config = make_config(method, protocol, missing="none", epochs=14, patience=14, batch_sequences=16,
                         sequence_length=6, learning_rate=0.01,
                         model={"dropout": 0.0, "features": 32, "expert_hidden": 32})
    return replace(config, run=replace(config.run, modalities=tuple(SHAPES)))


@pytest.mark.slow
@pytest.mark.parametrize("protocol", HONEST)
@pytest.mark.parametrize("method", ["himoe", "features_gbdt"])
def test_an_honest_protocol_finds_nothing(method: str, protocol: str, store: WindowStore) -> None:
    assert abs(pooled_ccc(configure(method, protocol), store)) < BOUND


@pytest.mark.slow
@pytest.mark.parametrize("method", ["himoe", "features_gbdt"])
def test_shuffled_windows_find_the_fingerprint(method: str, store: WindowStore) -> None:
    assert pooled_ccc(configure(method, "leaky"), store) > 0.8


@pytest.mark.parametrize("method", ["mean", "mean_subject", "mean_stimulus"])
def test_floors_find_nothing_either(method: str, store: WindowStore) -> None:
    assert abs(pooled_ccc(configure(method, "trial"), store)) < BOUND
