"""What ``tables``, ``figures`` and ``report`` share: everything that was evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from himoe.core.errors import InputError
from himoe.core.params import ReportParams, parse
from himoe.scoring.results import RunResult, load_comparisons, load_cost, load_results
from pipeline.stage import PARAMS, stage_params


@dataclass(frozen=True)
class Evaluated:
    """The runs' results by name, the comparisons, the cost, and what the figures show."""

    results: dict[str, RunResult]
    comparisons: pd.DataFrame
    cost: pd.DataFrame
    settings: ReportParams


def load_evaluated(stage: str, runs: Path, scores: Path, metrics: Path, seconds: Path) -> Evaluated:
    """Read the folders *runs*, *scores*, *metrics* and the file *seconds*: the evaluate stage's last runs."""
    settings = parse(ReportParams, stage_params(stage)["report"], PARAMS, "report")
    names = sorted(path.stem for path in (metrics / "runs").glob("*.json"))
    if not names:
        raise InputError(f"{metrics / 'runs'}: found no run, expected one file per run; run the evaluate stage.")
    results = load_results(names, runs, scores, metrics)
    return Evaluated(results, load_comparisons(metrics), load_cost(metrics, seconds), settings)
