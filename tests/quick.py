"""What ``make test-quick`` leaves out, and which file starts first, by seconds on record (``make test-seconds``).

Each test function gets ``QUICK_S`` seconds: as many of its cases as fit in, spread evenly over all of them. So every
file that has a quick test is still in, and of a family with many cases some are. A function that is not on record
takes less, or is new: all its cases run. A case marked ``quick`` runs whatever it takes, one marked ``slow`` never.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pytest

RECORD = Path(__file__).with_name("seconds.txt")  # lines of seconds (all cases together) and function
QUICK_S = 0.5


def function_of(test: str) -> str:
    """The id of a test without its case: ``tests/test_a.py::test_b[c]`` -> ``tests/test_a.py::test_b``."""
    return test.partition("[")[0]


def read_record(path: Path) -> dict[str, float]:
    """Function -> seconds."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {function: float(seconds) for seconds, function in lines}


def fitting(cases: Sequence[Any], seconds: float) -> list[Any]:
    """As many of *cases*, which take *seconds* in all, as fit in ``QUICK_S``, spread evenly (none if one is longer)."""
    kept = min(len(cases), int(len(cases) * QUICK_S / seconds)) if seconds > QUICK_S else len(cases)
    return [cases[place * len(cases) // kept] for place in range(kept)]


def choose_quick(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out of *items*, which are about to run, what is not quick."""
    record = read_record(RECORD)
    functions: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        functions[function_of(item.nodeid)].append(item)
    fit = {item for function, cases in functions.items() for item in fitting(cases, record.get(function, 0.0))}
    kept = {item for item in items if item.get_closest_marker("quick")
            or (item in fit and not item.get_closest_marker("slow"))}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def longest_first(items: list[pytest.Item]) -> None:
    """Order *items* by their file's seconds on record: all processes would wait for a long file that starts last."""
    record = read_record(RECORD)
    seconds: dict[str, float] = defaultdict(float)
    for function in sorted({function_of(item.nodeid) for item in items}):
        seconds[function.partition("::")[0]] += record.get(function, 0.0)
    items.sort(key=lambda item: -seconds[item.nodeid.partition("::")[0]])


class Recorder:
    """Writes the seconds of what ran into the record; what stands there of files that did not run stays."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"setup": [], "call": []})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a phase of one case took."""
        if report.when in ("setup", "call"):
            self.seconds[function_of(report.nodeid)][report.when].append(report.duration)

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        files = {function.partition("::")[0] for function in self.seconds}
        before = read_record(self.path) if self.path.is_file() else {}
        found = {name: total(**phases) for name, phases in self.seconds.items()}
        kept = {name: seconds for name, seconds in before.items() if name.partition("::")[0] not in files}
        write_record(kept | found, self.path)


def total(setup: Iterable[float], call: Sequence[float]) -> float:
    """Seconds of all cases; of their preparation only the usual time, since what they share is made in the first."""
    return sum(call) + len(call) * median(setup)


def write_record(record: dict[str, float], path: Path) -> None:
    """Write what takes more than ``QUICK_S``, by file, then name."""
    lines = [f"{seconds:.1f} {function}\n" for function, seconds in sorted(record.items()) if seconds > QUICK_S]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
