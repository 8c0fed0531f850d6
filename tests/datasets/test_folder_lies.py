"""A user's own folder whose files do not fit each other, its description or the truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from himoe import cli
from himoe.core.errors import InputError
from himoe.core.recordings import Session
from himoe.datasets import get_dataset
from himoe.datasets.base import notes_of, require_no_doubt
from himoe.datasets.fetch import obtain_local
from himoe.inspection.checks import check_place
from himoe.inspection.locate import place_of

EDA = {"file": "{subject}/{trial}.csv", "columns": ["skin"], "sfreq_hz": 4, "unit": "uS"}
TIMED = {**EDA, "time_column": "t", "max_gap_s": 2}
EEG = {"file": "{subject}/{trial}_eeg.csv", "columns": ["Fp1", "Cz", "Pz"], "sfreq_hz": 16, "unit": "uV"}


def write(root: Path, files: dict[str, str], ratings: str = "mia,t1,3,4\n", head: str = "subject,trial,valence,arousal",
          modalities: dict[str, Any] | None = None, **more: Any) -> Path:
    """A folder with one person and one trial, unless said otherwise."""
    raw = {"name": "mine", "title": "Mine", "licence": "private", "dimensions": ["valence", "arousal"],
           "scale": [1, 9], "threshold": 5, "ratings": "ratings.csv", "modalities": modalities or {"EDA": EDA}, **more}
    root.mkdir(exist_ok=True)
    (root / "dataset.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    (root / "ratings.csv").write_text(f"{head}\n{ratings}", encoding="utf-8")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def skin(n: int = 80, seed: int = 0) -> str:
    return "skin\n" + "".join(f"{v:.4f}\n" for v in np.random.default_rng(seed).uniform(1, 2, n))


def timed(stamps: np.ndarray) -> str:
    return "t,skin\n" + "".join(f"{t},{np.sin(t):.4f}\n" for t in stamps)


def sessions(root: Path, **options: str) -> list[Session]:
    return list(get_dataset("mine", root).read(root, "mia", options))


def findings(root: Path) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in check_place(place_of(root, "mine"))]


def said(root: Path, level: str) -> str:
    return " ".join(text for kind, text in findings(root) if kind == level)


# Lengths

@pytest.mark.parametrize("rows, level, message", [
    (160, "error", "160 rows, which last 40 s, expected at most the 20 s of duration_s"),
    (90, "note", "90 rows last 22.5 s, the trial 20 s: the rest is cut off"),
    (40, "note", "the trial lasts 20 s, EDA 10 s: what is missing at the end is a gap"),
])
def test_rows_against_the_length_of_the_trial(tmp_path: Path, rows: int, level: str, message: str) -> None:
    write(tmp_path, {"mia/t1.csv": skin(rows)}, "mia,t1,3,4,20\n", "subject,trial,valence,arousal,duration_s")
    assert message in said(tmp_path, level)


def test_rows_that_fit_are_not_spoken_of_and_a_cut_can_be_said(tmp_path: Path) -> None:
    head = "subject,trial,valence,arousal,duration_s"
    write(tmp_path, {"mia/t1.csv": skin(82)}, "mia,t1,3,4,20\n", head)
    assert findings(tmp_path) == []
    write(tmp_path, {"mia/t1.csv": skin(160)}, "mia,t1,3,4,20\n", head, {"EDA": {**EDA, "past_end": "cut"}})
    assert said(tmp_path, "error") == ""
    assert "cut off" in said(tmp_path, "note")


def test_modalities_of_one_trial_are_held_against_each_other(tmp_path: Path) -> None:
    cap = "Fp1,Cz,Pz\n" + "".join(f"{k % 7},{k % 5},{k % 3}\n" for k in range(320))
    write(tmp_path, {"mia/t1.csv": skin(160), "mia/t1_eeg.csv": cap}, modalities={"EDA": EDA, "EEG": EEG})
    assert "the trial lasts 40 s, EEG 20 s" in said(tmp_path, "note")


# Time stamps, from the files to check and pipeline

@pytest.mark.parametrize("stamps, keys, length_s", [
    (np.arange(80) * 250, {"time_unit": "ms"}, 20.0), (np.arange(80) / 4 + 5000, {"time_origin": "first"}, 20.0),
    (np.arange(40, 80) / 4, {"time_origin": "trial"}, 20.0),
])
def test_a_doubtful_clock_stops_check_and_pipeline_until_it_is_said(tmp_path: Path, stamps: np.ndarray,
                                                                    keys: dict[str, str], length_s: float) -> None:
    write(tmp_path, {"mia/t1.csv": timed(stamps)}, modalities={"EDA": TIMED})
    (key, value), = keys.items()
    assert f"{key}: {value}" in said(tmp_path, "error")
    with pytest.raises(InputError, match=f"{key}: {value}"):
        require_no_doubt(sessions(tmp_path)[0])
    write(tmp_path, {}, modalities={"EDA": {**TIMED, **keys}})
    (session,) = sessions(tmp_path)
    assert require_no_doubt(session).trials[0].duration_s == length_s
    assert notes_of(session) == ()
    assert said(tmp_path, "error") == ""


@pytest.mark.parametrize("keys, message", [
    ({"time_unit": "h"}, "modalities.EDA.time_unit: found 'h', expected one of 's' 'ms'"),
    ({"time_origin": 5}, "time_origin: found 5"),
    ({"past_end": True}, "past_end: found True"), ({"decimal": ","}, "the comma both between fields"),
    ({"separator": "x"}, "separator: found 'x'"), ({"sfreq_hz": 10**400}, "sfreq_hz: found .*, expected a number"),
    ({"time_column": None, "max_gap_s": None, "time_unit": "ms"}, "time_unit without time_column"),
])
def test_mistakes_in_the_new_keys(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    entry = {key: value for key, value in {**TIMED, **keys}.items() if value is not None}
    write(tmp_path, {}, modalities={"EDA": entry})
    with pytest.raises(InputError, match=message):
        get_dataset("mine", tmp_path)


def test_a_dialect_for_the_folder_and_another_for_one_sensor(tmp_path: Path) -> None:
    write(tmp_path, {"mia/t1.csv": "skin;x\n" + "1,25;0\n2,5;0\n" * 20}, "mia;t1;3,5;4\n",
          "subject;trial;valence;arousal", separator=";", decimal=",")
    (session,) = sessions(tmp_path)
    assert session.signals["EDA"].data[0, :2].tolist() == [1.25, 2.5]
    assert session.trials[0].ratings["valence"] == 3.5
    write(tmp_path, {"mia/t1.csv": skin()}, "mia;t1;3,5;4\n", "subject;trial;valence;arousal", separator=";",
          decimal=",", modalities={"EDA": {**EDA, "separator": ",", "decimal": "."}})
    assert sessions(tmp_path)[0].signals["EDA"].data.shape == (1, 80)


# Tables against each other

def test_trials_without_samples_and_files_without_ratings(tmp_path: Path) -> None:
    write(tmp_path, {"mia/t1.csv": skin(), "mia/t2.csv": "skin\n", "mia/t9.csv": skin()},
          "mia,t1,3,4\nmia,t2,5,6\nmia,t3,5,6\n")
    text = said(tmp_path, "missing")
    assert "2 rated trials (mia t2 in row 2, mia t3 in row 3) without a sample in any file: left out" in text
    assert "t2.csv: a header without a row of samples" in text
    assert "ratings.csv: no rating for 1 file (mia/t9.csv): not used" in text
    assert [session.trials[0].trial for session in sessions(tmp_path)] == ["t1"]


def test_an_empty_parquet_file_is_named_too(tmp_path: Path) -> None:
    entry = {**EDA, "file": "{subject}/{trial}.parquet"}
    write(tmp_path, {"mia/x": ""}, "mia,t1,3,4\nmia,t2,3,4\n", modalities={"EDA": entry})
    pd.DataFrame({"skin": np.arange(40.0)}).to_parquet(tmp_path / "mia" / "t1.parquet")
    pd.DataFrame({"skin": np.zeros(0)}).to_parquet(tmp_path / "mia" / "t2.parquet")
    assert "t2.parquet: a header without a row" in said(tmp_path, "missing")
    pd.DataFrame({"skin": pd.date_range("2024", periods=9)}).to_parquet(tmp_path / "mia" / "t2.parquet")
    assert "values of type timestamp" in said(tmp_path, "error")


@pytest.mark.parametrize("rows, level, message", [
    ("mia,t1,0.5,9.5,4\n", "error", "annotations.csv: row 1, column 'valence': found 9.5, expected a rating in 1..9"),
    ("mia,t1,0.5,5,4\nmia,t7,0.5,5,4\n", "missing", "annotations of 1 trial (mia t7 (row 2))"),
    ("mia,t1,1,5,4\nmia,t1,2,5,4\nmia,t1,90,5,4\n", "note", "1 of 3 annotations lie outside the 20 s of the trial"),
    ("mia,t1,1000,5,4\nmia,t1,2000,5,4\n", "error", "times up to 2000 s, 2 of 2 outside the trial"),
    ("mia,t1,2,5,4,\n", "error", "annotations.csv: row 1: found 6 fields"),
])
def test_annotations_against_scale_trials_and_lengths(tmp_path: Path, rows: str, level: str, message: str) -> None:
    write(tmp_path, {"mia/t1.csv": skin(), "annotations.csv": "subject,trial,time_s,valence,arousal\n" + rows},
          annotations="annotations.csv")
    assert message in said(tmp_path, level)


@pytest.mark.parametrize("row, message", [
    ("mia,t1,0.5,4\n", "row 1, column 'valence': found 0.5, expected a rating in 1..9"),
    ("mia,t1,3,4\nmia,t1,5,5\n", "row 2, column 'trial': found 't1', expected every subject and trial once"),
    ("mia,,3,4\n", "row 1, column 'trial': found ''"), ("a/b,t1,3,4\n", "an id without slashes"),
    (f"mia,{'x' * 300},3,4\n", "an id without slashes"), ("mia,t1,3,4,5\n", "row 1: found 5 fields"),
    ("mia,t1,3\n", "row 1: found 3 fields"),
])
def test_ratings_that_cannot_be(tmp_path: Path, row: str, message: str) -> None:
    write(tmp_path, {"mia/t1.csv": skin()}, row)
    assert message in said(tmp_path, "error")


def test_names_stay_names(tmp_path: Path) -> None:
    names = ("NA", "null", "007", "mia müller", "Ünal", "true", "1e5")
    root = write(tmp_path / "Übung 1", {f"{name}/t1.csv": skin(seed=k) for k, name in enumerate(names)},
                 "".join(f"{name},t1,3,4\n" for name in names))
    assert set(get_dataset("mine", root).inspect(root, {}).subjects) == set(names)
    assert findings(root) == []


def test_what_check_foresees_of_short_trials_and_small_caps(tmp_path: Path) -> None:
    cap = "Fp1,Czz\n" + "".join(f"{k % 7},{k % 5}\n" for k in range(320))
    write(tmp_path, {"mia/t1.csv": skin(79), "mia/t2.csv": skin(15, 1), "mia/t1_eeg.csv": cap},
          "mia,t1,3,4\nmia,t2,3,4\n", modalities={"EDA": EDA, "EEG": {**EEG, "columns": ["Fp1", "Czz"]}})
    text = said(tmp_path, "note")
    assert "1 of 2 trials shorter than a window (t2: 3.75 s), expected 4 s or more" in text
    assert "2 electrodes, expected 3 or more for a common average" in text
    assert "electrodes without a place of their own (Czz)" in text
    place = place_of(tmp_path, "mine")
    assert not [one for one in check_place(place, window_s=3.0) if "shorter than a window" in one.text]


def test_check_names_every_bad_trial_of_a_person_and_reading_stops_at_the_first(tmp_path: Path) -> None:
    ratings = "".join(f"mia,t{k},3,4\n" for k in range(1, 6))
    write(tmp_path, {"mia/t1.csv": skin(), "mia/t2.csv": skin() + "x\n", "mia/t3.csv": skin(seed=3),
                     "mia/t4.csv": skin() + "1,2\n", "mia/t5.csv": skin(seed=5) + "\n1.5\n"}, ratings)
    errors = [text for level, text in findings(tmp_path) if level == "error"]
    assert [any(f"t{k}.csv" in text for text in errors) for k in range(1, 6)] == [False, True, False, True, True]
    with pytest.raises(InputError, match=r"t2\.csv: row 81"):
        sessions(tmp_path)


@pytest.mark.parametrize("unit, factor, expected", [
    ("uV", 1.0, None), ("V", 1e-6, None), ("mV", 1e-3, None), ("a.u.", 1e-6, None), ("uV", 1e-6, "1e-05 uV"),
    ("V", 1.0, "1e+07 uV"), ("mV", 1e-6, "0.01 uV"),
])
def test_an_eeg_of_another_unit_than_said_is_noted(tmp_path: Path, unit: str, factor: float,
                                                   expected: str | None) -> None:
    rows = "".join(f"{v},{v},{v}\n" for v in [-10.0 * factor, 10.0 * factor] * 160)
    write(tmp_path, {"mia/t1_eeg.csv": "Fp1,Cz,Pz\n" + rows}, modalities={"EEG": {**EEG, "unit": unit}})
    notes = said(tmp_path, "note")
    assert ("standard deviation" in notes) == (expected is not None)
    assert expected is None or f"a standard deviation of {expected}, expected 0.1 to 5000 uV" in notes


@pytest.mark.parametrize("seed", range(25))
def test_a_disturbed_folder_never_ends_in_a_traceback(tmp_path: Path, seed: int,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes of one file flipped, cut, repeated, put in: check finishes, and every reader says what it means."""
    rated = "subject,trial,time_s,valence,arousal\nmia,t1,1,5,5\nmia,t1,2,4,5\n"
    write(tmp_path, {"mia/t1.csv": timed(np.arange(80) / 4), "annotations.csv": rated}, "mia,t1,3,4,20\n",
          "subject,trial,valence,arousal,duration_s",
          {"EDA": TIMED, "PPG": {**EDA, "file": "{subject}/{trial}.parquet"}}, annotations="annotations.csv")
    pd.DataFrame({"skin": np.random.default_rng(0).normal(size=80)}).to_parquet(tmp_path / "mia" / "t1.parquet")
    rng = np.random.default_rng(seed)
    path = tmp_path / ("mia/t1.csv", "annotations.csv", "ratings.csv", "dataset.yaml", "mia/t1.parquet")[seed % 5]
    content = bytearray(path.read_bytes())
    for place, length, kind in rng.integers([0, 1, 0], [len(content) - 30, 20, 4], (3, 3)):
        piece = content[place:place + length]
        content[place:place + length] = (bytes([rng.integers(256)]) + piece[1:], b"", piece + piece,
                                         bytes(rng.choice(list(b",;\n\r\"' \t.:{}[]&*#-0"), length)))[kind]
    path.write_bytes(bytes(content))
    assert cli.main(["check", str(tmp_path), "--dataset", "mine"]) in (0, 1, 2)
    output = capsys.readouterr()
    assert "its reader cannot handle" not in output.out + output.err


