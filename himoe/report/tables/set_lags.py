"""Lags found in data sets, as a table: beside table 12 where the truth is not known."""

from __future__ import annotations

import pandas as pd

from himoe.report.tables.table import Cell, Ours, Table

NOTES = ("Behind a sensor: features of one predict those of the other, with the lag of both in it; no truth is known.",
         "Placed: the interval (people and their trials drawn again) is at most 4 s wide and ends within the lags "
         "tried, and the gain is above each of 19 with trials swapped (the largest is shown).",
         "Gain: squared correlation of left-out trials with what is predicted for them, at its peak.")


def set_lags_table(rows: pd.DataFrame) -> Table:
    """Table 12, continued: *rows* of :func:`himoe.prepare.set_lags.set_lags` with ``data``, the set's label, and true
    lags ``true_s`` where the data are simulated; ``moved_s``: by how much a lag moves when ``put_in_s`` is put in."""
    known = rows["true_s"].notna().any()
    put_in_s = float(rows["put_in_s"].max())
    lines: list[tuple[Cell, ...]] = []
    for row in rows.to_dict("records"):
        truth: tuple[Cell, ...] = (Ours(float(row["true_s"]), digits=1),) if known else ()
        lag: Cell = None if pd.isna(row["lag_s"]) else Ours(float(row["lag_s"]), low=float(row["low_s"]),
                                                            high=float(row["high_s"]), digits=1)
        lines.append((str(row["data"]), str(row["modality"]), str(row["behind"]), *truth, lag,
                      Ours(float(row["moved_s"]), digits=1) if row["put_in_s"] and row["placed"] else None,
                      "yes" if row["placed"] else "cannot be placed", Ours(float(row["gain"])),
                      Ours(float(row["swapped"])), int(row["trials"])))
    return Table("set_lags", "Table 12, continued. Lags found in data sets, in seconds: "
                 + ", ".join(dict.fromkeys(rows["data"])),
                 ("Data", "Sensor", "Behind", *(("True",) if known else ()), "Lag [90 %]",
                  f"Moves with {put_in_s:g} s put in", "Placed", "Gain", "Gain, trials swapped", "Trials"),
                 tuple(lines), NOTES)
