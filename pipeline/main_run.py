"""Stage ``main_run``: the run ``main``, scored at ``missing_rate``.

It takes the models of a run of the tables whose settings are its own, and trains only where there is none.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.checksums import checked, whole, write_sums
from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, read_json, remove, write_csv, write_json
from himoe.core.params import BootstrapParams, RunConfig, parse
from himoe.core.progress import note
from himoe.core.workers import map_forked
from himoe.scoring.metrics import task_metrics
from himoe.training.masked import Said, join, predict_task
from himoe.training.model import Model, encode_fold
from himoe.training.rundata import FoldTask, RunData, run_tasks
from himoe.training.running import describe, train_run, write_said
from pipeline.evaluate import evaluate_run
from pipeline.runs import inputs_of, load_data, run_config
from pipeline.stage import PARAMS, SCRATCH, jobs, main, stage_params

TRAINED = SCRATCH / "main"  # the last that was trained: another missing_rate does not train it again
TODO = "train the run again"


def main_run(settings: str, others: str, runs: str, windows: str, features: str, folds: str, out: str, scored: str,
             metrics: str) -> None:
    """Write ``main``: its models into *out*, predictions and every score into *scored*, a dozen numbers into *metrics*.

    *settings* is its file of settings, *others* the folder with those of the runs in the folder *runs*.
    """
    params = stage_params("main_run")
    bootstrap = parse(BootstrapParams, params["bootstrap"], PARAMS, "bootstrap")
    config, least = run_config("main", Path(windows), Path(settings))
    data = load_data(config, least, windows, features, folds)
    tasks = run_tasks(config, data.folds)
    source = same_models(Path(settings), Path(others), Path(runs), tasks)
    if source is None:
        source = trained(config, data, inputs_of(config, windows, features, folds))
    else:
        note(f"main: the models of {source.name}, whose settings are the same")
    take(source, config, data, tasks, Path(out))
    score(config, data, tasks, Path(out), Path(scored), float(params["missing_rate"]), bootstrap)
    write_json(Path(metrics), headline(read_json(Path(scored) / "metrics.json")))
    remove(SCRATCH / "maps" / "main")


def same_models(settings: Path, others: Path, runs: Path, tasks: Sequence[FoldTask]) -> Path | None:
    """The first run (its folder) that has the models of *tasks* and was made with these settings; None without."""
    wanted = essence(read_json(settings))
    for path in sorted(others.glob("*.json")):
        folder = runs / path.stem
        if essence(read_json(path)) == wanted and all((folder / task.name).is_dir() for task in tasks):
            return folder
    return None


def essence(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's settings decides each of its models: all but its name for the tables and the number of seeds."""
    unsaid = {"task": "regression", "shuffle_labels": False}
    line = {key: value for key, value in settings["run"].items()
            if key not in ("variant", "seeds", "model", "alignment")}
    training = {key: value for key, value in settings["training"].items() if key != "seeds"}
    return {**settings, "run": {**unsaid, **line}, "training": training}


def trained(config: RunConfig, data: RunData, inputs: Mapping[str, str]) -> Path:
    """The folder of the run, trained unless the last one that was trained is this one."""
    out = TRAINED / "run"
    made = {"config": repr(config), "inputs": dict(inputs)}
    if not (whole(out) and (TRAINED / "made.json").is_file() and read_json(TRAINED / "made.json") == made):
        remove(TRAINED / "made.json")
        train_run(config, data, out, SCRATCH / "folds" / "main", inputs, jobs())
        remove(SCRATCH / "folds" / "main")
        write_json(TRAINED / "made.json", made)
    return out


def take(source: Path, config: RunConfig, data: RunData, tasks: Sequence[FoldTask], out: Path) -> None:
    """Copy the models of *tasks*, and how they were fitted, from a run's folder to *out*."""
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        for task in tasks:
            (folder / task.name).mkdir()
            for path in sorted((source / task.name).iterdir()):
                shutil.copyfile(checked(path, TODO), folder / task.name / path.name)
        for name in ("history.csv", "search.csv"):
            table = pd.read_csv(checked(source / name, TODO), float_precision="round_trip")
            write_csv(table[table["seed"].isin({task.seed for task in tasks})], folder / name)
        write_json(folder / "run.json", describe(config, data))
        write_sums(folder)


def score(config: RunConfig, data: RunData, tasks: Sequence[FoldTask], run: Path, out: Path, rate: float,
          bootstrap: BootstrapParams) -> None:
    """Ask the models in the folder *run*, at missing rate *rate* too; *out*: what they say, and its scores."""
    said = join(map_forked(_said, (config, data, run, rate), tasks, jobs()))
    if len(said.predictions) == 0:
        raise bad_input("params.yaml: missing_rate", rate, f"one of the trained rates {config.missing.rates}",
                        "add it to missing.rates or train with training.missing: sampled")
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        for name in ("run.json", "history.csv"):
            shutil.copyfile(run / name, folder / name)
        write_said(said, folder)
        write_json(folder / "metrics.json", evaluate_run(folder, folder, rate, bootstrap, TODO))
        write_sums(folder)


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those of a run's metrics that an experiment is judged by; what is undefined is left out."""
    scores = task_metrics(str(metrics["task"]), metrics.get("classes"))
    names = ("missing_rate", "n_people", "n_trials", "n_windows", "attainable_ccc", scores[0], f"{scores[0]}_low",
             f"{scores[0]}_high", *scores[1:])
    return {name: metrics[name] for name in names if metrics.get(name) is not None}


def _said(shared: tuple[RunConfig, RunData, Path, float], task: FoldTask) -> Said:
    config, data, run, rate = shared
    model = Model.read(run / task.name)
    return predict_task(config, data, task, encode_fold(model, data, task), config.missing, rate,
                        model.description.intervals)


if __name__ == "__main__":
    main(main_run)
