"""The page of a small study: README.md with scores and a picture, from what the evaluate stage wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.files import write_text
from himoe.core.params import ReportParams, parse
from himoe.core.recordings import DIMENSIONS
from himoe.report.chosen import HELD_OUT
from himoe.report.figures import draw, save
from himoe.scoring.results import RunResult, load_results, provenance
from pipeline.stage import PARAMS
from pipeline.unrated import write_unrated

PICTURE, FILE = "figure2", "predictions"  # predictions beside ratings, and how it is called here


def write_page(work: Path, target: Path, params: Mapping[str, Any]) -> str:
    """Write README.md and its picture into *target*, from the working copy *work*; the scores as text."""
    results = load_results(list(params["runs"]), work / "runs", work / "scores", work / "metrics")
    figure = draw(PICTURE, results, parse(ReportParams, params["report"], PARAMS, "report"), pd.DataFrame())
    if figure is not None:
        save(figure, target / FILE)
    runs = list(results.values())
    first, scores = runs[0], score_table(runs)
    held_out = ", ".join(dict.fromkeys(
        HELD_OUT[str(run.metrics["protocol"])].removesuffix(" held out") for run in runs))
    text = [f"# {first.data}",
            f"{first.metrics['n_people']} people, {first.metrics['n_trials']} rated trials, "
            f"{first.metrics['n_windows']} windows of {first.info['length_s']:g} s; {first.metrics['modalities']}; "
            f"held out: {held_out}.",
            "\n".join(scores)]
    text += [f"![predictions beside the ratings]({FILE}.png)"] if figure is not None else []
    text += ["CCC: agreement with the ratings, 1 = perfect, 0 = what a constant reaches [95 % interval; people, then "
             "their trials resampled]. A method that does not beat the training mean has learned nothing. "
             "Not converged: a longer training may change it.",
             "\n".join([*left_out(work, params), *(f"- {note}" for note in write_unrated(work, target, params))])]
    write_text(target / "README.md", "\n\n".join(part for part in text if part) + "\n")
    return "\n".join([provenance(runs), *scores])


def score_table(runs: Sequence[RunResult]) -> list[str]:
    """A Markdown table, best first."""
    dimensions = [name for name in DIMENSIONS if f"ccc_{name}" in runs[0].metrics]
    lines = [f"| Method | CCC | MAE | {' | '.join(f'CCC, {name}' for name in dimensions)} |",
             "| --- " * (3 + len(dimensions)) + "|"]
    for run in sorted(runs, key=lambda run: -(run.metrics["ccc"] if run.metrics["ccc"] is not None else -2)):
        cells = [_score(run, key) for key in ("ccc", "mae", *(f"ccc_{name}" for name in dimensions))]
        named = f"{run.named}, {run.not_converged}" if run.not_converged else run.named
        lines.append(f"| {named} | {' | '.join(cells)} |")
    return lines


def left_out(work: Path, params: Mapping[str, Any]) -> list[str]:
    """Who and what takes no part, as the split stage says it."""
    notes = [path.read_text(encoding="utf-8").strip() for name in params["sets"]
             for path in sorted((work / "data" / "folds" / name).glob("unrated.txt"))]
    return [f"- {note}" for note in notes]


def _score(run: RunResult, key: str) -> str:
    value, low, high = (run.metrics.get(part) for part in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return "undefined"
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"
