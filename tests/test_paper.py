"""The published numbers, looked up exactly."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from himoe.scoring.paper import (
    CONTRADICTIONS,
    PaperValue,
    paper_fact,
    paper_value,
)


def test_every_line_of_the_file_is_found() -> None:
    path = resources.files("himoe.scoring").joinpath("data/paper_results.csv")
    with path.open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 181
    for line in lines:
        rate = float(line["missing_rate"]) if line["missing_rate"] else None
        found = paper_value(int(line["table"]), line["dataset"], line["method"], line["modalities"], line["metric"],
                            line["dimension"], rate)
        assert found == PaperValue(float(line["value"]), line["reproduced_by_authors"] == "1")


@pytest.mark.parametrize("cell, expected", [
    ((2, "dreamer", "himoe", "EEG+PPS", "ccc"), PaperValue(0.9571, False)),
    ((2, "deap", "bilstm", "EEG+PPS+FACE", "mae"), PaperValue(0.4626, True)),
    ((3, "deap", "tacoformer", "ALL", "ccc", "mean", 0.35), PaperValue(0.5787, True)),
    ((3, "deap", "tacoformer", "ALL", "ccc", "mean", 0.05 * 7), PaperValue(0.5787, True)),
    ((5, "deap", "himoe", "ALL", "ccc", "liking"), PaperValue(0.689, False)),
    ((6, "deap", "himoe-no_alignment", "EEG+PPS+FACE", "pcc"), PaperValue(0.9614, False)),
    ((10, "deap", "cafnet", "EEG+FACE", "f1", "arousal"), PaperValue(96.09, False)),
    ((8, "deap", "late_fusion", "EEG+PPS", "ccc", "mean", 0.4), None),
    ((2, "dreamer", "bilstm", "EEG+PPS+FACE", "ccc"), None),
    ((3, "deap", "himoe", "ALL", "ccc"), None),
])
def test_cells_of_the_printed_tables(cell: tuple, expected: PaperValue | None) -> None:
    assert paper_value(*cell) == expected


@pytest.mark.parametrize("cell, expected", [
    ((1, "deap", "subjects"), "32"), ((1, "deap", "face"), "Yes"), ((1, "dreamer", "dimensions"), "V-A-D"),
    ((7, "dreamer", "dimensions"), "V, A"), ((7, "seed", "scale"), "Discrete (3 levels)"),
    ((7, "amigos", "trials"), "20"), ((7, "seed", "rates"), "EEG 1000 Hz"), ((1, "seed", "subjects"), None),
    ((7, "deap", "face"), None),
])
def test_facts_of_the_printed_tables(cell: tuple, expected: str | None) -> None:
    assert paper_fact(*cell) == expected


def test_contradictions_are_in_the_numbers() -> None:
    assert paper_value(3, "deap", "ianet", "ALL", "ccc", "mean", 0) != paper_value(
        2, "deap", "ianet", "EEG+EOG+EMG+EDA", "ccc")
    for dimension, metric in (("valence", "accuracy"), ("valence", "f1"), ("arousal", "accuracy"), ("arousal", "f1")):
        assert paper_value(10, "deap", "cafnet", "EEG+FACE", metric, dimension) == paper_value(
            4, "deap", "mfst_rnn", "EEG+PPS", metric, dimension)
    assert "0.9014" in CONTRADICTIONS["table3"][0]
