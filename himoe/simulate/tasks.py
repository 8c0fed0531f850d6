"""The people of a set side by side in processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from himoe.core.workers import map_forked

Task = tuple[Callable[..., Any], tuple[Any, ...]]


def run_tasks(tasks: Iterable[Task], jobs: int) -> Iterator[Any]:
    """Results in order, from *jobs* processes."""
    yield from map_forked(_single_thread, None, list(tasks), jobs)


def _single_thread(_: None, task: Task) -> Any:
    """Call with one BLAS thread: sums split over threads would differ in their last bits."""
    from threadpoolctl import threadpool_limits

    function, arguments = task
    with threadpool_limits(1):
        return function(*arguments)
