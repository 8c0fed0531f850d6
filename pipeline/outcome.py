"""``python -m pipeline.outcome``: what a finished pipeline came to, in a few lines, and where to look."""

from __future__ import annotations

import textwrap
from pathlib import Path

from himoe.report.chosen import main_runs
from himoe.report.outcome import sentence
from pipeline.reports import load_evaluated
from pipeline.stage import main

WIDTH = 110


def outcome() -> None:
    """Print the report's first sentence, the best scores behind it and the places of the results."""
    found = load_evaluated("report", Path("runs"), Path("scores"), Path("metrics"), Path("bench/cost.csv"))
    results = found.results
    print(textwrap.fill(sentence(results, found.comparisons, found.settings), WIDTH))
    runs = [run for run in main_runs(results, found.settings).values() if run.metrics.get("ccc") is not None]
    for run in sorted(runs, key=lambda run: -run.metrics["ccc"])[:3]:
        print(f"  {run.label:<34} CCC {run.metrics['ccc']:.3f} [{run.metrics['ccc_low']:.3f}, "
              f"{run.metrics['ccc_high']:.3f}]")
    simulated = sum(bool(run.metrics["simulated"]) for run in results.values())
    print(f"{len(results)} runs, {simulated} on simulated data. Open reports/index.html; tables: reports/README.md; "
          "predictions and weights: runs/.")


if __name__ == "__main__":
    main(outcome)
