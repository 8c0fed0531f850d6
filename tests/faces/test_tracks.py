"""Face tracks on disk, and the modality FACE made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from himoe.core.errors import InputError
from himoe.core.files import write_json
from himoe.core.recordings import Recording, Session, Signal, Trial
from himoe.prepare.faces.tracks import (
    FaceAbout,
    FaceTrack,
    attach_face,
    face_facts,
    face_signal,
    read_about,
    read_track,
    track_path,
    write_track,
)
from himoe.prepare.facts import merge_facts, session_facts

ABOUT = {"fps_hz": 2.0, "detector": "haar", "source": {"fps_hz": 25.0, "size_px": [720, 576]}}


def make_track(frames: int = 6, fps_hz: float = 2.0, hidden: tuple[int, ...] = (1, 4), features: int = 7) -> FaceTrack:
    """Samples in the middle of their frames; no face in the frames *hidden*."""
    rng = np.random.default_rng(frames)
    time_s = (np.arange(frames) + 0.5) / fps_hz
    parts = [rng.random(shape, dtype=np.float32) for shape in ((frames,), (frames, 3), (frames, features))]
    for part in parts:
        part[list(hidden)] = np.nan
    return FaceTrack(time_s, *parts)


# --- on disk ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("frames", [1, 6])
def test_a_track_is_read_as_it_was_written(tmp_path: Path, frames: int) -> None:
    track = make_track(frames, hidden=(0,))
    write_track(tmp_path / "s01" / "v05.parquet", track, ABOUT)
    found = read_track(tmp_path / "s01" / "v05.parquet")
    for name in ("time_s", "confidence", "box", "features"):
        np.testing.assert_array_equal(getattr(found, name), getattr(track, name), strict=True)
    assert [path.name for path in (tmp_path / "s01").iterdir()] == ["v05.parquet"]


def test_a_track_is_a_table_that_pandas_opens(tmp_path: Path) -> None:
    track = make_track()
    write_track(tmp_path / "a.parquet", track, ABOUT)
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table) == ["time_s", "confidence", "left_px", "top_px", "side_px", "features"]
    np.testing.assert_array_equal(table["top_px"], track.box[:, 1])
    np.testing.assert_array_equal(np.stack(table["features"]), track.features)


def no_parquet(path: Path) -> None:
    path.write_text("time_s,confidence\n", encoding="utf-8")


def cut_off(path: Path) -> None:
    write_track(path, make_track(), ABOUT)
    path.write_bytes(path.read_bytes()[:-20])


def other_table(path: Path) -> None:
    pd.DataFrame({"time_s": [0.5]}).to_parquet(path)


@pytest.mark.parametrize(("make", "words"), [
    (lambda path: None, ("the file is missing",)), (Path.touch, ("no Parquet file", "a face track")),
    (no_parquet, ("no Parquet file",)), (cut_off, ("no Parquet file", "face stage")),
    (other_table, ("no 'himoe.face'", "a face track", "face stage")),
])
def test_a_file_that_is_no_track_is_refused(tmp_path: Path, make: Any, words: tuple[str, ...]) -> None:
    path = tmp_path / "v01.parquet"
    make(path)
    with pytest.raises(InputError) as error:
        read_track(path)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in ("v01.parquet", *words)), error.value


# --- the modality -------------------------------------------------------------------------------------------------

def slow_signal(track: FaceTrack, fps_hz: float, n_frames: int) -> np.ndarray:
    """(E, N): what is seen between k / fps and (k + 1) / fps, frame by frame."""
    data = np.full((track.features.shape[1], n_frames), np.nan, dtype=np.float32)
    for time_s, values in zip(track.time_s, track.features, strict=True):
        for k in range(n_frames):
            if k / fps_hz - 1e-6 / fps_hz <= time_s < (k + 1) / fps_hz - 1e-6 / fps_hz:
                data[:, k] = values
    return data


@pytest.mark.parametrize(("fps_hz", "duration_s", "n_frames"), [
    (2.0, 3.0, 6), (2.0, 5.0, 10), (2.0, 2.0, 4), (3.0, 2.0, 6), (12.5, 0.48, 6), (0.1, 60.0, 6)])
def test_frames_stand_where_they_were_seen(fps_hz: float, duration_s: float, n_frames: int) -> None:
    """A trial as long as its video, longer, shorter; rates that no computer number holds."""
    track = make_track(6, fps_hz)
    signal = face_signal(track, fps_hz, duration_s)
    assert (signal.sfreq_hz, signal.unit, signal.start_s) == (fps_hz, "a.u.", 0.0)
    assert signal.data.dtype == np.float32
    assert signal.data.shape == (7, n_frames)
    np.testing.assert_array_equal(signal.data, slow_signal(track, fps_hz, n_frames))
    shown = min(6, n_frames)
    gaps = np.isnan(signal.data).all(0)
    assert gaps.tolist() == [k in (1, 4) or k >= shown for k in range(n_frames)]
    assert np.isfinite(signal.data[:, ~gaps]).all()


def make_recording(trial: str = "v05", duration_s: float = 3.0) -> Recording:
    signals = {"EDA": Signal(np.zeros((1, 12), np.float32), 4.0, ("GSR",), "uS")}
    return Recording("s01", trial, trial, duration_s, signals, {"valence": 3.0}, session="b")


def test_a_recording_gets_the_face_of_its_own_trial(tmp_path: Path) -> None:
    about = FaceAbout(2.0, "a network", {"s01/v05": {"fps_hz": 25.0, "width_px": 720, "height_px": 576}})
    track = make_track()
    write_track(track_path(tmp_path, "s01", "v05"), track, ABOUT)
    recording = make_recording()
    found = attach_face(recording, tmp_path, about)
    assert list(found.signals) == ["EDA", "FACE"]
    assert found.signals["EDA"] is recording.signals["EDA"]
    np.testing.assert_array_equal(found.signals["FACE"].data, track.features.T)
    assert found.signals["FACE"].sfreq_hz == 2.0
    assert list(recording.signals) == ["EDA"]  # the one given stays as it was
    assert replace(found, signals=recording.signals) == recording


def test_a_recording_without_a_readable_video_stays_as_it_is(tmp_path: Path) -> None:
    about = FaceAbout(2.0, "a network", {"s01/v05": {}, "s02/v06": {}})
    recording = make_recording("v06")
    assert attach_face(recording, tmp_path, about) is recording
    assert attach_face(recording, tmp_path, None) is recording


# --- what is said of them -----------------------------------------------------------------------------------------

def entry(problem: str | None = None, width_px: int = 720) -> dict[str, Any]:
    return {"frames": 12, "faces": 9, "fps_hz": 25.0, "width_px": width_px, "height_px": 576, "problem": problem}


def write_about(folder: Path, videos: dict[str, Any]) -> Path:
    write_json(folder / "faces.json", {"network": "EfficientNet-B0, random weights (seed 3)", "detector": "OpenCV Haar",
                                       "params": {"fps_hz": 2, "size_px": 64}, "videos": videos})
    return folder


def test_damaged_videos_do_not_count(tmp_path: Path) -> None:
    damaged = "s01_trial02.avi: found a file that ends early, expected a whole video; copy it again."
    about = read_about(write_about(tmp_path, {"s01/v01": entry(), "s01/v02": entry(damaged), "s03/v01": entry()}))
    assert about is not None
    assert list(about.videos) == ["s01/v01", "s03/v01"]
    assert (about.fps_hz, type(about.fps_hz)) == (2.0, float)
    assert about.label == ("EfficientNet-B0, random weights (seed 3), 2 frames per second at 64 px; "
                           "faces by OpenCV Haar")


def test_a_set_without_readable_videos_has_no_faces(tmp_path: Path) -> None:
    write_json(tmp_path / "none" / "faces.json", {"videos": {}})
    assert read_about(tmp_path / "none") is None
    assert read_about(write_about(tmp_path / "damaged", {"s01/v01": entry("a.avi: empty.")})) is None


@pytest.mark.parametrize("text", [None, "", '{"videos": {'])
def test_a_lost_or_cut_off_description_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "faces.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"faces\.json: (the file is missing|found text that is not JSON)"):
        read_about(tmp_path)


def make_session(subject: str, *trials: str) -> Session:
    signals = {"EDA": Signal(np.zeros((1, 40), np.float32), 4.0, ("GSR",), "uS")}
    return Session(subject, signals, tuple(Trial(name, name, 3.0 * k, 3.0, {"valence": 5.0 + k})
                                           for k, name in enumerate(trials)))


def test_facts_count_the_videos_as_read(tmp_path: Path) -> None:
    about = read_about(write_about(tmp_path, {"s01/v01": entry(), "s01/v02": entry("damaged"), "s01/v03": entry(),
                                              "s02/v01": entry()}))
    sessions = [make_session("s01", "v01", "v02", "v03"), make_session("s02", "v01", "v02"), make_session("s03", "v01")]
    facts = [face_facts(session_facts(session), session, about) for session in sessions]
    assert facts[0]["modalities"]["FACE"] == {"channels": 1, "sfreq_hz": 25.0, "unit": "720 x 576 px", "trials": 2}
    assert facts[1]["modalities"]["FACE"]["trials"] == 1
    assert facts[2] == session_facts(sessions[2])
    assert all({**part, "modalities": {"EDA": part["modalities"]["EDA"]}} == session_facts(session)
               for part, session in zip(facts, sessions, strict=True))
    merged = merge_facts(facts, (1.0, 9.0))["modalities"]
    assert merged["FACE"] == {"channels": 1, "sfreq_hz": 25.0, "unit": "720 x 576 px", "recordings": 3}
    assert merged["EDA"]["recordings"] == 6
