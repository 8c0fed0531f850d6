"""The people of a set side by side in processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def run_tasks(tasks: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]], jobs: int) -> Iterator[Any]:
    """Results in order, from *jobs* processes."""
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(_single_thread)(*task) for task in tasks)


def _single_thread(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call with one BLAS thread: sums split over threads would differ in their last bits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return function(*arguments)
