"""Sensors in trouble: nothing stops, nothing is NaN, and it is said."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from live_sessions import CHANNELS, DURATION_S, RATES_HZ, UNITS, make_model, make_session

import himoe
from himoe.core.errors import InputError
from himoe.live.engine import Update, stream
from himoe.live.sensor import SensorInfo, SensorLine
from himoe.live.sources import Chunk, Chunks, Part, Replay, Tick

Change = Callable[[float, np.ndarray, np.ndarray], list[tuple[np.ndarray, np.ndarray]]]
TROUBLE_S = (8.0, 14.0)


class Troubled:
    """The session as a clocked source; *change* meets each of the EMG's chunks from 8 to 14 s."""

    label = "troubled"

    def __init__(self, change: Change, seed: int = 10, troubled: str = "EMG") -> None:
        self.session, self.change, self.troubled = make_session("p1", seed), change, troubled

    def sensors(self) -> dict[str, SensorInfo]:
        return {m: SensorInfo(s.sfreq_hz, s.ch_names, s.unit) for m, s in self.session.signals.items()}

    def parts(self) -> Iterator[Part]:
        yield Part(self.ticks(), subject="p1", set_name="own")

    def ticks(self) -> Iterator[Tick]:
        edges = np.arange(0, DURATION_S + 0.1, 0.25)
        for low, high in pairwise(edges):
            chunks: list[Chunk] = []
            for m, s in self.session.signals.items():
                first, last = round(low * s.sfreq_hz), round(high * s.sfreq_hz)
                times, data = np.arange(first, last) / s.sfreq_hz, s.data[:, first:last]
                parts = [(times, data)]
                if m == self.troubled and TROUBLE_S[0] <= low < TROUBLE_S[1]:
                    parts = self.change(low, times, data)
                chunks += [(m, *part) for part in parts]
            yield Tick(chunks, float(high))


def line(update: Update, modality: str = "EMG") -> SensorLine:
    return next(one for one in update.sensors if one.modality == modality)


def nan(low: float, times: np.ndarray, data: np.ndarray) -> list[Any]:
    return [(times, np.full_like(data, np.nan))]


CHANGES: dict[str, tuple[Change, str]] = {
    "dies and comes back": (lambda low, times, data: [], "missing"),
    "twice the rate": (lambda low, times, data: [(np.arange(2 * len(times)) / 192 + times[0], data.repeat(2, axis=1))],
                       "sends 192 samples a second instead of 96: filters started again"),
    "a quarter of the rate": (lambda low, times, data: [(times[::4], data[:, ::4])], "too few for the model's band"),
    "jumps ahead": (lambda low, times, data: [(times + 5, data)], "its clock jumped by +"),
    "jumps back": (lambda low, times, data: [(times - 5, data)], "its clock jumped by -"),
    "another epoch": (lambda low, times, data: [(times + 1.7e9, data)], "its clock jumped"),
    "repeats stamps": (lambda low, times, data: [(times, data), (times, data)], "came twice"),
    "the same stamp": (lambda low, times, data: [(np.full(len(times), TROUBLE_S[0]), data)], "its clock jumped"),
    "NaN": (nan, ""),
    "infinite": (lambda low, times, data: [(times, np.full_like(data, -np.inf))], ""),
    "absurd": (lambda low, times, data: [(times, data * 1e30)], ""),
    "large": (lambda low, times, data: [(times, data * 1e6)], ""),
    "stamps that are none": (lambda low, times, data: [(np.full(len(times), np.nan), data)], "missing"),
    "another number of channels": (lambda low, times, data: [(times, data[:1])], "sends 1 × 24 values"),
    "no shape": (lambda low, times, data: [(times, data[0])], "sends 24 values"),
    "nothing": (lambda low, times, data: [(times[:0], data[:, :0])], "missing"),
    "backwards": (lambda low, times, data: [(times[::-1], data)], ""),
}


@pytest.fixture(scope="module")
def healthy(model: himoe.Fitted) -> list[Update]:
    """What the session gives without any trouble."""
    return list(stream(model, Troubled(lambda low, times, data: [(times, data)])))


@pytest.mark.parametrize("name", CHANGES)
def test_a_sensor_in_trouble_stops_nothing(model: himoe.Fitted, healthy: list[Update], name: str) -> None:
    change, said = CHANGES[name]
    updates = list(stream(model, Troubled(change)))
    assert [update.window for update in updates] == list(range(19))  # every step, in time
    for update in updates:
        values = [number for one in update.predicted.values() for number in (one.value, one.low, one.high)]
        assert len(values) == 6
        assert np.isfinite(values).all()
        assert all(one.used for one in update.sensors if one.modality != "EMG")
    assert said in " ".join(event for update in updates for event in update.events)
    for update, sound in zip(updates, healthy, strict=True):
        if update.end_s < TROUBLE_S[0]:
            assert update.predicted == sound.predicted
    assert (line(updates[-1]).state, line(updates[-1]).used) == ("alive", True)


@pytest.fixture(scope="module")
def time_reader() -> himoe.Fitted:
    return make_model(epochs=1, kind="MulT")


@pytest.mark.parametrize("name", ["dies and comes back", "twice the rate", "jumps ahead", "jumps back",
                                  "another epoch"])
