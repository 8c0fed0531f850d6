"""Work shared out to threads of this process: it pays where Arrow, or NumPy on whole arrays, needs no lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any, TypeVar

R = TypeVar("R")


def in_threads(function: Callable[..., R], tasks: Sequence[Sequence[Any]], threads: int) -> list[R]:
    """``function(*task)`` for every task, in order; up to *threads* at once, this thread among them.

    What a task raises is raised here, the earliest task's first, when all threads have stopped.
    """
    found: dict[int, R] = {}
    failed: dict[int, BaseException] = {}

    def work(first: int) -> None:
        for place in range(first, len(tasks), threads):
            if failed:
                return
            try:
                found[place] = function(*tasks[place])
            except BaseException as error:
                failed[place] = error

    others = [Thread(target=work, args=(first,)) for first in range(1, min(threads, len(tasks)))]
    for thread in others:
        thread.start()
    work(0)
    for thread in others:
        thread.join()
    if failed:
        raise failed[min(failed)]
    return [found[place] for place in range(len(tasks))]
