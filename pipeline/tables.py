"""Stage ``tables``: every table, as CSV, Markdown and LaTeX, and how to read them."""

from __future__ import annotations

from pathlib import Path

from himoe.core.files import atomic_path, write_text
from himoe.report.tables import TABLES, build_table, how_to_read, to_csv, to_latex, to_markdown
from pipeline.reports import load_evaluated
from pipeline.stage import main


def tables(runs: str, scores: str, metrics: str, seconds: str, out: str) -> None:
    """Build every table that has runs, from *runs*, *scores*, *metrics* and *seconds*, into *out*."""
    found = load_evaluated("tables", Path(runs), Path(scores), Path(metrics), Path(seconds))
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        write_text(folder / "how_to_read.md", how_to_read())
        for name in TABLES:
            table = build_table(name, found.results, found.comparisons, found.cost, found.settings)
            if table is not None:
                for suffix, text in (("csv", to_csv(table)), ("md", to_markdown(table)), ("tex", to_latex(table))):
                    write_text(folder / f"{name}.{suffix}", text)


if __name__ == "__main__":
    main(tables)
