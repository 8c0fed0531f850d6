"""Stage ``figures``: every figure named in ``reports``, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

from himoe.figures import FIGURES, draw, save
from himoe.files import atomic_path
from pipeline.reports import load_reports
from pipeline.stage import main, stage_params


def figures(metrics: str, evaluations: str, out: str) -> None:
    """Draw the figures from the folders *metrics* and *evaluations* into *out*."""
    reports, results = load_reports(stage_params("figures"), FIGURES, Path(metrics), Path(evaluations))
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for name, roles in reports.items():
            save(draw(name, roles, results), folder / name)


if __name__ == "__main__":
    main(figures)
