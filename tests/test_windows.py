"""Windows, labels and shards, against slow loops; shards open with pandas and map without copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from toysets import make_meta, make_store, write_store

from himoe.core.disk_array import DiskArray
from himoe.core.errors import InputError
from himoe.core.params import WindowParams
from himoe.core.recordings import Annotations, Recording, Signal
from himoe.core.sealed import write_table
from himoe.prepare.labels import continuous_label
from himoe.prepare.windows import (
    WindowStore,
    completeness,
    cut_windows,
    folder_meta,
    read_meta,
    read_shard,
    samples_of,
    shard_paths,
    window_starts,
    window_table,
    write_shard,
)

PARAMS = WindowParams(4.0, 2.0, "auto", 0.5)


def recording(trial: str = "v01", duration_s: float = 12.0, seed: int = 0, with_eda: bool = True) -> Recording:
    rng = np.random.default_rng(seed)
    eeg = rng.standard_normal((3, int(duration_s * 16))).astype(np.float32)
    signals = {"EEG": Signal(eeg, 16.0, ("a", "b", "c"), "uV")}
    if with_eda:
        signals["EDA"] = Signal(rng.standard_normal((1, int(duration_s * 4))).astype(np.float32), 4.0, ("g",), "uS")
    time_s = np.sort(rng.uniform(0, duration_s, 40))
    annotations = Annotations(time_s, {"valence": 5 + np.sin(time_s)})
    return Recording("s01", trial, trial, duration_s, signals, {"valence": 3.0, "arousal": 7.0}, annotations)


META = make_meta({"EEG": (3, 64, 16.0), "EDA": (1, 16, 4.0)})


@pytest.mark.parametrize("duration_s", [0.0, 3.0, 511 / 128, 3.9999])
def test_a_trial_shorter_than_a_window_holds_none(duration_s: float) -> None:
    assert window_starts(duration_s, PARAMS, "t").shape == (0,)
    assert len(window_starts(4.0, PARAMS, "t")) == 1


@pytest.mark.parametrize("duration_s", [-1.0, float("nan"), float("inf")])
def test_a_trial_without_a_length_is_refused(duration_s: float) -> None:
    with pytest.raises(InputError, match=r"t: duration: found .* expected seconds from 0 on"):
        window_starts(duration_s, PARAMS, "t")


def test_a_short_trial_is_left_out_and_the_others_stay() -> None:
    whole, short = recording("t1"), recording("t2", duration_s=3.5)
    index, arrays = window_table([short, whole, short], META, PARAMS)
    alone, same = window_table([whole], META, PARAMS)
    pd.testing.assert_frame_equal(index, alone)
    np.testing.assert_array_equal(arrays["EEG"], same["EEG"])
    with pytest.raises(InputError, match="found 4 s and 2 shorter trials, expected at least one trial as long"):
        window_table([short, short], META, PARAMS)


def test_a_fraction_of_a_sample_is_refused() -> None:
    assert samples_of(4.0, 5.0, "x") == 20
    with pytest.raises(InputError, match="a whole number"):
        samples_of(0.3, 5.0, "x")


def test_windows_are_the_slices_of_a_loop() -> None:
    data = np.arange(3 * 200, dtype=np.float32).reshape(3, 200)
    starts = window_starts(12.0, PARAMS, "t")
    windows = cut_windows(data, 16.0, starts, 4.0, "t")
    for window, start in zip(windows, starts, strict=True):
        first = int(start * 16)
        np.testing.assert_array_equal(window, data[:, first:first + 64])


def test_completeness_counts_recorded_samples() -> None:
    windows = np.ones((2, 3, 8), np.float32)
    windows[1, :, :6] = np.nan
    assert completeness(windows).tolist() == [1.0, 0.25]
    windows[0] = 3e38  # recorded, though the sum is beyond float32
    windows[1, 0, 7], windows[1, 2, 6] = np.inf, -np.inf
    assert completeness(windows).tolist() == [1.0, np.float32(4 / 24)]


def test_a_continuous_label_is_the_mean_of_the_interpolated_ratings() -> None:
    time_s = np.array([0.0, 3.0, 7.0, 20.0])
    values = np.array([1.0, 4.0, 2.0, 8.0])
    label = continuous_label(Annotations(time_s, {"valence": values}), "valence", np.array([2.0, 10.0]), 4.0)
    dense = np.arange(2, 6, 1e-4)
    assert label[0] == pytest.approx(np.interp(dense, time_s, values).mean(), abs=2e-3)
    assert np.isnan(label[1])  # no time stamp lies in 10..14 s
    missing = continuous_label(Annotations(time_s, {"valence": values}), "arousal", np.array([2.0]), 4.0)
    assert np.isnan(missing).all()


@pytest.mark.parametrize(("source", "valence"), [("trial", 3.0), ("continuous", None)])
def test_labels_come_from_the_source_named(source: str, valence: float | None) -> None:
    meta = make_meta({"EEG": (3, 64, 16.0), "EDA": (1, 16, 4.0)}, label_source=source)
    index, _ = window_table([recording()], meta, PARAMS)
    if valence is not None:
        assert (index["valence"] == valence).all()
        assert (index["arousal"] == 7.0).all()
    else:
        assert index["valence"].between(4, 6).all()
        assert index["arousal"].isna().all()


def test_a_shard_gives_back_what_went_in_and_opens_with_pandas(tmp_path: Path) -> None:
    index, arrays = window_table([recording(), recording("v02", 10.0, 1, with_eda=False)], META, PARAMS)
    path = tmp_path / "s01.parquet"
    write_shard(path, index, arrays, META)
    again, read, meta = read_shard(path)
    assert meta == META
    pd.testing.assert_frame_equal(again, index)
    np.testing.assert_array_equal(read["EEG"], arrays["EEG"])
    absent = index["completeness_EDA"] == 0
    assert absent.sum() == 4
    np.testing.assert_array_equal(read["EDA"][~absent], arrays["EDA"][~absent])
    assert (read["EDA"][absent] == 0).all()
    frame = pd.read_parquet(path)
    first = np.frombuffer(frame["EEG"][0], "<f4").reshape(3, 64)
    np.testing.assert_array_equal(first, arrays["EEG"][0])
    assert frame["EDA"][absent].isna().all()


def test_a_folders_description_is_its_shards(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "windows", make_store(subjects=3))
    assert [path.name for path in shard_paths(folder)] == ["00.parquet", "01.parquet", "02.parquet"]
    assert folder_meta(folder) == make_meta() == read_meta(folder / "02.parquet")
    (folder / "notes.txt").write_text("not a shard", encoding="utf-8")
    assert len(shard_paths(folder)) == 3
    empty = tmp_path / "empty"
    empty.mkdir()
    for read in (folder_meta, shard_paths):
        with pytest.raises(InputError, match=r"empty: found no shard \(\*\.parquet\)"):
            read(empty)
        with pytest.raises(InputError, match="the folder is missing"):
            read(tmp_path / "nowhere")


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(InputError, match=r"a\.parquet: found no Parquet file"):
        read_meta(tmp_path / "a.parquet")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: found no checksum"):
        read_meta(tmp_path / "b.parquet")
    write_table(pa.table({"x": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="schema metadata"):
        read_meta(tmp_path / "b.parquet")


def test_recordings_of_another_shape_are_refused() -> None:
    short = recording()
    other = Recording("s01", "v09", "v09", 12.0, {"EEG": Signal(np.zeros((2, 192), np.float32), 16.0, ("a", "b"),
                                                                "uV")}, {}, None)
    with pytest.raises(InputError, match=r"trial v09 EEG: found windows of shape \(2, 64\), expected \(3, 64\)"):
        window_table([short, other], META, PARAMS)


def test_a_disk_array_reads_what_was_written(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((11, 2, 5)).astype(np.float32)
    array = DiskArray(tmp_path / "a" / "x.f32", data.shape)
    array[0:4], array[4:11] = data[:4], data[4:]
    for rows in (np.array([3, 4, 5, 0, 10, 9]), np.array([], dtype=int), slice(2, 7)):
        np.testing.assert_array_equal(array[rows], data[rows])
    np.testing.assert_array_equal(array[6], data[6])
    np.testing.assert_array_equal(np.stack(list(array)), data)


@pytest.mark.parametrize("memory_gib", [1.0, 0.0])
def test_the_store_is_the_same_in_memory_and_on_disk(tmp_path: Path, memory_gib: float) -> None:
    folder = write_store(tmp_path / "windows", make_store())
    store = WindowStore.open(folder, ("EDA", "EEG"), memory_gib, tmp_path / "maps")
    assert isinstance(store.arrays["EEG"], DiskArray) == (memory_gib == 0)
    row = 0
    for path in sorted(folder.glob("*.parquet")):
        index, arrays, _ = read_shard(path)
        np.testing.assert_array_equal(store.arrays["EEG"][row:row + len(index)], arrays["EEG"])
        row += len(index)
    assert row == len(store.index)
    assert store.present(0.5).shape == (row, 2)


def test_unknown_modalities_and_empty_folders_are_refused(tmp_path: Path) -> None:
    folder = write_store(tmp_path / "windows", make_store())
    with pytest.raises(InputError, match="modality: found 'ECG', expected one of EEG EDA"):
        WindowStore.open(folder, ("ECG",), 1.0, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found no shard"):
        WindowStore.open(tmp_path / "empty", ("EEG",), 1.0, tmp_path)
