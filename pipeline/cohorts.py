"""``python -m pipeline.cohorts reports/cohorts``: the study in that folder on each of its simulated cohorts.

Each value of ``study.cohorts`` has a working copy of its own (``.himoe/studies/cohorts-<seed>``), so that a paused
study goes on where it stopped. cohorts.csv, spread.csv and README.md are written beside the study's params.yaml.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.files import read_json, require_file, write_text
from himoe.report.tables.cohorts import readme
from himoe.scoring.cohorts import cohort_rows, spread
from himoe.scoring.results import load_comparisons
from pipeline.overlay import read_study, with_value
from pipeline.stage import main
from pipeline.study import STUDIES, prepare, reproduce


def cohorts(folder: str) -> None:
    """Run the study in *folder* once per cohort and write what they have in common."""
    target, root = Path(folder), Path.cwd()
    path = require_file(target / "params.yaml")
    settings, params = read_study(path, root)
    if not settings.cohorts:
        raise bad_input(f"{path}: study.cohorts", "no value", "seeds of the simulator", "list them")
    parts = []
    for seed in settings.cohorts:
        work = STUDIES / f"{target.name}-{seed}"
        prepare(root, work, with_value(params, "simulate.seed", seed))
        reproduce(work, settings.stages, f"{path}, cohort {seed}: the pipeline stopped (see above).")
        parts.append(read_cohort(seed, work, list(params["runs"])))
    write_cohorts(pd.concat(parts, ignore_index=True), target)


def read_cohort(seed: int, work: Path, runs: list[str]) -> pd.DataFrame:
    """What the evaluate stage wrote in the working copy *work*."""
    metrics = [read_json(work / "metrics" / "runs" / f"{run}.json") for run in runs]
    return cohort_rows(seed, metrics, load_comparisons(work / "metrics"))


def write_cohorts(rows: pd.DataFrame, target: Path) -> None:
    """Write cohorts.csv, spread.csv and README.md into *target*."""
    for name, frame in (("cohorts", rows), ("spread", spread(rows))):
        write_text(target / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_text(target / "README.md", readme(rows))


if __name__ == "__main__":
    main(cohorts)
