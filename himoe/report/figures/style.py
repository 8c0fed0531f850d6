"""What all figures share: sizes, fonts, titles, legends, and writing them with the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from himoe.core.files import atomic_path
from himoe.report.palette import Look

COLUMN_IN, PAGE_IN = 3.5, 7.0
DPI = 300
TITLE_POINTS = 8
GRID = "#cccccc"

# Fixed fonts, and SVG identifiers that do not depend on chance.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": 7, "axes.titlesize": 7.5, "axes.labelsize": 7, "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "axes.linewidth": 0.6, "lines.linewidth": 1.1,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "svg.hashsalt": "himoe",
    "svg.fonttype": "path", "figure.dpi": 100, "axes.unicode_minus": True, "path.simplify": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's defaults and ``STYLE`` inside the block: a user's matplotlibrc must not change the bytes."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write ``stem.svg`` and ``stem.png`` (300 dpi); the same figure gives the same bytes."""
    svg, png = (Path(stem).with_name(f"{Path(stem).name}.{kind}") for kind in ("svg", "png"))
    with style():
        with atomic_path(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    return svg, png


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure that keeps its parts from overlapping."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def title(figure: Figure, *lines: str) -> None:
    """The figure's title, one line below the other, each wrapped to the figure; one must say whose data it is."""
    figure.suptitle("\n".join(wrapped(line, figure.get_figwidth() - 0.15) for line in lines), fontsize=TITLE_POINTS)


def wrapped(text: str, room_in: float) -> str:
    """*text* in lines that fit *room_in* inches in the title's font; words are never cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_in(longer) <= room_in:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def width_in(text: str, points: float = TITLE_POINTS) -> float:
    """How wide *text* is in the figures' font."""
    font = FontProperties(family=STYLE["font.family"], size=points)
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72


def legend_below(figure: Figure, ax: Axes, columns: int) -> None:
    """The legend of *ax* under the whole figure, where it can hide no data."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=min(max(len(labels), 1), columns),
                  columnspacing=1.2, handlelength=2.8)


def value_grid(ax: Axes, axis: str = "y") -> None:
    """Thin lines behind the data, across the axis of the values."""
    ax.grid(axis=axis, lw=0.3, color=GRID)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


CEILING: dict[str, Any] = {"color": "#444444", "ls": (0, (4, 2)), "lw": 0.9, "zorder": 1}
CEILING_LABEL = "Attainable (true gains and lags known)"


def draw_ceiling(ax: Axes, value: float | None, across: bool = True, label: str = CEILING_LABEL) -> None:
    """A dashed line at the attainable score, across the panel or (*across* False) upright; None draws nothing."""
    if value is not None:
        draw = ax.axhline if across else ax.axvline
        draw(value, label=label, **CEILING)


def line_style(look: Look) -> dict[str, Any]:
    """Colour and dash of *look* as arguments of ``Axes.plot``."""
    return {"color": look.colour, "ls": (0, look.dash) if look.dash else "-"}


def marker_style(look: Look, size: float) -> dict[str, Any]:
    """Marker of *look* as arguments of ``Axes.plot``; a star covers little for its size, so it is drawn larger."""
    return {"marker": look.marker, "ms": size * (1.45 if look.marker == "*" else 1.0), "mew": 0}


def width_of(n_columns: int) -> float:
    """One text column for up to two small panels side by side, the page for more."""
    return COLUMN_IN if n_columns <= 2 else PAGE_IN


def panel_grid(n_panels: int, columns: int) -> tuple[int, int]:
    """Rows and columns of a grid for *n_panels* small panels, at most *columns* wide; no panel alone in a row."""
    widths = [across for across in range(min(n_panels, columns), 1, -1) if n_panels % across != 1]
    across = widths[0] if widths else min(n_panels, columns)
    return -(-n_panels // across), across
