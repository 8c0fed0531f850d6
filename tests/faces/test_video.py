"""Frames at chosen times, against the time stamps; files that are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_videos import cut, grey_levels, write_video

from himoe.core.errors import InputError
from himoe.prepare.faces.video import VideoInfo, probe, sampled_frames


def numbers(path: Path, fps_hz: float) -> tuple[list[float], list[int]]:
    """Sample times, and the number of the frame that each sample shows (from its brightness)."""
    samples = list(sampled_frames(path, fps_hz))
    return [time_s for time_s, _ in samples], [round(float(frame.mean()) / 4) for _, frame in samples]


def expected_numbers(stamps_s: np.ndarray, end_s: float, fps_hz: float) -> list[int]:
    """The last frame whose stamp is not after the sample's time, by a slow loop over samples."""
    found, sample = [], 0
    while (sample + 0.5) / fps_hz < end_s - 1e-9:
        found.append(int(np.sum(stamps_s <= (sample + 0.5) / fps_hz + 1e-9)) - 1)
        sample += 1
    return found


@pytest.mark.parametrize("name, codec", [("a.avi", "mpeg4"), ("a.avi", "mjpeg"), ("a.avi", "libx264"),
                                         ("a.mp4", "libx264"), ("a.mkv", "libx264")])
@pytest.mark.parametrize("fps_hz", [2.0, 7.3, 50.0])
def test_samples_show_the_frame_of_their_time(tmp_path: Path, name: str, codec: str, fps_hz: float) -> None:
    path = write_video(tmp_path / name, grey_levels(57), codec=codec)
    times_s, found = numbers(path, fps_hz)
    assert found == expected_numbers(np.arange(57) / 50, 57 / 50, fps_hz)
    np.testing.assert_allclose(times_s, (np.arange(len(found)) + 0.5) / fps_hz, atol=1e-9)
    assert probe(path) == VideoInfo(57, pytest.approx(50), 64, 48, pytest.approx(57 / 50))


def test_a_variable_rate_is_followed_by_its_time_stamps(tmp_path: Path) -> None:
    times_ms = np.cumsum([0, *([20] * 12), 700, *([40] * 9), *([250] * 4), *([20] * 15)]).tolist()
    path = write_video(tmp_path / "v.mkv", grey_levels(len(times_ms)), codec="libx264", times_ms=times_ms)
    _, found = numbers(path, 3.0)
    stamps_s = np.array(times_ms) / 1000
    assert found == expected_numbers(stamps_s, probe(path).duration_s, 3.0)
    assert probe(path).fps_hz == pytest.approx((len(times_ms) - 1) / stamps_s[-1])


def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path: Path) -> None:
    """A clip cut out of a longer one without encoding it anew keeps the frames that its first one is decoded from."""
    path = write_video(tmp_path / "clip.mp4", grey_levels(57), codec="libx264", hidden=3)
    assert probe(path) == VideoInfo(54, pytest.approx(50), 64, 48, pytest.approx(54 / 50))
    assert numbers(path, 50.0)[1] == list(range(3, 57))


@pytest.mark.parametrize("name", ["w.mkv", "w.mp4"])
def test_a_wrong_rate_in_the_header_does_no_harm(tmp_path: Path, name: str) -> None:
    """The header says 10 frames a second, the stamps 50: asking for 20 is no mistake."""
    times_ms = [20 * k for k in range(45)]
    path = write_video(tmp_path / name, grey_levels(45), fps_hz=10, codec="libx264", times_ms=times_ms)
    assert probe(path).fps_hz == pytest.approx(50)
    assert numbers(path, 20.0)[1] == expected_numbers(np.arange(45) / 50, 0.9, 20.0)


def test_dropped_frames_of_an_avi_are_no_cut(tmp_path: Path) -> None:
    times = [k for k in range(60) if k not in range(21, 33)]
    path = write_video(tmp_path / "d.avi", grey_levels(len(times)), codec="mjpeg", fps_hz=50,
                       times_ms=[20 * k for k in times])
    assert numbers(path, 5.0)[1] == expected_numbers(np.array(times) / 50, 1.2, 5.0)
    assert probe(path).duration_s == pytest.approx(1.2)


