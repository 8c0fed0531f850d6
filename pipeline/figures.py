"""Stage ``figures``: every figure named in ``reports``, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

from himoe.errors import bad_input
from himoe.figures import FIGURES, draw, save
from himoe.files import atomic_path
from himoe.tables import load_results, runs_of
from pipeline.stage import main, stage_params


def figures(metrics: str, evaluations: str, out: str) -> None:
    """Draw the figures from the folders *metrics* and *evaluations* into *out*."""
    params = stage_params("figures")
    reports = {name: roles for name, roles in params["reports"].items() if name in FIGURES}
    for name, roles in reports.items():  # metrics of a run that is gone may still lie about
        if unknown := set(runs_of(roles)) - {"main", *params["runs"]}:
            raise bad_input(f"params.yaml: reports.{name}", f"the run {min(unknown)!r}", "main or one of runs",
                            "correct the name or add the run")
    results = load_results(reports, Path(metrics), Path(evaluations))
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for name, roles in reports.items():
            save(draw(name, roles, results), folder / name)


if __name__ == "__main__":
    main(figures)
