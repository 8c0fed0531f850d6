"""The strict reader of text tables: what it reads it reads right, what is doubtful it refuses in one sentence."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from himoe.core.errors import InputError
from himoe.datasets import hku956
from himoe.datasets._annotations import read_annotations
from himoe.datasets.texttable import BLOCK_ROWS, Dialect, read_names, read_text_table
from himoe.inspection.files import describe_file


def table_of(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def numbers(path: Path, *names: str, dialect: Dialect | None = None) -> list[list[float]]:
    found = read_text_table(path, (), names, dialect=dialect)
    return [found.numbers[name].tolist() for name in names]


def refusal(path: Path, texts: tuple[str, ...] = (), values: tuple[str, ...] = ("a",)) -> str:
    with pytest.raises(InputError) as caught:
        read_text_table(path, texts, values)
    assert str(caught.value).startswith(str(path))
    return one_sentence(caught.value)


def one_sentence(error: InputError) -> str:
    text = str(error)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 700
    return text


@pytest.mark.parametrize("content", [
    "a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r1,2\r3,4", "\ufeffa,b\n1,2\n3,4", "a,b\n1,2\n3,4\n\n \n\n",
    "# device 7\n#\n\na,b\n1,2\n3,4\n", ' a ,"b"\n 1 , "2"\n"3",4 \n', "a,b,\n1,2,\n3,4,\n", "b,x,a\n2,,1\n4,,3\n",
    "a,b\n+1,2.\n3e0,.4E+1\n",
])
def test_one_table_in_many_clothes(tmp_path: Path, content: str) -> None:
    assert numbers(table_of(tmp_path, content), "a", "b") == [[1, 3], [2, 4]]


@pytest.mark.parametrize("content, dialect", [
    ("a;b\n1,5;2\n", Dialect(";", ",")), ("a\tb\n1.5\t2\n", Dialect("\t", ".")), ("a|b\n1,5|2,0\n", Dialect("|", ",")),
])
def test_declared_dialects(tmp_path: Path, content: str, dialect: Dialect) -> None:
    assert numbers(table_of(tmp_path, content), "a", "b", dialect=dialect) == [[1.5], [2]]


@pytest.mark.parametrize("content, message", [
    ("a,b\n1,2\n3,4,\n", "row 2: found 3 fields, expected 2"),  # a comma at the end of one row
    ("a,b\n1,5,2,5\n", "row 1: found 4 fields, expected 2"),  # decimal commas
    ("a,b\n1,2\n3\n", "row 2: found 1 field, expected 2.*cut off"),
    ("a,b,a\n1,2,3\n", "header: found 2 columns named 'a'"),
    ("b\n1\n", "no column 'a' among b"),
    ("a;b\n1;2\n", "separated by semicolons"),
    ("a\n1\n\n2\n", "row 2: found a blank line"),
    ("a\r\r\n1\r\r\n2\r\r\n", "row 1: found a blank line"),  # line ends converted twice
    ("a,b\n1,2\n# lost contact\n3,4\n", "row 2: found 1 field"),
    ('a,b\n"1,2\n3,4\n', "row 1: found text that cannot be taken apart"),
    ('a,b\n"1\n2",3\n', "row 1: found a line break inside quotes"),
    ('a,b\n"1"0,3\n', "row 1: found text that cannot be taken apart"),
    ("a\n1_0\n", "row 1, column 'a': found '1_0', expected a number"),
    ("a\n1 000\n", "found '1 000', expected a number"),
    ("a\n5\n1e999\n", "row 2, column 'a': found '1e999'"),
    ("a\ninf\n", "found 'inf', expected a number"),
    ("a\n\u0661\n", "expected a number"),  # a digit of another script
    ("", "no header"), ("\n\n# nothing\n", "no header"),
    (b"\xff\xfea\x00\n\x00", "text in UTF-16"), (b"a\x00\n\x001\x00", "zero bytes"),
    (b"a,b\n1,\xfc\n", "bytes that are not UTF-8"),
    ("a\n" + "1" * 200_000, "field larger than field limit"),
    (",".join(f"c{k}" for k in range(9_999)) + "\n", "no column 'a' among c0, .* and 9987 more"),
])
def test_what_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert re.search(message, refusal(table_of(tmp_path, content)))


def test_missing_words_are_missing_numbers_and_plain_ids(tmp_path: Path) -> None:
    path = table_of(tmp_path, 'id,a\nNA,NA\nnull,\nNone,""\nnan,NaN\n007,7\n')
    found = read_text_table(path, ("id",), ("a",))
    assert found.texts["id"] == ["NA", "null", "None", "nan", "007"]
    assert np.isnan(found.numbers["a"]).tolist() == [True] * 4 + [False]
    assert "row 2, column 'id': found ''" in refusal(table_of(tmp_path, "id,a\nx,1\n,2\n"), ("id",))
    np.testing.assert_array_equal(numbers(table_of(tmp_path, 'a\n1\n""\n3\n'), "a")[0], [1, np.nan, 3])


def test_the_beginning_of_a_table(tmp_path: Path) -> None:
    assert read_names(table_of(tmp_path, "a,b\n")) == (("a", "b"), False)
    assert read_names(table_of(tmp_path, "a,b\n\n\n")) == (("a", "b"), False)
    assert read_names(table_of(tmp_path, "a,b\n1,2\n3\n")) == (("a", "b"), True)


def test_names_of_rows_and_faults_behind_the_first_block(tmp_path: Path) -> None:
    rows = [str(k) for k in range(BLOCK_ROWS + 10)]
    assert len(numbers(table_of(tmp_path, "a\n" + "\n".join(rows)), "a")[0]) == len(rows)
    rows[BLOCK_ROWS + 4] = "x"
    assert f"row {BLOCK_ROWS + 5}, column 'a': found 'x'" in refusal(table_of(tmp_path, "a\n" + "\n".join(rows)))
    rows[BLOCK_ROWS - 1:BLOCK_ROWS + 5] = [""] * 6
    assert f"row {BLOCK_ROWS}: found a blank line" in refusal(table_of(tmp_path, "a\n" + "\n".join(rows)))


# Every reader of a raw folder's tables goes this way

@pytest.mark.parametrize("row", ["1,2,0.5,3,", "1,2,0,5,3", "1,2,0.5", ""])
def test_continuous_annotations(tmp_path: Path, row: str) -> None:
    path = tmp_path / "continuous_annotations.csv"
    path.write_text(f"participant,video,time_s,valence\n1,2,0.5,3\n{row}\n1,2,1.5,4\n")
    with pytest.raises(InputError, match="row 2: found"):
        read_annotations(tmp_path, 1, (1, 9))


def test_ratings_of_songs(tmp_path: Path) -> None:
    header = "participant_id,song_no,song_id,valence_rating,arousal_rating\n"
    for row, message in (("NA,0,5,9.3,1,", "row 1: found 6 fields"), ("NA,0,5,9,3,1", "row 1: found 6 fields"),
                         ("NA,0.5,5,9.3,1", "column 'song_no': found 0.5, expected a whole number")):
        (tmp_path / hku956.RATINGS).write_text(header + row)
        with pytest.raises(InputError, match=message):
            hku956._ratings(tmp_path)
    (tmp_path / hku956.RATINGS).write_text(header + "NA,0,5,9.3,1")
    assert hku956._ratings(tmp_path) == {("NA", (0, 5)): {"valence": 9.3, "arousal": 1.0}}


def test_a_line_of_a_wristbands_file_is_a_time(tmp_path: Path) -> None:
    path = table_of(tmp_path, "0.1\n0.2\n\n0.3\n")
    with pytest.raises(InputError, match="value 3: found a blank line"):
        hku956._numbers(path)
    assert hku956._numbers(table_of(tmp_path, "0.5\r\n0.25\r\n\r\n")).tolist() == [0.5, 0.25]
    assert hku956._numbers(table_of(tmp_path, "\n\n")).size == 0


def test_a_described_table_counts_a_person_called_na(tmp_path: Path) -> None:
    path = table_of(tmp_path, "subject,trial,valence\nNA,1,5\nmia,1,\n")
    report = describe_file(path)
    assert (report["rows"], report["people"], report["columns"][0]["missing"]) == (2, 2, "1 of 2")
    folds = table_of(tmp_path, "fold,role,subject,trial\n0,train,NA,1\n0,test,mia,1\n")
    assert describe_file(folds)["subjects"] == 2


# Fuzzing

VALUES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-999, 999))
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(rows=st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=20), end=st.sampled_from(["\n", "\r\n", "\r"]),
       mark=st.sampled_from(["", "\ufeff"]), tail=st.integers(0, 3), gap=st.sampled_from(["", "NA", "NaN", '""']),
       comma=st.booleans())
def test_what_is_written_is_read(tmp_path: Path, rows: list[list[float | None]], end: str, mark: str, tail: int,
                                 gap: str, comma: bool) -> None:
    dialect = Dialect(";", ",") if comma else Dialect()
    lines = [dialect.separator.join(["a", "b c", "µ"])]
    lines += [dialect.separator.join(gap if value is None else repr(value).replace(".", dialect.decimal)
                                     for value in row) for row in rows]
    path = table_of(tmp_path, mark + end.join(lines) + end * tail)
    expected = np.array([[math.nan if value is None else float(value) for value in row] for row in rows])
    found = np.array(numbers(path, "a", "b c", "µ", dialect=dialect)).T
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


PLAIN = "t,a\n" + "".join(f"{k / 4},{k * k % 17 - 8}.5\n" for k in range(12))


@FUZZ
@given(place=st.integers(0, len(PLAIN) - 1), length=st.integers(0, 12), times=st.integers(0, 3),
       put=st.text(alphabet=",;.\n\r\t 0 9-eN#ä", max_size=3))
def test_a_disturbed_table_is_refused_or_read_line_by_line(tmp_path: Path, place: int, length: int, times: int,
                                                           put: str) -> None:
    """Cut, repeated or overwritten: every value that comes back stands in its line and under its name."""
    text = PLAIN[:place] + put + PLAIN[place:place + length] * times + PLAIN[place + length:]
    path = table_of(tmp_path, text)
    try:
        found = numbers(path, "t", "a")
    except InputError as error:
        one_sentence(error)
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while not lines[-1].strip(" "):
        lines.pop()
    while not lines[0].strip() or lines[0].lstrip().startswith("#"):
        lines.pop(0)
    names = [name.strip() for name in lines[0].split(",")]
    assert len(found[0]) == len(lines) - 1
    for row, line in enumerate(lines[1:]):
        cells = dict(zip(names, line.split(","), strict=True))
        for name, column in zip(("t", "a"), found, strict=True):
            cell = cells[name].strip()
            assert (math.isnan(column[row]) if cell in ("", "N", "NaN") else column[row] == pytest.approx(float(cell)))


@FUZZ
@given(st.binary(max_size=60))
def test_any_bytes_end_in_a_table_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = table_of(tmp_path, b"a,b\n1,2\n" + content)
    try:
        found = read_text_table(path, (), ("a",), ("b",))
    except InputError as error:
        one_sentence(error)
    else:
        assert found.numbers["a"][0] == 1
        assert found.n_rows == len(found.texts["b"])
