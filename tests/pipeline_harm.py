"""Harm that a project comes to: kills, a disk that fills up, folders that may not be written to, a lock with a gap."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from pipeline_helpers import STAGE_TIMEOUT_S, dvc_environment, stages_run

from pipeline.warm import REPRO

DROP_FROM_BOUNDING_SET, OVERRIDE, READ_ANYTHING = 24, 1, 2  # of prctl(2) and capabilities(7)
OWN_MOUNTS = ("unshare", "-rm", "bash", "-c")


@cache
def can_mount() -> bool:
    """Whether this user may mount a disk in memory, in a name space of its own."""
    script = "mount -t tmpfs -o size=1m tmpfs /tmp && mount -o remount,size=2m /tmp"
    try:
        return subprocess.run([*OWN_MOUNTS, script], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def on_small_disk(place: Path, script: str, project: Path) -> subprocess.CompletedProcess[str]:
    """Run *script* in the folder *place*, which is a disk of its own, in memory, as long as that takes."""
    place.mkdir()
    return subprocess.run([*OWN_MOUNTS, f"mount -t tmpfs -o size=1g tmpfs {place} && cd {place} && {script.strip()}"],
                          env=dvc_environment(project), text=True, capture_output=True, timeout=STAGE_TIMEOUT_S,
                          check=False)


def without_privileges() -> None:
    """In a child before its command: root may no longer write where the permissions forbid it."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if os.geteuid() == 0 and prctl is not None:
        assert all(prctl(DROP_FROM_BOUNDING_SET, one, 0, 0, 0) == 0 for one in (OVERRIDE, READ_ANYTHING))


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Inside the block nothing can be made in *folder*, or removed from it."""
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(mode)


def kill_somewhere(project: Path, stages: int, after_s: float) -> str:
    """Start ``make repro``'s command and kill its group so long after it began its n-th stage.

    That stage's name; "" where it ended well with fewer.
    """
    process = subprocess.Popen(REPRO, cwd=project, env=dvc_environment(project), text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    begun, said = list[str](), ""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            begun, said = begun + sorted(stages_run(line)), said + line
            if len(begun) >= stages:
                break
        else:
            assert process.wait() == 0, said
            return ""
        time.sleep(after_s)
    finally:
        with suppress(ProcessLookupError):
            while True:  # until the last of the group is gone: DVC takes no lock from one who is still there
                os.killpg(process.pid, signal.SIGKILL)
                process.poll()
                time.sleep(0.05)
    return str(begun[-1])


def forget(project: Path, name: str) -> None:
    """Take one stage's entry out of dvc.lock (its first line, at two spaces, and all that stand deeper)."""
    path = project / "dvc.lock"
    text = path.read_text(encoding="utf-8")
    shorter = re.sub(rf"^  {re.escape(name)}:\n(?:   .*\n)+", "", text, flags=re.M)
    assert shorter != text
    path.write_text(shorter, encoding="utf-8")


def kill_in_training(project: Path) -> Path:
    """Start ``dvc repro``; when the first model of deap-himoe is kept, kill the whole process group; its folder."""
    folder = project / ".himoe" / "folds" / "deap-himoe"
    command = ["dvc", "repro", "--allow-missing", "--single-item", "train@deap-himoe"]
    process = subprocess.Popen(command, cwd=project, env=dvc_environment(project, HIMOE_JOBS="1"),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + STAGE_TIMEOUT_S
        while not list(folder.glob("fold-*")):
            assert process.poll() is None, "dvc repro ended before it could be killed"
            assert time.monotonic() < deadline, "no model was finished in time"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (kept,) = folder.glob("fold-*")
    return kept
