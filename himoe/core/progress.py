"""Progress: a bar on a terminal; elsewhere (a log) a line now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
LINE_S = 30.0  # between two lines in a log


def progress(items: Iterable[T], label: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Iterate over *items* and tell on standard error how far it is.

    A terminal gets a bar (count, rate, time left). Anything else gets a line when ``LINE_S`` seconds have passed since
    the last one, and so nothing about short work.
    """
    if sys.stderr.isatty():
        width, height = terminal_size()
        yield from tqdm(items, desc=label, unit=unit, total=total, leave=False, ncols=width, nrows=height)
        return
    started = told = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told >= LINE_S and done != total:
            told = now
            note(f"{label}: {count_text(done, total, unit)}{_left(now - started, done, total)}")


def terminal_size() -> tuple[int, int]:
    """Columns and lines of the terminal that standard error is; 80 and 24 for one that says 0: it would show no bar."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):  # what says it is a terminal and is none
        return 80, 24
    return size.columns or 80, size.lines or 24


def note(text: str) -> None:
    """One line on standard error, above a bar where there is one."""
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


def count_text(done: int, total: int | None, unit: str) -> str:
    """``4 of 12 models``, ``1 model``."""
    of = "" if total is None else f" of {total}"
    return f"{done}{of} {unit}{'' if (total or done) == 1 else 's'}"


def duration_text(seconds: float) -> str:
    """``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _left(elapsed: float, done: int, total: int | None) -> str:
    left = "" if total is None else f", about {duration_text(elapsed / done * (total - done))} left"
    return f" in {duration_text(elapsed)}{left}"
