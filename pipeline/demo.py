"""``python -m pipeline.demo``: a first look in minutes, from simulated raw files to scores and a picture.

The stages' own functions, one after another in one process and without DVC, with the parameters in
``reports/demo/params.yaml``. Everything is written to ``.himoe/studies/demo``; the picture comes to ``reports/demo``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pandas as pd

from himoe.core.files import remove, write_json
from himoe.core.params import ReportParams, parse
from himoe.report.figures import draw, save
from himoe.scoring.results import load_comparisons, load_results, provenance
from pipeline.overlay import read_study
from pipeline.stage import PARAMS, main
from pipeline.study import STUDIES, copy_code

PLACE = Path("reports/demo")
SET, PROTOCOL = "deap", "trial"
RAW, FACES, SIGNALS, WINDOWS, FEATURES, FOLDS = (f"data/{name}/{SET}" for name in (
    "raw", "faces", "signals", "windows", "features", "folds"))
FILTERS = "settings/filters"
PICTURE = "figure2"
# What is said, the script, its arguments; as dvc.yaml has them.
STEPS = (
    ("what the runs ask for", "plan", ("settings/protocols", FILTERS, "settings/lines.json")),
    ("simulated raw files", "download", (SET, RAW)),
    ("faces (there are no videos here)", "face", (SET, RAW, FACES)),
    ("filtered trials", "preprocess", (SET, RAW, FACES, f"{FILTERS}/{SET}.json", SIGNALS,
                                       f"metrics/facts/{SET}.json")),
    ("windows", "window", (SET, SIGNALS, WINDOWS)),
    ("features", "features", (SET, WINDOWS, FEATURES)),
    ("folds, whole trials held out", "split", (SET, WINDOWS, FOLDS, f"settings/protocols/{SET}.txt")),
    ("settings", "settings", ("settings/lines.json", "settings/runs", "settings/main.json")),
)
LAST = ("scores and tests", "evaluate", ("runs", "settings/lines.json", "scores", "metrics/runs",
                                         "metrics/comparisons.csv"))


def demo() -> None:
    """Run the demonstration and print its scores and the picture's path."""
    root = Path.cwd()
    _, params = read_study(PLACE / "params.yaml", root)
    work = STUDIES / "demo"
    remove(work)
    work.mkdir(parents=True)
    copy_code(root, work)  # dvc.yaml says which parameters each stage reads
    write_json(work / "params.yaml", params)
    trained = [(f"trained {name}", "train", (name, WINDOWS, FEATURES, f"{FOLDS}/{PROTOCOL}.csv", f"runs/{name}",
                                             f"settings/runs/{name}.json")) for name in params["runs"]]
    with inside(work):
        for said, script, arguments in (*STEPS, *trained, LAST):
            started = time.monotonic()
            getattr(import_module(f"pipeline.{script}"), script)(*arguments)
            print(f"{time.monotonic() - started:5.1f} s  {said}", flush=True)
        chosen = parse(ReportParams, params["report"], PARAMS, "report")
        print(f"\n{outcome(list(params['runs']), root / PLACE, chosen)}")
    print(f"Predictions beside the ratings: {PLACE / PICTURE}.png. All files: {work}. Everything: make repro.")


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Make *folder* the current one inside the block."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def outcome(names: list[str], place: Path, settings: ReportParams) -> str:
    """Draw the picture into the folder *place*; the scores of the runs *names* as text."""
    results = load_results(names, Path("runs"), Path("scores"), Path("metrics"))
    figure = draw(PICTURE, results, settings, pd.DataFrame())
    if figure is not None:
        save(figure, place / PICTURE)
    first = next(iter(results.values()))
    lines = [f"{provenance(results.values())}: {first.metrics['n_people']} people, {first.metrics['n_trials']} trials, "
             f"{first.metrics['n_windows']} windows; whole trials held out",
             f"{'':<22}{'CCC':>7}  {'95 % interval':<16}{'within trials':>14}"]
    lines += [_line(run.label, *(run.metrics[key] for key in ("ccc", "ccc_low", "ccc_high", "ccc_within")))
              for run in results.values()]
    if first.attainable("ccc") is not None:
        lines.append(_line("Attainable", first.attainable("ccc"), None, None, first.attainable("ccc_within")))
    for _, found in load_comparisons(Path("metrics")).iterrows():
        lines.append(f"{results[found['reference']].label} minus {results[found['run']].label}, missing rate "
                     f"{found['missing_rate']:g}: {found['difference']:.3f} [{found['low']:.3f}, {found['high']:.3f}], "
                     f"{found['verdict']}")
    return "\n".join(lines)


def _line(label: str, score: float | None, low: float | None, high: float | None, within: float | None) -> str:
    interval = "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
    shown = ["undefined" if value is None else f"{value:.3f}" for value in (score, within)]
    return f"{label:<22}{shown[0]:>7}  {interval:<16}{shown[1]:>14}"


if __name__ == "__main__":
    main(demo)
