"""What make test-quick chooses, and the record that it chooses by."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import quick


class Case:
    """What is looked at of a collected test."""

    def __init__(self, nodeid: str, *marks: str) -> None:
        self.nodeid, self.marks = nodeid, marks

    def get_closest_marker(self, name: str) -> bool:
        return name in self.marks


def test_a_function_gets_its_seconds_in_cases_spread_over_all() -> None:
    cases = list("abcdefgh")
    assert quick.fitting(cases, quick.QUICK_S) == cases
    assert quick.fitting(cases, 2 * quick.QUICK_S) == list("aceg")
    assert quick.fitting(cases, 8 * quick.QUICK_S) == ["a"]
    assert quick.fitting(cases, 8.1 * quick.QUICK_S) == []


def test_what_was_recorded_is_left_out_of_the_next_quick_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "seconds.txt"
    record.write_text("9.0 t/a.py::test_gone\n7.0 t/b.py::test_kept\n")
    recorder: Any = quick.Recorder(record)
    for case in range(4):  # what they share is made in the first
        for when, seconds in (("setup", 0.1 if case else 3.0), ("call", 0.2), ("teardown", 9.0)):
            recorder.pytest_runtest_logreport(SimpleNamespace(
                when=when, nodeid=f"t/a.py::test_family[{case}]", duration=seconds))
    recorder.pytest_sessionfinish()
    assert quick.read_record(record) == {"t/a.py::test_family": 1.2, "t/b.py::test_kept": 7.0}

    monkeypatch.setattr(quick, "RECORD", record)
    items: Any = [Case(f"t/a.py::test_family[{case}]") for case in range(6)]
    items += [Case("t/b.py::test_kept[a]"), Case("t/b.py::test_kept[b]", "quick"), Case("t/c.py::test_marked", "slow"),
              Case("t/c.py::test_new")]
    before, left_out = list(items), []
    config: Any = SimpleNamespace(hook=SimpleNamespace(pytest_deselected=lambda items: left_out.extend(items)))
    quick.choose_quick(config, items)
    assert [item.nodeid for item in items] == ["t/a.py::test_family[0]", "t/a.py::test_family[3]",
                                               "t/b.py::test_kept[b]", "t/c.py::test_new"]
    assert set(left_out) == set(before) - set(items)


def test_the_file_with_the_most_seconds_starts_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "RECORD", tmp_path / "seconds.txt")
    quick.RECORD.write_text("2.0 t/b.py::test_one\n2.5 t/c.py::test_one\n1.0 t/b.py::test_two\n9.0 t/a.py::test_out\n")
    names = ["t/a.py::test_new", "t/b.py::test_two", "t/b.py::test_one", "t/c.py::test_one[a]", "t/c.py::test_one[b]"]
    items: Any = [Case(name) for name in names]
    quick.longest_first(items)
    assert [item.nodeid for item in items] == [*names[1:3], *names[3:], names[0]]
