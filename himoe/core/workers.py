"""Worker processes that inherit what they share instead of unpickling it."""

from __future__ import annotations

import multiprocessing
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
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_call, tasks)
    _INHERITED.clear()


def _call(task: Any) -> Any:
    function, shared = _INHERITED[0]
    return function(shared, task)
