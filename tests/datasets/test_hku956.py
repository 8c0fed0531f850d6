"""HKU956 reader, on small files in the published layout and, where present, on the real ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_sets import write_song_ratings, write_stream

from himoe.core.errors import InputError
from himoe.datasets import hku956

FOLDER = hku956.SIGNALS[0]
DURATION_S = 12
LENGTHS = {"BVP": 64 * DURATION_S, "EDA": 4 * DURATION_S + 3, "TEMP": 4 * DURATION_S + 1, "HR": DURATION_S + 2}


def wave(stream: str) -> np.ndarray:
    return np.round(np.sin(np.arange(LENGTHS[stream])) + 2, 3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for person, records in (("hku1903", ("0_262957", "10_81740", "2_77934")), ("hku1904", ("0_81740",))):
        for record in records:
            for stream in LENGTHS:
                write_stream(tmp_path, person, stream, record, wave(stream))
            write_stream(tmp_path, person, "IBI", record, [0.75, 1.0, 0.5])
    rows = ["hku1903,0,262957,9.3,positive,1,positive,72", "hku1903,2,77934,,negative,-3,negative,73",
            "hku1903,10,81740,-0.1,negative,1.9,positive,41", "hku1904,0,81740,1,positive,-1.8,negative,66"]
    write_song_ratings(tmp_path, rows)
    return tmp_path


def sessions(root: Path, subject: str = "hku1903") -> list[Any]:
    return list(hku956.DATASET.read(root, subject, {}))


def test_trials_in_listening_order_with_ratings(root: Path) -> None:
    trials = [session.trials[0] for session in sessions(root)]
    assert [trial.trial for trial in trials] == ["00_262957", "02_77934", "10_81740"]
    assert [trial.stimulus for trial in trials] == ["262957", "77934", "81740"]
    assert trials[0].ratings == {"valence": 9.3, "arousal": 1.0}
    assert np.isnan(trials[1].ratings["valence"])
    assert trials[1].ratings["arousal"] == -3.0
    assert all(trial.duration_s == DURATION_S for trial in trials)


def test_streams_rates_and_values(root: Path) -> None:
    signals = sessions(root)[0].signals
    assert {m: s.sfreq_hz for m, s in signals.items()} == {"PPG": 64, "EDA": 4, "TEMP": 4, "HR": 1, "IBI": 4}
    np.testing.assert_allclose(signals["PPG"].data[0], wave("BVP"), rtol=1e-6)
    np.testing.assert_allclose(signals["HR"].data[0], wave("HR"), rtol=1e-6)


def test_interval_grid_by_hand_and_slow_loop() -> None:
    # Intervals 0.75, 1.0, 0.5: on at [0, 0.75), [0.75, 1.75), [1.75, 2.25).
    grid = hku956.interval_grid("x", np.array([0.75, 1.0, 0.5], dtype=np.float32))
    assert grid.tolist() == [[0.75, 0.75, 0.75, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]]
    intervals = np.random.default_rng(3).uniform(0.4, 1.3, 17).astype(np.float32)
    slow, onset = [], 0.0
    for interval in intervals:
        while len(slow) / 4 < onset + interval:
            slow.append(interval)
        onset += float(interval)
    np.testing.assert_array_equal(hku956.interval_grid("x", intervals)[0], slow)


def test_intervals_end_in_a_gap_when_cut(root: Path) -> None:
    session = sessions(root)[0]
    cut = session.signals["IBI"].cut(0.0, session.trials[0].duration_s)
    assert np.isfinite(cut.data[0, :9]).all()
    assert np.isnan(cut.data[0, 9:]).all()


def test_empty_and_missing_files_are_missing_modalities(root: Path) -> None:
    write_stream(root, "hku1903", "IBI", "0_262957", [])
    (root / FOLDER / "hku1903" / "TEMP" / "2_77934.csv").unlink()
    with open(root / hku956.RATINGS, "a") as stream:
        stream.write("hku1999,0,7,1,positive,2,positive,50\n")  # rated, without files
    for name in LENGTHS:
        write_stream(root, "hku1904", name, "1_5", wave(name))  # files, not rated
    found = hku956.DATASET.inspect(root, {})
    assert found.subjects == ("hku1903", "hku1904")
    assert sorted(found.missing) == [
        f"{FOLDER}/hku1903/TEMP/2_77934.csv", f"{FOLDER}/hku1904/IBI/1_5.csv", f"{FOLDER}/hku1999"]
    assert any("1 records have no row" in text for text in found.problems)
    assert np.isnan(sessions(root, "hku1904")[1].trials[0].ratings["valence"])
    assert "1 files are empty" in found.problems[0]
    first, second, _ = sessions(root)
    assert set(first.signals) == {"PPG", "EDA", "TEMP", "HR"}
    assert set(second.signals) == {"PPG", "EDA", "HR", "IBI"}


def test_flat_eda_is_a_gap_all_through(root: Path) -> None:
    flat = 0.09 + 0.001281 * (np.arange(48) % 9 == 0)  # one quantisation step, now and then
    assert flat.std() < 0.001
    write_stream(root, "hku1903", "EDA", "0_262957", flat)
    write_stream(root, "hku1903", "EDA", "2_77934", 0.09 + 0.004 * (np.arange(48) % 2))
    first, second, _ = sessions(root)
    assert np.isnan(first.signals["EDA"].data).all()
    assert np.isfinite(second.signals["EDA"].data).all()
    assert first.trials[0].duration_s == DURATION_S


def test_record_with_intervals_only_is_left_out(root: Path) -> None:
    for stream in LENGTHS:
        (root / FOLDER / "hku1903" / stream / "2_77934.csv").unlink()
    assert [session.trials[0].trial for session in sessions(root)] == ["00_262957", "10_81740"]


@pytest.mark.parametrize("values, message", [
    (["1.0", "x7", "2"], r"0_262957.csv: value 2.*'x7'"), (["1.0", "inf"], "infinite")])
def test_bad_values_are_named(root: Path, values: list[str], message: str) -> None:
    write_stream(root, "hku1903", "BVP", "0_262957", values)
    with pytest.raises(InputError, match=message):
        sessions(root)


def test_bad_interval_is_named(root: Path) -> None:
    write_stream(root, "hku1903", "IBI", "0_262957", [0.8, -0.8])
    with pytest.raises(InputError, match=r"IBI.*above 0"):
        sessions(root)


def test_bad_ratings_are_named(root: Path) -> None:
    path = root / hku956.RATINGS
    text = path.read_text()
    path.write_text(text.replace("9.3", "very"))
    with pytest.raises(InputError, match=r"row 1, column 'valence_rating': found 'very'"):
        sessions(root)
    path.write_text(text.replace("arousal_rating", "arousal_score"))
    with pytest.raises(InputError, match="no column 'arousal_rating'"):
        hku956.DATASET.inspect(root, {})


def test_foreign_file_name_unknown_person_and_an_empty_folder(root: Path,
                                                              tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError, match="missing"):
        hku956.DATASET.inspect(tmp_path_factory.mktemp("empty"), {})
    with pytest.raises(InputError, match="missing"):
        sessions(root, "hku2000")
    write_stream(root, "hku1903", "BVP", "notes", [1])
    with pytest.raises(InputError, match="song_no"):
        sessions(root)


def test_real_files() -> None:
    place = os.environ.get("HIMOE_HKU956_PATH")
    if not place:
        pytest.skip("HIMOE_HKU956_PATH is not set: the real HKU956 files are not here")
    root = Path(place)
    found = hku956.DATASET.inspect(root, {})
    assert len(found.subjects) == 30
    assert any(text.startswith("19 files are empty") for text in found.problems)
    all_sessions = [session for subject in found.subjects for session in sessions(root, subject)]
    assert len(all_sessions) == 956
    assert sum(bool(np.isnan(s.signals["EDA"].data).all()) for s in all_sessions) == 24
    assert sum("IBI" not in s.signals for s in all_sessions) == 19
    assert sum(int((s.trials[0].duration_s - 4) // 2 + 1) for s in all_sessions) > 20_000
