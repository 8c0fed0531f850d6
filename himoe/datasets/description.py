"""``dataset.yaml``: what a user's own folder says of itself, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from himoe.core.errors import InputError, bad_input, shown
from himoe.core.recordings import check_dimension, check_modality
from himoe.core.yaml_files import read_bounded_yaml
from himoe.datasets.clock import ORIGINS, UNITS, Clock
from himoe.datasets.devices import TABLE, format_of
from himoe.datasets.pattern import PLACEHOLDER, ids_in
from himoe.datasets.texttable import SEPARATORS, Dialect

DESCRIPTION = "dataset.yaml"
BELONGS = "see docs/your-own-data.md for what belongs there"
DIALECT = {"separator", "decimal"}
REQUIRED = {"name", "title", "licence", "dimensions", "scale", "threshold", "modalities", "ratings"}
OPTIONAL = {"annotations", "citation", "doi", "access", "redistributable", "default_off", "trials", "time_zone",
            "offsets_s",             *DIALECT}
MODALITY_REQUIRED = {"file", "columns", "sfreq_hz", "unit"}
MODALITY_OPTIONAL = {"format", "time_column", "max_gap_s", "time_unit", "time_origin", "past_end", *DIALECT}
DEVICE_OPTIONAL = {"format", "stream", "offset_s", "max_gap_s", "past_end"}
EVENTS_REQUIRED, EVENTS_OPTIONAL = {"events"}, {"trial_type", "trial"}
TRIALS_OPTIONAL = {"clock", "start", "end"}
PAST_END = ("refuse", "cut")
LONGEST_NAME = 100


@dataclass(frozen=True)
class Table:
    """Where one modality lies: file patterns, channels, rate, unit; time column and clock if irregular.

    ``files``: one pattern, or a device's list of those of one recording. ``columns`` are the channels' names,
    ``sources`` what the file calls them.

    ``format`` is ``table`` or a device's (:data:`himoe.datasets.devices.FORMATS`); ``stream``: a device's
    stream, by name or kind; ``offset_s``: the beginning of its file on the trials' clock, where that was said.
    """

    files: tuple[str, ...]
    columns: tuple[str, ...]
    sfreq_hz: float
    unit: str
    time_column: str | None
    clock: Clock
    cut_past_end: bool
    dialect: Dialect
    sources: tuple[str, ...]
    format: str = TABLE
    stream: str | None = None
    offset_s: float | None = None

    @property
    def is_device(self) -> bool:
        """Whether its files are a device's, with a clock of their own."""
        return self.format != TABLE

    @property
    def irregular(self) -> bool:
        """Whether its samples come at times of their own."""
        return self.time_column is not None or (self.is_device and self.clock.max_gap_s < float("inf"))

    @property
    def continuous(self) -> bool:
        """Whether one file holds many trials."""
        return "{trial}" not in self.files[0]

    @property
    def by_runs(self) -> bool:
        """Whether its files are told by a run in their names."""
        return "{run}" in self.files[0]


@dataclass(frozen=True)
class Events:
    """Tables of events as ratings: their trials are rows of this ``trial_type`` (None = the rated ones), called as the
    column ``trial`` says (None = numbered)."""

    trial_type: str | None = None
    trial: str | None = None


@dataclass(frozen=True)
class Trials:
    """How trials lie in recordings of devices.

    ``clock``: the modality whose files' beginning is 0; ``start``, ``end``: texts of markers there, which may hold
    ``{trial}``. None = not said.
    """

    clock: str | None = None
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class Description:
    """The checked content of ``dataset.yaml`` that reading needs.

    ``offsets_s``: file name -> where the file begins on the clock of the first one of the same recording.
    """

    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    tables: Mapping[str, Table]
    ratings: str
    annotations: str | None
    default_off: tuple[str, ...]
    dialect: Dialect
    events: Events | None = None
    trials: Trials = Trials()
    time_zone: str | None = None
    offsets_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def devices(self) -> dict[str, Table]:
        """The modalities that come from files of devices."""
        return {name: table for name, table in self.tables.items() if table.is_device}


