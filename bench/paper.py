"""What the paper's schedule costs in training, as arithmetic from measured epochs: ``python -m bench.paper``.

Hi-MoE on raw signals of DEAP's seven sensors at the paper's rates, as ``bench.speed`` measures it on this machine's
GPU, or on two cores. Hours = models x epochs x windows / windows per second; no early stop, no search. Face features
are not in it, and every run counts as one on DEAP. A last row says what speed all runs in a day ask for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bench.speed import WINDOWS_PER_TRIAL, cases, measure
from bench.training import PARAMS
from himoe.core.yaml_files import read_yaml
from himoe.training.fit import choose_device

DAY_H = 24.0


@dataclass(frozen=True)
class Schedule:
    """Models of one run, epochs, training windows of a fold, and runs of networks."""

    models: int
    epochs: int
    windows: int
    runs: int

    @property
    def seen(self) -> int:
        """Windows that one run's training goes through."""
        return self.models * self.epochs * self.windows


def paper_schedule() -> Schedule:
    """The profile ``paper`` on DEAP; every run of params.yaml counts as one on DEAP."""
    params = read_yaml(PARAMS)
    profile = params["profiles"]["paper"]
    folds, size = profile["split"]["folds"], profile["size"]["deap"]
    models = folds * len(profile["training"]["seeds"]) * len(params["missing"]["rates"])
    left = (1 - 1 / folds) * (1 - profile["split"]["validation"])
    windows = round(size["subjects"] * size["trials"] * WINDOWS_PER_TRIAL * left)
    closed = ("mean", "features_")
    runs = sum(not run["method"].startswith(closed) for run in params["runs"].values())
    return Schedule(models, profile["training"]["epochs"], windows, runs)


def hours(seen: int, windows_per_s: float) -> float:
    """Hours for so many windows."""
    return seen / windows_per_s / 3600


def lines(schedule: Schedule, where: str, measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The arithmetic, line by line; *measured* are rows of ``bench.speed``."""
    yield (f"One run: {schedule.models} models x {schedule.epochs} epochs x {schedule.windows} windows = "
           f"{schedule.seen:.3g} windows; {schedule.runs} runs of networks.")
    yield "| where | windows a second | one run (h) | all runs (h) |"
    yield "| --- | --- | --- | --- |"
    for row in measured:
        one = hours(schedule.seen, row["windows_per_s"])
        name = (f"{where}, {row['processes']} processes, {row['models']} as one, {row['precision']}"
                + (", compiled" if row["compile"] else ""))
        yield f"| {name} | {row['windows_per_s']} | {one:.3g} | {one * schedule.runs:.3g} |"
    needed = schedule.seen * schedule.runs / DAY_H / 3600
    yield f"| for all in a day | {needed:.3g} | {DAY_H / schedule.runs:.3g} | {DAY_H:g} |"


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.paper", description="Hours of the paper's schedule.")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--cores", type=int, default=2, help="processes, where there is no GPU (default 2)")
    options = parser.parse_args()
    device = choose_device(options.device)
    chosen = [case for case in cases(device.type, options.cores) if case.profile == "paper" and case.front == "raw"]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "this machine's cores"
    for line in lines(paper_schedule(), where, [measure(case) for case in chosen]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
