"""Lab Streaming Layer: outlets of the test's own, on this machine."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from live_sessions import CHANNELS, RATES_HZ

import himoe
from himoe.core.errors import InputError
from himoe.live.engine import stream
from himoe.live.lsl import Lsl, LslOutlet, modality_of

try:
    import pylsl
except (ImportError, RuntimeError):
    pylsl = None
needs_liblsl = pytest.mark.skipif(pylsl is None, reason="needs pylsl with liblsl: pip install 'himoe[live]'")
TYPES, UNITS = {"EEG": "EEG", "EMG": "EMG", "EDA": "GSR"}, {"EEG": "volts", "EMG": "microvolts", "EDA": "microsiemens"}


def outlet(modality: str, name: str) -> Any:
    """An outlet of one modality, with channel names and units; EEG in volts."""
    info = pylsl.StreamInfo(name, TYPES[modality], len(CHANNELS[modality]), RATES_HZ[modality], "float32", name)
    info.set_channel_labels(list(CHANNELS[modality]))
    info.set_channel_units([UNITS[modality]] * len(CHANNELS[modality]))
    return pylsl.StreamOutlet(info)


class Senders:
    """Sends what :func:`outlet` gave, in real time, until it is stopped; stamps of the EMG are 1000 s off."""

    def __init__(self, outlets: dict[str, Any]) -> None:
        self.outlets, self.stopped = outlets, threading.Event()
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self) -> None:
        rng = np.random.default_rng(0)
        began = pylsl.local_clock()
        sent = dict.fromkeys(self.outlets, 0)
        while not self.stopped.wait(0.05):
            now = pylsl.local_clock()
            for modality, out in list(self.outlets.items()):
                due = int((now - began) * RATES_HZ[modality]) - sent[modality]
                if due > 0:
                    size = {"EEG": 1e-5, "EMG": 10.0, "EDA": 0.01}[modality]
                    data = size * rng.standard_normal((due, len(CHANNELS[modality]))) + (modality == "EDA") * 5
                    stamp = began + (sent[modality] + due) / RATES_HZ[modality]
                    out.push_chunk(data.astype(np.float32), stamp + (1000.0 if modality == "EMG" else 0.0))
                    sent[modality] += due

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(timeout=5)


@pytest.fixture
def senders() -> Iterator[tuple[Senders, dict[str, str]]]:
    """Three outlets that send, and their names, which nobody else has."""
    names = {m: f"himoe-test-{m}-{uuid.uuid4().hex[:8]}" for m in TYPES}
    made = Senders({m: outlet(m, name) for m, name in names.items()})
    yield made, names
    made.stop()


@needs_liblsl
def test_streams_are_predicted_from_and_predictions_are_a_stream(model: himoe.Fitted,
                                                                 senders: tuple[Senders, dict[str, str]]) -> None:
    """EEG in volts, EMG on a clock of its own, EDA found as GSR; the EDA stops after a while."""
    sending, names = senders
    source = Lsl(model.description, names)
    assert {m: info.ch_names for m, info in source.sensors().items()} == CHANNELS
    sent = LslOutlet(f"out-{names['EEG']}", model.description)
    [found] = pylsl.resolve_byprop("name", f"out-{names['EEG']}", timeout=5)
    inlet = pylsl.StreamInlet(found)
    inlet.open_stream(timeout=5)
    assert inlet.info().get_channel_labels() == sent.labels
    assert sent.labels[:3] == ["valence", "valence_low", "valence_high"]
    end = time.monotonic() + 20
    updates = []
    for update in stream(model, source):
        updates.append(update)
        sent.show(update)
        if len(updates) == 2:
            del sending.outlets["EDA"]
        if len(updates) == 8 or time.monotonic() > end:
            source.stop()
    assert len(updates) >= 8
    first = {line.modality: line for line in updates[1].sensors}
    assert {line.state for line in first.values()} <= {"alive", "late"}
    assert all(line.used for line in first.values())
    assert "clock" in first["EMG"].note
    assert first["EEG"].note == ""
    last = {line.modality: line for line in updates[-1].sensors}
    assert (last["EDA"].used, last["EEG"].used, last["EMG"].used) == (False, True, True)
    rows, _ = inlet.pull_chunk(timeout=1.0)
    assert len(rows) == len(updates)
    np.testing.assert_allclose([row[0] for row in rows], [u.predicted["valence"].value for u in updates], rtol=1e-6)


@needs_liblsl
def test_volts_become_microvolts(model: himoe.Fitted, senders: tuple[Senders, dict[str, str]]) -> None:
    source = Lsl(model.description, {"EEG": senders[1]["EEG"]})
    values = []
    end = time.monotonic() + 10
    for tick in next(source.parts()).ticks:
        values += [samples for m, _, samples in tick.chunks if m == "EEG"]
        if sum(one.shape[1] for one in values) > 60 or time.monotonic() > end:
            source.stop()
    found = np.concatenate(values, axis=1)
    assert found.shape[0] == 5
    assert 5 < found.std() < 20


@needs_liblsl
def test_no_stream_is_said_in_a_sentence(model: himoe.Fitted) -> None:
    with pytest.raises(InputError, match=r"Lab Streaming Layer: found .*, expected a stream of type EEG or EMG or EDA"):
        Lsl(model.description, dict.fromkeys(CHANNELS, "no stream is called that"), timeout_s=0.5)


class Broken:
    """A stream without channel names, and its inlet; the methods *broken* fail as those of pylsl do."""

    def __init__(self, kind: str, *broken: str) -> None:
        self.kind, self.broken = kind, broken

    def __getattr__(self, name: str) -> Any:
        def answer(*_: Any, **__: Any) -> Any:
            if name in self.broken:
                raise RuntimeError("the stream has been lost.")
            count = len(CHANNELS[self.kind])
            return {"info": self, "channel_count": count, "nominal_srate": RATES_HZ[self.kind], "time_correction": 2.0,
                    "pull_chunk": (np.full((3, count), 7.0), np.arange(3.0))}.get(
                        name, None if name.startswith(("get_", "open_")) else self.kind)
        return answer


def lsl_of(model: himoe.Fitted, monkeypatch: pytest.MonkeyPatch, *streams: Broken) -> Lsl:
    """The source, in a network of these streams."""
    library = SimpleNamespace(ContinuousResolver=lambda **_: SimpleNamespace(results=lambda: streams),
                              StreamInlet=lambda stream, **_: stream, local_clock=lambda: 5.0)
    monkeypatch.setattr("himoe.live.lsl.pylsl", lambda: library)
    monkeypatch.setattr("himoe.live.lsl.SETTLE_S", 0.0)
    return Lsl(model.description, timeout_s=0.3)


@pytest.mark.parametrize("broken", ["info", "open_stream"])
def test_a_stream_that_goes_while_it_is_opened_is_left_out(model: himoe.Fitted, monkeypatch: pytest.MonkeyPatch,
                                                           broken: str) -> None:
    assert list(lsl_of(model, monkeypatch, Broken("EMG", broken), Broken("EDA")).sensors()) == ["EDA"]
    with pytest.raises(InputError, match=r"found EMG \(EMG, does not answer\), expected a stream of type"):
        lsl_of(model, monkeypatch, Broken("EMG", broken))


def test_a_stream_that_is_lost_stops_no_other(model: himoe.Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its clock's correction nothing is taken from a stream; a correction that once came holds."""
    emg, eda = Broken("EMG"), Broken("EDA")
    source = lsl_of(model, monkeypatch, Broken("EEG", "time_correction"), emg, eda)
    monkeypatch.setattr("himoe.live.lsl.CORRECT_S", -1.0)  # asked for every time
    ticks = next(source.parts()).ticks
    taken = []
    for emg.broken, eda.broken in ([(), ()], [("pull_chunk",), ("time_correction",)]):
        taken.append([(m, *times_s) for m, times_s, _ in next(iter(ticks)).chunks])
    assert taken == [[("EMG", 2, 3, 4), ("EDA", 2, 3, 4)], [("EDA", 2, 3, 4)]]


def test_types_are_known_by_other_names() -> None:
    assert [modality_of(text) for text in ("eeg", "GSR", " resp ", "BVP", "Markers", "")] == [
        "EEG", "EDA", "RSP", "PPG", None, None]
