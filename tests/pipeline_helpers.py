"""A tiny project that runs through the real stages: the real dvc.yaml and code, parameters cut down."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from himoe.core.files import write_json
from himoe.core.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parent.parent
PARAMS = read_yaml(ROOT / "params.yaml")  # read once: a file that is edited while tests run must not split a project
STAGE_TIMEOUT_S = 1500  # for what hangs: a loaded machine is slow, not wrong


def tiny_params() -> dict[str, Any]:
    """The project's params.yaml, cut to two simulated people, four filmed trials, two folds, one epoch, four runs."""
    params = copy.deepcopy(PARAMS)
    params["sets"] = {"deap": {"source": "simulate", "path": None, "layout": "dat", "redistribute": False}}
    profile = params["profiles"]["embedded"]
    profile["size"] = {"deap": {"subjects": 2, "trials": 4,
                                "video": {"fps_hz": 1, "width_px": 240, "height_px": 192}}}
    profile["face"].update(fps_hz=0.5, size_px=32, weights="random")
    profile["split"] = {"folds": 2, "validation": 0.3, "people": None}
    profile["training"].update(epochs=1, seeds=[0], missing="sampled")
    profile["training"]["search"]["learning_rate"] = [0.003, 0.01]
    params["main"] = tiny_run("himoe")
    params["runs"] = {f"deap-{method}": tiny_run(method) for method in ("himoe", "late_fusion", "mean")}
    params["runs"]["face-himoe"] = tiny_run("himoe", modalities="EEG+FACE")
    params["missing"] = {"rates": [0.0, 0.4], "mask_seeds": [0, 1]}
    params["bootstrap"]["draws"] = 20
    params["report"] = {"figure_set": "deap", "baselines": ["late_fusion", "mean"]}
    return params


def tiny_run(method: str, **changes: Any) -> dict[str, Any]:
    """A run's line in params.yaml."""
    return {"set": "deap", "protocol": "trial", "method": method, "modalities": "EEG+EDA", **changes}


def no_faces(project: Path, name: str = "deap") -> Path:
    """What the stage ``face`` leaves for a set without videos."""
    folder = project / "data" / "faces" / name
    write_json(folder / "faces.json", {"videos": {}})
    return folder


def write_params(project: Path, params: Mapping[str, Any]) -> None:
    """Write params.yaml."""
    (project / "params.yaml").write_text(yaml.safe_dump(dict(params), sort_keys=False), encoding="utf-8")


def copy_code(project: Path) -> None:
    """Copy dvc.yaml, himoe, pipeline and what was measured, as a clone would have them."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("himoe", "pipeline"):
        shutil.copytree(ROOT / name, project / name, ignore=ignore)
    shutil.copy(ROOT / "dvc.yaml", project / "dvc.yaml")
    (project / "bench").mkdir()
    shutil.copy(ROOT / "bench" / "cost.csv", project / "bench" / "cost.csv")


def workbench(project: Path, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """A project that single stages can be run in: no git, no cache, only what parameters are read through."""
    project.mkdir(parents=True, exist_ok=True)
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n", encoding="utf-8")
    for name in ("himoe", "pipeline", "bench", "dvc.yaml"):
        (project / name).symlink_to(ROOT / name)
    params = tiny_params()
    if change is not None:
        change(params)
    write_params(project, params)
    return project


def environment(**changes: str) -> dict[str, str]:
    """The environment of a user's shell with this interpreter first in the path and no data paths set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HIMOE_", "DVC_", "GIT_", "PYTHON"))}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "Tester"), ("EMAIL", "tester@example.org"))}
    fixed = {"DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return kept | identity | fixed | changes


def dvc_environment(project: Path, **changes: str) -> dict[str, str]:
    """:func:`environment` with what DVC keeps outside a project beside it."""
    return environment(**{"DVC_SITE_CACHE_DIR": str(project.parent / "site-cache"), **changes})


def run(project: Path, *command: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project and give its exit code and output."""
    return subprocess.run(command, cwd=project, env=dvc_environment(project, **changes), text=True,
                          capture_output=True, timeout=STAGE_TIMEOUT_S, check=False)


def run_ok(project: Path, *command: str, **changes: str) -> str:
    """Run a command that must end well; its standard output."""
    done = run(project, *command, **changes)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def stage(project: Path, script: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run one stage's script directly, in two processes."""
    return run(project, sys.executable, "-m", f"pipeline.{script}", *arguments, **{"HIMOE_JOBS": "2", **changes})


def stages_run(output: str) -> set[str]:
    """Names of the stages that ``dvc repro`` says it runs."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def new_project(project: Path, remote: Path) -> Path:
    """A git and DVC repository with the tiny project committed and a local remote named ``shared``."""
    project.mkdir(parents=True)
    copy_code(project)
    write_params(project, tiny_params())
    run_ok(project, "git", "init", "-q", "-b", "main")
    run_ok(project, "dvc", "init", "-q")
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, project / name)
    run_ok(project, "dvc", "remote", "add", "-q", "-d", "shared", str(remote))
    commit(project, "tiny project")
    return project


def new_clone(path: Path, *more: str) -> Path:
    """What `git clone` of the project gives, without its results; *more*: other files and folders to have."""
    path.mkdir(parents=True)
    copy_code(path)
    for name in ("params.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", *more):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        copy_one = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy_one(ROOT / name, path / name)
    run_ok(path, "git", "init", "-q", "-b", "main")
    commit(path, "a clone")
    return path


def commit(project: Path, message: str) -> None:
    """Commit everything git does not ignore."""
    run_ok(project, "git", "add", "-A")
    run_ok(project, "git", "commit", "-q", "-m", message)
