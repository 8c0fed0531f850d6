"""A user's own folder of tables as a data set: described in ``dataset.yaml``, no code to write.

``docs/your-own-data.md`` explains every key. Files are CSV or Parquet tables, one a trial and
modality; a file that is absent means that the modality is missing for that trial. People who have files and no row
in the ratings table have no ratings. A trial starts at time 0 and lasts ``duration_s`` of the ratings table or,
without that column, as long as its longest signal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from himoe.datasets.base import Channels, Dataset, Inventory
from himoe.datasets.grid import check_times, on_grid
from himoe.errors import InputError, bad_input
from himoe.files import require_file
from himoe.recordings import Annotations, Session, Signal, Trial, check_dimension, check_modality

if TYPE_CHECKING:
    import pandas as pd

DESCRIPTION = "dataset.yaml"
REQUIRED = {"name", "title", "licence", "dimensions", "scale", "threshold", "modalities", "ratings"}
OPTIONAL = {"annotations", "citation", "doi", "access", "redistributable", "default_off"}
MODALITY_REQUIRED = {"file", "columns", "sfreq_hz", "unit"}
MODALITY_OPTIONAL = {"time_column", "max_gap_s"}
LONGEST_S = 86400.0  # a trial of more than a day: a clock time or milliseconds
PLACEHOLDER = re.compile(r"\{(.*?)\}")


@dataclass(frozen=True)
class Table:
    """Where one modality lies: file pattern, value columns, rate; time column and longest gap if irregular."""

    file: str
    columns: tuple[str, ...]
    sfreq_hz: float
    unit: str
    time_column: str | None
    max_gap_s: float


@dataclass(frozen=True)
class Description:
    """The checked content of ``dataset.yaml`` that reading needs."""

    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    tables: Mapping[str, Table]
    ratings: str
    annotations: str | None
    default_off: tuple[str, ...]


def folder_dataset(root: Path) -> Dataset:
    """The form of the data set described in ``root/dataset.yaml``.

    Raises
    ------
    InputError
        For an unknown or missing key, an unknown modality or dimension, or a value of the wrong kind.
    """
    raw = _load(root / DESCRIPTION)
    description = _description(root / DESCRIPTION, raw)
    where = root / DESCRIPTION
    def text(key: str, default: str | None = None) -> str:
        return _text(f"{where}: {key}", raw.get(key, default))

    redistributable = raw.get("redistributable", False)
    if not isinstance(redistributable, bool):
        raise bad_input(f"{where}: redistributable", repr(redistributable), "true or false", "correct the value")
    return Dataset(
        name=text("name"), title=text("title"), citation=text("citation", ""), doi=text("doi", ""),
        licence=text("licence"), access=text("access", "Files of the user."), redistributable=redistributable,
        dimensions=description.dimensions, scale=description.scale,
        thresholds=(_number(f"{where}: threshold", raw["threshold"]),),
        modalities={name: Channels(table.columns, None if table.time_column else table.sfreq_hz, table.unit)
                    for name, table in description.tables.items()},
        inspect=partial(_inspect, description), read=partial(_read, description),
        default_off=description.default_off)


def file_patterns(root: Path) -> tuple[str, ...]:
    """Glob patterns, relative to *root*, of the files the description names."""
    description = _description(root / DESCRIPTION, _load(root / DESCRIPTION))
    names = [table.file for table in description.tables.values()]
    names += [description.ratings] + ([description.annotations] if description.annotations else [])
    return (DESCRIPTION, *(PLACEHOLDER.sub("*", re.sub(r"([*?[])", r"[\1]", name)) for name in names))


# --- dataset.yaml -------------------------------------------------------------------------------


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        raw = yaml.safe_load(require_file(path).read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_input(path, f"text that is not YAML ({' '.join(str(error).split())})", "a YAML mapping",
                        "correct it") from error
    _check_keys(str(path), raw, REQUIRED, OPTIONAL)
    return raw


def _check_keys(where: str, raw: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(raw, dict):
        raise bad_input(where, type(raw).__name__, "a mapping of keys to values", "see docs/your-own-data.md")
    for unknown in sorted(map(str, set(raw) - required - optional)):
        raise bad_input(where, f"the unknown key {unknown!r}", "keys " + " ".join(sorted(required | optional)),
                        "correct or remove it")
    for missing in sorted(required - set(raw)):
        raise bad_input(where, f"no key {missing!r}", "that key", "add it, see docs/your-own-data.md")


def _description(where: Path, raw: Mapping[str, Any]) -> Description:
    dimensions = _names(f"{where}: dimensions", raw["dimensions"])
    for dimension in dimensions:
        _checked(where, check_dimension, dimension)
    scale = raw["scale"]
    if not isinstance(scale, list) or len(scale) != 2:
        raise bad_input(f"{where}: scale", repr(scale), "[lowest, highest]", "correct the value")
    low, high = (_number(f"{where}: scale", value) for value in scale)
    if not low < high:
        raise bad_input(f"{where}: scale", repr(scale), "lowest below highest", "correct the value")
    if not isinstance(raw["modalities"], dict) or not raw["modalities"]:
        raise bad_input(f"{where}: modalities", repr(raw["modalities"]), "at least one modality", "add one")
    tables = {_checked(where, check_modality, name): _table(f"{where}: modalities: {name}", entry)
              for name, entry in raw["modalities"].items()}
    default_off = _names(f"{where}: default_off", raw.get("default_off", []), empty=True)
    if set(default_off) - set(tables):
        raise bad_input(f"{where}: default_off", " ".join(default_off), "modalities of this file", "correct the names")
    annotations = raw.get("annotations")
    return Description(
        dimensions, (low, high), tables, _inside(f"{where}: ratings", raw["ratings"]),
        None if annotations is None else _inside(f"{where}: annotations", annotations), default_off)


def _checked(where: object, check: Any, name: Any) -> str:
    try:
        return check(name)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _table(where: str, entry: Any) -> Table:
    _check_keys(where, entry, MODALITY_REQUIRED, MODALITY_OPTIONAL)
    time_column, max_gap_s = entry.get("time_column"), float("inf")
    if (time_column is None) != ("max_gap_s" not in entry):
        raise bad_input(where, "only one of time_column and max_gap_s", "both or neither",
                        "say the longest gap in seconds that may be bridged between time stamps")
    if time_column is not None:
        time_column = _text(f"{where}: time_column", time_column)
        max_gap_s = _above_zero(f"{where}: max_gap_s", entry["max_gap_s"])
    file = _inside(f"{where}: file", entry["file"])
    found = PLACEHOLDER.findall(file)
    if sorted(found) != ["subject", "trial"]:
        raise bad_input(f"{where}: file", repr(file), "a name with {subject} and {trial} once each", "correct it")
    if Path(file).suffix not in (".csv", ".parquet"):
        raise bad_input(f"{where}: file", repr(file), "a name that ends in .csv or .parquet", "convert the files")
    return Table(file, _names(f"{where}: columns", entry["columns"]),
                 _above_zero(f"{where}: sfreq_hz", entry["sfreq_hz"]), _text(f"{where}: unit", entry["unit"]),
                 time_column, max_gap_s)


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_input(where, repr(value), "text", "put it in quotes")
    return value


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise bad_input(where, repr(value), "a number", "correct the value")
    return float(value)


def _above_zero(where: str, value: Any) -> float:
    if _number(where, value) <= 0:
        raise bad_input(where, repr(value), "a number above 0", "correct the value")
    return float(value)


def _names(where: str, value: Any, empty: bool = False) -> tuple[str, ...]:
    if not isinstance(value, list) or not (value or empty) or not all(isinstance(name, str) for name in value):
        raise bad_input(where, repr(value), "a list of names", "write [a, b]; quote names that look like numbers")
    if len(set(value)) < len(value):
        raise bad_input(where, repr(value), "every name once", "remove the repeated name")
    return tuple(value)


def _inside(where: str, value: Any) -> str:
    """A relative file name that cannot leave the folder."""
    path = Path(_text(where, value))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise bad_input(where, repr(value), "a file name below the folder of dataset.yaml", "correct it")
    return path.as_posix()


# --- tables -------------------------------------------------------------------------------------


def _read_table(path: Path, texts: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    """The named columns as text and as float64; an empty cell is NaN in a number column only."""
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(require_file(path))
        else:
            table = pd.read_csv(require_file(path), encoding="utf-8-sig", dtype=str)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        if isinstance(error, InputError):
            raise
        raise bad_input(path, f"a file that cannot be read ({error})", "a table", "write it again") from error
    for name in (*texts, *numbers):
        if name not in table:
            raise bad_input(path, f"no column {name!r} among {', '.join(map(str, table.columns)) or 'none'}",
                            "that column", "correct the file or dataset.yaml")
    for name in texts:
        _refuse(path, name, table[name], table[name].isna(), "text in every row")
        table[name] = table[name].astype(str)
    for name in numbers:
        values = pd.to_numeric(table[name], errors="coerce").astype(float)
        _refuse(path, name, table[name], (values.isna() & table[name].notna()) | np.isinf(values), "a number")
        table[name] = values
    return table


def _refuse(path: Path, column: str, values: pd.Series, wrong: pd.Series, expected: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong.to_numpy()))
        raise bad_input(f"{path}: row {row + 1}, column {column!r}", repr(values.iloc[row]), expected,
                        "correct that cell")


def _ratings(description: Description, root: Path) -> pd.DataFrame:
    path = root / description.ratings
    table = _read_table(path, ("subject", "trial"), description.dimensions)
    optional = [name for name in ("stimulus", "duration_s") if name in table]
    if optional:
        table = _read_table(path, ("subject", "trial", *(name for name in optional if name == "stimulus")),
                            (*description.dimensions, *(name for name in optional if name == "duration_s")))
    for name in ("subject", "trial"):
        unsafe = table[name].map(lambda text: Path(text).name != text or text == "..")
        _refuse(path, name, table[name], unsafe, "an id without slashes")
    _refuse(path, "trial", table["trial"], table.duplicated(["subject", "trial"]), "every subject and trial once")
    low, high = description.scale
    for name in description.dimensions:
        _refuse(path, name, table[name], (table[name] < low) | (table[name] > high), f"a rating in {low:g}..{high:g}")
    if "duration_s" in table:
        _refuse(path, "duration_s", table["duration_s"], ~(table["duration_s"] > 0), "seconds above 0")
    return _with_unlisted(description, root, table)


def _with_unlisted(description: Description, root: Path, ratings: pd.DataFrame) -> pd.DataFrame:
    """The ratings and, below them, a row without a rating for each trial of people who have files and no row."""
    import pandas as pd

    listed = set(ratings["subject"])
    found = sorted({ids for ids in _trials_on_disk(description, root, listed) if ids[0] not in listed})
    if not found:
        return ratings
    rows = pd.DataFrame(found, columns=["subject", "trial"])
    if "stimulus" in ratings:
        rows["stimulus"] = rows["trial"]
    return pd.concat([ratings, rows], ignore_index=True)


def _trials_on_disk(description: Description, root: Path, people: Set[str]) -> Iterator[tuple[str, str]]:
    """(subject, trial) of the files that fit a pattern, each told by the pattern that says most of its name.

    Names that fit one of the *people* are theirs.
    """
    seen = {description.ratings, description.annotations}
    for pattern in sorted({table.file for table in description.tables.values()}, key=lambda file: -len(file)):
        for path in root.glob(PLACEHOLDER.sub("*", re.sub(r"([*?[])", r"[\1]", pattern))):
            name = path.relative_to(root).as_posix()
            if name in seen or not path.is_file():
                continue
            seen.add(name)
            known = (_ids_in(name, pattern, re.escape(person)) for person in sorted(people))
            ids = next((one for one in known if one), None) or _ids_in(name, pattern, "[^/]+?")
            if ids is not None:
                yield ids


def _ids_in(name: str, pattern: str, subject: str) -> tuple[str, str] | None:
    """Subject and trial in a file's name; *subject* is a regular expression of the subjects looked for."""
    groups = {"subject": f"(?P<subject>{subject})", "trial": "(?P<trial>[^/]+?)"}
    parts = PLACEHOLDER.split(pattern)  # text, name, text, name, text
    match = re.fullmatch("".join(groups[part] if k % 2 else re.escape(part) for k, part in enumerate(parts)), name)
    return (match["subject"], match["trial"]) if match else None


