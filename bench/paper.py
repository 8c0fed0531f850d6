"""What the paper's schedule costs in training, as arithmetic from measured steps: ``python -m bench.paper``.

One training step of Hi-MoE on raw signals of DEAP's seven sensors, at the embedded rates, is timed on one thread in
this process. Hours = models x epochs x windows / windows per second; no early stop, no search, no validation. Face
features are not in it. Nothing here was measured on a GPU: a row for one says what speed the goal of a day asks for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from bench.alignment import feature_spec, measured
from bench.training import PARAMS, default_spec
from himoe.core.yaml_files import read_yaml
from himoe.prepare.threads import one_thread

WINDOWS_PER_TRIAL = 29  # of 60 s, 4 s every 2 s
BATCH = 256  # windows: batch_sequences x sequence_length of the profile
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


def lines(schedule: Schedule, repeats: int) -> Iterator[str]:
    """The arithmetic, line by line."""
    yield (f"One run: {schedule.models} models x {schedule.epochs} epochs x {schedule.windows} windows = "
           f"{schedule.seen:.3g} windows; {schedule.runs} runs of networks.")
    yield "| where | windows per second | one run (h) | all runs (h) |"
    yield "| --- | --- | --- | --- |"
    for label, spec in (("raw signals", default_spec()[0]), ("features", feature_spec())):
        speed = BATCH / measured(spec, BATCH, spec.alignment.max_rows, repeats)[0]
        for cores in (1, 2):
            one = hours(schedule.seen, cores * speed)
            name = f"{label}, one thread" if cores == 1 else f"{label}, two cores (twice that)"
            yield f"| {name} | {cores * speed:.0f} | {one:.3g} | {one * schedule.runs:.3g} |"
    needed = schedule.seen * schedule.runs / DAY_H / 3600
    yield f"| one GPU: not measured; for all in a day | {needed:.3g} | {DAY_H / schedule.runs:.3g} | {DAY_H:g} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.paper", description="Hours of the paper's schedule.")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each kind (default 5)")
    with one_thread():
        for line in lines(paper_schedule(), parser.parse_args().repeats):
            print(line, flush=True)


if __name__ == "__main__":
    main()
