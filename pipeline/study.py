"""Run the pipeline with other parameters in a working copy of its own, and bring its results back.

``python -m pipeline.study reports/real`` reads ``reports/real/params.yaml``, which holds what differs from the
project's (``pipeline.overlay``; ``himoe study new`` writes one for own recordings), and dvc.lock beside it, if there
is one: what has not changed is not run again. Tables, figures, the page, metrics and dvc.lock come back to that
folder. The working copy shares the project's DVC cache, so that a stage that the project has run with the same code,
data and parameters is not run again either. The main workspace is not touched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError
from himoe.core.files import atomic_path, remove, require_file, sha256, write_json
from himoe.core.yaml_files import read_yaml
from himoe.datasets import get_dataset
from himoe.datasets.fetch import PROVENANCE, belonging, source_path
from pipeline.overlay import look_up, read_study
from pipeline.stage import SCRATCH, main
from pipeline.warm import REPRO

STUDIES = SCRATCH / "studies"  # the working copies
MEASURED = Path("bench/cost.csv")  # what tables, figures and the report read of seconds; no stage writes it
DVC_CONFIG = """[core]
    no_scm = true
    analytics = false
    check_update = false
[cache]
    dir = "{cache}"
['remote "licensed"']
    url = "{cache}"
"""


def study(folder: str) -> None:
    """Reproduce the study whose parameters stand in *folder*."""
    target, root = Path(folder), Path.cwd()
    path = require_file(target / "params.yaml")
    settings, params = read_study(path, root)
    work = working_copy(target, root)
    prepare(root, work, params, target / "dvc.lock")
    forget_old_files(work, params)
    reproduce(work, settings.stages, f"{path}: the pipeline stopped (see above); nothing in {target} was changed.")
    for name in settings.results:
        with atomic_path(target / Path(name).name) as copy:
            copy_from = shutil.copytree if (work / name).is_dir() else shutil.copyfile
            copy_from(work / name, copy)
    shutil.copyfile(work / "dvc.lock", target / "dvc.lock")
    if settings.summary:
        from pipeline.study_page import write_page

        print(f"\n{write_page(work, target, params)}\n\nWith a picture: {target / 'README.md'}. All files: {work}.")


def working_copy(target: Path, root: Path) -> Path:
    """Where the study in *target* is run; one outside the project gets a name that no other study has."""
    place = target.resolve()
    if place.is_relative_to(root.resolve()):
        return STUDIES / target.name
    return STUDIES / f"{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"


def forget_old_files(work: Path, params: Mapping[str, Any]) -> None:
    """Remove the links to a user's files where these have changed, so that they are brought in again.

    DVC does not watch the folder behind ``path``.
    """
    for name, source in params["sets"].items():
        raw = work / "data" / "raw" / name
        if source["source"] != "local" or not raw.is_dir():
            continue
        origin = source_path(name, source.get("path"))
        names = {*belonging(get_dataset(name, origin), origin)}
        kept = {path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file()} - {PROVENANCE}
        if names != kept or not all(same_file(origin / one, raw / one) for one in names):
            remove(raw)


def same_file(source: Path, copy: Path) -> bool:
    """Whether *copy* is a link to *source*, or has its bytes."""
    return source.samefile(copy) or (source.stat().st_size == copy.stat().st_size and sha256(source) == sha256(copy))


def prepare(root: Path, work: Path, params: Mapping[str, Any], lock: Path | None = None) -> None:
    """Fill the working copy *work*: code, dvc.yaml, these parameters, a DVC set-up that shares the cache, raw files."""
    work.mkdir(parents=True, exist_ok=True)
    copy_code(root, work)
    write_json(work / "params.yaml", params)  # JSON is YAML too
    if lock is not None and lock.is_file():
        shutil.copyfile(lock, work / "dvc.lock")
    (work / ".dvc").mkdir(exist_ok=True)
    (work / ".dvc" / "config").write_text(
        DVC_CONFIG.format(cache=root.resolve() / ".dvc" / "cache"), encoding="utf-8")
    shutil.copyfile(root / ".dvcignore", work / ".dvcignore")
    share_raw(root, work, params)


def share_raw(root: Path, work: Path, params: Mapping[str, Any]) -> None:
    """Link simulated raw files that the project has made with the same parameters, and copy their entries of dvc.lock.

    Raw files are not in DVC's cache, so that the working copy would simulate them again. DVC still compares their
    digests and that of the code.
    """
    made = read_yaml(root / "dvc.lock")["stages"] if (root / "dvc.lock").is_file() else {}
    shared = {}
    for name, source in params["sets"].items():
        entry, raw = made.get(f"download@{name}"), Path("data/raw") / name
        if entry is None or source["source"] != "simulate" or not (root / raw).is_dir() or (work / raw).exists():
            continue
        recorded = entry["params"]["params.yaml"]
        if all(look_up(params, key) == value for key, value in recorded.items()):
            with atomic_path(work / raw) as copy:
                shutil.copytree(root / raw, copy, copy_function=link)
            shared[f"download@{name}"] = entry
    if shared:
        lock = work / "dvc.lock"
        old = read_yaml(lock)["stages"] if lock.is_file() else {}
        write_json(lock, {"schema": "2.0", "stages": {**old, **shared}})


def link(source: str, copy: str) -> None:
    """A hard link where the file system has them, else a copy. Stages never write into a file that is there."""
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)


def copy_code(root: Path, work: Path) -> None:
    """Copy the code, the description of its stages and what was measured, over what an earlier version left."""
    for package in ("himoe", "pipeline"):
        shutil.rmtree(work / package, ignore_errors=True)
        shutil.copytree(root / package, work / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(root / "dvc.yaml", work / "dvc.yaml")
    (work / MEASURED).parent.mkdir(exist_ok=True)
    shutil.copyfile(root / MEASURED, work / MEASURED)


def reproduce(work: Path, stages: Sequence[str], problem: str) -> None:
    """``dvc repro`` of *stages* (none = all) in a working copy; *problem* is what to say if it fails."""
    done = subprocess.run([*REPRO, *stages], cwd=work, check=False, env={**os.environ, "PYTHONPATH": ""})
    if done.returncode:
        raise InputError(problem)


if __name__ == "__main__":
    main(study)