def test_nor_where_the_model_reads_times(time_reader: himoe.Fitted, name: str) -> None:
    """It meets older windows, and none that is older than what a sensor that still sends has last said."""
    updates = list(stream(time_reader, Troubled(CHANGES[name][0])))
    assert [update.window for update in updates] == list(range(19))
    assert np.isfinite([one.value for update in updates for one in update.predicted.values()]).all()
    assert (line(updates[-1]).state, line(updates[-1]).used) == ("alive", True)
    if name == "dies and comes back":
        inside = [update for update in updates if TROUBLE_S[0] + 4 < update.end_s <= TROUBLE_S[1]]
        assert {(line(update).state, line(update).used) for update in inside} == {("absent", False)}


@pytest.mark.parametrize("change", [nan, CHANGES["dies and comes back"][0], CHANGES["a quarter of the rate"][0],
                                    CHANGES["another number of channels"][0]])
def test_what_is_not_there_is_absent(model: himoe.Fitted, change: Change) -> None:
    """In a window without a sample of it; and its interval is that of one sensor less."""
    updates = list(stream(model, Troubled(change)))
    inside = [update for update in updates if update.start_s >= TROUBLE_S[0] + 1 and update.end_s <= TROUBLE_S[1]]
    assert inside
    assert {(line(update).state, line(update).used) for update in inside} == {("absent", False)}
    assert {line(update, "EEG").state for update in inside} == {"alive"}


def test_a_late_sensor_is_late_and_takes_part_as_far_as_it_is_there(model: himoe.Fitted) -> None:
    waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def late(low: float, times: np.ndarray, data: np.ndarray) -> list[Any]:
        waiting.append((times, data))
        return [waiting.pop(0)] if len(waiting) > 4 else []  # a second

    updates = list(stream(model, Troubled(late, troubled="EDA")))
    seen = [line(update, "EDA") for update in updates if 10 < update.end_s < 14]
    assert {(one.state, one.used) for one in seen} == {("late", True)}
    assert all(0.5 < one.complete < 1 and 0.6 < one.late_s <= 1 for one in seen)


def test_without_any_sensor_nothing_is_predicted_and_the_steps_go_on(model: himoe.Fitted) -> None:
    source = Troubled(nan)
    ticks = [Tick([], tick.now_s) if 6 < (tick.now_s or 0) <= 15 else tick for tick in source.ticks()]

    class Silent(Troubled):
        def ticks(self) -> Iterator[Tick]:
            yield from ticks

    updates = list(stream(model, Silent(nan)))
    assert [update.window for update in updates] == list(range(19))
    assert [update.window for update in updates if not update.predicted] == list(range(5, 13))


def test_quality_names_what_is_wrong(model: himoe.Fitted) -> None:
    session = make_session("p1", 10)
    session.signals["EMG"].data[1] = 7.0
    session.signals["EEG"].data[2] = 3000 * np.sin(np.arange(22 * 64))  # far off the others
    updates = list(stream(model, Replay([session], None)))
    assert line(updates[-1]).quality == "1 of 2 flat"
    assert line(updates[-1], "EEG").note == "replaced: Pz"
    assert line(updates[-1], "EDA").quality == "good"


def test_memory_and_buffers_are_bounded(model: himoe.Fitted) -> None:
    """What is kept does not grow once the buffers are full (34 s): samples, stamps, events, statistics."""
    rng = np.random.default_rng(0)

    def chunks() -> Iterator[Chunk]:
        for second in range(100):
            for m, rate in RATES_HZ.items():
                times = second + np.arange(int(rate)) / rate
                yield m, times, rng.standard_normal((len(CHANNELS[m]), len(times)))

    updates = stream(model, chunks(), RATES_HZ, ch_names=CHANNELS, units=UNITS)
    sizes = []
    tracemalloc.start()
    for update in updates:
        if update.window in (45, 95):
            gc.collect()  # Python keeps small tuples to use them again
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert len(sizes) == 2
    assert sizes[1] - sizes[0] < 33_000  # 50 steps; a second of samples is 4 kB


def refused(model: himoe.Fitted, source: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        list(stream(model, source, *arguments, **options))
    return str(error.value)


def test_what_cannot_be_used_is_refused_in_a_sentence(model: himoe.Fitted) -> None:
    nothing: Sequence[Chunk] = []
    assert "sfreq_hz: found None" in refused(model, nothing)
    assert "one of EEG EMG EDA" in refused(model, nothing, {"PPG": 64.0})
    assert "found 'nobody'" in refused(model, nothing, {"EDA": 20.0}, person="nobody")
    assert "modality: found 'EDDA'" in refused(model, nothing, {"EDDA": 20.0})
    assert "live EMG: band_hz: found 20 Hz" in refused(model, nothing, {"EMG": 30.0})
    assert "found 0 Hz" in refused(model, nothing, {"EDA": 0.0})
    assert "Fz Cz" in refused(model, nothing, {"EEG": 64.0}, ch_names={"EEG": ["A1", "A2"]})
    assert "unit: found mV" in refused(model, nothing, {"EMG": 96.0}, units={"EMG": "mV"})


def test_a_sensor_that_the_model_does_not_have_is_left_out_and_said_once(model: himoe.Fitted) -> None:
    session = make_session("p1", 10)

    def chunks() -> Iterator[Chunk]:
        for second in range(10):
            for m in ("EDA", "EMG"):
                rate = int(RATES_HZ[m])
                yield m, second + np.arange(rate) / rate, session.signals[m].data[:, second * rate:(second + 1) * rate]
            yield "PPG", np.array([second]), np.array([[1.0]])

    updates = list(stream(model, Chunks(chunks(), {"EDA": 20, "EMG": 96})))
    assert len(updates) == 7
    assert [event for update in updates for event in update.events] == ["1.0 s PPG: the model has no PPG"]
