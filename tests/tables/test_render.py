"""Renderings: every table in CSV, Markdown and LaTeX, stable and well formed."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

import pytest
from report_folders import SETTINGS

from himoe.core.errors import InputError
from himoe.report.tables import TABLES, Ours, Table, build_table, cell_text, to_csv, to_latex, to_markdown
from himoe.report.tables.render import latex_text
from himoe.scoring.paper import PaperValue

Build = Callable[..., Table]


@pytest.mark.parametrize("cell, text", [
    (None, "—"), ("x", "x"), (3, "3"), (1228800, "1228800"), (0.25, "0.25"),
    (Ours(0.1234), "0.123"), (Ours(0.1234, 0.05), "0.123 ± 0.050"), (Ours(None, 0.05), "undefined"),
    (Ours(0.1234, 0.05, 0.1, 0.2), "0.123 ± 0.050 [0.100, 0.200]"), (Ours(61.64, digits=1), "61.6"),
    (Ours(-0.0001, 0.0, -0.0002, 0.1), "0.000 ± 0.000 [0.000, 0.100]"),
    (PaperValue(0.9144, True), "0.9144*"), (PaperValue(94.99, False), "94.99"),
])
def test_cells(cell: object, text: str) -> None:
    assert cell_text(cell) == text  # type: ignore[arg-type]


def test_csv_keeps_every_digit_and_splits_our_numbers() -> None:
    made = Table("t", "t", ("a", "b,c"), (("x,y", Ours(1 / 3, 0.1, None, 2 / 3)), (None, PaperValue(0.5, True))))
    assert list(csv.reader(io.StringIO(to_csv(made)))) == [
        ["a", "b,c", "b,c sd", "b,c high"], ["x,y", repr(1 / 3), "0.1", repr(2 / 3)], ["", "0.5", "", ""]]


def test_markdown_escapes_bars() -> None:
    assert "| x\\|y |" in to_markdown(Table("t", "t", ("a",), (("x|y",),)))
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Table("t", "t", ("a", "b"), (("x",),))
    with pytest.raises(ValueError, match="4 notes, at most 3"):
        Table("t", "t", ("a",), (), ("1", "2", "3", "4"))


def test_latex_escapes_every_command() -> None:
    assert latex_text("a_b & 5 % of $x #1 {y} ~ ^ \\z") == (
        r"a\_b \& 5 \% of \$x \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}z")
    assert latex_text("0.5 ± 0.1 [0, 1]*") == r"0.5 $\pm$ 0.1 {[}0, 1{]}{*}"
    assert latex_text("σ_ŷ² ≤ 1 − x †") == r"$\sigma$\_$\hat{y}$$^2$ $\leq$ 1 $-$ x \dag{}"


def test_latex_of_a_small_table() -> None:
    made = Table("my_table", "50 % of it", ("Name", "n"), (("a&b", 3), (None, 4)), ("see [1]",))
    assert to_latex(made).splitlines() == [
        r"\begingroup", r"\footnotesize", r"\begin{longtable}{lr}",
        r"\caption{50 \% of it}\label{tab:my_table} \\", r"\toprule", r"Name & n \\", r"\midrule", r"\endfirsthead",
        r"\toprule", r"Name & n \\", r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot",
        r"a\&b & 3 \\", r"--- & 4 \\", r"\end{longtable}",
        r"\begin{itemize}", r"\item see {[}1{]}", r"\end{itemize}", r"\endgroup"]


@pytest.mark.parametrize("name", list(TABLES))
def test_latex_is_well_formed(table: Build, name: str) -> None:
    made = table(name)
    text = to_latex(made)
    assert text.isascii(), {character for character in text if not character.isascii()}
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)  # what is left after escaped characters are real commands
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not set(bare) & {"%", "#", "~"}
    begun = []
    for kind, environment in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            begun.append(environment)
        else:
            assert begun.pop() == environment
    assert begun == []
    rows = text.split(r"\endfoot")[1].split(r"\end{longtable}")[0].strip().splitlines()
    assert len(rows) == len(made.rows)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == len(made.columns) - 1
        assert row.endswith(r" \\")
        assert not row.startswith(("[", "*"))


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_renders_square_and_the_same_twice(reports: tuple, table: Build, name: str) -> None:
    made = table(name)
    assert made.name == name
    lines = to_markdown(made).splitlines()
    body = [line for line in lines if line.startswith("|")]
    assert len(body) == len(made.rows) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in body} == {len(made.columns) + 1}
    records = list(csv.reader(io.StringIO(to_csv(made))))
    assert {len(record) for record in records} == {len(records[0])}
    assert len(set(records[0])) == len(records[0])
    assert build_table(name, dict(reports[0]), *reports[1:], SETTINGS) == made
    assert "(simulated)" in made.title
    assert "nan" not in to_markdown(made).lower().replace("dominance", "")


def test_an_unknown_table_is_named(reports: tuple) -> None:
    with pytest.raises(InputError, match="table: found 'table11', expected one of claims table1"):
        build_table("table11", *reports, SETTINGS)
