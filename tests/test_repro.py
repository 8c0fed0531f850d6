"""``make repro`` from its first line to its last, with a small command in DVC's place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from himoe.core.errors import InputError
from himoe.core.files import read_json
from pipeline import outcome, pace, repro
from pipeline.forecast import Forecast, Stage
from pipeline.screen import open_screen

SKIPPED = "print(\"Stage 'code' didn't change, skipping\")\n"
STARTED = "print(\"Running stage 'train@a':\")\nprint('> python -m pipeline.train a')\n"
ERROR = "import sys\nprint(\"ERROR: failed to reproduce 'train@a': failed to run: python\")\nsys.exit(255)\n"
DUE = Forecast((Stage("train@a", "", (), (), {}, "himoe"), Stage("tables", "", (), (), {}, "")), 88,
               {"train@a": 30.0, "tables": 5.0}, (30.0, 35.0, 50.0))
NOTHING = Forecast((), 88, {}, None)

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run with a text of Python in DVC's place; the exit code and the lines on the screen, which the log has too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outcome, "outcome", lambda: print("A has the highest CCC"))

    def running(text: str, found: Forecast = DUE) -> tuple[int, list[str]]:
        monkeypatch.setattr(repro, "REPRO", (sys.executable, "-uc", text))
        monkeypatch.setattr(repro, "forecast", lambda: found)
        with open_screen(repro.LOG) as screen:
            code = repro.repro([], screen)
        shown = capfd.readouterr().out.splitlines()
        assert repro.LOG.read_text(encoding="utf-8").splitlines()[1:] == shown
        assert not pace.STATE.exists()
        return code, shown

    return running


def test_it_says_what_will_happen_what_it_came_to_and_where_the_log_is(run: Run) -> None:
    seen = "import shutil\nshutil.copy('.himoe/repro.json', 'seen.json')\n"
    code, lines = run(SKIPPED + STARTED + seen + "print(\"Running stage 'tables':\")\n")
    assert code == 0
    assert lines[:3] == ["2 of 88 stages to run, at most: 1 train (1 himoe), 1 tables.",
                         "About 35 s on this machine (30 to 50 s), from measured stages and a short test of its speed.",
                         "Log: .himoe/repro.log."]
    assert "Running stage 'train@a':" in lines
    assert not any("skipping" in line for line in lines)
    assert lines[-3].startswith("2 stages run in ")
    assert lines[-2:] == ["A has the highest CCC", "All of this is in .himoe/repro.log."]
    assert read_json(Path("seen.json"))["expected"] == {"train@a": 30.0, "tables": 5.0}
    assert set(read_json(Path(".himoe/seconds.json"))) == {"train@a", "tables"}


def test_with_nothing_to_do_it_still_names_the_scores(run: Run) -> None:
    code, lines = run(SKIPPED + "print('Data and pipelines are up to date.')\n", NOTHING)
    assert code == 0
    assert lines[0] == "Nothing has changed since the last time; DVC now looks at the files of all 88 stages."
    assert lines[-3].startswith("Nothing to do (")
    assert lines[-2] == "A has the highest CCC"
    assert not Path(".himoe/seconds.json").exists()


@pytest.mark.parametrize(("said", "reason"), [
    ("error: params.yaml: seed: found 'x', expected a whole number; correct it.",
     "params.yaml: seed: found 'x', expected a whole number; correct it."),
    ("Traceback (most recent call last):\\n  File \"x.py\"\\nValueError: not this", "ValueError: not this."),
])
def test_a_failure_ends_with_its_reason_and_what_to_do(run: Run, said: str, reason: str) -> None:
    code, lines = run(f"{SKIPPED}{STARTED}print('''{said}''')\n{ERROR}")
    assert code == 255
    assert lines[-3].startswith("Stopped at stage train@a after ")
    assert lines[-3].endswith(f": {reason}")
    assert lines[-2] == "What is finished is kept: put that right, then make repro goes on from there."
    assert lines[-1] == "All of this is in .himoe/repro.log."
    assert "A has the highest CCC" not in lines


def test_a_refusal_of_dvc_is_the_reason_where_no_stage_ran(run: Run) -> None:
    code, lines = run("import sys\nprint('ERROR: Unable to acquire lock.')\nprint('a hint')\nsys.exit(1)\n")
    assert code == 1
    assert lines[-3].endswith(": Unable to acquire lock.")
    assert lines[-3].startswith("Stopped after ")


def test_an_interruption_is_no_failure(run: Run) -> None:
    code, lines = run(STARTED + "import sys\nsys.exit(130)\n")
    assert code == 130
    assert lines[-2].startswith("Interrupted after ")


def test_a_stage_that_went_on_from_before_is_not_timed(run: Run) -> None:
    run(STARTED + "print('a: 4 of 12 models kept from before')\nprint(\"Running stage 'tables':\")\n")
    assert set(read_json(Path(".himoe/seconds.json"))) == {"tables"}


def test_a_mistake_in_the_parameters_is_left_to_the_stages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Forecast:
        raise InputError("params.yaml: no")

    monkeypatch.setattr(repro, "REPRO", (sys.executable, "-uc", STARTED + "print('error: no.')\n" + ERROR))
    monkeypatch.setattr(repro, "forecast", refuse)
    with open_screen(repro.LOG) as screen:
        assert repro.repro([], screen) == 255
    assert ": no.\n" in repro.LOG.read_text(encoding="utf-8")


def test_a_folder_that_dvc_may_not_write_is_said_in_words() -> None:
    watch = repro.Watch()
    watch("Stage 'split@deap' is cached - skipping run, checking out outputs")
    watch("ERROR: failed to reproduce 'split@deap': No possible cache link types for '/x/data/folds/deap'. See <y>")
    assert watch.reason() == ("/x/data/folds/deap: found no way to put files there, expected one; "
                              "check disk and permissions")
