"""From videos to tracks: what is found when, what is kept, what a damaged video does."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from drawn_videos import background, cut, draw_face, write_video

from himoe.core.errors import InputError
from himoe.core.params import FaceParams
from himoe.prepare.faces import extract
from himoe.prepare.faces.detect import crop, make_detector
from himoe.prepare.faces.extract import extract_folder, extract_video
from himoe.prepare.faces.network import FrameNetwork
from himoe.prepare.faces.tracks import read_about, read_track
from himoe.prepare.faces.video import sampled_frames

PARAMS = FaceParams(fps_hz=4.0, size_px=32, batch_frames=3)
Videos = dict[tuple[str, str], Path]


class MeanColour:
    """A network that gives each crop's mean colour, and notes how many crops it was given."""

    label = "mean colour"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def features(self, crops: np.ndarray) -> np.ndarray:
        self.batches.append(len(crops))
        return np.resize(crops.mean((1, 2)).astype(np.float32).repeat(427, axis=1)[:, :1280], (len(crops), 1280))


def scene(path: Path, hidden: range = range(0), start: int = 70) -> Path:
    """Two seconds at 20 Hz: a face that moves to the right and is away in the frames *hidden*."""
    empty = background(120, 180)
    frames = [empty if k in hidden else draw_face(empty, start + k, 62, 36, 0.04 + k / 400) for k in range(40)]
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames, fps_hz=20)


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    return {("s02", "t1"): scene(tmp_path / "raw/s02_t1.avi", start=80),
            ("s01", "t2"): scene(tmp_path / "raw/s01_t2.avi", hidden=range(20, 40)),
            ("s01", "t1"): scene(tmp_path / "raw/s01_t1.avi")}


@pytest.fixture(scope="module")
def network() -> FrameNetwork:
    return FrameNetwork(PARAMS, "cpu")


def test_a_track_holds_every_sample_and_nan_where_there_is_no_face(tmp_path: Path, network: FrameNetwork) -> None:
    path = scene(tmp_path / "a.avi", hidden=range(10, 25))
    track = extract_video(path, PARAMS, network)
    hidden = np.array([10 <= int((k + 0.5) / 4 * 20) < 25 for k in range(8)])
    np.testing.assert_allclose(track.time_s, (np.arange(8) + 0.5) / 4)
    np.testing.assert_array_equal(np.isnan(track.box).all(1), hidden)
    np.testing.assert_array_equal(np.isnan(track.confidence), hidden)
    np.testing.assert_array_equal(np.isnan(track.features).all(1), hidden)
    np.testing.assert_array_equal(np.isnan(track.features).any(1), hidden)
    middle = track.box[~hidden, 0] + track.box[~hidden, 2] / 2
    np.testing.assert_allclose(middle, 70 + 20 * track.time_s[~hidden], atol=5)


def test_features_are_those_of_the_crops_one_after_the_other(tmp_path: Path, network: FrameNetwork) -> None:
    path = scene(tmp_path / "a.avi", hidden=range(0, 7))
    track, detector, rows = extract_video(path, PARAMS, network), make_detector("haar"), []
    for _, frame in sampled_frames(path, 4.0):
        face = detector(frame)
        rows.append(np.full(1280, np.nan, np.float32) if face is None
                    else network.features(crop(frame, face, 32, 0.2)[None])[0])
    assert 0 < np.isnan(np.stack(rows)).all(1).sum() < 4
    np.testing.assert_allclose(track.features, np.stack(rows), rtol=1e-3, atol=1e-4)


def test_the_central_square_is_always_there_without_margin(tmp_path: Path) -> None:
    path = scene(tmp_path / "a.avi", hidden=range(40))
    track = extract_video(path, dataclasses.replace(PARAMS, detector="centre"), MeanColour())  # type: ignore[arg-type]
    np.testing.assert_array_equal(track.box, np.tile(np.float32([30, 0, 120]), (8, 1)))
    assert np.isnan(track.confidence).all()
    assert np.isfinite(track.features).all()
    np.testing.assert_allclose(track.features[0, [0, 500, 1279]], (150, 170, 190), atol=6)


