"""The page's charts, in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from himoe.report import charts, inside
from himoe.report.block import Block
from himoe.report.encodings import Material

BLOCKS: dict[str, Callable[[Material], Block | None]] = {
    "scores": partial(charts.scores, task="regression", name="scores", title="CCC by method"),
    "accuracies": partial(charts.scores, task="classification", name="accuracies", title="Accuracy by method"),
    "missing": charts.missing,
    "trajectories": charts.trajectories,
    "routing": inside.routing,
    "combinations": inside.combinations,
    "calibration": inside.calibration,
    "training": inside.training,
    "cost": inside.cost,
    "leaks": inside.leaks,
}


def build_blocks(material: Material) -> list[Block]:
    """Every chart whose runs are there."""
    return [block for block in (build(material) for build in BLOCKS.values()) if block]
