"""Where predictions go: a table on disk, lines or a picture in the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import pandas as pd

from himoe.core.files import atomic_path
from himoe.core.progress import note
from himoe.core.tables import CSV, require_table_place
from himoe.live.engine import Estimate, Update
from himoe.live.sensor import SensorLine
from himoe.models.batches import Task, label_matrix
from himoe.prepare.labels import continuous_label
from himoe.prepare.windows import ID_COLUMNS
from himoe.scoring.frames import probability_column

BATCH = 256  # rows of a Parquet file that are written at once
UP, CLEAR_BELOW = "\x1b[{}A", "\x1b[J"


class Sink(Protocol):
    """What takes predictions as they are made."""

    def show(self, update: Update) -> None:
        """One more."""

    def close(self) -> None:
        """It was the last one."""


def rows_of(update: Update, task: Task) -> list[dict[str, Any]]:
    """One row per dimension, with the columns of :meth:`himoe.Fitted.predict`; which sensors were used; latency."""
    part = update.part
    used = " ".join(line.modality for line in update.sensors if line.used)
    labels = _labels(update, task)
    return [{"subject": part.subject, "session": part.session, "trial": part.trial, "stimulus": part.stimulus,
             "window": update.window, "start_s": round(update.start_s, 6), "dimension": dimension,
             "predicted": one.value, **_beside(one), "rating": labels[dimension], "sensors": used,
             "latency_s": round(update.latency_s, 6)} for dimension, one in update.predicted.items()]


def _labels(update: Update, task: Task) -> dict[str, float]:
    """What the window was rated, by dimension, or its class; NaN where it was not."""
    part, starts_s = update.part, np.array([update.start_s])
    ratings = part.ratings if part.annotations is None else {
        name: continuous_label(part.annotations, name, starts_s, update.length_s)[0] for name in task.dimensions}
    table = pd.DataFrame([ratings]).reindex(columns=list(task.dimensions))
    return dict(zip(task.dimensions, map(float, label_matrix(table, task)[0]), strict=True))


def _beside(one: Estimate) -> dict[str, float]:
    """Both ends of the interval; of classes the most probable one, and every one's probability."""
    if not one.probabilities:
        return {"low": one.low, "high": one.high}
    return {"class": int(np.argmax(one.probabilities)),
            **{probability_column(k): chance for k, chance in enumerate(one.probabilities)}}


def no_rows(task: Task) -> pd.DataFrame:
    """A table of :func:`rows_of` without a row."""
    beside = ["low", "high"] if task.classes is None else [
        "class", *(probability_column(k) for k in range(task.classes))]
    texts = ("subject", "session", "trial", "stimulus", "dimension", "sensors")
    names = [*ID_COLUMNS, "dimension", "predicted", *beside, "rating", "sensors", "latency_s"]
    kinds = {name: "string" if name in texts else "int64" if name in ("window", "class") else "float64"
             for name in names}
    return pd.DataFrame(columns=names).astype(kinds)


class TableFile:
    """A CSV or Parquet file that grows under a temporary name (:func:`table_file`)."""

    def __init__(self, path: Path, csv: bool, task: Task) -> None:
        self.path, self.csv, self.task = path, csv, task
        self.rows: list[dict[str, Any]] = []
        self.writer: Any = None
        self.written = 0

    def show(self, update: Update) -> None:
        """Append the rows of one prediction."""
        self.rows += rows_of(update, self.task)
        if self.csv or len(self.rows) >= BATCH:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.rows:
            return
        frame = pd.DataFrame(self.rows)
        if self.csv:
            whole = self.path.stat().st_size if self.written else 0
            try:
                frame.to_csv(self.path, mode="a", index=False, header=self.written == 0)
            except OSError:  # a full disk leaves no half line
                self.rows = []
                if self.written:
                    os.truncate(self.path, whole)
                raise
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if self.writer is None:
                self.writer = pq.ParquetWriter(self.path, table.schema)
            self.writer.write_table(table.cast(self.writer.schema))
        self.written += len(self.rows)
        self.rows = []

    def close(self) -> None:
        """Write the rest; without any prediction a table without rows."""
        self._write()
        if self.writer is not None:
            self.writer.close()
        if not self.written and self.csv:
            no_rows(self.task).to_csv(self.path, index=False)
        elif not self.written:
            no_rows(self.task).to_parquet(self.path, index=False)


