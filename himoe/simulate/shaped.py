"""Gaussian noise of a given spectrum."""

from __future__ import annotations

import numpy as np


def shaped_noise(
    rng: np.random.Generator, n_rows: int, n_samples: int, sfreq_hz: float,
    band_hz: tuple[float, float], exponent: float = 0.0,
) -> np.ndarray:
    """Gaussian noise of variance 1 with power ``f^-exponent`` inside *band_hz* and none outside.

    The spectrum is drawn at random and transformed back (Timmer & Koenig 1995).

    Returns
    -------
    ndarray, (n_rows, n_samples) float32
    """
    from scipy.fft import irfft, next_fast_len, rfftfreq

    n_fft = next_fast_len(n_samples, real=True)
    frequency_hz = rfftfreq(n_fft, 1 / sfreq_hz)
    inside = (frequency_hz >= band_hz[0]) & (frequency_hz <= band_hz[1]) & (frequency_hz < sfreq_hz / 2)
    gain = np.zeros(len(frequency_hz))
    gain[inside] = frequency_hz[inside] ** (-exponent / 2)
    gain *= n_fft / np.sqrt(4 * (gain**2).sum())
    parts = rng.standard_normal((n_rows, 2, len(frequency_hz)), dtype=np.float32)
    spectrum = (parts[:, 0] + 1j * parts[:, 1]) * gain.astype(np.float32)
    return irfft(spectrum, n_fft)[:, :n_samples].astype(np.float32, copy=False)
