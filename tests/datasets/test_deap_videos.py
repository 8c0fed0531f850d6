"""DEAP's face videos are in the order of presentation; trials are named by what was shown."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from himoe.datasets import deap


def folder(root: Path, subjects: tuple[int, ...] = (1, 23)) -> Path:
    """Ratings of 4 trials a participant, shown in the order 3, 1, 4, 2; empty raw files; videos of three trials."""
    rows = [{"Participant_id": number, "Trial": trial, "Experiment_id": video,
             **dict.fromkeys(deap.RATING_COLUMNS.values(), 5.0)}
            for number in subjects for trial, video in ((1, 3), (2, 1), (3, 4), (4, 2))]
    (root / "metadata_csv").mkdir()
    pd.DataFrame(rows).to_csv(root / deap.RATINGS_FILE, index=False)
    (root / "data_original").mkdir()
    (root / "face_video" / "s01").mkdir(parents=True)
    for number in subjects:
        (root / "data_original" / f"s{number:02d}.bdf").touch()
    for trial in (1, 2, 4):
        (root / "face_video" / "s01" / f"s01_trial{trial:02d}.avi").touch()
    return root


def test_a_video_belongs_to_the_clip_that_was_shown(tmp_path: Path) -> None:
    found = deap.videos(folder(tmp_path), "s01")
    assert {trial: path.name for trial, path in found.items()} == {
        "v01": "s01_trial02.avi", "v02": "s01_trial04.avi", "v03": "s01_trial01.avi"}
    assert list(found) == sorted(found)
    assert deap.videos(tmp_path, "s23") == {}


def test_missing_videos_are_named_for_filmed_participants_only(tmp_path: Path) -> None:
    missing = deap.inspect(folder(tmp_path), {}).missing
    assert "face_video/s01/s01_trial03.avi" in missing
    assert not any("s23" in name and name.endswith("avi") for name in missing)


def test_a_copy_without_any_video_lacks_none(tmp_path: Path) -> None:
    folder(tmp_path)
    for path in (tmp_path / "face_video" / "s01").iterdir():
        path.unlink()
    (tmp_path / "face_video" / "s01").rmdir()
    (tmp_path / "face_video").rmdir()
    assert not any("face_video" in name for name in deap.inspect(tmp_path, {}).missing)
    assert deap.videos(tmp_path, "s01") == {}


def test_without_ratings_nobody_knows_which_trial_a_video_is(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / deap.RATINGS_FILE).unlink()
    assert deap.videos(tmp_path, "s01") == {}
