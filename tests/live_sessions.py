"""Sessions of three sensors at three rates, their windows, and a model of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import himoe
from himoe.core.params import FilterParams
from himoe.core.recordings import Session, Signal, Trial
from himoe.prepare.loading import join
from himoe.prepare.own import from_signals
from himoe.prepare.windowset import Windows

LENGTH_S, STEP_S, DURATION_S = 4.0, 1.0, 22.0
RATES_HZ = {"EEG": 64.0, "EMG": 96.0, "EDA": 20.0}
CHANNELS = {"EEG": ("Fz", "Cz", "Pz", "Oz", "C3"), "EMG": ("zEMG", "tEMG"), "EDA": ("GSR",)}
UNITS = {"EEG": "uV", "EMG": "uV", "EDA": "uS"}
FILTERS = {"EEG": FilterParams(32, (4, 12)), "EMG": FilterParams(48, (5, 20)), "EDA": FilterParams(8, (None, 2))}


def make_session(subject: str, seed: int, trial: str = "1", duration_s: float = DURATION_S) -> Session:
    """Noise whose size changes while it lasts; EDA about 5 uS."""
    rng = np.random.default_rng(seed)
    signals = {}
    for modality, rate in RATES_HZ.items():
        count = round(duration_s * rate)
        size = 10 * (1.5 + np.sin(np.arange(count) / rate / 3 + seed))
        data = rng.standard_normal((len(CHANNELS[modality]), count)) * size
        if modality == "EDA":
            data = 5 + np.cumsum(data, axis=1) / 200
        signals[modality] = Signal(data.astype(np.float32), rate, CHANNELS[modality], UNITS[modality])
    ratings = {"valence": float(rng.uniform(2, 8)), "arousal": float(rng.uniform(2, 8))}
    return Session(subject, signals, (Trial(trial, trial, 0.0, duration_s, ratings),))


def windows_of(session: Session) -> Windows:
    """Its windows, filtered as offline."""
    trial = session.trials[0]
    return from_signals(session.signals, length_s=LENGTH_S, step_s=STEP_S, filters=FILTERS, subject=session.subject,
                        trials=[trial])


def make_model(task: str = "regression", thresholds: tuple[float, ...] = (5.0,), epochs: int = 2,
               kind: str = "HiMoE", **options: Any) -> himoe.Fitted:
    """A method's model of three people, four trials each, in sequences of six windows."""
    parts = [windows_of(make_session(f"p{p}", 10 * p + t, f"t{t}")) for p in range(3) for t in range(4)]
    windows = join(parts)
    windows = replace(windows, meta=replace(windows.meta, thresholds=thresholds))
    return getattr(himoe, kind)(epochs=epochs, sequence_length=6, task=task, **options).fit(windows).model_
