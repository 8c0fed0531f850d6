"""What a chart's place on the page holds, as values: pickers, legend, specifications, data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import altair as alt
import pandas as pd

from himoe.report.palette import Look

DIGITS = 5  # of what is drawn; files keep full precision


@dataclass(frozen=True)
class Picker:
    """A control that sets the signal ``name`` of its block's charts; ``kind`` is ``select`` or ``range``."""

    name: str
    label: str
    values: tuple[Any, ...]
    kind: str = "select"

    @property
    def options(self) -> list[tuple[str, str]]:
        """Each value as JSON, and as text."""
        return [(json.dumps(value, ensure_ascii=False), f"{value:g}" if isinstance(value, float) else str(value))
                for value in self.values]


@dataclass(frozen=True)
class Block:
    """One section of charts: ``specs`` share pickers and legend; ``data`` is the text alternative."""

    name: str
    title: str
    caption: str
    specs: tuple[dict[str, Any], ...]
    data: pd.DataFrame
    pickers: tuple[Picker, ...] = ()
    legend: tuple[tuple[str, str, Look], ...] = ()  # key, label, look
    toggles: bool = False  # whether the legend hides methods
    files: tuple[str, ...] = field(default=())  # where the full numbers are

    def rewritten(self, say: Callable[[str], str]) -> Block:
        """The block with *say* applied to its pickers, data and specifications; its caption stays."""
        pickers = tuple(replace(picker, values=tuple(say(value) if isinstance(value, str) else value
                                                     for value in picker.values)) for picker in self.pickers)
        data = self.data.map(lambda value: say(value) if isinstance(value, str) else value)
        specs = tuple(json.loads(say(json.dumps(spec, ensure_ascii=False))) for spec in self.specs)
        return replace(self, specs=specs, data=data.rename(columns=say), pickers=pickers)


def inline(frame: pd.DataFrame, name: str) -> alt.InlineData:
    """*frame* as CSV inside a specification, rounded to ``DIGITS`` significant digits."""
    parse = {column: "number" if pd.api.types.is_numeric_dtype(frame[column]) else "string"
             for column in frame.columns}
    text = frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    return alt.InlineData(name=name, values=text, format=alt.CsvDataFormat(type="csv", parse=parse))


def picked(chart: alt.Chart, names: Sequence[str]) -> alt.Chart:
    """Keep the rows whose column equals the signal of the same name."""
    for name in names:
        chart = chart.transform_filter(f"datum.{name} === {name}")
    return chart


def shown(chart: alt.Chart) -> alt.Chart:
    """Leave out the methods that the legend hides."""
    return chart.transform_filter("indexof(hidden, datum.method) < 0")


def finish(chart: Any, name: str, description: str, pickers: Sequence[Picker] = (), toggles: bool = False,
           height: Any = 320, room: int = 12) -> dict[str, Any]:
    """The chart as a specification that fills its container, with *room* pixels at its right for text.

    Every name is given here, none is counted up by Altair, so that bytes repeat.
    """
    signals = [alt.param(name=picker.name, value=picker.values[0]) for picker in pickers]
    signals += [alt.param(name="hidden", value=[])] if toggles else []
    spec = chart.add_params(*signals).properties(
        width="container", height=height, description=description,
        padding={"left": 5, "top": 5, "right": room, "bottom": 5}).to_dict()
    spec.pop("$schema")
    spec.pop("config", None)
    return {"id": f"chart-{name}", **spec}
