"""Signals cut by time; bad ones refused."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.errors import InputError
from himoe.recordings import Annotations, Session, Signal


def ramp(n_samples: int = 40, sfreq_hz: float = 4.0, start_s: float = 0.0) -> Signal:
    data = np.stack([np.arange(n_samples), -np.arange(n_samples)]).astype(np.float32)
    return Signal(data, sfreq_hz, ("a", "b"), "a.u.", start_s)


def test_cut_takes_the_samples_of_that_time() -> None:
    piece = ramp(start_s=1.0).cut(3.0, 2.0)
    assert piece.start_s == 0
    assert piece.data[0].tolist() == list(range(8, 16))


def test_cut_outside_gives_gaps_not_values() -> None:
    piece = ramp().cut(-1.0, 12.0)
    assert np.isnan(piece.data[:, :4]).all()
    assert piece.data[0, 4:44].tolist() == list(range(40))
    assert np.isnan(piece.data[:, 44:]).all()


@pytest.mark.parametrize(
    ("data", "names", "rate", "message"),
    [
        (np.zeros((2, 5)), ("a", "b"), 4.0, "float32"),
        (np.zeros((2, 5), np.float32), ("a",), 4.0, "one a channel"),
        (np.zeros((2, 5), np.float32), ("a", "b"), 0.0, "above 0 Hz"),
    ],
)
def test_bad_signals_are_refused(data: np.ndarray, names: tuple[str, ...], rate: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Signal(data, rate, names, "uV")


def test_unknown_names_and_unsorted_times_are_refused() -> None:
    with pytest.raises(InputError, match="modality: found 'EGG'"):
        Session("s", {"EGG": ramp()}, ())
    with pytest.raises(InputError, match="increasing"):
        Annotations(np.array([1.0, 0.5]), {})
    with pytest.raises(InputError, match="dimension: found 'joy'"):
        Annotations(np.array([1.0]), {"joy": np.array([1.0])})
