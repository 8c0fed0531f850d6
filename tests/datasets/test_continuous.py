"""Trials out of continuous recordings: by times, by markers, over devices that began at different times."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from device_files import E4_START, e4_values, write_brainvision, write_e4, write_edf, write_xdf, xdf_stream, zip_folder

from himoe.core.errors import InputError
from himoe.datasets.base import COLLECT
from himoe.datasets.fetch import obtain_local
from himoe.datasets.folder import folder_dataset
from himoe.inspection.checks import check_place
from himoe.inspection.locate import place_of

HEAD = {"name": "mine", "title": "Mine", "licence": "private", "dimensions": ["valence"], "scale": [1, 9],
        "threshold": 5, "ratings": "ratings.csv"}
EDA = {"file": "{subject}", "format": "e4", "columns": ["EDA"], "sfreq_hz": 4, "unit": "uS"}
ACC = {"file": "{subject}", "format": "e4", "columns": ["ACC_X", "ACC_Y", "ACC_Z"], "sfreq_hz": 32, "unit": "1/64 g"}
EEG = {"file": "{subject}.edf", "columns": ["Fp1", "Cz"], "sfreq_hz": 128, "unit": "uV"}
# Five seconds after the wristband, by a clock on a wall in Berlin (UTC+1 in November)
EDF_START = datetime.datetime(2023, 11, 14, 23, 13, 25)
STEP_UV = 8000 / 2**16  # of the converter that write_edf has
RAMP = np.arange(120 * 128) / 10


def describe(root: Path, modalities: dict[str, Any], ratings: str, **more: Any) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump({**HEAD, **more, "modalities": modalities}, sort_keys=False))
    (root / "ratings.csv").write_text(ratings)


def read(root: Path, subject: str = "anna", **options: str) -> list[Any]:
    return list(folder_dataset(root).read(root, subject, options))


def two_devices(root: Path, ratings: str, **more: Any) -> None:
    write_e4(root / "anna", 120)
    write_edf(root / "anna.edf", {"Fp1": (RAMP, 128, "uV"), "Cz": (-RAMP, 128, "uV")}, EDF_START,
              [(10, "video sea"), (30, "end"), (50, "video war"), (65, "end")])
    describe(root, {"EEG": EEG, "EDA": EDA, "ACC": ACC}, ratings, **more)


BY_MARKERS = "subject,trial,valence\nanna,war,3\nanna,sea,7\n"


def require_trials(root: Path) -> None:
    """Trials *war* (50 to 65 s of the EDF) and *sea* (10 to 30 s); the wristband began 5 s earlier."""
    war, sea = read(root)
    assert [(one.trials[0].trial, one.trials[0].duration_s) for one in (war, sea)] == [("war", 15), ("sea", 20)]
    assert (sea.trials[0].ratings, sea.notes, sea.doubts) == ({"valence": 7.0}, (), ())
    for one, begin_s, length_s in ((war, 50, 15), (sea, 10, 20)):
        assert set(one.signals) == {"EEG", "EDA", "ACC"}
        expected = RAMP[begin_s * 128:(begin_s + length_s) * 128]
        np.testing.assert_allclose(one.signals["EEG"].data, [expected, -expected], atol=STEP_UV)
        eda = e4_values("EDA", 120)[(begin_s + 5) * 4:(begin_s + 5 + length_s) * 4]
        np.testing.assert_allclose(one.signals["EDA"].data, eda.T, rtol=1e-6)
        acc = e4_values("ACC", 120)[(begin_s + 5) * 32:(begin_s + 5 + length_s) * 32]
        np.testing.assert_allclose(one.signals["ACC"].data, acc.T, rtol=1e-6)


def test_by_markers_with_two_devices_on_absolute_time(tmp_path: Path) -> None:
    two_devices(tmp_path, BY_MARKERS, time_zone="Europe/Berlin",
                trials={"clock": "EEG", "start": "video {trial}", "end": "end"})
    require_trials(tmp_path)


def test_by_seconds_on_the_clock_of_one_device(tmp_path: Path) -> None:
    two_devices(tmp_path, "subject,trial,start_s,end_s,valence\nanna,war,50,65,3\nanna,sea,10,30,7\n",
                time_zone="Europe/Berlin", trials={"clock": "EEG"})
    require_trials(tmp_path)


@pytest.mark.parametrize(("war", "sea"), [
    ("2023-11-14T23:14:15+01:00", "2023-11-14 22:13:35Z"), (f"{E4_START + 55}", f"{E4_START + 15:.3f}"),
    ("2023-11-14T23:14:15", "2023-11-14 23:13:35.000")])
def test_by_date_and_time(tmp_path: Path, war: str, sea: str) -> None:
    two_devices(tmp_path, f"subject,trial,start_time,duration_s,valence\nanna,war,{war},15,3\nanna,sea,{sea},20,7\n",
                time_zone="Europe/Berlin")
    require_trials(tmp_path)


def test_by_a_declared_offset(tmp_path: Path) -> None:
    two_devices(tmp_path, BY_MARKERS, trials={"clock": "EEG", "start": "video {trial}", "end": "end"})
    with pytest.raises(InputError, match="time_zone: Europe/Berlin"):
        read(tmp_path)
    describe(tmp_path, {"EEG": EEG, "EDA": {**EDA, "offset_s": -5}, "ACC": {**ACC, "offset_s": -5}}, BY_MARKERS,
             trials={"clock": "EEG", "start": "video {trial}", "end": "end"})
    require_trials(tmp_path)


def test_by_presses_of_a_button(tmp_path: Path) -> None:
    zip_folder(write_e4(tmp_path / "a", 120, tags_s=[10, 20.5, 40, 70]), tmp_path / "anna.zip")
    describe(tmp_path, {"EDA": {**EDA, "file": "{subject}.zip"}}, "subject,trial,valence\nanna,one,3\nanna,two,7\n",
             trials={"start": "tag", "end": "tag"})
    one, two = read(tmp_path)
    assert (one.trials[0].duration_s, two.trials[0].duration_s) == (10.5, 30)
    np.testing.assert_allclose(two.signals["EDA"].data[0], e4_values("EDA", 120)[160:280, 0], rtol=1e-6)
    (tmp_path / "ratings.csv").write_text("subject,trial,valence\nanna,one,3\n")
    with pytest.raises(InputError, match=r"markers 'tag': found 4 .*'tag'.*, expected 2,"):
        read(tmp_path)


def test_beats_at_their_own_times_become_a_grid(tmp_path: Path) -> None:
    write_e4(tmp_path / "anna", 120)
    ibi = {"file": "{subject}", "format": "e4", "columns": ["IBI"], "sfreq_hz": 4, "unit": "s"}
    rows = "subject,trial,start_s,end_s,valence\nanna,one,100,130,3\n"
    describe(tmp_path, {"IBI": ibi}, rows)
    with pytest.raises(InputError, match="max_gap_s"):
        read(tmp_path)
    describe(tmp_path, {"IBI": {**ibi, "max_gap_s": 3}}, rows)
    assert folder_dataset(tmp_path).modalities["IBI"].sfreq_hz is None
    data = read(tmp_path)[0].signals["IBI"].data[0]
    assert len(data) == 120
    np.testing.assert_allclose(data[:78], 0.8, rtol=1e-6)  # the last beat is at 119.4 s
    assert np.isnan(data[78:]).all()


def xdf_folder(root: Path, stamps_s: np.ndarray, sfreq_hz: float, **more: Any) -> None:
    values = np.stack([np.arange(len(stamps_s)), -np.arange(len(stamps_s))], axis=1)
    write_xdf(root / "anna.xdf", [
        xdf_stream("amp", "EEG", stamps_s, values, 100, ["Fp1", "Cz"], "microvolts"),
        xdf_stream("task", "Markers", stamps_s[0] + np.array([2.0, 22.0]), ["go", "go"], form="string")])
    describe(root, {"EEG": {"file": "{subject}.xdf", "stream": "EEG", "columns": ["Cz"], "sfreq_hz": sfreq_hz,
                            "unit": "uV", **more}},
             "subject,trial,duration_s,valence\nanna,one,10,3\nanna,two,10,7\n", trials={"start": "go"})


def test_xdf_trials_by_the_order_of_markers(tmp_path: Path) -> None:
    xdf_folder(tmp_path, 70 + np.arange(4000) / 100, 100)
    one, two = read(tmp_path)
    np.testing.assert_array_equal(one.signals["EEG"].data[0], -np.arange(200, 1200))
    np.testing.assert_array_equal(two.signals["EEG"].data[0], -np.arange(2200, 3200))
    assert (two.notes, two.signals["EEG"].ch_names) == ((), ("Cz",))


def test_xdf_a_pause_is_a_gap_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    stamps_s = 70 + np.arange(3000) / 100
    stamps_s[600:] += 6.0  # 6 to 12 s after the beginning: trial one is 2 to 12 s
    xdf_folder(tmp_path, stamps_s, 100)
    one, two = read(tmp_path)
    expected = np.full(1000, np.nan)
    expected[:400] = -np.arange(200, 600)
    np.testing.assert_array_equal(one.signals["EEG"].data[0], expected)
    np.testing.assert_array_equal(two.signals["EEG"].data[0], -np.arange(1600, 2600))


def test_xdf_whose_rate_is_not_what_it_says(tmp_path: Path) -> None:
    xdf_folder(tmp_path, 70 + np.arange(4000) / 91.3, 100)
    with pytest.raises(InputError, match=r"found 91.3 Hz by its time stamps .it says 100 Hz.*say sfreq_hz: 91.3"):
        read(tmp_path)
    xdf_folder(tmp_path, 70 + np.arange(4000) / 91.3, 91)  # 3 samples of drift in a trial: as they are, and said
    one = read(tmp_path)[0]
    assert "it runs at 91.3 Hz, not 91: by the end of the trial its samples are 0.0" in one.notes[0]
    np.testing.assert_array_equal(one.signals["EEG"].data[0], -(183 + np.arange(910)))
    xdf_folder(tmp_path, 70 + np.arange(4000) / 91.3, 90)  # 13 samples: interpolated, and said
    one = read(tmp_path)[0]
    assert "do not keep 90 Hz" in one.notes[0]
    np.testing.assert_allclose(one.signals["EEG"].data[0], -91.3 * (2 + np.arange(900) / 90), rtol=1e-5)


def test_a_trial_outside_its_recording_is_named_and_left_out(tmp_path: Path) -> None:
    two_devices(tmp_path, "subject,trial,start_s,end_s,valence\nanna,war,50,65,3\nanna,late,300,330,7\n",
                time_zone="Europe/Berlin", trials={"clock": "EEG"})
    war, late = read(tmp_path)
    assert (len(war.trials), late.trials) == (1, ())
    assert "EEG lasts from 0 to 120 s, the trial on this clock from 300 to 330 s" in late.notes[0]
    findings = check_place(place_of(tmp_path, "mine"))
    assert any("from 300 to 330 s: EEG is missing" in finding.text for finding in findings)


def test_one_file_a_trial_needs_no_times(tmp_path: Path) -> None:
    for trial, seconds in (("t1", 20), ("t2", 30)):
        write_edf(tmp_path / "anna" / f"{trial}.edf", {"Cz": (RAMP[:seconds * 128], 128, "uV")}, EDF_START)
        write_e4(tmp_path / "anna" / trial, seconds + 10)
    eeg = {**EEG, "file": "{subject}/{trial}.edf", "columns": ["Cz"]}
    describe(tmp_path, {"EEG": eeg, "EDA": {**EDA, "file": "{subject}/{trial}"}},
             "subject,trial,valence\nanna,t1,3\nanna,t2,7\n", time_zone="Europe/Berlin")
    one, two = read(tmp_path)
    assert (one.trials[0].duration_s, two.trials[0].duration_s) == (25, 35)  # to the end of the longer recording
    np.testing.assert_allclose(two.signals["EDA"].data[0], e4_values("EDA", 40)[20:, 0], rtol=1e-6)
    assert np.isnan(two.signals["EEG"].data[0, 30 * 128:]).all()


def test_a_pause_inside_a_trial_is_refused(tmp_path: Path) -> None:
    write_brainvision(tmp_path / "anna.vhdr", np.zeros((1, 5000)), ["Cz"], 250, marks=[("New Segment", "", 2500)])
    eeg = {**EEG, "file": "{subject}.vhdr", "columns": ["Cz"], "sfreq_hz": 250}
    describe(tmp_path, {"EEG": eeg},
             "subject,trial,start_s,end_s,valence\nanna,a,1,8,3\nanna,b,8,12,3\nanna,c,11,19,7\n")
    found = read(tmp_path, **COLLECT)
    assert [len(one.trials) for one in found] == [1, 0, 1]
    assert "interrupted at 10 s" in found[1].doubts[0]


@pytest.mark.parametrize(("change", "message"), [
    ({"columns": ["Fp1", "Oz"]}, "no channel 'Oz'"), ({"sfreq_hz": 256}, "128 Hz, expected sfreq_hz = 256"),
    ({"unit": "uS"}, "unit of Fp1"), ({"stream": "EEG"}, "one of '128 Hz'"),
    ({"file": "{subject}.bdf"}, "signal file")])
def test_check_names_what_is_not_as_declared(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_edf(tmp_path / "anna.edf", {"Fp1": (RAMP, 128, "uV"), "Cz": (-RAMP, 128, "uV")}, EDF_START)
    describe(tmp_path, {"EEG": {**EEG, **change}}, "subject,trial,start_s,end_s,valence\nanna,war,50,65,3\n")
    findings = [one for one in check_place(place_of(tmp_path, "mine")) if one.level == "error"]
    assert any(message in one.text for one in findings)


@pytest.mark.parametrize(("ratings", "more", "message"), [
    ("subject,trial,valence\nanna,a,3\n", {}, "no start_s or start_time"),
    ("subject,trial,start_s,valence\nanna,a,3,3\n", {}, "no length of the trial"),
    ("subject,trial,start_s,end_s,valence\nanna,a,9,3,3\n", {}, "column 'end_s'"),
    ("subject,trial,start_time,duration_s,valence\nanna,a,12:30,3,3\n", {}, "'12:30'"),
    ("subject,trial,duration_s,valence\nanna,a,3,3\n", {"trials": {"start": "S 9"}}, "its markers: 'x', 'y'"),
    ("subject,trial,duration_s,valence\nanna,a,3,3\n", {"trials": {"start": "{subject}"}}, "trials.start"),
    ("subject,trial,duration_s,valence\nanna,a,3,3\n", {"trials": {"end": "y"}}, "end without start"),
    ("subject,trial,duration_s,valence\nanna,a,3,3\n", {"trials": {"begin": "y"}}, "unknown key 'begin'"),
    ("subject,trial,duration_s,valence\nanna,a,3,3\n", {"time_zone": "Berlin"}, "time_zone")])
def test_times_that_cannot_be_are_one_sentence(tmp_path: Path, ratings: str, more: dict[str, Any],
                                               message: str) -> None:
    write_edf(tmp_path / "anna.edf", {"Fp1": (RAMP, 128, "uV"), "Cz": (-RAMP, 128, "uV")}, None, [(1, "x"), (2, "y")])
    describe(tmp_path, {"EEG": EEG}, ratings, **more)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_all_files_of_a_recording_go_into_the_project_and_links_out_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    write_brainvision(root / "anna.vhdr", np.ones((1, 5000)), ["Cz"], 250)
    write_e4(root / "anna", 20)
    eeg = {**EEG, "file": "{subject}.vhdr", "columns": ["Cz"], "sfreq_hz": 250}
    describe(root, {"EEG": eeg, "EDA": {**EDA, "offset_s": 0}}, "subject,trial,start_s,end_s,valence\nanna,a,1,8,3\n",
             trials={"clock": "EEG"})
    obtain_local(folder_dataset(root), root, tmp_path / "raw", {})
    assert {"anna.eeg", "anna.vmrk", "anna"} <= {path.name for path in (tmp_path / "raw").iterdir()}
    np.testing.assert_array_equal(read(tmp_path / "raw")[0].signals["EDA"].data, read(root)[0].signals["EDA"].data)
    os.rename(root / "anna.eeg", tmp_path / "else.eeg")
    (root / "anna.eeg").symlink_to(tmp_path / "else.eeg")
    with pytest.raises(InputError, match="link that leaves"):
        read(root)
    assert read(root, links="follow")
