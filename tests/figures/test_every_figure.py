"""What holds for every figure: the same bytes twice, honest titles, nothing cut or overlapping, no warnings."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import Material, drawn_anew
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from himoe.core.errors import InputError
from himoe.core.params import ReportParams
from himoe.report.figures import FIGURES, draw, save
from himoe.report.figures.style import COLUMN_IN, PAGE_IN

REPEATED = {"overview", "figure2", "figure4a", "combinations"}  # what could differ is common to all: ids, dates, sets
NOT_OF_DREAMER = {"figure4b", "figure7", "leak_audit", "calibration_classes"}


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_figure_repeats_its_bytes_and_is_named_wide_and_clear(name: str, deap: Material, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["himoe.report.figures.style"], "DPI", 60)  # the package has a function of that name
    figure = drawn_anew(name, deap)
    assert "DEAP (simulated)" in figure.get_suptitle()
    assert figure.get_figwidth() in (COLUMN_IN, PAGE_IN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = save(figure, tmp_path / "a" / name)
        second = save(drawn_anew(name, deap), tmp_path / "b" / name) if name in REPEATED else first
    assert [one.read_bytes() for one in first] == [other.read_bytes() for other in second]
    assert min(one.stat().st_size for one in first) > 5_000
    assert [path.suffix for path in first] == [".svg", ".png"]
    assert b"<dc:date>" not in first[0].read_bytes()
    check_layout(figure)


@pytest.mark.parametrize(("runs", "name"), [
    *(("dreamer", name) for name in FIGURES if name not in NOT_OF_DREAMER),  # a small set; long names; a face; days
    *(("amigos", name) for name in ("overview", "figure3", "figure4a", "combinations", "calibration", "cost")),
    *(("face", name) for name in ("overview", "figure3", "figure4a", "combinations")), ("days", "leak_audit")])
def test_nothing_overlaps_or_is_cut(runs: str, name: str, request: pytest.FixtureRequest) -> None:
    check_layout(drawn_anew(name, request.getfixturevalue(runs)))


def check_layout(figure: Figure) -> None:
    figure.set_dpi(200)
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()  # lays all out, and paints nothing
    every = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts(figure)]
    hidden = hidden_labels(figure)
    boxes = [(text, box) for text, box in every if box.width > 0 and (text, box.bounds) not in hidden]
    assert len(boxes) > 5
    edges = np.array([box.extents for _, box in boxes])  # left, bottom, right, top
    outside = (edges[:, :2] < figure.bbox.min - 1).any(1) | (edges[:, 2:] > figure.bbox.max + 1).any(1)
    assert [boxes[i][0] for i in np.flatnonzero(outside)] == []
    apart = ((edges[:, None, :2] > edges[None, :, 2:] - 2) | (edges[None, :, :2] > edges[:, None, 2:] - 2)).any(2)
    assert [(boxes[i][0], boxes[j][0]) for i, j in np.argwhere(~apart) if i < j] == []
    for legend in figure.findobj(Legend):
        for ax in figure.axes:
            assert not legend.get_window_extent().padded(-1).overlaps(ax.bbox.padded(-1))


def hidden_labels(figure: Figure) -> set[tuple[str, Any]]:
    """Labels that are made but carry no ink: of ticks outside their axis' limits, or in hidden panels."""
    found = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            shown = {tick.label1 for tick in axis._update_ticks()} if ax.get_visible() else set()
            found |= {(label.get_text(), label.get_window_extent().bounds)
                      for label in set(axis.get_majorticklabels()) - shown}
        if not ax.get_visible():
            found |= {(text.get_text(), text.get_window_extent().bounds) for text in ax.findobj(Text)}
    return found


@pytest.mark.parametrize("name", list(FIGURES))
def test_none_without_runs(name: str, deap: Material) -> None:
    results, settings, cost = deap
    assert draw(name, {}, settings, cost) is None
    assert draw(name, results, ReportParams("seed", settings.baselines), cost) is None


@pytest.mark.parametrize("name", sorted(NOT_OF_DREAMER))
def test_none_where_the_runs_lack_what_is_shown(name: str, dreamer: Material) -> None:
    assert draw(name, *dreamer) is None


@pytest.mark.parametrize("name", ["figure2", "figure4a", "figure4b", "leak_audit", "combinations"])
def test_none_without_hi_moe(name: str, deap: Material) -> None:
    results, settings, cost = deap
    others = {run: result for run, result in results.items() if result.metrics["method"] != "himoe"}
    assert draw(name, others, settings, cost) is None


def test_an_unknown_figure_is_named(deap: Material) -> None:
    with pytest.raises(InputError, match="'figure9'"):
        draw("figure9", *deap)


def test_figures_do_not_need_torch() -> None:
    code = "import sys, himoe.report.figures; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
