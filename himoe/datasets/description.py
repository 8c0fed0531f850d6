"""``dataset.yaml``: what a user's own folder says of itself, checked key by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from himoe.core.errors import InputError, bad_input, shown
from himoe.core.parsing import parse
from himoe.core.recordings import check_dimension, check_modality
from himoe.core.yaml_files import read_bounded_yaml
from himoe.datasets import DESCRIPTION as DESCRIPTION
from himoe.datasets.clock import Clock
from himoe.datasets.devices import TABLE, format_of
from himoe.datasets.form import LONGEST_NAME, DeviceForm, EventsForm, Form, TableForm, Trials
from himoe.datasets.pattern import PLACEHOLDER, ids_in
from himoe.datasets.texttable import Dialect

BELONGS = "see docs/your-own-data.md for what belongs there"


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
    trials: Trials = field(default_factory=Trials)
    time_zone: str | None = None
    offsets_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def devices(self) -> dict[str, Table]:
        """The modalities that come from files of devices."""
        return {name: table for name, table in self.tables.items() if table.is_device}


def load_description(root: Path) -> tuple[Form, Description]:
    """What stands in ``root/dataset.yaml``, and what reading needs of it.

    Raises
    ------
    InputError
        For an unknown or missing key, an unknown modality or dimension, or a value of the wrong kind.
    """
    where = root / DESCRIPTION
    raw = read_bounded_yaml(where, BELONGS)
    if not isinstance(raw, dict):
        raise bad_input(where, type(raw).__name__, "a mapping of keys to values", BELONGS)
    form = parse(Form, raw, where)
    return form, _description(where, form)


def _description(where: Path, form: Form) -> Description:
    for dimension in form.dimensions:
        _checked(where, check_dimension, dimension)
    dialect = _dialect(f"{where}: decimal", form.separator, form.decimal)
    tables = {_checked(where, check_modality, name): _table(where, f"modalities.{name}", entry, dialect)
              for name, entry in form.modalities.items()}
    ratings, events = _ratings(where, form.ratings, tables)
    trials = _trials(f"{where}: trials", form.trials, tables)
    if events is not None and "{run}" in ratings and (trials.clock is None or not tables[trials.clock].by_runs):
        raise bad_input(f"{where}: ratings.events", shown(ratings), "{run} in the file of trials.clock, too",
                        "say {run} in both, or in none")
    return Description(
        form.dimensions, form.scale, tables, ratings,
        None if form.annotations is None else _inside(f"{where}: annotations", form.annotations), form.default_off,
        dialect, events, trials, _zone(f"{where}: time_zone", form.time_zone),
        _offsets(f"{where}: offsets_s", form.offsets_s, tables))


def _checked(where: object, check: Callable[[str], str], name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise bad_input(where, f"the name {shown(name)}", "a name of a few letters", "correct it")
    try:
        return check(name)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _ratings(where: Path, raw: Any, tables: Mapping[str, Table]) -> tuple[str, Events | None]:
    """The file of the ratings, or the pattern of the tables of events and how to read them."""
    if not isinstance(raw, dict):
        return _inside(f"{where}: ratings", raw), None
    form = parse(EventsForm, raw, where, "ratings")
    file = _inside(f"{where}: ratings.events", form.events)
    if set(PLACEHOLDER.findall(file)) not in ({"subject"}, {"subject", "run"}):
        raise bad_input(f"{where}: ratings.events", shown(file),
                        "a name with {subject}, and {run} where there are runs", "correct it")
    if not all(table.is_device and table.continuous for table in tables.values()):
        raise bad_input(f"{where}: ratings", "events, and a modality with one file per trial",
                        "recordings that hold many trials", "give a table of ratings instead")
    return file, Events(form.trial_type, form.trial)


def _table(where: Path, key: str, entry: Any, usual: Dialect) -> Table:
    at = f"{where}: {key}"
    if not isinstance(entry, dict) or "file" not in entry:
        parse(TableForm, entry, where, key)  # which says what is wrong
    said = entry.get("format")
    files, kind = _files(at, entry["file"], None if said is None else _text(f"{at}.format", said))
    if kind != TABLE:
        device = parse(DeviceForm, entry, where, key)
        sources, columns = _columns(f"{at}.columns", device.columns)
        gap_s = float("inf") if device.max_gap_s is None else device.max_gap_s  # its samples carry their times
        return Table(files, columns, device.sfreq_hz, device.unit, None, Clock(device.sfreq_hz, gap_s, origin="trial"),
                     device.past_end == "cut", usual, sources, kind, device.stream, device.offset_s)
    form = parse(TableForm, entry, where, key)
    sources, columns = _columns(f"{at}.columns", form.columns)
    dialect = _dialect(f"{at}.decimal", form.separator or usual.separator, form.decimal or usual.decimal)
    return Table(files, columns, form.sfreq_hz, form.unit, form.time_column, _clock(at, form),
                 form.past_end == "cut", dialect, sources, kind)


def _files(where: str, raw: Any, said: str | None) -> tuple[tuple[str, ...], str]:
    """The patterns of a modality's files and their format: one, or a list of those that are one recording."""
    at, where = where, f"{where}.file"
    names = _names(where, raw) if isinstance(raw, list) else (raw,)
    files = tuple(_inside(where, name) for name in names)
    forms = {format_of(at, file, said) for file in files}
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


