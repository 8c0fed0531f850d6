"""From a continuous session to clean trials: filter, resample, repair, cut.

Filters run on the whole session before cutting, so that their edges fall outside the trials wherever
the recording is continuous. Legend: C channels, N samples.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.long_arrays import columns, gap, let_go, room
from himoe.core.params import FilterParams
from himoe.core.recordings import Recording, Session, Signal
from himoe.prepare.pieces import LONG_S, Ratio, filter_in_pieces, lost_share, nearest, settling

log = logging.getLogger(__name__)

MAX_BAD_SHARE = 0.4  # interpolating more than this of a cap invents data: the modality is a gap instead
BAD_Z = 5.0  # robust z of a channel's log amplitude beyond which it counts as bad
MIN_SCALE = 0.2  # of log amplitude: the smallest spread a bad channel is judged against
USABLE = 0.45  # of a rate: what is kept of a band that is cut there; resampling rolls off between it and 0.5
# A channel that moves less is flat: 1 pV, in the unit of the samples. Other units: so much less than the cap's median.
FLAT = {"nV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "mV": 1e-9, "V": 1e-12}
FLAT_SHARE = 1e-7
TINY = 1e-38
MIN_REFERENCE = 3  # with fewer electrodes the common average removes what they say, or makes them mirror images
EEG_BLOCK = 8  # channels filtered at once: bounds memory


def preprocess_session(session: Session, filters: Mapping[str, FilterParams],
                       table: str = "filters") -> Iterator[Recording]:
    """Clean every modality of *session* and cut out its trials, in order; *table* is what *filters* are called.

    EEG: band-pass (MNE, zero-phase FIR), resample, bad channels interpolated by spherical splines
    (Perrin et al. 1989, doi 10.1016/0013-4694(89)90180-6), common average reference. Other modalities:
    zero-phase Butterworth of order 2, polyphase resampling. Gaps (NaN) stay gaps. Fewer than ``MIN_REFERENCE``
    electrodes keep the reference they were recorded with. A recording of more than ``LONG_S`` is worked through in
    stretches (:mod:`himoe.prepare.pieces`), and what it becomes is kept on disk as long as it is in use.

    Raises
    ------
    InputError
        If a band does not fit below the recording's Nyquist rate.
    """
    clean = {}
    for modality, signal in session.signals.items():
        spec = filters.get(modality, FilterParams())
        spec = replace(spec, band_hz=effective_band_hz(spec, signal.sfreq_hz))
        check_band(signal, spec, f"{table}, subject {session.subject}, {modality}")
        clean[modality] = clean_eeg(signal, spec) if modality == "EEG" else clean_signal(signal, spec)
    for trial in session.trials:
        yield Recording(
            subject=session.subject, trial=trial.trial, stimulus=trial.stimulus, duration_s=trial.duration_s,
            signals={m: s.cut(trial.start_s, trial.duration_s) for m, s in clean.items()},
            ratings=dict(trial.ratings), annotations=trial.annotations, session=trial.session,
        )


def effective_band_hz(spec: FilterParams, sfreq_hz: float) -> tuple[float | None, float | None]:
    """The pass band that is left at the lower of the recorded rate *sfreq_hz* and the target rate.

    With ``cut_at_nyquist`` an upper edge at or above that rate's Nyquist limit becomes ``USABLE`` of the rate.
    """
    low, high = spec.band_hz
    rate = min(spec.sfreq_hz or sfreq_hz, sfreq_hz)
    if spec.cut_at_nyquist and high is not None and high >= rate / 2:
        high = USABLE * rate
    return low, high


def band_notes(modalities: Mapping[str, Mapping[str, Any]], filters: Mapping[str, FilterParams]) -> list[str]:
    """One sentence for every modality (facts as read) whose asked band the target rate cannot hold."""
    notes = []
    for name, entry in modalities.items():
        spec = filters.get(name, FilterParams())
        if isinstance(entry["sfreq_hz"], str):  # rates differ between recordings
            continue
        kept = effective_band_hz(spec, float(entry["sfreq_hz"]))
        if kept != tuple(spec.band_hz):
            rate = min(spec.sfreq_hz or entry["sfreq_hz"], entry["sfreq_hz"])
            asked, left = (f"{band[0] or 0:g}-{band[1]:g} Hz" for band in (spec.band_hz, kept))
            notes.append(f"{name}: {asked} asked, {left} kept, because {rate:g} Hz cannot hold what is above its "
                         f"Nyquist limit of {rate / 2:g} Hz.")
    return notes


def reference_notes(modalities: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence where the EEG (facts as read) has too few electrodes for the common average."""
    channels = modalities.get("EEG", {}).get("channels", MIN_REFERENCE)
    if isinstance(channels, str) or channels >= MIN_REFERENCE:
        return []
    return [f"EEG: left with the reference it was recorded with: a common average needs {MIN_REFERENCE} electrodes, "
            f"it has {channels}."]


