"""`himoe inspect FOLDER --write-yaml`: what it proposes reads the folder, once ratings are there."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from device_files import (
    write_brainvision,
    write_e4,
    write_edf,
    write_muse,
    write_physio,
    write_set,
    write_tsv,
    write_xdf,
    xdf_stream,
)

from himoe.cli import main
from himoe.datasets.folder import folder_dataset
from himoe.inspection.propose import patterns, proposal

NOISE = np.random.default_rng(6).normal(0, 30, (4, 64 * 128))
EDF_START = datetime.datetime(2023, 11, 14, 22, 13, 25)


def propose(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    assert main(["inspect", str(root), "--write-yaml"]) == 0
    said = capsys.readouterr().out
    text = (root / "dataset.yaml").read_text(encoding="utf-8")
    assert said.startswith(text)
    return yaml.safe_load(text), text


def check(root: Path, capsys: pytest.CaptureFixture[str], name: str, ratings: str | None = None) -> str:
    """Fill in what a person would, and let ``himoe check`` read everything."""
    if ratings is not None:
        (root / "ratings.csv").write_text(ratings)
    path = root / "dataset.yaml"
    path.write_text(path.read_text().replace("# time_zone: Europe/Berlin", "time_zone: UTC"))
    assert main(["check", str(root), "--dataset", name]) == 0, capsys.readouterr().out
    return capsys.readouterr().out


def test_a_wristband_and_a_headset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "my study"
    for person in ("anna", "ben"):
        write_e4(root / person / "wrist", 64, tags_s=[10, 20])
        write_edf(root / person / "head.edf", {
            "EEG Fp1-Ref": (NOISE[0], 128, "uV"), "EEG Cz-Ref": (NOISE[1], 128, "uV"), "ECG": (NOISE[2], 128, "mV")},
            EDF_START, [(1, "x")])
    found, text = propose(root, capsys)
    assert found["name"] == "my-study"
    assert list(found["modalities"]) == ["EEG", "ECG", "PPG", "EDA", "TEMP", "HR", "ACC", "IBI"]
    assert found["modalities"]["EEG"] == {
        "file": "{subject}/head.edf", "columns": {"EEG Fp1-Ref": "Fp1", "EEG Cz-Ref": "Cz"}, "sfreq_hz": 128,
        "unit": "uV"}
    assert found["modalities"]["EDA"] == {"file": "{subject}/wrist", "format": "e4", "columns": ["EDA"], "sfreq_hz": 4,
                                          "unit": "uS"}
    assert found["trials"] == {"clock": "EEG"}
    assert len(re.findall("EDIT", text)) >= 4
    rows = "".join(f"{person},{trial},{begin},{begin + 10},5,5\n" for person, late in (("anna", 0), ("ben", 1))
                   for trial, begin in (("a", 5 + late), ("b", 30 + late)))
    said = check(root, capsys, "my-study", f"subject,trial,start_s,end_s,valence,arousal\n{rows}")
    assert "0 errors, 0 missing" in said
    assert "without a place" not in said
    assert main(["inspect", str(root), "--write-yaml"]) == 2
    assert "there already" in capsys.readouterr().err


def test_one_file_a_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for person in ("anna", "ben"):
        for trial in ("t1", "t2"):
            write_brainvision(tmp_path / "x" / person / f"{trial}_eeg.vhdr", NOISE[:, :2000],
                              ["Fp1", "Fp2", "Cz", "Pz"], 250)
    found, _ = propose(tmp_path / "x", capsys)
    assert found["modalities"]["EEG"]["file"] == "{subject}/{trial}_eeg.vhdr"
    assert "trials" not in found


def test_streams_of_an_xdf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    time_s = 50 + np.arange(4000) / 91.3
    write_xdf(tmp_path / "x" / "anna.xdf", [
        xdf_stream("amp", "EEG", time_s, NOISE[:2, :4000].T, 100, ["E1", "E2"], "microvolts"),
        xdf_stream("skin", "GSR", time_s, NOISE[2, :4000], 91.3), xdf_stream("pulse", "PPG", [], [], 32, ["g"]),
        xdf_stream("task", "Markers", [51, 61], ["go", "stop"], form="string")])
    found, text = propose(tmp_path / "x", capsys)
    assert found["modalities"]["EEG"] == {"file": "{subject}.xdf", "columns": ["E1", "E2"], "sfreq_hz": 91.3,
                                          "unit": "uV"}
    assert found["modalities"]["EDA"] == {"file": "{subject}.xdf", "columns": ["1"], "sfreq_hz": 91.3, "unit": "uS"}
    assert set(found["modalities"]) == {"EEG", "EDA"}
    assert "markers of anna.xdf: go (1), stop (1)" in text
    rows = "subject,trial,start_s,end_s,valence,arousal\nanna,a,1,9,3,4\n"
    assert "0 errors" in check(tmp_path / "x", capsys, "x", rows)


def test_a_bids_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "bids"
    for person in ("01", "02"):
        folder, stem = root / f"sub-{person}" / "eeg", f"sub-{person}_task-film"
        write_brainvision(folder / f"{stem}_eeg.vhdr", NOISE * float(person), ["Fp1", "Fp2", "Cz", "Pz"], 128)
        write_physio(folder / f"{stem}_physio.tsv.gz", float(person) * NOISE[:1, :640].T, ["eda"], 10, 0)
        write_tsv(folder / f"{stem}_events.tsv", ["onset", "duration", "trial_type", "valence", "arousal"],
                  [(3, 10, "film", 3, 4), (20, 12, "film", 7, 8)])
    found, _ = propose(root, capsys)
    assert found["ratings"] == {"events": "sub-{subject}/eeg/sub-{subject}_task-film_events.tsv"}
    assert (found["dimensions"], found["trials"]) == (["valence", "arousal"], {"clock": "EEG"})
    assert found["modalities"]["EDA"]["offset_s"] == 0
    assert "0 errors, 0 missing" in check(root, capsys, "bids")
    assert folder_dataset(root).inspect(root, {}).subjects == ("01", "02")


@pytest.mark.parametrize(("names", "found"), [
    (["anna_run1.xdf", "anna_run2.xdf", "ben_run1.xdf"], ["{subject}_run{run}.xdf"]),
    (["anna/anna_part-01.edf", "anna/anna_part-02.edf"], ["{subject}/{subject}_part-{run}.edf"]),
    (["anna/run1.xdf", "anna/run2.xdf", "ben/run1.xdf"], ["{subject}/run{run}.xdf"]),
    (["sub-1/ses-2/eeg/sub-1_ses-2_task-x_run-001_eeg.xdf", "sub-1/ses-2/eeg/sub-1_ses-2_task-x_run-002_eeg.xdf"],
     ["sub-{subject}/ses-2/eeg/sub-{subject}_ses-2_task-x_run-{run}_eeg.xdf"]),
    (["part1.edf", "part2.edf"], ["{subject}.edf"]),  # two people
    (["sub-1/eeg/sub-1_run-1_eeg.edf"], ["sub-{subject}/eeg/sub-{subject}_run-1_eeg.edf"])])
def test_files_of_one_person_that_differ_by_a_run(names: list[str], found: list[str]) -> None:
    assert list(patterns(Path("x"), [Path("x", name) for name in names])) == found


def test_parts_without_a_date_ask_for_offsets(tmp_path: Path) -> None:
    for name in ("anna_part2.set", "anna_part10.set", "ben_part1.set"):
        write_set(tmp_path / name, NOISE[:, :400], ["Fp1", "Fp2", "Cz", "Pz"], 100)
    assert yaml.safe_load(proposal(tmp_path))["offsets_s"] == {"anna_part10.set": 0}


def test_a_folder_without_a_description_says_how_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_edf(tmp_path / "anna" / "head.edf", {"Cz": (NOISE[0], 128, "uV")})
    assert main(["inspect", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "anna/head.edf (edf) among them" in said
    assert "himoe inspect FOLDER --write-yaml" in said


def test_text_recordings_and_a_folder_without_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").mkdir()
    write_muse(tmp_path / "x" / "anna.csv", np.arange(2560) / 256, NOISE[:2, :2560], [])
    found, _ = propose(tmp_path / "x", capsys)
    assert found["modalities"] == {"EEG": {
        "file": "{subject}.csv", "format": "muse", "columns": {"RAW_TP9": "TP9", "RAW_AF7": "AF7"}, "sfreq_hz": 256,
        "unit": "uV"}}
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "ratings.csv").write_text("subject,trial\n")
    (tmp_path / "y" / "bad.edf").write_bytes(b"0       ")
    assert main(["inspect", str(tmp_path / "y"), "--write-yaml"]) == 2
    assert "bad.edf" in capsys.readouterr().err
    assert not (tmp_path / "y" / "dataset.yaml").exists()
