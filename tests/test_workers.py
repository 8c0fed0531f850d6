"""Worker processes end with the process that made them, whatever ended that; and each has a GPU of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import pytest
from pipeline_helpers import ROOT

from himoe.core.files import is_running, parts_in
from himoe.core.workers import _fresh, map_fresh, own_gpu

GPUS = 4
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


def take(folder: Path) -> tuple[int, int]:
    """A task that goes on when all workers have one: its worker's GPU, of pretended ones, and its worker.

    The workers' numbers pretend to be one, as those of real ones may be equal but for multiples of the count.
    """
    (folder / str(os.getpid())).touch()
    with patch("os.getpid", return_value=8):
        gpu = own_gpu(GPUS)
    latest = time.monotonic() + 60
    while len(list(folder.iterdir())) < GPUS:
        assert time.monotonic() < latest
        time.sleep(0.01)
    return gpu, os.getpid()


def hold(end: Connection, maker: int) -> None:
    """A worker of *maker* that says which GPU it has taken, and keeps it until it is ended."""
    end.send(_fresh(maker, own_gpu, (2,)))
    time.sleep(60)


def test_each_fresh_worker_has_a_gpu_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first, second = (list(map_fresh(take, [(folder,)] * GPUS, GPUS)) for folder in folders)
    assert sorted(gpu for gpu, _ in first) == list(range(GPUS))
    assert sorted(second) == sorted(first)


def test_a_worker_that_is_killed_leaves_its_gpu_to_the_next() -> None:
    context, taken = multiprocessing.get_context("fork"), []  # workers of nobody: this process may have fresh ones
    mine, theirs = context.Pipe()
    workers = [context.Process(target=hold, args=(theirs, -os.getpid())) for _ in range(3)]
    for number, worker in enumerate(workers):
        if number == 2:
            workers[0].kill()
            workers[0].join()
        worker.start()
        assert mine.poll(30)
        taken.append(mine.recv())
    for worker in workers[1:]:
        worker.kill()
        worker.join()
    assert taken == [0, 1, 0]
