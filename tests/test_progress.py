"""Progress where there is no terminal: a line now and then."""

from __future__ import annotations

import pytest

from himoe.core import progress as told
from himoe.core.progress import duration_text, progress


def test_a_log_gets_a_line_when_enough_time_has_passed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 20.0, 40.0, 60.0, 80.0, 100.0])  # the start, then after each item
    monkeypatch.setattr(told.time, "monotonic", lambda: next(times))
    assert list(progress(iter("abcde"), "deap-ianet", "model", 5)) == list("abcde")
    assert capsys.readouterr().err.splitlines() == ["deap-ianet: 2 of 5 models in 40 s, about 60 s left",
                                                    "deap-ianet: 4 of 5 models in 80 s, about 20 s left"]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(100), "short", "item")) == list(range(100))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (95, "2 min"), (60 * 80, "80 min"),
                                               (60 * 90, "1 h 30 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
