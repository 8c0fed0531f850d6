"""From chunks to predictions: one every step of the model, with interval, whatever the sensors do."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.live.grid import AHEAD_S
from himoe.live.predictor import Predictor, person_code
from himoe.live.sensor import Sensor, SensorInfo, SensorLine, sensor_of
from himoe.live.sources import Chunk, Chunks, Part, Source, Tick
from himoe.training.fitted import Fitted

log = logging.getLogger(__name__)

WAIT_S = 0.25  # for late sensors, where the source knows what time it is
WAIT_UNCLOCKED_S = 2.0  # where only stamps say so
AHEAD_UNCLOCKED_S = 10.0  # a longer pause of everything is taken for a jump of the clock
SILENT_S = 2.0  # who has sent nothing for so long is not waited for
BEHIND_S = 30.0  # windows older than this are left out: the machine slept


@dataclass(frozen=True)
class Estimate:
    """A prediction, as :meth:`himoe.Fitted.predict` has it: with its interval, or the probability of every class.

    Classes have no interval (NaN), ratings no probabilities.
    """

    value: float
    low: float
    high: float
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Update:
    """What is said for one window: every step of the model.

    ``start_s`` counts from the part's first window, ``end_s`` is the window's end on the sensors' clock. ``predicted``
    is by dimension, and empty where no sensor was there. ``events``: what happened since the last one. ``latency_s``:
    from the arrival of the last sample to the prediction.
    """

    part: Part
    window: int
    start_s: float
    length_s: float
    end_s: float
    predicted: Mapping[str, Estimate]
    sensors: Sequence[SensorLine]
    events: Sequence[str] = ()
    latency_s: float = 0.0


@dataclass
class Engine:
    """Sensors, steps and predictions of one part after the other.

    Parameters
    ----------
    model : Fitted
    sensors : {modality: SensorInfo}
        Those that the model does not have are left out. One that the model cannot use is said in ``refused`` and is
        absent.
    person : int or None
        As for :class:`himoe.live.predictor.Predictor`.
    wait_s : float or None
        How long a window waits for late sensors, in s of the sensors' clock.
    part : Part
        What is predicted first: its windows begin at ``part.start_s``, or with the first sample.
    """

    model: Fitted
    sensors: Mapping[str, SensorInfo]
    person: int | None = None
    wait_s: float | None = None
    part: Part = field(default_factory=lambda: Part(()))

    def __post_init__(self) -> None:
        self.form = self.model.description
        self.predictor = Predictor(self.model, self.person)
        self.refused: dict[str, str] = {}
        self.events: list[str] = []
        self.live: dict[str, Sensor] = {}
        self.begin(self.part)

    def begin(self, part: Part, sensors: Mapping[str, SensorInfo] | None = None) -> None:
        """Start a part: new buffers and no context; the person's statistics stay."""
        self.part, self.start_s, self.number = part, part.start_s, 0
        self.now_s: float | None = None
        self.clocked, self.judged, self.live = False, 0, {}
        self.known: dict[str, SensorInfo] = {}
        self.states: dict[str, tuple[str, bool]] = {}
        self.heard_s: dict[str, float] = {}  # when each sensor sent last
        self.refused.clear()
        for modality, info in (self.sensors if sensors is None else sensors).items():
            self.add(modality, info)
        self.predictor.clear()

    def add(self, modality: str, info: SensorInfo) -> None:
        """A sensor that has turned up; what cannot be used is absent, and the reason is kept."""
        self.known[modality] = info
        if modality not in self.form.modalities:
            return
        self.live.pop(modality, None)
        try:
            self.live[modality] = sensor_of(modality, self.form.modalities[modality], self.form.length_s, info)
            self.refused.pop(modality, None)
        except InputError as error:
            self.refused[modality] = str(error)
            self._say(modality, str(error))

    def meet(self, sensors: Mapping[str, SensorInfo]) -> None:
        """Add what is new among *sensors*; one that has come back in another form starts again."""
        for modality, info in sensors.items():
            if self.known.get(modality) != info:
                if modality in self.live:
                    self._say(modality, f"came back with {len(info.ch_names)} channels at {info.sfreq_hz:g} Hz")
                self.add(modality, info)

    def push(self, chunk: Chunk, now_s: float | None) -> None:
        """Take a chunk at *now_s*."""
        modality, times_s, samples = chunk
        sensor = self.live.get(modality)
        if sensor is None:
            if modality not in self.form.modalities and modality not in self.refused:
                self.refused[modality] = f"the model has no {modality}"
                self._say(modality, self.refused[modality])
            return
        clocked = now_s is not None
        sensor.push(times_s, samples, now_s if clocked else self.now_s, AHEAD_S if clocked else AHEAD_UNCLOCKED_S)
        for text in sensor.events:
            self._say(modality, text)
        sensor.events.clear()
        if not clocked and sensor.end_s is not None:
            self.now_s = max(sensor.end_s, sensor.end_s if self.now_s is None else self.now_s)
        if self.now_s is not None or now_s is not None:
            self.heard_s[modality] = float(self.now_s if now_s is None else now_s)  # type: ignore[arg-type]

    def tick(self, tick: Tick) -> Iterator[Update]:
        """Take what has come and give what is due."""
        arrived = time.perf_counter()
        self.clocked = tick.now_s is not None
        for chunk in tick.chunks:
            self.push(chunk, tick.now_s)
        if tick.now_s is not None:
            self.now_s = tick.now_s
        if self.start_s is None:
            self.start_s = min((s.first_s for s in self.live.values() if s.first_s is not None), default=None)
        while self.start_s is not None and self._due():
            yield self._update(arrived)
            self._judge_one()
            arrived = time.perf_counter()

    def finish(self) -> Iterator[Update]:
        """The windows that are whole at the end, for which nobody has to be waited."""
        while self.start_s is not None and any(sensor.reached(self._end_s()) for sensor in self.live.values()):
            if self.clocked and self.now_s is not None and self._end_s() > self.now_s + 1e-9:
                return
            yield self._update(time.perf_counter())
            self._judge_one()

    def _end_s(self) -> float:
        assert self.start_s is not None
        return self.start_s + self.number * self.form.step_s + self.form.length_s

    def _waits(self) -> float:
        return self.wait_s if self.wait_s is not None else WAIT_S if self.clocked else WAIT_UNCLOCKED_S

    def _due(self) -> bool:
        """Whether every sensor that sends has reached the window's end, or has been waited for long enough."""
        end_s, now_s = self._end_s(), self.now_s
        if now_s is None:
            return False
        if self.clocked and now_s - end_s > BEHIND_S:
            skipped = int((now_s - end_s) // self.form.step_s)
            self.number += skipped
            self._say("clock", f"{skipped} windows left out: nothing came in time for them")
            end_s = self._end_s()
        if now_s >= end_s + self._waits():
            return True
        awaited = [s for s in self.live.values() if (now_s - s.end_s < SILENT_S if s.end_s is not None
                                                     else not self.clocked)]
        return now_s >= end_s - 1e-9 and bool(awaited) and all(s.reached(end_s) for s in awaited)

    def _update(self, arrived: float) -> Update:
        """Predict for the next window."""
        end_s = self._end_s()
        start_s = end_s - self.form.length_s
        off_s = {m: self._off_s(m, sensor, start_s) for m, sensor in self.live.items()}
        windows = {m: sensor.window(start_s + off_s[m]) for m, sensor in self.live.items()}
        found = self.predictor.step(windows, off_s)
        if found is not None and not np.isfinite(found[0]).all():
            found = None
            self._say("model", "no number for this window: left out")
        predicted = {} if found is None else {
            name: Estimate(float(value), float(low), float(high), tuple(map(float, chances)))
            for name, value, low, high, chances in zip(self.form.dimensions, *found, strict=True)}
        latency_s = time.perf_counter() - arrived
        lines = self._lines(windows, end_s, off_s)
        events, self.events = tuple(self.events), []
        made = Update(self.part, self.number, start_s - (self.start_s or 0.0),
                      self.form.length_s, end_s, predicted, lines, events, latency_s)
        self.number += 1
        return made

    def _off_s(self, modality: str, sensor: Sensor, start_s: float) -> float:
        """By how much a sensor's window begins after the step, 0 or less.

        A model that reads times gets the newest whole window of a sensor that still sends, however late that is, and is
        told when it was; others get what is there of the window of now.
        """
        if not self.predictor.reads_times or sensor.ring.empty or sensor.reached(start_s + self.form.length_s):
            return 0.0
        newest_s = sensor.whole_s() - start_s
        sends = modality in self.heard_s and (self.now_s or 0.0) - self.heard_s[modality] < SILENT_S
        return min(newest_s, 0.0) if sends or newest_s > -self.form.length_s else 0.0

    def _lines(self, windows: Mapping[str, np.ndarray], end_s: float, off_s: Mapping[str, float]) -> list[SensorLine]:
        """Every modality's line; a change of state is an event, too."""
        lines = [self.live[m].line(windows[m], end_s, self._waits(), self.form.min_completeness, off_s[m])
                 if m in self.live else SensorLine(m, "absent", False, 0.0, np.inf, 0.0, "", self.refused.get(m, ""))
                 for m in self.form.modalities]
        for line in lines:
            before = self.states.get(line.modality)
            if before is not None and before != (line.state, line.used):
                self._say(line.modality, line.state if line.used or line.state == "absent" else
                          f"{line.state}, {line.complete:.0%} of the window: not used")
            self.states[line.modality] = (line.state, line.used)
        return lines

    def _judge_one(self) -> None:
        """Look at one sensor's quality a step, in turn, once the prediction is out."""
        if self.live:
            names = list(self.live)
            self.live[names[self.judged % len(names)]].judge()
            self.judged += 1

    def _say(self, who: str, text: str) -> None:
        when = "" if self.now_s is None else f"{self.now_s - (self.start_s or 0.0):.1f} s "
        self.events.append(f"{when}{who}: {text}")
        log.info("%s%s: %s", when, who, text)


def stream(model: Fitted, source: Source | Iterable[Chunk], sfreq_hz: Mapping[str, float] | None = None, *,
           ch_names: Mapping[str, Sequence[str]] | None = None, units: Mapping[str, str] | None = None,
           person: str | None = None, wait_s: float | None = None) -> Iterator[Update]:
    """Predict while samples come in: one :class:`Update` every step of the model.

    Parameters
    ----------
    model : Fitted
    source : iterator of (modality, times_s, samples), or a source of :mod:`himoe.live`
        Stamps (N,) in s on one clock, samples (C, N) in the model's units.
    sfreq_hz : {modality: float}
        Rates in Hz; needed for an iterator.
    ch_names : mapping, optional
        By modality, for an iterator. Without names the channels are taken to be the model's, in its order.
    units : mapping, optional
        By modality, for an iterator; one that is not the model's is refused.
    person : str, optional
        Somebody whom the model knows (``model.description.people``); else a stranger, or who the recording says.
    wait_s : float, optional
        How long a window waits for late sensors: 0.25 s, or 2 s where only stamps say what time it is.

    Raises
    ------
    InputError
        If the model cannot use any sensor of the source, knows no such person, or an iterator comes without rates.
    """
    made: Any = source
    if not hasattr(source, "parts"):
        if not sfreq_hz:
            raise bad_input("sfreq_hz", sfreq_hz, "a rate by modality", "say at how many Hz each sensor sends")
        made = Chunks(source, sfreq_hz, ch_names, units)  # type: ignore[arg-type]
    return _updates(model, made, person, wait_s)


def _updates(model: Fitted, source: Source, person: str | None, wait_s: float | None) -> Iterator[Update]:
    form = model.description
    engine: Engine | None = None
    before: tuple[str, int | None] | None = None
    for part in source.parts():
        code = person_code(form, person) if person else person_code(form, part.subject, part.set_name or "")
        if engine is None or before != (part.subject, code):
            engine = Engine(model, source.sensors(), code, wait_s, part)
            require_a_sensor(engine, source.label)
        else:
            engine.begin(part, source.sensors())
        before = (part.subject, code)
        for tick in part.ticks:
            engine.meet(source.sensors())
            yield from engine.tick(tick)
        yield from engine.finish()


def require_a_sensor(engine: Engine, label: str) -> None:
    """Refuse a source of which the model can use nothing."""
    if engine.sensors and not engine.live:
        reasons = " ".join(engine.refused.values()) or " ".join(engine.sensors)
        raise bad_input(label, f"no sensor that the model can use ({reasons})",
                        f"one of {' '.join(engine.form.modalities)}", "choose another model or source")
