"""What a reader hands over: signals at their own rates, trials, ratings.

Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.long_arrays import columns, gap, is_long, let_go

MODALITIES = (
    "EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP", "ECG", "FACE", "HEAD", "GAZE", "LUM", "HR", "IBI", "ACC",
)
# "PPS" in the literature: the peripheral signals a set has (DEAP's six, DREAMER's ECG).
PERIPHERAL = ("EOG", "EMG", "EDA", "RSP", "PPG", "TEMP", "ECG")
DIMENSIONS = ("valence", "arousal", "dominance", "liking")


@dataclass(frozen=True)
class Signal:
    """One modality at its own rate.

    Parameters
    ----------
    data : ndarray, (C, N) float32
        Samples; NaN marks a gap (a lost sensor, no fixation), never a value.
    sfreq_hz : float
        Sampling rate in Hz.
    ch_names : tuple of str
        C channel names.
    unit : str
        Unit of the samples, e.g. ``"uV"``, ``"uS"``, ``"degC"``.
    start_s : float
        Time of the first sample, in seconds on the session's clock.

    Raises
    ------
    InputError
        If shape, rate or names do not fit each other.
    """

    data: np.ndarray
    sfreq_hz: float
    ch_names: tuple[str, ...]
    unit: str
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.data.ndim != 2 or self.data.dtype != np.float32:
            raise bad_input("Signal.data", f"shape {self.data.shape} of {self.data.dtype}",
                            "(C, N) float32", "reshape or convert the array")
        if len(self.ch_names) != self.data.shape[0]:
            raise bad_input("Signal.ch_names", f"{len(self.ch_names)} names",
                            f"{self.data.shape[0]} (one per channel)", "name every channel")
        if not self.sfreq_hz > 0:
            raise bad_input("Signal.sfreq_hz", self.sfreq_hz, "a rate above 0 Hz", "read the rate from the file")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.data.shape[1] / self.sfreq_hz

    def cut(self, start_s: float, duration_s: float) -> Signal:
        """The samples from *start_s* (session clock) on, ``start_s`` reset to 0.

        Samples before the first or after the last one are NaN. What lies on disk (:mod:`himoe.core.long_arrays`) is
        not copied where the cut is inside it.
        """
        n_samples = round(duration_s * self.sfreq_hz)
        first = round((start_s - self.start_s) * self.sfreq_hz)
        low, high = max(first, 0), min(first + n_samples, self.data.shape[1])
        if isinstance(self.data, np.memmap) and high - low == n_samples:
            return Signal(self.data[:, low:high], self.sfreq_hz, self.ch_names, self.unit, 0.0)
        if high - low == n_samples and not is_long(self.data.itemsize * self.data.shape[0] * n_samples):
            return Signal(self.data[:, low:high].copy(), self.sfreq_hz, self.ch_names, self.unit, 0.0)
        data = gap(self.data.shape[0], n_samples)
        for where in columns(data):
            begin, end = max(where.start + first, low), min(where.stop + first, high)
            if begin < end:
                data[:, begin - first:end - first] = self.data[:, begin:end]
                let_go(self.data)
        return Signal(data, self.sfreq_hz, self.ch_names, self.unit, 0.0)


@dataclass(frozen=True)
class Annotations:
    """Time-stamped ratings given while the stimulus ran.

    ``time_s`` (K,) in seconds from the trial's start, increasing; ``values`` maps a dimension to (K,).
    """

    time_s: np.ndarray
    values: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if self.time_s.ndim != 1 or np.any(np.diff(self.time_s) < 0):
            raise InputError("Annotations.time_s: expected one increasing axis of times in seconds; sort it.")
        for dimension, values in self.values.items():
            check_dimension(dimension)
            if values.shape != self.time_s.shape:
                raise bad_input(f"Annotations.values[{dimension!r}]", f"shape {values.shape}",
                                f"{self.time_s.shape}", "give one value a time stamp")


@dataclass(frozen=True)
class Trial:
    """One trial inside a session: where it lies on the session's clock and how it was rated.

    ``ratings`` maps a dimension to one number per trial, NaN where missing; ``session`` names the subject's visit
    (day).
    """

    trial: str
    stimulus: str
    start_s: float
    duration_s: float
    ratings: Mapping[str, float]
    annotations: Annotations | None = None
    session: str = "1"


@dataclass(frozen=True)
class Session:
    """A stretch of continuous recording of one subject, with the trials it holds.

    A data set stored trial by trial gives one session a trial (its margins, such as a baseline, included).
    """

    subject: str
    signals: Mapping[str, Signal]
    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        for modality in self.signals:
            check_modality(modality)


@dataclass(frozen=True)
class Recording:
    """One trial of one subject, cut out: every signal starts at the trial's start (time 0)."""

    subject: str
    trial: str
    stimulus: str
    duration_s: float
    signals: Mapping[str, Signal]
    ratings: Mapping[str, float] = field(default_factory=dict)
    annotations: Annotations | None = None
    session: str = "1"


def check_modality(name: str) -> str:
    """Return *name* if it is a known modality, else raise :class:`InputError`."""
    if name not in MODALITIES:
        raise bad_input("modality", repr(name), "one of " + " ".join(MODALITIES), "correct the name")
    return name


def check_dimension(name: str) -> str:
    """Return *name* if it is a known emotion dimension, else raise :class:`InputError`."""
    if name not in DIMENSIONS:
        raise bad_input("dimension", repr(name), "one of " + " ".join(DIMENSIONS), "correct the name")
    return name


def expand_modalities(text: str, available: Collection[str]) -> tuple[str, ...]:
    """The modalities that *text* names, in the order of ``MODALITIES``: names joined by +, PPS or ALL among them.

    Raises
    ------
    InputError
        For an unknown name, one that the data lacks, or a group of which the data has nothing.
    """
    chosen: set[str] = set()
    for name in text.split("+"):
        group = {"PPS": PERIPHERAL, "ALL": MODALITIES}.get(name)
        members = [check_modality(name)] if group is None else [m for m in group if m in available]
        if not members or not set(members) <= set(available):
            raise bad_input(f"modalities {text!r}: {name}", "nothing of that name in the data",
                            "some of " + " ".join(m for m in MODALITIES if m in available), "choose among these")
        chosen |= set(members)
    return tuple(m for m in MODALITIES if m in chosen)
