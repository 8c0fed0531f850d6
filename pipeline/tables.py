"""Stage ``tables``: every table named in ``reports``, as CSV and Markdown."""

from __future__ import annotations

from pathlib import Path

from himoe.errors import bad_input
from himoe.files import atomic_path, write_text
from himoe.tables import TABLES, build_table, load_results, runs_of, to_csv, to_markdown
from pipeline.stage import main, stage_params


def tables(metrics: str, evaluations: str, out: str) -> None:
    """Build the tables from the folders *metrics* and *evaluations* into *out*."""
    params = stage_params("tables")
    reports = {name: roles for name, roles in params["reports"].items() if name in TABLES}
    for name, roles in reports.items():  # metrics of a run that is gone may still lie about
        if unknown := set(runs_of(roles)) - {"main", *params["runs"]}:
            raise bad_input(f"params.yaml: reports.{name}", f"the run {min(unknown)!r}", "main or one of runs",
                            "correct the name or add the run")
    results = load_results(reports, Path(metrics), Path(evaluations))
    with atomic_path(Path(out)) as folder:
        for name, roles in reports.items():
            table = build_table(name, roles, results)
            write_text(folder / f"{name}.csv", to_csv(table))
            write_text(folder / f"{name}.md", to_markdown(table))


if __name__ == "__main__":
    main(tables)
