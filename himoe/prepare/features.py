"""Features of windows, vectorised over windows: what tables of numbers, trees and small networks see.

Amplitudes and powers are logarithms. What a window's own samples do not say is NaN: a modality or channel that is
mostly missing, a logarithm of nothing, a heart rate without two beats.
Legend: n windows, C channels, W samples per window, K tapers, P features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.recordings import check_modality
from himoe.prepare.beats import DETECTORS, rhythm
from himoe.prepare.signals import fill_gaps

Features = tuple[np.ndarray, tuple[str, ...]]
Columns = dict[str, np.ndarray]

EEG_BANDS_HZ = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
ASYMMETRY_PAIRS = (("F3", "F4"), ("F7", "F8"), ("AF3", "AF4"))
GENEVA_32 = ("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz",
             "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2")
EMOTIV_14 = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
USUAL_ORDERS = {32: GENEVA_32, 14: EMOTIV_14}

MIN_KNOWN = 0.5  # share of a channel's samples below which it has no features in a window
TAPERS = 3
TINY = 1e-12
MIN_RISE = 0.05  # of skin conductance, in its unit (uS)
RISE_FLOOR = 0.01
BLINK_SD = 4.0
BLINK_APART_S = 0.2
BREATH_BAND_HZ = (0.1, 0.6)
MIN_PULSE_S = 2.0
# A face network gives about a thousand numbers per frame; here they are projected if there are more than so many.
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
        Windows in physical units; NaN = not recorded. Gaps are left out of means, sums and spectra, and bridged by a
        straight line where neighbours in time matter.
    sfreq_hz : float
    ch_names : sequence of C str, optional
        Names of the channels, for the names of the features and (EEG) for frontal asymmetry. Without them 32 EEG
        channels are taken to be in the Geneva order of DEAP and 14 in the Emotiv order of DREAMER and AMIGOS; other
        counts have no asymmetry.

    Returns
    -------
    values : ndarray (n, P) float32
        NaN where a window does not define a feature.
    names : tuple of P str
        ``<what>_<channel>``, channel after channel; a channel without a name has its number.

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
    if ch_names and len(ch_names) != data.shape[1]:
        raise bad_input("ch_names", f"{len(ch_names)} names", f"{data.shape[1]} (one per channel)",
                        "name every channel")
    labels = list(ch_names or USUAL_ORDERS.get(data.shape[1] if modality == "EEG" else 0, ()))
    data = np.ascontiguousarray(data, dtype=np.float32)
    if modality == "FACE":
        return _named(_face(data), None)
    known = np.isfinite(data)
    find = FEATURES.get(modality, _level)
    columns = find(bridge(data, known), known, sfreq_hz)
    enough = known.mean(-1) >= MIN_KNOWN
    columns = {name: np.where(enough, part, np.nan) for name, part in columns.items()}
    values, names = _named(columns, labels)
    if modality == "EEG" and "alpha" in columns:
        more = _asymmetry(columns["alpha"], labels)
        values, names = np.concatenate([values, *more.values()], axis=1), (*names, *more)
    return values.astype(np.float32), names


def feature_names(modality: str, channels: int, samples: int, sfreq_hz: float,
                  ch_names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names of the features that windows of this shape give."""
    return window_features(modality, np.zeros((0, channels, samples), np.float32), sfreq_hz, ch_names)[1]


