"""What the commands of README and docs are run in: a small project, recordings of nobody, simulated raw files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from himoe.core.errors import InputError
from himoe.core.files import write_json
from himoe.core.yaml_files import parse_yaml
from himoe.simulate.generate import simulate_deap
from himoe.simulate.request import SimulationParams
from pipeline.overlay import read_study
from pipeline.study import copy_code

PEOPLE, TRIALS, LENGTH_S = ("anna", "ben", "cleo", "dora", "emil"), 5, 60
OWN_DATA = Path("docs/your-own-data.md")
OVERLAY = Path("docs/example.yaml")
SETTINGS = (".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", ".dvc/plots_page.html")


def fresh(root: Path, place: Path) -> Path:
    """The project as a clone has it, with nothing made yet."""
    work = place / "himoe-clone"
    if not work.is_dir():
        work.mkdir(parents=True)
        copy_code(root, work)
        (work / ".dvc").mkdir()
        for name in (*SETTINGS, "params.yaml"):
            shutil.copyfile(root / name, work / name)
        call(work, place, "git init -q -b main")
        commit(work, place, "a clone")
    return work


def recordings(root: Path, place: Path) -> Path:
    """Write ``data/recordings`` as docs/your-own-data.md describes it: its dataset.yaml, and tables to match."""
    folder = place / "data" / "recordings"
    page = (root / OWN_DATA).read_text(encoding="utf-8")
    description = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    signals = parse_yaml(description, OWN_DATA)["modalities"]
    rng, ratings = np.random.default_rng(0), []
    for subject in PEOPLE:
        (folder / subject).mkdir(parents=True)
        for k in range(TRIALS):
            valence, arousal = rng.uniform(1, 9, 2).round(1)
            ratings.append((subject, f"t{k + 1}", f"clip{k + 1}", valence, arousal))
            for name, line in signals.items():
                table = _signal(name, line["columns"], line["sfreq_hz"], arousal, rng)
                path = folder / line["file"].format(subject=subject, trial=f"t{k + 1}")
                if path.suffix == ".csv":
                    table.to_csv(path, index=False, float_format="%.4f")
                else:
                    table.to_parquet(path, index=False)
    head = ["subject", "trial", "stimulus", "valence", "arousal"]
    pd.DataFrame(ratings, columns=head).to_csv(folder / "ratings.csv", index=False)
    (folder / "dataset.yaml").write_text(re.sub(r"^annotations: .*\n", "", description, flags=re.MULTILINE),
                                         encoding="utf-8")
    return fresh(root, place)


def _signal(name: str, columns: list[str], rate_hz: int, arousal: float, rng: np.random.Generator) -> pd.DataFrame:
    """Skin conductance that follows *arousal*, a pulse, and noise for the rest."""
    time_s = np.arange(LENGTH_S * rate_hz) / rate_hz
    if name == "EDA":
        level = 2 + 0.5 * arousal + rng.normal(0, 0.3) + rng.normal(0, 0.05, len(time_s))
        return pd.DataFrame({"t": time_s, columns[0]: level})
    if name == "PPG":
        return pd.DataFrame({columns[0]: np.sin(2 * np.pi * (1 + 0.05 * arousal) * time_s)
                             + rng.normal(0, 0.1, len(time_s))})
    return pd.DataFrame({column: rng.normal(0, 15, len(time_s)) for column in columns})


def raw_deap(root: Path, place: Path) -> Path:
    """Simulate two people's raw files of DEAP in ``data/DEAP``."""
    simulate_deap(place / "data" / "DEAP", SimulationParams(2, 4, 0), "bdf")
    return fresh(root, place)


def project(root: Path, place: Path) -> Path:
    """A git and DVC repository with this code and small parameters, everything made and committed."""
    work = place / "project"
    if not work.is_dir():
        fresh(root, place).rename(work)
        write_json(work / "params.yaml", read_study(root / OVERLAY, root)[1])
        call(work, place, "dvc repro -q")
        commit(work, place, "a small project and its results")
    return work


def clone(root: Path, place: Path) -> Path:
    """A fresh clone of :func:`project`."""
    work = place / "clone"
    if not work.is_dir():
        call(place, place, f"git clone -q {project(root, place)} {work}")
    return work


def commit(work: Path, place: Path, message: str) -> None:
    """Commit everything that git does not ignore."""
    call(work, place, f"git add -A && git commit -q -m '{message}'")


def call(work: Path, place: Path, command: str, input_text: str = "") -> str:
    """What *command* prints on standard output in *work*.

    Raises
    ------
    InputError
        If it fails.
    """
    done = subprocess.run(["bash", "-c", command], cwd=work, env=environment(place, work), text=True, check=False,
                          capture_output=True, input=input_text)
    if done.returncode:
        raise InputError(f"`{command}` in {work}: found exit code {done.returncode}, expected 0; it printed:\n"
                         f"{done.stdout}{done.stderr}")
    return done.stdout


def environment(place: Path, work: Path) -> dict[str, str]:
    """A reader's shell: this interpreter first in the path, the code in *work*, nobody's settings of git and DVC."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_", "PYTHON"))}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    if (work / "pipeline").is_dir():
        kept["PYTHONPATH"] = str(work)
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "Reader"), ("EMAIL", "reader@example.org"))}
    return kept | identity | {"GIT_CONFIG_GLOBAL": os.devnull, "DVC_NO_ANALYTICS": "1", "COLUMNS": "120",
                              "DVC_SITE_CACHE_DIR": str(place / "site-cache")}
