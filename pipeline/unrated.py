"""A study's predictions for people and trials without a rating: a table beside its page, and the sentence about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from himoe.core.files import atomic_path, remove
from himoe.prepare.unrated import describe_unrated, unrated_paths
from himoe.scoring.paper import METHOD_LABELS
from himoe.training.prediction import average, predict_unrated
from himoe.training.rundata import run_tasks
from himoe.training.running import write_csv
from pipeline.runs import read_folds, run_config
from pipeline.stage import SCRATCH

FILE = "predictions_unrated.csv"


def write_unrated(work: Path, target: Path, params: Mapping[str, Any]) -> list[str]:
    """Write ``FILE`` into *target*, from the working copy *work*; what the page says of it. Nobody unrated: no file.

    The models are those of the run that has the line of ``main``: a small study trains it once, among its runs.
    """
    remove(target / FILE)
    main, folders = params["main"], {part: work / "data" / part / params["main"]["set"]
                                     for part in ("windows", "folds")}
    if not unrated_paths(folders["windows"]):
        return []
    who = describe_unrated(folders["windows"])
    name = next((name for name, line in params["runs"].items() if line == main), None)
    if name is None or main.get("task", "regression") != "regression":
        return [f"Nothing predicts those without a rating ({who}): no line of `runs` is `main`'s and a regression."]
    config, _ = run_config(name, folders["windows"], work / "settings" / "runs" / f"{name}.json")
    scratch = work / SCRATCH / "maps" / "unrated"
    tasks = run_tasks(config, read_folds(folders["folds"] / f"{config.run.protocol}.csv"))
    found = predict_unrated(config, tasks, folders["windows"], work / "runs" / name, scratch)
    with atomic_path(target / FILE) as path:
        write_csv(average(found), path)
    remove(scratch)
    windows = len(found[["subject", "trial", "window"]].drop_duplicates())
    models = len(found[["fold", "seed"]].drop_duplicates())
    method = METHOD_LABELS.get(config.run.method, config.run.method)
    return [f"[{FILE}]({FILE}) holds what {method} (run `{name}`) predicts for the {windows} windows without a rating, "
            f"of {who}: the mean over its {models} models (folds × seeds) and their SD. "
            "There is nothing to compare them with, so no score can be given."]
