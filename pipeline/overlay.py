"""A study's params.yaml: only what differs from the project's, merged over it.

A file with a block ``study`` is an overlay: mappings are merged key by key, anything else (a number, a text, a list)
takes the place of the project's value, and so does the whole mapping at each dotted key that ``study.replace``
names. A file without that block is complete, and is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from himoe.core.errors import bad_input
from himoe.core.parsing import checked, parse
from himoe.core.yaml_files import read_yaml

RESULTS = ("reports/tables", "reports/figures", "reports/index.html", "reports/quality.html", "reports/quality",
           "metrics")


@checked
@dataclass(frozen=True)
class StudyParams:
    """The block ``study``.

    ``replace``: dotted keys whose mappings take the place of the project's. ``stages``: what to reproduce; empty =
    everything. ``results``: outputs to bring back beside the study's params.yaml. ``cohorts``: values of
    ``simulate.seed``, for a study that is repeated on several simulated cohorts. ``summary``: whether README.md with
    the scores and a picture is written there, from the evaluate stage's results.
    """

    replace: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    results: tuple[str, ...] = RESULTS
    cohorts: tuple[int, ...] = ()
    summary: bool = False


def read_study(path: Path, root: Path) -> tuple[StudyParams, dict[str, Any]]:
    """The block ``study`` of the file *path*, and the parameters of its pipeline.

    *root* is the project's folder, whose params.yaml an overlay is merged over.

    Raises
    ------
    InputError
        If a file cannot be read, or ``study.replace`` names what the study does not give.
    """
    changes = read_yaml(path)
    if "study" not in changes:
        return StudyParams(), changes
    study = parse(StudyParams, changes.pop("study"), path, "study")
    for key in study.replace:
        if not isinstance(look_up(changes, key), Mapping):
            raise bad_input(f"{path}: study.replace", f"{key!r}, which is no mapping there", "a mapping of this file",
                            "write it or take the name out")
    return study, merge(read_yaml(root / "params.yaml"), changes, study.replace)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], replace: tuple[str, ...] = ()) -> dict[str, Any]:
    """*base* with *changes* in it; neither is altered. *replace* as in :class:`StudyParams`."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if key in replace or not (isinstance(value, Mapping) and isinstance(old, Mapping)):
            merged[key] = value
        else:
            inner = tuple(name.removeprefix(f"{key}.") for name in replace if name.startswith(f"{key}."))
            merged[key] = merge(old, value, inner)
    return merged


def with_value(params: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """*params* with another value at a dotted key."""
    first, _, rest = key.partition(".")
    return {**params, first: with_value(params.get(first, {}), rest, value) if rest else value}


def look_up(values: Any, key: str) -> Any:
    """The value at a dotted key, None if there is none."""
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[part]
    return values
