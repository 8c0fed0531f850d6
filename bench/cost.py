"""What networks take on this machine: ``python -m bench.cost`` (``make cost``), from the repository's folder.

Seconds per window and per training step of the networks that ``metrics/cost.csv`` counts. They go into
``bench/cost.csv``, which git keeps and which tables, figures and the report read: so that what a pipeline makes is the
same at every run, no stage measures. ``make repro`` comes first (windows and settings are read), and again afterwards.
Rows of networks that are not measured now stay.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bench.run import BENCH, machine_facts
from himoe.core.errors import InputError, bad_input
from himoe.core.files import write_text
from himoe.scoring.results import MEASURED, NETWORK, load_seconds
from himoe.training.costs import random_batch, seconds_per_step, seconds_per_window
from pipeline.cost import SEQUENCES, Built, Key, built_methods, counts

REPEATS = 9  # the median counts
COLUMNS = [*NETWORK, *MEASURED, "load_average"]


def measure(methods: Iterable[tuple[Key, Built]]) -> Iterator[dict[str, Any]]:
    """A row for each network among *methods*."""
    facts = machine_facts()
    where = {"machine": f"{facts['cpu']}, {facts['cores']} cores, torch {facts['torch']}",
             "date": datetime.now(UTC).date().isoformat(), "load_average": facts["load_average"]}
    for key, built in methods:
        if not built.network.gradient:
            continue
        length = built.training.sequence_length
        window, step = (random_batch(built.spec, size, length) for size in (SEQUENCES, built.training.batch_sequences))
        yield dict(zip(NETWORK, (*key, *counts(built)), strict=True)) | where | {
            "seconds_per_window": seconds_per_window(built.network, window, REPEATS),
            "seconds_per_step": seconds_per_step(built.network, step, REPEATS)}


def added(rows: Sequence[dict[str, Any]], path: Path) -> pd.DataFrame:
    """*rows* and those in the file *path* of other networks, in the order of their names."""
    known = [load_seconds(path)] if path.is_file() else []
    whole = pd.concat([pd.DataFrame(rows, columns=COLUMNS), *known])
    whole = whole.drop_duplicates(list(NETWORK), keep="first").sort_values(["set", *NETWORK])
    return whole.astype({"parameters": "Int64", "multiply_adds": "Int64"})[COLUMNS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description="What networks take on this machine.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(),
                        help="where windows and settings are: the project (default), or a study's .himoe/studies/NAME")
    parser.add_argument("--out", type=Path, default=BENCH / "cost.csv", help="file to add to (default: bench/cost.csv)")
    options = parser.parse_args(arguments)
    settings = options.folder / "settings" / "runs"
    try:
        if not settings.is_dir():
            raise bad_input(settings, "no folder", "the runs' settings", "make them with `make repro`")
        data = options.folder / "data"
        rows = list(measure(built_methods(data / "windows", data / "features", settings)))
        if not rows:
            raise bad_input(settings, "no run of a network", "at least one", "add one to params.yaml")
        write_text(options.out, added(rows, options.out).to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{options.out}: {len(rows)} networks measured on {rows[0]['machine']}")


if __name__ == "__main__":
    main()
