"""Worker processes, the one place that makes them: forks that inherit what they share, fresh ones, or a cluster's."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from himoe.core.cluster import Cluster, scheduler
from himoe.core.on_worker import at_work, stamp, unpack

R = TypeVar("R")

LOOK_S = 0.5  # between two looks of a worker whether the process that made it is there
_INHERITED: list[tuple[Callable[..., Any], Any]] = []  # set before the fork, read after it
_MAKER: list[int] = []  # in a fresh worker: the number of the process that made it
_CLAIMS: dict[int, socket.socket] = {}  # the GPU that this worker has taken, and what says so


def map_forked(function: Callable[..., R], shared: Any, tasks: Sequence[Any], jobs: int) -> Iterator[R]:
    """Yield ``function(shared, task)`` for every task, in order, from up to *jobs* forked processes.

    Runs in this process where there is nothing to share out or the system cannot fork.
    """
    if jobs == 1 or len(tasks) < 2 or "fork" not in multiprocessing.get_all_start_methods():
        for task in tasks:
            yield function(shared, task)
        return
    _INHERITED[:] = [(function, shared)]
    try:
        with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=multiprocessing.get_context("fork"),
                                 initializer=_begin, initargs=(os.getpid(),)) as pool:
            yield from pool.map(_call, tasks)
    finally:
        _INHERITED.clear()


def _begin(parent: int) -> None:
    """In a new fork: end at SIGTERM, whatever *parent* does then, and with *parent*: a pool's worker outlives it."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)


def map_fresh(function: Callable[..., R], tasks: Sequence[Sequence[Any]], jobs: int) -> Iterator[R]:
    """Yield ``function(*task)`` for every task, in order, from *jobs* fresh processes: CUDA does not outlive a fork."""
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=jobs):
        yield from Parallel()(delayed(_fresh)(os.getpid(), function, task) for task in tasks)


def _fresh(maker: int, function: Callable[..., R], task: Sequence[Any]) -> R:
    _MAKER[:] = [maker]
    return function(*task)


def map_written(function: Callable[..., R], shared: Any, out: Path, tasks: Sequence[Any], jobs: int, label: str,
                reads: Sequence[str]) -> Iterator[R]:
    """Yield ``function(shared, folder, task)`` for every task; what it writes into *folder* is in *out* then.

    In order from forked processes, whose *folder* is *out*; or, where a scheduler is named, as they are done by its
    workers, whose files come back. Workers must see the files and folders *reads*, paths from this process's folder.
    """
    if not scheduler():
        yield from map_forked(_written, (function, shared, out), tasks, jobs)
        return
    with Cluster(scheduler()) as cluster:
        for _, found, files in cluster.map(function, shared, tasks, label, {path: stamp(Path(path)) for path in reads}):
            unpack(files, out)
            yield found


def own_gpu(count: int) -> int:
    """Which of *count* GPUs is this process's.

    A fresh worker (:func:`map_fresh`) takes the first that no other worker of its maker has, and keeps it. A cluster's
    has the first that it sees (CUDA_VISIBLE_DEVICES, which dask-cuda sets for each). Other processes, and workers for
    whom none is left, share them out by their numbers.
    """
    if at_work():
        return 0
    if _MAKER and not _CLAIMS:
        _claim(count, _MAKER[0])
    return next(iter(_CLAIMS), os.getpid() % count)


def _claim(count: int, maker: int) -> None:
    """Take the first free number below *count*: a name that one socket can have, and that ends with its process.

    The name is no file, so that nothing stays behind. Only Linux has such names; elsewhere nothing is taken.
    """
    for number in range(count if hasattr(socket, "AF_UNIX") else 0):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0himoe-gpu-{maker}-{number}")
        except OSError:  # another worker has it
            claim.close()
        else:
            _CLAIMS[number] = claim
            return


def _written(shared: tuple[Callable[..., R], Any, Path], task: Any) -> R:
    function, common, out = shared
    return function(common, out, task)


def _call(task: Any) -> Any:
    function, shared = _INHERITED[0]
    return function(shared, task)
