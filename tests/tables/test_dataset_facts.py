"""Tables 1 and 7: facts of the data as read beside the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from report_folders import SETTINGS, finish_reports, write_run

from himoe.core.errors import InputError
from himoe.core.params import ReportParams
from himoe.report.tables import TABLES, Table, build_table, to_markdown

Build = Callable[..., Table]


def column(made: Table, head: str) -> dict[str, object]:
    k = made.columns.index(head)
    return {str(row[0]): row[k] for row in made.rows}


def test_ours_are_counted_and_the_papers_printed_as_they_are(table: Build) -> None:
    made = table("table7")
    ours, paper = column(made, "DREAMER (simulated), as read"), column(made, "DREAMER, paper")
    assert ours["Subjects"] == 3
    assert ours["Signals"] == "EEG, ECG"
    assert ours["Recorded rates"] == "EEG 512 Hz, ECG 256 Hz"
    assert ours["Channels"] == "EEG 32, ECG 2"
    assert ours["Rating scale"] == "1 to 5"
    assert ours["Trials per subject"] == "6"
    assert ours["Length of a trial (s)"] == "12 to 14"
    assert ours["Dimensions"] == (
        "valence (1.25 to 4.5 seen), arousal (1.25 to 4.5 seen), dominance (1.25 to 4.5 seen)")
    assert (paper["Subjects"], paper["Trials per subject"], paper["Signals"], paper["Dimensions"]) == (
        "23", "18", "EEG, ECG, Video", "V, A")
    assert paper["Rating scale"] == "Continuous (1-5)"


def test_all_four_sets_as_read(table: Build) -> None:
    made = table("table7")
    assert [head for head in made.columns if head.endswith("read")] == [
        f"{name} (simulated), as read" for name in ("DEAP", "DREAMER", "SEED", "AMIGOS")]
    seed, amigos = (column(made, f"{name} (simulated), as read") for name in ("SEED", "AMIGOS"))
    assert (seed["Sessions per subject"], amigos["Sessions per subject"]) == (3, 2)
    assert column(made, "DEAP (simulated), as read")["Sessions per subject"] == 1
    assert (seed["Rating scale"], amigos["Rating scale"]) == ("-1 to 1", "1 to 9")
    assert seed["Dimensions"] == "valence (-0.75 to 0.5 seen)"
    assert (seed["Signals"], amigos["Signals"]) == ("EEG", "EEG, EDA, ECG")



def test_gaps_face_and_our_own_sets_are_counted(tmp_path: Path) -> None:
    write_run(tmp_path, "face", modalities="EEG+PPS+FACE", simulated=False)
    write_run(tmp_path, "own", set="hku956", modalities="EDA+PPG", simulated=False)
    path = tmp_path / "metrics" / "facts" / "deap.json"
    facts = json.loads(path.read_text())
    facts["modalities"]["FACE"]["recordings"] = 11
    facts["modalities"]["EDA"]["recordings"] = 17
    facts |= {"trials_min": 4, "annotation": "trial", "scale": None, "dimensions": {"valence": [None, None]}}
    path.write_text(json.dumps(facts))
    read = finish_reports(tmp_path, ["face", "own"])
    made = build_table("table7", *read, SETTINGS)
    assert made is not None
    ours = column(made, "DEAP, as read")
    assert ours["Face video"] == "11 of 18 recordings"
    assert ours["Signals"] == "EEG, EOG, EMG, EDA (17 of 18 recordings), RSP, PPG, TEMP"
    assert ours["Trials per subject"] == "4 to 6"
    assert ours["Annotation"] == "one rating per trial"
    assert (ours["Rating scale"], ours["Dimensions"]) == (None, "valence")
    assert column(made, "HKU956, as read")["Signals"] == "EDA, PPG"
    assert "HKU956, paper" not in made.columns
    assert not any("those simulated" in note for note in made.notes)
    assert build_table("table1", {"own": read[0]["own"]}, *read[1:], SETTINGS) is None
    path.write_text(json.dumps(facts | {"data": "DEAP (simulated)"}))
    with pytest.raises(InputError, match=r"deap\.json: data: found 'DEAP \(simulated\)', expected 'DEAP' as in"):
        build_table("table1", *read, SETTINGS)
    path.unlink()
    with pytest.raises(InputError, match="make it with `dvc repro preprocess@deap`"):
        build_table("table1", *read, SETTINGS)


def test_data_that_the_paper_never_had_stands_beside_nothing_of_it(tmp_path: Path) -> None:
    methods = ("himoe", "late_fusion", "mean")
    for method in methods:
        write_run(tmp_path, f"own-{method}", set="wrist", method=method, modalities="EDA+PPG", simulated=False)
    read = finish_reports(tmp_path, [f"own-{method}" for method in methods])
    settings = ReportParams("wrist", ("late_fusion",))
    made = {name: table for name in TABLES if (table := build_table(name, *read, settings)) and name != "claims"}
    assert {"table2", "table3", "table7", "scores"} <= set(made)
    assert [name for name, table in made.items() if "the paper" in to_markdown(table).lower()] == []
    assert made["table2"].title == "Table 2. Regression, average over dimensions: wrist"
    assert made["table7"].columns == ("Fact", "wrist, as read")
    write_run(tmp_path, "deap-himoe", method="himoe")  # one set of the paper's among them brings its numbers back
    read = finish_reports(tmp_path, ["own-himoe", "deap-himoe"])
    both = {name: build_table(name, *read, settings) for name in ("table2", "table7")}
    assert [table.title.rpartition(", ")[2] for table in both.values() if table] == ["beside the paper's numbers",
                                                                                     "beside the paper's facts"]
