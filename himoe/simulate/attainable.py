"""How well what was felt can be told at all from what the sensors show: a ceiling for every method.

A decoder that is given every person's gains, interactions, response system, each trial's lags and each second's
quality reads every physiological quantity once a second, with the noise that its signal leaves
(:mod:`himoe.simulate.observe`), and guesses what was felt (:mod:`himoe.simulate.decoder`). It is scored as methods
are: against annotations averaged over windows, all windows of all trials together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.files import read_json
from himoe.core.params import WindowParams
from himoe.core.recordings import DIMENSIONS, MODALITIES, PERIPHERAL
from himoe.simulate.decoding import CLASSES, DECODERS, Decoded
from himoe.simulate.request import TRUTH_FILE, participants
from himoe.simulate.tasks import run_tasks

WINDOWS = WindowParams(4.0, 2.0, "continuous", 0.5)
_RECORDED: dict[str, tuple[str, ...]] = {
    "deap": ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP"), "dreamer": ("EEG", "ECG"), "seed": ("EEG",),
    "amigos": ("EEG", "EDA", "ECG"),
}
_SETS: dict[str, tuple[str, ...]] = {
    "deap": ("EEG", "PPS", "EEG+PPS", "EEG+EOG+EMG+EDA"), "dreamer": ("EEG", "PPS", "EEG+PPS"), "seed": ("EEG",),
    "amigos": ("EEG", "PPS", "EEG+PPS"),
}
_RATED = {"dreamer": DIMENSIONS[:3]}  # else all of them
_FILMED_SETS = ("EEG+FACE", "EEG+PPS+FACE")


def attainable(root_or_truth: Path | Mapping[str, Any], windows: WindowParams = WINDOWS, jobs: int = 1,
               eeg_high_hz: float = np.inf) -> dict[str, dict[str, Any]]:
    """Scores of the decoder by modality set.

    Parameters
    ----------
    root_or_truth : Path or mapping
        A simulated data set's folder, or the content of its ``truth.json``; only its parameters are read, and
        everything is made again from them.
    windows : WindowParams
        Length and step of windows.
    eeg_high_hz : float
        Rhythms that reach above it are not seen: what a filter leaves.

    Returns
    -------
    {modality set: {"modalities": list, "ccc", "ccc_within", "accuracy", "ccc_valence", ..., "uncompensated": {...}}}
        ``ccc``: over all windows, mean of dimensions; ``ccc_within``: of deviations from a trial's mean; ``accuracy``
        of high against low. ``uncompensated``: the same by a decoder that takes all lags for 0. Of SEED, ``accuracy``
        of the three classes alone.
    """
    truth = read_json(Path(root_or_truth) / TRUTH_FILE) if isinstance(root_or_truth, Path) else root_or_truth
    dataset, params = truth["dataset"], truth["params"]
    chosen = {name: _members(name, dataset)
              for name in (*_SETS[dataset], *(_FILMED_SETS if params.get("video") else ()))}
    tasks = ((DECODERS[dataset], (params, number, windows, eeg_high_hz, chosen))
             for number in participants(dataset, params["subjects"]))
    trials = [trial for person in run_tasks(tasks, jobs) for trial in person]
    return {name: {"modalities": list(members), **score(trials, name, dataset)} for name, members in chosen.items()}


def _members(name: str, dataset: str) -> tuple[str, ...]:
    """The modalities of a set such as EEG+PPS, as far as the data set records them."""
    named = {member for part in name.split("+") for member in (PERIPHERAL if part == "PPS" else (part,))}
    return tuple(m for m in MODALITIES if m in named and m in (*_RECORDED[dataset], "FACE"))


def score(trials: Sequence[Decoded], name: str, dataset: str) -> dict[str, Any]:
    """Pooled scores of one modality set."""
    if dataset in CLASSES:
        return {"accuracy": float(np.mean([trial.label == trial.guess[name, True] for trial in trials]))}
    n_rated = len(_RATED.get(dataset, DIMENSIONS))
    pairs, blind = ([(trial.label[:, :n_rated], trial.guess[name, known][:, :n_rated]) for trial in trials]
                    for known in (True, False))
    return {**_scores(pairs), "uncompensated": _scores(blind)}


def _scores(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    label, guess = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    inner = [np.concatenate([pair[k] - pair[k].mean(axis=0) for pair in pairs]) for k in (0, 1)]
    columns = {
        "ccc": [concordance(y, x) for y, x in zip(label.T, guess.T)],
        "ccc_within": [concordance(y, x) for y, x in zip(inner[0].T, inner[1].T)],
        "accuracy": [float(np.mean((y > 0) == (x > 0))) for y, x in zip(label.T, guess.T)],
    }
    found = {metric: float(np.mean(values)) for metric, values in columns.items()}
    return found | {f"{metric}_{name}": value for metric, values in columns.items()
                    for name, value in zip(DIMENSIONS, values)}


def concordance(one: np.ndarray, other: np.ndarray) -> float:
    """Lin's concordance correlation coefficient of two (n,) arrays; 0 where nothing varies."""
    spread = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    return float(2 * np.mean((one - one.mean()) * (other - other.mean())) / spread) if spread else 0.0
