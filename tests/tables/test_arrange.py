"""Tables for reading: constants in the caption, the best on top and bold, nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from himoe.report.tables import TABLES, Ours, Table, cell_text
from himoe.report.tables.arrange import arrange, common_notes, reading_markdown, rewritten, said_once, without_notes
from himoe.report.tables.rows import ATTAINABLE
from himoe.scoring.paper import PaperValue

COLUMNS = ("Set", "Method", "Our data", "CCC", "CCC (paper)", "MAE", "Trials")


def row(method: str, ccc: float | None, mae: float | None, paper: float | None = None, name: str = "A") -> tuple:
    return (name, method, f"{name} (simulated)", None if ccc is None else Ours(ccc, digits=2),
            None if paper is None else PaperValue(paper, False), None if mae is None else Ours(mae, digits=2), 60)


MADE = Table("t", "T: A (simulated)", COLUMNS, (
    row("low", 0.1, 2.0), row("published", None, None, 0.9), row("high", 0.4, 1.0), row(ATTAINABLE, 0.9, None),
    row("older", None, None, 0.95), row("tie", 0.402, 3.0)))


def test_rows_go_by_score_the_papers_by_theirs_and_the_ceiling_stands_last() -> None:
    found = arrange(MADE)
    assert [line[0] for line in found.rows] == ["tie", "high", "low", "older", "published", ATTAINABLE]


def test_the_best_as_printed_are_marked_and_never_the_ceiling() -> None:
    found = arrange(MADE)
    marked = {(found.rows[i][0], found.columns[j]) for i, j in found.best}
    assert marked == {("tie", "CCC"), ("high", "CCC"), ("high", "MAE")}  # the lowest error


def test_constants_move_out_of_the_columns_and_the_method_stands_first() -> None:
    found = arrange(rewritten(MADE, said_once))
    assert found.columns == ("Method", "CCC", "CCC (paper)", "MAE")
    assert found.constants == (("Trials", "60"),)  # the title names the set
    assert [found.ranks[found.columns.index(name)] for name in found.columns] == [0, 1, 2, 3]


def test_sets_are_races_of_their_own() -> None:
    both = Table("t", "T", COLUMNS, (row("a", 0.1, 1.0), row("b", 0.2, 1.0), row("a", 0.8, 1.0, name="B"),
                                     row("b", 0.7, 1.0, name="B")))
    found = arrange(both)
    assert [(line[1], line[0]) for line in found.rows] == [("A", "b"), ("A", "a"), ("B", "a"), ("B", "b")]
    assert {(found.rows[i][1], found.rows[i][0]) for i, j in found.best if found.columns[j] == "CCC"} == {
        ("A", "b"), ("B", "a")}


@pytest.mark.parametrize("name", TABLES)
def test_no_number_is_lost_or_changed(name: str, table: Callable[..., Table]) -> None:
    made = table(name)
    found = arrange(made)

    def filled(rows: tuple) -> list[str]:
        return sorted(cell_text(cell) for line in rows for cell in line if isinstance(cell, Ours | PaperValue | float))
    constants = [text for _, text in found.constants for _ in made.rows]
    assert [text for text in filled(made.rows) if text not in constants] == [
        text for text in filled(found.rows) if text not in constants]
    assert len(found.rows) == len(made.rows)
    assert sorted(found.ranks) == list(range(len(found.columns)))


def test_of_notes_on_one_matter_only_the_commonest_is_common() -> None:
    ends = ["EEG: bands."] * 4 + ["EEG: EEGNet."] * 3
    tables = [Table(f"t{k}", "T", ("a",), (("x",),), (note,)) for k, note in enumerate(ends)]
    assert common_notes(tables) == ("EEG: bands.",)
    longer = [Table(f"u{k}", "T", ("a",), (("x",),), ("EEG: bands; FACE: a network.",)) for k in range(3)]
    said = common_notes([*tables, *longer])
    assert said == ("EEG: bands; FACE: a network.",)
    assert [table.notes for table in (without_notes(tables[0], said), without_notes(tables[5], said))] == [
        (), ("EEG: EEGNet.",)]


def test_markdown_for_reading_has_constants_below_the_title_and_the_best_in_bold() -> None:
    lines = reading_markdown(rewritten(MADE, said_once)).splitlines()
    assert lines[0] == "### T: A (simulated)"
    assert lines[2] == "Trials: 60."
    assert "| tie | **0.40** | — | 3.00 |" in lines
