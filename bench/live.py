"""What live prediction costs: latency, share of a core, memory over hours (``python -m bench.live``).

32 channels of EEG at 512 Hz and six other sensors, simulated as DEAP; the model is Hi-MoE at its default size, fitted
for one epoch: what it predicts does not matter here. The numbers of docs/live.md come from here.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import himoe
from himoe.core.recordings import Session
from himoe.live.engine import stream
from himoe.live.filters import delays_s
from himoe.live.sensor import SensorInfo
from himoe.live.sources import Part, Replay, Tick
from himoe.scoring.metrics import ccc
from himoe.simulate.generate import simulate_deap
from himoe.simulate.request import SimulationParams

SIZE = SimulationParams(subjects=3, trials=4, seed=3)


class Endless:
    """One session again and again, in slices, at *speed* times real time (None = as fast as it goes)."""

    label = "DEAP (simulated)"

    def __init__(self, session: Session, duration_s: float, speed: float | None) -> None:
        self.session, self.duration_s, self.speed = session, duration_s, speed
        self.handed_s = 0.0  # of this thread's processor time, when the newest samples were handed over

    def sensors(self) -> Mapping[str, SensorInfo]:
        """Of the session."""
        return {m: SensorInfo(s.sfreq_hz, s.ch_names, s.unit) for m, s in self.session.signals.items()}

    def parts(self) -> Iterator[Part]:
        """One."""
        yield Part(self.ticks(), 0.0)

    def ticks(self) -> Iterator[Tick]:
        """Slices of 50 ms of real time, at most a second."""
        slice_s = 1.0 if self.speed is None else min(0.0625 * max(self.speed, 1), 1.0)
        began = time.perf_counter()
        for k in range(round(self.duration_s / slice_s)):
            now_s = (k + 1) * slice_s
            if self.speed is not None:
                time.sleep(max(began + now_s / self.speed - time.perf_counter(), 0.0))
            chunks = []
            for m, s in self.session.signals.items():
                number = np.arange(round(k * slice_s * s.sfreq_hz), round(now_s * s.sfreq_hz))
                chunks.append((m, number / s.sfreq_hz, s.data[:, number % s.data.shape[1]]))
            self.handed_s = time.thread_time()
            yield Tick(chunks, now_s)


def prepared() -> tuple[himoe.Fitted, Session]:
    """A model of seven sensors, and a session."""
    with tempfile.TemporaryDirectory() as folder:
        simulate_deap(Path(folder) / "raw", SIZE)
        data = himoe.load("deap", Path(folder) / "raw")
        names = [m for m in data.dataset.modalities if m != "FACE"]
        windows = himoe.make_windows(data, modalities=names)
        session = next(iter(data.sessions(data.subjects[0])))
    return himoe.HiMoE(epochs=1).fit(windows).model_, session


def latency(model: himoe.Fitted, session: Session, duration_s: float, speed: float) -> Iterator[str]:
    """Latency and share of a core while *duration_s* of samples come at *speed*."""
    used, began, source = time.process_time(), time.perf_counter(), Endless(session, duration_s, speed)
    found = [(update.latency_s, time.thread_time() - source.handed_s) for update in stream(model, source)]
    share = (time.process_time() - used) / (time.perf_counter() - began)
    (middle, own), (late, own_late) = 1000 * np.percentile(found, [50, 99], axis=0)
    yield f"{speed:g} times real time, {duration_s:g} s of samples, {len(found)} predictions:"
    yield f"  from the last sample to the prediction: median {middle:.0f} ms, 99th percentile {late:.0f} ms"
    yield f"  of which processor time: median {own:.0f} ms, 99th percentile {own_late:.0f} ms"
    yield f"  share of a core: {share:.0%}"


def memory(model: himoe.Fitted, session: Session, hours: float) -> Iterator[str]:
    """Memory of the process after every eighth of *hours* of samples, as fast as they go."""
    used, began, told = time.process_time(), time.perf_counter(), 0
    yield f"{hours:g} h of samples as fast as they go:"
    for update in stream(model, Endless(session, hours * 3600, None)):
        if update.end_s >= (told + 1) * hours * 450 - 1e-6:
            told += 1
            yield f"  after {update.end_s / 3600:.2f} h: {resident_mib():.0f} MiB"
    took, cpu = time.perf_counter() - began, time.process_time() - used
    yield f"  {hours * 3600 / took:.0f} times real time; {hours * 3600 / cpu:.0f} times real time a core"


def resident_mib() -> float:
    """Memory that this process holds now (Linux), or held at most (elsewhere)."""
    path = Path("/proc/self/statm")
    if path.is_file():
        return int(path.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def delays(model: himoe.Fitted, session: Session) -> list[str]:
    """Group delay of every sensor's filters."""
    lines = []
    for m, form in model.description.modalities.items():
        rate = session.signals[m].sfreq_hz
        middle, longest = delays_s(m, model.filters[m], rate)
        low, high = form.filter.band_hz if form.filter else (None, None)
        band = f"{low or 0:g}-{high:g} Hz" if high else "all"
        lines.append(f"  {m:<5} {rate:g} to {form.sfreq_hz:g} Hz, {band}: {middle:.2f} s (at most {longest:.2f} s)")
    return ["delay of the filters in the middle of the band:", *lines]


