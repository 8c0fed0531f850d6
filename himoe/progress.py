"""Progress on the terminal; silence where output is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], label: str, unit: str, total: int | None = None) -> Iterator[T]:
    """Iterate over *items* with a bar (count, rate, time left) on standard error if it is a terminal."""
    yield from tqdm(items, desc=label, unit=unit, total=total, disable=not sys.stderr.isatty(), leave=False)
