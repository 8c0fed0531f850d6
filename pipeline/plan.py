"""Stage ``plan``: what the runs ask for, checked before anything is made or removed.

It leaves two files per data set: the protocols that its runs need, one per line, and the filters of its modalities. The
split stage refuses a protocol that the data does not allow, and so before DVC has removed the outputs of a run. It also
leaves the runs' lines in one file. Stages depend on these files, because DVC would write all lines and all tables into
dvc.lock for each stage that declares them, and reads and writes all of dvc.lock at every stage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import himoe
from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, write_json, write_text
from himoe.core.params import RunParams, parse
from pipeline.code import defines_method
from pipeline.filters import filter_table, table_name
from pipeline.stage import PARAMS, main, stage_params


def plan(out: str, filters: str, runs: str) -> None:
    """Check runs and filters; write the folders *out* (protocols) and *filters*, by set, and the file *runs*."""
    params = stage_params("plan")
    check_rate(params["missing_rate"])
    folder = Path(himoe.__file__).parent / "models" / "methods"
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
    with atomic_path(Path(filters)) as made:
        made.mkdir(parents=True)
        for name in params["sets"]:
            write_json(made / f"{name}.json", chosen_filters(params, name))
    write_json(Path(runs), params["runs"])


def chosen_filters(params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Rates and bands of a set's modalities, checked, with the name of the table that they stand in."""
    table = table_name(params["preprocess"], params["profiles"][params["profile"]]["preprocess"], name)
    filter_table(params["preprocess"][table], table)
    return {"table": table, "filters": params["preprocess"][table]}


def check_rate(rate: Any) -> float:
    """``missing_rate`` as a number, refused where it is none that a sensor can be missing at."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise bad_input("params.yaml: missing_rate", repr(rate), "a share in [0, 1), such as 0.3", "correct the value")
    return float(rate)


def check_run(where: str, values: Mapping[str, Any], sets: list[str], methods: list[str]) -> RunParams:
    """A run's line, its names among those there are (its modalities are checked against the data later)."""
    run = parse(RunParams, {**values, "modalities": ["EEG"]}, PARAMS, where)
    for key, found, known in (("set", run.set, sets), ("method", run.method, methods)):
        if found not in known:
            raise bad_input(f"params.yaml: {where}.{key}", repr(found), f"one of {', '.join(known)}",
                            "correct the name")
    return run


if __name__ == "__main__":
    main(plan)
