"""What people and trials cost: ``python -m bench.size`` (``make bench``), from the repository's folder.

Each stage is a process of its own, in a working folder that is removed afterwards. Bytes are those of what the stage
leaves; what no later stage reads is removed at once, so that the largest size takes a few gigabytes of disk.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.run import BENCH, MIB, machine_facts, number
from himoe.core.files import remove, write_json, write_text

SIZES = ((4, 10), (8, 20), (16, 40), (32, 40))
QUICK = ((2, 4), (3, 4))
LIMIT_MIB = 2048
LINEAR = 1.05  # a fitted exponent up to here is linear growth, measured
RAW, FACES, SIGNALS, WINDOWS, FEATURES, FOLDS = (f"data/{name}/deap" for name in (
    "raw", "faces", "signals", "windows", "features", "folds"))
RUN = "deap-himoe"
# script, arguments, what it leaves, what nothing reads any more
STAGES: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("plan", ("settings/protocols", "settings/filters", "settings/lines.json"), "settings", ""),
    ("download", ("deap", RAW), RAW, ""),
    ("face", ("deap", RAW, FACES), FACES, ""),
    ("preprocess", ("deap", RAW, FACES, "settings/filters/deap.json", SIGNALS), SIGNALS, RAW),
    ("window", ("deap", SIGNALS, WINDOWS), WINDOWS, SIGNALS),
    ("features", ("deap", WINDOWS, FEATURES), FEATURES, ""),
    ("split", ("deap", WINDOWS, FOLDS, "settings/protocols/deap.txt"), FOLDS, ""),
    ("settings", ("settings/lines.json", "settings/runs", "settings/main.json"), "settings", ""),
    ("train", (RUN, WINDOWS, FEATURES, f"{FOLDS}/trial.csv", f"runs/{RUN}", f"settings/runs/{RUN}.json"), "runs", ""),
    ("evaluate", ("runs", "settings/lines.json", "scores", "metrics/runs", "metrics/comparisons.csv"), "scores", ""),
)
SHOWN = ("download", "preprocess", "window", "features", "split", "train", "evaluate")


def measure(people: int, trials: int, work: Path) -> dict[str, dict[str, float]]:
    """Run all stages at one size in the folder *work*: seconds, peak_mib of the largest process, bytes, by stage."""
    prepare(work, people, trials)
    found = {}
    for script, arguments, made, spent in STAGES:
        command = ([sys.executable, "-m", "bench.size", "fold"] if script == "train"
                   else [sys.executable, "-m", f"pipeline.{script}"])
        found[script] = run_stage([*command, *arguments], work) | {"bytes": stored(work / made)}
        if spent:
            remove(work / spent)
        print(f"{people} x {trials}: {script} {found[script]['seconds']:.1f} s", file=sys.stderr)
    return found


def prepare(work: Path, people: int, trials: int) -> None:
    """The parameters and the description of the stages, in *work*."""
    from pipeline.overlay import read_study

    root = BENCH.parent
    _, params = read_study(BENCH / "size.yaml", root)
    params["profiles"]["embedded"]["size"]["deap"] = {"subjects": people, "trials": trials, "video": None}
    work.mkdir(parents=True)
    write_json(work / "params.yaml", params)  # JSON is YAML
    write_text(work / "dvc.yaml", (root / "dvc.yaml").read_text(encoding="utf-8"))


def run_stage(command: Sequence[str], work: Path) -> dict[str, float]:
    """Seconds and peak memory (MiB, largest process) of a command in *work*, and the numbers of its last line, if any.

    Raises
    ------
    RuntimeError
        If it fails; carries the end of its output.
    """
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=work, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, "PYTHONPATH": str(BENCH.parent)})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}:\n{text[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    lines = text.splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return {"seconds": seconds, "peak_mib": usage.ru_maxrss * unit / MIB, **told}


def stored(folder: Path) -> int:
    """Bytes of all files below *folder*."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fold(name: str, windows: str, features: str, folds: str, out: str, settings: str) -> None:
    """Train the first fold of a run and predict it under every mask; prints the seconds of an epoch."""
    from dataclasses import replace

    from himoe.training import running
    from pipeline.runs import inputs_of, load_data, run_config

    config, params = run_config(name, Path(windows), Path(settings))
    data = load_data(config, params, windows, features, folds)
    data = replace(data, folds=data.folds[data.folds["fold"] == 0])
    fit, taken = running.fit_tasks, []

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        found = list(fit(*arguments))
        taken.append(time.perf_counter() - start)
        return found

    running.fit_tasks = timed  # type: ignore[assignment]
    running.train_run(config, data, Path(out), Path("kept"), inputs_of(config, windows, features, folds), 1)
    print(json.dumps({"epoch_s": sum(taken) / config.training.epochs}))


