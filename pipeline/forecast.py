"""What ``dvc repro`` will run and about how long it will take, found in a second without asking DVC.

A stage is to be run if its command, its parameters or the small files it reads (code lists, settings, fold tables)
are not those in dvc.lock, if an output is neither there nor in the cache, or if a stage before it runs. That is at
most what DVC runs: it stops where outputs come out as they were. Only DVC looks into data, so a folder changed by hand
is found by it alone.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError
from himoe.core.files import sha256
from himoe.core.progress import duration_text
from himoe.core.yaml_files import read_yaml
from pipeline.lock_check import dvc_md5
from pipeline.overlay import look_up
from pipeline.seconds import Speed, expected, probe, read_seconds
from pipeline.stage import fill, jobs

CACHE = Path(".dvc/cache/files/md5")
SMALL = 2**20  # bytes of a file that is compared by content
KNOWN = ("code", "plan", "settings")  # stages whose outputs are found without running them
LOW, HIGH = 0.85, 1.25  # beside the probe's slowest and fastest round: work is not all like the probe


@dataclass(frozen=True)
class Stage:
    """A stage as dvc.yaml and params.yaml give it; *method* is that of the run it trains."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: Mapping[str, Any]
    method: str

    @property
    def kind(self) -> str:
        """The stage's name without its item."""
        return self.name.partition("@")[0]


def read_stages() -> list[Stage]:
    """Every stage of dvc.yaml, in its order."""
    params, found = read_yaml(Path("params.yaml")), []
    for name, body in read_yaml(Path("dvc.yaml"))["stages"].items():
        if "foreach" not in body:
            found.append(_stage(name, body, params, ""))
            continue
        for key, item in look_up(params, body["foreach"].strip("${}")).items():
            method = item.get("method", "") if isinstance(item, Mapping) else ""
            found.append(_stage(f"{name}@{key}", body["do"], {**params, "key": key, "item": item}, method))
    return found


def _stage(name: str, body: Mapping[str, Any], variables: Mapping[str, Any], method: str) -> Stage:
    keys = [fill(key, variables) for key in body.get("params", [])]
    outs = [fill(path if isinstance(path, str) else next(iter(path)), variables)
            for path in [*body.get("outs", []), *body.get("metrics", [])]]
    return Stage(name, fill(body["cmd"], variables), tuple(fill(path, variables) for path in body["deps"]),
                 tuple(outs), {key: look_up(variables, key) for key in keys}, method)


def stages_to_run(stages: list[Stage]) -> list[Stage]:
    """Those of *stages* that are to be run, in their order."""
    lock = read_yaml(Path("dvc.lock"))["stages"] if Path("dvc.lock").is_file() else {}
    if not Path("code").is_dir() or not lock:
        return list(stages)
    stale = {f"code/{path.name}" for path in Path("code").glob("*.txt") if list_is_stale(path)}
    due = {stage.name for stage in stages if _own_reason(stage, lock.get(stage.name))}
    if stale:
        due.add("code")
    anew = due & set(KNOWN) or stale & {f"code/{name}.txt" for name in KNOWN}
    with tempfile.TemporaryDirectory() as folder:
        made = _settings_anew(stages, Path(folder)) if anew else Path()
        due |= {stage.name for stage in stages if stage.name not in due
                and any(dep["path"] in stale or _file_changed(dep, made) for dep in lock[stage.name].get("deps", []))}
    while more := {stage.name for stage in stages if stage.name not in due and _follows(stage, stages, due)}:
        due |= more
    return [stage for stage in stages if stage.name in due]


def list_is_stale(path: Path) -> bool:
    """Whether a file named in a code list is no longer the one whose digest stands beside it."""
    pairs = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return any(not Path(name).is_file() or _digest(name, Path(name).stat().st_mtime_ns) != digest
               for digest, name in pairs)


@cache
def _digest(name: str, mtime_ns: int) -> str:
    return sha256(Path(name))


def _own_reason(stage: Stage, entry: Mapping[str, Any] | None) -> bool:
    """Whether dvc.lock has no such stage, or another command, other parameters or files, or an output is gone."""
    if entry is None or entry["cmd"] != stage.command:
        return True
    outs = {out["path"]: out.get("md5", "") for out in entry.get("outs", [])}
    if set(outs) != set(stage.outs) or {dep["path"] for dep in entry.get("deps", [])} != set(stage.deps):
        return True
    if entry.get("params", {}).get("params.yaml", {}) != stage.params:
        return True
    return not all(Path(path).exists() or (CACHE / md5[:2] / md5[2:]).exists() for path, md5 in outs.items())


