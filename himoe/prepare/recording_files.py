"""Clean trials on disk: two Parquet tables per subject and one description per set, all open with pandas.

``signals/<subject>.parquet``: one row per trial, modality and channel (trial, modality, channel, sfreq_hz, unit,
samples). ``trials/<subject>.parquet``: one row per trial (session, stimulus, duration_s,
ratings, annotations).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from himoe.core.checksums import checked, write_sums
from himoe.core.errors import InputError
from himoe.core.files import atomic_path, read_json, write_json
from himoe.core.long_arrays import is_long, let_go, room
from himoe.core.recordings import DIMENSIONS, Annotations, Recording, Signal
from himoe.core.sealed import SealedFile, open_table, seal, write_table

REMAKE = "remove the set's folder and run the preprocess stage again"
SHOWN = 8  # channel names in a message
SIGNAL_SCHEMA = pa.schema([
    ("subject", pa.string()), ("trial", pa.string()), ("modality", pa.string()), ("channel", pa.string()),
    ("sfreq_hz", pa.float64()), ("unit", pa.string()), ("samples", pa.list_(pa.float32())),
])


def write_recordings(folder: Path, subject: str, recordings: Iterable[Recording]) -> dict[str, Any]:
    """Write one subject's trials as they come (memory holds one at a time); returns what they are.

    The description maps ``modalities`` to channels, sfreq_hz and unit, and says whether any trial is
    annotated over time. The two files appear only when both are whole.
    """
    trials: list[dict[str, Any]] = []
    modalities: dict[str, dict[str, Any]] = {}
    with (atomic_path(folder / "trials" / f"{subject}.parquet") as trial_path,
          atomic_path(folder / "signals" / f"{subject}.parquet") as signal_path):
        with pq.ParquetWriter(signal_path, SIGNAL_SCHEMA, compression="none", write_page_checksum=True) as writer:
            for recording in recordings:
                trials.append(_trial_row(recording))
                for modality, signal in recording.signals.items():
                    _agree(modalities, modality, signal, f"subject {subject} trial {recording.trial}")
                for rows in _signal_rows(recording):
                    writer.write_table(rows)
        if not trials:
            raise InputError(f"subject {subject}: found no trial, expected at least one; leave the subject out.")
        seal(signal_path)
        write_table(pa.Table.from_pandas(pd.DataFrame(trials), preserve_index=False), trial_path)
    return {"subject": subject, "modalities": modalities,
            "annotated": any(len(row["annotation_time_s"]) > 0 for row in trials)}


def _agree(modalities: dict[str, dict[str, Any]], modality: str, signal: Signal, where: str) -> None:
    found = {"channels": list(signal.ch_names), "sfreq_hz": signal.sfreq_hz, "unit": signal.unit}
    expected = modalities.setdefault(modality, found)
    if found != expected:
        raise InputError(f"{where}: {modality} is {_shown(found)}, expected {_shown(expected)} as in the trials "
                         "before; set preprocess rates so that all recordings agree, or leave the trial out.")


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry for a message, with a few of its channels."""
    names = entry["channels"]
    return {**entry, "channels": names if len(names) <= SHOWN else [*names[:SHOWN], f"... {len(names) - SHOWN} more"]}


def _trial_row(recording: Recording) -> dict[str, Any]:
    row: dict[str, Any] = {"subject": recording.subject, "session": recording.session, "trial": recording.trial,
                           "stimulus": recording.stimulus, "duration_s": recording.duration_s}
    annotations = recording.annotations
    row["annotation_time_s"] = np.empty(0) if annotations is None else annotations.time_s.astype(np.float64)
    for dimension in DIMENSIONS:
        row[f"rating_{dimension}"] = float(recording.ratings.get(dimension, np.nan))
        values = None if annotations is None else annotations.values.get(dimension)
        row[f"annotation_{dimension}"] = np.empty(0) if values is None else np.asarray(values, dtype=np.float64)
    return row


def _signal_rows(recording: Recording) -> Iterator[pa.Table]:
    """A trial's rows: one table, or of a long trial one per channel, so that memory holds one channel."""
    rows = ((recording.subject, recording.trial, modality, channel, signal.sfreq_hz, signal.unit, samples)
            for modality, signal in recording.signals.items()
            for channel, samples in zip(signal.ch_names, signal.data, strict=True))
    at_once = 1 if is_long(sum(signal.data.nbytes for signal in recording.signals.values())) else None
    while part := list(islice(rows, at_once)):
        yield pa.table(dict(zip(SIGNAL_SCHEMA.names, map(list, zip(*part, strict=True)), strict=True)),
                       schema=SIGNAL_SCHEMA)
        for row in part:
            let_go(row[-1])


