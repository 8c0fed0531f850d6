"""Sliding windows, their labels, and the Parquet shards that hold them.

A shard is one subject's windows. Signals are ``fixed_size_binary`` columns (C × W little-endian float32,
row-major), null where the modality is missing: they scan several times faster than list columns and map
onto arrays without a copy. ``read_shard`` gives named numpy arrays; ``pandas.read_parquet`` opens any shard.

Legend: n windows, C channels, W samples per window, D dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures.thread import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from himoe.core.disk_array import DiskArray
from himoe.core.errors import InputError, bad_input
from himoe.core.files import atomic_path, require_folder
from himoe.core.long_arrays import is_long, let_go
from himoe.core.recordings import Recording
from himoe.core.sealed import SealedFile, open_table, write_tables
from himoe.prepare.labels import continuous_label
from himoe.prepare.window_arrays import CUT_ROWS, WindowArray, room_for

if TYPE_CHECKING:  # who reads shards needs none of their checks
    from himoe.core.params import WindowParams
    from himoe.prepare.asynchrony import Asynchrony, TrialTiming

FORMAT_VERSION = 2
METADATA_KEY = b"himoe"
SCAN_ROWS = 32  # windows copied at once when shards are read into memory
READERS = 2  # shards read at once; each reader holds SCAN_ROWS windows
ROW_GROUP = 32  # windows; measured: larger groups slow random access, smaller ones slow scans
PERSON_UNIT = "SDs of the person"  # of features that are deviations from the person's own mean
STAMP = "stamp_s_"  # before a modality's name: when its window begins by the sensor's own clock, if not by the grid
ID_COLUMNS = ("subject", "session", "trial", "stimulus", "window", "start_s")


@dataclass(frozen=True)
class ModalityShape:
    """C channels, W samples per window, rate in Hz; the channels' names where they are known."""

    channels: int
    samples: int
    sfreq_hz: float
    ch_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardMeta:
    """What a shard says of itself.

    ``modalities`` maps a name to channels (names), samples, sfreq_hz, unit; ``label_source`` is
    ``"trial"`` or ``"continuous"``; ``provenance`` is the raw folder's provenance.json.
    """

    set: str
    provenance: Mapping[str, Any]
    modalities: Mapping[str, Mapping[str, Any]]
    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    thresholds: tuple[float, ...]
    length_s: float
    step_s: float
    label_source: str
    version: int = FORMAT_VERSION

    def shape(self, modality: str) -> ModalityShape:
        """Channels, samples and rate of one modality."""
        if modality not in self.modalities:
            raise bad_input(f"data set {self.set!r}: modality", repr(modality),
                            "one of " + " ".join(self.modalities), "correct the run's modalities")
        entry = self.modalities[modality]
        return ModalityShape(len(entry["channels"]), int(entry["samples"]), float(entry["sfreq_hz"]),
                             tuple(entry["channels"]))


def window_starts(duration_s: float, params: WindowParams, where: str) -> np.ndarray:
    """Start times (n,) in seconds of all windows that fit into a trial; none if the trial is shorter than a window.

    Raises
    ------
    InputError
        If the trial's length is no number from 0 on.
    """
    if not 0 <= duration_s < float("inf"):
        raise bad_input(f"{where}: duration", f"{duration_s:g} s", "seconds from 0 on", "correct the trial's length")
    if params.length_s > duration_s + 1e-9:
        return np.zeros(0)
    count = int(np.floor((duration_s - params.length_s) / params.step_s + 1e-9)) + 1
    return np.arange(count) * params.step_s


def samples_of(seconds: float, sfreq_hz: float, where: str) -> int:
    """Whole number of samples in *seconds*; refuses a fraction."""
    samples = seconds * sfreq_hz
    if abs(samples - round(samples)) > 1e-6:
        raise bad_input(f"{where}", f"{samples:g} samples ({seconds:g} s at {sfreq_hz:g} Hz)",
                        "a whole number", "choose a rate or a window that fits")
    return round(samples)


