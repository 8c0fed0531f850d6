"""Stage ``report``: the page and its tables as Markdown."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from himoe.core.files import sha256, write_text
from himoe.report.page import build_page, build_readme
from himoe.report.tables import TABLES, build_table
from pipeline.reports import Evaluated, load_evaluated
from pipeline.stage import main

PACKAGES = ("himoe", "torch", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "mne", "neurokit2", "dvc",
            "altair", "vl-convert-python", "matplotlib")


def report(runs: str, scores: str, metrics: str, seconds: str, page: str, readme: str, figures: str = "") -> None:
    """Write *page* (HTML) and *readme* from what ``load_evaluated`` reads; the readme shows those in *figures*."""
    found = load_evaluated("report", Path(runs), Path(scores), Path(metrics), Path(seconds))
    built = {name: build_table(name, found.results, found.comparisons, found.cost, found.settings) for name in TABLES}
    tables = {name: table for name, table in built.items() if table is not None}
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    drawn = sorted(path.stem for path in Path(figures).glob("*.png")) if figures else []
    write_text(Path(page), build_page(found.results, found.comparisons, tables, found.cost, found.settings, versions,
                                      digests(found, Path(metrics), Path(seconds))))
    write_text(Path(readme), build_readme(found.results, found.comparisons, tables, found.settings, drawn))


def digests(found: Evaluated, metrics: Path, seconds: Path) -> dict[str, str]:
    """SHA-256 of the files that the page's numbers come from, by path."""
    files = [metrics / "comparisons.csv", metrics / "cost.csv", seconds,
             *sorted((metrics / "facts").glob("*.json"))]
    for run, result in found.results.items():
        files += [metrics / "runs" / f"{run}.json", result.folder / "predictions.parquet"]
    return {path.as_posix(): sha256(path) for path in files}


if __name__ == "__main__":
    main(report)
