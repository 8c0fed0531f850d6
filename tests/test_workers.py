"""Worker processes end with the process that made them, whatever ended that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pipeline_helpers import ROOT

from himoe.core.files import is_running, parts_in

LONG = """
import os, time
from himoe.core.workers import map_forked
def work(shared, task):
    os.write(1, f"{os.getpid()}\\n".encode())  # whole: two workers write at once
    time.sleep(600)
list(map_forked(work, None, [1, 2, 3], 2))
"""
SHARE = """
import sys
from pathlib import Path
import numpy as np
from himoe.core.files import parts_in
from joblib import Parallel, delayed
with parts_in(Path(sys.argv[1])):
    Parallel(n_jobs=2)(delayed(np.sum)(np.ones(300_000)) for _ in range(2))
    print("shared", flush=True)
    sys.stdin.read()
"""


def gone(processes: list[int]) -> bool:
    deadline = time.monotonic() + 30
    while any(map(is_running, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_running, processes))


def test_workers_end_with_a_process_that_was_killed_and_at_sigterm() -> None:
    maker = subprocess.Popen([sys.executable, "-c", LONG], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    workers = [int(maker.stdout.readline()) for _ in range(2)]
    assert all(map(is_running, workers))
    os.kill(workers[0], signal.SIGTERM)  # a pool ends the others then, and itself with an error
    maker.kill()
    maker.wait()
    assert gone(workers)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs /dev/shm")
def test_shared_memory_of_a_killed_process_is_swept(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SHARE, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "shared\n"

    def shared() -> list[str]:
        return [name for name in os.listdir("/dev/shm") if f"_{process.pid}_" in name or f"-{process.pid}-" in name]

    with parts_in(tmp_path):
        assert {name.partition(str(process.pid))[0] for name in shared()} == {"joblib_memmapping_folder_", "sem.loky-"}
    os.killpg(process.pid, signal.SIGKILL)  # the group, and so the process that would have cleaned up
    process.communicate()
    assert shared()
    with parts_in(tmp_path):
        assert shared() == []
    assert list(tmp_path.iterdir()) == []