def cut_windows(data: np.ndarray, sfreq_hz: float, starts_s: np.ndarray, length_s: float, where: str) -> np.ndarray:
    """Windows (n, C, W) of a trial's signal (C, N), a view of it where they can be; samples past its end are NaN."""
    width = samples_of(length_s, sfreq_hz, f"{where}: windows.length_s")
    firsts = [samples_of(float(start), sfreq_hz, f"{where}: windows.step_s") for start in starts_s]
    data = data[:, firsts[0]:firsts[-1] + width]  # a stretch of a long trial: the rest is not touched
    short = firsts[-1] + width - firsts[0] - data.shape[1]
    if short > 0:
        data = np.pad(data, ((0, 0), (0, short)), constant_values=np.nan)
    step = firsts[1] - firsts[0] if len(firsts) > 1 else 1
    if step > 0 and all(b - a == step for a, b in pairwise(firsts)):
        return sliding_window_view(data, width, axis=1)[:, ::step].transpose(1, 0, 2)  # nothing is copied
    return np.stack([data[:, first - firsts[0]:first - firsts[0] + width] for first in firsts])


def cut_shifted(data: np.ndarray, sfreq_hz: float, starts_s: np.ndarray, timing: TrialTiming, width: int) -> np.ndarray:
    """Windows (n, C, W) of a trial's signal (C, N) as a sensor out of step gives them; NaN where nothing is.

    A shift is rounded to a whole sample, so that no filter is added to the signal.
    """
    firsts = np.rint((starts_s - timing.shift_s) * sfreq_hz).astype(int)
    places = firsts[:, None] + np.arange(width)
    there = (places >= 0) & (places < data.shape[1]) & ~timing.lost[:, None]
    windows = data[:, np.where(there, places, 0)].transpose(1, 0, 2)
    return np.where(there[:, None], windows, np.float32(np.nan))


