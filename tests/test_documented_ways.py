"""The pages' commands as a reader types them, in a fresh clone with the project's own params.yaml and DVC set-up."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from pipeline_helpers import ROOT, commit, new_clone, run_ok

from himoe.core.files import read_json
from himoe.core.yaml_files import read_yaml
from himoe.simulate.generate import simulate_deap
from himoe.simulate.registry import SIMULATORS
from himoe.simulate.request import SimulationParams
from pipeline.docs import blocks

README, EXPERIMENTS, DATASETS = ((ROOT / name).read_text(encoding="utf-8")
                                 for name in ("README.md", "docs/experiments.md", "docs/datasets.md"))
REAL = re.compile(r"^dvc exp run ((?:-S \S+ )*-S sets\.(\w+)\.path=/data/\w+ (?:-S \S+ ?)*)", re.M)


@pytest.mark.parametrize("switches", [["missing_rate=0.3"], ["model.emotion_experts=0"], ["profile=paper"],
                                      ["sets.deap.source=local", "sets.deap.path=/data/DEAP"], ["main.method=mean"]])
def test_a_switch_changes_one_line_of_the_parameters(tmp_path: Path, switches: list[str]) -> None:
    """What `dvc exp run -S` does to the file: DVC writes it anew."""
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    apply_overrides(path, switches)
    before, after = ((place / "params.yaml").read_text(encoding="utf-8").splitlines() for place in (ROOT, tmp_path))
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


@pytest.mark.nightly
def test_a_clone_pulls_from_the_address_that_the_page_has_one_commit(tmp_path: Path) -> None:
    project, remote = new_clone(tmp_path / "project"), tmp_path / "remote"
    run_ok(project, "dvc", "repro", "-q", "code")
    commit(project, "results")
    section = EXPERIMENTS.split("\n## Sharing results\n")[1]
    first = next(block for _, block in blocks(section) if block.language == "console")
    assert [line.split()[0] for line in first.commands] == ["dvc", "git", "dvc"]
    for line in first.commands:
        words = shlex.split(line.replace("ssh://server/path", str(remote)))
        run_ok(project, *words, *(["code"] if words == ["dvc", "push"] else []))
    assert run_ok(project, "git", "status", "--porcelain") == ""
    run_ok(tmp_path, "git", "clone", "-q", "project", "clone")
    shutil.rmtree(project)  # nothing but the remote is left
    assert not (tmp_path / "clone" / "code").exists()
    run_ok(tmp_path / "clone", "dvc", "pull", "code")
    assert (tmp_path / "clone" / "code" / "plan.txt").is_file()


def write_licensed(data: Path) -> None:
    """A person's raw files of each set; DEAP in both layouts."""
    for name, simulate in SIMULATORS.items():
        simulate(data / name.upper(), SimulationParams(1, 2, 0), {}, 1)
    simulate_deap(data / "dat", SimulationParams(1, 2, 0), "dat")
    (data / "dat" / "data_preprocessed_python").rename(data / "DEAP" / "data_preprocessed_python")
    shutil.rmtree(data / "dat")


@pytest.mark.nightly
def test_the_commands_for_real_data_run_as_typed_and_push_nothing(tmp_path: Path) -> None:
    """All of both pages, on files in the sets' own layouts; the first as far as an output that DVC keeps."""
    clone, data = new_clone(tmp_path / "project" / "clone"), tmp_path / "data"
    write_licensed(data)
    commands = {switches.replace("/data", str(data)): name for switches, name in REAL.findall(README + DATASETS)}
    assert sorted(commands.values()) == ["amigos", "deap", "deap", "dreamer", "seed"]  # two layouts of DEAP
    for k, (switches, name) in enumerate(commands.items()):
        run_ok(clone, "dvc", "exp", "run", *switches.split(), f"download@{name}" if k else "face@deap")
        found = read_json(clone / "data" / "raw" / name / "provenance.json")
        assert found["label"] == f"{name.upper()} (real, local files)"
        assert len(found["subjects"]) == 1
    sets = read_yaml(clone / "params.yaml")["sets"].values()
    assert [(one["source"], Path(one["path"]).parent) for one in sets] == [("local", data)] * 4
    run_ok(clone, "dvc", "push", "face@deap")
    assert sorted(path.name for path in clone.parent.iterdir()) == ["clone", "site-cache"]
    shutil.rmtree(clone / "data" / "faces")
    run_ok(clone, "dvc", "checkout", "face@deap")
    run_ok(clone, "dvc", "diff")
    assert (clone / "data" / "faces" / "deap" / "faces.json").is_file()
