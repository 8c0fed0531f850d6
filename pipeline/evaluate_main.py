"""Stage ``evaluate_main``: score the run ``main`` at ``missing_rate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from himoe.core.checksums import checked, write_sums
from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, read_json, remove, write_json
from himoe.core.params import BootstrapParams, RunConfig, parse
from himoe.core.workers import map_forked
from himoe.scoring.metrics import task_metrics
from himoe.scoring.summary import run_metrics
from himoe.training.evaluation import Scores, join, score_task
from himoe.training.model import Model, encode_fold
from himoe.training.rundata import FoldTask, RunData, run_tasks
from himoe.training.running import write_scores
from pipeline.plan import check_rate
from pipeline.runs import load_data, run_config
from pipeline.stage import PARAMS, SCRATCH, jobs, main


def evaluate_main(windows: str, features: str, folds: str, weights: str, out: str, metrics: str) -> None:
    """Score ``main``: the folder *out* (sweep, combinations, routing, predictions, every metric) and *metrics*.

    The file *metrics* is what DVC compares: the dozen numbers of :func:`headline`.
    """
    config, params = run_config("evaluate_main", "main", Path(windows))
    bootstrap = parse(BootstrapParams, params["bootstrap"], PARAMS, "bootstrap")
    rate = check_rate(params["missing_rate"])
    data = load_data(config, params, windows, features, folds)
    shared = (config, data, Path(weights), rate)
    scores = join(map_forked(_score, shared, run_tasks(config, data.folds), jobs()))
    if len(scores.predictions) == 0:
        raise bad_input("params.yaml: missing_rate", rate, f"one of the trained rates {config.missing.rates}",
                        "add it to missing.rates or train with training.missing: sampled")
    info = read_json(checked(Path(weights) / "run.json", "train the run again"))
    found = run_metrics(info, scores.sweep, scores.predictions, rate, bootstrap)
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        write_scores(scores, folder)
        write_json(folder / "run.json", info)
        write_json(folder / "metrics.json", found)
        write_sums(folder)
    write_json(Path(metrics), headline(found))
    remove(SCRATCH / "maps" / "main")


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those of a run's metrics that an experiment is judged by; what is undefined is left out."""
    scores = task_metrics(str(metrics["task"]), metrics.get("classes"))
    names = ("missing_rate", "n_people", "n_trials", "n_windows", "attainable_ccc", scores[0], f"{scores[0]}_low",
             f"{scores[0]}_high", *scores[1:])
    return {name: metrics[name] for name in names if metrics.get(name) is not None}


def _score(shared: tuple[RunConfig, RunData, Path, float], task: FoldTask) -> Scores:
    config, data, weights, rate = shared
    model = Model.read(weights / task.name)
    encoded = encode_fold(model, data, task)
    return score_task(config, data, task, encoded, config.missing, rate, model.description.intervals)


if __name__ == "__main__":
    main(evaluate_main)