@contextmanager
def table_file(path: Path, task: Task) -> Iterator[TableFile]:
    """A table at *path*, CSV or Parquet by its ending; it has that name once the block has ended.

    What was predicted before an error is kept, too: nobody can measure it again. An error before the first prediction
    leaves what stood at *path*.
    """
    require_table_place(path)
    trouble: BaseException | None = None
    with atomic_path(path) as temporary:
        made = TableFile(temporary, path.suffix == CSV, task)
        try:
            yield made
        except BaseException as error:
            if not made.rows and not made.written:
                raise
            trouble = error
        made.close()
    if trouble is not None:
        note(f"written up to here: {path}")
        raise trouble


def prediction_texts(update: Update) -> list[str]:
    """``valence 5.12 [3.10, 7.15]`` or ``valence class 2 (61 %)``; ``no sensor`` where nothing was predicted."""
    return [f"{name} {_prediction_text(one)}" for name, one in update.predicted.items()] or ["no sensor"]


def _prediction_text(one: Estimate) -> str:
    if one.probabilities:
        return f"class {np.argmax(one.probabilities)} ({max(one.probabilities):.0%})".replace("%", " %")
    return f"{one.value:.2f}" + (f" [{one.low:.2f}, {one.high:.2f}]" if np.isfinite(one.low) else "")


def sensor_text(line: SensorLine) -> str:
    """``EEG   alive   100 %  delay 0.03 s  good``"""
    late = f"  {line.late_s:.1f} s late" if line.state == "late" else ""
    used = "" if line.used or line.state == "absent" else "  not used"
    notes = "".join(f"  {text}" for text in (line.quality if line.state != "absent" else "", line.note) if text)
    return f"{line.modality:<5} {line.state:<7} {line.complete:4.0%}  delay {line.delay_s:.2f} s{late}{used}{notes}"


class Lines:
    """A line per prediction; a sensor's line when its state changes; what happened, as it happens."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        print(label, file=self.stream)
        self.states: dict[str, tuple[str, bool, str]] = {}
        self.trial: tuple[str, str] | None = None

    def show(self, update: Update) -> None:
        """Print."""
        out = [*update.events]
        if self.trial not in (None, (update.part.subject, update.part.trial)) or (
                self.trial is None and update.part.set_name):
            out.append(f"{update.part.subject}, trial {update.part.trial}")
        self.trial = (update.part.subject, update.part.trial)
        out.append(f"{update.start_s + update.length_s:7.1f} s  {'  '.join(prediction_texts(update))}")
        for line in update.sensors:
            state = (line.state, line.used, line.note)
            if self.states.get(line.modality) != state:
                self.states[line.modality] = state
                out.append(f"           {sensor_text(line)}")
        print("\n".join(out), file=self.stream, flush=True)

    def close(self) -> None:
        """Nothing is kept."""


class Screen:
    """The newest prediction and every sensor's line, painted over the ones before, on a terminal."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        print(label, file=self.stream)
        self.height = 0

    def show(self, update: Update) -> None:
        """Paint."""
        width = max(shutil.get_terminal_size().columns - 1, 20)  # a line that wraps could not be painted over
        lines = [f"{update.part.subject}, trial {update.part.trial}, {update.start_s + update.length_s:.1f} s",
                 *prediction_texts(update), *(sensor_text(line) for line in update.sensors)]
        back = f"{UP.format(self.height)}{CLEAR_BELOW}" if self.height else ""
        painted = "\n".join([*update.events, *(line[:width] for line in lines)])
        self.stream.write(f"{back}{painted}\n")
        self.stream.flush()
        self.height = len(lines)

    def close(self) -> None:
        """The last picture stays."""
