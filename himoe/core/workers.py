"""Worker processes, the one place that makes them: forks that inherit what they share, or fresh ones by joblib."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from threading import Thread
from typing import Any, TypeVar

R = TypeVar("R")

LOOK_S = 0.5  # between two looks of a worker whether the process that made it is there
_INHERITED: list[tuple[Callable[..., Any], Any]] = []  # set before the fork, read after it


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


def cluster() -> str:
    """The address of the Dask scheduler that is to be used; "" = none."""
    return os.environ.get("DASK_SCHEDULER_ADDRESS", "")


def map_fresh(function: Callable[..., R], tasks: Sequence[Sequence[Any]], jobs: int) -> Iterator[R]:
    """Yield ``function(*task)`` for every task, in order, from *jobs* fresh processes, or from the cluster's workers.

    For what a fork cannot do: CUDA does not outlive one, and a cluster's workers have no memory in common with this
    process (they must see the same files).
    """
    from joblib import Parallel, delayed, parallel_config

    address = cluster()
    if address:
        from dask.distributed import Client

        Client(address)
    with parallel_config("dask" if address else "loky", n_jobs=-1 if address else jobs):
        yield from Parallel()(delayed(function)(*task) for task in tasks)


def _call(task: Any) -> Any:
    function, shared = _INHERITED[0]
    return function(shared, task)
