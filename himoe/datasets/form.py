"""The keys of ``dataset.yaml`` as they may be written: which there are, which must stand, what each may hold.

What a key means beside others, and the files that it names, is :mod:`himoe.datasets.description`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Gt, MaxLen, MinLen

from himoe.core.parsing import check, checked
from himoe.datasets.clock import ORIGINS, UNITS
from himoe.datasets.texttable import SEPARATORS

LONGEST_NAME = 100
Name = Annotated[str, MaxLen(LONGEST_NAME), "a name of a few letters"]
Names = Annotated[tuple[Name, ...], "a list of names: write [a, b], and quote names that look like numbers"]
Positive = Annotated[float, Gt(0)]
PastEnd = Literal["refuse", "cut"]
Decimal = Literal[".", ","]


@checked
@dataclass(frozen=True)
class EventsForm:
    """``ratings`` where the ratings are tables of events."""

    events: str
    trial_type: str | None = None
    trial: str | None = None


@checked
@dataclass(frozen=True)
class TableForm:
    """One of ``modalities`` whose files are tables; ``file`` and ``columns`` have several forms."""

    file: Any
    columns: Any
    sfreq_hz: Positive
    unit: str
    format: str | None = None
    time_column: str | None = None
    max_gap_s: Positive | None = None
    time_unit: str | None = None
    time_origin: str | None = None
    past_end: PastEnd = "refuse"
    separator: str | None = None
    decimal: Decimal | None = None

    def __post_init__(self) -> None:
        for name, known in (("time_unit", UNITS), ("time_origin", ORIGINS), ("separator", SEPARATORS)):
            _check_choice(name, getattr(self, name), tuple(known))


@checked
@dataclass(frozen=True)
class DeviceForm:
    """One of ``modalities`` whose files are a device's."""

    file: Any
    columns: Any
    sfreq_hz: Positive
    unit: str
    format: str | None = None
    stream: str | None = None
    offset_s: float | None = None
    max_gap_s: Positive | None = None
    past_end: PastEnd = "refuse"


@checked
@dataclass(frozen=True)
class Trials:
    """How trials lie in recordings of devices.

    ``clock``: the modality whose files' beginning is 0; ``start``, ``end``: texts of markers there, which may hold
    ``{trial}``. None = not said.
    """

    clock: str | None = None
    start: str | None = None
    end: str | None = None


@checked
@dataclass(frozen=True)
class Form:
    """The keys at the top; those of each modality and of ``ratings`` depend on what stands there."""

    name: str
    title: str
    licence: str
    dimensions: Annotated[Names, MinLen(1)]
    scale: Annotated[tuple[float, float], "[lowest, highest]"]
    threshold: float
    modalities: Annotated[Mapping[str, Any], MinLen(1), "at least one modality, by its name"]
    ratings: Any
    annotations: str | None = None
    citation: str = ""
    doi: str = ""
    access: str = "Files of the user."
    redistributable: bool = False
    default_off: Names = ()
    trials: Trials = field(default_factory=Trials)
    time_zone: str | None = None
    offsets_s: Annotated[Mapping[str, float], "file names and seconds: write anna_2.edf: 612.5"] = field(
        default_factory=dict)
    separator: str = ","
    decimal: Decimal = "."

    def __post_init__(self) -> None:
        for name in ("dimensions", "default_off"):
            names = getattr(self, name)
            check(len(set(names)) == len(names), name, " ".join(names), "every name once")
        check(self.scale[0] < self.scale[1], "scale", list(self.scale), "lowest below highest")
        check(set(self.default_off) <= set(self.modalities), "default_off", " ".join(self.default_off),
              "modalities of this file")
        _check_choice("separator", self.separator, tuple(SEPARATORS))


def _check_choice(name: str, value: str | None, known: tuple[str, ...]) -> None:
    check(value is None or value in known, name, value, f"one of {' '.join(map(repr, known))}")