def check_band(signal: Signal, spec: FilterParams, where: str) -> None:
    """Refuse a pass band that reaches the Nyquist rate of the recording or of the target rate."""
    for edge in spec.band_hz:
        for rate, name in ((signal.sfreq_hz, "recorded"), (spec.sfreq_hz or signal.sfreq_hz, "target")):
            if edge is not None and edge >= rate / 2:
                raise bad_input(
                    f"{where}: band_hz", f"{edge:g} Hz",
                    f"less than {rate / 2:g} Hz, the Nyquist limit of its {name} rate {rate:g} Hz",
                    "lower the band or write null for an open side",
                )


def clean_signal(signal: Signal, spec: FilterParams) -> Signal:
    """Band-pass and resample one modality; NaN gaps are bridged for filtering and put back."""
    if signal.duration_s > LONG_S:
        return _clean_long(signal, spec)
    gaps = np.isnan(signal.data)
    if gaps.all():
        return _resampled_gaps(signal, spec)
    data = _butterworth(fill_gaps(signal.data), signal.sfreq_hz, spec.band_hz)
    return _resample(replace(signal, data=data), spec.sfreq_hz, gaps)


def clean_eeg(signal: Signal, spec: FilterParams) -> Signal:
    """Band-pass, resample, interpolate bad channels, common average reference (C, N) → (C, N')."""
    import mne

    if signal.duration_s > LONG_S:
        return _clean_long_eeg(signal, spec)
    gaps = np.isnan(signal.data)
    if gaps.all():
        return _resampled_gaps(signal, spec)
    target = spec.sfreq_hz or signal.sfreq_hz
    low, high = spec.band_hz
    data = np.empty((0, 0), np.float32)
    for first in range(0, signal.data.shape[0], EEG_BLOCK):  # by blocks: MNE works in float64
        block = fill_gaps(signal.data[first:first + EEG_BLOCK]).astype(np.float64)
        if low is not None or high is not None:
            block = mne.filter.filter_data(block, signal.sfreq_hz, low, high, fir_design="firwin", verbose="error")
        if target != signal.sfreq_hz:
            block = _polyphase(block, signal.sfreq_hz, target)
        if first == 0:
            data = gap(signal.data.shape[0], block.shape[1])
        data[first:first + len(block)] = block
        let_go(signal.data)
        let_go(data)
    lost = _resample_mask(gaps, data.shape[1])
    data, all_lost = repair_eeg(data, lost, signal.ch_names, target, signal.unit)
    if len(data) >= MIN_REFERENCE:
        data -= data.mean(axis=0, keepdims=True)
    data[:, all_lost] = np.nan
    return Signal(data, target, signal.ch_names, signal.unit, signal.start_s)


