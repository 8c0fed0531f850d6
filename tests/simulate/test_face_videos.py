"""Simulated face videos as files: which exist, what they show, the truth beside them, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from himoe.core.files import read_json
from himoe.core.params import VideoParams
from himoe.simulate import face
from himoe.simulate.effects import driver_terms, make_person
from himoe.simulate.face_units import UNITS, make_response
from himoe.simulate.generate import SimulationParams, simulate_deap
from himoe.simulate.sessions import deap_session

SEED = 11
TINY = VideoParams(2.0, 80, 64)


def make_session(participant: int, trials: int, snr: float = 4.0) -> tuple[face.FaceSession, np.ndarray]:
    """A person's session and the driver behind it."""
    session = deap_session(SEED, participant, trials, "physiological")
    return face.face_session(session, SEED, snr), session.driver


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same two people (one of them not filmed) with and without videos, and with videos once more."""
    made = {}
    for name, video, jobs in (("without", None, 1), ("with", TINY, 1), ("again", TINY, 2)):
        made[name] = tmp_path_factory.mktemp(name) / "deap"
        simulate_deap(made[name], SimulationParams(2, 2, SEED, video=video), "dat", jobs)
    return made


def test_videos_change_no_other_file(roots: dict[str, Path]) -> None:
    without, filmed = contents(roots["without"]), contents(roots["with"])
    videos = {f"face_video/s01/s01_trial{order:02d}.avi" for order in (1, 2)}
    assert set(filmed) - set(without) == videos | {"truth_action_units.parquet"}
    assert [name for name in without if without[name] != filmed[name]] == ["truth.json"]
    plain, told = read_json(roots["without"] / "truth.json"), read_json(roots["with"] / "truth.json")
    assert told["params"].pop("video") == {"fps_hz": 2.0, "width_px": 80, "height_px": 64}
    assert plain["params"].pop("video", None) is None
    faces = [person.pop("face") for person in told["people"]]
    assert told == plain
    assert [person["participant"] for person in told["people"]] == [1, 24]
    assert faces[1] is None  # DEAP filmed participants 1 to 22
    response = make_response(SEED, make_person(SEED, "deap", 1, "physiological"))
    assert faces[0]["lag_s"] == response.lag_s
    assert faces[0]["gains"]["AU12"]["valence"] == response.gains[UNITS.index("AU12"), 0]


def test_the_same_bytes_whatever_the_jobs(roots: dict[str, Path]) -> None:
    assert contents(roots["with"]) == contents(roots["again"])


def test_a_video_lasts_its_trial(roots: dict[str, Path]) -> None:
    with av.open(str(roots["with"] / "face_video" / "s01" / "s01_trial02.avi")) as container:
        stream = container.streams.video[0]
        assert (stream.frames, float(stream.average_rate), stream.width, stream.height) == (120, 2.0, 80, 64)
        assert sum(1 for _ in container.decode(stream)) == 120


def test_the_table_of_action_units_is_what_the_videos_show(roots: dict[str, Path]) -> None:
    table = pd.read_parquet(roots["with"] / "truth_action_units.parquet")
    assert list(table) == ["participant", "video", "time_s", *UNITS, "face_visible"]
    assert set(table["participant"]) == {1}
    assert len(table) == 2 * 241
    session, _ = make_session(1, 2)
    session_default, _ = make_session(1, 2, snr=SimulationParams(2, 2, SEED).snr)
    for order, video in enumerate(session.timeline.videos, start=1):
        rows = table[table["video"] == video]
        course = session_default.course(order, rows["time_s"].to_numpy())
        np.testing.assert_allclose(rows[list(UNITS)], course.units, atol=1e-6)
        np.testing.assert_array_equal(rows["face_visible"], course.hidden == 0)
        assert not np.allclose(rows[list(UNITS)], session.course(order, rows["time_s"].to_numpy()).units, atol=1e-3)


def test_which_videos_are_missing() -> None:
    assert [participant for participant in range(1, 33) if face.filmed_trials(participant, 40)] == list(range(1, 23))
    lost = {participant: 40 - len(face.filmed_trials(participant, 40)) for participant in range(1, 23)}
    assert {participant: n for participant, n in lost.items() if n} == {3: 1, 5: 1, 11: 3, 14: 1}
    assert list(face.filmed_trials(11, 5)) == [1, 2]
    assert list(face.filmed_trials(11, 2)) == []


def test_the_last_trials_of_a_short_tape_have_no_file_and_no_truth(tmp_path: Path) -> None:
    session, _ = make_session(11, 4)
    face.write_faces(tmp_path, session, TINY)
    assert list(contents(tmp_path)) == ["face_video/s11/s11_trial01.avi"]
    table, truth = face.unit_table(session), face.face_truth(session)
    assert table is not None
    assert truth is not None
    assert truth["videos"] == list(table["video"].unique()) == [session.timeline.videos[0]]
    nobody, _ = make_session(30, 4)
    face.write_faces(tmp_path, nobody, TINY)
    assert face.unit_table(nobody) is face.face_truth(nobody) is None
    assert len(contents(tmp_path)) == 1


@pytest.mark.parametrize(("participant", "world", "snr"), [(1, "additive", 8.0), (15, "physiological", 3.0)])
def test_the_face_follows_what_the_person_felt_a_lag_ago(participant: int, world: str, snr: float) -> None:
    """Through the whole chain: driver of the session, action units at the times of frames on the videos' clocks."""
    session = deap_session(SEED, participant, 6, world)
    filmed = face.face_session(session, SEED, snr)
    clock_s, frame_s = np.arange(session.driver.shape[1]) / 4, np.arange(300) / 5
    units = np.stack([filmed.course(order, frame_s).units for order in range(1, 7)])  # (6, 300, U)
    shown = np.log(units / (1 - units))
    wanted = filmed.response.gains @ driver_terms(session.driver, filmed.response.gains.shape[1])
    lags_s = [filmed.response.trial_lag(session, trial) for trial in range(6)]
    late_s = np.arange(-1.0, 1.5, 0.05)
    scores = np.zeros(len(late_s))
    for k, late in enumerate(late_s):
        felt = np.stack([[np.interp(start_s + frame_s - lag_s - late, clock_s, row) for row in wanted]
                         for start_s, lag_s in zip(session.timeline.start_s, lags_s)])  # (6, U, 300)
        scores[k] = np.mean([np.corrcoef(felt[:, u].ravel(), shown[:, :, u].ravel())[0, 1] for u in range(len(UNITS))])
    assert scores.max() > 0.85
    assert late_s[int(np.argmax(scores))] == pytest.approx(0.0, abs=0.15)
    assert (len(set(lags_s)) == 6) == (world == "physiological")
