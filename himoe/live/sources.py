"""Where samples come from: any iterator of chunks, and recordings played back. Lab Streaming Layer: ``lsl.py``.

Legend: C channels, N samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.recordings import Annotations, Session, Signal, check_modality
from himoe.live.sensor import SensorInfo

Chunk = tuple[str, np.ndarray, np.ndarray]
LEAD_S = 60.0  # of a recording before its trial, so that the filters have settled
SLICE_S = 0.05  # of real time between two looks at a recording


@dataclass(frozen=True)
class Tick:
    """What has come since the last one: chunks (modality, stamps (N,) in s, samples (C, N)).

    ``now_s``: the time on the stamps' clock; None = nobody knows but the stamps.
    """

    chunks: Sequence[Chunk]
    now_s: float | None = None


@dataclass(frozen=True)
class Part:
    """A stretch that is predicted on its own: a trial of a recording, or all that is sent.

    ``start_s``: where its first window starts; None = with the first sample. ``person``: who it is, as the data set
    ``set_name`` calls them; None = a stranger. ``ratings`` are its labels, if it has any; ``annotations`` are ratings
    over time, which go first.
    """

    ticks: Iterable[Tick]
    start_s: float | None = None
    subject: str = "live"
    trial: str = "1"
    session: str = "1"
    stimulus: str = ""
    set_name: str | None = None
    ratings: Mapping[str, float] = field(default_factory=dict)
    duration_s: float | None = None
    annotations: Annotations | None = None


class Source(Protocol):
    """What sends."""

    @property
    def label(self) -> str:
        """What it is called in print; simulated data says so."""

    def sensors(self) -> Mapping[str, SensorInfo]:
        """What is known of its sensors now."""

    def parts(self) -> Iterator[Part]:
        """Its stretches."""


class Chunks:
    """Any iterator of (modality, times_s, samples).

    Parameters
    ----------
    chunks : iterable
        Modality, stamps (N,) in s on one clock, samples (C, N) in the model's units; in the order of time, give or
        take two seconds.
    sfreq_hz : {modality: float}
        Rates in Hz.
    ch_names, units : mappings, optional
        By modality. Without names the channels are taken to be the model's, in its order.
    """

    label = "your samples"

    def __init__(self, chunks: Iterable[Chunk], sfreq_hz: Mapping[str, float],
                 ch_names: Mapping[str, Sequence[str]] | None = None, units: Mapping[str, str] | None = None) -> None:
        self.chunks = chunks
        self.known = {check_modality(m): SensorInfo(float(rate), tuple((ch_names or {}).get(m, ())),
                                                    (units or {}).get(m, "")) for m, rate in sfreq_hz.items()}

    def sensors(self) -> Mapping[str, SensorInfo]:
        """As they were given."""
        return self.known

    def parts(self) -> Iterator[Part]:
        """One, without an end of its own."""
        yield Part(Tick([piece]) for chunk in self.chunks for piece in self._pieces(chunk))

    def _pieces(self, chunk: Chunk) -> Iterator[Chunk]:
        """A chunk as pieces of a second: a window is predicted when it is there, not when a long chunk ends."""
        modality, times_s, samples = chunk
        times_s, samples = np.asarray(times_s).reshape(-1), np.asarray(samples)
        width = max(round(self.known[modality].sfreq_hz), 1) if modality in self.known else len(times_s)
        if samples.ndim != 2 or len(times_s) <= width:
            yield modality, times_s, samples
            return
        for at in range(0, len(times_s), width):
            yield modality, times_s[at:at + width], samples[:, at:at + width]


class Replay:
    """Recorded sessions, trial by trial, at *speed* times real time (None = as fast as it goes).

    A trial starts at 0 s. What was recorded up to ``LEAD_S`` before it goes through the filters, at once. All sensors
    stop with the trial.
    """

    def __init__(self, sessions: Iterable[Session], speed: float | None = 1.0, label: str = "a recording",
                 set_name: str | None = None, modalities: Sequence[str] | None = None) -> None:
        if speed is not None and not speed > 0:
            raise bad_input("speed", f"{speed:g}", "more than 0", "1 is real time")
        self.sessions = iter(sessions)
        self.speed, self.label, self.set_name, self.modalities = speed, label, set_name, modalities
        self.session = next(self.sessions, None)
        if self.session is None:
            raise bad_input(label, "no session", "at least one", "choose another person or folder")

    def sensors(self) -> Mapping[str, SensorInfo]:
        """Those of the session that is played."""
        assert self.session is not None
        return {m: SensorInfo(s.sfreq_hz, s.ch_names, s.unit) for m, s in self.session.signals.items()
                if self.modalities is None or m in self.modalities}

    def parts(self) -> Iterator[Part]:
        """One per trial."""
        while self.session is not None:
            kept = set(self.sensors())
            for trial in self.session.trials:
                signals = {m: _moved(s, trial.start_s, trial.duration_s)
                           for m, s in self.session.signals.items() if m in kept}
                yield Part(self._ticks(signals, trial.duration_s), 0.0, self.session.subject, trial.trial,
                           trial.session, trial.stimulus, self.set_name, dict(trial.ratings), trial.duration_s,
                           trial.annotations)
            self.session = next(self.sessions, None)

    def _ticks(self, signals: Mapping[str, Signal], duration_s: float) -> Iterator[Tick]:
        began = time.perf_counter()
        slice_s = 1.0 if self.speed is None else min(max(SLICE_S * self.speed, SLICE_S), 1.0)
        yield Tick([], min((s.start_s for s in signals.values()), default=0.0))
        before_s = -np.inf
        for k in range(int(np.ceil(duration_s / slice_s - 1e-9)) + 1):
            now_s = min(k * slice_s, duration_s)
            if self.speed is not None:
                time.sleep(max(began + now_s / self.speed - time.perf_counter(), 0.0))
            yield Tick([(m, *_between(s, before_s, now_s)) for m, s in signals.items()], now_s)
            before_s = now_s


def _moved(signal: Signal, start_s: float, duration_s: float) -> Signal:
    """The signal with the trial's start at 0, from ``LEAD_S`` before it to its end."""
    rate = signal.sfreq_hz
    origin = round((start_s - signal.start_s) * rate)  # number of the trial's first sample
    first = max(origin - round(LEAD_S * rate), 0)
    last = max(origin + round(duration_s * rate), first)
    return Signal(signal.data[:, first:last], rate, signal.ch_names, signal.unit, (first - origin) / rate)


def _between(signal: Signal, after_s: float, until_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Stamps and samples that have come by *until_s* and not yet by *after_s*: a sample comes when it ends."""
    edges = [np.ceil((bound - signal.start_s) * signal.sfreq_hz - 1e-6) if np.isfinite(bound) else 0
             for bound in (after_s, until_s)]
    low, high = (int(np.clip(edge, 0, signal.data.shape[1])) for edge in edges)
    return signal.start_s + np.arange(low, high) / signal.sfreq_hz, signal.data[:, low:high]
