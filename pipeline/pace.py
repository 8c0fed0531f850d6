"""How far ``make repro`` is: ``.himoe/repro.json``, which it leaves while it runs and the training stages add to.

No output depends on it, and a stage does without it (``dvc repro``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from himoe.core.errors import InputError
from himoe.core.files import read_json, remove, write_json
from himoe.core.progress import duration_text
from pipeline.stage import SCRATCH

STATE = SCRATCH / "repro.json"
SMOOTH_S = 20.0  # of forecast that the first runs' times are weighed against


def begin(expected: Mapping[str, float]) -> None:
    """Leave the stages that ``make repro`` will run, with their seconds as forecast."""
    write_json(STATE, {"process": os.getpid(), "expected": dict(expected), "taken": {}})


def end() -> None:
    """``make repro`` is over."""
    remove(STATE)


def position(stage: str, seconds: float) -> tuple[str, str]:
    """``run 3 of 53: `` and ``; about 9 min left``; empty where no ``make repro`` runs that knows of *stage*."""
    try:
        state: dict[str, Any] = read_json(STATE)
        expected, taken = state["expected"], state["taken"]
        os.kill(state["process"], 0)
    except (InputError, OSError, KeyError):
        return "", ""
    if stage not in expected:
        return "", ""
    taken[stage] = seconds
    write_json(STATE, state)
    runs = [name for name in expected if is_training(name)]
    return f"run {len(taken)} of {len(runs)}: ", f"; about {duration_text(time_left(expected, taken))} left"


def is_training(stage: str) -> bool:
    """Whether a stage trains a run."""
    return stage.partition("@")[0] == "train"


def time_left(expected: Mapping[str, float], taken: Mapping[str, float]) -> float:
    """Seconds of the runs to come and of what follows the last, by the forecast and how it has held so far.

    *expected* is in the order in which stages run; what is not a run counts as done as soon as a run behind it is.
    """
    names = list(expected)
    reached = max(names.index(name) for name in taken)
    left = sum(expected[name] for place, name in enumerate(names)
               if name not in taken and (is_training(name) or place > reached))
    pace = (SMOOTH_S + sum(taken.values())) / (SMOOTH_S + sum(expected[name] for name in taken))
    return left * pace