def exponent(sizes: Sequence[tuple[int, int]], values: Sequence[float]) -> float:
    """The slope of log *values* over log (people times trials): 1 = linear growth."""
    x = [math.log(people * trials) for people, trials in sizes]
    y = [math.log(max(value, 1e-9)) for value in values]
    centre, level = sum(x) / len(x), sum(y) / len(y)
    return (sum((a - centre) * (b - level) for a, b in zip(x, y, strict=True))
            / sum((a - centre) ** 2 for a in x))


Found = Mapping[tuple[int, int], Mapping[str, Mapping[str, float]]]


def page(found: Found, facts: Mapping[str, Any]) -> str:
    """The tables, with what they were measured on and whether the limits hold."""
    sizes = list(found)
    lines = ["# What people and trials cost", "",
             "Written by `make bench`, on simulated data with DEAP's layout `dat`. Columns: people × trials. Growth: "
             "the exponent fitted over the number of trials in all; 1 = linear.", ""]
    steep = []
    for value, title, unit in (("seconds", "Seconds", 1.0), ("bytes", "What it leaves on disk, MB", 1e6),
                               ("peak_mib", "Peak memory of the largest process, MiB", 1.0)):
        lines += [f"| {title} | {' | '.join(f'{a} × {b}' for a, b in sizes)} | growth |",
                  "| --- |" + " --- |" * (len(sizes) + 1)]
        for name, key in [*((name, value) for name in SHOWN), *([("train", "epoch_s")] if value == "seconds" else [])]:
            values = [found[size][name][key] / unit for size in sizes]
            growth = exponent(sizes, values)
            label = "of it, an epoch" if key == "epoch_s" else f"{name}, one fold" if name == "train" else name
            lines.append(f"| {label} | {' | '.join(map(number, values))} | {growth:.2f} |")
            steep += [f"{label} ({title})"] if growth > LINEAR else []
        lines.append("")
    peak = max(entry["peak_mib"] for entry in found[sizes[-1]].values())
    lines += [f"Largest process at {sizes[-1][0]} × {sizes[-1][1]}: {peak:.0f} MiB "
              f"({'within' if peak <= LIMIT_MIB else 'ABOVE'} the limit of {LIMIT_MIB}).",
              "", "Steeper than linear: " + ("; ".join(steep) if steep else "nothing") + ".",
              "", f"Machine: {facts['cores']} cores, {facts['cpu']}, {facts['system']}; python {facts['python']}; load "
              f"average at the start {facts['load_average']}."]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["fold"]:
        fold(*given[1:])
        return
    parser = argparse.ArgumentParser(prog="python -m bench.size", description="What people and trials cost.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, nothing more")
    parser.add_argument("--out", type=Path, help="folder of size.json and size.md (default: bench)")
    options = parser.parse_args(given)
    if options.quick and options.out is None:
        parser.error("--quick needs --out, so that its numbers do not replace measured ones")
    facts, found = machine_facts(), {}
    for people, trials in QUICK if options.quick else SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            found[people, trials] = measure(people, trials, Path(scratch) / "work")
    out = options.out or BENCH
    write_json(out / "size.json", {"machine": facts, "sizes": [
        {"people": people, "trials": trials, "stages": stages} for (people, trials), stages in found.items()]})
    write_text(out / "size.md", page(found, facts))
    print(page(found, facts))


if __name__ == "__main__":
    main()
