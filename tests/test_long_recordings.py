"""What is too long for memory gives the same as what is not: signals, trials on disk, windows, shards."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from himoe.core import long_arrays
from himoe.core.disk_array import DiskArray
from himoe.core.errors import InputError
from himoe.core.params import FilterParams, WindowParams
from himoe.core.recordings import Recording, Signal
from himoe.prepare import pieces, signals
from himoe.prepare.recording_files import read_recordings, write_recordings
from himoe.prepare.window_arrays import picked, stacked, taken
from himoe.prepare.windows import ShardMeta, read_shard, window_table, write_shard

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("Fz", "Cz", "Pz", "Oz", "C3", "C4", "P3", "P4", "F3")
META = ShardMeta("toy", {}, {"EDA": {"channels": ["a"], "samples": 16, "sfreq_hz": 4.0, "unit": "uS"},
                             "EEG": {"channels": list(NAMES), "samples": 64, "sfreq_hz": 16.0, "unit": "uV"}},
                 ("valence",), (1.0, 9.0), (5.0,), 4.0, 2.0, "trial")


@pytest.fixture
def all_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing fitted into memory."""
    monkeypatch.setattr(long_arrays, "LONG_BYTES", -1)


def walk(channels: int, n_samples: int) -> np.ndarray:
    """A random walk with gaps: one at the end, one over several stretches, a channel of nothing else."""
    data = (30 + np.random.default_rng(0).normal(size=(channels, n_samples)).cumsum(axis=1)).astype(np.float32)
    data[0, -n_samples // 40:] = np.nan
    data[1, n_samples // 4:n_samples // 2] = np.nan
    data[2] = np.nan
    return data


@pytest.mark.parametrize(("sfreq_hz", "target_hz", "band_hz"), [
    (50.0, 16.0, (0.5, 6.0)), (7.0, 3.0, (None, 1.0)), (32.0, None, (2.0, 8.0)), (16.0, 32.0, (None, None)),
])
def test_filtering_in_stretches_is_filtering_the_whole(
        monkeypatch: pytest.MonkeyPatch, sfreq_hz: float, target_hz: float | None,
        band_hz: tuple[float | None, float | None]) -> None:
    signal = Signal(walk(4, int(400 * sfreq_hz) + 5), sfreq_hz, NAMES[:4], "uV")
    whole = signals.clean_signal(signal, FilterParams(target_hz, band_hz)).data
    monkeypatch.setattr(signals, "LONG_S", 100.0)
    monkeypatch.setattr(pieces, "PIECE_S", 30.0)
    found = signals.clean_signal(signal, FilterParams(target_hz, band_hz)).data
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(whole))
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6 * np.nanmax(np.abs(whole)))


def test_eeg_in_stretches_is_repaired_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = walk(9, 256 * 40 + 3)
    data[3] *= 1000  # far off the others
    signal, spec = Signal(data, 256.0, NAMES, "uV"), FilterParams(128.0, (4.0, 45.0))
    whole = signals.clean_eeg(signal, spec).data
    monkeypatch.setattr(signals, "LONG_S", 10.0)
    monkeypatch.setattr(pieces, "PIECE_S", 5.0)
    monkeypatch.setattr(long_arrays, "STRETCH_BYTES", 4 * 9 * 1000)
    found = signals.clean_eeg(signal, spec).data
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6 * np.nanmax(np.abs(whole)))
    assert np.abs(whole[3]).max() < 10 * np.abs(whole[4]).max()  # it was replaced


def recording(trial: str, seconds: float) -> Recording:
    rng = np.random.default_rng(len(trial))
    eeg = rng.normal(size=(9, round(16 * seconds))).astype(np.float32)
    eeg[3, 5:40] = np.nan
    eda = np.round(rng.normal(size=(1, round(4 * seconds) - 9))).astype(np.float32)  # ends early, values come again
    return Recording("s", trial, "clip", seconds, {"EDA": Signal(eda, 4.0, ("a",), "uS"),
                                                   "EEG": Signal(eeg, 16.0, NAMES, "uV")}, {"valence": 3.0})


def test_long_trials_and_windows_are_those_of_short_ones(
        tmp_path: Path, request: pytest.FixtureRequest) -> None:
    params, given = WindowParams(4.0, 2.0, "trial", 0.5), [recording("1", 60.0), recording("22", 2200.0)]
    index, arrays = window_table(given, META, params)
    write_shard(tmp_path / "short.parquet", index, arrays, META)
    request.getfixturevalue("all_long")
    about = write_recordings(tmp_path, "s", given)
    again = read_recordings(tmp_path, "s")
    assert [len(about["modalities"]["EEG"]["channels"]), [one.trial for one in again]] == [9, ["1", "22"]]
    assert all(isinstance(signal.data, np.memmap) for one in again for signal in one.signals.values())
    same, long = window_table(again, META, params)
    pd.testing.assert_frame_equal(same, index)
    assert all(isinstance(array, DiskArray) for array in long.values())
    write_shard(tmp_path / "long.parquet", same, long, META)
    for name in ("short", "long"):
        found, read, meta = read_shard(tmp_path / f"{name}.parquet")
        assert meta == META
        assert len(found) == 29 + 1099
        pd.testing.assert_frame_equal(found, index)
        for modality, array in arrays.items():
            absent = index[f"completeness_{modality}"].to_numpy() == 0
            np.testing.assert_array_equal(read[modality], np.where(absent[:, None, None], 0, array))


def test_a_disk_array_takes_rows_and_channels_and_leaves_nothing_behind(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_long: None) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = np.arange(7 * 3 * 5, dtype=np.float32).reshape(7, 3, 5)
    array = DiskArray.temporary(data.shape)
    array[0:7] = data
    view, rows = picked(array, [2, 0]), np.array([5, 1, 6])
    both = stacked([taken(view, rows), data[:2, [2, 0]]])
    del array
    assert both.shape == (5, 2, 5)
    assert len(list(tmp_path.iterdir())) == 2  # the view holds the file
    np.testing.assert_array_equal(both[:], np.concatenate([data[rows], data[:2]])[:, [2, 0]])
    np.testing.assert_array_equal(view[rows], data[rows][:, [2, 0]])
    del view, both
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(long_arrays.os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match=r"no room for 4 MiB \(No space left on device\)"):
        long_arrays.room((2, 2**19))


@pytest.mark.nightly
def test_hours_of_recording_stay_below_a_gibibyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    bench = importlib.import_module("bench.soak")
    found = bench.soak(5.0, 8, tmp_path / "work")
    assert set(found) == {"preprocess", "window", "predict"}
    assert max(one["peak_mib"] for one in found.values()) < bench.LIMIT_MIB, found
    frame = pd.read_csv(tmp_path / "work" / "predictions.csv")
    assert len(frame) == 5 * 1800 - 1
    assert frame["predicted"].notna().all()
