"""Several files of one recording on one clock: every sample at its time, a gap between the files, no guess."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from device_files import (
    write_brainvision,
    write_edf,
    write_physio,
    write_set,
    write_tsv,
    write_xdf,
    xdf_stream,
)

from himoe.cli import main
from himoe.core.errors import InputError
from himoe.datasets.fetch import obtain_local
from himoe.datasets.folder import folder_dataset

HEAD = {"name": "mine", "title": "Mine", "licence": "private", "dimensions": ["valence"], "scale": [1, 9],
        "threshold": 5, "ratings": "ratings.csv"}
START = datetime.datetime(2024, 3, 1, 14, 5, 10)
EDF = {"file": "{subject}_{run}.edf", "columns": ["Cz", "Pz"], "sfreq_hz": 64, "unit": "uV"}
RAMP = np.arange(20 * 64) / 2  # 20 s


def describe(root: Path, modalities: dict[str, Any], ratings: str = "", **more: Any) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump({**HEAD, **more, "modalities": modalities}, sort_keys=False))
    (root / "ratings.csv").write_text(ratings)


def read(root: Path, subject: str = "anna") -> list[Any]:
    return list(folder_dataset(root).read(root, subject, {}))


def edf(path: Path, after_s: float | None, names: str = "Cz Pz", rate_hz: int = 64) -> Path:
    start = None if after_s is None else START + datetime.timedelta(seconds=after_s)
    return write_edf(path, {name: (sign * RAMP[:20 * rate_hz], rate_hz, "uV") for name, sign in zip(
        names.split(), (1, -1), strict=True)}, start, [(2, "go"), (12, "end")])


@pytest.mark.parametrize(("boot_s", "later_s"), [(0, 60.25), (7000, 60)])  # the computer ran on, or began anew
def test_a_laboratory_recording_that_was_stopped_and_started_again(tmp_path: Path, boot_s: float,
                                                                   later_s: float) -> None:
    values = np.arange(3000, dtype=float)
    for run, begin_s, minute in ((1, 500, "05"), (2, 560.25 - boot_s, "06")):
        write_xdf(tmp_path / f"anna_run-{run}.xdf", [
            xdf_stream("amp", "EEG", begin_s + np.arange(1000) / 50, np.stack([values[:1000] * run] * 2, 1), 50,
                       ["Cz", "Pz"], "microvolts"),
            xdf_stream("task", "Markers", [begin_s + 1, begin_s + 9], ["go", "end"], form="string")],
            f"2024-03-01T15:{minute}:10+0100")
    eeg = {"file": "{subject}_run-{run}.xdf", "stream": "EEG", "columns": ["Pz"], "sfreq_hz": 50, "unit": "uV"}
    describe(tmp_path, {"EEG": eeg}, "subject,trial,valence\nanna,b,3\nanna,a,7\n",
             trials={"start": "go", "end": "end"})
    one, two = read(tmp_path)  # by order: b in the first file
    assert (one.trials[0].trial, two.trials[0].duration_s, one.notes) == ("b", 8, ())
    np.testing.assert_array_equal(one.signals["EEG"].data, [values[50:450]])
    np.testing.assert_array_equal(two.signals["EEG"].data, [2 * values[50:450]])
    describe(tmp_path, {"EEG": eeg}, f"subject,trial,start_s,end_s,valence\nanna,x,15,{later_s + 5},3\n")
    data = read(tmp_path)[0].signals["EEG"].data[0]
    gap = slice(250, round((later_s - 15) * 50))
    assert np.isnan(data[gap]).all()
    np.testing.assert_array_equal(data[:250], values[750:1000])
    np.testing.assert_array_equal(data[gap.stop:], 2 * values[:250])


def test_runs_of_a_bids_folder_as_proposed(tmp_path: Path) -> None:
    root = tmp_path / "films"
    noise = np.random.default_rng(5).integers(-300, 300, (2, 30 * 50)).astype(float)
    skin = np.arange(40 * 8)[:, np.newaxis] / 100  # begins 2.5 s before its run
    for run, hour in (("01", 9), ("02", 10), ("10", 12)):
        stem = f"{root}/sub-a/eeg/sub-a_task-film_run-{run}_"
        write_brainvision(Path(f"{stem}eeg.vhdr"), noise / int(run), ["Fp1", "Cz"], 50, start=f"20240301{hour:02}0510")
        write_tsv(Path(f"{stem}events.tsv"), ["onset", "duration", "trial_type", "valence"],
                  [(1, 2, "rest", "n/a"), (4.5, 10, "film", int(run) % 9), (16, 8, "film", 5)])
        write_physio(Path(f"{stem}physio.tsv.gz"), skin * int(run), ["eda"], 8, -2.5)
    (root / "dataset_description.json").write_text("{}")
    assert main(["inspect", str(root), "--write-yaml"]) == 0
    found = yaml.safe_load((root / "dataset.yaml").read_text())
    assert found["ratings"]["events"] == "sub-{subject}/eeg/sub-{subject}_task-film_run-{run}_events.tsv"
    assert "offsets_s" not in found
    obtain_local(folder_dataset(root), root, tmp_path / "raw", {})
    trials = read(tmp_path / "raw", "a")
    assert [(one.trials[0].trial, one.trials[0].ratings["valence"]) for one in trials] == [
        ("1", 1), ("2", 5), ("3", 2), ("4", 5), ("5", 1), ("6", 5)]
    for run, one in ((1, trials[0]), (2, trials[2]), (10, trials[4])):
        np.testing.assert_allclose(one.signals["EEG"].data, noise[:, 225:725] / run, atol=0.051)
        np.testing.assert_allclose(one.signals["EDA"].data[0], run * skin[7 * 8:17 * 8, 0], rtol=1e-5)


def test_files_without_a_date_by_declared_offsets(tmp_path: Path) -> None:
    values = np.arange(2000, dtype=float).reshape(2, 1000)
    (tmp_path / "anna").mkdir()
    for place, name in enumerate(("before", "after")):
        write_set(tmp_path / "anna" / f"{name}.set", values + place, ["Cz", "Pz"], 100, [(1, "x")])
    eeg = {"file": ["{subject}/before.set", "{subject}/after.set"], "columns": ["Cz"], "sfreq_hz": 100, "unit": "uV"}
    ratings = "subject,trial,run,start_s,end_s,valence\nanna,a,1,2,14,3\nanna,b,02,1,6,7\n"
    describe(tmp_path, {"EEG": eeg}, ratings)
    with pytest.raises(InputError, match=r"before\.set: found no date .*say offsets_s"):
        read(tmp_path)
    describe(tmp_path, {"EEG": eeg}, ratings, offsets_s={"anna/after.set": 12.5})
    one, two = read(tmp_path)
    np.testing.assert_allclose(one.signals["EEG"].data[0, :800], values[0, 200:], rtol=1e-5)
    assert np.isnan(one.signals["EEG"].data[0, 800:1050]).all()
    np.testing.assert_allclose(one.signals["EEG"].data[0, 1050:], values[0, :150] + 1, rtol=1e-5)
    np.testing.assert_allclose(two.signals["EEG"].data[0], values[0, 100:600] + 1, rtol=1e-5)
    (tmp_path / "anna" / "after.set").unlink()
    assert folder_dataset(tmp_path).inspect(tmp_path, {}).missing == ("anna/after.set",)
    with pytest.raises(InputError, match=r"row 2, column 'run'.* found run '2', expected one of '1'"):
        read(tmp_path)


def test_a_device_beside_runs_and_files_whose_clocks_are_good_to_a_second(tmp_path: Path) -> None:
    edf(tmp_path / "anna_a.edf", 0)
    edf(tmp_path / "anna_b.edf", 19.5)
    write_edf(tmp_path / "anna.bdf", {"S": (np.arange(50 * 8.0), 8, "uS")}, START - datetime.timedelta(seconds=5))
    skin = {"file": "{subject}.bdf", "columns": ["S"], "sfreq_hz": 8, "unit": "uS"}
    describe(tmp_path, {"EEG": EDF, "EDA": skin}, "subject,trial,start_s,end_s,valence\nanna,a,18,22,3\n",
             trials={"clock": "EEG"})
    (one,) = read(tmp_path)
    np.testing.assert_allclose(one.signals["EEG"].data[0], np.r_[RAMP[18 * 64:], RAMP[:128]], atol=0.07)
    np.testing.assert_allclose(one.signals["EDA"].data[0], np.arange(23 * 8, 27 * 8), atol=1e-3)
    assert one.notes == (f"{tmp_path}/anna_b.edf: by its clock it begins 0.5 s before anna_a.edf ends: it is taken to "
                         "begin there.",)


@pytest.mark.parametrize(("second", "more", "message"), [
    ({"after_s": 10}, {}, r"b\.edf: found a recording that begins at 10 s .* anna_a.edf lasts to 20 s"),
    ({"after_s": None}, {}, r"b\.edf: found no date and time"),
    ({"after_s": 60, "names": "Cz Oz"}, {}, r"b\.edf: columns: found no channel 'Pz'"),
    ({"after_s": 60, "rate_hz": 32}, {}, r"b\.edf: rate: found 32 Hz"),
    ({"after_s": 60}, {"offsets_s": {"anna_a.edf": 3}}, "offsets_s: found no 'anna_b.edf'"),
    ({"after_s": 60}, {"offsets_s": {"anna-b.edf": 3}}, "offsets_s: found the name 'anna-b.edf'"),
    ({"after_s": 60}, {"modalities": {"EEG": {**EDF, "file": ["{subject}_a.edf", "{subject}_{run}.edf"]}}},
     "EEG.file: found '{subject}_{run}.edf'"),
    ({"after_s": 60}, {"modalities": {"EEG": {**EDF, "file": ["{subject}_a.edf", "{subject}_b.csv"]}}},
     r"b\.csv'\], expected files of one recording"),
    ({"after_s": 60}, {"ratings": {"events": "{subject}_{run}_events.tsv"},
                       "modalities": {"EEG": {**EDF, "file": "{subject}_a.edf"}}}, "say {run} in both")])
def test_files_that_cannot_be_one_recording(tmp_path: Path, second: dict[str, Any], more: dict[str, Any],
                                            message: str) -> None:
    edf(tmp_path / "anna_a.edf", 0)
    edf(tmp_path / "anna_b.edf", **second)
    describe(tmp_path, **{"modalities": {"EEG": EDF}, "ratings": "subject,trial,start_s,end_s,valence\nanna,a,1,9,3\n",
                          **{key: value for key, value in more.items() if key != "ratings"}})
    if "ratings" in more:
        described = yaml.safe_load((tmp_path / "dataset.yaml").read_text())
        (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({**described, "ratings": more["ratings"]}))
    with pytest.raises(InputError, match=message):
        read(tmp_path)
