"""A command's output on the screen and in the log."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_helpers import ROOT

from pipeline.screen import Screen, open_screen

# What DVC and a stage with a bar write on a terminal.
OUTPUT = (b"\x1b[33mStage 'plan' didn't change, skipping\x1b[0m\r\n"
          b"\rStage 'face@deap' is cached - skipping run, checking out outputs\r\n"
          b"Running stage 'train@a':\r\n"
          b"\rrun a:  50%|##   | 1/2\x1b[A\rrun a: 100%|####| 2/2\r                       \rrun 1 of 2: a; CCC 0.5\r\n"
          b"Stage it calls itself\r\n"
          b"caf\xc3\xa9 without an end")
LINES = ["Stage 'plan' didn't change, skipping", "Stage 'face@deap' is cached - skipping run, checking out outputs",
         "Running stage 'train@a':", "run 1 of 2: a; CCC 0.5", "Stage it calls itself"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_whole_lines_are_watched_and_kept_whatever_pieces_they_come_in(
    size: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    log, watched = io.StringIO(), []
    screen = Screen(log)
    for place in range(0, len(OUTPUT), size):
        screen.feed(OUTPUT[place:place + size], watched.append)
    assert watched == LINES
    assert log.getvalue().splitlines() == LINES[2:]
    shown = capfdbinary.readouterr().out
    assert b"skipping" not in shown
    assert b" 50%|##   | 1/2" in shown  # bars reach the terminal
    assert shown.endswith("café without an end".encode())


CHILD = "import sys; print('out', sys.stdout.isatty()); print('err', sys.stderr.isatty(), file=sys.stderr); sys.exit(3)"
PARENT = f"""
import sys
import time
from pathlib import Path
from pipeline.screen import open_screen
with open_screen(Path(sys.argv[1])) as screen:
    screen.say("before")
    print("code", screen.run([sys.executable, "-uc", {CHILD!r}], lambda line: None))
"""


def test_a_log_has_what_was_printed_and_the_exit_code_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "new" / "repro.log"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", PARENT, str(log)], cwd=ROOT, capture_output=True, text=True,
                              check=True)
        assert done.stdout.splitlines() == ["before", "out False", "err False", "code 3"]
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("--- 20")
    assert lines[1:4] == ["before", "out False", "err False"]
    assert len(lines) == 8  # both times


def test_below_a_terminal_the_command_has_a_terminal(tmp_path: Path) -> None:
    reader, writer = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "log")], cwd=ROOT, stdout=writer,
                               stderr=writer)
    os.close(writer)
    assert process.wait(600) == 0
    shown = os.read(reader, 2**16).decode().replace("\r\n", "\n")
    os.close(reader)
    assert shown.splitlines() == ["before", "out True", "err True", "code 3"]
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines()[1:] == ["before", "out True", "err True"]


def test_a_process_that_the_command_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    code = ("import subprocess, sys; left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(900)']);"
            "print('left', left.pid)")
    with open_screen(tmp_path / "log") as screen:
        assert screen.run([sys.executable, "-c", code], lambda line: None) == 0
    said = (tmp_path / "log").read_text(encoding="utf-8").split()
    os.kill(int(said[said.index("left") + 1]), signal.SIGKILL)  # an error if it has ended: it was waited for
