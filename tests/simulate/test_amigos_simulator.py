"""A simulated AMIGOS: same parameters, same bytes; what the reader gets from it is what the truth says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io

from himoe.core.errors import InputError
from himoe.core.files import read_json
from himoe.core.recordings import DIMENSIONS, Session
from himoe.datasets import amigos as reader
from himoe.simulate import amigos
from himoe.simulate.generate import SimulationParams
from himoe.simulate.registry import SIMULATORS

FOUR = SimulationParams(subjects=4, trials=6, seed=5)  # people 1, 8, 15 and 22; four short videos, two long ones


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("amigos") / "set"
    SIMULATORS["amigos"](root, FOUR, {}, 1)
    return root


@pytest.fixture(scope="module")
def truth(made: Path) -> dict[int, dict[str, Any]]:
    return {person["participant"]: person for person in read_json(made / "truth.json")["people"]}


@pytest.fixture(scope="module")
def sessions(made: Path) -> dict[str, dict[str, Session]]:
    return {subject: {session.trials[0].trial: session for session in reader.read(made, subject, {})}
            for subject in ("s01", "s08", "s15", "s22")}


def test_same_bytes_for_any_jobs_and_fewer_people(made: Path, tmp_path: Path) -> None:
    SIMULATORS["amigos"](tmp_path / "few", SimulationParams(2, 6, 5), {}, 2)
    once, few = contents(made), contents(tmp_path / "few")
    files = [f"data_preprocessed/Data_Preprocessed_P{number:02d}.mat" for number in (1, 8, 15, 22)]
    others = ["continuous_annotations.csv", "truth.json", "truth_quality.parquet", "truth_trajectory.parquet"]
    assert sorted(once) == sorted([*files, *others])
    assert sorted(few) == sorted([*files[:2], *others])
    assert all(once[name] == few[name] for name in files[:2])
    SIMULATORS["amigos"](tmp_path / "again", SimulationParams(2, 6, 5), {}, 1)
    assert contents(tmp_path / "again") == few


@pytest.mark.parametrize("trials, n_short, n_long", [(1, 1, 0), (4, 4, 0), (5, 4, 1), (10, 8, 2), (19, 16, 3),
                                                     (20, 16, 4)])
def test_the_last_fifth_of_the_videos_is_long(trials: int, n_short: int, n_long: int) -> None:
    short, long = amigos.videos(trials, "additive")
    assert short == tuple(range(1, n_short + 1))
    assert long == tuple(range(17, 17 + n_long))
    assert all(55 <= amigos.video_s(3, video) <= 75 for video in short)
    assert all(90 <= amigos.video_s(3, video) <= 120 for video in long)


def test_the_file_has_the_layout_of_the_real_one(made: Path) -> None:
    path = made / "data_preprocessed" / "Data_Preprocessed_P01.mat"
    assert scipy.io.whosmat(path) == [("joined_data", (1, 20), "cell"), ("labels_selfassessment", (1, 20), "cell")]
    content = scipy.io.loadmat(path)
    for cell in range(20):
        data, label = content["joined_data"][0, cell], content["labels_selfassessment"][0, cell]
        if cell + 1 in (1, 2, 3, 4, 17, 18):
            assert data.shape == (round(128 * (5 + amigos.video_s(5, cell + 1))), 17)
            assert data.dtype == np.float64
            assert label.shape == (1, 12)
            assert set(label[0, 5:]) <= {0.0, 1.0}
            assert 1 <= label[0, 4] <= 9
        else:
            assert data.size == label.size == 0


def test_the_reader_gets_trials_visits_and_lengths(sessions: dict[str, dict[str, Session]]) -> None:
    assert list(sessions["s01"]) == ["v01", "v02", "v03", "v04", "v17", "v18"]
    assert list(sessions["s08"]) == ["v01", "v02", "v03", "v04"]
    for name, session in sessions["s01"].items():
        trial = session.trials[0]
        assert trial.session == ("long" if name in ("v17", "v18") else "short")
        assert (trial.start_s, trial.duration_s) == (5.0, amigos.video_s(5, int(name[1:])))
        assert session.signals["EEG"].duration_s == 5.0 + trial.duration_s


def test_ratings_and_annotations_follow_the_true_course(made: Path, sessions: dict[str, dict[str, Session]]) -> None:
    table = pd.read_parquet(made / "truth_trajectory.parquet")
    compared = 0
    for subject, trials in sessions.items():
        for name, session in trials.items():
            trial = session.trials[0]
            rows = table[(table["participant"] == int(subject[1:])) & (table["video"] == int(name[1:]))]
            assert trial.annotations is not None
            assert rows["time_s"].iloc[-1] == trial.duration_s == trial.annotations.time_s[-1]
            for dimension in DIMENSIONS:
                if np.isfinite(trial.ratings[dimension]):
                    compared += 1
                    assert abs(trial.ratings[dimension] - rows[dimension].mean()) < 1.6  # 5 SD of the noise
                late = np.interp(rows["time_s"] - 0.5, rows["time_s"], rows[dimension])
                assert np.abs(trial.annotations.values[dimension] - late).max() < 1.2  # 6 SD of the noise
    assert compared >= 4 * 15


def test_what_is_missing_is_what_the_truth_says(
    made: Path, truth: dict[int, dict[str, Any]], sessions: dict[str, dict[str, Session]]
) -> None:
    lost = truth[22]["missing"]
    (empty,), ((video, modality),) = lost["empty_data"], lost["nan_data"]
    assert set(sessions["s22"]) == {"v01", "v02", "v03", "v04", "v17", "v18"} - {f"v{empty:02d}"}
    assert modality not in sessions["s22"][f"v{video:02d}"].signals
    assert truth[1]["missing"]["empty_data"] == truth[8]["missing"]["empty_data"] == []
    assert truth[8]["second_day"] is None
    problems = " ".join(reader.inspect(made, {}).problems)
    assert f"P22.mat, cell {empty}: a label in labels_selfassessment but no data" in problems
    assert f"P22.mat, cell {video}: {modality} NaN" in problems


def test_some_labels_are_missing_in_a_large_set() -> None:
    gaps = [amigos.draw_gaps(5, number, (*range(1, 17), *range(17, 21))) for number in range(1, 41)]
    empty, nan = sum(len(gap.empty_label) for gap in gaps), sum(len(gap.nan_label) for gap in gaps)
    assert 16 <= empty <= 50  # of 800, chance 0.04
    assert 5 <= nan <= 31  # chance 0.02
    assert [number for number, gap in enumerate(gaps, start=1) if gap.empty_data] == [9, 12, 21, 22, 23, 24, 33]
    for gap in gaps:
        assert not set(gap.empty_data) & {video for video, _ in gap.nan_data}


def test_writing_refuses_what_the_set_does_not_have(tmp_path: Path) -> None:
    cell = {1: np.zeros((640, 17))}
    with pytest.raises(InputError, match="participant: found 41, expected 1 to 40"):
        amigos.write_amigos(tmp_path, 41, cell, {})
    with pytest.raises(InputError, match="joined_data: found cell 21, expected 1 to 20"):
        amigos.write_amigos(tmp_path, 1, {21: cell[1]}, {})
    with pytest.raises(InputError, match=r"joined_data\{1\}: found shape \(17, 640\), expected \(rows, 17\)"):
        amigos.write_amigos(tmp_path, 1, {1: cell[1].T}, {})
    assert not list(tmp_path.rglob("*.mat"))