def _offsets(where: str, raw: Mapping[str, float], tables: Mapping[str, Table]) -> Mapping[str, float]:
    """By the names of files, below the folder of ``dataset.yaml``."""
    files = dict.fromkeys(file for table in tables.values() if table.is_device for file in table.files)
    for name in raw:
        if not any(ids_in(name, file) for file in files):
            raise bad_input(where, f"the name {shown(name)}", f"the name of a file of {' '.join(files)}", "correct it")
    return raw


def _columns(where: str, value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the file calls the channels, and their names: the same where a list is given."""
    if not isinstance(value, dict):
        names = _names(where, value)
        return names, names
    return _names(where, list(value)), _names(where, list(value.values()))


def _trials(where: str, form: Trials, tables: Mapping[str, Table]) -> Trials:
    devices = [name for name, table in tables.items() if table.is_device]
    if form != Trials() and not devices:
        raise bad_input(where, "trials, and tables alone", "modalities with files of devices", "remove trials")
    start, end = (None if mark is None else _mark(f"{where}.{key}", mark)
                  for key, mark in (("start", form.start), ("end", form.end)))
    if end is not None and start is None:
        raise bad_input(where, "end without start", "both, or start alone", "say which marker starts a trial")
    clock = form.clock
    if clock is None and len({tables[name].files for name in devices}) == 1:
        clock = devices[0]
    if clock is not None and clock not in devices:
        raise bad_input(f"{where}.clock", shown(clock), f"one of {' '.join(devices)}", "correct the value")
    if start is not None and clock is None:
        raise bad_input(where, "start, and several files", "clock, too", "say in which modality's file the markers are")
    if clock is not None and tables[clock].offset_s is not None:
        raise bad_input(f"{where}.clock", f"{clock}, which has offset_s", "a modality without offset_s",
                        "offset_s says where on that clock another file begins")
    return Trials(clock, start, end)


def _mark(where: str, value: str) -> str:
    mark = " ".join(value.split())
    if not mark or PLACEHOLDER.findall(mark) not in ([], ["trial"]):
        raise bad_input(where, shown(value), "the text of a marker, with {trial} in it or without", "correct it")
    return mark


def _zone(where: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(ZoneInfo(value))
    except (KeyError, ValueError, OSError) as error:  # an unknown zone; a name that is none; the name of a folder
        raise bad_input(where, shown(value), "a time zone such as Europe/Berlin", "correct it") from error


def _clock(where: str, form: TableForm) -> Clock:
    if (form.time_column is None) != (form.max_gap_s is None):
        raise bad_input(where, "only one of time_column and max_gap_s", "both or neither",
                        "say the longest gap in seconds that may be bridged between time stamps")
    if form.max_gap_s is not None:
        return Clock(form.sfreq_hz, form.max_gap_s, form.time_unit or "s", form.time_origin)
    for key in ("time_unit", "time_origin"):
        if getattr(form, key) is not None:
            raise bad_input(where, f"{key} without time_column", "both or neither", "name the column of times")
    return Clock(form.sfreq_hz, float("inf"))


def _dialect(where: str, separator: str, decimal: str) -> Dialect:
    if separator == decimal:
        raise bad_input(where, "the comma both between fields and before decimals", "two marks",
                        'say separator: ";" if that is what the files have')
    return Dialect(separator, decimal)


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_input(where, shown(value), "text", "put it in quotes")
    return value


def _names(where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise bad_input(where, shown(value), "a list of names", "write [a, b]; quote names that look like numbers")
    if len(set(value)) < len(value):
        raise bad_input(where, shown(value), "every name once", "remove the repeated name")
    return tuple(value)


def _inside(where: str, value: Any) -> str:
    """A relative file name that cannot leave the folder."""
    path = Path(_text(where, value))
    if path.is_absolute() or ".." in path.parts or not path.parts or not value.isprintable():
        raise bad_input(where, shown(value), "a file name below the folder of dataset.yaml", "correct it")
    return path.as_posix()
