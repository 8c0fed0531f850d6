"""Signals cut by time; bad ones refused."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.core.errors import InputError
from himoe.core.recordings import MODALITIES, PERIPHERAL, Annotations, Session, Signal, expand_modalities


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
        (np.zeros((2, 5), np.float32), ("a",), 4.0, "one per channel"),
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


DEAP = ("TEMP", "EEG", "PPG", "EOG", "EMG", "EDA", "RSP")  # in no special order


@pytest.mark.parametrize(("text", "available", "expected"), [
    ("EEG+PPS", DEAP, ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP")),
    ("PPS+EEG", DEAP, ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP")),
    ("EEG+PPS", ("ECG", "EEG"), ("EEG", "ECG")),
    ("PPS", ("ECG", "EEG"), ("ECG",)),
    ("EDA+EEG", DEAP, ("EEG", "EDA")),
    ("EDA+PPS+EDA", ("EDA", "FACE", "GAZE"), ("EDA",)),
    ("EEG+FACE", ("FACE", "EEG", "EDA"), ("EEG", "FACE")),
    ("ALL", ("LUM", "FACE", "EEG", "TEMP"), ("EEG", "TEMP", "FACE", "LUM")),
    ("ALL+EEG", {"EEG": 1, "HR": 2}, ("EEG", "HR")),
])
def test_modality_sets_are_expanded_in_one_order(
    text: str, available: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert expand_modalities(text, available) == expected


def test_the_peripheral_group_is_made_of_modalities() -> None:
    assert [m for m in MODALITIES if m in PERIPHERAL] == ["EOG", "EMG", "EDA", "RSP", "PPG", "TEMP", "ECG"]
    assert expand_modalities("ALL", MODALITIES) == MODALITIES


@pytest.mark.parametrize(("text", "available", "message"), [
    ("EEG+EGG", ("EEG",), "modality: found 'EGG'"),
    ("", ("EEG",), "modality: found ''"),
    ("EEG+", ("EEG",), "modality: found ''"),
    ("EEG+pps", ("EEG", "EDA"), "modality: found 'pps'"),
    ("EEG+ECG", ("PPG", "EEG"), r"modalities 'EEG\+ECG': ECG: found nothing.*expected some of EEG PPG"),
    ("EEG+PPS", ("EEG", "FACE"), r"modalities 'EEG\+PPS': PPS: found nothing.*expected some of EEG FACE"),
    ("ALL", (), "ALL: found nothing"),
])
def test_modality_sets_that_the_data_lacks_are_refused(text: str, available: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand_modalities(text, available)
