"""Hand-made features of windows, vectorised over windows: what a tree model sees.

Legend: n windows, C channels, W samples a window, P features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from himoe.errors import bad_input
from himoe.recordings import check_modality

Features = tuple[np.ndarray, tuple[str, ...]]

EEG_BANDS_HZ = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
ASYMMETRY_PAIRS = (("F3", "F4"), ("F7", "F8"), ("AF3", "AF4"))
GENEVA_32 = ("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz",
             "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2")
EMOTIV_14 = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
USUAL_ORDERS = {32: GENEVA_32, 14: EMOTIV_14}

POWER_FLOOR = 1e-12
MIN_RISE = 0.05
BLINK_SD = 2.0
BREATH_BAND_HZ = (0.1, 0.6)
PULSE_BAND_HZ = {"PPG": (0.5, 8.0), "ECG": (0.5, 40.0)}
MIN_PULSE_S = 2.0
# A face network gives about a thousand numbers a frame; trees get a projection of more than so many.
MAX_FACE_CHANNELS = 64
FACE_PROJECTIONS = 24
FACE_SEED = 1984


def window_features(modality: str, data: np.ndarray, sfreq_hz: float,
                    ch_names: Sequence[str] | None = None) -> Features:
    """Features of one modality's windows.

    Parameters
    ----------
    modality : str
    data : ndarray (n, C, W)
        Finite windows.
    sfreq_hz : float
    ch_names : sequence of C str, optional
        EEG electrode names, for frontal asymmetry. Without them 32 channels are taken to be in the Geneva
        order of DEAP and 14 in the Emotiv order of DREAMER and AMIGOS; other counts get no asymmetry.

    Returns
    -------
    values : ndarray (n, P) float32
        NaN where a window does not define a feature (no two heart beats, say).
    names : tuple of P str

    Raises
    ------
    InputError
        For an unknown modality, a wrong shape, a rate that is not positive or names that do not fit.
    """
    check_modality(modality)
    if data.ndim != 3 or data.shape[2] < 1:
        raise bad_input(f"windows of {modality}", f"shape {data.shape}", "(n, C, W) with W >= 1", "reshape the array")
    if not sfreq_hz > 0:
        raise bad_input(f"sfreq_hz of {modality}", sfreq_hz, "a rate above 0 Hz", "read the rate from the data")
    data = np.ascontiguousarray(data, dtype=np.float32)
    if modality == "EEG":
        values, names = _eeg(data, sfreq_hz, ch_names)
    else:
        columns = FEATURES.get(modality, _level)(data, sfreq_hz)
        values, names = _by_channel(columns)
    return values.astype(np.float32), tuple(f"{modality}_{name}" for name in names)


def feature_names(modality: str, channels: int, samples: int, sfreq_hz: float,
                  ch_names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names of the features that windows of this shape give."""
    return window_features(modality, np.zeros((0, channels, samples), np.float32), sfreq_hz, ch_names)[1]


def _by_channel(columns: dict[str, np.ndarray]) -> Features:
    """Features {name: (n, C)} → (n, P) and names, channel by channel."""
    values = np.concatenate(list(columns.values()), axis=1)
    return values, tuple(f"{name}_{channel}" for name, part in columns.items() for channel in range(part.shape[1]))


def _eeg(data: np.ndarray, sfreq_hz: float, ch_names: Sequence[str] | None) -> Features:
    """Log band powers of every channel (Hann periodogram) and frontal alpha asymmetry ln(right) − ln(left)."""
    channels = data.shape[1]
    if ch_names is not None and len(ch_names) != channels:
        raise bad_input("ch_names", f"{len(ch_names)} names", f"{channels} (one a channel)", "name every channel")
    labels = list(ch_names if ch_names is not None else USUAL_ORDERS.get(channels, ()))
    frequency_hz, power = periodogram(data, sfreq_hz)
    columns = {}
    for band, (low_hz, high_hz) in EEG_BANDS_HZ.items():
        inside = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
        if inside.any():
            columns[band] = np.log(power[..., inside].mean(-1) + POWER_FLOOR)
    if not columns:
        columns = _level(data, sfreq_hz)
    values, names = _by_channel(columns)
    if "alpha" in columns:
        for left, right in ASYMMETRY_PAIRS:
            if left in labels and right in labels:
                difference = columns["alpha"][:, labels.index(right)] - columns["alpha"][:, labels.index(left)]
                values = np.concatenate([values, difference[:, None]], axis=1)
                names = (*names, f"asymmetry_{right}_{left}")
    return values, names


