"""Pictures of signals before and after filtering: lines above, spectra below; for the page and as files."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from himoe.prepare.quality import MAINS_HZ
from himoe.report.figures.style import PAGE_IN, TITLE_POINTS, line_style, style, value_grid, wrapped
from himoe.report.palette import LOOKS

SERIES = (LOOKS["himoe"], LOOKS["ianet"], LOOKS["bilstm"], LOOKS["tacoformer"])
UNITS = {"uV": "µV", "uS": "µS", "degC": "°C"}
SIDES = ("before", "after")
RANGE_DB = 90.0  # of a spectrum shown below its peak
SIDE_IN = (4.4, 3.3)  # one side's picture on the page
ROW_IN, HEAD_IN, FOOT_IN = 1.15, 0.35, 0.2  # one modality, the title and the names of the axes, of the file
# Left edge and width of lines and spectrum in the file, before and after filtering, as shares of the page.
LINES_AT, SPECTRA_AT, SIDE_STEP = (0.072, 0.225), (0.352, 0.128), 0.512
# Colours that follow the page's light or dark look (names as in quality.css).
PAGE_COLOURS = {"#000000": "currentColor", "#0072b2": "var(--blue)"}


def side_svgs(pictures: Mapping[str, Any], modality: str, prefix: str) -> dict[str, str]:
    """Both sides of one modality's :func:`himoe.prepare.quality_examples.example` as SVG elements for an HTML page.

    Ids start with *prefix*, so that several can stand on one page; a side without data is left out.
    """
    shown = {}
    with style(), rc_context({"svg.fonttype": "none", "font.size": 8, "axes.titlesize": 8.5, "axes.labelsize": 8,
                              "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 7.5,
                              "axes.facecolor": "none", "figure.facecolor": "none"}):
        for side in SIDES:
            if pictures[side] is not None:
                figure = Figure(figsize=SIDE_IN)
                lines, spectra = figure.add_axes((0.15, 0.64, 0.81, 0.28)), figure.add_axes((0.15, 0.13, 0.81, 0.31))
                draw_side(lines, spectra, pictures, side)
                shown[side] = _inline(figure, f"{prefix}-{side}", f"{modality} {side} filtering: signal and spectrum")
    return shown


def set_figure(example: Mapping[str, Any], label: str) -> Figure:
    """All modalities of an example, one below the other, before at the left and after at the right.

    *label* names the data, with the word simulated where it is.
    """
    modalities = list(example["modalities"])
    height = HEAD_IN + FOOT_IN + ROW_IN * len(modalities)
    with style():
        figure = Figure(figsize=(PAGE_IN, height))
        heading = (f"{label}: signals as recorded (left) and after filtering (right), subject {example['subject']}, "
                   f"trial {example['trial']}")
        figure.text(0.5, 1 - 0.1 / height, wrapped(heading, PAGE_IN - 0.2), ha="center", va="top",
                    fontsize=TITLE_POINTS)
        for k, modality in enumerate(modalities):
            bottom = (height - HEAD_IN - (k + 1) * ROW_IN + 0.2) / height
            for j, side in enumerate(SIDES):
                if example["modalities"][modality][side] is not None:
                    lines, spectra = (figure.add_axes((left + SIDE_STEP * j, bottom, width, (ROW_IN - 0.58) / height))
                                      for left, width in (LINES_AT, SPECTRA_AT))
                    draw_side(lines, spectra, example["modalities"][modality], side, f"{modality}, ", small=True)
                    last = modality == modalities[-1]
                    lines.set_xlabel("time in the trial (s)" if last else "", labelpad=1)
                    spectra.set_xlabel("frequency (Hz)" if last else "", labelpad=1)
    return figure


def draw_side(lines: Axes, spectra: Axes, pictures: Mapping[str, Any], side: str, name: str = "",
              small: bool = False) -> None:
    """One side's lines and spectra; both sides share the axes of the spectra. *small*: no legend, names coloured."""
    shown = pictures[side]
    unit = draw_lines(lines, shown, pictures["start_s"], pictures["length_s"])
    how = "as recorded" if side == "before" else "filtered"
    between = "\n" if small else "; "
    lines.set_title(f"{name}{how}, {shown['sfreq_hz']:g} Hz{between if unit else ''}{unit}", loc="left", pad=3)
    draw_spectra(spectra, shown, [pictures[s] for s in SIDES if pictures[s] is not None], legend=not small)
    if small:
        if len(shown["channels"]) > 1:  # instead of a legend
            for k, label in enumerate(lines.get_yticklabels()):
                label.set_color(SERIES[k % len(SERIES)].colour)
        spectra.set_ylabel("")
        spectra.set_title("power (dB)", loc="left", pad=3)


