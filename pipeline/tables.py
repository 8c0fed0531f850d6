"""Stage ``tables``: every table named in ``reports``, as CSV and Markdown."""

from __future__ import annotations

from pathlib import Path

from himoe.files import atomic_path, write_text
from himoe.tables import TABLES, build_table, to_csv, to_markdown
from pipeline.reports import load_reports
from pipeline.stage import main, stage_params


def tables(metrics: str, evaluations: str, out: str) -> None:
    """Build the tables from the folders *metrics* and *evaluations* into *out*."""
    reports, results = load_reports(stage_params("tables"), TABLES, Path(metrics), Path(evaluations))
    with atomic_path(Path(out)) as folder:
        for name, roles in reports.items():
            table = build_table(name, roles, results)
            write_text(folder / f"{name}.csv", to_csv(table))
            write_text(folder / f"{name}.md", to_markdown(table))


if __name__ == "__main__":
    main(tables)
