"""Tables 2, 4, 5, 6 and 10: our numbers as in the metrics files, the paper's as printed, and what rows say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from report_folders import SETTINGS, finish_reports, plain_runs, write_run

from himoe.errors import InputError
from himoe.paper import METHOD_LABELS, paper_rows
from himoe.tables import Ours, Table, build_table, to_markdown

Build = Callable[..., Table]
Frame = Callable[[Table], pd.DataFrame]
PPS = "EEG+EOG+EMG+EDA+RSP+PPG+TEMP"


def metrics(root: Path, run: str) -> dict[str, float]:
    return json.loads((root / "metrics" / "runs" / f"{run}.json").read_text())


def line(made: Table, start: str) -> list[str]:
    found = [text for text in to_markdown(made).splitlines() if text.startswith(start)]
    assert len(found) == 1
    return [cell.strip() for cell in found[0].strip("|").split(" | ")]


def test_table2_numbers_are_the_files(table: Build, frame: Frame, report_root: Path) -> None:
    made = frame(table("table2"))
    values = metrics(report_root, "deap4-himoe")
    row = made[(made["Method"] == "Hi-MoE") & (made["Modalities"] == "EEG+EOG+EMG+EDA") & (made["Set"] == "DEAP")]
    for head, key in (("CCC", "ccc"), ("PCC", "pcc"), ("MAE", "mae")):
        assert row[head].tolist() == [values[key]]
        for part in ("sd", "low", "high"):
            assert row[f"{head} {part}"].tolist() == [values[f"{key}_{part}"]]
    assert row[["CCC (paper)", "PCC (paper)", "MAE (paper)"]].to_numpy().tolist() == [[0.9131, 0.9218, 0.711]]


def test_table2_prints_mean_sd_and_interval(table: Build, report_root: Path) -> None:
    v = metrics(report_root, "dreamer-late_fusion")
    cell = f"{v['ccc']:.3f} ± {v['ccc_sd']:.3f} [{v['ccc_low']:.3f}, {v['ccc_high']:.3f}]"
    assert line(table("table2"), "| DREAMER | Late Fusion")[1:6] == [
        "Late Fusion (2017) †", "EEG+PPS", "DREAMER (simulated)", cell, "0.37"]


@pytest.mark.parametrize("dataset, name", [("deap", "DEAP"), ("dreamer", "DREAMER")])
def test_table2_holds_every_published_number_in_order(table: Build, frame: Frame, dataset: str, name: str) -> None:
    made = frame(table("table2"))
    for head, metric in (("CCC", "ccc"), ("PCC", "pcc"), ("MAE", "mae")):
        published = paper_rows(2, dataset)
        expected = list(published.loc[published["metric"] == metric, "value"])
        assert list(made.loc[made["Set"] == name, f"{head} (paper)"].dropna()) == expected
        assert made.loc[made["Set"] == name, f"{head} (paper)"].first_valid_index() is not None
    markdown = to_markdown(table("table2"))
    assert "0.9144*" in markdown
    assert "0.9522*" not in markdown


def test_every_run_that_fits_is_in_table2_once(table: Build, reports: tuple) -> None:
    fitting = [run for run in reports[0].values() if run.metrics["protocol"] == "trial"
               and run.metrics["task"] == "regression" and not run.metrics["variant"]
               and not run.metrics["shuffled_labels"]]
    rows = [row for row in table("table2").rows if any(isinstance(cell, Ours) for cell in row)]
    assert len(rows) == len(fitting) == 12 + 4 + 5 + 6 + 4
    # Ours alone stand after the paper's, without a published number; a floor carries no dagger.
    cells = line(table("table2"), "| DEAP | Features + GBDT | EEG+PPS |")
    assert (cells[5], cells[7], cells[9]) == ("—", "—", "—")


def test_rows_without_runs_say_what_they_need(table: Build) -> None:
    made = table("table2", list(plain_runs()))
    assert line(made, "| DEAP | Bi-LSTM (2021) | EEG+PPS+FACE")[3:6] == ["needs FACE", "—", "0.8712*"]
    assert line(made, "| DREAMER | IANet (2024) | EEG+EOG+EMG+EDA")[3:5] == ["needs EOG, EMG, EDA", "—"]
    only = table("table2", ["deap-himoe"])  # what could be run needs nothing
    assert line(only, "| DEAP | IANet (2024) | EEG+EOG+EMG+EDA")[3:6] == ["—", "—", "0.9002*"]
    assert not any(row[0] == "DREAMER" for row in only.rows)


def test_a_face_run_fills_its_row(tmp_path: Path) -> None:
    write_run(tmp_path, "deap-himoe")
    write_run(tmp_path, "deapface-himoe", modalities="EEG+PPS+FACE")
    read = finish_reports(tmp_path, ["deap-himoe", "deapface-himoe"])
    made = build_table("table2", *read, SETTINGS)
    assert made is not None
    assert line(made, "| DEAP | Hi-MoE | EEG+PPS+FACE")[3] == "DEAP (simulated)"
    assert line(made, "| DEAP | Bi-LSTM (2021) | EEG+PPS+FACE")[3] == "—"  # could be run now
    rates = build_table("table3", *read, SETTINGS)
    assert rates is not None
    assert [row[2] for row in rates.rows if row[3] != "paper"] == ["ALL"]
    assert not any("needs FACE" in note for note in rates.notes)


def test_table4_is_in_percent_and_says_undefined(tmp_path: Path) -> None:
    write_run(tmp_path, "c", method="mfst_rnn", task="classification", metrics={
        "accuracy_valence": 0.616, "accuracy_valence_sd": 0.05, "f1_valence": 0.5, "f1_valence_sd": None,
        "accuracy_arousal": 0.71, "accuracy_arousal_sd": None, "f1_arousal": None, "f1_arousal_sd": None})
    made = build_table("table4", *finish_reports(tmp_path, ["c"]), SETTINGS)
    assert made is not None
    assert line(made, "| DEAP | MFST-RNN (2023) †")[4:] == [
        "61.6 ± 5.0", "94.99", "50.0", "95.4", "71.0", "95.89", "undefined", "96.09", "—"]
    assert any("repeats Table 4's MFST-RNN row" in note for note in made.notes)


def test_table10_has_the_other_modality_sets(table: Build) -> None:
    made = table("table10")
    assert {row[2] for row in made.rows} == {"EEG+FACE", "EEG+EOG+EMG+EDA"}
    assert line(made, "| DEAP | CAFNet † | EEG+FACE")[3] == "DEAP (simulated)"
    assert line(made, "| DEAP | TACOFormer (2023) | EEG+FACE")[3] == "—"  # could be run
    assert any(note.startswith("FACE on DEAP (simulated): EfficientNet-B0, random weights") for note in made.notes)
    assert line(table("table10", list(plain_runs())), "| DEAP | CAFNet | EEG+FACE")[3] == "needs FACE"
    assert {row[2] for row in table("table4").rows if row[0] == "DEAP"} == {"EEG+PPS"}


@pytest.mark.parametrize(("name", "modalities"), [("table4", "EEG+PPS"), ("table10", "EEG")])
def test_tables_of_high_and_low_name_runs_of_more_classes(tmp_path: Path, name: str, modalities: str) -> None:
    write_run(tmp_path, "two", task="classification", modalities=modalities)
    write_run(tmp_path, "three", task="classification", set="dreamer", modalities=modalities, classes=3)
    read = finish_reports(tmp_path, ["two", "three"])
    made = build_table(name, *read, SETTINGS)
    assert made is not None
    assert {row[0] for row in made.rows} == {"DEAP"}
    assert [note for note in made.notes if "(three;" in note]
    alone = build_table(name, {"two": read[0]["two"]}, *read[1:], SETTINGS)
    assert alone is not None
    assert alone.rows == made.rows
    assert not any("more than two classes" in note for note in alone.notes)
    assert build_table(name, {"three": read[0]["three"]}, *read[1:], SETTINGS) is None


def test_table5_is_of_people_held_out(table: Build, frame: Frame, report_root: Path) -> None:
    made = table("table5")
    values = frame(made)
    assert values["CCC liking (paper)"].dropna().tolist() == [0.603, 0.63, 0.662, 0.643, 0.689]
    expected = metrics(report_root, "deap-loso-himoe")
    row = values[values["Method"] == "Hi-MoE"].iloc[0]
    for dimension in ("valence", "arousal", "dominance", "liking"):
        assert row[f"CCC {dimension}"] == expected[f"ccc_{dimension}"]
        assert row[f"CCC {dimension} sd"] == expected[f"ccc_{dimension}_sd"]
    assert any("protocol loso" in note for note in made.notes)


def test_a_dimension_a_set_lacks_is_a_dash(tmp_path: Path) -> None:
    write_run(tmp_path, "d", set="dreamer", protocol="loso")
    made = build_table("table5", *finish_reports(tmp_path, ["d"]), SETTINGS)
    assert made is not None
    assert made.rows[0][10] is None
    assert isinstance(made.rows[0][8], Ours)
    path = tmp_path / "metrics" / "runs" / "d.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "ccc_valence"}))
    with pytest.raises(InputError, match="metrics of run 'd': found no field 'ccc_valence'"):
        build_table("table5", *finish_reports(tmp_path, ["d"]), SETTINGS)


def test_table6_has_the_parts_left_out_and_says_that_modalities_differ(table: Build) -> None:
    assert any(note.startswith(f"Ours use {PPS} where the paper has EEG+PPS+FACE: Hi-MoE without")
               for note in table("table6").notes)  # faces were read, the variants did not use them
    made = table("table6", list(plain_runs()))
    assert [row[1] for row in made.rows] == [METHOD_LABELS[key] for key in (
        "himoe-no_emotion_experts", "himoe-no_alignment", "himoe-no_soft_routing", "himoe")]
    assert {row[2] for row in made.rows} == {PPS}
    assert any(note.startswith(f"Ours use {PPS} where the paper has EEG+PPS+FACE, which needs FACE: Hi-MoE without")
               for note in made.notes)
    assert not any(note.startswith(("*", "†")) for note in made.notes)
    partly = table("table6", ["deap-himoe", "deap-no_alignment"])
    assert partly.rows[0][2:5] == ("EEG+PPS+FACE", "needs FACE", None)


@pytest.mark.parametrize("name", ["table2", "table4", "table5", "table6", "table10"])
def test_no_fitting_run_no_table(tmp_path: Path, name: str) -> None:
    write_run(tmp_path, "leaky", protocol="leaky")
    assert build_table(name, *finish_reports(tmp_path, ["leaky"]), SETTINGS) is None


def test_notes_carry_provenance_checks_and_contradictions(table: Build) -> None:
    notes = "\n".join(table("table2").notes)
    for text in ("† our implementation", "training_missing: sampled", "4 folds, 2 seeds", "4 folds, 1 seed",
                 "* baseline re-run", "IANet has 0.9014 in Table 3 and 0.9002",
                 "Check failed, paper, Hi-MoE EEG+PPS on DREAMER: CCC 0.9571"):
        assert text in notes
    assert "Check failed, ours" not in notes


def test_our_own_impossible_result_is_noted_first(tmp_path: Path) -> None:
    write_run(tmp_path, "d", method="late_fusion", set="dreamer", metrics={"ccc_arousal": 0.97, "mae_arousal": 0.7})
    made = build_table("table2", *finish_reports(tmp_path, ["d"]), SETTINGS)
    assert made is not None
    checks = [note for note in made.notes if note.startswith("Check failed")]
    assert checks[0].startswith("Check failed, ours, Late Fusion (2017) on DREAMER (simulated) arousal: CCC 0.97")
    assert checks[1].startswith("Check failed, paper")


def test_real_data_is_not_called_simulated(tmp_path: Path) -> None:
    write_run(tmp_path, "real", simulated=False)
    made = build_table("table2", *finish_reports(tmp_path, ["real"]), SETTINGS)
    assert made is not None
    assert "simulated" not in to_markdown(made)
    assert ": DEAP, beside" in made.title
