"""A BIDS folder: recordings, channels, events with ratings, physiology in tables of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from device_files import write_brainvision, write_physio, write_tsv

from himoe.core.errors import InputError
from himoe.datasets.base import COLLECT
from himoe.datasets.devices import open_device
from himoe.datasets.devices.contract import Marker
from himoe.datasets.fetch import obtain_local
from himoe.datasets.folder import file_patterns, folder_dataset

SAMPLES = np.random.default_rng(4).integers(-300, 300, (3, 60 * 250)).astype(float)
SKIN = 3 + np.arange(65 * 8)[:, np.newaxis] / 100  # begins 2.5 s before the EEG
EVENTS = [(1.0, 0, "instruction", "n/a", "n/a"), (5.0, 10, "film", "sea.mp4", 7), (20.5, 12, "film", "war.mp4", 2.5),
          (40, 10, "film", "n/a", "n/a")]
EEG = {"file": "sub-{subject}/eeg/sub-{subject}_task-film_eeg.vhdr", "columns": ["Fp1", "Cz"], "sfreq_hz": 250,
       "unit": "uV"}
EDA = {"file": "sub-{subject}/eeg/sub-{subject}_task-film_physio.tsv.gz", "columns": ["skin"], "sfreq_hz": 8,
       "unit": "uS", "offset_s": 0}
RATINGS = {"events": "sub-{subject}/eeg/sub-{subject}_task-film_events.tsv", "trial_type": "film"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    for person in ("01", "02"):
        folder, stem = root / f"sub-{person}" / "eeg", f"sub-{person}_task-film"
        write_brainvision(folder / f"{stem}_eeg.vhdr", SAMPLES, ["Fp1", "Fp2", "Cz"], 250, unit="µV",
                          marks=[("Stimulus", "S  4", 999)])
        write_tsv(folder / f"{stem}_channels.tsv", ["name", "type", "units", "status"],
                  [("Fp1", "EEG", "µV", "good"), ("Fp2", "EEG", "µV", "n/a"), ("Cz", "EEG", "µV", "bad")])
        write_tsv(folder / f"{stem}_events.tsv", ["onset", "duration", "trial_type", "stim_file", "valence"], EVENTS)
        write_physio(folder / f"{stem}_physio.tsv.gz", SKIN, ["skin"], 8, -2.5, about=root / "task-film_physio.json")
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    describe(root)
    return root


def describe(root: Path, **more: Any) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump({
        "name": "mine", "title": "Mine", "licence": "private", "dimensions": ["valence"], "scale": [1, 9],
        "threshold": 5, "ratings": RATINGS, "trials": {"clock": "EEG"}, "modalities": {"EEG": EEG, "EDA": EDA},
        **more}, sort_keys=False))


def test_trials_and_ratings_are_rows_of_events(root: Path) -> None:
    found = folder_dataset(root).inspect(root, {})
    assert (found.subjects, found.missing, found.problems) == (("01", "02"), (), ())
    sea, war, none = folder_dataset(root).read(root, "02", {})
    assert [(one.trials[0].trial, one.trials[0].stimulus, one.trials[0].duration_s) for one in (sea, war, none)] == [
        ("1", "sea.mp4", 10), ("2", "war.mp4", 12), ("3", "3", 10)]
    assert (sea.trials[0].ratings, war.trials[0].ratings) == ({"valence": 7}, {"valence": 2.5})
    assert np.isnan(none.trials[0].ratings["valence"])
    np.testing.assert_allclose(war.signals["EEG"].data[0], SAMPLES[0, 5125:8125], atol=1e-4)
    assert np.isnan(war.signals["EEG"].data[1]).all()  # a bad channel is a gap
    assert "marks Cz as bad" in sea.notes[0]
    assert war.notes == ()
    np.testing.assert_allclose(war.signals["EDA"].data[0], SKIN[23 * 8:35 * 8, 0], rtol=1e-6)


def test_people_are_the_rows_of_participants(root: Path) -> None:
    (root / "sub-07").mkdir()
    write_tsv(root / "participants.tsv", ["participant_id", "age"], [("sub-02", "n/a"), ("sub-03", 31)])
    found = folder_dataset(root).inspect(root, {})
    assert (found.subjects, found.problems) == (("02",), (
        f"{root}/participants.tsv: no row of 2 folders (sub-01, sub-07): left out.",
        f"{root}/participants.tsv: no folder of 1 row (sub-03)."))
    assert "participants.tsv" in file_patterns(root)
    for rows, message in ((["sub-03"], "no row of the people with recordings .01 02."), (["01"], "row 1"),
                          (["sub-02", "sub-02"], "row 2")):
        write_tsv(root / "participants.tsv", ["participant_id"], [(row,) for row in rows])
        with pytest.raises(InputError, match=rf"participants\.tsv.*{message}"):
            folder_dataset(root).inspect(root, {})


def test_trials_named_by_a_column_and_all_rated_rows(root: Path) -> None:
    describe(root, ratings={"events": RATINGS["events"], "trial": "stim_file"})
    assert [one.trials[0].trial for one in folder_dataset(root).read(root, "01", {})] == ["sea.mp4", "war.mp4"]


def test_events_are_the_markers_of_a_recording(root: Path) -> None:
    file = open_device(root / "sub-01" / "eeg" / "sub-01_task-film_eeg.vhdr", "brainvision")
    assert file.markers()[:2] == (Marker(1.0, "instruction"), Marker(5.0, "film"))


def test_everything_goes_into_the_project(root: Path, tmp_path: Path) -> None:
    obtain_local(folder_dataset(root), root, tmp_path / "raw", {})
    here, there = (list(folder_dataset(place).read(place, "01", {})) for place in (root, tmp_path / "raw"))
    for one, other in zip(here, there, strict=True):
        assert one.trials == other.trials or np.isnan(one.trials[0].ratings["valence"])
        np.testing.assert_array_equal(one.signals["EDA"].data, other.signals["EDA"].data)
        np.testing.assert_array_equal(one.signals["EEG"].data, other.signals["EEG"].data)


@pytest.mark.parametrize(("rows", "message"), [
    ([(5, 10, "film", "a", 11)], r"row 1, column 'valence': found 11"),
    ([(5, 0, "film", "a", 1)], "row 1, column 'dur"),
    ([("n/a", 3, "film", "a", 1)], "row 1, column 'onset'"), ([(5, 10, "film", "a")], "4 fields")])
def test_events_that_cannot_be_are_named_with_file_and_row(root: Path, rows: list[Any], message: str) -> None:
    path = root / "sub-02" / "eeg" / "sub-02_task-film_events.tsv"
    write_tsv(path, ["onset", "duration", "trial_type", "stim_file", "valence"], rows)
    with pytest.raises(InputError, match=message) as caught:
        folder_dataset(root).inspect(root, {})
    assert "sub-02_task-film_events.tsv" in str(caught.value)


@pytest.mark.parametrize(("about", "message"), [
    ({"Columns": None}, "Columns"), ({"SamplingFrequency": 0}, "SamplingFrequency"), ({"StartTime": "0"}, "StartTime"),
    ({"Columns": ["skin", "heart"]}, "1 columns, expected 2")])
def test_a_physio_table_that_says_too_little_is_refused(root: Path, about: dict[str, Any], message: str) -> None:
    path = root / "task-film_physio.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | about))
    found = list(folder_dataset(root).read(root, "01", COLLECT))
    assert all(message in one.doubts[0] for one in found)


def test_lost_samples_of_a_physio_table_are_gaps(tmp_path: Path) -> None:
    rows = np.array([[1.0, 5], [np.nan, 6], [3, 7]])
    file = open_device(write_physio(tmp_path / "sub-1_physio.tsv.gz", rows, ["a", "b"], 4, 0), "bids_physio")
    np.testing.assert_array_equal(file.streams[0].read(0, 3, [1, 0]), rows[:, ::-1].T)
    (tmp_path / "sub-1_physio.json").unlink()
    with pytest.raises(InputError, match=r"no \.json"):
        open_device(tmp_path / "sub-1_physio.tsv.gz", "bids_physio")


@pytest.mark.parametrize("ratings", [{"events": "events.tsv"}, {"trial_type": "film"}, {"events": "{subject}", "x": 1}])
def test_ratings_that_cannot_be_are_refused(root: Path, ratings: Any) -> None:
    describe(root, ratings=ratings)
    with pytest.raises(InputError, match=r"dataset\.yaml: ratings"):
        folder_dataset(root)
