"""``himoe predict`` and ``himoe explain``: a saved model on a folder of recordings."""

from __future__ import annotations

import argparse
import sys

import pandas as pd

from himoe.commands.recordings import open_data
from himoe.core.errors import bad_input
from himoe.core.progress import note
from himoe.core.recordings import expand_modalities
from himoe.core.tables import require_table_place, write_table
from himoe.prepare.loading import Data
from himoe.training.applying import drop_modalities
from himoe.training.every import predict_every, sensors_for, windows_for
from himoe.training.explaining import explain as explain_windows
from himoe.training.fitted import CARD, Fitted, load_model

IDS = ["subject", "trial", "window"]


def predict(options: argparse.Namespace) -> None:
    """Write the table of predictions."""
    require_table_place(options.out)
    model = load_model(options.model)
    without = expand_modalities(options.drop, model.description.modalities) if options.drop else ()
    drop_modalities(model.description, without)  # refuses to drop everything before anything is read
    data = open_data(options)
    names = sensors_for(model, data, without)
    note_on_known(model, data)
    frame = (model.predict(windows_for(model, data, names)) if options.every is None
             else predict_every(model, data, options.every, without))
    _write(frame, options, data)


def explain(options: argparse.Namespace) -> None:
    """Write the table of what each sensor weighs and changes; its means are printed."""
    require_table_place(options.out)
    model = load_model(options.model)
    data = open_data(options)
    frame = explain_windows(model, windows_for(model, data, sensors_for(model, data)))
    _write(frame, options, data)
    if options.out is not None:
        print(f"\nmeans over windows; change: how far predictions move with the sensor\n{sensors_text(frame)}")


def _write(frame: pd.DataFrame, options: argparse.Namespace, data: Data) -> None:
    if frame.empty:
        raise bad_input(options.folder, "no window in which a sensor of the model is alive", "one at least",
                        "see what himoe check says")
    write_table(frame, options.out)
    people, trials, seen = (len(frame[IDS[:n]].drop_duplicates()) for n in (1, 2, 3))
    written = "" if options.out is None else f"; written: {options.out}"
    print(f"{data.label}: {people} people, {trials} trials, {seen} windows{written}",
          file=sys.stderr if options.out is None else sys.stdout)


def note_on_known(model: Fitted, data: Data) -> None:
    """Say who was in training: their predictions are no test of the model."""
    known = sorted(set(model.description.codes(data.dataset.name)) & set(data.subjects))
    if known:
        shown = " ".join(known[:8]) + (" ..." if len(known) > 8 else "")
        note(f"The model was fitted on people of these names: {shown}. Scores of predictions for the same trials say "
             f"what it remembers; {CARD} in its folder says what it can do.")


def sensors_text(frame: pd.DataFrame) -> str:
    """Mean weight and mean absolute change of each sensor, as text."""
    changes = [name for name in frame if str(name).startswith("change_")]
    means = frame[["weight", *changes]].abs().groupby(frame["modality"], sort=False).mean()
    return means.round(3).rename_axis(None).to_string(na_rep="-")
