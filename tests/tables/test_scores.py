"""Tables 2, 4, 5, 6 and 10: our numbers as in the metrics files, the paper's as printed, and what rows say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from report_folders import ATTAINABLE, SETTINGS, finish_reports, plain_runs, write_run

from himoe.core.errors import InputError
from himoe.report.tables import Ours, Table, build_table, to_markdown
from himoe.scoring.paper import METHOD_LABELS, paper_rows

Build = Callable[..., Table]
Frame = Callable[[Table], pd.DataFrame]
PPS = "EEG+EOG+EMG+EDA+RSP+PPG+TEMP"
CEILING = "Attainable (true gains and lags known)"


def metrics(root: Path, run: str) -> dict[str, float]:
    return json.loads((root / "metrics" / "runs" / f"{run}.json").read_text())


def line(made: Table, start: str) -> list[str]:
    found = [text for text in to_markdown(made).splitlines() if text.startswith(start)]
    assert len(found) == 1
    return [cell.strip() for cell in found[0].strip("|").split(" | ")]


def test_table2_prints_the_pooled_score_with_its_own_interval(table: Build, frame: Frame, report_root: Path) -> None:
    values = metrics(report_root, "dreamer-late_fusion")
    made = frame(table("table2"))
    row = made[(made["Set"] == "DREAMER") & (made["Method"] == "Late Fusion (2017) †")].iloc[0]
    for head, key in (("CCC", "ccc"), ("Within-trial CCC", "ccc_within"), ("PCC", "pcc"), ("MAE", "mae")):
        assert row[[head, f"{head} low", f"{head} high"]].tolist() == [values[key], values[f"{key}_low"],
                                                                       values[f"{key}_high"]]
    assert not [column for column in made if column.endswith(" sd")]
    cells = [f"{values[key]:.2f} [{values[f'{key}_low']:.2f}, {values[f'{key}_high']:.2f}]"
             for key in ("ccc", "ccc_within")]
    assert line(table("table2"), "| DREAMER | Late Fusion")[1:7] == [
        "Late Fusion (2017) †", "EEG+PPS", "DREAMER (simulated)", cells[0], "0.37", cells[1]]


@pytest.mark.parametrize("dataset, name", [("deap", "DEAP"), ("dreamer", "DREAMER")])
def test_table2_holds_every_published_number_in_order(table: Build, frame: Frame, dataset: str, name: str) -> None:
    made = frame(table("table2"))
    for head, metric in (("CCC", "ccc"), ("PCC", "pcc"), ("MAE", "mae")):
        published = paper_rows(2, dataset)
        expected = list(published.loc[published["metric"] == metric, "value"])
        assert list(made.loc[made["Set"] == name, f"{head} (paper)"].dropna()) == expected
    markdown = to_markdown(table("table2"))
    assert "0.9144*" in markdown
    assert "0.9522*" not in markdown


def test_every_run_that_fits_is_in_table2_once_and_the_ceiling_last(table: Build, reports: tuple) -> None:
    fitting = [run for run in reports[0].values() if run.metrics["protocol"] == "trial"
               and run.metrics["task"] == "regression" and not run.metrics["variant"]
               and not run.metrics["shuffled_labels"] and "+" in run.metrics["modalities"]]
    rows = [row for row in table("table2").rows if any(isinstance(cell, Ours) for cell in row)]
    assert len([row for row in rows if row[1] != CEILING]) == len(fitting) == 9 + 4 + 5 + 5 + 3
    for name, key in (("DEAP", "deap"), ("DREAMER", "dreamer")):
        last = [row for row in table("table2").rows if row[0] == name][-1]
        assert (last[1], last[4].mean, last[6].mean) == (CEILING, *ATTAINABLE[key].values())  # type: ignore[union-attr]
    assert [row[1] for row in table("table2").rows if row[0] == "AMIGOS"][-1] != CEILING  # not known there
    cells = line(table("table2"), "| DEAP | Features + GBDT (floor) | EEG+PPS |")
    assert (cells[5], cells[8], cells[10]) == ("—", "—", "—")


def test_rows_without_runs_say_what_they_need(table: Build) -> None:
    made = table("table2", list(plain_runs()))
    assert line(made, "| DEAP | Bi-LSTM (2021) | EEG+PPS+FACE")[3:6] == ["needs FACE", "—", "0.8712*"]
    assert line(made, "| DREAMER | IANet (2024) | EEG+EOG+EMG+EDA")[3:5] == ["needs EOG, EMG, EDA", "—"]
    only = table("table2", ["deap-himoe"])  # what could be run needs nothing
    assert line(only, "| DEAP | IANet (2024) | EEG+EOG+EMG+EDA")[3:6] == ["—", "—", "0.9002*"]
    assert not any(row[0] == "DREAMER" for row in only.rows)


def test_a_run_that_had_not_converged_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, "a", method="tacoformer", unconverged=3, seeds=(0,))
    made = build_table("table2", *finish_reports(tmp_path, ["a"]), SETTINGS)
    assert made is not None
    assert line(made, "| DEAP | TACOFormer (2023) †")[1] == "TACOFormer (2023) †, not converged (3 of 4 models)"


def test_table4_is_in_percent_and_says_undefined(tmp_path: Path) -> None:
    write_run(tmp_path, "c", method="mfst_rnn", task="classification", metrics={
        "accuracy_valence": 0.616, "accuracy_valence_low": 0.5, "accuracy_valence_high": 0.7123, "f1_valence": 0.5,
        "f1_valence_low": None, "accuracy_arousal": 0.71, "accuracy_arousal_low": None, "f1_arousal": None})
    made = build_table("table4", *finish_reports(tmp_path, ["c"]), SETTINGS)
    assert made is not None
    assert line(made, "| DEAP | MFST-RNN (2023) †")[4:] == [
        "61.6 [50.0, 71.2]", "94.99", "50.0", "95.4", "71.0", "95.89", "undefined", "96.09", "—"]


@pytest.mark.parametrize(("name", "modalities"), [("table4", "EEG+PPS"), ("table10", "EEG")])
def test_tables_of_high_and_low_leave_more_classes_out(tmp_path: Path, name: str, modalities: str) -> None:
    write_run(tmp_path, "two", task="classification", modalities=modalities)
    write_run(tmp_path, "three", task="classification", set="dreamer", modalities=modalities, classes=3)
    read = finish_reports(tmp_path, ["two", "three"])
    made = build_table(name, *read, SETTINGS)
    assert made is not None
    assert {row[0] for row in made.rows} == {"DEAP"}
    assert [note for note in made.notes if "(three;" in note]
    assert build_table(name, {"three": read[0]["three"]}, *read[1:], SETTINGS) is None


def test_table5_is_of_people_held_out(table: Build, frame: Frame, report_root: Path) -> None:
    values = frame(table("table5"))
    assert values["CCC liking (paper)"].dropna().tolist() == [0.603, 0.63, 0.662, 0.643, 0.689]
    expected = metrics(report_root, "deap-loso-himoe")
    row = values[values["Method"] == "Hi-MoE"].iloc[0]
    for head, key in (*((f"CCC {d}", f"ccc_{d}") for d in ("valence", "arousal", "dominance", "liking")),
                      ("CCC", "ccc"), ("Within-trial CCC", "ccc_within")):
        assert (row[head], row[f"{head} low"]) == (expected[key], expected[f"{key}_low"])


def test_tables_of_people_held_out_say_by_what_these_were_scaled(tmp_path: Path) -> None:
    write_run(tmp_path, "own", protocol="loso")
    write_run(tmp_path, "tacoformer", protocol="loso", method="tacoformer")
    write_run(tmp_path, "everybody", protocol="loso", variant="training_scaled", normalise="training")
    write_run(tmp_path, "known")
    read = finish_reports(tmp_path, ["own", "tacoformer", "everybody", "known"])
    own = "are scaled by the mean and SD of their own windows, so the tested windows (not their ratings) are used"
    for name, rest in (("table5", "."), ("scores", "; in Hi-MoE scaled by everybody's statistics by the mean and SD of "
                                         "everybody's training windows.")):
        made = build_table(name, *read, SETTINGS)
        assert made is not None
        assert [note for note in made.notes if own + rest in note], made.notes
    table2 = build_table("table2", *read, SETTINGS)
    assert table2 is not None
    assert not [note for note in table2.notes if "scaled" in note]  # nobody is held out in it
    ablations = build_table("ablations", *read, SETTINGS)
    assert ablations is not None
    assert [row[5] for row in ablations.rows if "scaled" in str(row[2])] == ["normalise training"]


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


def test_table6_has_the_papers_parts_and_says_that_modalities_differ(table: Build) -> None:
    made = table("table6", [*plain_runs(), *(f"deap-{variant}" for variant in (
        "no_emotion_experts", "no_alignment", "no_soft_routing", "no_residual"))])
    assert [row[1] for row in made.rows] == [*(METHOD_LABELS[key] for key in (
        "himoe-no_emotion_experts", "himoe-no_alignment", "himoe-no_soft_routing", "himoe")), CEILING]
    assert {row[2] for row in made.rows} == {PPS}
    assert made.notes[0] == f"Ours use {PPS} where the paper has EEG+PPS+FACE, which needs FACE."
    partly = table("table6", ["deap-himoe", "deap-no_alignment"])
    assert partly.rows[0][2:5] == ("EEG+PPS+FACE", "needs FACE", None)


def test_impossible_results_are_named_ours_first(tmp_path: Path) -> None:
    write_run(tmp_path, "d", method="late_fusion", set="dreamer", metrics={"ccc_arousal": 0.97, "mae_arousal": 0.7})
    made = build_table("table2", *finish_reports(tmp_path, ["d"]), SETTINGS)
    assert made is not None
    (check,) = [note for note in made.notes if note.startswith("Check failed")]
    ours, *published = check.split("; ")
    assert "ours, Late Fusion (2017) on DREAMER (simulated) arousal (CCC 0.9700, MAE 0.7000)" in ours
    assert "paper, Hi-MoE EEG+PPS on DREAMER (CCC 0.9571, MAE 0.6120)." in published


def test_real_data_is_not_called_simulated_and_has_no_ceiling(tmp_path: Path) -> None:
    write_run(tmp_path, "real", simulated=False)
    made = build_table("table2", *finish_reports(tmp_path, ["real"]), SETTINGS)
    assert made is not None
    assert "simulated" not in to_markdown(made)
    assert CEILING not in to_markdown(made)
