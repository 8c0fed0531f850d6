"""How well what was felt can be told at all from what the sensors show: a ceiling for every method.

A decoder that is given every person's gains, interactions, response system, each trial's lags and each second's
quality reads every physiological quantity once a second, with the noise that its signal leaves
(:mod:`himoe.simulate.observe`), and guesses what was felt (:mod:`himoe.simulate.decoder`). It is scored as methods
are: against annotations averaged over windows, all windows of all trials together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from himoe.files import read_json
from himoe.params import WindowParams
from himoe.recordings import DIMENSIONS, expand_modalities
from himoe.simulate import latent
from himoe.simulate.decoder import decode, join, prior_covariance, square_root
from himoe.simulate.effects import modulations
from himoe.simulate.observe import evidence, make_trial, read
from himoe.simulate.request import TRUTH_FILE, participants
from himoe.simulate.sessions import TRIAL_S, Session, deap_session, dreamer_session
from himoe.simulate.tasks import run_tasks

WINDOWS = WindowParams(4.0, 2.0, "continuous", 0.5)
SETS: dict[str, tuple[str, ...]] = {
    "deap": ("EEG", "PPS", "EEG+PPS", "EEG+EOG+EMG+EDA"), "dreamer": ("EEG", "PPS", "EEG+PPS"),
}


@dataclass(frozen=True)
class Decoded:
    """One trial's windows: ``label`` and, by modality set and whether lags are compensated, ``guess``, (n, 4) each."""

    label: np.ndarray
    guess: Mapping[tuple[str, bool], np.ndarray]


def attainable(root_or_truth: Path | Mapping[str, Any], windows: WindowParams = WINDOWS, jobs: int = 1,
               eeg_high_hz: float = np.inf) -> dict[str, dict[str, Any]]:
    """Scores of the decoder by modality set.

    Parameters
    ----------
    root_or_truth : Path or mapping
        A simulated data set's folder, or the content of its ``truth.json``; nothing but its parameters is read.
    windows : WindowParams
        Length and step of windows.
    eeg_high_hz : float
        Rhythms that reach above it are not seen: what a filter leaves.

    Returns
    -------
    {modality set: {"modalities": list, "ccc": float, "ccc_within": float, "ccc_valence": ..., "uncompensated": {...}}}
        ``ccc``: over all windows, mean of dimensions; ``ccc_within``: of deviations from a trial's mean;
        ``uncompensated``: the same by a decoder that takes all lags for 0.
    """
    truth = read_json(Path(root_or_truth) / TRUTH_FILE) if isinstance(root_or_truth, Path) else root_or_truth
    dataset, params = truth["dataset"], truth["params"]
    tasks = ((decode_person, (dataset, params, number, windows, eeg_high_hz))
             for number in participants(dataset, params["subjects"]))
    trials = [trial for person in run_tasks(tasks, jobs) for trial in person]
    return {name: score(trials, name, dataset) for name in SETS[dataset]}


def decode_person(dataset: str, params: Mapping[str, Any], participant: int, windows: WindowParams,
                  eeg_high_hz: float) -> list[Decoded]:
    """Every trial of one person."""
    make = {"deap": deap_session, "dreamer": dreamer_session}[dataset]
    session = make(params["seed"], participant, params["trials"], params["world"])
    moved = modulations(session.person, session.driver, session.seed, params["snr"], lags_s=session.conditions.lags_s)
    return [decode_trial(session, index, moved, params["snr"], windows, eeg_high_hz)
            for index in range(len(session.timeline.videos))]


def decode_trial(session: Session, index: int, moved: Mapping[str, np.ndarray], snr: float, windows: WindowParams,
                 eeg_high_hz: float) -> Decoded:
    """Labels of one trial's windows and what the decoder makes of them."""
    trial = make_trial(session, index, TRIAL_S)
    readings = read(session, trial, moved, eeg_high_hz)
    root = square_root(prior_covariance(latent.PRIORS[session.person.world], trial.node_s))
    into_s = session.timeline.length_s[index] - trial.length_s + trial.node_s
    rise = latent.rise(into_s, latent.ONSET_S)
    lags_s = session.conditions.trial_lags_s[index] if session.conditions.trial_lags_s else session.person.lags_s
    starts_s = np.arange(0, trial.length_s - windows.length_s + 1e-9, windows.step_s)
    guesses = {}
    for compensated in (True, False):
        single = {modality: evidence(session, trial, readings, snr, modality, lags_s[modality] if compensated else 0.0)
                  for modality in session.modalities}
        found: dict[frozenset[str], np.ndarray] = {}
        for name in SETS[session.person.dataset]:
            known = frozenset(expand_modalities(name, session.modalities))
            fewer = max((other for other in found if other < known), key=len, default=None)  # begin where they ended
            guess, found[known] = decode(join([single[modality] for modality in sorted(known)]), root, rise,
                                         None if fewer is None else found[fewer])
            shift_s = latent.REACTION_LAG_S if compensated else 0.0
            guesses[name, compensated] = window_means(trial.node_s + shift_s, guess, starts_s, windows.length_s)
    n_keep = round(trial.length_s * latent.LATENT_HZ) + 1
    person, video = session.person, session.timeline.videos[index]
    said, _ = latent.report(session.seed, person.dataset, person.participant, video,
                            session.latents[index][:, -n_keep:], latent.Scale(-1.0, 1.0))
    label = window_means(np.arange(n_keep) / latent.LATENT_HZ, said, starts_s, windows.length_s)
    return Decoded(label, guesses)


def window_means(time_s: np.ndarray, course: np.ndarray, starts_s: np.ndarray, length_s: float) -> np.ndarray:
    """Means (n, D) of a course (D, N) over windows, from linear interpolation at 10 Hz."""
    at = starts_s[:, None] + np.arange(0.05, length_s, 0.1)
    return np.stack([np.interp(at, time_s, row).mean(axis=1) for row in course], axis=1)


def score(trials: Sequence[Decoded], name: str, dataset: str) -> dict[str, Any]:
    """Pooled scores of one modality set."""
    return {**_scores([(trial.label, trial.guess[name, True]) for trial in trials]),
            "uncompensated": _scores([(trial.label, trial.guess[name, False]) for trial in trials])}


def _scores(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    pairs = list(pairs)
    found: dict[str, float] = {}
    for metric, centre in (("ccc", False), ("ccc_within", True)):
        columns = [np.concatenate([side[k] - centre * side[k].mean(axis=0) for side in pairs]) for k in (0, 1)]
        values = [concordance(columns[0][:, d], columns[1][:, d]) for d in range(columns[0].shape[1])]
        found[metric] = float(np.mean(values))
        found |= {f"{metric}_{name}": value for name, value in zip(DIMENSIONS, values)}
    return found


def concordance(one: np.ndarray, other: np.ndarray) -> float:
    """Lin's concordance correlation coefficient."""
    spread = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    return float(2 * np.mean((one - one.mean()) * (other - other.mean())) / spread) if spread else 0.0