def _annotations(description: Description, root: Path, subject: str) -> dict[str, Annotations]:
    if description.annotations is None:
        return {}
    path = root / description.annotations
    table = _read_table(path, ("subject", "trial"), ("time_s", *description.dimensions))
    found = {}
    for trial, rows in table[table["subject"] == subject].groupby("trial", sort=True):
        time_s = rows["time_s"].to_numpy()
        check_times(f"{path}: subject {subject}, trial {trial}: time_s", time_s)
        found[str(trial)] = Annotations(time_s, {name: rows[name].to_numpy() for name in description.dimensions})
    return found


def _path(root: Path, table: Table, subject: str, trial: str) -> Path:
    # str.format would also evaluate attributes of its arguments; plain replacement cannot.
    values = {"subject": subject, "trial": trial}
    return root / PLACEHOLDER.sub(lambda match: values[match[1]], table.file)


def _signal(path: Path, table: Table) -> Signal:
    times = () if table.time_column is None else (table.time_column,)
    rows = _read_table(path, (), (*times, *table.columns))
    values = rows[list(table.columns)].to_numpy().T
    if table.time_column is not None and len(rows):
        time_s = rows[table.time_column].to_numpy()
        check_times(f"{path}: {table.time_column}", time_s)
        if time_s[-1] > LONGEST_S:
            raise bad_input(f"{path}: {table.time_column}", f"{time_s[-1]:g} s", "seconds from the trial's start",
                            "subtract the start and convert to seconds")
        n_samples = max(int(np.floor(time_s[-1] * table.sfreq_hz + 1e-6)) + 1, 0)
        values = on_grid(time_s, values, table.sfreq_hz, n_samples, table.max_gap_s)
    return Signal(values.astype(np.float32), table.sfreq_hz, table.columns, table.unit)


