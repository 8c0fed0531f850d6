"""``himoe stream``: a saved model on what sensors send now, or on a recording played back."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from himoe.commands.recordings import open_data
from himoe.core.errors import bad_input
from himoe.core.progress import note
from himoe.core.recordings import MODALITIES, Session, Signal, Trial, expand_modalities
from himoe.core.tables import require_table_place
from himoe.datasets.clock import Clock
from himoe.datasets.devices import FORMATS, TABLE, format_of
from himoe.datasets.devices.cut import cut_stream
from himoe.inspection.propose import modalities as told_modalities
from himoe.live.engine import Update
from himoe.live.engine import stream as predict_live
from himoe.live.lsl import Lsl, LslOutlet
from himoe.live.outputs import Lines, Screen, Sink, table_file
from himoe.live.sources import Replay, Source
from himoe.live.web import Page
from himoe.training.applying import drop_modalities
from himoe.training.description import Description
from himoe.training.fitted import load_model


def stream(options: argparse.Namespace) -> None:
    """Predict until the recording ends, or somebody stops it; both are good ends."""
    require_table_place(options.out)
    model = load_model(options.model)
    form = model.description
    without = expand_modalities(options.drop, form.modalities) if options.drop else ()
    drop_modalities(form, without)
    kept = [m for m in form.modalities if m not in without]
    if options.replay is not None and options.lsl is not None:
        raise bad_input("himoe stream", "--replay and --lsl", "one source", "leave one out")
    source: Source
    if options.replay is not None:
        source, person = replay_of(options, form, kept), None
    else:
        shown = replace(form, modalities={m: form.modalities[m] for m in kept})
        source, person = Lsl(shown, lsl_names(options.lsl or "", kept)), options.person
    updates = predict_live(model, source, person=person, wait_s=options.wait)
    with ExitStack() as stack:
        sinks: list[Sink] = []
        if options.out is not None:
            sinks.append(stack.enter_context(table_file(options.out, form.task)))
        if options.outlet is not None:
            sinks.append(LslOutlet(options.outlet, form))
            stack.callback(sinks[-1].close)
        page = None if options.web is None else Page(form, source.label, options.web)
        if page is not None:
            stack.callback(page.close)
            sinks.append(page)
            note(f"page: {page.address}")
        if not options.quiet:  # last: what can be read here is in the table, too
            sinks.append((Screen if sys.stdout.isatty() else Lines)(source.label))
            stack.callback(sinks[-1].close)
        count = run(updates, sinks)
        if page is not None:
            page.end()
        written = "" if options.out is None else f"; written: {options.out}"
        note(f"{source.label}: {count} windows{written}")


def run(updates: Iterator[Update], sinks: Sequence[Sink]) -> int:
    """Hand every prediction to every sink until there are no more, or Ctrl-C; says how many there were.

    A reader of our lines that has seen enough (a closed pipe) ends it, too. Whatever else happens passes through; a
    table keeps what was predicted before (:func:`himoe.live.outputs.table_file`).
    """
    count = 0
    try:
        for update in updates:
            count += 1
            for sink in sinks:
                sink.show(update)
    except KeyboardInterrupt:
        note("stopped")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return count


def lsl_names(text: str, modalities: Sequence[str]) -> dict[str, str]:
    """``EDA=Shimmer,EEG=BioSemi`` by modality."""
    names = {}
    for part in filter(None, text.split(",")):
        modality, sign, name = part.partition("=")
        if not sign or not name or modality not in modalities:
            raise bad_input("--lsl", repr(part), f"SENSOR=NAME, with a sensor of the model: {' '.join(modalities)}",
                            "correct it")
        names[modality] = name
    return names


def replay_of(options: argparse.Namespace, form: Description, kept: Sequence[str]) -> Replay:
    """The recordings that the options name, ready to be played.

    Raises
    ------
    InputError
        If there is no such person or trial, or nothing that the model can use.
    """
    if options.replay.is_file():
        session = file_session(options.replay, form)
        return Replay([session], options.speed, f"{options.replay.name} (real, local file)", None, kept)
    options.folder = options.replay
    data = open_data(options)
    if options.person is not None and options.person not in data.subjects:
        raise bad_input(f"{data.root}: person", repr(options.person), f"one of {' '.join(data.subjects[:20])}",
                        "correct the name")
    sessions = chosen(data.sessions(options.person or data.subjects[0]), options.trial, kept)
    return Replay(sessions, options.speed, data.label, data.dataset.name, kept)


def chosen(sessions: Iterator[Session], trial: str | None, kept: Sequence[str]) -> Iterator[Session]:
    """The sessions with a sensor of the model, and only the trial that was asked for."""
    seen: list[str] = []
    sensors: set[str] = set()
    found = False
    for session in sessions:
        trials = tuple(one for one in session.trials if trial in (None, one.trial))
        seen += [one.trial for one in session.trials]
        sensors |= set(session.signals)
        if trials and set(kept) & set(session.signals):
            found = True
            yield replace(session, trials=trials)
    if not found and trial is not None and trial not in seen:
        raise bad_input("--trial", repr(trial), f"one of {' '.join(seen[:20])}", "correct the name")
    if not found:
        raise bad_input("--replay", f"the sensors {' '.join(sorted(sensors))}", f"one of {' '.join(kept)}",
                        "choose another model or folder")


def file_session(path: Path, form: Description) -> Session:
    """One file of a device as a session of one trial: the sensors that its names tell, in the model's units.

    Raises
    ------
    InputError
        If the file has none of the model's sensors at a steady rate.
    """
    name = format_of(str(path), path.name, None)
    if name == TABLE:
        raise bad_input(path, "a table, which says no rate", "a file that a device wrote, or a folder",
                        "describe it in a dataset.yaml beside it, and give the folder")
    file = FORMATS[name].open(path)
    signals: dict[str, Signal] = {}
    for one in file.streams:
        for modality, columns in told_modalities(one):
            if modality in form.modalities and modality not in signals and one.sfreq_hz:
                picks = [one.channels.index(column) for column in columns]
                count = round((one.end_s - one.start_s) * one.sfreq_hz)
                unit = form.modalities[modality].unit
                clock = Clock(one.sfreq_hz, np.inf)
                cut = cut_stream(f"{path}: {modality}", one, picks, unit, clock, one.start_s, count)
                signals[modality] = Signal(cut.data, one.sfreq_hz, columns, unit, one.start_s)
    if not signals:
        raise bad_input(path, f"channels {' '.join(c for one in file.streams for c in one.channels)}",
                        f"one of the sensors {' '.join(m for m in MODALITIES if m in form.modalities)}",
                        "describe the file in a dataset.yaml beside it, and give the folder")
    start_s = min(signal.start_s for signal in signals.values())
    end_s = max(signal.start_s + signal.duration_s for signal in signals.values())
    return Session(path.stem, signals, (Trial("1", path.stem, start_s, end_s - start_s, {}),))
