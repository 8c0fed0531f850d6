"""Windows of one's own signals: arrays, data frames, MNE's Raw and Epochs.

Legend: C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import FilterParams
from himoe.core.recordings import DIMENSIONS, Session, Signal, Trial, check_modality
from himoe.prepare.loading import clean_recordings
from himoe.prepare.windowset import Windows

# MNE keeps SI units; the factor to the unit that the project's sets use, by MNE's channel type.
MNE_UNITS = {"eeg": (1e6, "uV"), "eog": (1e6, "uV"), "emg": (1e6, "uV"), "ecg": (1e6, "uV"), "gsr": (1e6, "uS"),
             "temperature": (1.0, "degC")}


def from_signals(signals: Mapping[str, Signal], *, length_s: float = 4.0, step_s: float = 2.0,
                 filters: Mapping[str, FilterParams] | None = None, subject: str = "me", trial: str = "1",
                 stimulus: str = "", ratings: Mapping[str, float] | None = None,
                 scale: tuple[float, float] = (1.0, 9.0), trials: Sequence[Trial] | None = None,
                 name: str = "own") -> Windows:
    """Windows of one recording; see :meth:`Windows.from_arrays` for the parameters.

    *trials* cuts it into several (their times on the signals' clock); else all of it is one trial, whose *ratings*
    are labels.
    """
    for modality in signals:
        check_modality(modality)
    if not signals:
        raise bad_input("signals", "none", "at least one modality", "give a mapping such as {'EDA': ...}")
    start_s = min(signal.start_s for signal in signals.values())
    end_s = max(signal.start_s + signal.duration_s for signal in signals.values())
    labels = dict(ratings or {})
    parts = tuple(trials) if trials is not None else (
        Trial(trial, stimulus or trial, start_s, end_s - start_s, labels),)
    session = Session(subject, dict(signals), parts)
    used: dict[str, FilterParams] = {}
    recordings = list(clean_recordings([session], step_s, filters, None, used))
    dimensions = [d for d in DIMENSIONS if any(d in part.ratings for part in parts)]
    about = {"set": name, "title": name, "source": "local", "simulated": False, "label": f"{name} (real, own arrays)",
             "filters": {m: vars(spec) for m, spec in used.items()}}
    return Windows.from_recordings(recordings, length_s, step_s, dimensions=dimensions, scale=scale, name=name,
                                   provenance=about)


def from_arrays(signals: Mapping[str, np.ndarray], sfreq_hz: float | Mapping[str, float], *,
                ch_names: Mapping[str, Sequence[str]] | None = None, units: Mapping[str, str] | None = None,
                **options: Any) -> Windows:
    """Arrays (C, N) or (N,) by modality, each at its own rate, all starting at the same moment."""
    made = {}
    for modality, values in signals.items():
        data = np.atleast_2d(np.asarray(values, dtype=np.float32))
        rate = sfreq_hz.get(modality) if isinstance(sfreq_hz, Mapping) else sfreq_hz
        if rate is None:
            raise bad_input("sfreq_hz", f"no rate of {modality}", "one per modality", "add it")
        names = tuple((ch_names or {}).get(modality) or _numbered(modality, len(data)))
        made[modality] = Signal(data, float(rate), names, (units or {}).get(modality, ""))
    return from_signals(made, **options)


def from_frames(frames: Mapping[str, pd.DataFrame], sfreq_hz: float | Mapping[str, float], **options: Any) -> Windows:
    """Data frames by modality: one column per channel, one row per sample."""
    return from_arrays({m: frame.to_numpy(np.float32).T for m, frame in frames.items()}, sfreq_hz,
                       ch_names={m: tuple(map(str, frame.columns)) for m, frame in frames.items()}, **options)


def from_mne(instances: Mapping[str, Any], **options: Any) -> Windows:
    """MNE Raw or Epochs by modality, in MNE's SI units.

    Raws are put on one clock by their measurement dates where all have one, else they start at the same moment. Every
    epoch is a trial of its own; instances with epochs must have the same number of them.
    """
    import mne

    if not instances:
        raise bad_input("from_mne", "no instance", "Raw or Epochs by modality", "give a mapping such as {'EEG': raw}")
    if all(isinstance(one, mne.io.BaseRaw) for one in instances.values()):
        starts_s = dict(zip(instances, _starts_s(list(instances.values())), strict=True))
        return from_signals({m: _signal(m, raw.info, raw.get_data(), starts_s[m]) for m, raw in instances.items()},
                            **options)
    if not all(isinstance(one, mne.BaseEpochs) for one in instances.values()):
        kinds = ", ".join(type(one).__name__ for one in instances.values())
        raise bad_input("from_mne", kinds, "Raw objects alone, or Epochs alone", "convert them")
    return _from_epochs(instances, **options)


def _from_epochs(instances: Mapping[str, Any], **options: Any) -> Windows:
    from himoe.prepare.loading import join

    counts = {m: len(epochs) for m, epochs in instances.items()}
    if len(set(counts.values())) != 1:
        raise bad_input("from_mne: epochs", counts, "the same number in each modality", "drop those without a partner")
    data = {m: epochs.get_data(copy=True) for m, epochs in instances.items()}
    parts = [from_signals({m: _signal(m, instances[m].info, data[m][k], 0.0) for m in instances},
                          **{**options, "trial": str(k + 1)}) for k in range(next(iter(counts.values())))]
    return join(parts)


def _starts_s(raws: Sequence[Any]) -> Iterator[float]:
    dates = [raw.info["meas_date"] for raw in raws]
    if any(date is None for date in dates):
        return iter([0.0] * len(raws))
    times = [date.timestamp() + raw.first_time for date, raw in zip(dates, raws, strict=True)]
    return iter([time - min(times) for time in times])


def _signal(modality: str, info: Any, data: np.ndarray, start_s: float) -> Signal:
    types = info.get_channel_types()
    factors = np.array([MNE_UNITS.get(kind, (1.0, ""))[0] for kind in types])
    units = sorted({MNE_UNITS.get(kind, (1.0, ""))[1] for kind in types})
    return Signal((data * factors[:, None]).astype(np.float32), float(info["sfreq"]), tuple(info["ch_names"]),
                  units[0] if len(units) == 1 else "", start_s)


def _numbered(modality: str, channels: int) -> tuple[str, ...]:
    return tuple(f"{modality}{k + 1}" for k in range(channels))
