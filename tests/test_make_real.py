"""`make real` as docs/datasets.md has it, in a fresh clone, on small simulated files in the real sets' layouts."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from open_sets import write_ceap360vr, write_hku956, write_wesad
from pipeline_helpers import ROOT, new_clone, run_ok

from himoe.core.files import read_json, write_json
from himoe.core.yaml_files import read_yaml
from himoe.datasets import DATASETS
from himoe.models.methods import method_class
from pipeline.docs import blocks

WRITERS: dict[str, Callable[[Path], None]] = {
    "CEAP-360VR": lambda root: write_ceap360vr(root, people=5),
    "HKU956": lambda root: write_hku956(root, people=4, songs=6),
    "WESAD": lambda root: write_wesad(root, people=3),
}
TRIALS = {"ceap360vr": 5 * 8, "hku956": 4 * 6, "wesad": 3 * 5}
STUDIES = {"real": ["ceap360vr", "hku956"], "wesad": ["wesad"]}
COMMANDS = sorted({line for _, block in blocks((ROOT / "docs" / "datasets.md").read_text(encoding="utf-8"))
                   for line in block.commands if line.startswith("make real")})


def kind(method: str) -> str:
    """network, features or mean."""
    return "network" if method_class(method).gradient else method.partition("_")[0]


def shorten(path: Path) -> dict[str, dict[str, Any]]:
    """Cut a study: each kind of method on each set, the mean of each clip, one epoch; gives the runs that are left."""
    params = read_yaml(path)
    kept = {key: name for name, run in reversed(params["runs"].items())  # of several the first stays
            for key in ((run["set"], kind(run["method"])), run["method"] == "mean_stimulus")}
    params["runs"] = {name: {**params["runs"][name], "seeds": [0]} for name in sorted(set(kept.values()))}
    params["profiles"]["embedded"]["training"]["epochs"] = 1
    write_json(path, {**params, "missing": {"rates": [0.0, 0.4], "mask_seeds": [0]},
                      "bootstrap": {"draws": 20, "swaps": 99}})
    return params["runs"]


def test_each_study_s_page_says_the_command_that_makes_it() -> None:
    pages = {name: (ROOT / "reports" / name / "README.md").read_text(encoding="utf-8").splitlines() for name in STUDIES}
    assert {name: [line for line in page if line.startswith("make ")] for name, page in pages.items()} == {
        "real": [COMMANDS[0]], "wesad": [COMMANDS[1]]}


@pytest.mark.nightly
@pytest.mark.parametrize("study, command", zip(("real", "wesad"), COMMANDS, strict=True))
def test_the_command_runs_in_a_fresh_clone_on_small_files_in_the_real_layouts(
        tmp_path: Path, study: str, command: str) -> None:
    project = new_clone(tmp_path / "project", "Makefile", "pyproject.toml", "reports/real", "reports/wesad")
    run_ok(tmp_path, "git", "clone", "-q", str(project), "clone")
    clone, folder = tmp_path / "clone", tmp_path / "clone" / "reports" / study
    (clone / ".venv").mkdir()
    (clone / ".venv" / ".installed").touch()  # the environment is this one, first in the path
    runs = shorten(folder / "params.yaml")
    words = shlex.split(command.replace("/data/", f"{tmp_path}/data/"))
    for place in (Path(word.partition("=")[2]) for word in words if "=" in word):
        WRITERS[place.name](place)
    run_ok(clone, *words, HIMOE_JOBS="1")
    changed = run_ok(clone, "git", "status", "--porcelain", "-z").split("\0")
    assert {name[3:].split("/")[1] for name in changed if name} == {study}
    assert sorted(path.stem for path in (folder / "metrics" / "runs").iterdir()) == sorted(runs)
    check_scores(folder, runs, STUDIES[study])
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert all(f"{DATASETS[name].title} (real, local files)" in page for name in STUDIES[study])
    assert "(simulated)" not in page


def check_scores(folder: Path, runs: dict[str, dict[str, Any]], sets: list[str]) -> None:
    """Every run is scored on what was written, and the tables have it; the floors find what the ratings are made of."""
    table = pd.read_csv(folder / "tables" / "scores.csv").set_index("Run")
    assert set(table.index) == set(runs)
    assert np.isfinite(table[["CCC", "CCC low", "CCC high", "MAE", "Valence", "Arousal"]].to_numpy()).all()
    for name, run in runs.items():
        found, row = read_json(folder / "metrics" / "runs" / f"{name}.json"), table.loc[name]
        assert (found["n_trials"], row["Trials"]) == (TRIALS[run["set"]],) * 2
        assert row["Our data"] == found["data"] == f"{DATASETS[run['set']].title} (real, local files)"
        assert row["CCC"] == pytest.approx(found["ccc"], abs=1e-6)
        assert row["CCC"] > 0.5 if run["method"] == "mean_stimulus" else row["CCC"] < 1
    assert {name: {kind(run["method"]) for run in runs.values() if run["set"] == name} for name in sets} == {
        name: {"network", "features", "mean"} for name in sets}
