"""Whom a model knows, and how people who were held out are scaled: in a run, and by the model that it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toysets import make_config, make_data, make_store, rows_of

import himoe
from himoe.core.params import RunConfig, RunParams, SplitParams
from himoe.models.batches import WindowStore
from himoe.prepare.folds import make_folds
from himoe.prepare.windowset import Windows
from himoe.training.fit import fit_task, fit_tasks
from himoe.training.making import make_model
from himoe.training.model import Model, encode_fold
from himoe.training.people import person_codes
from himoe.training.rundata import FoldTask, RunData

TASK = FoldTask(1, 0)
METHODS = ("himoe", "features_ridge", "features_gbdt", "mean_stimulus")


def held_out(method: str, normalise: str, store: WindowStore) -> tuple[RunConfig, RunData]:
    """A run whose people are held out."""
    config = make_config(method, "loso")
    config = replace(config, run=replace(config.run, normalise=normalise))
    return config, make_data(config, store)


def fitted(config: RunConfig, data: RunData) -> Model:
    return make_model(config, data, TASK, fit_task(config, data, TASK))


def louder(store: WindowStore, rows: np.ndarray) -> WindowStore:
    """The windows with three times the EEG in some rows."""
    eeg = np.array(store.arrays["EEG"])
    eeg[rows] *= 3
    return replace(store, arrays={**store.arrays, "EEG": eeg})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("normalise", ["person", "training"])
def test_a_run_scales_people_held_out_as_its_model_does(method: str, normalise: str, tmp_path: Path) -> None:
    store = make_store(5, 6, 4)
    config, data = held_out(method, normalise, store)
    model = fitted(config, data)
    test = rows_of(data, "test")
    encoded = encode_fold(model, data, TASK)
    predicted = encoded.predict(data.present)
    assert set(encoded.rows) == set(test)
    assert set(model.description.people) == set(store.index["subject"].iloc[rows_of(data, "train")])
    model.write(tmp_path)
    taken = himoe.load_model(tmp_path)
    rows = np.sort(encoded.rows)
    people = Windows(store.index.iloc[rows].reset_index(drop=True), {m: a[rows] for m, a in store.arrays.items()},
                     store.meta)
    alone = taken.predict(people).sort_values(["subject", "trial", "window", "dimension"])["predicted"].to_numpy()
    ids = store.index.iloc[encoded.rows].reset_index(drop=True).sort_values(["subject", "trial", "window"])
    expected = predicted[ids.index][:, [1, 0]].reshape(-1)  # arousal sorts before valence
    np.testing.assert_allclose(alone, expected, rtol=1e-5)

    config, loud = held_out(method, normalise, louder(store, test))
    again = encode_fold(model, loud, TASK).predict(loud.present)
    same = normalise == "person" or method == "mean_stimulus"
    assert np.allclose(again, predicted, rtol=1e-3, atol=1e-3) == same


def test_people_who_validate_are_scaled_as_the_tested_ones_will_be() -> None:
    """Louder validation people choose the same epoch and penalty by own windows, others by everybody's."""
    store = make_store(6, 6, 4)
    for normalise in ("person", "training"):
        config, data = held_out("himoe", normalise, store)
        _, loud = held_out("himoe", normalise, louder(store, rows_of(data, "validation")))
        losses = [fit_task(config, one, TASK).history["validation_loss"] for one in (data, loud)]
        assert np.allclose(*losses, rtol=1e-4) == (normalise == "person")


def test_folds_that_know_different_numbers_of_people_have_a_map_for_each_of_theirs() -> None:
    store = make_store(7, 4, 4)
    config = make_config(protocol="loso", model={"person_map": True})
    data = make_data(config, store, folds=make_folds(store.index, "loso", SplitParams(3, 0.25, 3), 0))
    tasks = [FoldTask(fold, 0) for fold in range(3)]
    maps = [len(found.tensors["people.maps_GMFF"]) for found in fit_tasks(config, data, tasks)]
    trained = [store.index["subject"].iloc[rows_of(data, "train", task.fold)].nunique() for task in tasks]
    assert maps == trained
    assert len(set(maps)) > 1


def test_codes_of_strangers_follow_everybodys() -> None:
    names = np.array(["b", "x", "a", "w", "x"])
    assert person_codes(names, {"a": 0, "b": 2}, 3, "person").tolist() == [2, 5, 0, 4, 5]
    assert person_codes(names, {"a": 0, "b": 2}, 3, "training").tolist() == [2, 3, 0, 3, 3]


def test_another_policy_is_refused() -> None:
    with pytest.raises(himoe.InputError, match=r"RunParams: normalise: found 'own', expected person or training"):
        RunParams("deap", "loso", "himoe", ("EEG",), normalise="own")