def load_description(root: Path) -> tuple[dict[str, Any], Description]:
    """The mapping in ``root/dataset.yaml``, and what reading needs of it.

    Raises
    ------
    InputError
        For an unknown or missing key, an unknown modality or dimension, or a value of the wrong kind.
    """
    where = root / DESCRIPTION
    raw = read_bounded_yaml(where, BELONGS)
    _check_keys(str(where), raw, REQUIRED, OPTIONAL)
    return raw, _description(where, raw)


def _check_keys(where: str, raw: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(raw, dict):
        raise bad_input(where, type(raw).__name__, "a mapping of keys to values", "see docs/your-own-data.md")
    for unknown in sorted(map(str, set(raw) - required - optional)):
        raise bad_input(where, f"the unknown key {shown(unknown)}", "keys " + " ".join(sorted(required | optional)),
                        "correct or remove it")
    for missing in sorted(required - set(raw)):
        raise bad_input(where, f"no key {missing!r}", "that key", "add it, see docs/your-own-data.md")


def _description(where: Path, raw: Mapping[str, Any]) -> Description:
    dimensions = _names(f"{where}: dimensions", raw["dimensions"])
    for dimension in dimensions:
        _checked(where, check_dimension, dimension)
    scale = raw["scale"]
    if not isinstance(scale, list) or len(scale) != 2:
        raise bad_input(f"{where}: scale", shown(scale), "[lowest, highest]", "correct the value")
    low, high = (number(f"{where}: scale", value) for value in scale)
    if not low < high:
        raise bad_input(f"{where}: scale", shown(scale), "lowest below highest", "correct the value")
    if not isinstance(raw["modalities"], dict) or not raw["modalities"]:
        raise bad_input(f"{where}: modalities", shown(raw["modalities"]), "at least one modality", "add one")
    dialect = _dialect(str(where), raw, Dialect())
    tables = {_checked(where, check_modality, name): _table(f"{where}: modalities: {name}", entry, dialect)
              for name, entry in raw["modalities"].items()}
    default_off = _names(f"{where}: default_off", raw.get("default_off", []), empty=True)
    if set(default_off) - set(tables):
        raise bad_input(f"{where}: default_off", " ".join(default_off), "modalities of this file", "correct the names")
    annotations = raw.get("annotations")
    ratings, events = _ratings(f"{where}: ratings", raw["ratings"], tables)
    trials = _trials(f"{where}: trials", raw.get("trials", {}), tables)
    if events is not None and "{run}" in ratings and (trials.clock is None or not tables[trials.clock].by_runs):
        raise bad_input(f"{where}: ratings: events", shown(ratings), "{run} in the file of trials: clock, too",
                        "say {run} in both, or in none")
    return Description(
        dimensions, (low, high), tables, ratings,
        None if annotations is None else _inside(f"{where}: annotations", annotations), default_off, dialect, events,
        trials, _zone(f"{where}: time_zone", raw.get("time_zone")),
        _offsets(f"{where}: offsets_s", raw.get("offsets_s", {}), tables))


def _checked(where: object, check: Any, name: Any) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise bad_input(where, f"the name {shown(name)}", "a name of a few letters", "correct it")
    try:
        return check(name)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _ratings(where: str, raw: Any, tables: Mapping[str, Table]) -> tuple[str, Events | None]:
    """The file of the ratings, or the pattern of the tables of events and how to read them."""
    if not isinstance(raw, dict):
        return _inside(where, raw), None
    _check_keys(where, raw, EVENTS_REQUIRED, EVENTS_OPTIONAL)
    file = _inside(f"{where}: events", raw["events"])
    if set(PLACEHOLDER.findall(file)) not in ({"subject"}, {"subject", "run"}):
        raise bad_input(f"{where}: events", shown(file), "a name with {subject}, and {run} where there are runs",
                        "correct it")
    if not all(table.is_device and table.continuous for table in tables.values()):
        raise bad_input(where, "events, and a modality with one file per trial", "recordings that hold many trials",
                        "give a table of ratings instead")
    return file, Events(*(None if raw.get(key) is None else text(f"{where}: {key}", raw[key])
                          for key in ("trial_type", "trial")))


def _table(where: str, entry: Any, usual: Dialect) -> Table:
    _check_keys(where, entry, MODALITY_REQUIRED, MODALITY_OPTIONAL | DEVICE_OPTIONAL)
    said = entry.get("format")
    files, form = _files(f"{where}: file", entry["file"], None if said is None else text(f"{where}: format", said))
    _check_keys(where, entry, MODALITY_REQUIRED, MODALITY_OPTIONAL if form == TABLE else DEVICE_OPTIONAL)
    sfreq_hz = _above_zero(f"{where}: sfreq_hz", entry["sfreq_hz"])
    time_column, clock = _clock(where, entry, sfreq_hz) if form == TABLE else (None, _gap(where, entry, sfreq_hz))
    past_end = _one_of(f"{where}: past_end", entry.get("past_end", "refuse"), PAST_END)
    stream, offset_s = entry.get("stream"), entry.get("offset_s")
    sources, columns = _columns(f"{where}: columns", entry["columns"])
    return Table(files, columns, sfreq_hz,
                 text(f"{where}: unit", entry["unit"]), time_column, clock, past_end == "cut",
                 _dialect(where, entry, usual), sources, form,
                 None if stream is None else text(f"{where}: stream", stream),
                 None if offset_s is None else number(f"{where}: offset_s", offset_s))


def _files(where: str, raw: Any, said: str | None) -> tuple[tuple[str, ...], str]:
    """The patterns of a modality's files and their format: one, or a list of those that are one recording."""
    names = _names(where, raw) if isinstance(raw, list) else (raw,)
    files = tuple(_inside(where, name) for name in names)
    forms = {format_of(where.removesuffix(": file"), file, said) for file in files}
    if len(files) > 1 and (TABLE in forms or len(forms) > 1 or len({"{trial}" in file for file in files}) > 1):
        raise bad_input(where, shown(raw), "files of one recording by a device", "name one file, or several of a kind")
    for file in files:
        found = set(PLACEHOLDER.findall(file))
        known = [{"subject", "trial"}]
        if TABLE not in forms:
            known += [{"subject"}] if len(files) > 1 else [{"subject"}, {"subject", "run"}, {"subject", "trial", "run"}]
        if found not in known:
            raise bad_input(where, shown(file), "a name with {subject} and {trial}" +
                            ("" if TABLE in forms else ", or with {subject}") + ", and no other braces" +
                            ("" if TABLE in forms or len(files) > 1 else " but {run}"), "correct it")
    return files, forms.pop()


def _offsets(where: str, raw: Any, tables: Mapping[str, Table]) -> Mapping[str, float]:
    """By the names of files, below the folder of ``dataset.yaml``."""
    if not isinstance(raw, dict):
        raise bad_input(where, shown(raw), "file names and seconds", "write anna_2.edf: 612.5")
    files = dict.fromkeys(file for table in tables.values() if table.is_device for file in table.files)
    for name in raw:
        if not isinstance(name, str) or not any(ids_in(name, file) for file in files):
            raise bad_input(where, f"the name {shown(name)}", f"the name of a file of {' '.join(files)}", "correct it")
    return {name: number(f"{where}: {name}", value) for name, value in raw.items()}


def _columns(where: str, value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the file calls the channels, and their names: the same where a list is given."""
    if not isinstance(value, dict):
        names = _names(where, value)
        return names, names
    return _names(where, list(value)), _names(where, list(value.values()))


def _gap(where: str, entry: Mapping[str, Any], sfreq_hz: float) -> Clock:
    """A device's samples carry their times; irregular ones are bridged over *max_gap_s*."""
    gap_s = _above_zero(f"{where}: max_gap_s", entry["max_gap_s"]) if "max_gap_s" in entry else float("inf")
    return Clock(sfreq_hz, gap_s, origin="trial")


def _trials(where: str, raw: Any, tables: Mapping[str, Table]) -> Trials:
    _check_keys(where, raw, set(), TRIALS_OPTIONAL)
    devices = [name for name, table in tables.items() if table.is_device]
    if raw and not devices:
        raise bad_input(where, "trials, and tables alone", "modalities with files of devices", "remove trials")
    marks = {key: _mark(f"{where}: {key}", raw[key]) for key in ("start", "end") if key in raw}
    if "end" in marks and "start" not in marks:
        raise bad_input(where, "end without start", "both, or start alone", "say which marker starts a trial")
    clock = raw.get("clock")
    if clock is None:
        one_file = len({tables[name].files for name in devices}) == 1
        clock = devices[0] if one_file else None
    else:
        clock = _one_of(f"{where}: clock", clock, tuple(devices))
    if marks and clock is None:
        raise bad_input(where, "start, and several files", "clock, too", "say in which modality's file the markers are")
    if clock is not None and tables[clock].offset_s is not None:
        raise bad_input(f"{where}: clock", f"{clock}, which has offset_s", "a modality without offset_s",
                        "offset_s says where on that clock another file begins")
    return Trials(clock, marks.get("start"), marks.get("end"))


def _mark(where: str, value: Any) -> str:
    mark = " ".join(text(where, value).split())
    if not mark or PLACEHOLDER.findall(mark) not in ([], ["trial"]):
        raise bad_input(where, shown(value), "the text of a marker, with {trial} in it or without", "correct it")
    return mark


def _zone(where: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        return str(ZoneInfo(text(where, value)))
    except InputError:
        raise
    except (KeyError, ValueError, OSError) as error:  # an unknown zone; a name that is none; the name of a folder
        raise bad_input(where, shown(value), "a time zone such as Europe/Berlin", "correct it") from error


def _clock(where: str, entry: Mapping[str, Any], sfreq_hz: float) -> tuple[str | None, Clock]:
    time_column = entry.get("time_column")
    if (time_column is None) != ("max_gap_s" not in entry):
        raise bad_input(where, "only one of time_column and max_gap_s", "both or neither",
                        "say the longest gap in seconds that may be bridged between time stamps")
    if time_column is None:
        for key in ("time_unit", "time_origin"):
            if key in entry:
                raise bad_input(where, f"{key} without time_column", "both or neither", "name the column of times")
        return None, Clock(sfreq_hz, float("inf"))
    origin = entry.get("time_origin")
    return text(f"{where}: time_column", time_column), Clock(
        sfreq_hz, _above_zero(f"{where}: max_gap_s", entry["max_gap_s"]),
        _one_of(f"{where}: time_unit", entry.get("time_unit", "s"), tuple(UNITS)),
        None if origin is None else _one_of(f"{where}: time_origin", origin, ORIGINS))


def _dialect(where: str, raw: Mapping[str, Any], usual: Dialect) -> Dialect:
    separator = _one_of(f"{where}: separator", raw.get("separator", usual.separator), tuple(SEPARATORS))
    decimal = _one_of(f"{where}: decimal", raw.get("decimal", usual.decimal), (".", ","))
    if separator == decimal:
        raise bad_input(f"{where}: decimal", "the comma both between fields and before decimals", "two marks",
                        'say separator: ";" if that is what the files have')
    return Dialect(separator, decimal)


def _one_of(where: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise bad_input(where, shown(value), "one of " + " ".join(map(repr, known)), "correct the value")
    return str(value)


def text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_input(where, shown(value), "text", "put it in quotes")
    return value


def number(where: str, value: Any) -> float:
    number = float("nan")
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number of hundreds of digits
            number = float(value)
    if not np.isfinite(number):
        raise bad_input(where, shown(value), "a number", "correct the value")
    return number


def _above_zero(where: str, value: Any) -> float:
    if number(where, value) <= 0:
        raise bad_input(where, shown(value), "a number above 0", "correct the value")
    return float(value)


def _names(where: str, value: Any, empty: bool = False) -> tuple[str, ...]:
    if not isinstance(value, list) or not (value or empty) or not all(isinstance(name, str) for name in value):
        raise bad_input(where, shown(value), "a list of names", "write [a, b]; quote names that look like numbers")
    if len(set(value)) < len(value):
        raise bad_input(where, shown(value), "every name once", "remove the repeated name")
    return tuple(value)


def _inside(where: str, value: Any) -> str:
    """A relative file name that cannot leave the folder."""
    path = Path(text(where, value))
    if path.is_absolute() or ".." in path.parts or not path.parts or not value.isprintable():
        raise bad_input(where, shown(value), "a file name below the folder of dataset.yaml", "correct it")
    return path.as_posix()