def _settings_anew(stages: list[Stage], folder: Path) -> Path:
    """What ``plan`` and ``settings`` would write now, below *folder*; what they refuse is left to them to say."""
    (folder / "settings").mkdir()
    with contextlib.suppress(InputError):
        for stage in stages:
            if stage.name in ("plan", "settings"):
                arguments = stage.command.split()[3:]  # python -m pipeline.<name> and paths below settings/
                getattr(import_module(f"pipeline.{stage.name}"), stage.name)(*(str(folder / one) for one in arguments))
    return folder


def _file_changed(dep: Mapping[str, Any], made: Path) -> bool:
    """Whether a small file is not the one in dvc.lock; *made* holds what will be written first, also as folders."""
    if made != Path() and (made / dep["path"]).exists():
        return dvc_md5(made / dep["path"]) != dep.get("md5")
    path = Path(dep["path"])
    return path.is_file() and path.stat().st_size < SMALL and dvc_md5(path) != dep.get("md5")


def _follows(stage: Stage, stages: list[Stage], due: set[str]) -> bool:
    """Whether a stage reads what a stage writes that is to be run, and whose outputs are not known beforehand."""
    written = [out for other in stages if other.name in due and other.kind not in KNOWN for out in other.outs]
    return any(dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")
               for dep in stage.deps for out in written)


@dataclass(frozen=True)
class Forecast:
    """The stages to be run with their seconds on this machine, how many stages there are, and the time in all.

    *seconds* is None where nothing like these runs was measured (another profile).
    """

    stages: tuple[Stage, ...]
    of: int
    by_stage: dict[str, float]
    seconds: tuple[float, float, float] | None  # least, likely, most

    def text(self) -> str:
        """What is said before the work."""
        if not self.stages:
            return f"Nothing has changed since the last time; DVC now looks at the files of all {self.of} stages."
        lines = [f"{len(self.stages)} of {self.of} stages to run, at most: {_kinds(self.stages)}."]
        if self.seconds is None:
            lines.append("How long that takes was not measured for this profile.")
        else:
            low, likely, high = self.seconds
            lines.append(f"About {duration_text(likely)} on this machine ({_range(low, high)}), from measured stages "
                         "and a short test of its speed.")
        return "\n".join(lines)


def forecast() -> Forecast:
    """Find what is to be run and, if that is anything, measure how fast this machine is."""
    stages = read_stages()
    due = stages_to_run(stages)
    measured = read_seconds()
    if not due or read_yaml(Path("params.yaml"))["profile"] != measured["profile"]:
        return Forecast(tuple(due), len(stages), dict.fromkeys((stage.name for stage in due), 0.0), None)
    speed = probe(min(jobs(), measured["workers"]))
    return scaled(due, len(stages), measured, speed)


def scaled(due: list[Stage], of: int, measured: Mapping[str, Any], speed: Speed) -> Forecast:
    """The forecast from the *measured* table and this machine's *speed*."""
    rate = measured["units_per_s"]
    by_stage = {stage.name: expected(stage.name, stage.method, measured["stages"]) * rate / speed.middle
                for stage in due}
    likely = sum(by_stage.values())
    return Forecast(tuple(due), of, by_stage, (likely * speed.middle / speed.high * LOW, likely,
                                               likely * speed.middle / speed.low * HIGH))


def _kinds(stages: tuple[Stage, ...]) -> str:
    """``4 download, 53 train (20 himoe, 33 others)``."""
    counts = Counter("train" if stage.method else stage.kind for stage in stages)
    methods = Counter(stage.method for stage in stages if stage.method)
    parts = []
    for kind, count in counts.items():
        text = f"{count} {kind}"
        if kind == "train":
            text += f" ({', '.join(f'{number} {name}' for name, number in methods.most_common())})"
        parts.append(text)
    return ", ".join(parts)


def _range(low: float, high: float) -> str:
    if high < 90:
        return f"{low:.0f} to {high:.0f} s"
    return f"{low / 60:.0f} to {high / 60:.0f} min" if low >= 90 else f"{duration_text(low)} to {duration_text(high)}"