def completeness(windows: np.ndarray) -> np.ndarray:
    """Share (n,) of samples of each window (n, C, W) that were recorded."""
    share = np.ones(len(windows), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # a sum is finite only where every sample is; most windows' are
        doubtful = ~np.isfinite(windows.sum(axis=(1, 2)))
    share[doubtful] = np.isfinite(windows[doubtful]).mean(axis=(1, 2))
    return share


def window_table(
    recordings: Sequence[Recording], meta: ShardMeta, params: WindowParams, asynchrony: Asynchrony | None = None
) -> tuple[pd.DataFrame, dict[str, WindowArray]]:
    """All windows of some trials: id, label and completeness columns, and (n, C, W) arrays by modality.

    Arrays of more than ``LONG_BYTES`` in all stay on disk. A trial shorter than a window gives none; InputError if that
    leaves nothing. With *asynchrony* there is a column ``stamp_s_<modality>`` for each sensor: when its window begins
    by its own clock.
    """
    frames: list[pd.DataFrame] = []
    cuts = [(recording, where, window_starts(recording.duration_s, params, where)) for recording in recordings
            for where in (f"{meta.set} subject {recording.subject} trial {recording.trial}",)]
    arrays = _room(sum(len(starts_s) for _, _, starts_s in cuts), meta)
    first = 0
    for recording, where, starts_s in cuts:
        if not len(starts_s):
            continue
        columns: dict[str, Any] = {
            "subject": recording.subject, "session": recording.session, "trial": recording.trial,
            "stimulus": recording.stimulus,
            "window": np.arange(len(starts_s), dtype=np.int32), "start_s": starts_s,
        }
        for dimension in meta.dimensions:
            columns[dimension] = _labels(recording, dimension, meta.label_source, starts_s, params.length_s)
        for modality in meta.modalities:
            timing = None if asynchrony is None else _timing(asynchrony, modality, recording, starts_s, params.step_s)
            step = len(starts_s) if timing is not None else CUT_ROWS
            shares = []
            for begin in range(0, len(starts_s), step):
                part_s = starts_s[begin:begin + step]
                windows = _modality_windows(recording, modality, meta, part_s, timing, where)
                shares.append(completeness(windows))
                arrays[modality][first + begin:first + begin + len(part_s)] = windows
                if modality in recording.signals:
                    let_go(recording.signals[modality].data)
            columns[f"completeness_{modality}"] = np.concatenate(shares)
            if timing is not None:
                columns[f"{STAMP}{modality}"] = timing.stamp_s
        first += len(starts_s)
        frames.append(pd.DataFrame(columns))
    if not frames:
        raise bad_input(f"{meta.set}: windows.length_s", f"{params.length_s:g} s and {len(recordings)} shorter trials",
                        "at least one trial as long", "shorten the window or leave the subject out")
    return pd.concat(frames, ignore_index=True), arrays


def _timing(asynchrony: Asynchrony, modality: str, recording: Recording, starts_s: np.ndarray,
            step_s: float) -> TrialTiming | None:
    from himoe.prepare.asynchrony import trial_timing

    return trial_timing(asynchrony.of(modality), modality, recording.subject, recording.trial, starts_s, step_s,
                        asynchrony.seed)


def _room(n_windows: int, meta: ShardMeta) -> dict[str, WindowArray]:
    """Arrays (n, C, W) to be filled, by modality."""
    shapes = {m: meta.shape(m) for m in meta.modalities}
    long = is_long(n_windows * sum(4 * s.channels * s.samples for s in shapes.values()))
    return {m: room_for((n_windows, s.channels, s.samples), long) for m, s in shapes.items()}


def _labels(recording: Recording, dimension: str, source: str, starts_s: np.ndarray, length_s: float) -> np.ndarray:
    if source == "continuous":
        if recording.annotations is None:
            return np.full(len(starts_s), np.nan)
        return continuous_label(recording.annotations, dimension, starts_s, length_s)
    return np.full(len(starts_s), float(recording.ratings.get(dimension, np.nan)))


def _modality_windows(
    recording: Recording, modality: str, meta: ShardMeta, starts_s: np.ndarray, timing: TrialTiming | None, where: str
) -> np.ndarray:
    shape = meta.shape(modality)
    signal = recording.signals.get(modality)
    if signal is None:
        return np.full((len(starts_s), shape.channels, shape.samples), np.nan, dtype=np.float32)
    if timing is None:
        windows = cut_windows(signal.data, signal.sfreq_hz, starts_s, meta.length_s, f"{where} {modality}")
    else:
        windows = cut_shifted(signal.data, signal.sfreq_hz, starts_s, timing, shape.samples)
    if windows.shape[1:] != (shape.channels, shape.samples):
        raise bad_input(f"{where} {modality}", f"windows of shape {windows.shape[1:]}",
                        f"{(shape.channels, shape.samples)} as in the rest of the set",
                        "check this recording's channels and rate")
    return windows


def write_shard(path: Path, index: pd.DataFrame, arrays: Mapping[str, WindowArray], meta: ShardMeta) -> None:
    """Write one shard atomically; *index* (n rows) and *arrays* (n, C, W) as from :func:`window_table`.

    What is on disk is written in parts: memory holds ``CUT_ROWS`` windows at a time.
    """
    on_disk = any(isinstance(array, DiskArray) for array in arrays.values())
    step = CUT_ROWS if on_disk else max(len(index), 1)
    parts = (_shard_table(index.iloc[first:first + step], {m: array[first:first + step] for m, array in arrays.items()},
                          meta) for first in range(0, max(len(index), 1), step))
    with atomic_path(path) as temporary:
        write_tables(parts, temporary, row_group_size=ROW_GROUP, write_batch_size=16, compression="none",
                     use_dictionary=["subject", "session", "trial", "stimulus"], write_statistics=False,
                     store_schema=True)


def _shard_table(index: pd.DataFrame, arrays: Mapping[str, np.ndarray], meta: ShardMeta) -> pa.Table:
    table = pa.Table.from_pandas(index, preserve_index=False)
    for modality, windows in arrays.items():
        flat = np.ascontiguousarray(windows, dtype="<f4").reshape(len(windows), -1)
        absent = index[f"completeness_{modality}"].to_numpy() == 0
        validity = None
        if absent.any():
            validity = pa.py_buffer(np.packbits(~absent, bitorder="little").tobytes())
        column = pa.Array.from_buffers(pa.binary(flat.shape[1] * 4), len(flat), [validity, pa.py_buffer(flat)])
        table = table.append_column(modality, column)
    return table.replace_schema_metadata({METADATA_KEY: json.dumps(asdict(meta)).encode()})


def folder_meta(folder: Path) -> ShardMeta:
    """What the shards of a folder say of themselves (the first one's word: they agree)."""
    return read_meta(shard_paths(folder)[0])


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a folder, sorted; InputError if there is none."""
    paths = sorted(require_folder(folder).glob("*.parquet"))
    if not paths:
        raise InputError(f"{folder}: found no shard (*.parquet), expected one per subject; run the window stage.")
    return paths


def read_meta(path: Path) -> ShardMeta:
    """Read a shard's description.

    Raises
    ------
    InputError
        If the file is not a Parquet shard of this format, or was changed.
    """
    return _meta(open_shard(path))


def open_shard(path: Path) -> SealedFile:
    """Open a shard whose footer is as it was written; InputError if it is not."""
    return open_table(path, "a window shard, or its features, as the stage wrote it",
                      "remove it and run the stage that makes it again")


def _meta(file: SealedFile) -> ShardMeta:
    path, metadata = file.path, file.metadata
    if METADATA_KEY not in metadata:
        raise bad_input(path, "no 'himoe' schema metadata", "a window shard", "give a shard of the window stage")
    try:
        values = json.loads(metadata[METADATA_KEY])
        _ = values["version"], values["dimensions"], values["scale"], values["thresholds"]
    except (ValueError, KeyError, TypeError) as error:
        raise bad_input(path, f"a damaged description ({error})", file.what, file.todo) from error
    if values["version"] != FORMAT_VERSION:
        raise bad_input(path, f"shard format {values['version']}", f"{FORMAT_VERSION}", "run the window stage again")
    return ShardMeta(**{**values, "dimensions": tuple(values["dimensions"]), "scale": tuple(values["scale"]),
                        "thresholds": tuple(values["thresholds"])})


def read_shard(
    path: Path, modalities: Sequence[str] | None = None
) -> tuple[pd.DataFrame, dict[str, np.ndarray], ShardMeta]:
    """Read a shard: ids, labels and completeness; (n, C, W) float32 arrays by modality; its description.

    The arrays are views of the file's buffers where Arrow allows (read-only, ``torch.from_numpy`` shares
    them); a missing window's values are 0 and its completeness is 0.
    """
    file = open_shard(path)
    meta = _meta(file)
    modalities = tuple(meta.modalities) if modalities is None else tuple(modalities)
    shapes = {m: meta.shape(m) for m in modalities}
    plain = _plain_columns(file, meta)
    table = file.read([*plain, *modalities])
    chunks = {m: [_as_array(chunk, shapes[m]) for chunk in table.column(m).chunks] for m in modalities}
    arrays = {m: parts[0] if len(parts) == 1 else np.concatenate(parts) for m, parts in chunks.items()}
    return table.select(plain).to_pandas(), arrays, meta


def _plain_columns(file: SealedFile, meta: ShardMeta) -> list[str]:
    """Columns that are no signals."""
    columns = [*ID_COLUMNS, *meta.dimensions, *(f"completeness_{m}" for m in meta.modalities)]
    return columns + [name for name in file.names if name.startswith(STAMP)]


def _as_array(chunk: pa.Array, shape: ModalityShape) -> np.ndarray:
    width = shape.channels * shape.samples
    values = np.frombuffer(chunk.buffers()[1], "<f4", len(chunk) * width, chunk.offset * width * 4)
    values = values.reshape(len(chunk), shape.channels, shape.samples)
    if chunk.null_count:
        values = values.copy()
        values[chunk.is_null().to_numpy(zero_copy_only=False)] = 0.0
    return values


@dataclass(frozen=True)
class WindowStore:
    """All windows of a data set: ``index`` (n rows) and (n, C, W) arrays, in memory or on disk."""

    index: pd.DataFrame
    arrays: Mapping[str, WindowArray]
    meta: ShardMeta

    @classmethod
    def open(cls, folder: Path, modalities: Sequence[str], memory_gib: float, scratch: Path) -> WindowStore:
        """Scan a folder of shards once.

        Up to *memory_gib* the arrays are held in memory; above it they are raw files below *scratch*
        that are read row by row, so that a set of any size can be trained on.
        """
        paths = shard_paths(folder)
        meta = read_meta(paths[0])
        counts = [open_shard(path).rows for path in paths]
        shapes = {m: meta.shape(m) for m in modalities}
        n_bytes = sum(counts) * sum(s.channels * s.samples * 4 for s in shapes.values())
        arrays = {m: _allocate(sum(counts), s, None if n_bytes <= memory_gib * 2**30 else scratch / f"{m}.f32")
                  for m, s in shapes.items()}

        def read(path: Path, first: int) -> pd.DataFrame:
            file = open_shard(path)
            shard_meta = _meta(file)
            if shard_meta.modalities != meta.modalities or shard_meta.dimensions != meta.dimensions:
                raise bad_input(path, "other modalities, shapes or dimensions than the first shard's",
                                "one description for the whole set", "run the window stage again for all subjects")
            # In small batches: what was just read is still in the processor's cache when it is copied to its place.
            for batch in file.batches(list(modalities), SCAN_ROWS) if modalities else ():
                for modality, shape in shapes.items():
                    arrays[modality][first:first + len(batch)] = _as_array(batch.column(modality), shape)
                first += len(batch)
            return file.read(_plain_columns(file, meta)).to_pandas()

        with ThreadPoolExecutor(READERS) as pool:  # Arrow decodes without Python's lock
            tables = list(pool.map(read, paths, accumulate(counts, initial=0)))
        return cls(pd.concat(tables, ignore_index=True), arrays, meta)

    def present(self, min_completeness: float) -> np.ndarray:
        """(n, M) bool: which modality is complete enough, in the order of ``arrays``."""
        columns = [self.index[f"completeness_{m}"].to_numpy() >= min_completeness for m in self.arrays]
        return np.stack(columns, axis=1)

    def off_grid_s(self) -> np.ndarray | None:
        """(n, M) float32: by how much each window begins after the grid's, by its sensor's own clock.

        None where every one of them begins with the grid.
        """
        if not any(f"{STAMP}{m}" in self.index for m in self.arrays):
            return None
        start_s = self.index["start_s"].to_numpy()
        off_s = np.stack([own_start_s(self.index, m) - start_s for m in self.arrays], axis=1)
        return off_s.astype(np.float32) if off_s.any() else None


def own_start_s(index: pd.DataFrame, modality: str) -> np.ndarray:
    """(n,) when each window begins by the modality's own clock; by the grid where no stamp says otherwise."""
    start_s = index["start_s"].to_numpy()
    stamp_s = index.get(f"{STAMP}{modality}")
    return start_s if stamp_s is None else np.where(stamp_s.isna(), start_s, stamp_s)


def _allocate(n_windows: int, shape: ModalityShape, path: Path | None) -> WindowArray:
    size = (n_windows, shape.channels, shape.samples)
    return np.empty(size, dtype=np.float32) if path is None else DiskArray(path, size)
