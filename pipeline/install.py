"""``python -m pipeline.install .venv [extra]``: the environment, with PyTorch's CPU-only wheels where there is no GPU.

It runs before anything is installed, so it uses the standard library alone. The wheels of torch on PyPI for Linux
bring 4 GB of GPU libraries. Where no NVIDIA GPU is found they are taken from PyTorch's CPU index instead; where
that index cannot be reached, from the usual one, and one sentence says so. The environment variable HIMOE_TORCH
overrides: ``cpu``, ``cuda`` or ``default`` (ask nothing: the usual index).

Modules are not compiled to bytecode as they are installed (most are never imported); ``warm_up`` compiles what the
stages import.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CHOICES = ("cpu", "cuda", "default")
TORCH = ("torch", "torchvision")
OLDEST, TOO_NEW = (3, 11), (3, 14)
PIP = "pip>=24,<27"
REACH_S = 5.0
# Modules that bring in what the stages and `dvc` use, in groups of about equal size that are compiled side by side.
WARM = (("dvc.cli.parser", "dvc.repo.reproduce", "dvc.repo.index", "dvc.repo.graph", "dvc.repo.stage",
         "dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.metrics", "dvc.repo.params", "dvc.repo.plots",
         "dvc.repo.open_repo", "dvc.repo.trie", "dvc.cachemgr", "dvc.data_cloud", "dvc.scm", "dvc.rwlock",
         "dvc.utils.strictyaml", "dvc.daemon", "networkx", "ruamel.yaml", "dvc_data.index", "mne", "edfio", "neurokit2",
         "sklearn.ensemble", "sklearn.linear_model", "requests", "pooch"),
        ("pipeline.train", "pipeline.face", "pipeline.main_run", "pipeline.download", "pipeline.cost",
         "pipeline.report", "pipeline.quality", "pipeline.figures", "matplotlib.backends.backend_agg",
         "matplotlib.backends.backend_svg", "joblib"))


class InstallError(Exception):
    """What keeps the environment from being made, in one sentence."""


def install(folder: str, extra: str = "") -> None:
    """Make the virtual environment *folder* with what pyproject.toml asks for, and its *extra* (``dev``, ``docs``)."""
    if not OLDEST <= sys.version_info[:2] < TOO_NEW:
        raise InstallError(f"himoe needs Python 3.11 to 3.13, this is {platform.python_version()}.")
    source = torch_source(os.environ, platform.system(), has_gpu)
    python = Path(folder) / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", folder])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
    run([*pip, PIP])
    if source == "cpu":
        cpu_torch([*pip, "--index-url", CPU_INDEX, *requirements(Path("pyproject.toml"))],
                  asked=os.environ.get("HIMOE_TORCH") == "cpu")
    run([*pip, "--editable", f".[{extra}]" if extra else "."],
        PYTHONWARNINGS="ignore")  # setuptools warns of every editable installation
    warm_up(python)


def torch_source(environ: Mapping[str, str], system: str, gpu: Callable[[], bool]) -> str:
    """Where torch comes from: ``cpu`` = PyTorch's CPU index, ``default`` = the usual index.

    *system* as ``platform.system()`` gives it. *gpu* is called to ask for a GPU, only where the answer matters.
    """
    asked = environ.get("HIMOE_TORCH", "")
    if asked and asked not in CHOICES:
        raise InstallError(f"HIMOE_TORCH: found {asked!r}, expected {', '.join(CHOICES)} or nothing; correct it.")
    if asked == "cuda" and system == "Darwin":
        raise InstallError("HIMOE_TORCH: found 'cuda', but PyTorch has no CUDA wheels for macOS; unset it.")
    if system != "Linux":  # PyPI's wheels for macOS and Windows have no GPU libraries
        return "default"
    if asked:
        return "cpu" if asked == "cpu" else "default"
    return "default" if gpu() else "cpu"


def has_gpu() -> bool:
    """Whether nvidia-smi is there and lists a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        done = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU" in done.stdout


def requirements(path: Path) -> list[str]:
    """The lines of pyproject.toml's dependencies that name torch or torchvision."""
    import tomllib  # not before the check of the version

    lines = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]
    return [line for line in lines if any(line.startswith((f"{name}>", f"{name}=")) for name in TORCH)]


def cpu_torch(command: Sequence[str], asked: bool) -> None:
    """Install torch from the CPU index; where that fails, leave it to the usual index unless it was *asked* for."""
    reason = unreachable(f"{CPU_INDEX}/torch/")
    if not reason and subprocess.run(command, check=False).returncode:
        reason = "pip found no wheels for this machine there"
    if reason and asked:
        raise InstallError(f"HIMOE_TORCH=cpu: {CPU_INDEX} cannot be used ({reason}); unset it to install the usual "
                           "wheels.")
    if reason:
        print(f"PyTorch's CPU-only wheels cannot be had ({reason}): installing the usual ones, several GB larger, "
              "from your package index.", file=sys.stderr)


def unreachable(url: str) -> str:
    """Why *url* does not answer within a few seconds; empty if it does. One try."""
    try:
        with urllib.request.urlopen(url, timeout=REACH_S):
            return ""
    except OSError as error:  # URLError, HTTPError and time-outs are OSErrors
        return str(getattr(error, "reason", error))


def warm_up(python: Path) -> None:
    """Import what the stages import, so that it is compiled once, also where PYTHONDONTWRITEBYTECODE is set."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = [subprocess.Popen([str(python), "-c", f"import {', '.join(names)}"], env=environ,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for names in WARM]
    for process in started:
        process.wait()  # a module that cannot be imported shows where it is used


def run(command: Sequence[str], **environ: str) -> None:
    """Run a command, with *environ* added to the environment; end in one sentence if it fails."""
    code = subprocess.run(command, check=False, env={**os.environ, **environ}).returncode
    if code:
        raise InstallError(f"{' '.join(command)}: ended with code {code} (see above); the environment is not complete.")


if __name__ == "__main__":
    try:
        install(*sys.argv[1:])
    except InstallError as problem:
        raise SystemExit(f"error: {problem}") from None
