"""What a path is, told from patterns and content."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from inspection_sets import dreamer_person, ratings, write_bdf_set, write_dat_set
from toysets import make_store, write_store

from himoe.core.errors import InputError
from himoe.core.params import SplitParams
from himoe.core.recordings import Recording, Signal
from himoe.datasets import deap
from himoe.inspection.locate import locate
from himoe.inspection.look import inspect_path
from himoe.inspection.survey import signal_facts
from himoe.prepare.folds import make_folds
from himoe.prepare.recording_files import write_description, write_recordings
from himoe.simulate import layouts

DESCRIPTION = """
name: mine
title: Recordings of a group
licence: private
dimensions: [valence]
scale: [1, 9]
threshold: 5
ratings: ratings.csv
modalities:
  EDA: {file: "{subject}/{trial}.csv", columns: [gsr], sfreq_hz: 4, unit: uS}
"""


def rows_by(report: dict[str, Any], table: str, key: str) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in report[table]}


def write_own_set(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(DESCRIPTION, encoding="utf-8")
    (root / "ratings.csv").write_text("subject,trial,valence\nanna,t1,3\nanna,t2,\nanna,t3,4\n", encoding="utf-8")
    (root / "anna").mkdir()
    (root / "anna" / "t1.csv").write_text("gsr\n" + "".join(f"{k / 10}\n" for k in range(20)), encoding="utf-8")
    (root / "anna" / "t2.csv").write_text("gsr,note\n" + ",x\n" * 12, encoding="utf-8")  # a lost sensor


# Raw folders

def test_a_raw_folder_is_described_by_what_is_read(tmp_path: Path) -> None:
    written = write_dat_set(tmp_path)
    (report,) = inspect_path(tmp_path)
    assert (report["set"], report["layout"], report["data"]) == ("deap", "dat", "DEAP")
    assert report["subjects"] == ["s06", "s24", "s31"]
    assert report["read whole"] == ["s06"]
    assert report["trials"] == [{"subject": "s06", "trials": 2, "sessions": 1, "shortest_s": 60.0, "longest_s": 60.0}]
    modalities = rows_by(report, "modalities", "modality")
    assert list(modalities) == list(deap.MODALITIES)
    assert modalities["EEG"] == {"modality": "EEG", "channels": 32, "sfreq_hz": 128.0, "unit": "uV",
                                 "trials": "2 of 2", "gaps_percent": 0.0, "names": list(deap.EEG_GENEVA)}
    labels = written["s06"][1]
    arousal = rows_by(report, "ratings", "dimension")["arousal"]
    assert (arousal["lowest"], arousal["highest"]) == (labels[:, 1].min(), labels[:, 1].max())
    assert (arousal["scale"], arousal["missing"]) == ("1 to 9", "0 of 2")
    assert len(report["missing"]) == 29
    assert report["errors"] == []


def test_everything_reads_every_subject_and_says_what_is_damaged(tmp_path: Path) -> None:
    written = write_dat_set(tmp_path)
    path = tmp_path / "data_preprocessed_python" / "s06.dat"
    path.write_bytes(path.read_bytes()[:5000])
    (quick,) = inspect_path(tmp_path)
    assert quick["read whole"] == ["s24"]  # the first that can be read
    assert len(quick["errors"]) == 1
    assert "s06.dat" in quick["errors"][0]
    (whole,) = inspect_path(tmp_path, everything=True)
    assert whole["read whole"] == ["s24", "s31"]
    labels = np.concatenate([written["s24"][1], written["s31"][1]])
    valence = rows_by(whole, "ratings", "dimension")["valence"]
    assert (valence["lowest"], valence["mean"]) == (labels[:, 0].min(), round(labels[:, 0].mean(), 2))


@pytest.mark.parametrize("below", ["data_preprocessed_python", "metadata_csv"])
def test_a_subfolder_belongs_to_the_set_above_it(tmp_path: Path, below: str) -> None:
    write_dat_set(tmp_path, (6,))
    (report,) = inspect_path(tmp_path / below)
    assert (report["set"], report["folder"]) == ("deap", str(tmp_path))


def test_both_layouts_are_said_and_a_subfolder_or_the_option_names_one(tmp_path: Path) -> None:
    write_dat_set(tmp_path, (4,))
    write_bdf_set(tmp_path, (4,))
    assert [report["layout"] for report in inspect_path(tmp_path)] == ["bdf", "dat"]
    assert [report["layout"] for report in inspect_path(tmp_path / "data_original")] == ["bdf"]
    assert [report["layout"] for report in inspect_path(tmp_path, layout="dat")] == ["dat"]
    with pytest.raises(InputError, match="layout of deap: found 'mat', expected bdf or dat"):
        inspect_path(tmp_path, layout="mat")


def test_files_of_two_sets_are_not_guessed(tmp_path: Path) -> None:
    write_dat_set(tmp_path, (6,))
    layouts.write_dreamer(tmp_path, [dreamer_person(1)])
    with pytest.raises(InputError, match="files of deap and dreamer, expected files of one data set"):
        inspect_path(tmp_path)
    assert inspect_path(tmp_path, "dreamer")[0]["set"] == "dreamer"
    assert inspect_path(tmp_path / "data_preprocessed_python")[0]["set"] == "deap"


def test_a_set_is_named_simulated_where_the_simulator_or_the_download_says_so(tmp_path: Path) -> None:
    write_dat_set(tmp_path, (6,))
    (tmp_path / "truth.json").write_text("{}", encoding="utf-8")
    assert inspect_path(tmp_path)[0]["data"] == "DEAP (simulated)"
    assert inspect_path(tmp_path / "data_preprocessed_python" / "s06.dat")[0]["data"] == "DEAP (simulated)"
    (tmp_path / "truth.json").unlink()
    provenance = {"set": "deap", "title": "DEAP", "source": "simulate", "simulated": True, "label": "DEAP (simulated)"}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    assert inspect_path(tmp_path)[0]["data"] == "DEAP (simulated)"
    assert inspect_path(tmp_path / "provenance.json")[0]["set"] == "deap"


def test_a_set_of_which_nothing_is_usable_is_identified_all_the_same(tmp_path: Path) -> None:
    write_dat_set(tmp_path, (6,))
    (tmp_path / "data_preprocessed_python" / "s06.dat").unlink()
    (report,) = inspect_path(tmp_path)
    assert (report["set"], report["subjects"]) == ("deap", [])
    assert "no participant that can be read" in report["errors"][0]


def test_a_folder_with_a_description_of_its_own(tmp_path: Path) -> None:
    write_own_set(tmp_path)
    (report,) = inspect_path(tmp_path)
    assert (report["set"], report["subjects"], report["missing"]) == ("mine", ["anna"], ["anna/t3.csv"])
    assert rows_by(report, "modalities", "modality")["EDA"]["trials"] == "1 of 2"
    assert rows_by(report, "ratings", "dimension")["valence"]["missing"] == "1 of 2"
    assert inspect_path(tmp_path / "anna")[0]["set"] == "mine"
    assert inspect_path(tmp_path / "dataset.yaml")[0]["set"] == "mine"
    (tmp_path / "other").mkdir()
    assert locate(tmp_path / "other") is None


def test_a_folder_that_is_nothing_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no data file, expected one of deap: data_preprocessed_python/\*\.dat"):
        inspect_path(tmp_path)
    write_dat_set(tmp_path / "sets" / "deap", (6,))
    (tmp_path / "sets" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"1 files \(\.txt\) in no known layout.*give one of its folders: deap"):
        inspect_path(tmp_path / "sets")
    with pytest.raises(InputError, match="no such file or folder"):
        inspect_path(tmp_path / "absent")


# Single files

def test_a_bdf_file_and_its_subject(tmp_path: Path) -> None:
    write_bdf_set(tmp_path, (4, 23))
    file, subject = inspect_path(tmp_path / "data_original" / "s23.bdf")
    assert (file["what"], file["could be of"], file["duration_s"]) == ("BioSemi recording (BDF)", "deap", 150.0)
    assert sum(row["channels"] for row in file["channels"]) == 48
    assert {row["unit"] for row in file["channels"]} == {"uV", "nS", "a.u.", "degC", "Boolean"}
    assert (subject["read whole"], subject["trials"][0]["trials"]) == (["s23"], 2)


def test_a_pickle_outside_its_layout(tmp_path: Path) -> None:
    _, labels = write_dat_set(tmp_path, (6,))["s06"]
    path = tmp_path / "data_preprocessed_python" / "s06.dat"
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "person.dat")
    (report,) = inspect_path(moved)
    assert (report["could be of"], report["trials"], report["channels"]) == ("deap", 2, 40)
    assert rows_by(report, "ratings", "name")["liking"]["lowest"] == labels[:, 3].min()


def test_matlab_files(tmp_path: Path) -> None:
    layouts.write_dreamer(tmp_path, [dreamer_person(1)])
    file, subjects = inspect_path(tmp_path / "DREAMER.mat")
    assert (file["could be of"], subjects["subjects"]) == ("dreamer", ["s01"])
    path = tmp_path / "sub" / "clip.mat"
    path.parent.mkdir()
    scipy.io.savemat(path, {"ww_eeg1": np.ones((62, 5)), "ww_eeg2": np.ones((62, 7))})
    (report,) = inspect_path(path)
    assert report["could be of"] == "seed"
    assert [row["shape"] for row in report["variables"]] == ["62 x 5", "62 x 7"]
    scipy.io.savemat(path, {"x": 1.0})
    with pytest.raises(InputError, match=r"clip\.mat: found variables x, expected those of a data set"):
        inspect_path(path)


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    ratings((4, 9)).to_csv(path, index=False)
    (report,) = inspect_path(path)
    assert (report["what"], report["rows"], report["people"]) == ("ratings of DEAP", 4, 2)
    assert rows_by(report, "columns", "name")["Valence"] == {
        "name": "Valence", "lowest": 3.5, "highest": 4.5, "missing": "0 of 4"}
    path.write_text("participant,video,time_s,arousal\n1,2,0.5,\n1,2,1.0,3\n", encoding="utf-8")
    assert rows_by(inspect_path(path)[0], "columns", "name")["arousal"]["missing"] == "1 of 2"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"table\.csv: found columns a b"):
        inspect_path(path)


@pytest.mark.parametrize("ending", [".bdf", ".dat", ".mat", ".csv", ".parquet", ".avi", ".edf",
                                    ".vhdr", ".set", ".fif", ".xdf", ".zip"])
@pytest.mark.parametrize("content", [b"", b"\0" * 700, b"hello, this is a letter\n"], ids=["empty", "zeros", "text"])
def test_damaged_files_give_one_sentence(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"one{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"one{ending}.*expected") as caught:
        inspect_path(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_in_its_place_is_still_identified(tmp_path: Path) -> None:
    write_dat_set(tmp_path, (6,))
    path = tmp_path / "data_preprocessed_python" / "s06.dat"
    path.write_bytes(b"not a pickle")
    file, subject = inspect_path(path)
    assert (file["what"], file["set"]) == ("damaged .dat file of a data set", "deap")
    assert "s06.dat" in file["errors"][0]
    assert subject["errors"] == file["errors"]


# What this project made

def test_window_shards(tmp_path: Path) -> None:
    store = make_store()
    write_store(tmp_path / "windows", store)
    (folder,) = inspect_path(tmp_path / "windows")
    assert (folder["what"], folder["data"], folder["windows"]) == ("window shards", "Toy (simulated)", len(store.index))
    assert folder["subjects"] == sorted(store.index["subject"].unique())
    assert rows_by(folder, "modalities", "modality")["EDA"]["samples"] == 16
    shards = [inspect_path(path)[0] for path in sorted((tmp_path / "windows").glob("*.parquet"))]
    assert [shard["windows"] for shard in shards] == store.index.groupby("subject").size().tolist()


def test_fold_tables(tmp_path: Path) -> None:
    index = make_store().index
    for protocol in ("trial", "leaky"):
        text = io.StringIO()
        make_folds(index, protocol, SplitParams(folds=3, validation=0.25), 0).to_csv(text, index=False)
        (tmp_path / f"{protocol}.csv").write_text(text.getvalue(), encoding="utf-8")
    (folder,) = inspect_path(tmp_path)
    assert [(row["protocol"], row["folds"]) for row in folder["tables"]] == [("leaky", 3), ("trial", 3)]
    (honest,), (leaky,) = inspect_path(tmp_path / "trial.csv"), inspect_path(tmp_path / "leaky.csv")
    assert honest["leaks"] == "0 trials stand in two roles of one fold"
    assert int(leaky["leaks"].split()[0]) > 0
    trials = len(index[["subject", "trial"]].drop_duplicates())
    assert {sum(row[role] for role in ("train", "validation", "test")) for row in honest["folds"]} == {trials}


def test_clean_signals(tmp_path: Path) -> None:
    signal = Signal(np.ones((2, 30), np.float32), 10.0, ("a", "b"), "uV")
    recording = Recording("s01", "v01", "v01", 3.0, {"EEG": signal}, {"valence": 3.0})
    part = write_recordings(tmp_path, "s01", [recording])
    write_description(tmp_path, {"set": "toy", "provenance": {"label": "Toy (simulated)"}, "subjects": ["s01", "s02"],
                                 "modalities": part["modalities"], "annotated": False})
    for path in (tmp_path, tmp_path / "set.json", tmp_path / "signals"):
        (report,) = inspect_path(path)
        assert (report["what"], report["data"]) == ("clean signals of a data set", "Toy (simulated)")
        assert report["trials"] == 1
        assert report["missing"] == ["signals/s02.parquet", "trials/s02.parquet"]
    (table,) = inspect_path(tmp_path / "signals" / "s01.parquet")
    assert (table["what"], table["data"], table["rows"]) == ("clean signals of one subject", "Toy (simulated)", 2)
    other = tmp_path / "other" / "x.parquet"
    other.parent.mkdir()
    pd.DataFrame({"q": [1]}).to_parquet(other)
    with pytest.raises(InputError, match=r"x\.parquet: found a Parquet table with columns q"):
        inspect_path(other)


# Facts and text

def test_signal_facts_against_a_slow_loop() -> None:
    data = np.random.default_rng(2).normal(0, 1, (5, 40)).astype(np.float32)
    data[1] = 3.0
    data[2] = np.nan
    data[3, ::4] = np.nan
    data[4, 7:] = np.nan
    data[4, :7] = -1.0
    facts = signal_facts(Signal(data, 8.0, tuple("abcde"), "uV"))
    values = {name: {float(v) for v in row if v == v} for name, row in zip("abcde", data, strict=True)}
    assert facts.constant == tuple(name for name, seen in values.items() if len(seen) == 1)
    assert facts.lost == tuple(name for name, seen in values.items() if not seen)
    assert facts.gaps == sum(1 for row in data for v in row if v != v)
    assert facts.values == 200
    assert not facts.empty
    assert facts.digest == signal_facts(Signal(data.copy(), 8.0, tuple("abcde"), "uV")).digest
    data[0, 0] += 1
    assert facts.digest != signal_facts(Signal(data, 8.0, tuple("abcde"), "uV")).digest
    assert signal_facts(Signal(data[1:3], 8.0, ("b", "c"), "uV")).digest is None
