"""What the stages of a run took on the machine where that was measured, and how fast that machine was.

``bench/seconds.json`` holds it. To make it anew, on a machine that does nothing else: ``make clean``,
``make repro`` (which notes what each stage takes in ``.himoe/seconds.json``), ``python -m pipeline.seconds``. A stage's
seconds are from DVC's line that it runs to DVC's next line, and so DVC's part is in them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from himoe.core.errors import bad_input
from himoe.core.files import read_json, write_json
from himoe.core.workers import map_forked
from himoe.core.yaml_files import read_yaml
from pipeline.stage import SCRATCH, jobs, main

TABLE = Path(__file__).resolve().parents[1] / "bench" / "seconds.json"  # no stage depends on that folder
TAKEN = SCRATCH / "seconds.json"
ROUNDS, ROUND_S = 6, 0.5  # three seconds in all
UNIT = (64, 512)  # signals, samples of one unit of work


class Speed(NamedTuple):
    """Units of work per second of all worker processes together: slowest round, median, fastest."""

    low: float
    middle: float
    high: float


def probe(workers: int, rounds: int = ROUNDS, round_s: float = ROUND_S) -> Speed:
    """How fast this machine is now, on as many processes as the stages use."""
    found = list(map_forked(_work, (rounds, round_s), range(workers), workers))
    speeds = [sum(together) for together in zip(*found, strict=True)]
    return Speed(min(speeds), median(speeds), max(speeds))


def _work(job: tuple[int, float], _: int) -> list[float]:
    """Units of work per second in each round: a spectrum of windows, a small product, the way back."""
    import numpy as np

    rounds, round_s = job
    rng = np.random.default_rng(0)
    signals = rng.standard_normal(UNIT).astype(np.float32)
    mix = rng.standard_normal((UNIT[0], UNIT[0])).astype(np.float32) / UNIT[0]
    speeds = []
    for _ in range(rounds):
        start, units = time.perf_counter(), 0
        while time.perf_counter() - start < round_s:
            spectrum = np.fft.rfft(mix @ signals)
            np.tanh(np.fft.irfft(spectrum, UNIT[1]))
            units += 1
        speeds.append(units / (time.perf_counter() - start))
    return speeds


def read_seconds() -> dict[str, Any]:
    """The table: ``profile``, ``workers``, ``units_per_s`` and, by stage, ``seconds`` and ``method``."""
    return dict(read_json(TABLE))


def expected(name: str, method: str, measured: Mapping[str, Mapping[str, Any]]) -> float:
    """Seconds of a stage: its own, else the mean of its kind with this method, else of its kind, else 0."""
    if name in measured:
        return float(measured[name]["seconds"])
    alike = [row for other, row in measured.items() if other.partition("@")[0] == name.partition("@")[0]]
    chosen = [row for row in alike if row["method"] == method] or alike
    return sum(row["seconds"] for row in chosen) / len(chosen) if chosen else 0.0


def note_seconds(taken: Mapping[str, float]) -> None:
    """Add what stages took here to ``.himoe/seconds.json``."""
    known = read_json(TAKEN) if TAKEN.is_file() else {}
    write_json(TAKEN, {**known, **{name: round(value, 2) for name, value in taken.items()}})


def table(taken: Mapping[str, float], params: Mapping[str, Any], stages: Iterable[str]) -> dict[str, dict[str, Any]]:
    """``seconds`` and ``method`` of *stages*, from what they took.

    Raises
    ------
    InputError
        If one of them was not measured.
    """
    found = {}
    for name in stages:
        if name not in taken:
            raise bad_input(TAKEN, f"no seconds of {name}", "all stages", "run `make clean` and `make repro` first")
        kind, _, item = name.partition("@")
        run = params["runs"][item] if kind == "train" else {}
        found[name] = {"seconds": taken[name], "method": run.get("method", "")}
    return found


def seconds() -> None:
    """Write the table from what ``make repro`` measured here."""
    workers, params = jobs(), read_yaml(Path("params.yaml"))
    stages = table(read_json(TAKEN), params, read_yaml(Path("dvc.lock"))["stages"])
    speed = probe(workers, rounds=4 * ROUNDS)
    write_json(TABLE, {"profile": params["profile"], "workers": workers, "units_per_s": round(speed.high, 1),
                       "stages": stages})
    print(f"{TABLE.name}: {len(stages)} stages, {sum(row['seconds'] for row in stages.values()) / 60:.1f} min; "
          f"{speed.high:.0f} units of work per second with {workers} processes")


if __name__ == "__main__":
    main(seconds)
