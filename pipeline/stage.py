"""What every stage shares: its declared parameters, the number of processes, one-sentence errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from himoe.errors import InputError

SCRATCH = Path(".himoe")  # finished folds of a run under way, memory maps; never an output


def stage_params(stage: str) -> dict[str, Any]:
    """The parameters that dvc.yaml declares for *stage*, and no others."""
    import dvc.api

    try:
        return dvc.api.params_show(stages=stage)
    except Exception as error:
        raise InputError(f"dvc.yaml: the parameters of stage {stage!r} cannot be read ({error}); "
                         "check params.yaml against dvc.yaml.") from error


def jobs() -> int:
    """Worker processes: the environment variable HIMOE_JOBS, else the cores this process may use.

    It is not a parameter because it must not change any result.
    """
    text = os.environ.get("HIMOE_JOBS", "")
    if text and not (text.isdigit() and int(text) >= 1):
        raise InputError(f"HIMOE_JOBS: found {text!r}, expected a whole number of 1 or more; correct it or unset it.")
    return int(text) if text else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def main(run: Callable[..., None]) -> None:
    """Call a stage with the command line's arguments; bad input ends in one sentence and exit code 1."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")
    try:
        run(*sys.argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
