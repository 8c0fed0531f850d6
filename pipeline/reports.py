"""What ``tables`` and ``figures`` share: the entries of ``reports`` that are theirs, with their runs' results."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from himoe.errors import bad_input
from himoe.tables import RunResult, load_results, runs_of


def load_reports(params: Mapping[str, Any], known: Collection[str], metrics: Path,
                 evaluations: Path) -> tuple[dict[str, Any], dict[str, RunResult]]:
    """The entries of ``reports`` named in *known*, and the results of the runs they name.

    Raises
    ------
    InputError
        If an entry names a run that is not in ``runs`` (the metrics of a run that is gone may still lie about).
    """
    reports = {name: roles for name, roles in params["reports"].items() if name in known}
    for name, roles in reports.items():
        if unknown := set(runs_of(roles)) - {"main", *params["runs"]}:
            raise bad_input(f"params.yaml: reports.{name}", f"the run {min(unknown)!r}", "main or one of runs",
                            "correct the name or add the run")
    return reports, load_results(reports, metrics, evaluations)
