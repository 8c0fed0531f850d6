"""Stage ``evaluate``: every run's scores and metrics with intervals, and Hi-MoE compared with every other run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.checksums import checked, write_sums
from himoe.core.files import atomic_path, read_json, write_json, write_text
from himoe.core.params import BootstrapParams, parse
from himoe.core.progress import progress
from himoe.core.workers import map_forked
from himoe.scoring.results import load_results
from himoe.scoring.statistics import compare
from himoe.scoring.summary import run_metrics
from himoe.scoring.sweep import write_run_scores
from pipeline.stage import PARAMS, jobs, main, stage_params


def evaluate(runs: str, lines: str, scores: str, metrics: str, comparisons: str) -> None:
    """Score each run of *lines*.

    Its scores by missing rate and combination go into the folder *scores*, one file of metrics into *metrics*
    (``.../runs``), and all comparisons into the table *comparisons*.
    """
    params = stage_params("evaluate")
    bootstrap = parse(BootstrapParams, params["bootstrap"], PARAMS, "bootstrap")
    names = list(read_json(Path(lines)))
    with atomic_path(Path(scores)) as scored, atomic_path(Path(metrics)) as folder:
        scored.mkdir(parents=True)
        folder.mkdir(parents=True)
        found = map_forked(_evaluated, (Path(runs), scored, bootstrap), names, jobs())
        for name, values in zip(names, progress(found, "evaluate", "run", len(names)), strict=True):
            write_json(folder / f"{name}.json", values)
    results = load_results(names, Path(runs), Path(scores), Path(metrics).parent)
    table = compare(results, bootstrap)
    write_text(Path(comparisons), table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _evaluated(shared: tuple[Path, Path, BootstrapParams], name: str) -> dict[str, Any]:
    runs, scores, bootstrap = shared
    todo = f"make it again with `dvc repro --force --single-item train@{name}`"
    found = evaluate_run(runs / name, scores / name, 0.0, bootstrap, todo)
    write_sums(scores / name)
    return found


def evaluate_run(run: Path, scores: Path, rate: float, bootstrap: BootstrapParams, todo: str) -> dict[str, Any]:
    """Write the scores of the run in the folder *run* into the folder *scores*; its metrics at missing rate *rate*.

    *todo* says what to do if a file of the run is damaged.
    """
    info = read_json(checked(run / "run.json", todo))
    history = pd.read_csv(checked(run / "history.csv", todo), float_precision="round_trip")
    sweep = write_run_scores(info, run, scores, todo)
    predictions = pd.read_parquet(checked(run / "predictions.parquet", todo))
    return run_metrics(info, history, sweep, predictions, rate, bootstrap)


if __name__ == "__main__":
    main(evaluate)