# Hostile descriptions

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{','.join([f'*{chr(97 + k)}'] * 9)}]\n" for k in range(9))


@pytest.mark.parametrize("text, message", [
    (BOMB, "the alias [*]a inside"), ("name: &n [*n]\n", "the alias [*]n inside"),
    ("title: " + "[" * 5000 + "]" * 5000, "more than 12 levels of nesting"),
    ("x: {y: " * 40 + "1" + "}" * 40, "levels of nesting|not YAML"),
    ("a: &a [1]\nb: [" + "*a," * 500 + "]\n", "more than 200 aliases"),
    ("!!python/object/apply:os.getcwd []", "not YAML"),
    ("title: [" + "1," * 30_000 + "]", "more than 5000 values"),
    ("title: " + "x" * 100_000, "bytes, expected at most"),
    ("title: " + "9" * 6000, "not YAML|found a value|no key"), ("title: 2020-13-45", "not YAML"),
    ("name: a\nname: b\n", "the key 'name' twice"), ("? [a]\n: 1\n", "the unknown key"), ("", "NoneType"),
])
def test_descriptions_are_bounded(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        get_dataset("mine", tmp_path)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_an_alias_of_plain_values_is_read_and_long_values_are_cut_short(tmp_path: Path) -> None:
    root = write(tmp_path, {"mia/t1.csv": skin()})
    text = (root / "dataset.yaml").read_text().replace("title: Mine", "title: &t Mine\ncitation: *t")
    (root / "dataset.yaml").write_text(text)
    assert get_dataset("mine", root).citation == "Mine"
    (root / "dataset.yaml").write_text(text.replace("scale:\n- 1\n- 9", f"scale: [{'7, ' * 2000}]"))
    with pytest.raises(InputError, match="scale: found") as caught:
        get_dataset("mine", root)
    assert len(str(caught.value)) < 300 + len(str(root))


# Links and paths

@pytest.mark.parametrize("name", ["mia/t1.csv", "ratings.csv", "mia", "README"])
def test_a_link_that_leaves_the_folder_is_refused_unless_allowed(tmp_path: Path, name: str) -> None:
    root = write(tmp_path / "mine", {"mia/t1.csv": skin(), "README": "ours"})
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    dataset = get_dataset("mine", root)
    with pytest.raises(InputError, match="a link that leaves the data folder"):
        obtain_local(dataset, root, tmp_path / "out", {})
    assert not (tmp_path / "out").exists()
    if name != "README":
        assert cli.main(["check", str(root), "--dataset", "mine"]) == 1
    assert cli.main(["check", str(root), "--dataset", "mine", "--follow-links"]) == 0
    obtain_local(dataset, root, tmp_path / "out", {"links": "follow"})
    assert (tmp_path / "out" / "mia" / "t1.csv").read_text() == skin()


def test_links_inside_and_a_linked_root_are_no_links_out(tmp_path: Path) -> None:
    root = write(tmp_path / "mine", {"store/a/t1.csv": skin()})
    (root / "mia").symlink_to("store/a")
    (tmp_path / "data").symlink_to(root)
    for place in (root, tmp_path / "data"):
        assert findings(place) == []
        assert len(sessions(place)) == 1


def test_paths_that_cannot_be_printed_and_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capfd: pytest.CaptureFixture[str]) -> None:
    for name in (b"caf\xe9", "Übung 1 – neu".encode(), b"two\nlines"):
        root = write(Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))), {"mia/t1.csv": skin()})
        for command in (["inspect", str(root)], ["check", str(root), "--dataset", "mine"],
                        ["inspect", str(root / "nothing")]):
            assert cli.main(command) == (2 if "nothing" in command[1] else 0)
            assert "Traceback" not in capfd.readouterr().err
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "mine", {"mia/t1.csv": skin()})
    assert cli.main(["check", "~/mine", "--dataset", "mine"]) == 0
    assert "0 errors, 0 missing, 2 notes" in capfd.readouterr().out  # one trial, skin at 4 Hz