def draw_lines(ax: Axes, shown: Mapping[str, Any], start_s: float, length_s: float) -> str:
    """Each channel about its median; several stand one below the other, a common step apart.

    Gives what the axis measures, for the title: beside the axis a long name would be cut.
    """
    unit = UNITS.get(shown["unit"], shown["unit"])
    rows = [(c["name"], np.array(c["time_s"], dtype=float), np.array(c["values"], dtype=float))
            for c in shown["channels"]]
    spans = [float(np.nanmax(v) - np.nanmin(v)) for _, _, v in rows if np.isfinite(v).any()]
    step = _round_up(max(spans, default=0.0)) or 1.0
    for k, (_, time_s, values) in enumerate(rows):
        ax.plot(time_s, values - k * step, color=SERIES[k % len(SERIES)].colour, lw=0.7)
    ax.set_xlim(start_s, start_s + length_s)
    ax.set_xlabel("time in the trial (s)", labelpad=1)
    ax.locator_params(axis="x", nbins=6)
    if not spans:
        ax.text(0.5, 0.5, "nothing recorded", transform=ax.transAxes, ha="center", va="center")
        ax.set_yticks([])
        return ""
    if len(rows) > 1:
        ax.set_yticks([-k * step for k in range(len(rows))], [name.replace("_", "\n") for name, _, _ in rows])
        return f"{step:g} {unit} per step"
    ax.locator_params(axis="y", nbins=4)
    return f"{rows[0][0]} in {unit}"


def draw_spectra(ax: Axes, shown: Mapping[str, Any], sides: Sequence[Mapping[str, Any]], legend: bool = True) -> None:
    """Power density of each channel on a log frequency axis; *sides* decide the limits."""
    channels = [c for side in sides for c in side["channels"] if c["power_db"]]
    for k, channel in enumerate(shown["channels"]):
        ax.plot(channel["frequency_hz"], channel["power_db"], lw=0.9, label=channel["name"],
                **line_style(SERIES[k % len(SERIES)]))
    ax.set_ylabel("power (dB)")
    ax.set_xlabel("frequency (Hz)", labelpad=1)
    if not channels:
        return
    frequencies = [f for c in channels for f in (c["frequency_hz"][0], c["frequency_hz"][-1])]
    top, bottom = max(max(c["power_db"]) for c in channels), min(min(c["power_db"]) for c in channels)
    ax.set_xscale("log")
    ax.set_xlim(min(frequencies), max(frequencies))
    ax.set_ylim(max(bottom, top - RANGE_DB) - 3, top + 3)
    low, high = (math.ceil(math.log10(min(frequencies))), math.floor(math.log10(max(frequencies))))
    ax.set_xticks([10.0**k for k in range(low, high + 1)], [f"{10.0**k:g}" for k in range(low, high + 1)])
    ax.xaxis.set_minor_locator(NullLocator())  # its many small ticks take most of the drawing time
    for line in MAINS_HZ:
        if line < max(frequencies):
            ax.axvline(line, color="#808080", lw=0.7, ls=":")
    value_grid(ax)
    if legend and len(shown["channels"]) > 1:
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncol=4, handlelength=2.2, borderpad=0.1, borderaxespad=0.1,
                  columnspacing=1)


def _round_up(value: float) -> float:
    """*value* rounded up to two significant digits."""
    if not value > 0:
        return 0.0
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / scale - 1e-9) * scale:.2g}")


def _inline(figure: Figure, prefix: str, label: str) -> str:
    """The figure as an SVG element: ids prefixed, no metadata, page colours, two decimals."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg"):]
    view = re.search(r'viewBox="([^"]+)"', text)[1]  # type: ignore[index]
    text = text[text.index(">") + 1:]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r' d="[^"]+"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", ""), text)
    for colour, page in PAGE_COLOURS.items():
        text = text.replace(colour, page)
    return f'<svg viewBox="{view}" role="img" aria-label="{escape(label)}">{text.strip()}\n'
