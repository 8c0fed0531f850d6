"""A run's windows, labels and tasks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toysets import make_config, make_data, make_store, write_feature_store, write_store

from himoe.core.errors import InputError
from himoe.core.params import SplitParams
from himoe.prepare.folds import make_folds
from himoe.prepare.windows import WindowStore
from himoe.training.rundata import (
    FoldTask,
    feature_modalities,
    load_run_data,
    make_spec,
    run_tasks,
    trained_by_gradient,
)
from pipeline.runs import digests


def folds_of(store: WindowStore, n_folds: int = 3) -> pd.DataFrame:
    return make_folds(store.index, "trial", SplitParams(n_folds, 0.25), 0)


def test_matched_training_multiplies_by_rates() -> None:
    tasks = run_tasks(make_config(missing="matched", seeds=(5, 7), rates=(0.0, 0.1, 0.2, 0.3)), folds_of(make_store()))
    assert len(tasks) == len(set(tasks)) == 3 * 2 * 4
    assert len({task.name for task in tasks}) == 3 * 2 * 4
    assert {task.rate for task in tasks} == {0.0, 0.1, 0.2, 0.3}


@pytest.mark.parametrize("method", ["mean", "features_gbdt"])
def test_closed_form_methods_are_fitted_once_a_fold(method: str) -> None:
    config = make_config(method, missing="matched", seeds=(5, 7))
    assert not trained_by_gradient(config)
    assert run_tasks(config, folds_of(make_store())) == [FoldTask(f, 5) for f in range(3)]


def test_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match=r"'himo'.*himoe"):
        run_tasks(make_config("himo"), folds_of(make_store()))


@pytest.mark.parametrize(("method", "model", "expected"), [
    ("himoe", {"eeg_encoder": "eegnet", "signal_encoder": "cnn"}, ()),
    ("himoe", {"eeg_encoder": "power", "signal_encoder": "features"}, ("EDA", "PPG")),
    ("late_fusion", {"eeg_encoder": "bands", "signal_encoder": "cnn"}, ("EEG",)),
    ("late_fusion", {"eeg_encoder": "bands", "signal_encoder": "features"}, ("EDA", "EEG", "PPG")),
    ("features_gbdt", {"eeg_encoder": "eegnet", "signal_encoder": "cnn"}, ("EDA", "EEG", "FACE", "PPG")),
    ("features_ridge_person", {"eeg_encoder": "bands"}, ("EDA", "EEG", "FACE", "PPG")),
    ("mean", {"eeg_encoder": "eegnet", "signal_encoder": "cnn"}, ("EDA", "EEG", "FACE", "PPG"))])
def test_which_modalities_are_read_as_features(method: str, model: dict[str, str], expected: tuple[str, ...]) -> None:
    config = make_config(method, model=model)
    config = replace(config, run=replace(config.run, modalities=("EDA", "EEG", "FACE", "PPG")))
    assert feature_modalities(config) == expected


@pytest.mark.parametrize("made", [(), ("EEG",), ("EDA",), ("EEG", "EDA")])
@pytest.mark.parametrize("memory_gib", [1.0, 1e-6])
def test_a_store_takes_each_modality_from_its_folder_and_opens_no_other(made: tuple[str, ...], memory_gib: float,
                                                                      tmp_path: Path) -> None:
    store = make_store()
    windows = write_store(tmp_path / "windows", store)
    features = write_feature_store(tmp_path / "features", windows)
    if not made:
        shutil.rmtree(features)
    for path in windows.glob("*.parquet") if len(made) == 2 else []:
        content = bytearray(path.read_bytes())
        content[100] ^= 1  # of these windows the description is read, no sample
        path.write_bytes(content)
    model = {"eeg_encoder": "bands" if "EEG" in made else "eegnet",
             "signal_encoder": "features" if "EDA" in made else "cnn"}
    config = make_config(model=model, memory_gib=memory_gib)
    data = load_run_data(config, windows, features, folds_of(store), 0.5, tmp_path / "maps")
    expected = make_data(config, store)
    pd.testing.assert_frame_equal(data.store.index, store.index, check_dtype=False)
    np.testing.assert_array_equal(data.present, expected.present)
    assert tuple(data.store.arrays) == ("EEG", "EDA")
    for modality in ("EEG", "EDA"):
        np.testing.assert_array_equal(data.store.arrays[modality][np.arange(20)],
                                      expected.store.arrays[modality][:20])
        assert data.store.arrays[modality].shape[2] == (1 if modality in made else {"EEG": 64, "EDA": 16}[modality])
        shape = data.store.meta.shape(modality)
        assert (shape.channels, shape.samples) == data.store.arrays[modality].shape[1:]
    assert make_spec(config, data).shapes == {m: expected.store.meta.shape(m) for m in ("EEG", "EDA")}


@pytest.mark.parametrize("change", ["rows", "labels", "completeness", "label_source"])
def test_features_of_other_windows_are_refused(change: str, tmp_path: Path) -> None:
    store = make_store()
    windows = write_store(tmp_path / "windows", store)
    index, meta = store.index.copy(), store.meta
    if change == "rows":
        index.loc[2, "window"] = 77
    elif change == "labels":
        index.loc[2, "valence"] += 0.5
    elif change == "completeness":
        index.loc[2, "completeness_EDA"] = np.float32(0.75)
    else:
        meta = replace(meta, label_source="trial")
    other = write_store(tmp_path / "other", replace(store, index=index, meta=meta))
    features = write_feature_store(tmp_path / "features", other)
    config = make_config(model={"eeg_encoder": "bands", "signal_encoder": "cnn"})
    with pytest.raises(InputError, match=r"features: found features of other windows.*features stage"):
        load_run_data(config, windows, features, folds_of(store), 0.5, tmp_path / "maps")


@pytest.mark.parametrize("made", [False, True])
def test_a_copied_window_is_found_in_windows_and_in_features(made: bool, tmp_path: Path) -> None:
    """What few numbers cannot tell apart (EDA's mean, say) is no copy; a copied trial under another name is."""
    store = make_store()
    config = make_config(model={"eeg_encoder": "bands", "signal_encoder": "features"} if made else {})
    data = make_data(config, store)
    alike = data.store.arrays["EDA"].copy()
    alike[1] = alike[0]
    data.store.arrays["EDA"][:] = alike
    assert len(set(digests(data))) == len(store.index)
    data.store.arrays["EEG"][5:10] = data.store.arrays["EEG"][:5]
    assert len(set(digests(data))) == len(store.index) - 5


def test_presence_follows_completeness(tmp_path: Path) -> None:
    store = make_store()
    index = store.index.copy()
    index.loc[3, "completeness_EDA"] = np.float32(0.49)
    index.loc[4, "completeness_EDA"] = np.float32(0.5)
    folder = write_store(tmp_path / "windows", replace(store, index=index))
    config = make_config()
    data = load_run_data(config, folder, tmp_path / "features", folds_of(store), 0.5, tmp_path / "maps")
    assert data.present[:, 0].all()
    assert np.flatnonzero(~data.present[:, 1]).tolist() == [3]


def test_classes_are_above_the_threshold(tmp_path: Path) -> None:
    store = make_store()
    index = store.index.copy()
    index.loc[:2, "valence"] = [5.0, 5.01, np.nan]
    folder = write_store(tmp_path / "windows", replace(store, index=index))
    data = load_run_data(make_config(task="classification"), folder, tmp_path / "features", folds_of(store), 0.5,
                         tmp_path / "maps")
    np.testing.assert_array_equal(data.labels[:3, 0], [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(data.labels[3:, 1], (index["arousal"].to_numpy()[3:] > 5).astype(float))


def test_shuffled_labels_are_other_trials_labels(tmp_path: Path) -> None:
    store = make_store(4, 6, 5)
    folder = write_store(tmp_path / "windows", store)
    plain, shuffled = (load_run_data(make_config(shuffle_labels=flag), folder, tmp_path / "features", folds_of(store),
                                     0.5, tmp_path / "m").labels.reshape(24, 5, 2) for flag in (False, True))
    as_sets = [sorted(map(bytes, (np.ascontiguousarray(trial) for trial in labels))) for labels in (plain, shuffled)]
    assert as_sets[0] == as_sets[1]  # whole trials change places
    moved = (plain != shuffled).any((1, 2))
    assert moved.sum() > 18


def test_only_missing_labels_are_refused(tmp_path: Path) -> None:
    store = make_store()
    index = store.index.assign(valence=np.nan, arousal=np.nan)
    folder = write_store(tmp_path / "windows", replace(store, index=index))
    with pytest.raises(InputError, match=r"labels.*windows\.labels"):
        load_run_data(make_config(), folder, tmp_path / "features", folds_of(store), 0.5, tmp_path / "maps")
