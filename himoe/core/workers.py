"""Worker processes, the one place that makes them: forks that inherit what they share, or fresh ones by joblib."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

R = TypeVar("R")

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
        with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=multiprocessing.get_context("fork")) as pool:
            yield from pool.map(_call, tasks)
    finally:
        _INHERITED.clear()


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
