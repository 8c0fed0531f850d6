"""One window at a time: what a person's own statistics make of features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import himoe
from himoe.live.predictor import Predictor
from himoe.models.batches import Assembler, Normaliser


def reads_features(model: himoe.Fitted) -> himoe.Fitted:
    """The model, as if it read two features of the EDA as deviations, and everybody had mean 0 and SD 1."""
    form, people = model.description, len(model.description.people) + 1
    forms = dict(form.modalities)
    forms["EDA"] = replace(forms["EDA"], features=("rate", "log_rmssd"))
    mean = {m: np.zeros((people, 2 if m == "EDA" else v.shape[1])) for m, v in model.normaliser.mean.items()}
    spread = {m: np.ones_like(v) for m, v in mean.items()}
    return replace(model, description=replace(form, modalities=forms, features_normalise="person"),
                   normaliser=Normaliser(mean, spread))


def test_a_feature_that_is_not_known_yet_leaves_the_others_to_be_deviations(model: himoe.Fitted,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """A heart rate of 70 is no 70 SDs, to the network and in a stranger's statistics, while beats are too few."""
    found = iter([(70.0, np.nan), (74.0, np.nan), (72.0, 3.0), (72.0, np.nan)])
    read = []

    def newest(_: Any, assembler: Assembler) -> tuple[np.ndarray, np.ndarray]:
        read.append(np.asarray(assembler.store.arrays["EDA"][:])[:, :, 0])
        return np.zeros(2), np.zeros((2, 0))

    monkeypatch.setattr("himoe.live.predictor.feature_array", lambda *_: np.array(next(found)).reshape(1, 2, 1))
    monkeypatch.setattr("himoe.live.predictor.predict_newest", newest)
    predictor = Predictor(reads_features(model))
    for _ in range(4):
        predictor.step({"EDA": np.zeros((1, 32), np.float32)})
    np.testing.assert_allclose(read[0], [[0, np.nan]])
    np.testing.assert_allclose(read[1], [[-1, np.nan], [1, np.nan]])
    np.testing.assert_allclose(read[3], [[-np.sqrt(2), np.nan], [np.sqrt(2), np.nan], [0, 0], [0, np.nan]], atol=1e-6)
    np.testing.assert_allclose(predictor.scale.mean["EDA"][-1], [1 / 14, 0], atol=1e-6)  # ten of everybody, four own
