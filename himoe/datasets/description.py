"""``dataset.yaml``: what a user's own folder of tables says of itself, checked key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from himoe.datasets.bounded_yaml import load_yaml, shown
from himoe.datasets.clock import ORIGINS, UNITS, Clock
from himoe.datasets.texttable import SEPARATORS, Dialect
from himoe.errors import InputError, bad_input
from himoe.recordings import check_dimension, check_modality

DESCRIPTION = "dataset.yaml"
DIALECT = {"separator", "decimal"}
REQUIRED = {"name", "title", "licence", "dimensions", "scale", "threshold", "modalities", "ratings"}
OPTIONAL = {"annotations", "citation", "doi", "access", "redistributable", "default_off", *DIALECT}
MODALITY_REQUIRED = {"file", "columns", "sfreq_hz", "unit"}
MODALITY_OPTIONAL = {"time_column", "max_gap_s", "time_unit", "time_origin", "past_end", *DIALECT}
PAST_END = ("refuse", "cut")
PLACEHOLDER = re.compile(r"\{(.*?)\}")
LONGEST_NAME = 100
ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True)
class Table:
    """Where one modality lies: file pattern, value columns, rate, unit; time column and clock if irregular."""

    file: str
    columns: tuple[str, ...]
    sfreq_hz: float
    unit: str
    time_column: str | None
    clock: Clock
    cut_past_end: bool
    dialect: Dialect


@dataclass(frozen=True)
class Description:
    """The checked content of ``dataset.yaml`` that reading needs."""

    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    tables: Mapping[str, Table]
    ratings: str
    annotations: str | None
    default_off: tuple[str, ...]
    dialect: Dialect


def load_description(root: Path) -> tuple[dict[str, Any], Description]:
    """The mapping in ``root/dataset.yaml``, and what reading needs of it.

    Raises
    ------
    InputError
        For an unknown or missing key, an unknown modality or dimension, or a value of the wrong kind.
    """
    where = root / DESCRIPTION
    raw = load_yaml(where)
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
    return Description(
        dimensions, (low, high), tables, _inside(f"{where}: ratings", raw["ratings"]),
        None if annotations is None else _inside(f"{where}: annotations", annotations), default_off, dialect)


def _checked(where: object, check: Any, name: Any) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise bad_input(where, f"the name {shown(name)}", "a name of a few letters", "correct it")
    try:
        return check(name)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _table(where: str, entry: Any, usual: Dialect) -> Table:
    _check_keys(where, entry, MODALITY_REQUIRED, MODALITY_OPTIONAL)
    file = _inside(f"{where}: file", entry["file"])
    found = PLACEHOLDER.findall(file)
    if sorted(found) != ["subject", "trial"]:
        raise bad_input(f"{where}: file", shown(file), "a name with {subject} and {trial} once each", "correct it")
    if Path(file).suffix not in ENDINGS:
        raise bad_input(f"{where}: file", shown(file), "a name that ends in .csv or .parquet", "convert the files")
    sfreq_hz = _above_zero(f"{where}: sfreq_hz", entry["sfreq_hz"])
    time_column, clock = _clock(where, entry, sfreq_hz)
    past_end = _one_of(f"{where}: past_end", entry.get("past_end", "refuse"), PAST_END)
    return Table(file, _names(f"{where}: columns", entry["columns"]), sfreq_hz,
                 text(f"{where}: unit", entry["unit"]), time_column, clock, past_end == "cut",
                 _dialect(where, entry, usual))


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