def periodogram(data: np.ndarray, sfreq_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """One-sided power density of the windows' last axis, Hann-tapered, mean removed.

    Returns frequencies in Hz and density in unit²/Hz (equal to ``scipy.signal.periodogram``).
    """
    from scipy import fft, signal

    n_samples = data.shape[-1]
    taper = signal.get_window("hann", n_samples).astype(data.dtype)
    spectrum = fft.rfft((data - data.mean(-1, keepdims=True)) * taper, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2) / (sfreq_hz * max(float((taper**2).sum()), POWER_FLOOR))
    power[..., 1:n_samples - n_samples // 2] *= 2
    return np.fft.rfftfreq(n_samples, 1 / sfreq_hz), power


def _level(data: np.ndarray, sfreq_hz: float) -> dict[str, np.ndarray]:
    """Mean, SD and slope (unit/s): (n, C) each."""
    n_samples = data.shape[-1]
    time_s = ((np.arange(n_samples) - (n_samples - 1) / 2) / sfreq_hz).astype(data.dtype)
    mean = data.mean(-1)
    slope = (data @ time_s) / max(float((time_s**2).sum()), POWER_FLOOR)
    return {"mean": mean, "sd": data.std(-1), "slope": slope}


def _emg(data: np.ndarray, sfreq_hz: float) -> dict[str, np.ndarray]:
    """Log root mean square and zero crossings a second."""
    centred = data - data.mean(-1, keepdims=True)
    crossings = (np.diff(np.signbit(centred), axis=-1)).sum(-1)
    return {"log_rms": np.log(np.sqrt((data**2).mean(-1)) + POWER_FLOOR),
            "zero_crossings": crossings / (data.shape[-1] / sfreq_hz)}


def _eog(data: np.ndarray, sfreq_hz: float) -> dict[str, np.ndarray]:
    """Log variance, and rate (1/s) of upward passages through mean + 2 SD, which blinks make."""
    deviation = data.std(-1, keepdims=True)
    above = data > data.mean(-1, keepdims=True) + BLINK_SD * deviation
    blinks = (above[..., 1:] & ~above[..., :-1]).sum(-1)
    return {"log_variance": np.log(deviation[..., 0] ** 2 + POWER_FLOOR),
            "blink_rate": blinks / (data.shape[-1] / sfreq_hz)}


def _eda(data: np.ndarray, sfreq_hz: float) -> dict[str, np.ndarray]:
    """Tonic level (mean, SD, slope); number a second and total height of rises of at least ``MIN_RISE``.

    A rise runs from a trough to the next peak of the signal smoothed over 0.5 s, in the signal's unit
    (µS, or SDs once normalised).
    """
    from scipy.ndimage import uniform_filter1d

    smooth = uniform_filter1d(data, max(1, round(0.5 * sfreq_hz)), axis=-1, mode="nearest")
    steps = np.diff(smooth, axis=-1, prepend=smooth[..., :1])
    rising = steps > 0
    begins = rising & ~np.concatenate([np.zeros_like(rising[..., :1]), rising[..., :-1]], axis=-1)
    number = begins.ravel().cumsum()
    heights = np.bincount(number[rising.ravel()], weights=steps[rising], minlength=int(begins.sum()) + 1)[1:]
    window = np.nonzero(begins.reshape(-1, data.shape[-1]))[0]
    counted = heights >= MIN_RISE
    cells = data.shape[0] * data.shape[1]
    peaks = np.bincount(window[counted], minlength=cells).reshape(data.shape[:2])
    height = np.bincount(window[counted], weights=heights[counted], minlength=cells).reshape(data.shape[:2])
    return {**_level(data, sfreq_hz), "peak_rate": peaks / (data.shape[-1] / sfreq_hz), "peak_height": height}


def _respiration(data: np.ndarray, sfreq_hz: float) -> dict[str, np.ndarray]:
    """Rate in 1/min (largest line of the zero-padded spectrum in 0.1–0.6 Hz), range and SD.

    A window of a few seconds holds about one breath: its rate is coarse.
    """
    n_samples = data.shape[-1]
    time_s = ((np.arange(n_samples) - (n_samples - 1) / 2) / sfreq_hz).astype(data.dtype)
    level = _level(data, sfreq_hz)
    detrended = data - level["mean"][..., None] - level["slope"][..., None] * time_s
    # Lines every 1/60 Hz (one breath a minute); only those inside the band are computed.
    low_hz, high_hz = BREATH_BAND_HZ
    lines_hz = np.arange(round(60 * low_hz), round(60 * min(high_hz, sfreq_hz / 2)) + 1) / 60
    phase = 2 * np.pi * time_s[:, None] * lines_hz
    power = (detrended @ np.cos(phase).astype(data.dtype)) ** 2 + (detrended @ np.sin(phase).astype(data.dtype)) ** 2
    rate = 60 * lines_hz[power.argmax(-1)] if len(lines_hz) else np.full(data.shape[:2], np.nan)
    return {"rate": rate, "range": np.ptp(data, axis=-1), "sd": level["sd"], "mean": level["mean"]}


@cache
def projection(channels: int) -> np.ndarray:
    """Fixed Gaussian matrix (C, 24) that keeps squared lengths on average: entries N(0, 1/24).

    Johnson & Lindenstrauss 1984 (doi 10.1090/conm/026/737400).
    """
    matrix = np.random.default_rng(FACE_SEED).normal(size=(channels, FACE_PROJECTIONS))
    return (matrix / np.sqrt(FACE_PROJECTIONS)).astype(np.float32)


def _face(data: np.ndarray, sfreq_hz: float) -> dict[str, np.ndarray]:
    """Mean of the frames, projected to 24 numbers if there are more than 64; their spread; share of known frames.

    A frame that is 0 in every channel has no face and takes no part; without any, mean and spread are NaN. The
    spread is the root of the variance over frames, averaged over the (projected) numbers.
    """
    known = (data != 0).any(1)
    count = known.sum(1, keepdims=True)
    frames = data.transpose(0, 2, 1)
    if data.shape[1] > MAX_FACE_CHANNELS:
        frames = frames @ projection(data.shape[1])
    number = np.where(count > 0, count, np.nan)
    mean = frames.sum(1) / number  # a frame without a face is 0, also projected
    deviation = np.where(known[..., None], frames - mean[:, None], 0.0)
    spread = np.sqrt(((deviation**2).sum(1) / number).mean(1, keepdims=True))
    return {"mean": mean, "spread": spread, "known": count / data.shape[2]}


def _pulse(modality: str) -> Callable[[np.ndarray, float], dict[str, np.ndarray]]:
    """Heart rate (1/min), RMSSD (s) and SD of PPG or ECG windows."""

    def features(data: np.ndarray, sfreq_hz: float) -> dict[str, np.ndarray]:
        rate, rmssd = np.full((2, *data.shape[:2]), np.nan)
        duration_s = data.shape[-1] / sfreq_hz
        low_hz, high_hz = PULSE_BAND_HZ[modality]
        # Beats cannot be told apart below some 10 samples a second, nor in very short windows.
        if data.shape[0] > 0 and duration_s >= MIN_PULSE_S and sfreq_hz >= 10:
            clean = _band_pass(data, low_hz, min(high_hz, 0.45 * sfreq_hz), sfreq_hz)
            for index in np.ndindex(*data.shape[:2]):
                rate[index], rmssd[index] = _rhythm(_find_peaks(modality, clean[index], sfreq_hz) / sfreq_hz)
        return {"rate": rate, "rmssd": rmssd, "mean": data.mean(-1), "sd": data.std(-1)}

    return features


def _band_pass(data: np.ndarray, low_hz: float, high_hz: float, sfreq_hz: float) -> np.ndarray:
    """Third-order Butterworth band pass, forward and backward."""
    from scipy import signal

    sections = signal.butter(3, (low_hz, high_hz), "bandpass", fs=sfreq_hz, output="sos")
    return signal.sosfiltfilt(sections, data, axis=-1, padlen=min(data.shape[-1] - 1, round(sfreq_hz)))


def _find_peaks(modality: str, signal: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """Beats found by neurokit2 (samples); none in a flat window or one its finder cannot handle."""
    import neurokit2

    if signal.std() < 1e-6:
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if modality == "ECG":
                return np.asarray(neurokit2.ecg_findpeaks(signal, sampling_rate=sfreq_hz)["ECG_R_Peaks"], dtype=float)
            return np.asarray(neurokit2.ppg_findpeaks(signal, sampling_rate=sfreq_hz)["PPG_Peaks"], dtype=float)
        except (ValueError, IndexError, ZeroDivisionError):
            return np.zeros(0)


def _rhythm(beats_s: np.ndarray) -> tuple[float, float]:
    """Rate (1/min; two beats or more) and RMSSD (s; three or more) from beat times."""
    intervals_s = np.diff(beats_s)
    rate = 60.0 / float(intervals_s.mean()) if len(intervals_s) >= 1 else float("nan")
    rmssd = float(np.sqrt((np.diff(intervals_s) ** 2).mean())) if len(intervals_s) >= 2 else float("nan")
    return rate, rmssd


# Modalities with features of their own besides EEG; every other one gets mean, SD and slope.
FEATURES: dict[str, Callable[[np.ndarray, float], dict[str, np.ndarray]]] = {
    "EOG": _eog,
    "EMG": _emg,
    "EDA": _eda,
    "RSP": _respiration,
    "PPG": _pulse("PPG"),
    "ECG": _pulse("ECG"),
    "FACE": _face,
}
