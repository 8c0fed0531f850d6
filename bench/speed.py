"""How many windows a second training goes through: ``python -m bench.speed``, from the repository's folder.

Hi-MoE on all of DEAP's sensors, as the pipeline fits it: an epoch of several models of a run as one, with drawing of
batches, masks, forward and backward pass, clipping, Adam, the running average, and the validation after it. Windows are
noise. Beside it, where ``--torcheeg`` names an interpreter that has it, TorchEEG's EEGNet-8,2 on EEG alone: its steps
on windows in memory, nothing else. The same cores for both: so many processes of one thread, and for TorchEEG also one
process of so many threads. Of an epoch's times the shortest counts.

Legend: n windows, C channels, W samples per window.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.run import BENCH, MIB, machine_facts
from bench.training import PARAMS, as_features, default_spec
from himoe.core.files import write_json
from himoe.core.params import MissingParams, RunConfig, RunParams, SplitParams, TrainingParams
from himoe.core.parsing import parse
from himoe.core.workers import map_forked
from himoe.core.yaml_files import read_yaml
from himoe.models.batches import WindowStore, codes, label_matrix
from himoe.models.methods.base import Spec
from himoe.prepare.folds import make_folds
from himoe.prepare.windows import ShardMeta
from himoe.training.feeding import kept_windows
from himoe.training.fit import Fit, choose_device
from himoe.training.material import gather, steps_per_epoch
from himoe.training.rundata import FoldTask, RunData

WINDOWS_PER_TRIAL = 29  # of 60 s, 4 s every 2 s
PEOPLE, TRIALS, FOLDS = 4, 10, 4
EPOCHS = 4  # of which the first is not timed
EEGNET_WINDOWS = 512
OUT = BENCH / "speed.json"


@dataclass(frozen=True)
class Case:
    """What is measured: front ends (``features`` | ``raw``), profile, models as one, processes, how they compute."""

    front: str
    profile: str
    models: int
    processes: int
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False


def problem(case: Case, people: int = PEOPLE, trials: int = TRIALS) -> tuple[RunConfig, RunData]:
    """A run on noise of DEAP's shapes, with the profile's schedule."""
    profile = read_yaml(PARAMS)["profiles"][case.profile]
    spec = spec_of(case)
    training = parse(TrainingParams, {**profile["training"], "device": case.device, "precision": case.precision,
                                      "compile": case.compile, "missing": "sampled", "patience": 1000,
                                      "search": {"learning_rate": []}}, PARAMS, "training")
    run = RunParams("deap", "trial", "himoe", tuple(spec.shapes))
    config = RunConfig("speed", run, spec.model, spec.alignment, training, 0, MissingParams((0.0,), (0,)), "EEG+PPS")
    rng = np.random.default_rng(0)
    n = people * trials * WINDOWS_PER_TRIAL
    names = np.arange(n)
    index = pd.DataFrame({
        "subject": [f"s{k:02d}" for k in names // (trials * WINDOWS_PER_TRIAL)],
        "session": "1", "trial": (names // WINDOWS_PER_TRIAL % trials).astype(np.int32),
        "window": (names % WINDOWS_PER_TRIAL).astype(np.int32), "start_s": names % WINDOWS_PER_TRIAL * 2.0,
        "stimulus": [f"v{k:02d}" for k in names // WINDOWS_PER_TRIAL % trials],
        **{name: rng.uniform(1, 9, n) for name in spec.task.dimensions},
        **{f"completeness_{m}": np.float32(1) for m in spec.shapes}})
    arrays = {m: rng.standard_normal((n, s.channels, s.samples), dtype=np.float32) for m, s in spec.shapes.items()}
    entries = {m: {"channels": [f"c{k}" for k in range(s.channels)], "samples": s.samples, "sfreq_hz": s.sfreq_hz,
                   "unit": "uV"} for m, s in spec.shapes.items()}
    meta = ShardMeta("deap", {"simulated": True}, entries, spec.task.dimensions, spec.task.scale,
                     spec.task.thresholds, 4.0, 2.0, "trial")
    store = WindowStore(index, arrays, meta)
    folds = make_folds(index, "trial", SplitParams(FOLDS, profile["split"]["validation"]), 0)
    return config, RunData(store, folds, spec.task, label_matrix(index, spec.task), store.present(0.5),
                           codes(index["subject"]), codes(index["stimulus"]))


def spec_of(case: Case) -> Spec:
    """DEAP's shapes at the profile's rates, as windows or as features of windows."""
    spec, _ = default_spec(rates=read_yaml(PARAMS)["profiles"][case.profile]["preprocess"]["default"])
    return spec if case.front == "raw" else as_features(spec)


def train(shared: tuple[Case, RunConfig, RunData], process: int) -> dict[str, float]:
    """Windows a second of one process, and its peak memory in MiB (the device's, where it has its own)."""
    case, config, data = shared
    torch.set_num_threads(1)
    device = choose_device(case.device)
    kept, steps = kept_windows(data.store, device), steps_per_epoch(config, data)
    tasks = [FoldTask(k % FOLDS, process * case.models + k) for k in range(case.models)]
    folds = {task.fold: gather(config, data, task, device, steps, kept) for task in tasks}
    materials = [replace(folds[task.fold], task=task) for task in tasks]
    fit, taken = Fit(materials, config.training.learning_rate), []
    for epoch in range(1, EPOCHS + 1):
        start = time.perf_counter()
        fit.advance(epoch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    seen = sum(int((m.sequences["train"] >= 0).sum()) for m in materials)
    peak = (torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda"
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"windows_per_s": seen / min(taken[1:]), "peak_mib": peak}


def measure(case: Case, people: int = PEOPLE, trials: int = TRIALS) -> dict[str, Any]:
    """The case, the windows a second of all its processes together, and the largest one's peak memory."""
    config, data = problem(case, people, trials)
    found = list(map_forked(train, (case, config, data), range(case.processes), case.processes))
    return {**asdict(case), "windows_per_s": round(sum(one["windows_per_s"] for one in found)),
            "peak_mib": round(max(one["peak_mib"] for one in found))}


def eegnet(python: str, cores: int, windows: int = EEGNET_WINDOWS) -> Iterator[dict[str, Any]]:
    """TorchEEG's EEGNet by the interpreter *python* on *cores* cores: one process, and processes of one thread."""
    def one(threads: int) -> float:
        command = [python, "-m", "bench.theirs", "eegnet", json.dumps({"windows": windows, "threads": threads})]
        done = subprocess.run(command, cwd=BENCH.parent, capture_output=True, text=True, check=True)
        return windows / float(json.loads(done.stdout.splitlines()[-1])["work_s"])

    for processes in sorted({1, cores}):
        with ThreadPoolExecutor(processes) as pool:
            found = list(pool.map(one, [cores // processes] * processes))
        yield {"network": "TorchEEG's EEGNet", "processes": processes, "threads": cores // processes,
               "windows_per_s": round(sum(found))}


def cases(device: str, cores: int) -> list[Case]:
    """What is worth knowing on a device: the pipeline's own way, and on a GPU what it can be asked for besides."""
    if device == "cpu":
        return [Case("features", "embedded", 6, cores), Case("raw", "embedded", 1, cores),
                Case("raw", "paper", 1, cores)]
    plain = [Case(front, "paper", 60, 1, device) for front in ("features", "raw")]
    return plain + [replace(case, precision="bfloat16", compile=compiled) for case in plain
                    for compiled in (False, True)]


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What was measured, for a page."""
    yield "| what | models as one | processes | computing | windows a second | peak memory of a process (MiB) |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for row in rows:
        if "network" in row:
            yield (f"| {row['network']}, EEG alone | – | {row['processes']} of {row['threads']} threads | float32 | "
                   f"{row['windows_per_s']} | – |")
        else:
            how = row["precision"] + (", compiled" if row["compile"] else "")
            yield (f"| Hi-MoE, all sensors, {row['front']}, profile `{row['profile']}` | {row['models']} | "
                   f"{row['processes']} | {how} | {row['windows_per_s']} | {row['peak_mib']} |")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="Windows a second in training.")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--cores", type=int, default=2, help="cores that both sides get (default 2)")
    parser.add_argument("--torcheeg", metavar="PYTHON", help="an interpreter that has torcheeg")
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    device = choose_device(options.device)
    facts = machine_facts()
    rows = [dict(row) for row in (eegnet(options.torcheeg, options.cores) if options.torcheeg else ())]
    for case in cases(device.type, options.cores):
        rows.append(measure(case, options.people, options.trials))
        print(rows[-1], file=sys.stderr)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    write_json(options.out, {"device": name, "date": datetime.now(UTC).date().isoformat(), "machine": facts,
                             "people": options.people, "trials": options.trials, "rows": rows})
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
