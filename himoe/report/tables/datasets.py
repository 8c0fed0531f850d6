"""What each data set holds, computed from the data as read, beside what the paper prints: Tables 1 and 7."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from himoe.report.tables.rows import Inputs, beside_the_paper, set_label
from himoe.report.tables.table import Cell, Table
from himoe.scoring.paper import load_paper_datasets, paper_fact
from himoe.scoring.results import RunResult, provenance

NOT_READ = "not read"
Facts = Mapping[str, Any]


def table1(inputs: Inputs) -> Table | None:
    """The paper's two main data sets."""
    return _table(1, "Data sets", inputs, own=False)


def table7(inputs: Inputs) -> Table | None:
    """The paper's four data sets, then those that only we have read; these alone where none of the paper's was read."""
    return _table(7, "Data sets, all", inputs, own=True)


def _table(table: int, text: str, inputs: Inputs, own: bool) -> Table | None:
    read: dict[str, RunResult] = {}  # the first run on each data set
    for run in inputs.results.values():
        read.setdefault(run.metrics["set"], run)
    published = load_paper_datasets()
    in_paper = list(published.loc[published["table"] == table, "dataset"].unique())
    if not any(name in read for name in in_paper):
        in_paper = []
    sets = in_paper + [name for name in read if own and name not in in_paper]
    runs = [read[name] for name in sets if name in read]
    if not runs:
        return None
    columns, cells = ["Fact"], []
    counted = {name: read[name].facts() for name in sets if name in read}
    for name in sets:
        columns.append(f"{read[name].data}, as read" if name in read else f"{set_label(name)}, {NOT_READ}")
        columns += [f"{set_label(name)}, paper"] if name in in_paper else []
    for key, (label, computed) in FACTS.items():
        line: list[Cell] = [label]
        for name in sets:
            line.append(NOT_READ if name not in counted else computed(counted[name]) if computed else None)
            line += [paper_fact(table, name, key)] if name in in_paper else []
        cells.append(tuple(line))
    notes = ("As read: counted in the files before any filter. — = not in the data, or not published.",
             *(["PPS in the paper: every signal but EEG and face video."] if in_paper else []),
             *_simulated_notes(runs))
    return Table(f"table{table}", f"Table {table}. {text}: {provenance(runs)}{beside_the_paper('facts', runs)}",
                 tuple(columns), tuple(cells), notes)


def _simulated_notes(runs: Sequence[RunResult]) -> list[str]:
    simulated = [run.data for run in runs if run.metrics["simulated"]]
    return [f"{', '.join(simulated)}: the numbers of people and trials are those simulated, not those of the real "
            "recordings."] if simulated else []


def _trials(facts: Facts) -> str:
    return _range(facts["trials_min"], facts["trials_max"])


def _modalities(facts: Facts) -> str:
    return ", ".join(_incomplete(name, entry, facts) for name, entry in facts["modalities"].items()
                     if name != "FACE")


def _incomplete(name: str, entry: Mapping[str, Any], facts: Facts) -> str:
    return name if entry["recordings"] == facts["recordings"] else (
        f"{name} ({entry['recordings']} of {facts['recordings']} recordings)")


def _face(facts: Facts) -> str:
    face = facts["modalities"].get("FACE")
    return f"{face['recordings']} of {facts['recordings']} recordings" if face else "none read"


def _channels(facts: Facts) -> str:
    return ", ".join(f"{name} {entry['channels']}" for name, entry in facts["modalities"].items())


def _rates(facts: Facts) -> str:
    return ", ".join(f"{name} {entry['sfreq_hz']:g} Hz" for name, entry in facts["modalities"].items())


def _scale(facts: Facts) -> str | None:
    return _range(*facts["scale"]) if facts["scale"] else None


def _length(facts: Facts) -> str | None:
    return _range(*facts["length_s"]) if facts["length_s"] else None


def _dimensions(facts: Facts) -> str:
    return ", ".join(f"{name} ({_range(*seen)} seen)" if None not in seen else name
                     for name, seen in facts["dimensions"].items())


def _annotation(facts: Facts) -> str:
    return {"trial": "one rating per trial", "continuous": "ratings over time"}.get(
        facts["annotation"], str(facts["annotation"]))


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


# Key in paper_datasets.csv -> printed name, how we compute it (None: the files do not say).
FACTS: dict[str, tuple[str, Callable[[Facts], Cell] | None]] = {
    "subjects": ("Subjects", lambda facts: facts["subjects"]),
    "stimuli": ("Stimuli", None),
    "trials": ("Trials per subject", _trials),
    "sessions": ("Sessions per subject", lambda facts: facts["sessions"]),
    "recordings": ("Recordings", lambda facts: facts["recordings"]),
    "modalities": ("Signals", _modalities),
    "face": ("Face video", _face),
    "channels": ("Channels", _channels),
    "rates": ("Recorded rates", _rates),
    "scale": ("Rating scale", _scale),
    "dimensions": ("Dimensions", _dimensions),
    "annotation": ("Annotation", _annotation),
    "length_s": ("Length of a trial (s)", _length),
}
