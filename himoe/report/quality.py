"""``reports/quality.html``: how good the signals of each set, subject and modality are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from himoe.core.errors import InputError
from himoe.prepare.quality import FRAMES, LINE_CLEAR_DB
from himoe.prepare.signals import MAX_BAD_SHARE
from himoe.report.markup import HtmlCell, HtmlTable
from himoe.report.quality_pictures import UNITS

MAX_FLAGS = 8  # named above a table; all are in it
LEVELS = {"": "", "look": "▲", "bad": "✖"}
WORDS = {"": "", "look": "worth a look", "bad": "bad"}
# column -> heading, (worth a look beyond, bad beyond); shares are better the lower, but for the first
COLUMNS: dict[str, tuple[str, tuple[float, float]]] = {
    "usable_windows": ("Usable windows", (0.95, 0.5)),
    "missing_samples": ("Missing samples", (0.05, 0.2)),
    "flat_channels": ("Flat channels", (0.0, 0.1)),
    "clipped_channels": ("Clipped channels", (0.0, 0.1)),
    "bad_channels": ("Bad EEG channels", (0.0, MAX_BAD_SHARE)),
    "line_noise_db": ("Line noise (dB)", (10.0, 20.0)),
}


@dataclass(frozen=True)
class Picture:
    """One modality: the SVG elements of its sides (``before``, ``after``), and what stands below them."""

    modality: str
    svgs: Mapping[str, str]
    caption: str


@dataclass(frozen=True)
class SetQuality:
    """One data set: its label, whether it is simulated, rows (:func:`himoe.prepare.quality.quality_rows`), pictures."""

    name: str
    label: str
    simulated: bool
    rows: pd.DataFrame
    pictures: tuple[Picture, ...]


def build_quality_page(sets: Sequence[SetQuality], min_completeness: float) -> str:
    """The page as HTML that needs no network; the same inputs give the same text.

    *min_completeness* is the share of samples from which a window counts as usable.

    Raises
    ------
    InputError
        If there is no set.
    """
    if not sets:
        raise InputError("data/signals: found no data set, expected at least one; run the preprocess stage.")
    parts = [{"name": one.name, "label": one.label, "table": quality_table(one), "flags": flags(one.rows),
              "subjects": one.rows["subject"].nunique(), "modalities": one.rows["modality"].nunique(),
              "pictures": [{"modality": p.modality, "caption": p.caption,
                            "svgs": {side: Markup(svg) for side, svg in p.svgs.items()}} for p in one.pictures]}
             for one in sets]
    return _environment().get_template("quality.html").render(
        css=_asset("page.css") + _asset("quality.css"), js=_asset("page.js"), sets=parts,
        simulated=any(one.simulated for one in sets), banner=banner(sets), min_completeness=min_completeness,
        levels=LEVELS, words=WORDS, limits=_limits(), clear_db=LINE_CLEAR_DB)


def banner(sets: Sequence[SetQuality]) -> str:
    """The loud line: which signals are simulated."""
    simulated = ", ".join(one.label for one in sets if one.simulated)
    real = ", ".join(one.label for one in sets if not one.simulated)
    if not simulated:
        return f"Real recordings: {real}."
    text = f"SIMULATED DATA: {simulated}. Its faults are the simulator's: they say nothing about real recordings."
    return f"{text} Real recordings: {real}." if real else text


def severity(column: str, value: float) -> str:
    """``""``, ``"look"`` or ``"bad"``: how far *value* is beyond the column's limits; NaN is never beyond."""
    look, bad = COLUMNS[column][1]
    if column == "usable_windows":
        return "bad" if value < bad else "look" if value < look else ""
    return "bad" if value > bad else "look" if value > look else ""


def value_text(column: str, value: float) -> str:
    """*value* as printed: a percentage, decibels, or a dash for NaN."""
    if math.isnan(value):
        return "—"
    if column == "line_noise_db":
        return f"{value:.1f}".replace("-", "−")
    percent = 100 * value
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return f"{percent:.2g} %" if percent < 0.95 else f"{min(percent, 99.9):.1f} %"


def flags(rows: pd.DataFrame) -> list[str]:
    """What is bad, in words: at most ``MAX_FLAGS`` entries and the number of the rest."""
    found = [f"{row['subject']} {row['modality']}: {_phrase(column, row[column])}"
             for row in rows.to_dict("records") for column in COLUMNS if severity(column, row[column]) == "bad"]
    rest = len(found) - MAX_FLAGS
    return [*found[:MAX_FLAGS], *([f"and {rest} more in the table"] if rest > 0 else [])]


def _phrase(column: str, value: float) -> str:
    """A column's heading and value within a sentence."""
    name, _, unit = COLUMNS[column][0].rstrip(")").partition(" (")
    return f"{name[0].lower()}{name[1:]} {value_text(column, value)} {unit}".strip()


def quality_table(one: SetQuality) -> HtmlTable:
    """Every subject and modality of a set; a cell's kind names its severity too."""
    body = []
    for row in one.rows.to_dict("records"):
        cells = [HtmlCell(str(row["subject"]), "", "text", str(row["subject"])),
                 HtmlCell(str(row["modality"]), "", "text", str(row["modality"]))]
        for column in COLUMNS:
            value = float(row[column])
            if math.isnan(value):
                cells.append(HtmlCell("—", "", "none", ""))
                continue
            tail = "no face" if (row["modality"], column) == (FRAMES, "missing_samples") else ""
            if column == "line_noise_db" and not math.isnan(row["line_hz"]):
                tail = f"at {row['line_hz']:g} Hz"
            cells.append(HtmlCell(value_text(column, value), tail, f"number {severity(column, value)}".strip(),
                                  repr(value)))
        body.append(tuple(cells))
    heads = ("Subject", "Modality", *(heading for heading, _ in COLUMNS.values()))
    return HtmlTable(f"quality-{one.name}", f"Signal quality of {one.label}", heads, tuple(body), ())


def picture_caption(modality: str, label: str, example: Mapping[str, Any]) -> str:
    """What one modality's pictures show, and whose data it is."""
    pictures = example["modalities"][modality]
    start_s, end_s = pictures["start_s"], pictures["start_s"] + pictures["length_s"]
    before = pictures["before"]
    unit = UNITS.get(before["unit"], before["unit"])
    offsets = ", ".join(f"{c['name']} {c['offset']:g}" for c in before["channels"] if c["offset"] is not None)
    medians = f" Medians taken off before filtering: {offsets} {unit}".rstrip(".") + "." if offsets else ""
    lost = "" if pictures["after"] is not None else " Nothing was kept after filtering."
    return (f"{label}, subject {example['subject']}, trial {example['trial']}, {modality}: {start_s:g} to {end_s:g} s "
            "as recorded and after filtering; below, power density of the whole trial in dB (Welch; dotted: 50 and "
            f"60 Hz).{medians}{lost}")


def _limits() -> list[tuple[str, str, str]]:
    """Each column's heading and its limits in words."""
    rows = []
    for name, (heading, limits) in COLUMNS.items():
        side = "below" if name == "usable_windows" else "above"
        look, bad = (f"{side} {value_text(name, limit)}" for limit in limits)
        rows.append((heading, look, bad))
    return rows


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.PackageLoader("himoe.report"), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)


def _asset(name: str) -> Markup:
    """A style sheet or script of ours, to stand in the page as it is."""
    return Markup(resources.files("himoe.report").joinpath("templates", name).read_text(encoding="utf-8"))
