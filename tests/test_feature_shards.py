"""Shards of features: the windows' ids and presence, features of their known samples, the stage that writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toysets import file_bytes, make_meta, make_store, write_store

from himoe.feature_shards import feature_meta, write_features
from himoe.features import window_features
from himoe.windows import WindowStore, read_shard, shard_paths
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
        write_features(path, tmp_path / path.name)
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
        write_features(path, tmp_path / "features" / path.name)
    for least in (0.3, 0.5, 1.0):
        raw, made = (WindowStore.open(folder, list(SHAPES), 1.0, tmp_path / "maps").present(least)
                     for folder in (windows, tmp_path / "features"))
        np.testing.assert_array_equal(raw, made)
        assert not raw.all()


def test_a_channel_that_is_lost_has_no_features_and_a_lost_stretch_still_has(tmp_path: Path) -> None:
    windows = write_store(tmp_path / "windows", gappy_store())
    write_features(shard_paths(windows)[0], tmp_path / "features.parquet")
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
    written = []
    for jobs in ("1", "2"):
        monkeypatch.setenv("HIMOE_JOBS", jobs)
        features("toy", str(windows), str(tmp_path / f"features-{jobs}"))
        written.append(file_bytes(tmp_path / f"features-{jobs}"))
    assert written[0] == written[1]
    assert list(written[0]) == [path.name for path in shard_paths(windows)]