def test_a_video_too_short_for_a_sample_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", [background(48, 64)] * 3, fps_hz=20)
    with pytest.raises(InputError, match=r"too short for one sample, expected at least 0\.5 s"):
        extract_video(path, dataclasses.replace(PARAMS, fps_hz=1.0), MeanColour())  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_the_same_whoever_works_on_it_and_says_how_it_was_made(
        tmp_path: Path, videos: Videos, capsys: pytest.CaptureFixture[str]) -> None:
    reports = extract_folder(videos, PARAMS, tmp_path / "one", tmp_path / "kept1", jobs=1)
    extract_folder(dict(sorted(videos.items())), PARAMS, tmp_path / "two", tmp_path / "kept2", jobs=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert set(content(tmp_path / "one")) == {"faces.json", "s01/t1.parquet", "s01/t2.parquet", "s02/t1.parquet"}
    assert [(r.name, r.frames, r.faces, r.problem) for r in reports] == [
        ("s01/t1", 8, 8, None), ("s01/t2", 8, 4, None), ("s02/t1", 8, 8, None)]
    assert all(r.seconds > 0 and r.peak_mib > 20 and not r.reused for r in reports)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("3 videos: median ")
    assert lines[0].endswith("0 damaged, 0 kept from before")
    about = json.loads((tmp_path / "one" / "faces.json").read_text(encoding="utf-8"))
    assert about["network"] == "EfficientNet-B0, random weights (seed 0)"
    assert about["detector"] == make_detector("haar").label
    assert about["params"] == dataclasses.asdict(PARAMS)
    assert about["videos"]["s01/t2"] == {"frames": 8, "faces": 4, "fps_hz": 20.0, "width_px": 180, "height_px": 120,
                                         "problem": None}
    read = read_about(tmp_path / "one")
    assert read is not None
    assert set(read.videos) == {"s01/t1", "s01/t2", "s02/t1"}


def test_finished_videos_are_not_done_again(tmp_path: Path, videos: Videos, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, out = tmp_path / "kept", tmp_path / "out"
    two = {key: videos[key] for key in list(videos)[:2]}
    extract_folder(two, PARAMS, out, kept, jobs=1)
    first = content(out)
    done: list[str] = []
    whole = extract.extract_video
    monkeypatch.setattr(extract, "extract_video", lambda path, *rest: (done.append(path.name), whole(path, *rest))[1])
    reports = extract_folder(videos, PARAMS, tmp_path / "again", kept, jobs=1)
    assert done == ["s01_t1.avi"]
    assert [r.reused for r in reports] == [False, True, True]
    assert all(content(tmp_path / "again")[name] == data for name, data in first.items() if name != "faces.json")
    next(iter(sorted(kept.iterdir()))).write_bytes(b"damaged")  # a kept track that went bad counts for nothing
    extract_folder(videos, PARAMS, tmp_path / "third", kept, jobs=1)
    assert len(done) == 2
    assert content(tmp_path / "third") == content(tmp_path / "again")


def test_a_changed_video_parameter_or_weight_is_done_again(tmp_path: Path, videos: Videos) -> None:
    path = videos["s01", "t1"]
    key = extract.track_key(path, PARAMS, "weights A")
    assert key == extract.track_key(path, dataclasses.replace(PARAMS), "weights A")
    others = {extract.track_key(path, PARAMS, "weights B"), extract.track_key(videos["s02", "t1"], PARAMS, "weights A"),
              extract.track_key(path, dataclasses.replace(PARAMS, margin=0.3), "weights A")}
    assert len(others | {key}) == 4


def test_a_damaged_video_is_missing_and_reported(tmp_path: Path, videos: Videos,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    cut(videos["s01", "t1"], 0.6)
    videos["s02", "t2"] = tmp_path / "raw" / "empty.avi"
    videos["s02", "t2"].touch()
    reports = extract_folder(videos, PARAMS, tmp_path / "out", tmp_path / "kept", jobs=2)
    problems = {r.name: r.problem for r in reports if r.problem}
    assert set(problems) == {"s01/t1", "s02/t2"}
    assert str(problems["s01/t1"]).startswith("s01_t1.avi: found ")
    assert str(tmp_path) not in (tmp_path / "out" / "faces.json").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "s01" / "t1.parquet").exists()
    assert read_track(tmp_path / "out" / "s01" / "t2.parquet").features.shape == (8, 1280)
    assert "4 videos" in (line := capsys.readouterr().out)
    assert "2 damaged" in line
    about = read_about(tmp_path / "out")
    assert about is not None
    assert set(about.videos) == {"s01/t2", "s02/t1"}


def test_a_folder_of_damaged_videos_only_is_refused_and_does_not_look_finished(tmp_path: Path, videos: Videos) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "faces.json").write_text("{}", encoding="utf-8")
    for path in videos.values():
        cut(path, 0.5)
    with pytest.raises(InputError, match=r"none of the 3 videos can be read; the first: s01_t1\.avi: found"):
        extract_folder(videos, PARAMS, tmp_path / "out", tmp_path / "kept", jobs=1)
    assert not (tmp_path / "out" / "faces.json").exists()


def test_a_rate_above_the_videos_is_refused_in_one_sentence(tmp_path: Path, videos: Videos) -> None:
    with pytest.raises(InputError, match=r"found 30 Hz, expected more than 0 and at most the video's 20 Hz") as error:
        extract_folder(videos, dataclasses.replace(PARAMS, fps_hz=30.0), tmp_path / "o", tmp_path / "k", jobs=1)
    assert "\n" not in str(error.value)
