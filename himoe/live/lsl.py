"""Lab Streaming Layer: sensors that are sent over the network, and predictions that are sent back.

Kothe et al. 2025, doi 10.1162/IMAG.a.136. Stamps are brought to this machine's clock by LSL's own time correction.
pylsl brings liblsl along (extra ``live``). All its errors are RuntimeErrors, whose own names not every version of it
gives: a stream that cannot be read now is tried again later, and the others go on. Legend: C channels, N samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.recordings import MODALITIES
from himoe.datasets.devices.units import unit_factor
from himoe.live.engine import Update
from himoe.live.sensor import SensorInfo
from himoe.live.sources import Chunk, Part, Tick
from himoe.training.description import Description

# what streams and channels are called beside the modality's own name, in capitals
ALIASES = {"GSR": "EDA", "SCR": "EDA", "RESP": "RSP", "RESPIRATION": "RSP", "BREATH": "RSP", "BVP": "PPG",
           "PULSE": "PPG", "PLETH": "PPG", "TEMPERATURE": "TEMP", "SKT": "TEMP", "ACCELEROMETER": "ACC",
           "ACCELERATION": "ACC", "EKG": "ECG"}
LOOK_S = 2.0  # between two looks for streams that were not there, or have come back
SETTLE_S = 1.0  # in which further streams are waited for once one is there
CORRECT_S = 5.0  # between two corrections of a clock
RETRY_S = 5.0  # a stream that could not be opened is left alone for so long: trying holds up the others
POLL_S = 0.01
SILENT_S = 2.0  # a stream that sends nothing for so long may have come back under another number


def pylsl() -> Any:
    """The library.

    Raises
    ------
    InputError
        If it, or liblsl, is not there.
    """
    try:
        import pylsl as library
    except (ImportError, RuntimeError) as error:
        raise bad_input("Lab Streaming Layer", f"no pylsl with liblsl ({str(error).splitlines()[0]})", "both",
                        "pip install 'himoe[live]'") from error
    return library


def modality_of(text: str) -> str | None:
    """The modality that a type names."""
    name = text.strip().upper()
    name = ALIASES.get(name, name)
    return name if name in MODALITIES else None


@dataclass
class Inlet:
    """A stream that is read, and which of its channels belong to which modality."""

    inlet: Any
    uid: str
    picks: Mapping[str, Sequence[int]]
    infos: Mapping[str, SensorInfo]
    factors: Mapping[str, np.ndarray]
    correction_s: float | None = None  # from its clock to ours; without it stamps mean nothing
    asked_s: float = -np.inf
    heard_s: float = field(default_factory=time.monotonic)

    def pull(self) -> list[Chunk]:
        """What has come."""
        if time.monotonic() - self.asked_s > CORRECT_S:
            self.asked_s = time.monotonic()
            with suppress(RuntimeError):  # no answer in time: the last correction holds
                self.correction_s = self.inlet.time_correction(timeout=2.0 if self.correction_s is None else 0.05)
        try:
            rows, stamps = self.inlet.pull_chunk(timeout=0.0, max_samples=4096, as_numpy=True)
        except RuntimeError:
            return []
        if len(stamps) == 0 or self.correction_s is None:
            return []
        self.heard_s = time.monotonic()
        data, times_s = np.asarray(rows, dtype=np.float64).T, np.asarray(stamps) + self.correction_s
        return [(m, times_s, data[list(picks)] * self.factors[m][:, None]) for m, picks in self.picks.items()]


class Lsl:
    """Streams of Lab Streaming Layer as a source without an end.

    Parameters
    ----------
    form : Description
        Of the model: its modalities, channels and units.
    names : {modality: text}, optional
        Name, type or source id of the stream that sends it. Without it a stream whose type, or whose channels' type,
        is the modality's name, or another name of it (GSR, BVP, RESP, ...).
    timeout_s : float
        How long the first stream is waited for.

    Raises
    ------
    InputError
        If none turns up, or pylsl is not there.
    """

    label = "Lab Streaming Layer"

    def __init__(self, form: Description, names: Mapping[str, str] | None = None, timeout_s: float = 10.0) -> None:
        self.library, self.form, self.names = pylsl(), form, dict(names or {})
        self.resolver = self.library.ContinuousResolver(forget_after=5.0)
        self.inlets: dict[str, Inlet] = {}  # by modality
        self.failed: dict[str, float] = {}  # by stream: when it could not be opened
        self.stopped = False
        end_s = time.monotonic() + timeout_s
        while not self.inlets and time.monotonic() < end_s:
            time.sleep(0.1)
            self._look()
        if not self.inlets:
            seen = ", ".join(f"{one.name()} ({one.type()}{', does not answer' if one.uid() in self.failed else ''})"
                             for one in self.resolver.results()) or "no stream"
            raise bad_input(self.label, seen, f"a stream of type {' or '.join(form.modalities)}",
                            "start it, or say which stream is which with --lsl EDA=NAME")
        time.sleep(SETTLE_S)
        self._look()

    def sensors(self) -> Mapping[str, SensorInfo]:
        """Those that are read."""
        return {m: inlet.infos[m] for m, inlet in self.inlets.items()}

    def parts(self) -> Iterator[Part]:
        """One, until :meth:`stop`."""
        yield Part(self._ticks())

    def stop(self) -> None:
        """No further tick."""
        self.stopped = True

    def _ticks(self) -> Iterator[Tick]:
        looked_s = time.monotonic()
        while not self.stopped:
            chunks = [chunk for inlet in {id(one): one for one in self.inlets.values()}.values()
                      for chunk in inlet.pull() if self.inlets.get(chunk[0]) is inlet]
            yield Tick(chunks, self.library.local_clock())
            if not chunks:
                time.sleep(POLL_S)
            if time.monotonic() - looked_s > LOOK_S:
                looked_s = time.monotonic()
                self._look()

    def _look(self) -> None:
        """Open streams of modalities that nobody sends, or nobody sends any more."""
        now_s = time.monotonic()
        for info in self.resolver.results():
            wanted = [m for m in self._told(info) if m not in self.inlets or (
                info.uid() != self.inlets[m].uid and now_s - self.inlets[m].heard_s > SILENT_S)]
            if not wanted or now_s - self.failed.get(info.uid(), -np.inf) < RETRY_S:
                continue
            try:
                made = self._open(info)
            except RuntimeError:  # it has gone, or its machine does not answer
                self.failed[info.uid()] = time.monotonic()
                continue
            for m in wanted:
                if m in made.picks:
                    self.inlets[m] = made

    def _told(self, info: Any) -> list[str]:
        """The modalities that a stream may send, by what its short description says."""
        called = (info.name(), info.type(), info.source_id())
        named = [m for m, text in self.names.items() if text in called]
        if named or not info.nominal_srate() > 0:
            return named
        free = [m for m in self.form.modalities if m not in self.names]
        own = modality_of(info.type())
        return [own] if own in free else free if own is None else []

    def _open(self, short: Any) -> Inlet:
        """Read a stream: its full description says which channels are which."""
        inlet = self.library.StreamInlet(short, max_buflen=60, processing_flags=0)
        info = inlet.info(timeout=2.0)
        count = info.channel_count()
        labels = [label or "" for label in info.get_channel_labels() or [""] * count]
        types = [modality_of(text or "") for text in info.get_channel_types() or [""] * count]
        units = [unit or "" for unit in info.get_channel_units() or [""] * count]
        picks = {m: self._picked(m, info, types) for m in self._told(short)}
        picks = {m: chosen for m, chosen in picks.items() if chosen}
        infos, factors = {}, {}
        for m, chosen in picks.items():
            names = tuple(labels[k] for k in chosen)
            named = all(names) and len(set(names)) == len(names)
            wanted = self.form.modalities[m].unit
            found = [unit_factor(units[k], wanted) for k in chosen]
            fits = all(factor is not None for factor in found)
            factors[m] = np.array([factor if fits and factor is not None else 1.0 for factor in found])
            infos[m] = SensorInfo(info.nominal_srate(), names if named else (), "" if fits else units[chosen[0]])
        inlet.open_stream(timeout=2.0)
        return Inlet(inlet, info.uid(), picks, infos, factors)

    def _picked(self, modality: str, info: Any, types: Sequence[str | None]) -> list[int]:
        """The channels of a modality: those of its type; all of a stream that is of its type, or was named for it."""
        mine = [k for k, kind in enumerate(types) if kind == modality]
        if mine:
            return mine
        whole = modality_of(info.type()) == modality or modality in self.names
        return [k for k, kind in enumerate(types) if kind is None or kind not in self.form.modalities] if whole else []


class LslOutlet:
    """Predictions as a stream of type ``Emotion``: for each dimension its value, and the ends of its interval."""

    def __init__(self, name: str, form: Description) -> None:
        self.library, self.form = pylsl(), form
        self.labels = [label for d in form.dimensions for label in (
            (d, f"{d}_low", f"{d}_high") if d in form.intervals else (d,))]
        info = self.library.StreamInfo(name, "Emotion", len(self.labels), 1 / form.step_s, "float32", f"himoe-{name}")
        info.set_channel_labels(self.labels)
        self.outlet = self.library.StreamOutlet(info)

    def show(self, update: Update) -> None:
        """Send one prediction, stamped with now; nothing where there is none."""
        values = {f"{d}{end}": number for d, one in update.predicted.items()
                  for end, number in (("", one.value), ("_low", one.low), ("_high", one.high))}
        if values:
            self.outlet.push_sample([values[label] for label in self.labels], self.library.local_clock())

    def close(self) -> None:
        """The stream ends."""
        del self.outlet