def read_recordings(folder: Path, subject: str) -> list[Recording]:
    """Read one subject's trials back, in the order they were written; InputError if a file is damaged."""
    trials = open_table(folder / "trials" / f"{subject}.parquet", "a table of trials", REMAKE).read().to_pandas()
    file = open_table(folder / "signals" / f"{subject}.parquet", "a table of signals", REMAKE)
    if is_long(4 * _values(file)):
        return list(_long_recordings(trials, file))
    table = file.read()
    signals: dict[str, dict[str, list[tuple[str, float, str, np.ndarray]]]] = {}
    names = table.drop_columns(["samples"]).to_pylist()
    for row, samples in zip(names, table.column("samples"), strict=True):
        entry = (row["channel"], row["sfreq_hz"], row["unit"], samples.values.to_numpy(zero_copy_only=False))
        signals.setdefault(row["trial"], {}).setdefault(row["modality"], []).append(entry)
    return [_recording(row, signals.get(row["trial"], {})) for row in trials.to_dict("records")]


def _values(file: SealedFile) -> int:
    """Samples of all channels; the file's size does not tell, values that come again are written once."""
    about, column = file.file.metadata, SIGNAL_SCHEMA.get_field_index("samples")
    return sum(int(about.row_group(group).column(column).num_values) for group in range(about.num_row_groups))


def _long_recordings(trials: pd.DataFrame, file: SealedFile) -> Iterator[Recording]:
    """Trials whose samples stay on disk; they are read channel by channel."""
    names = file.read([name for name in SIGNAL_SCHEMA.names if name != "samples"]).to_pandas()
    groups = list(names.groupby(["trial", "modality"], sort=False))
    kept: dict[str, dict[str, Signal]] = {}
    samples = (batch.column(0)[0].values.to_numpy(zero_copy_only=False) for batch in file.batches(["samples"], 1))
    for (trial, modality), rows in groups:
        first = next(samples)
        data = room((len(rows), len(first)))
        for channel, values in enumerate(chain([first], islice(samples, len(rows) - 1))):
            data[channel] = values
            let_go(data)
        kept.setdefault(trial, {})[modality] = Signal(data, float(rows["sfreq_hz"].iloc[0]), tuple(rows["channel"]),
                                                      str(rows["unit"].iloc[0]))
    for row in trials.to_dict("records"):
        yield replace(_recording(row, {}), signals=kept.get(row["trial"], {}))


def _recording(row: Mapping[Any, Any], channels: dict[str, list[tuple[str, float, str, np.ndarray]]]) -> Recording:
    signals = {m: Signal(np.stack([c[3] for c in rows]), rows[0][1], tuple(c[0] for c in rows), rows[0][2])
               for m, rows in channels.items()}
    annotations = None
    if len(row["annotation_time_s"]):
        values = {d: row[f"annotation_{d}"] for d in DIMENSIONS if len(row[f"annotation_{d}"])}
        annotations = Annotations(row["annotation_time_s"], values)
    ratings = {d: row[f"rating_{d}"] for d in DIMENSIONS}
    return Recording(row["subject"], row["trial"], row["stimulus"], row["duration_s"], signals, ratings, annotations,
                     row["session"])


def merge_descriptions(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One description of all subjects; a modality some lack is kept, one that differs is refused."""
    merged: dict[str, Any] = {"subjects": [], "modalities": {}, "annotated": False}
    for part in sorted(parts, key=lambda p: p["subject"]):
        merged["subjects"].append(part["subject"])
        merged["annotated"] = merged["annotated"] or part["annotated"]
        for modality, found in part["modalities"].items():
            expected = merged["modalities"].setdefault(modality, found)
            if found != expected:
                raise InputError(f"subject {part['subject']}: {modality} is {_shown(found)}, expected "
                                 f"{_shown(expected)} as for the subjects before; set a common preprocess rate or "
                                 "leave the subject out.")
    return merged


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write the set's description, ``set.json``, and the checksums of the folder's JSON files."""
    write_json(folder / "set.json", description)
    write_sums(folder, "*.json")


def read_description(folder: Path) -> dict[str, Any]:
    """Read the set's description, ``set.json``; InputError if it is not as it was written."""
    return read_json(checked(folder / "set.json", REMAKE))
