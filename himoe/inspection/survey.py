"""Reading subjects whole and keeping only facts: forms, gaps, ratings, digests, videos.

Legend: C channels, N samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import InputError
from himoe.core.progress import progress
from himoe.core.recordings import Session, Signal, Trial
from himoe.core.workers import map_forked
from himoe.datasets.base import Dataset, doubts_of, notes_of


@dataclass(frozen=True)
class Form:
    """What has to agree over recordings: channel names, rate in Hz, unit."""

    channels: tuple[str, ...]
    sfreq_hz: float
    unit: str

    def __str__(self) -> str:
        names = " ".join(self.channels[:3]) + (" ..." if len(self.channels) > 3 else "")
        return f"{len(self.channels)} channels ({names}) at {self.sfreq_hz:g} Hz in {self.unit}"


@dataclass(frozen=True)
class SignalFacts:
    """One modality in one trial.

    ``values`` and ``gaps`` count samples (over channels) and those among them that are NaN; ``constant`` and
    ``lost`` name channels that hold one value, or none, all through; ``digest`` tells equal samples (None if
    nothing varies); ``spread`` is the median over channels of their standard deviation (NaN if nothing varies).
    """

    form: Form
    values: int
    gaps: int
    constant: tuple[str, ...]
    lost: tuple[str, ...]
    digest: str | None
    spread: float = float("nan")

    @property
    def empty(self) -> bool:
        """Whether no sample was recorded."""
        return self.gaps == self.values


@dataclass(frozen=True)
class TrialFacts:
    """One trial: ids, length in seconds, ratings (NaN = missing), facts of its signals."""

    trial: str
    stimulus: str
    session: str
    duration_s: float
    ratings: Mapping[str, float]
    annotated: bool
    signals: Mapping[str, SignalFacts]


@dataclass(frozen=True)
class VideoFacts:
    """One face video: its trial, frames, rate, size, length; or the sentence that says why it cannot be read."""

    trial: str
    path: Path
    frames: int = 0
    fps_hz: float = float("nan")
    width_px: int = 0
    height_px: int = 0
    duration_s: float = float("nan")
    error: str | None = None


@dataclass(frozen=True)
class SubjectFacts:
    """What was read of a subject, up to the first error if there is one."""

    subject: str
    trials: tuple[TrialFacts, ...] = ()
    videos: tuple[VideoFacts, ...] = field(default=())
    error: str | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def read_subjects(
    dataset: Dataset, root: Path, options: Mapping[str, str], subjects: Sequence[str], jobs: int = 1
) -> Iterator[SubjectFacts]:
    """Facts of every subject, in order, with progress; a subject that cannot be read carries its error."""
    done = map_forked(_read, (dataset, root, options), subjects, jobs)
    yield from progress(done, f"read {dataset.name}", "subject", len(subjects))


def is_refusal(problem: str) -> bool:
    """Whether a problem of an inventory quotes a refusal (:func:`himoe.core.errors.bad_input`): a file is damaged."""
    return ": found " in problem and ", expected " in problem


def _read(shared: tuple[Dataset, Path, Mapping[str, str]], subject: str) -> SubjectFacts:
    return read_subject(*shared, subject)


def read_subject(dataset: Dataset, root: Path, options: Mapping[str, str], subject: str) -> SubjectFacts:
    """Read one subject whole; memory holds one session at a time."""
    trials: list[TrialFacts] = []
    notes: list[str] = []
    doubts: list[str] = []
    error = None
    try:
        for session in dataset.read(root, subject, options):
            trials += [_trial_facts(session, trial) for trial in session.trials]
            notes += notes_of(session)
            doubts += doubts_of(session)
    except InputError as problem:
        error = str(problem)
    except Exception as problem:  # a damaged file may fail in a way its reader does not know yet
        error = (f"{root}, subject {subject}: found data that its reader cannot handle ({type(problem).__name__}: "
                 f"{problem}), expected the published form; fetch the subject's files again.")
    return SubjectFacts(subject, tuple(trials), tuple(_videos(dataset, root, subject)), error,
                        tuple(notes), tuple(doubts))


def _trial_facts(session: Session, trial: Trial) -> TrialFacts:
    signals = {modality: signal_facts(signal.cut(trial.start_s, trial.duration_s))
               for modality, signal in session.signals.items()}
    return TrialFacts(trial.trial, trial.stimulus, trial.session, trial.duration_s, dict(trial.ratings),
                      trial.annotations is not None, signals)


def signal_facts(signal: Signal) -> SignalFacts:
    """Facts of one signal (C, N)."""
    data = signal.data
    gaps = np.isnan(data)
    low, high = np.fmin.reduce(data, axis=1, initial=np.nan), np.fmax.reduce(data, axis=1, initial=np.nan)
    lost = gaps.all(axis=1)
    constant = ~lost & (low == high) & (data.shape[1] > 1)
    varies = bool((~lost & ~constant).any())
    digest = hashlib.blake2b(data.tobytes(), digest_size=16).hexdigest() if varies else None
    form = Form(signal.ch_names, signal.sfreq_hz, signal.unit)
    spread = float(np.median(np.nanstd(data[~lost & ~constant], axis=1, dtype=float))) if varies else float("nan")
    return SignalFacts(form, data.size, int(gaps.sum()), _names(signal, constant), _names(signal, lost), digest, spread)


def _names(signal: Signal, chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(name for name, one in zip(signal.ch_names, chosen, strict=True) if one)


def _videos(dataset: Dataset, root: Path, subject: str) -> Iterator[VideoFacts]:
    """Facts of the subject's face videos, from their headers."""
    if dataset.videos is None:
        return
    try:
        paths = dataset.videos(root, subject)
    except InputError as problem:
        yield VideoFacts("", root, error=str(problem))
        return
    for trial, path in sorted(paths.items()):
        yield video_facts(trial, path)


def video_facts(trial: str, path: Path) -> VideoFacts:
    """Facts of one video; a damaged one carries its error."""
    from himoe.prepare.faces.video import probe

    try:
        info: Any = probe(path)
    except InputError as problem:
        return VideoFacts(trial, path, error=str(problem))
    return VideoFacts(trial, path, info.frames, info.fps_hz, info.width_px, info.height_px, info.duration_s)