def agreement(folder: Path, raw: Path, people: int = 4) -> Iterator[str]:
    """Live predictions of a run's model beside offline ones, on windows of *people* in trials it was not fitted on.

    Offline filters know the future and the network sees whole sequences; without the future, each window is the last
    one of its sequence. CCC against the ratings of the moment, pooled over windows.
    """
    model, data = himoe.load_model(folder), himoe.load("deap", raw)
    form, names = model.description, list(model.description.modalities)
    persons = [name for name in data.subjects if name in form.people][:people]
    windows = himoe.make_windows(data, form.length_s, form.step_s, filters=model.filters, modalities=names,
                                 subjects=persons)
    tested = pd.read_parquet(folder.parent / "predictions.parquet")
    tested = tested[tested["fold"] == int(folder.name[5:7])][["subject", "trial"]].drop_duplicates()
    windows = windows[pd.MultiIndex.from_frame(windows.index[["subject", "trial"]]).isin(
        pd.MultiIndex.from_frame(tested))]
    keys, length = ["subject", "trial", "window", "dimension"], form.sequence_length
    offline = model.predict(windows)
    parts = []
    for _, trial in windows.index.reset_index(drop=True).groupby(["subject", "trial"]):
        rows = trial.index.to_numpy()
        parts += [model.predict(windows[rows[max(0, k - length + 1):k + 1]]).tail(len(form.dimensions))
                  for k in range(len(rows))]
    past = pd.concat(parts)[[*keys, "predicted"]].rename(columns={"predicted": "past"})
    trials = set(zip(offline["subject"], offline["trial"], strict=True))
    sessions = (replace(session, trials=kept) for name in persons for session in data.sessions(name)
                if (kept := tuple(one for one in session.trials if (name, one.trial) in trials)))
    live = pd.DataFrame([(u.part.subject, u.part.trial, u.window, name, one.value)
                         for u in stream(model, Replay(sessions, None, data.label, "deap", names))
                         for name, one in u.predicted.items()], columns=[*keys, "live"])
    both = offline.merge(past, on=keys).merge(live, on=keys)
    yield f"{data.label}: {len(both) // len(form.dimensions)} windows of {len(trials)} trials of {len(persons)} people"
    for column, what in (("predicted", "offline, whole trials"), ("past", "offline, without the future"),
                         ("live", "live")):
        scores = [ccc(part["rating"].to_numpy(), part[column].to_numpy()) for _, part in both.groupby("dimension")]
        apart = (both[column] - both["past"]).abs().mean()
        yield f"  {what}: CCC {np.nanmean(scores):.3f}, mean distance to offline without the future {apart:.3f}"


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--hours", type=float, default=8.0, help="of samples, for the memory (default: 8)")
    parser.add_argument("--seconds", type=float, default=120.0, help="in real time, for the latency (default: 120)")
    parser.add_argument("--agree", nargs=2, type=Path, metavar=("MODEL", "RAW"),
                        help="only compare with offline: a model of a run, and raw DEAP")
    options = parser.parse_args()
    if options.agree:
        print("\n".join(agreement(*options.agree)))
        return
    model, session = prepared()
    for lines in (delays(model, session), latency(model, session, options.seconds, 1.0),
                  latency(model, session, 8 * options.seconds, 8.0), memory(model, session, options.hours)):
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
