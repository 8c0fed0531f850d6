"""Whole simulated data sets: same parameters, same bytes; the truth beside the data is the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from himoe.core.errors import InputError
from himoe.core.files import read_json
from himoe.datasets import deap, dreamer
from himoe.simulate import layouts
from himoe.simulate.effects import make_person
from himoe.simulate.generate import SimulationParams, simulate_deap, simulate_dreamer
from himoe.simulate.registry import SIMULATORS
from himoe.simulate.request import participants

SMALL = SimulationParams(subjects=2, trials=1, seed=11)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def bdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bdf")
    simulate_deap(root, SMALL, "bdf")
    return root


@pytest.fixture(scope="module")
def dat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, four trials; seed 11 loses sensors in several ways."""
    root = tmp_path_factory.mktemp("dat")
    simulate_deap(root, SimulationParams(subjects=3, trials=4, seed=11), "dat")
    return root


@pytest.fixture(scope="module")
def mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mat")
    simulate_dreamer(root, SimulationParams(subjects=3, trials=2, seed=11))
    return root


def test_same_bytes_whatever_the_jobs(bdf: Path, tmp_path: Path) -> None:
    SIMULATORS["deap"](tmp_path / "again", SMALL, {"layout": "bdf"}, 2)
    once, again = contents(bdf), contents(tmp_path / "again")
    assert set(once) == {
        "data_original/s01.bdf", "data_original/s24.bdf", "metadata_csv/participant_ratings.csv",
        "continuous_annotations.csv", "truth.json", "truth_trajectory.parquet", "truth_quality.parquet",
    }
    assert once == again


def test_dreamer_is_the_same_for_any_jobs_and_number_of_people(mat: Path, tmp_path: Path) -> None:
    SIMULATORS["dreamer"](tmp_path / "two", SimulationParams(subjects=3, trials=2, seed=11), {}, 2)
    assert contents(mat) == contents(tmp_path / "two")
    simulate_dreamer(tmp_path / "few", SimulationParams(subjects=2, trials=2, seed=11))
    for subject in ("s01", "s02"):
        pairs = list(zip(*(dreamer.DATASET.read(root, subject, {}) for root in (mat, tmp_path / "few"))))
        assert len(pairs) == 2
        for one, other in pairs:
            for modality in ("EEG", "ECG"):
                np.testing.assert_array_equal(one.signals[modality].data, other.signals[modality].data)


def test_participants_are_a_prefix_and_cover_both_sites() -> None:
    everybody = participants("deap", 32)
    assert sorted(everybody) == list(range(1, 33))
    for count in range(2, 33):
        few = participants("deap", count)
        assert few == everybody[:count]
        assert min(few) <= 22 < max(few)
    assert participants("dreamer", 3) == (1, 2, 3)
    assert participants("amigos", 5) == (1, 8, 15, 22, 29)
    assert sorted(participants("amigos", 40)) == list(range(1, 41))


def test_both_layouts_hold_the_same_people(bdf: Path, tmp_path: Path) -> None:
    simulate_deap(tmp_path / "dat", SMALL, "dat")
    one, other = contents(bdf), contents(tmp_path / "dat")
    for name in ("metadata_csv/participant_ratings.csv", "continuous_annotations.csv", "truth_trajectory.parquet"):
        assert one[name] == other[name]
    (session,) = deap.DATASET.read(bdf, "s24", {"layout": "bdf"})
    (cut,) = deap.DATASET.read(tmp_path / "dat", "s24", {"layout": "dat"})
    whole = session.signals["TEMP"].cut(session.trials[0].start_s, 60.0).data[0]
    short = cut.signals["TEMP"].cut(3.0, 60.0).data[0]
    np.testing.assert_allclose(short.reshape(-1, 32).mean(axis=1), whole.reshape(-1, 128).mean(axis=1), atol=0.01)


def test_dat_trials_are_in_video_order_with_their_ratings(dat: Path) -> None:
    table = pd.read_csv(dat / "metadata_csv" / "participant_ratings.csv")
    assert set(table["Participant_id"]) == {1, 15, 24}
    assert (table.loc[table["Participant_id"] == 15, "Familiarity"].isna()).all()
    assert table.loc[table["Participant_id"] != 15, "Familiarity"].between(1, 5).all()
    rows = table[table["Participant_id"] == 24].set_index("Experiment_id")
    sessions = list(deap.DATASET.read(dat, "s24", {"layout": "dat"}))
    assert [session.trials[0].stimulus for session in sessions] == ["v01", "v02", "v03", "v04"]
    for video, session in enumerate(sessions, start=1):
        assert session.signals["EEG"].data.shape == (32, 8064)
        assert session.trials[0].ratings["dominance"] == pytest.approx(rows.loc[video, "Dominance"])


def test_annotations_follow_the_true_trajectory(dat: Path) -> None:
    said = pd.read_csv(dat / "continuous_annotations.csv")
    true = pd.read_parquet(dat / "truth_trajectory.parquet")
    keys = ["participant", "video", "time_s"]
    assert len(true) == 3 * 4 * 241
    pd.testing.assert_frame_equal(said[keys], true[keys].astype(said[keys].dtypes))
    assert true["time_s"].max() == 60.0
    for name in ("valence", "arousal", "dominance", "liking"):
        assert np.corrcoef(said[name], true[name])[0, 1] > 0.95
        assert true[name].between(1, 9).all()


