"""Shards of features: the windows' ids and presence, features of their known samples, the stage that writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toysets import file_bytes, make_meta, make_store, write_store

from himoe.core.errors import InputError
from himoe.core.params import parse
from himoe.prepare.feature_shards import FeatureParams, feature_meta, write_features
from himoe.prepare.features import window_features
from himoe.prepare.unrated import UNRATED
from himoe.prepare.windows import WindowStore, read_shard, shard_paths, write_shard
from pipeline.features import features

SHAPES = {"EDA": (1, 16, 4.0), "EEG": (3, 64, 32.0), "FACE": (70, 8, 2.0)}


def gappy_store() -> WindowStore:
    """Windows of which some lack a modality, some a channel, and some stretches; one has a third of its samples."""
    store, rng = make_store(2, 3, 4), np.random.default_rng(5)
    arrays = {m: np.array(a) for m, a in store.arrays.items()} | {"FACE": rng.normal(size=(24, 70, 8)) + 1}
    arrays["EEG"][3] = np.nan
    arrays["EEG"][5, 1] = np.nan
    arrays["EEG"][6, :, 20:40] = np.nan
    arrays["EDA"][7, :, :11] = np.nan
    arrays["FACE"][8:10] = np.nan
    arrays["FACE"][11, :, 2:5] = np.nan
    shares = {f"completeness_{m}": np.isfinite(a).mean((1, 2)).astype(np.float32) for m, a in arrays.items()}
    return WindowStore(store.index.assign(**shares), {m: arrays[m].astype(np.float32) for m in SHAPES},
                       make_meta(SHAPES))


def test_a_feature_shard_has_the_windows_index_and_their_features(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "windows", gappy_store())
    for path in shard_paths(folder):
        write_features([(path, tmp_path / path.name)])
        index, windows, meta = read_shard(path)
        found_index, found, described = read_shard(tmp_path / path.name)
        pd.testing.assert_frame_equal(found_index, index)
        assert replace(described, modalities={}) == replace(meta, modalities={})
        assert tuple(described.modalities) == tuple(meta.modalities) == tuple(found)
        for modality, data in windows.items():
            shape = meta.shape(modality)
            values, names = window_features(modality, data, shape.sfreq_hz, shape.ch_names)
            assert described.shape(modality).ch_names == names
            assert found[modality].shape == (12, len(names), 1)
            there = index[f"completeness_{modality}"].to_numpy() > 0
            np.testing.assert_array_equal(found[modality][there, :, 0], values[there])
            assert (found[modality][~there] == 0).all()


def test_presence_is_the_same_from_either_folder(tmp_path: Path) -> None:
    store = gappy_store()
    windows = write_store(tmp_path / "windows", store)
    for path in shard_paths(windows):
        write_features([(path, tmp_path / "features" / path.name)])
    for least in (0.3, 0.5, 1.0):
        raw, made = (WindowStore.open(folder, list(SHAPES), 1.0, tmp_path / "maps").present(least)
                     for folder in (windows, tmp_path / "features"))
        np.testing.assert_array_equal(raw, made)
        assert not raw.all()


def test_a_channel_that_is_lost_has_no_features_and_a_lost_stretch_still_has(tmp_path: Path) -> None:
    windows = write_store(tmp_path / "windows", gappy_store())
    write_features([(shard_paths(windows)[0], tmp_path / "features.parquet")])
    _, found, described = read_shard(tmp_path / "features.parquet")
    names = described.shape("EEG").ch_names
    lost = [k for k, name in enumerate(names) if name.endswith("EEG1")]
    assert np.isnan(found["EEG"][5, lost]).all()
    assert np.isfinite(np.delete(found["EEG"][5], lost, 0)).all()
    assert np.isfinite(found["EEG"][6]).all()
    assert np.isnan(found["EDA"][7]).all()  # a third of the samples says nothing
    assert found["FACE"][11, described.shape("FACE").ch_names.index("known_0"), 0] == pytest.approx(5 / 8)


def test_one_value_per_window_of_the_sets_length() -> None:
    shape = feature_meta(make_meta(length_s=3.0)).shape("EDA")
    assert (shape.samples, shape.sfreq_hz * 3.0) == (1, 1.0)


def test_the_stage_writes_the_same_bytes_in_any_number_of_processes(tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    windows = write_store(tmp_path / "windows", gappy_store())
    monkeypatch.setattr("pipeline.features.stage_params", lambda stage: {"features": {"normalise": "person"}})
    written = []
    for jobs in ("1", "2"):
        monkeypatch.setenv("HIMOE_JOBS", jobs)
        features("toy", str(windows), str(tmp_path / f"features-{jobs}"))
        written.append(file_bytes(tmp_path / f"features-{jobs}"))
    assert written[0] == written[1]
    assert list(written[0]) == [path.name for path in shard_paths(windows)]


def test_within_the_person_every_trial_counts_the_same_and_unrated_ones_count_too(tmp_path: Path) -> None:
    windows = write_store(tmp_path / "windows", gappy_store())
    path = shard_paths(windows)[0]
    index, arrays, meta = read_shard(path)
    parts = {"": np.arange(5), UNRATED: np.arange(5, 12)}  # trials of 4, 1 + 3 and 4 windows
    pairs = []
    for place, rows in parts.items():
        write_shard(tmp_path / place / "s.parquet", index.iloc[rows].reset_index(drop=True),
                    {m: a[rows] for m, a in arrays.items()}, meta)
        pairs.append((tmp_path / place / "s.parquet", tmp_path / f"person-{place}" / "s.parquet"))
    write_features(pairs, FeatureParams("person"))
    write_features([(path, tmp_path / "plain.parquet")], FeatureParams("none"))
    plain = read_shard(tmp_path / "plain.parquet")[1]
    found = [read_shard(target)[1] for _, target in pairs]
    for modality, values in plain.items():
        there = index[f"completeness_{modality}"].to_numpy() > 0
        for k in range(values.shape[1]):
            column = np.where(there, values[:, k, 0].astype(float), np.nan)
            trials = [column[index["trial"] == trial] for trial in index["trial"].unique()]
            trials = [trial[np.isfinite(trial)] for trial in trials if np.isfinite(trial).any()]
            mean = np.mean([trial.mean() for trial in trials])
            spread = np.sqrt(np.mean([((trial - mean) ** 2).mean() for trial in trials]))
            expected = (column - mean) / (spread if spread > 1e-6 else 1)
            got = np.concatenate([one[modality][:, k, 0] for one in found])
            np.testing.assert_allclose(got[there], expected[there], rtol=1e-4, atol=1e-4)


def test_within_the_person_a_level_and_a_scale_of_the_person_leave_no_trace(tmp_path: Path) -> None:
    store = gappy_store()
    louder = WindowStore(store.index, {**store.arrays, "FACE": 3 * store.arrays["FACE"] + 100}, store.meta)
    made = []
    for name, one in (("as_is", store), ("louder", louder)):
        path = shard_paths(write_store(tmp_path / name, one))[0]
        write_features([(path, tmp_path / f"{name}.parquet")], FeatureParams("person"))
        _, arrays, meta = read_shard(tmp_path / f"{name}.parquet")
        means = [k for k, what in enumerate(meta.shape("FACE").ch_names) if what.startswith("mean")]
        made.append(arrays["FACE"][:, means])
    np.testing.assert_allclose(made[0], made[1], atol=1e-3)


def test_another_word_is_refused() -> None:
    with pytest.raises(InputError, match=r"features.normalise.*'people'.*none or person"):
        parse(FeatureParams, {"normalise": "people"}, "params.yaml", "features")
