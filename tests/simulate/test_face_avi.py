"""AVI files of the simulator: what goes in comes out, and the same frames give the same bytes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from himoe.core.errors import InputError
from himoe.simulate.video import write_avi

WIDTH, HEIGHT = 96, 64


def frames(count: int = 12, height: int = HEIGHT) -> Iterator[np.ndarray]:
    """A red square that moves 4 pixels a frame over a grey ramp."""
    for k in range(count):
        frame = np.repeat(np.linspace(40, 200, WIDTH).round().astype(np.uint8)[None, :, None], 3, axis=2)
        frame = np.repeat(frame, height, axis=0)
        frame[20:40, 4 * k:4 * k + 16] = (200, 30, 30)
        yield frame


def test_frames_rate_and_order_come_back(tmp_path: Path) -> None:
    assert write_avi(tmp_path / "a.avi", frames(), 12.5, WIDTH, HEIGHT) == 12
    with av.open(str(tmp_path / "a.avi")) as container:
        stream = container.streams.video[0]
        assert (float(stream.average_rate), stream.frames) == (12.5, 12)
        assert (stream.width, stream.height, stream.codec_context.name) == (WIDTH, HEIGHT, "mpeg4")
        decoded = list(container.decode(stream))
    np.testing.assert_allclose([float(frame.pts * frame.time_base) for frame in decoded], np.arange(12) / 12.5)
    for frame, wanted in zip(decoded, frames(), strict=True):
        got = frame.to_ndarray(format="rgb24").astype(float)
        assert np.abs(got - wanted).mean() < 4
        red = (got[..., 0] - got[..., 1]) > 80
        square = (wanted[..., 0] == 200) & (wanted[..., 1] == 30)
        assert (red & square).sum() > 0.9 * square.sum()
        assert (red & ~square).sum() < 0.1 * square.sum()


def test_same_frames_same_bytes_and_others_differ(tmp_path: Path) -> None:
    for name, count in (("a", 12), ("b", 12), ("c", 11)):
        write_avi(tmp_path / f"{name}.avi", frames(count), 5.0, WIDTH, HEIGHT)
    first, again, other = ((tmp_path / f"{name}.avi").read_bytes() for name in "abc")
    assert first == again
    assert first != other
    assert b"Lavf" not in first  # the writer's version would change the bytes


def test_one_frame_is_held_and_nothing_stands_under_the_name_before_the_last(tmp_path: Path) -> None:
    made: list[weakref.ref[np.ndarray]] = []

    def watched() -> Iterator[np.ndarray]:
        for frame in frames():
            own = frame.copy()
            made.append(weakref.ref(own))
            yield own
            del own
            assert sum(ref() is not None for ref in made) <= 1
            assert not (tmp_path / "a.avi").exists()

    write_avi(tmp_path / "a.avi", watched(), 5.0, WIDTH, HEIGHT)
    assert len(made) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["a.avi"]


@pytest.mark.parametrize(("fps_hz", "width", "height", "count", "message"), [
    (0.0, WIDTH, HEIGHT, 3, "frame rate: found 0.0"), (float("nan"), WIDTH, HEIGHT, 3, "frame rate: found nan"),
    (5.0, 95, HEIGHT, 3, "width: found 95 pixels, expected an even number"), (5.0, WIDTH, 0, 3, "height: found 0"),
    (5.0, WIDTH, HEIGHT, 0, "found no frame"), (5.0, WIDTH, 62, 3, r"frame 0: found shape \(64, 96, 3\)"),
])
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, fps_hz: float, width: int, height: int, count: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_avi(tmp_path / "a.avi", frames(count), fps_hz, width, height)
    assert list(tmp_path.iterdir()) == []
