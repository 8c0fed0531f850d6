"""Run the pipeline with another params.yaml in a working copy of its own, and bring its reports back.

``python -m pipeline.study reports/real`` reads ``reports/real/params.yaml`` (and its dvc.lock, if there is
one: what has not changed is not run again) and writes tables, figures, the page, metrics and dvc.lock beside it.
The main workspace is not touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from himoe.errors import InputError
from himoe.files import atomic_path, require_file
from pipeline.stage import SCRATCH, main

RESULTS = ("reports/tables", "reports/figures", "reports/index.html", "reports/quality.html", "reports/quality",
           "metrics")


def study(folder: str) -> None:
    """Reproduce the study whose parameters stand in *folder*."""
    target, root = Path(folder), Path.cwd()
    params = require_file(target / "params.yaml")
    work = SCRATCH / "studies" / target.name
    prepare(root, work, params, target / "dvc.lock")
    done = subprocess.run(["dvc", "repro"], cwd=work, check=False, env={**os.environ, "PYTHONPATH": ""})
    if done.returncode:
        raise InputError(f"{params}: the pipeline stopped (see above); nothing in {target} was changed.")
    for name in RESULTS:
        with atomic_path(target / Path(name).name) as copy:
            copy_from = shutil.copytree if (work / name).is_dir() else shutil.copyfile
            copy_from(work / name, copy)
    shutil.copyfile(work / "dvc.lock", target / "dvc.lock")


def prepare(root: Path, work: Path, params: Path, lock: Path) -> None:
    """Fill the working copy *work*: code, dvc.yaml, these parameters, a DVC set-up that shares the cache."""
    work.mkdir(parents=True, exist_ok=True)
    for package in ("himoe", "pipeline"):
        shutil.rmtree(work / package, ignore_errors=True)
        shutil.copytree(root / package, work / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copyfile(root / name, work / name)
    shutil.copyfile(params, work / "params.yaml")
    if lock.is_file():
        shutil.copyfile(lock, work / "dvc.lock")
    if not (work / ".dvc").is_dir():
        subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=work, check=True)
    shutil.copyfile(root / ".dvcignore", work / ".dvcignore")
    for key, value in (("core.analytics", "false"), ("core.check_update", "false"),
                       ("cache.dir", str(root.resolve() / ".dvc" / "cache"))):
        subprocess.run(["dvc", "config", "--quiet", key, value], cwd=work, check=True)


if __name__ == "__main__":
    main(study)