def test_frames_are_red_green_blue_and_rows_first(tmp_path: Path) -> None:
    frame = np.zeros((48, 80, 3), np.uint8)
    frame[:24, :, 0], frame[24:, :, 2] = 230, 200
    _, found = next(sampled_frames(write_video(tmp_path / "c.avi", [frame] * 6), 10))
    assert found.shape == (48, 80, 3)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found[6, 40], (230, 0, 0), atol=12)
    np.testing.assert_allclose(found[40, 40], (0, 0, 200), atol=12)


@pytest.mark.parametrize("share", [0.95, 0.2])
@pytest.mark.parametrize("name, codec", [("a.avi", "mpeg4"), ("a.avi", "mjpeg"), ("a.mkv", "libx264"),
                                         ("a.mp4", "libx264")])
def test_a_cut_off_file_is_refused_with_both_counts(tmp_path: Path, name: str, codec: str, share: float) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(50)]
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = cut(write_video(tmp_path / name, frames, codec=codec, options=options), share)
    with pytest.raises(InputError, match=r"found \d+ whole frames.*expected (50|1\.00 s) as its header.*cut off"):
        probe(path)
    with pytest.raises(InputError, match="cut off"):
        sampled_frames(path, 2.0)


def test_a_frame_that_is_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(40)]
    path = write_video(tmp_path / "a.mp4", frames, codec="libx264")
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle:2 * middle] = bytes(middle)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"a\.mp4: found .*expected .*fetch it again"):
        list(sampled_frames(path, 10.0))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.avi").touch()
    (tmp_path / "text.avi").write_text("time,value\n" * 300, encoding="utf-8")
    (tmp_path / "bytes.avi").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(InputError, match=r"empty\.avi: found an empty file, expected a video"):
        probe(tmp_path / "empty.avi")
    for name in ("text.avi", "bytes.avi"):
        with pytest.raises(InputError, match=rf"{name}: found data of another kind.*expected a video file"):
            probe(tmp_path / name)
    with pytest.raises(InputError, match="missing"):
        probe(tmp_path / "none.avi")
    with pytest.raises(InputError, match="missing"):
        probe(tmp_path)


def test_a_playlist_that_names_another_file_is_not_followed(tmp_path: Path) -> None:
    video = write_video(tmp_path / "real.mp4", grey_levels(9), codec="libx264")
    lists = {"list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{video.name}\n",
             "list.ffconcat": f"ffconcat version 1.0\nfile {video.name}\n"}
    for name, text in lists.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="expected a video file"):
            probe(tmp_path / name)


@pytest.mark.parametrize("fps_hz", [51.0, 0.0, -2.0])
def test_a_rate_that_the_file_does_not_have_is_refused(tmp_path: Path, fps_hz: float) -> None:
    path = write_video(tmp_path / "a.avi", grey_levels(20))
    with pytest.raises(InputError, match=r"fps_hz: found .* Hz, expected more than 0 and at most the video's 50 Hz"):
        sampled_frames(path, fps_hz)


# getrusage would count the parent's memory before the child was loaded.
MEASURE = r"""
import re, sys
from pathlib import Path
from himoe.prepare.faces.video import sampled_frames
shapes = {frame.shape for _, frame in sampled_frames(Path(sys.argv[1]), 2.0)}
assert shapes == {(576, 720, 3)}, shapes
assert "torch" not in sys.modules
print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says a process's own peak memory")
@pytest.mark.slow
def test_a_full_size_video_decodes_in_little_memory(tmp_path: Path) -> None:
    """500 frames of 720 x 576, 10 s at 50 Hz: 590 MiB as pixels."""
    rng = np.random.default_rng(0)
    few = [np.kron(rng.integers(0, 255, (72, 90, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(6)]
    path = write_video(tmp_path / "long.avi", (few[k % 6] for k in range(500)))
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert 20 < float(done.stdout) < 400
