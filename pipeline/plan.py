"""Stage ``plan``: what the runs ask for, checked before anything is made or removed.

It leaves one file per data set: the protocols that its runs need, one per line. The split stage refuses one that the
data does not allow, and so before DVC has removed the outputs of a run. It also leaves the runs' lines in one file:
stages that need them depend on that, because DVC would write all lines into dvc.lock for each stage that declares them,
and reads and writes all of dvc.lock at every stage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import himoe
from himoe.errors import bad_input
from himoe.files import atomic_path, write_json, write_text
from himoe.params import RunParams, parse
from pipeline.code import defines_method
from pipeline.stage import main, stage_params


def plan(out: str, runs: str) -> None:
    """Check every run's line and ``missing_rate``; write the folder *out*, protocols by set, and the file *runs*."""
    params = stage_params("plan")
    check_rate(params["missing_rate"])
    folder = Path(himoe.__file__).parent / "methods"
    methods = sorted(path.stem for path in folder.glob("*.py") if defines_method(path))
    wanted: dict[str, set[str]] = defaultdict(set)
    lines = {"main": params["main"], **{f"runs.{key}": run for key, run in params["runs"].items()}}
    for where, values in lines.items():
        run = check_run(where, values, list(params["sets"]), methods)
        wanted[run.set].add(f"{run.protocol}\n")
    with atomic_path(Path(out)) as made:
        made.mkdir(parents=True)
        for name in params["sets"]:
            write_text(made / f"{name}.txt", "".join(sorted(wanted[name])))
    write_json(Path(runs), params["runs"])


def check_rate(rate: Any) -> float:
    """``missing_rate`` as a number, refused where it is none that a sensor can be missing at."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise bad_input("params.yaml: missing_rate", repr(rate), "a share in [0, 1), such as 0.3", "correct the value")
    return float(rate)


def check_run(where: str, values: Mapping[str, Any], sets: list[str], methods: list[str]) -> RunParams:
    """A run's line, its names among those there are (its modalities are checked against the data later)."""
    run = parse(RunParams, {**values, "modalities": ["EEG"]}, where)
    for key, found, known in (("set", run.set, sets), ("method", run.method, methods)):
        if found not in known:
            raise bad_input(f"params.yaml: {where}.{key}", repr(found), f"one of {', '.join(known)}",
                            "correct the name")
    return run


if __name__ == "__main__":
    main(plan)