def test_dreamer_ratings_are_whole_and_lie_by_the_true_mean(mat: Path) -> None:
    true = pd.read_parquet(mat / "truth_trajectory.parquet").groupby(["participant", "video"]).mean()
    for participant in (1, 2, 3):
        for video, session in enumerate(dreamer.DATASET.read(mat, f"s{participant:02d}", {}), start=1):
            (trial,) = session.trials
            assert trial.duration_s == 60.0
            assert trial.annotations is not None
            assert set(trial.annotations.values) == {"valence", "arousal", "dominance"}
            for name, rating in trial.ratings.items():
                assert rating in (1, 2, 3, 4, 5)
                assert abs(rating - true.loc[(participant, video), name]) < 1.2
            assert session.signals["EEG"].duration_s == session.signals["ECG"].duration_s >= 65.0


def lost_samples(root: Path, dataset: Any, options: dict[str, str], person: dict[str, Any]) -> list[bool]:
    """For each recorded dropout inside a trial: are exactly its samples lost (0 or a gap)?"""
    sessions = {session.trials[0].stimulus: session
                for session in dataset.read(root, f"s{person['participant']:02d}", options)}
    found = []
    for dropout in person["dropouts"]:
        for part in dropout["trials"]:
            session = sessions[f"v{part['video']:02d}"]
            signal = session.signals[dropout["modality"]].cut(session.trials[0].start_s, 60.0)
            row = signal.ch_names.index(dropout["channel"]) if dropout["channel"] else slice(None)
            time_s = np.arange(signal.data.shape[1]) / signal.sfreq_hz
            values = np.atleast_2d(signal.data[row])
            gap = (np.isnan(values) | (values == 0)).all(axis=0)
            inside = (time_s > part["start_s"] + 0.02) & (time_s < part["stop_s"] - 0.02)
            outside = (time_s < part["start_s"] - 0.02) | (time_s > part["stop_s"] + 0.02)
            found.append(bool(gap[inside].all() and not gap[outside].any()))
    return found


def test_dropouts_of_the_truth_are_gaps_in_the_signals(dat: Path, mat: Path) -> None:
    found: list[bool] = []
    kinds = set()
    for root, dataset, options in ((dat, deap.DATASET, {"layout": "dat"}), (mat, dreamer.DATASET, {})):
        for person in read_json(root / "truth.json")["people"]:
            found += lost_samples(root, dataset, options, person)
            kinds |= {dropout["channel"] is None for dropout in person["dropouts"] if dropout["trials"]}
    assert len(found) >= 3
    assert all(found)
    assert kinds == {True, False}


def test_truth_says_simulated_and_holds_gains_and_lags(mat: Path, bdf: Path) -> None:
    for root, dataset in ((mat, "dreamer"), (bdf, "deap")):
        truth = read_json(root / "truth.json")
        assert truth["simulated"] is True
        assert truth["dataset"] == dataset
        assert truth["params"]["seed"] == 11
        person = truth["people"][0]
        made = make_person(11, dataset, person["participant"], "physiological")
        assert person["lags_s"] == made.lags_s
        assert person["gains"]["heart_rate"]["arousal"] == made.gains["heart_rate"][1]
        assert set(truth["effects"]) == set(person["gains"])


@pytest.mark.parametrize(("dataset", "subjects", "trials"), [("deap", 33, 1), ("deap", 1, 41), ("dreamer", 24, 1),
                                                             ("dreamer", 1, 19), ("seed", 16, 1), ("seed", 1, 16),
                                                             ("amigos", 41, 1), ("amigos", 1, 21)])
def test_more_than_the_data_set_has_is_refused(tmp_path: Path, dataset: str, subjects: int, trials: int) -> None:
    with pytest.raises(InputError, match=f"{dataset}.*at most"):
        SIMULATORS[dataset](tmp_path / "x", SimulationParams(subjects, trials, 0), {}, 1)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("values", [{"subjects": 0}, {"trials": -1}, {"seed": -1}, {"subjects": 1.5}, {"snr": -0.1},
                                    {"snr": float("nan")}])
def test_bad_parameters_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        SimulationParams(**({"subjects": 1, "trials": 1, "seed": 0} | values))


def test_simulated_files_never_join_others_and_replace_an_earlier_simulation(mat: Path, tmp_path: Path) -> None:
    (tmp_path / "s01.bdf").write_text("a real one")
    for name in SIMULATORS:
        with pytest.raises(InputError, match="real files do not mix"):
            SIMULATORS[name](tmp_path, SMALL, {}, 1)
    assert contents(tmp_path) == {"s01.bdf": b"a real one"}
    again = tmp_path / "again"
    simulate_dreamer(again, SimulationParams(2, 1, 0))
    (again / "stale").write_text("old")
    simulate_dreamer(again, SimulationParams(1, 1, 0))
    assert set(contents(again)) == {"DREAMER.mat", "continuous_annotations.csv", "truth.json",
                                    "truth_quality.parquet", "truth_trajectory.parquet"}


def test_a_broken_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(layouts, "write_annotations", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate_dreamer(tmp_path / "x", SimulationParams(1, 1, 0))
    assert list(tmp_path.iterdir()) == []