def repair_eeg(
    data: np.ndarray, lost: np.ndarray, ch_names: tuple[str, ...], sfreq_hz: float, unit: str = "uV"
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate bad channels of (C, N); give also the samples (N,) at which too many are lost.

    All samples are lost where too few good channels are left to interpolate from and to reference to.
    """
    bad = bad_channels(data, lost, unit)
    all_lost = lost_share(lost) > MAX_BAD_SHARE
    if bad.mean() > MAX_BAD_SHARE or (bad.any() and np.count_nonzero(~bad) < MIN_REFERENCE):
        return data, np.ones(data.shape[1], dtype=bool)
    if not bad.any():
        return data, all_lost
    if data.shape[1] / sfreq_hz <= LONG_S:
        return interpolate_channels(data, bad, ch_names, sfreq_hz), all_lost
    for where in columns(data):
        data[:, where] = interpolate_channels(data[:, where], bad, ch_names, sfreq_hz)
    return data, all_lost


def bad_channels(data: np.ndarray, lost: np.ndarray, unit: str = "uV") -> np.ndarray:
    """Flags (C,) of channels that are lost for over a fifth of the time, flat, or far off the others' amplitude.

    Channels are judged where the cap was alive: a gap of most channels at once is a gap in time, no fault of theirs.

    Amplitude is the median over one-second-like blocks of the SD, compared on a log scale with the
    median over channels in units of 1.4826 × the median absolute deviation (at least ``MIN_SCALE``).
    """
    dead = lost_share(lost) > MAX_BAD_SHARE
    kept = ~dead if dead.any() and not dead.all() else slice(None)
    amplitude = np.array([_amplitude(row[kept]) for row in data])
    absent = np.array([row[kept].mean() for row in lost])
    floor = FLAT.get(unit, max(FLAT_SHARE * float(np.median(amplitude)), TINY))
    flat = amplitude < floor
    log_amplitude = np.log(np.maximum(amplitude, floor))
    alive = log_amplitude[~flat]
    if alive.size == 0:
        return np.ones(data.shape[0], dtype=bool)
    centre = np.median(alive)
    scale = max(1.4826 * float(np.median(np.abs(alive - centre))), MIN_SCALE)
    return flat | (np.abs(log_amplitude - centre) / scale > BAD_Z) | (absent > 0.2)


def _amplitude(row: np.ndarray) -> np.float32:
    """Median over blocks of about a second of the SD of one channel (N,)."""
    n_blocks = max(len(row) // 128, 1)
    found: np.float32 = np.median(row[:n_blocks * (len(row) // n_blocks)].reshape(n_blocks, -1).std(axis=1))
    let_go(row)
    return found


def interpolate_channels(
    data: np.ndarray, bad: np.ndarray, ch_names: tuple[str, ...], sfreq_hz: float
) -> np.ndarray:
    """Replace *bad* channels by spherical-spline interpolation from the others (10–05 positions by name, in any case).

    A bad channel whose name has no standard position is replaced by the mean of the good ones.
    """
    import mne

    places = standard_places(ch_names)
    placed = sorted(places)
    info = mne.create_info([places[i] for i in placed], sfreq_hz, "eeg")
    data = data.copy()
    unplaced = [i for i in np.flatnonzero(bad) if i not in placed]
    if unplaced:
        log.warning("no standard position for the bad EEG channels %s: they become the mean of the good ones",
                    ", ".join(ch_names[i] for i in unplaced))
        data[unplaced] = data[~bad].mean(axis=0)
    if len(placed) > int(bad[placed].sum()) > 0:
        raw = mne.io.RawArray(data[placed].astype(np.float64), info, verbose="error")
        raw.set_montage("colin27_1005", verbose="error")
        raw.info["bads"] = [places[i] for i in placed if bad[i]]
        raw.interpolate_bads(reset_bads=True, verbose="error")
        data[placed] = raw.get_data().astype(np.float32)
    return data


def standard_places(ch_names: tuple[str, ...]) -> dict[int, str]:
    """Index of a channel -> its name in the 10-05 system, for those that have a place there, each place once."""
    import mne

    known = {name.lower(): name for name in reversed(mne.channels.make_standard_montage("colin27_1005").ch_names)}
    found: dict[int, str] = {}
    for index, name in enumerate(ch_names):
        place = known.get(name.strip().lower())
        if place is not None and place not in found.values():
            found[index] = place
    return found


def fill_gaps(data: np.ndarray) -> np.ndarray:
    """Bridge NaN by straight lines (edges: nearest value; an all-NaN channel: 0). (C, N) → (C, N)."""
    gaps = np.isnan(data)
    if not gaps.any():
        return data
    filled = data.copy()
    axis = np.arange(data.shape[1])
    for channel, missing in enumerate(gaps):
        if missing.all():
            filled[channel] = 0.0
        elif missing.any():
            filled[channel, missing] = np.interp(axis[missing], axis[~missing], data[channel, ~missing])
    return filled


def _butterworth(data: np.ndarray, sfreq_hz: float, band_hz: tuple[float | None, ...]) -> np.ndarray:
    from scipy.signal import sosfiltfilt

    sos = _sections(sfreq_hz, band_hz)
    if sos is None:
        return data
    # Padding by odd reflection over one period of the low edge keeps the edge transient out of the data.
    pad = min(data.shape[1] - 1, _period(sfreq_hz, band_hz))
    return sosfiltfilt(sos, data.astype(np.float64), axis=1, padlen=max(pad, 0)).astype(np.float32)


def _sections(sfreq_hz: float, band_hz: tuple[float | None, ...]) -> np.ndarray | None:
    """The Butterworth filter of a band as second-order sections; None where both sides are open."""
    from scipy.signal import butter

    low, high = (None if edge == 0 else edge for edge in band_hz)
    if low is None and high is None:
        return None
    kind = "bandpass" if low and high else ("highpass" if low else "lowpass")
    return butter(2, [low, high] if low and high else (low or high), kind, fs=sfreq_hz, output="sos")


def _period(sfreq_hz: float, band_hz: tuple[float | None, ...]) -> int:
    """Samples in one period of a band's lower edge."""
    return int(sfreq_hz / (band_hz[0] or band_hz[1] or 1.0))


def _clean_long(signal: Signal, spec: FilterParams) -> Signal:
    """:func:`clean_signal`, stretch by stretch."""
    sos = _sections(signal.sfreq_hz, spec.band_hz)
    margin = 0 if sos is None else settling(sos) + _period(signal.sfreq_hz, spec.band_hz)
    data, lost = _in_pieces(signal, spec, margin, lambda part: _butterworth(part, signal.sfreq_hz, spec.band_hz))
    for where in columns(data):
        data[:, where][lost[:, where]] = np.nan
    return Signal(data, spec.sfreq_hz or signal.sfreq_hz, signal.ch_names, signal.unit, signal.start_s)


def _clean_long_eeg(signal: Signal, spec: FilterParams) -> Signal:
    """:func:`clean_eeg`, stretch by stretch."""
    import mne

    low, high = spec.band_hz
    if low is None and high is None:
        data, lost = _in_pieces(signal, spec, 0, lambda part: part)
    else:
        how: dict[str, Any] = {"fir_design": "firwin", "verbose": "error"}
        margin = len(mne.filter.create_filter(None, signal.sfreq_hz, low, high, **how))
        data, lost = _in_pieces(signal, spec, margin, lambda part: mne.filter.filter_data(
            part, signal.sfreq_hz, low, high, **how))
    target_hz = spec.sfreq_hz or signal.sfreq_hz
    data, all_lost = repair_eeg(data, lost, signal.ch_names, target_hz, signal.unit)
    for where in columns(data):
        if len(data) >= MIN_REFERENCE:
            data[:, where] -= data[:, where].mean(axis=0, keepdims=True)
        data[:, where][:, all_lost[where]] = np.nan
    return Signal(data, target_hz, signal.ch_names, signal.unit, signal.start_s)


def _in_pieces(signal: Signal, spec: FilterParams, margin: int,
               keep: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Samples (C, N') filtered by *keep* and resampled, and which are lost (C, N'), both on disk."""
    channels, n_samples = signal.data.shape
    target_hz = spec.sfreq_hz or signal.sfreq_hz
    n_resampled = Ratio.of(signal.sfreq_hz, target_hz).length(n_samples)
    data, lost = room((channels, n_resampled)), room((channels, n_resampled), np.bool_)
    for first in range(0, channels, EEG_BLOCK):
        block = signal.data[first:first + EEG_BLOCK]
        for where, values in filter_in_pieces(block, signal.sfreq_hz, target_hz, keep, margin):
            data[first:first + EEG_BLOCK, where] = values
            there = nearest(n_samples, n_resampled, where)
            lost[first:first + EEG_BLOCK, where] = np.isnan(block[:, there])
            let_go(data)
            let_go(lost)
    return data, lost


def _polyphase(data: np.ndarray, sfreq_hz: float, target_hz: float) -> np.ndarray:
    from scipy.signal import resample_poly

    ratio = Ratio.of(sfreq_hz, target_hz)
    return resample_poly(data, ratio.up, ratio.down, axis=1, padtype="line")


def _resample(signal: Signal, target_hz: float | None, gaps: np.ndarray) -> Signal:
    """Resample to *target_hz* and put the gaps back where most of a new sample's span was lost."""
    data, rate = signal.data, signal.sfreq_hz
    if target_hz is not None and target_hz != rate:
        data, rate = _polyphase(data.astype(np.float64), rate, target_hz).astype(np.float32), target_hz
    if gaps.any():
        data = data.copy()
        data[_resample_mask(gaps, data.shape[1])] = np.nan
    return Signal(np.ascontiguousarray(data), rate, signal.ch_names, signal.unit, signal.start_s)


def _resample_mask(mask: np.ndarray, n_samples: int) -> np.ndarray:
    """(C, N) → (C, n_samples): the mask at the nearest old sample."""
    return mask[:, nearest(mask.shape[1], n_samples, slice(0, n_samples))]


def _resampled_gaps(signal: Signal, spec: FilterParams) -> Signal:
    """A signal that is all gap, at the target rate."""
    rate = spec.sfreq_hz or signal.sfreq_hz
    n_samples = int(np.ceil(signal.data.shape[1] * rate / signal.sfreq_hz))
    data = np.full((signal.data.shape[0], n_samples), np.nan, dtype=np.float32)
    return Signal(data, rate, signal.ch_names, signal.unit, signal.start_s)
