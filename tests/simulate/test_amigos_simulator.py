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
from himoe.simulate import amigos, latent
from himoe.simulate.effects import make_person
from himoe.simulate.generate import SimulationParams
from himoe.simulate.registry import SIMULATORS
from himoe.simulate.request import participants
from himoe.simulate.timeline import DRIVER_PER_LATENT

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


def test_another_seed_gives_other_bytes(made: Path, tmp_path: Path) -> None:
    SIMULATORS["amigos"](tmp_path / "other", SimulationParams(1, 6, 6), {}, 1)
    name = "data_preprocessed/Data_Preprocessed_P01.mat"
    assert (made / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_the_people_come_in_one_order() -> None:
    assert participants("amigos", 5) == (1, 8, 15, 22, 29)
    assert sorted(participants("amigos", 40)) == list(range(1, 41))


@pytest.mark.parametrize("trials, n_short, n_long", [(1, 1, 0), (4, 4, 0), (5, 4, 1), (10, 8, 2), (19, 16, 3),
                                                     (20, 16, 4)])
def test_the_last_fifth_of_the_videos_is_long(trials: int, n_short: int, n_long: int) -> None:
    short, long = amigos.videos(trials, "additive")
    assert short == tuple(range(1, n_short + 1))
    assert long == tuple(range(17, 17 + n_long))
    assert all(55 <= amigos.video_s(3, video) <= 75 for video in short)
    assert all(90 <= amigos.video_s(3, video) <= 120 for video in long)


def test_the_days_follow_one_another_with_room_for_every_baseline() -> None:
    time, day_s = amigos.timeline(5, 1, 10, "additive")
    assert sorted(time.videos) == [1, 2, 3, 4, 5, 6, 7, 8, 17, 18]
    assert time.videos[:8] != tuple(range(1, 9))
    starts, ends = np.array(time.start_s), np.array(time.start_s) + np.array(time.length_s)
    assert ((starts * 4) % 1 == 0).all()
    assert starts[0] >= 5
    assert (starts[1:] - ends[:-1] >= 12).all()
    assert ends[7] < day_s < starts[8] - 5
    assert ends[-1] < time.duration_s
    first_only, end_s = amigos.timeline(5, 8, 10, "additive")
    assert max(first_only.videos) == 8
    assert end_s == first_only.duration_s


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


def test_a_gap_of_label_reaches_the_file(tmp_path: Path) -> None:
    labels = {3: np.full((1, 12), 5.0), 4: np.full((1, 12), 6.0), 5: np.full((1, 12), 7.0)}
    kept = amigos._with_gaps(labels, amigos.Gaps((), (), (3,), (4,)))
    assert list(kept) == [4, 5]
    assert np.isnan(kept[4]).all()
    assert (kept[5] == 7).all()


def test_the_second_day_differs_as_told() -> None:
    person, (time, day_s) = make_person(5, "amigos", 1, "additive"), amigos.timeline(5, 1, 5, "additive")
    driver = np.zeros((4, round(time.duration_s * latent.LATENT_HZ) + 1))
    gain = tuple(np.linspace(0.7, 1.3, 14).tolist())
    same = amigos.SecondDay((1.0,) * 14, (1.0, 1.0), 0.0, 0.0)
    other = amigos.SecondDay(gain, (1.5, 0.5), 12.0, 0.4)
    one, two = (amigos.signals(person, driver, time.duration_s, 5, 1.0, day_s, day) for day in (same, other))
    first = round(day_s * 128)
    for name, settle_s in (("EEG", 0), ("ECG", 1), ("EDA", 1)):
        before = slice(0, first - 128 * settle_s)  # rate and level are interpolated over a quarter of a second
        np.testing.assert_array_equal(one[name][:, before], two[name][:, before])
    np.testing.assert_allclose(two["EEG"][:, first:], one["EEG"][:, first:] * np.array(gain)[:, None], rtol=1e-5)
    level = np.log(np.median(two["EDA"][0, first:]) / np.median(one["EDA"][0, first:]))
    assert 0.2 < level <= 0.4  # the responses on top of the level keep their size
    rate = [beats_per_min(made["ECG"][0, first:]) for made in (one, two)]
    assert 11 < rate[1] - rate[0] < 13
    spread = [np.ptp(made["ECG"][:, first + 1280:], axis=1) for made in (one, two)]
    np.testing.assert_allclose(spread[1] / spread[0], (1.5, 0.5), rtol=0.1)


def beats_per_min(lead: np.ndarray) -> float:
    from scipy.signal import find_peaks

    beats, _ = find_peaks(lead, height=np.median(lead) + 0.5 * (lead.max() - np.median(lead)), distance=40)
    return 60 * 128 / float(np.diff(beats).mean())


def test_emotion_moves_the_signals() -> None:
    """The heart beats faster for a driver of high arousal than for none, by the person's own gain."""
    person, (time, day_s) = make_person(5, "amigos", 1, "additive"), amigos.timeline(5, 1, 5, "additive")
    n_samples, day = round(time.duration_s * latent.LATENT_HZ) + 1, amigos.second_day(5, 1)
    calm, excited = np.zeros((4, n_samples)), np.zeros((4, n_samples))
    excited[1] = DRIVER_PER_LATENT
    low, high = (amigos.signals(person, driver, time.duration_s, 5, 1.0, day_s, day) for driver in (calm, excited))
    gained = beats_per_min(high["ECG"][0]) - beats_per_min(low["ECG"][0])
    assert gained == pytest.approx(DRIVER_PER_LATENT * person.gains["heart_rate"][1], abs=1.0)


def test_writing_refuses_what_the_set_does_not_have(tmp_path: Path) -> None:
    cell = {1: np.zeros((640, 17))}
    with pytest.raises(InputError, match="participant: found 41, expected 1 to 40"):
        amigos.write_amigos(tmp_path, 41, cell, {})
    with pytest.raises(InputError, match="joined_data: found cell 21, expected 1 to 20"):
        amigos.write_amigos(tmp_path, 1, {21: cell[1]}, {})
    with pytest.raises(InputError, match=r"joined_data\{1\}: found shape \(17, 640\), expected \(rows, 17\)"):
        amigos.write_amigos(tmp_path, 1, {1: cell[1].T}, {})
    assert not list(tmp_path.rglob("*.mat"))


def test_limits_and_foreign_files_are_refused(tmp_path: Path) -> None:
    for params, message in ((SimulationParams(41, 1, 0), "subjects: found 41, expected at most 40"),
                            (SimulationParams(1, 21, 0), "trials: found 21, expected at most 20")):
        with pytest.raises(InputError, match=message):
            amigos.simulate_amigos(tmp_path / "set", params, {})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"files but no truth\.json"):
        amigos.simulate_amigos(tmp_path, SimulationParams(1, 1, 0), {})
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