def _inspect(description: Description, root: Path, options: Mapping[str, str]) -> Inventory:
    """Subjects with at least one file; every file that is absent."""
    del options
    ratings = _ratings(description, root)
    missing, readable = [], set()
    for subject, trial in zip(ratings["subject"], ratings["trial"], strict=True):
        for table in description.tables.values():
            path = _path(root, table, subject, trial)
            if path.is_file():
                readable.add(subject)
            else:
                missing.append(path.relative_to(root).as_posix())
    if not readable:
        raise bad_input(root, "no signal file of any trial", f"files such as {missing[0] if missing else 'a trial'}",
                        "check the file patterns in dataset.yaml")
    unread = sorted(set(ratings["subject"]) - readable)
    problems = (f"No signal file at all for {' '.join(unread)}.",) if unread else ()
    return Inventory(tuple(sorted(readable)), tuple(missing), problems)


def _read(description: Description, root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """Yield one session a trial, in the order of the ratings table and unrated ones last; those without files never."""
    asked = set(options.get("modalities", "").replace(",", " ").split())
    wanted = asked or set(description.tables) - set(description.default_off)
    ratings = _ratings(description, root)
    ratings = ratings[ratings["subject"] == subject]
    if ratings.empty:
        raise bad_input(root / description.ratings, f"no row of subject {subject!r}", "at least one", "correct the id")
    annotations = _annotations(description, root, subject)
    for row in ratings.to_dict("records"):
        trial = str(row["trial"])
        paths = {name: _path(root, table, subject, trial) for name, table in description.tables.items()}
        signals = {name: _signal(path, description.tables[name]) for name, path in paths.items()
                   if name in wanted and path.is_file()}
        signals = {name: signal for name, signal in signals.items() if signal.data.size}
        if signals:
            duration_s = float(row.get("duration_s", np.nan))
            if np.isnan(duration_s):
                duration_s = max(signal.duration_s for signal in signals.values())
            rating = {name: float(row[name]) for name in description.dimensions}
            yield Session(subject, signals, (Trial(trial, str(row.get("stimulus", trial)), 0.0, duration_s,
                                                   rating, annotations.get(trial)),))
