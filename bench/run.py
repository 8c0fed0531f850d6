"""Run all benchmarks and write results.json and results.md: ``python -m bench.run``, from the repository's folder.

Every timing is a process of its own. The variants of one benchmark take turns, in opposite order every other
round, so that a slow spell of the machine meets all of them. This process imports nothing large: a child's
peak memory as the system counts it starts from its parent's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any

from himoe.core.files import remove, write_json, write_text

BENCH = Path(__file__).resolve().parent
TIMEOUT_S = 300
START, END = "<!-- results: start -->", "<!-- results: end -->"
ABSENT = "TorchEEG was not measured (--torcheeg PYTHON)"
MIB, MB = 2**20, 1e6

Runs = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Sizes:
    """How much work a benchmark does."""

    participants: int = 2
    trials: int = 12
    eegnet_windows: int = 512
    training_batches: int = 12
    runs: int = 5


QUICK = Sizes(participants=2, trials=2, eegnet_windows=64, training_batches=1, runs=1)


@dataclass(frozen=True)
class Case:
    """One variant of a benchmark: ``<python> -m bench.<module> <variant> <options>``; *clean* is removed before."""

    module: str
    variant: str
    options: Mapping[str, Any] = field(default_factory=dict)
    clean: Path | None = None
    python: str = sys.executable


@dataclass(frozen=True)
class Row:
    """One line of the table: medians of ours and the other side (None = not measured), the floor, one unit."""

    what: str
    unit: str
    ours: float
    other: str
    theirs: float | None
    floor: float | None = None


def run_child(case: Case) -> dict[str, Any]:
    """Run one variant: what it printed, ``wall_s`` (start to end), ``cpu_s`` (of all cores; that of children
    that it waited for included) and ``peak_mib`` (largest resident set).

    Raises
    ------
    RuntimeError
        If the process fails; carries the end of its error output.
    """
    if case.clean is not None:
        remove(case.clean)
    command = [case.python, "-m", f"bench.{case.module}", case.variant, json.dumps(case.options)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=BENCH.parent, env=child_environment())
        timer = Timer(TIMEOUT_S, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            text = err.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{case.module} {case.variant} ended with status {process.returncode}:\n{text}")
        values = json.loads(out.read().decode().splitlines()[-1])
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss * unit / MIB,
            **values}


def child_environment() -> dict[str, str]:
    """This process's, in which Python keeps what it has compiled: no side is to pay for that in every run."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir(), "himoe-bench-bytecode"))}


