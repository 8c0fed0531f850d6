"""How good a sensor's signal is, and EEG channels that have to be replaced. Legend: C channels, N samples, W width."""

from __future__ import annotations

import numpy as np

from himoe.prepare.quality import (
    CLIP_SHARE,
    FRAMES,
    LINE_CLEAR_DB,
    MAINS_HZ,
    clipped_shares,
    flat_channels,
    line_noise,
)
from himoe.prepare.signals import MAX_BAD_SHARE, MIN_REFERENCE, bad_channels, fill_gaps, interpolate_channels

MIN_JUDGED_S = 4.0  # of filtered EEG before any channel is called bad


class Spotter:
    """Bad EEG channels of the last seconds, replaced as :func:`himoe.prepare.signals.repair_eeg` does."""

    def __init__(self, ch_names: tuple[str, ...], sfreq_hz: float, unit: str) -> None:
        self.ch_names, self.sfreq_hz, self.unit = ch_names, sfreq_hz, unit
        self.note = ""
        self._weights: tuple[tuple[bool, ...], np.ndarray] | None = None

    def repaired(self, window: np.ndarray, lost: np.ndarray, recent: np.ndarray, recent_lost: np.ndarray) -> np.ndarray:
        """The *window* (C, W) with bad channels replaced; NaN throughout where too many are bad.

        Channels are judged on *recent* (C, N), where gaps are *recent_lost*.
        """
        there = np.isfinite(recent).all(axis=0)
        if there.sum() < MIN_JUDGED_S * self.sfreq_hz:
            return window
        bad = bad_channels(recent[:, there], recent_lost[:, there], self.unit)
        if not bad.any():
            self.note = ""
            return window
        names = [name for name, flag in zip(self.ch_names, bad, strict=True) if flag]
        if bad.mean() > MAX_BAD_SHARE or np.count_nonzero(~bad) < MIN_REFERENCE:
            self.note = f"{len(names)} of {len(bad)} channels are bad: left out"
            return np.full_like(window, np.nan)
        self.note = f"replaced: {' '.join(names[:6])}{' ...' if len(names) > 6 else ''}"
        if self._weights is None or self._weights[0] != tuple(bad):  # replacing is linear: its matrix is kept
            eye = np.eye(len(bad), dtype=np.float32)
            self._weights = (tuple(bad), interpolate_channels(eye, bad, self.ch_names, self.sfreq_hz))
        weights = np.where(bad, 0.0, self._weights[1])  # a bad channel's own values have no say
        return (weights @ np.nan_to_num(window)).astype(np.float32) + 0 * window[:1]


def quality_text(modality: str, raw: np.ndarray, rate_hz: float) -> str:
    """A few words on the last seconds of raw signal (C, N): ``good``, or what is wrong with it."""
    if raw.shape[1] < rate_hz:
        return ""
    lost = np.isnan(raw)
    said = [f"{lost.mean():.0%} lost"] if lost.mean() > 0.01 else []
    if modality == FRAMES:
        return ", ".join(said) or "good"
    said += _count("flat", flat_channels(raw, rate_hz)) + _count("clipped", clipped_shares(raw) >= CLIP_SHARE)
    excess = [value for value in line_noise([fill_gaps(raw)], rate_hz, MAINS_HZ) if value is not None]
    if excess and max(excess) >= LINE_CLEAR_DB:
        said.append(f"mains +{max(excess):.0f} dB")
    return ", ".join(said) or "good"


def _count(what: str, flags: np.ndarray) -> list[str]:
    found = int(np.count_nonzero(flags))
    return [what if len(flags) == 1 else f"{found} of {len(flags)} {what}"] if found else []
