"""Stages that start in a fork of a process which has imported what they need."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROBE = """
import os, sys, time
print(os.getppid(), sys.argv[1:], sys.stdin.read(), os.environ["WORD"], "pandas" in sys.modules, flush=True)
if sys.argv[1:] == ["wait"]:
    time.sleep(600)
if sys.argv[1:] == ["share"]:
    from joblib import Parallel, delayed
    print(*sorted({pid == os.getpid() for pid in Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(4))}))
raise SystemExit(3)
"""
ASK = """
import os, subprocess, sys, time
from pathlib import Path
from pipeline.warm import forward
if sys.argv[1] == "ask":
    os.environ["WORD"] = "of the asker"
    forward(os.environ["HIMOE_WARM"], ["python", "-m", "probe", *sys.argv[2:]])
    print("by itself")
    raise SystemExit(4)
def ask(*arguments):
    return subprocess.Popen([sys.executable, "ask.py", "ask", *arguments], stdin=subprocess.PIPE, text=True)
first = ask("a", "b c")
first.communicate("typed")
print(first.returncode, flush=True)
sharing = ask("share")
sharing.communicate("")
patient = ask("wait")
patient.stdin.close()
while not Path("started").exists():
    time.sleep(0.01)
patient.kill()
Path("himoe").mkdir()
Path("himoe/changed.py").write_text("")
last = ask()
last.communicate("")
print(last.returncode, flush=True)
"""


def belongs(link: Path, folder: Path) -> bool:
    """Whether a process, by its /proc/*/cwd, is in *folder*."""
    try:
        return os.path.samefile(link, folder)
    except OSError:  # it has ended, or is another user's
        return False


def soon_nothing(found: Callable[[], list[str]]) -> bool:
    """Whether nothing is found any more before long: a process that was ended takes a moment to be gone."""
    deadline = time.monotonic() + 60
    while found() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not found()


@pytest.mark.slow
def test_a_stage_runs_in_the_fork_as_it_would_by_itself(tmp_path: Path) -> None:
    """Arguments, folder, environment, input, output and exit code; ended with who asked; not with other code."""
    probe = PROBE.replace("if sys", "open('started', 'w').close() if sys.argv[1:] == ['wait'] else None\nif sys")
    (tmp_path / "probe.py").write_text(probe, encoding="utf-8")
    (tmp_path / "ask.py").write_text(ASK, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WORD": "of the server"}
    process = subprocess.Popen([sys.executable, "-m", "pipeline.warm", sys.executable, "ask.py", "drive"], cwd=tmp_path,
                               env=environment, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=600)
    lines = output.splitlines()
    assert lines[0] == f"{process.pid} ['a', 'b c'] typed of the asker True"
    assert lines[1] == "3"
    assert lines[2] == f"{process.pid} ['share']  of the asker True"
    assert lines[3] == "False"  # in other processes, which ended with it, as did the one whose asker was killed
    assert soon_nothing(lambda: [str(path) for path in Path("/proc").glob("[0-9]*/cwd") if belongs(path, tmp_path)])
    assert lines[4] == f"{process.pid} ['wait']  of the asker True"
    assert lines[5:] == ["by itself", "4"]
    assert process.returncode == 0


def test_without_a_server_a_stage_runs_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.settings", str(tmp_path / "no" / "such" / "place.json")]
    environment = {**os.environ, "HIMOE_WARM": str(tmp_path / "nobody")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    alone = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (alone.returncode, alone.stdout, alone.stderr)
