"""How good the raw signals are: gaps, flat and clipped channels, line noise; and pictures of them as numbers.

What needs every sample (gaps, clipping) is counted over the whole session. What does not (line noise, flat and
bad channels) is taken from at most ``STRETCHES`` stretches of ``STRETCH_S`` seconds spread over it.
Legend: C channels, N samples, F frequencies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.files import read_json, write_json, write_text
from himoe.core.long_arrays import let_go
from himoe.core.recordings import Recording, Session, Signal
from himoe.datasets.gaps import FLAT_MIN_S, mark_flat
from himoe.prepare.quality_examples import example, significant
from himoe.prepare.signals import bad_channels, fill_gaps

FORMAT_VERSION = 1
QUALITY_FILE, EXAMPLES_FILE = "quality.json", "examples.json"
FRAMES = "FACE"  # its samples are video frames: only whether a face was found is asked
STRETCHES, STRETCH_S = 3, 60.0
MAINS_HZ = (50.0, 60.0)  # the mains frequencies in use
LINE_HALF_WIDTH_HZ = 1.0
LINE_NEIGHBOURS_HZ = (2.0, 5.0)  # distance of the neighbouring bands from the line
LINE_SEGMENT_S = 2.0  # 0.5 Hz a bin: the main lobe of a Hann window is then 2 Hz wide, as the band is
LINE_CLEAR_DB = 3.0  # below it no line is named
FLAT_SHARE = 0.5
FLAT_MIN_SAMPLES = 64  # a slow sensor's last digit may stand still for long without being dead
CLIP_SHARE = 0.001
CLIP_RUN = 3
CLIP_FACTOR = 5  # a rounded peak stays in its top step less than this many times as long as in the next
EXAMPLE_S = {"EEG": 4.0, "EOG": 10.0, "EMG": 10.0, "PPG": 10.0, "ECG": 10.0}  # others: the whole trial
SHARES = ("missing_samples", "flat_channels", "clipped_channels", "bad_channels")
COLUMNS = ("set", "data", "subject", "modality", "usable_windows", *SHARES, "line_noise_db", "line_hz")


def raw_quality(signal: Signal, lines_hz: Sequence[float] = MAINS_HZ, eeg: bool = False) -> dict[str, Any]:
    """Quality of one modality of one session as recorded.

    Parameters
    ----------
    signal : Signal
        (C, N), before any filter.
    lines_hz : sequence of float
        Mains frequencies to look at.
    eeg : bool
        Whether ``bad_channels`` is asked for (:func:`himoe.prepare.signals.bad_channels`).

    Returns
    -------
    dict
        ``samples`` C × N; ``channels``; ``sfreq_hz``; shares in 0..1: ``missing_samples``, ``flat_channels``,
        ``clipped_channels``, ``bad_channels`` (None unless *eeg*); ``line_noise_db``: by line in Hz (as text)
        the excess of :func:`line_noise`, None where it cannot be seen.
    """
    data = signal.data
    channels, n_samples = data.shape
    found: dict[str, Any] = {"samples": data.size, "channels": channels, "sfreq_hz": signal.sfreq_hz}
    if data.size == 0:
        return found | dict.fromkeys(SHARES) | {"line_noise_db": {f"{line:g}": None for line in lines_hz}}
    missing = np.array([_one(_missing, row) for row in data])
    parts = [data[:, where] for where in stretches(n_samples, signal.sfreq_hz)]
    flat = flat_channels(np.concatenate(parts, axis=1), signal.sfreq_hz)
    clipped = clipped_shares(data) >= CLIP_SHARE
    whole = [fill_gaps(part) for part in parts]
    bad = None
    if eeg:
        bad = float(bad_channels(np.concatenate(whole, axis=1), np.isnan(np.concatenate(parts, axis=1)),
                                 signal.unit).mean())
    lines = line_noise([part[~flat] for part in whole], signal.sfreq_hz, lines_hz)
    return found | {
        "missing_samples": float(missing.sum() / data.size), "flat_channels": float(flat.mean()),
        "clipped_channels": float(clipped.mean()), "bad_channels": bad,
        "line_noise_db": {f"{line:g}": value for line, value in zip(lines_hz, lines, strict=True)},
    }


def frame_quality(signal: Signal) -> dict[str, Any]:
    """The same for video frames: ``missing_samples`` is the share of frames without a face, the rest None."""
    lost = np.isnan(signal.data).any(axis=0)
    return {"samples": signal.data.shape[1], "channels": signal.data.shape[0], "sfreq_hz": signal.sfreq_hz,
            **dict.fromkeys(SHARES), "missing_samples": float(lost.mean()) if lost.size else None,
            "line_noise_db": {f"{line:g}": None for line in MAINS_HZ}}


def stretches(n_samples: int, sfreq_hz: float) -> list[slice]:
    """At most ``STRETCHES`` stretches of ``STRETCH_S``, each in the middle of its equal part; all of a short signal."""
    length = round(STRETCH_S * sfreq_hz)
    if n_samples <= STRETCHES * length:
        return [slice(0, n_samples)]
    firsts = [round((k + 0.5) * n_samples / STRETCHES - length / 2) for k in range(STRETCHES)]
    return [slice(first, first + length) for first in firsts]


def flat_channels(data: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """Flags (C,) of channels that are lost or stand still for more than half of (C, N).

    Standing still is one value for at least 0.5 s and 64 samples (:func:`himoe.datasets.gaps.mark_flat`).
    """
    still = (data[:, 1:] == data[:, :-1]).mean(axis=1) if data.shape[1] > 1 else np.zeros(len(data))
    suspect = still + np.isnan(data).mean(axis=1) > FLAT_SHARE * 0.95  # runs hold one pair less than samples
    flags = np.zeros(len(data), dtype=bool)
    min_s = max(FLAT_MIN_S, FLAT_MIN_SAMPLES / sfreq_hz)
    flags[suspect] = np.isnan(mark_flat(data[suspect], sfreq_hz, min_s)).mean(axis=1) > FLAT_SHARE
    return flags


def clipped_shares(data: np.ndarray) -> np.ndarray:
    """Share (C,) of samples held at a channel's lowest or highest value: where the converter ran out of range.

    Counts runs of at least ``CLIP_RUN`` equal samples at an extreme, if the extreme holds at least
    ``CLIP_FACTOR`` times as many samples as the nearest other value: coarse steps alone are not clipping
    (a parabola's top step lasts at most 2.4 times as long as the step below). A constant channel is flat, not clipped.
    """
    return np.array([_one(_clipped, row) for row in data])


def _one(count: Callable[[np.ndarray], float], row: np.ndarray) -> float:
    """*count* of one channel (N,); its memory is given back if it is on disk."""
    found = count(row)
    let_go(row)
    return found


def _clipped(row: np.ndarray) -> float:
    low, high = np.fmin.reduce(row), np.fmax.reduce(row)
    count = 0
    if low < high:  # False for a channel of gaps, too
        for extreme in (low, high):
            at = row == extreme
            held = int(np.count_nonzero(at))
            if held >= CLIP_SHARE / 2 * row.size and held >= CLIP_RUN:
                rest = row[~at & np.isfinite(row)]
                nearest = rest.max() if extreme == high else rest.min()
                if held >= CLIP_FACTOR * np.count_nonzero(rest == nearest):
                    count += _in_runs(at, CLIP_RUN)
    return count / row.size


def _in_runs(flags: np.ndarray, n_min: int) -> int:
    """How many of *flags* (N,) stand in runs of at least *n_min*."""
    edges = np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return int(lengths[lengths >= n_min].sum())


def _missing(row: np.ndarray) -> int:
    with np.errstate(all="ignore"):
        whole = np.isfinite(row.sum())  # a sum shows a gap sooner than a look at every sample
    return 0 if whole else int(np.count_nonzero(~np.isfinite(row)))


def line_noise(parts: Sequence[np.ndarray], sfreq_hz: float, lines_hz: Sequence[float]) -> list[float | None]:
    """Power at each mains frequency against its neighbourhood, in dB, median over channels.

    10 log10 of mean power density within ±1 Hz of the line over that 2 to 5 Hz away on either side, from Welch's
    periodogram (2 s Hann segments, half overlapping; doi 10.1109/TAU.1967.1161901), averaged over *parts*, each (C, N)
    without gaps. About 0 = no line. None where the rate cannot show the line, or nothing is recorded.
    """
    from scipy.signal import welch

    nperseg = round(LINE_SEGMENT_S * sfreq_hz)
    visible = [line + LINE_HALF_WIDTH_HZ <= sfreq_hz / 2 for line in lines_hz]
    if not any(visible) or parts[0].shape[0] == 0 or parts[0].shape[1] < nperseg:
        return [None] * len(lines_hz)
    spectra = []
    for part in parts:
        frequencies, power = welch(part - part[:, :1], sfreq_hz, nperseg=nperseg, axis=1)
        spectra.append(power)
    power = np.mean(spectra, axis=0)
    return [_excess(frequencies, power, line) if seen else None for line, seen in zip(lines_hz, visible, strict=True)]


def _excess(frequencies: np.ndarray, power: np.ndarray, line_hz: float) -> float | None:
    away = np.abs(frequencies - line_hz)
    near, far = LINE_NEIGHBOURS_HZ
    inside = power[:, away <= LINE_HALF_WIDTH_HZ].mean(axis=1)
    outside = power[:, (away >= near) & (away <= far)].mean(axis=1)
    alive = (inside > 0) & (outside > 0)
    return float(np.median(10 * np.log10(inside[alive] / outside[alive]))) if alive.any() else None


def strongest_line(line_noise_db: Mapping[str, float | None]) -> tuple[float | None, float | None]:
    """The largest excess in dB and its line in Hz; no line is named below ``LINE_CLEAR_DB``."""
    seen = [(value, float(line)) for line, value in line_noise_db.items() if value is not None]
    if not seen:
        return None, None
    value, line_hz = max(seen, key=lambda pair: pair[0])
    return value, line_hz if value >= LINE_CLEAR_DB else None


def merge_quality(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One modality over a subject's sessions: means weighted by samples, over the sessions that have the value."""
    merged: dict[str, Any] = {"samples": sum(part["samples"] for part in parts),
                              "channels": max(part["channels"] for part in parts), "sfreq_hz": parts[0]["sfreq_hz"]}
    for name in SHARES:
        merged[name] = _weighted((part["samples"], part[name]) for part in parts)
    merged["line_noise_db"] = {
        line: _weighted((part["samples"], part["line_noise_db"].get(line)) for part in parts)
        for line in dict.fromkeys(line for part in parts for line in part["line_noise_db"])}
    return merged


def _weighted(pairs: Iterable[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in pairs if value is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total else None


class SubjectQuality:
    """Gathers the quality of one subject while its sessions stream by; holds numbers only, no signals.

    Parameters
    ----------
    subject : str
        Its id.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.examples: dict[str, Any] | None = None
        self._parts: dict[str, list[dict[str, Any]]] = {}

    def add(self, session: Session) -> None:
        """Count one session as recorded, before any filter."""
        for modality, signal in session.signals.items():
            self.add_signal(modality, signal)

    def add_signal(self, modality: str, signal: Signal) -> None:
        """Count one modality of a session (also one that no session holds, such as FACE)."""
        found = frame_quality(signal) if modality == FRAMES else raw_quality(signal, eeg=modality == "EEG")
        self._parts.setdefault(modality, []).append(found)

    def example(self, session: Session, recordings: Sequence[Recording]) -> None:
        """Keep a stretch of the first of *recordings* (cut from *session*), before and after filtering; once."""
        if self.examples is not None or not recordings:
            return
        after = recordings[0]
        trial = next(t for t in session.trials if t.trial == after.trial)
        pictures = {}
        for modality, signal in session.signals.items():
            if modality != FRAMES:
                before = signal.cut(trial.start_s, trial.duration_s)
                length_s = min(EXAMPLE_S.get(modality, trial.duration_s), trial.duration_s)
                start_s = (trial.duration_s - length_s) / 2
                pictures[modality] = example(before, after.signals.get(modality), start_s, length_s)
        self.examples = {"subject": self.subject, "trial": trial.trial, "modalities": pictures}

    def result(self) -> dict[str, Any]:
        """By modality what :func:`merge_quality` gives, rounded to four significant digits."""
        return {m: significant(merge_quality(parts)) for m, parts in sorted(self._parts.items())}


def write_quality(folder: Path, subjects: Sequence[SubjectQuality]) -> None:
    """Write ``quality.json`` (every subject) and ``examples.json`` (the first that has one) into *folder*."""
    ordered = sorted(subjects, key=lambda part: part.subject)
    write_json(folder / QUALITY_FILE,
               {"version": FORMAT_VERSION, "subjects": {part.subject: part.result() for part in ordered}})
    shown = next((part.examples for part in ordered if part.examples is not None), None)
    text = json.dumps({"version": FORMAT_VERSION, "example": shown}, allow_nan=False, separators=(",", ":"))
    write_text(folder / EXAMPLES_FILE, text + "\n")  # thousands of numbers: not a line each


def read_quality(folder: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The subjects of ``quality.json``, and the example of ``examples.json``.

    Raises
    ------
    InputError
        If a file is missing, is not JSON or has another version.
    """
    values = []
    for name, key, kind in ((QUALITY_FILE, "subjects", dict), (EXAMPLES_FILE, "example", (dict, type(None)))):
        found = read_json(folder / name)
        if (not isinstance(found, dict) or found.get("version") != FORMAT_VERSION or key not in found
                or not isinstance(found[key], kind)):
            raise bad_input(folder / name, "other content", f"version {FORMAT_VERSION} with {key!r}",
                            "run the preprocess stage again")
        values.append(found[key])
    return values[0], values[1]


def usable_share(index: pd.DataFrame, modality: str, min_completeness: float) -> float | None:
    """Share of windows (rows of a shard's *index*) in which *modality* is complete enough; None without windows.

    Raises
    ------
    InputError
        If the index has no column for the modality.
    """
    column = f"completeness_{modality}"
    if column not in index:
        raise bad_input("window index", f"no column {column!r}", "one per modality", "run the window stage again")
    return float((index[column].to_numpy() >= min_completeness).mean()) if len(index) else None


def quality_rows(name: str, label: str, subjects: Mapping[str, Mapping[str, Any]],
                 indices: Mapping[str, pd.DataFrame], min_completeness: float) -> pd.DataFrame:
    """One row per subject and modality of a set, with ``COLUMNS``; NaN where nothing can be said.

    *subjects* is from :func:`read_quality`, *indices* maps a subject to the index of its windows. A modality that
    only the windows have (face features are added late) is missing where its windows are incomplete.
    """
    rows = []
    for subject in sorted({*subjects, *indices}):
        raw, index = subjects.get(subject, {}), indices.get(subject)
        columns = () if index is None else map(str, index.columns)
        in_windows = {c.removeprefix("completeness_") for c in columns if c.startswith("completeness_")}
        for modality in sorted({*raw, *in_windows}):
            row: dict[str, Any] = {"set": name, "data": label, "subject": subject, "modality": modality}
            found = raw.get(modality)
            if index is not None and modality in in_windows:
                row["usable_windows"] = usable_share(index, modality, min_completeness)
                if found is None and len(index):
                    row["missing_samples"] = 1 - float(index[f"completeness_{modality}"].mean())
            if found is not None:
                row |= {share: found[share] for share in SHARES}
                row["line_noise_db"], row["line_hz"] = strongest_line(found["line_noise_db"])
            rows.append(significant(row))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys(COLUMNS[4:], float))
