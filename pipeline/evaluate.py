"""Stage ``evaluate``: every run's metrics with intervals, and Hi-MoE compared with every other run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from himoe.core.checksums import checked
from himoe.core.files import atomic_path, read_json, write_json, write_text
from himoe.core.params import BootstrapParams, parse
from himoe.core.progress import progress
from himoe.core.workers import map_forked
from himoe.scoring.results import load_results
from himoe.scoring.statistics import compare
from himoe.scoring.summary import run_metrics
from pipeline.stage import PARAMS, jobs, main, stage_params


def evaluate(runs: str, lines: str, metrics: str, comparisons: str) -> None:
    """Write one file for each run of *lines* into the folder *metrics* (``.../runs``), and the table *comparisons*."""
    params = stage_params("evaluate")
    bootstrap = parse(BootstrapParams, params["bootstrap"], PARAMS, "bootstrap")
    names = list(read_json(Path(lines)))
    with atomic_path(Path(metrics)) as folder:
        folder.mkdir(parents=True)
        found = map_forked(_metrics, (Path(runs), bootstrap), names, jobs())
        for name, values in zip(names, progress(found, "evaluate", "run", len(names)), strict=True):
            write_json(folder / f"{name}.json", values)
    results = load_results(names, Path(runs), Path(metrics).parent)
    table = compare(results, bootstrap)
    write_text(Path(comparisons), table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _metrics(shared: tuple[Path, BootstrapParams], name: str) -> dict[str, object]:
    runs, bootstrap = shared
    folder = runs / name
    todo = f"make it again with `dvc repro --force --single-item train@{name}`"
    sweep = pd.read_csv(checked(folder / "sweep.csv", todo), float_precision="round_trip")
    predictions = pd.read_parquet(checked(folder / "predictions.parquet", todo))
    return run_metrics(read_json(checked(folder / "run.json", todo)), sweep, predictions, 0.0, bootstrap)


if __name__ == "__main__":
    main(evaluate)
