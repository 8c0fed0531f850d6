"""Stage ``figures``: every figure, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

from himoe.core.files import atomic_path
from himoe.core.workers import map_forked
from himoe.report.figures import FIGURES, draw, save
from pipeline.reports import Evaluated, load_evaluated
from pipeline.stage import jobs, main


def figures(runs: str, scores: str, metrics: str, seconds: str, out: str) -> None:
    """Draw every figure that has runs, from *runs*, *scores*, *metrics* and *seconds*, into *out*."""
    found = load_evaluated("figures", Path(runs), Path(scores), Path(metrics), Path(seconds))
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        list(map_forked(_draw, (found, folder), list(FIGURES), jobs()))


def _draw(shared: tuple[Evaluated, Path], name: str) -> None:
    found, folder = shared
    figure = draw(name, found.results, found.settings, found.cost)
    if figure is not None:
        save(figure, folder / name)


if __name__ == "__main__":
    main(figures)