def alternate(cases: Mapping[str, Case], runs: int, child: Callable[[Case], dict[str, Any]] = run_child,
              ) -> dict[str, list[dict[str, Any]]]:
    """Run all cases *runs* times, taking turns, every other round backwards, after a round that does not count."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    for case in cases.values():
        child(case)
    for number in range(runs):
        order = list(cases) if number % 2 == 0 else list(cases)[::-1]
        for name in order:
            results[name].append(child(cases[name]))
            print(f"round {number + 1} of {runs}: {cases[name].module} {name} "
                  f"{results[name][-1]['wall_s']:.1f} s", file=sys.stderr)
    return results


def middle(results: Sequence[Mapping[str, Any]], value: str) -> float:
    """Median of one value over the runs."""
    return float(median(result[value] for result in results))


def bench_load(sizes: Sizes, torcheeg: str | None, scratch: Path) -> tuple[list[Row], dict[str, Any]]:
    """Reading: rows and everything measured."""
    raw, work = str(scratch / "raw"), str(scratch / "work")
    made = run_child(Case("load", "simulate", {"raw": raw, "participants": sizes.participants,
                                               "trials": sizes.trials}))
    paths = {"raw": raw, "work": work}
    cases = {"ours first": Case("load", "ours_first", paths, Path(work, "ours")),
             "ours again": Case("load", "ours_again", paths)}
    arrays = {**paths, "tensors": False}
    cases |= {"arrays first": Case("load", "ours_first", arrays, Path(work, "ours")),
              "arrays again": Case("load", "ours_again", arrays)}
    for workers in (0, 2) if torcheeg else ():
        options = {**paths, "workers": workers}
        cases[f"theirs first {workers}"] = Case("theirs", "load", options, Path(work, f"theirs{workers}"), torcheeg)
        cases[f"theirs again {workers}"] = Case("theirs", "load", options, None, torcheeg)
    cases["torch"] = Case("both", "torch_alone")
    # The round before is forwards, so every cache is there when a later round reads it before making it anew.
    results = alternate(cases, sizes.runs)
    counts = {result["windows"] for name, runs in results.items() if name != "torch" for result in runs}
    if len(counts) != 1:
        raise RuntimeError(f"the sides do not give the same number of windows: {sorted(counts)}")
    scan = run_child(Case("load", "scan", {"work": work, "windows": counts.pop()}))
    proof = None
    if torcheeg:
        energies = str(scratch / "energies.npy")
        run_child(Case("theirs", "energies", {**paths, "path": energies}, None, torcheeg))
        proof = run_child(Case("load", "check", {"work": work, "energies": energies}))
    return load_rows(results, scan), {"simulated": made, "runs": results, "scan": scan, "check": proof}


def load_rows(results: Runs, scan: Mapping[str, Any]) -> list[Row]:
    """Table rows of :func:`bench_load`."""
    rows = []
    lines = (("first", "wall_s", "raw .dat to a finished epoch, whole process", "s"),
             ("first", "work_s", "the same, after the imports", "s"),
             ("first", "peak_mib", "the same, peak memory of the process", "MiB"),
             ("again", "wall_s", "prepared windows to a finished epoch, whole process", "s"),
             ("again", "work_s", "the same, after the imports", "s"),
             ("again", "peak_mib", "the same, peak memory of the process", "MiB"))
    measured = [workers for workers in (0, 2) if f"theirs first {workers}" in results]
    for workers in measured or (0,):
        for turn, value, what, unit in lines:
            theirs = results.get(f"theirs {turn} {workers}")
            floor = middle(results["torch"], "wall_s") if value == "wall_s" else (
                scan["floor_s"] if (turn, value) == ("again", "work_s") else None)
            rows.append(Row(what, unit, middle(results[f"ours {turn}"], value), f"TorchEEG, {workers} workers",
                            middle(theirs, value) if theirs else None, floor))
    for turn, value, what, unit in lines:
        if value == "wall_s":
            theirs = results.get(f"theirs {turn} 0")
            rows.append(Row(f"{what}, ours as NumPy arrays without torch", unit,
                            middle(results[f"arrays {turn}"], value), "TorchEEG, 0 workers",
                            middle(theirs, value) if theirs else None))
    stored = results.get("theirs first 0")
    rows.append(Row("prepared windows on disk", "MB", middle(results["ours first"], "stored_bytes") / MB,
                    "TorchEEG (LMDB)", middle(stored, "stored_bytes") / MB if stored else None, scan["bytes"] / MB))
    return rows


def bench_eegnet(sizes: Sizes, torcheeg: str | None, scratch: Path) -> tuple[list[Row], dict[str, Any]]:
    """EEGNet: rows and everything measured."""
    cases = {name: Case("eegnet", "epoch", {"encoder": name, "windows": sizes.eegnet_windows})
             for name in ("ours", "textbook")}
    if torcheeg:
        cases["theirs"] = Case("theirs", "eegnet", {"windows": sizes.eegnet_windows}, None, torcheeg)
    results = alternate(cases, sizes.runs)
    reference = run_child(Case("eegnet", "reference", {"windows": 16}))
    floor_ms = 2e3 * reference["multiply_adds"] / (reference["gflop_per_s"] * 1e9)
    rows = []
    for name, label in (("textbook", "textbook order, plain torch"), ("theirs", "TorchEEG")):
        if name in results:
            rows.append(Row("EEGNet-8,2, a training step of 64 windows", "ms", middle(results["ours"], "ms_per_step"),
                            label, middle(results[name], "ms_per_step"), floor_ms))
            rows += _process_rows(results, name, label, f"EEGNet-8,2, an epoch of {sizes.eegnet_windows} windows")
    return rows, {"runs": results, "reference": reference}


def bench_training(sizes: Sizes, torcheeg: str | None, scratch: Path) -> tuple[list[Row], dict[str, Any]]:
    """Hi-MoE: rows and everything measured."""
    cases = {name: Case("training", "epoch", {"model": name, "batches": sizes.training_batches})
             for name in ("ours", "plain")}
    results = alternate(cases, sizes.runs)
    proof = run_child(Case("training", "check"))
    label = "experts and pairs in loops"
    rows = [Row(what, "ms", middle(results["ours"], value), label, middle(results["plain"], value))
            for value, what in (("ms_per_step", "Hi-MoE, a training step"),
                                ("banks_ms", "the same, behind the encoders (forward and backward)"))]
    rows += _process_rows(results, "plain", label, f"Hi-MoE, an epoch of {sizes.training_batches} batches")
    return rows, {"runs": results, "check": proof}


def _process_rows(results: Runs, other: str, label: str, what: str) -> list[Row]:
    return [Row(f"{what}, {name}", unit, middle(results["ours"], value), label, middle(results[other], value))
            for value, name, unit in (("wall_s", "whole process", "s"), ("peak_mib", "peak memory", "MiB"))]


BENCHMARKS: dict[str, Callable[[Sizes, str | None, Path], tuple[list[Row], dict[str, Any]]]] = {
    "load": bench_load, "eegnet": bench_eegnet, "training": bench_training,
}


def machine_facts() -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    versions: dict[str, str | None] = {}
    for name in ("torch", "numpy", "pyarrow"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {"cores": os.cpu_count(), "cpu": _cpu_model(), "system": platform.system(),
            "python": platform.python_version(), "load_average": round(os.getloadavg()[0], 2), **versions}


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def number(value: float | None) -> str:
    """Three significant digits; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(rows: Sequence[Row], facts: Mapping[str, Any], sizes: Sizes, notes: Sequence[str]) -> str:
    """The table, with what it was measured on."""
    lines = ["| What | Unit | Ours | Compared with | Theirs | Theirs / ours | Floor | Ours / floor |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        ratio = row.theirs / row.ours if row.theirs else None
        above = row.ours / row.floor if row.floor else None
        cells = (row.what, row.unit, number(row.ours), row.other, number(row.theirs),
                 number(ratio), number(row.floor), number(above))
        lines.append("| " + " | ".join(cells) + " |")
    known = ", ".join(f"{name} {facts[name]}" for name in ("python", "torch", "numpy", "pyarrow")
                      if facts[name])
    lines += ["", f"Medians of {sizes.runs} runs on simulated data. Above 1 in \"Theirs / ours\", ours is faster or "
              "smaller; below 1, theirs is.", "",
              f"Machine: {facts['cores']} cores, {facts['cpu']}, {facts['system']}; {known}; "
              f"load average at the start {facts['load_average']}, at the end {facts['load_average_at_end']}."]
    return "\n".join([*lines, *(f"\n{note}." for note in notes)]) + "\n"


def notes_of(details: Mapping[str, Any], sizes: Sizes, theirs: Mapping[str, str] | None) -> list[str]:
    """Sizes and proofs, a sentence each; *theirs*: versions on the other side."""
    load, training, reference = details["load"], details["training"], details["eegnet"]["reference"]
    scan = load["scan"]
    notes = [f"Reading: {sizes.participants} participants × {sizes.trials} trials, "
             f"{load['simulated']['raw_bytes'] / MB:.0f} MB of raw files, {load['runs']['ours again'][0]['windows']} "
             f"windows ({scan['bytes'] / MB:.0f} MB); a warm file is copied at {scan['gb_per_s']:.1f} GB/s"]
    if load["check"]:
        notes.append(f"All {load['check']['compared']} windows without gaps were found on TorchEEG's side too")
    notes.append(f"EEGNet: one thread at {reference['gflop_per_s']:.0f} GFLOP/s in a matrix product; "
                 f"largest difference to the textbook order {reference['largest_difference']:.1e}")
    notes.append(f"Hi-MoE: largest difference to the loops {training['check']['largest_difference']:.1e}")
    return [*notes, "TorchEEG's side: " + ", ".join(f"{k} {v}" for k, v in theirs.items()) if theirs else ABSENT]


def fill(page: str, table: str) -> str:
    """*page* with the text between the two marks replaced by *table*."""
    before, rest = page.split(START)
    return before + START + "\n" + table + END + rest.split(END)[1]


def run_all(out: Path, sizes: Sizes, page: Path | None, torcheeg: str | None = None) -> None:
    """Measure, then write results.json and results.md into *out* and the table into *page*.

    *torcheeg* is the interpreter of an environment with TorchEEG; without it that side is left out.
    """
    facts = machine_facts()
    theirs = None if torcheeg is None else {name: value for name, value in run_child(
        Case("theirs", "versions", python=torcheeg)).items() if isinstance(value, str)}
    start = time.perf_counter()
    rows: list[Row] = []
    details: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, benchmark in BENCHMARKS.items():
            part, details[name] = benchmark(sizes, torcheeg, Path(scratch))
            rows += part
    facts["load_average_at_end"] = round(os.getloadavg()[0], 2)
    table = markdown(rows, facts, sizes, notes_of(details, sizes, theirs))
    write_json(out / "results.json", {"machine": facts, "sizes": asdict(sizes), "theirs": theirs,
                                      "total_s": time.perf_counter() - start, "rows": [asdict(r) for r in rows],
                                      "details": details})
    write_text(out / "results.md", table)
    if page is not None:
        write_text(page, fill(page.read_text(encoding="utf-8"), table))
    print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Run all benchmarks.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one run: shows that it works, nothing more")
    parser.add_argument("--out", type=Path, help="folder of the results (default: bench, and its README.md is filled)")
    parser.add_argument("--torcheeg", metavar="PYTHON", help="interpreter of an environment with TorchEEG (README.md)")
    parser.add_argument("--runs", type=int, help="counted rounds (default: 5)")
    options = parser.parse_args(arguments)
    if options.quick and options.out is None:
        parser.error("--quick needs --out, so that its numbers do not replace measured ones")
    sizes = QUICK if options.quick else Sizes()
    run_all(options.out or BENCH, replace(sizes, runs=options.runs or sizes.runs),
            None if options.out else BENCH / "README.md", options.torcheeg)


if __name__ == "__main__":
    main()
