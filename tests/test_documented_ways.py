"""README's commands as a reader types them, in a fresh clone with the project's own params.yaml and DVC set-up."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pipeline_helpers import ROOT, commit, copy_code, run_ok

from himoe.simulate.generate import simulate_deap
from himoe.simulate.request import SimulationParams
from pipeline.stage import read_yaml

pytestmark = pytest.mark.slow
README = (ROOT / "README.md").read_text(encoding="utf-8")
REAL = re.compile(r"^dvc exp run ((?:-S \S+ )*-S sets\.(\w+)\.path=/data/\w+ (?:-S \S+ ?)*)", re.M)


def new_clone(path: Path) -> Path:
    """What `git clone` of the project gives, without its results."""
    path.mkdir(parents=True)
    copy_code(path)
    (path / ".dvc").mkdir()
    for name in ("params.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, path / name)
    run_ok(path, "git", "init", "-q", "-b", "main")
    commit(path, "a clone")
    return path


def test_the_commands_for_real_data_run_as_typed_and_push_nothing(tmp_path: Path) -> None:
    """All four one after another; the first as far as an output that DVC keeps."""
    clone, data = new_clone(tmp_path / "project" / "clone"), tmp_path / "data"
    simulate_deap(data / "DEAP", SimulationParams(1, 2, 0), "bdf")
    commands = {name: switches.replace("/data", str(data)).split() for switches, name in REAL.findall(README)}
    assert set(commands) == {"deap", "dreamer", "seed"}
    commands["amigos"] = [word.replace("seed", "amigos") for word in commands["seed"]]
    run_ok(clone, "dvc", "exp", "run", *commands.pop("deap"), "face@deap")
    for switches in commands.values():
        run_ok(clone, "dvc", "exp", "run", *switches, "code")
    sets = read_yaml(clone / "params.yaml")["sets"].values()
    assert [(one["source"], Path(one["path"]).parent) for one in sets] == [("local", data)] * 4
    run_ok(clone, "dvc", "push", "face@deap")
    assert sorted(path.name for path in clone.parent.iterdir()) == ["clone", "site-cache"]
    shutil.rmtree(clone / "data" / "faces")
    run_ok(clone, "dvc", "checkout", "face@deap")
    run_ok(clone, "dvc", "diff")
    assert (clone / "data" / "faces" / "deap" / "faces.json").is_file()