def bridge(data: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Windows (n, C, W) with straight lines over what is not *known*; a channel without any sample is 0."""
    rows = np.nonzero(~known.all(-1))
    if len(rows[0]) == 0:
        return data
    filled = data.copy()
    filled[rows] = fill_gaps(data[rows])
    return filled


def _named(columns: Columns, labels: Sequence[str] | None) -> Features:
    """Features {name: (n, C)} → (n, P) and names, channel by channel."""
    values = np.concatenate(list(columns.values()), axis=1).astype(np.float32)
    return values, tuple(f"{name}_{labels[k] if labels else k}"
                         for name, part in columns.items() for k in range(part.shape[1]))


def _log(values: np.ndarray) -> np.ndarray:
    """Natural logarithm; NaN of what is not above 0."""
    return np.log(np.where(values > TINY, values, np.nan))


def _moments(data: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n, C, 1) of the known samples, and the deviations (n, C, W) from it, 0 where not known."""
    if known.all():
        mean = data.mean(-1, keepdims=True)
        return mean, data - mean
    count = np.maximum(known.sum(-1, keepdims=True), 1)
    mean = np.where(known, data, 0.0).sum(-1, keepdims=True) / count
    return mean, np.where(known, data - mean, 0.0)


def _variance(deviation: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.einsum("ncw,ncw->nc", deviation, deviation) / np.maximum(known.sum(-1), 1)


def periodogram(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """One-sided power density of the windows' last axis, mean removed, averaged over ``TAPERS`` sine tapers.

    Riedel & Sidorenko 1995 (doi 10.1109/78.365298): they use every sample of a short window, so that band power
    varies less than from one Hann taper. Samples that are not *known* weigh nothing, and each taper is scaled by
    the weight that is left, which keeps the expected power of noise.

    Returns frequencies in Hz and density in unit²/Hz.
    """
    from scipy import fft

    n_samples = data.shape[-1]
    deviation = _moments(data, known)[1]
    whole = bool(known.all())
    total = np.zeros((*data.shape[:-1], n_samples // 2 + 1), dtype=data.dtype)
    for taper in sine_tapers(n_samples, TAPERS).astype(data.dtype):
        weight = (taper**2).sum() if whole else np.maximum(known @ (taper**2), TINY)[..., None]
        spectrum = fft.rfft(deviation * taper, axis=-1)
        total += (spectrum.real**2 + spectrum.imag**2) / (sfreq_hz * TAPERS * weight)
    total[..., 1:n_samples - n_samples // 2] *= 2
    return np.fft.rfftfreq(n_samples, 1 / sfreq_hz), total


def sine_tapers(n_samples: int, count: int) -> np.ndarray:
    """The first *count* sine tapers (K, W), orthonormal; fewer where the window is shorter than that."""
    order = np.arange(1, min(count, n_samples) + 1)[:, None]
    return np.sqrt(2 / (n_samples + 1)) * np.sin(np.pi * order * np.arange(1, n_samples + 1) / (n_samples + 1))


def _eeg(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Log band powers of every channel; level and slope where the rate shows no band."""
    frequency_hz, power = periodogram(data, known, sfreq_hz)
    columns = {}
    for band, (low_hz, high_hz) in EEG_BANDS_HZ.items():
        inside = (frequency_hz >= low_hz) & (frequency_hz < high_hz)
        if inside.any():
            columns[band] = _log(power[..., inside].mean(-1))
    return columns or _level(data, known, sfreq_hz)


def _asymmetry(alpha: np.ndarray, labels: Sequence[str]) -> Columns:
    """Frontal alpha asymmetry ln(right) − ln(left), (n, 1) each, of the pairs that are there."""
    return {f"asymmetry_{right}_{left}": alpha[:, [labels.index(right)]] - alpha[:, [labels.index(left)]]
            for left, right in ASYMMETRY_PAIRS if left in labels and right in labels}


def _line(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and slope (unit/s) of the least-squares line through the known samples, (n, C), and what it leaves."""
    mean, deviation = _moments(data, known)
    time_s = ((np.arange(data.shape[-1]) - (data.shape[-1] - 1) / 2) / sfreq_hz).astype(data.dtype)
    own_s = _moments(np.broadcast_to(time_s, data.shape), known)[1]
    slope = np.einsum("ncw,ncw->nc", deviation, own_s) / np.maximum(np.einsum("ncw,ncw->nc", own_s, own_s), TINY)
    return mean[..., 0], slope, deviation - slope[..., None] * own_s


def _level(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Mean, SD and slope (unit/s)."""
    mean, slope, _ = _line(data, known, sfreq_hz)
    return {"mean": mean, "sd": np.sqrt(_variance(_moments(data, known)[1], known)), "slope": slope}


def _temperature(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Mean and slope (unit/s): a finger warms and cools slowly."""
    mean, slope, _ = _line(data, known, sfreq_hz)
    return {"mean": mean, "slope": slope}


def _motion(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Mean (which way the device hangs) and log SD (how much it moves)."""
    mean, deviation = _moments(data, known)
    return {"mean": mean[..., 0], "log_sd": 0.5 * _log(_variance(deviation, known))}


def _emg(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Log root mean square, and zero crossings per known second."""
    deviation = _moments(data, known)[1]
    both = known[..., 1:] & known[..., :-1]
    crossings = (np.diff(np.signbit(deviation), axis=-1) & both).sum(-1)
    return {"log_rms": 0.5 * _log(_variance(deviation, known)),
            "zero_crossings": crossings * sfreq_hz / np.maximum(known.sum(-1), 1)}


def _eog(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Log SD, and blinks per known second: excursions from the window's median.

    Beyond 4 robust SDs (1.4826 × median absolute deviation, which blinks, short as they are, hardly change) and
    beyond the SD; those ``BLINK_APART_S`` or less apart are one.
    """
    from scipy.ndimage import maximum_filter1d

    variance = _variance(_moments(data, known)[1], known)
    away = np.abs(data - np.median(data, -1, keepdims=True))
    limit = np.maximum(BLINK_SD * 1.4826 * np.median(away, -1), np.sqrt(variance))
    beyond = maximum_filter1d(away > limit[..., None], 2 * round(BLINK_APART_S * sfreq_hz / 2) + 1, axis=-1)
    blinks = (beyond[..., 1:] & ~beyond[..., :-1]).sum(-1) + beyond[..., 0]
    return {"log_sd": 0.5 * _log(variance), "blink_rate": blinks * sfreq_hz / np.maximum(known.sum(-1), 1)}


def _eda(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Tonic: level and its slope (1/s). Phasic: rises per second, log of their summed height, log SD about the line.

    The level is an inverse hyperbolic sine: a logarithm that signals without a true zero survive. A rise runs from a
    trough to the next peak of the signal smoothed over 0.5 s; those of at least ``MIN_RISE`` are counted.
    """
    from scipy.ndimage import uniform_filter1d

    mean, slope, rest = _line(data, known, sfreq_hz)
    smooth = uniform_filter1d(data, max(1, round(0.5 * sfreq_hz)), axis=-1, mode="nearest")
    steps = np.diff(smooth, axis=-1, prepend=smooth[..., :1])
    rising = steps > 0
    begins = rising & ~np.concatenate([np.zeros_like(rising[..., :1]), rising[..., :-1]], axis=-1)
    number = begins.ravel().cumsum()
    heights = np.bincount(number[rising.ravel()], weights=steps[rising], minlength=int(begins.sum()) + 1)[1:]
    cell = np.nonzero(begins.reshape(-1, data.shape[-1]))[0][heights >= MIN_RISE]
    rises = np.bincount(cell, minlength=data.shape[0] * data.shape[1]).reshape(data.shape[:2])
    return {"level": np.arcsinh(mean), "slope": slope / np.sqrt(1 + mean**2),
            "log_sd": 0.5 * _log(_variance(rest, known)), "rise_rate": rises * sfreq_hz / data.shape[-1],
            "log_rise": np.log(RISE_FLOOR + np.maximum(steps, 0).sum(-1))}


def _respiration(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
    """Log rate (ln 1/min) and log depth of the sine that fits the known samples best, and log range.

    Least squares of a constant, a cosine and a sine at every whole number of breaths per minute in 0.1–0.6 Hz of
    which at least half a breath lies in the window; depth is the sine's amplitude. A window of a few seconds holds
    about one breath: its rate is coarse.
    """
    deviation = _moments(data, known)[1]
    extent = np.where(known, deviation, -np.inf).max(-1) - np.where(known, deviation, np.inf).min(-1)
    log_range = _log(np.where(np.isfinite(extent), extent, np.nan))
    low_hz, high_hz = max(BREATH_BAND_HZ[0], sfreq_hz / 2 / data.shape[-1]), min(BREATH_BAND_HZ[1], sfreq_hz / 2)
    lines = np.arange(np.ceil(60 * low_hz), np.floor(60 * high_hz) + 1)
    if len(lines) == 0 or data.shape[-1] < 4:
        return {"log_rate": np.full_like(log_range, np.nan), "log_depth": np.full_like(log_range, np.nan),
                "log_range": log_range}
    waves, squares = _waves(data.shape[-1], sfreq_hz, tuple(lines))
    gram = np.tensordot(known.astype(np.float64), squares, (2, 2)) + TINY * np.eye(3)
    moment = np.tensordot(deviation.astype(np.float64), waves, (2, 2))
    weights = np.linalg.solve(gram, moment[..., None])[..., 0]
    best = (weights * moment).sum(-1).argmax(-1)
    chosen = np.take_along_axis(weights, best[..., None, None], 2)[..., 0, :]
    flat = np.isnan(log_range)
    return {"log_rate": np.where(flat, np.nan, np.log(lines[best])),
            "log_depth": np.where(flat, np.nan, _log(np.hypot(chosen[..., 1], chosen[..., 2]))), "log_range": log_range}


@cache
def _waves(n_samples: int, sfreq_hz: float, lines: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Constant, cosine and sine (lines, 3, W) of so many cycles per minute, and their products (lines, 3, W, 3)."""
    time_s = (np.arange(n_samples) - (n_samples - 1) / 2) / sfreq_hz
    phase = 2 * np.pi * np.array(lines)[:, None] / 60 * time_s
    waves = np.stack([np.ones_like(phase), np.cos(phase), np.sin(phase)], 1)
    return waves, np.einsum("fkw,fjw->fkwj", waves, waves)


@cache
def projection(channels: int) -> np.ndarray:
    """Fixed Gaussian matrix (C, 24) that keeps squared lengths on average: entries N(0, 1/24).

    Johnson & Lindenstrauss 1984 (doi 10.1090/conm/026/737400).
    """
    matrix = np.random.default_rng(FACE_SEED).normal(size=(channels, FACE_PROJECTIONS))
    return (matrix / np.sqrt(FACE_PROJECTIONS)).astype(np.float32)


def _face(data: np.ndarray) -> Columns:
    """Mean of the frames, projected to 24 numbers if there are more than 64; their spread; share of known frames.

    A frame with a gap has no face and takes no part; without any, mean and spread are NaN. The spread is the root of
    the variance over frames, averaged over the (projected) numbers.
    """
    known = np.isfinite(data).all(1)
    count = known.sum(1, keepdims=True)
    frames = np.where(known[..., None], data.transpose(0, 2, 1), 0.0)
    if data.shape[1] > MAX_FACE_CHANNELS:
        frames = frames @ projection(data.shape[1])
    number = np.where(count > 0, count, np.nan)
    mean = frames.sum(1) / number
    deviation = np.where(known[..., None], frames - mean[:, None], 0.0)
    spread = np.sqrt(((deviation**2).sum(1) / number).mean(1, keepdims=True))
    return {"mean": mean, "spread": spread, "known": count / data.shape[2]}


def _pulse(modality: str) -> Callable[[np.ndarray, np.ndarray, float], Columns]:
    """Heart rate (1/min), log RMSSD (ln s) and log SD of PPG or ECG windows."""
    detector = DETECTORS[modality]

    def features(data: np.ndarray, known: np.ndarray, sfreq_hz: float) -> Columns:
        rate, rmssd = np.full((2, *data.shape[:2]), np.nan)
        # Beats cannot be told apart at rates that hardly hold their band, nor in very short windows.
        if data.size > 0 and data.shape[-1] >= MIN_PULSE_S * sfreq_hz and sfreq_hz >= max(
                10.0, 3 * detector.band_hz[0]):
            flat = (data.shape[0] * data.shape[1], data.shape[-1])
            found = rhythm(data.reshape(flat), known.reshape(flat), sfreq_hz, detector)
            rate, rmssd = (values.reshape(data.shape[:2]) for values in found)
        return {"rate": rate, "log_rmssd": _log(rmssd),
                "log_sd": 0.5 * _log(_variance(_moments(data, known)[1], known))}

    return features


# Every other modality gets mean, SD and slope.
FEATURES: dict[str, Callable[[np.ndarray, np.ndarray, float], Columns]] = {
    "EEG": _eeg,
    "EOG": _eog,
    "EMG": _emg,
    "EDA": _eda,
    "RSP": _respiration,
    "PPG": _pulse("PPG"),
    "ECG": _pulse("ECG"),
    "TEMP": _temperature,
    "ACC": _motion,
}
