"""The decoder at work on each data set's sessions: labels of windows, and what it makes of them.

Legend: n windows, D = 4 dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from himoe.core.params import WindowParams
from himoe.simulate import amigos, latent, seed
from himoe.simulate.decoder import Evidence, decode, join, level_covariance, prior_covariance, square_root
from himoe.simulate.effects import modulations
from himoe.simulate.face_units import FaceResponse
from himoe.simulate.observe import Trial, evidence, make_trial, read
from himoe.simulate.observe_face import face_evidence, read_face, session_face
from himoe.simulate.seed import CLIP_LABELS, clip_session, make_visit, visit_session
from himoe.simulate.sessions import TRIAL_S, Session, deap_session, dreamer_session

CLASSES = ("seed",)  # sets whose label is a class of a clip
Sets = Mapping[str, tuple[str, ...]]
Face = tuple[FaceResponse, np.ndarray]


@dataclass(frozen=True)
class Decoded:
    """One trial: ``label`` and, by modality set and whether lags are compensated, ``guess``.

    Means over windows (n, D), on -1..1; or a class of ``CLIP_LABELS``.
    """

    label: Any
    guess: Mapping[tuple[str, bool], Any]


def _deap(params: Mapping[str, Any], participant: int, windows: WindowParams, high_hz: float, sets: Sets
          ) -> list[Decoded]:
    session = deap_session(params["seed"], participant, params["trials"], params["world"])
    return _trials(session, params["snr"], windows, high_hz, sets, TRIAL_S)


def _dreamer(params: Mapping[str, Any], participant: int, windows: WindowParams, high_hz: float, sets: Sets
             ) -> list[Decoded]:
    session = dreamer_session(params["seed"], participant, params["trials"], params["world"])
    return _trials(session, params["snr"], windows, high_hz, sets, TRIAL_S)


def _amigos(params: Mapping[str, Any], participant: int, windows: WindowParams, high_hz: float, sets: Sets
            ) -> list[Decoded]:
    session, _ = amigos.amigos_session(params["seed"], participant, params["trials"], params["world"])
    gaps = amigos.draw_gaps(params["seed"], participant, session.timeline.videos)
    return _trials(session, params["snr"], windows, high_hz, sets, None, gaps.empty_data, gaps.nan_data)


def _trials(session: Session, snr: float, windows: WindowParams, high_hz: float, sets: Sets, last_s: float | None,
            without: Sequence[int] = (), lost: Sequence[tuple[int, str]] = ()) -> list[Decoded]:
    """Every trial of a session but those *without* data; *lost*: (video, modality) that were not recorded."""
    moved = modulations(session.person, session.driver, session.seed, snr, lags_s=session.conditions.lags_s)
    faces = session_face(session, snr) if any("FACE" in members for members in sets.values()) else None
    return [_trial(session, make_trial(session, index, last_s), moved, faces, snr, windows, high_hz, sets,
                   [modality for hit, modality in lost if hit == video])
            for index, video in enumerate(session.timeline.videos) if video not in without]


def _trial(session: Session, trial: Trial, moved: Mapping[str, np.ndarray], faces: Face | None, snr: float,
           windows: WindowParams, high_hz: float, sets: Sets, lost: Sequence[str]) -> Decoded:
    """One trial; *lost*: modalities without data."""
    lags_s = dict(session.conditions.trial_lags_s[trial.index] if session.conditions.trial_lags_s
                  else session.person.lags_s)
    readings = read(session, trial, moved, high_hz)
    values = read_face(session, trial, faces[1]) if faces else None
    if faces and values is not None:
        lags_s["FACE"] = faces[0].trial_lag(session, trial.index)

    def sources(compensated: bool) -> dict[str, Evidence]:
        known = {name: evidence(session, trial, readings, snr, name, compensated * lags_s[name])
                 for name in session.modalities if name not in lost}
        if faces and values is not None:
            known["FACE"] = face_evidence(session, trial, faces[0], values, snr, compensated * lags_s["FACE"])
        return known

    return _decode(session, trial, sources, windows, sets)


def _decode(session: Session, trial: Trial, sources: Callable[[bool], dict[str, Evidence]], windows: WindowParams,
            sets: Sets) -> Decoded:
    """Labels of one trial's windows and the guesses of every set of modalities, with and without compensated lags."""
    person, prior = session.person, latent.PRIORS[session.person.world]
    root = square_root(prior_covariance(level_covariance(prior), prior.drifts, trial.node_s))
    starts_s = np.arange(0, trial.length_s - windows.length_s + 1e-9, windows.step_s)
    guesses: dict[tuple[str, bool], np.ndarray] = {}
    ends: dict[frozenset[str], np.ndarray] = {}
    for compensated in (True, False):
        single = sources(compensated)
        shift_s = latent.REACTION_LAG_S if compensated else 0.0
        for name, members in sets.items():
            known = frozenset(members) & frozenset(single)
            if not known:
                guesses[name, compensated] = np.zeros((len(starts_s), len(latent.MIXING)))
                continue
            guess = decode(join([single[member] for member in sorted(known)]), root, trial.rise, _starts(known, ends))
            ends.setdefault(known, guess.z)
            guesses[name, compensated] = window_means(trial.node_s + shift_s, guess.latent, starts_s, windows.length_s)
    course = session.latents[trial.index][:, -(round(trial.length_s * latent.LATENT_HZ) + 1):]
    said, _ = latent.report(session.seed, person.dataset, person.participant, session.timeline.videos[trial.index],
                            course, latent.Scale(-1.0, 1.0))
    time_s = np.arange(said.shape[1]) / latent.LATENT_HZ
    return Decoded(window_means(time_s, said, starts_s, windows.length_s), guesses)


def _starts(known: frozenset[str], ends: Mapping[frozenset[str], np.ndarray]) -> list[np.ndarray]:
    """Where the same sensors led before (with compensated lags), else where the two largest parts of them led."""
    if known in ends:
        return [ends[known]]
    return [ends[part] for part in sorted((part for part in ends if part < known), key=len)[-2:]]


def window_means(time_s: np.ndarray, course: np.ndarray, starts_s: np.ndarray, length_s: float) -> np.ndarray:
    """Means (n, D) of a course (D, N) over windows, from linear interpolation at 10 Hz."""
    at = starts_s[:, None] + np.arange(0.05, length_s, 0.1)
    return np.stack([np.interp(at, time_s, row).mean(axis=1) for row in course], axis=1)


def _seed(params: Mapping[str, Any], participant: int, windows: WindowParams, high_hz: float, sets: Sets
          ) -> list[Decoded]:
    """Every clip of every visit: the class whose valence is nearest to the clip's."""
    found, nearness = [], np.array(sorted(set(CLIP_LABELS)))
    for number in range(1, 1 + seed.layout.N_SESSIONS):
        visit = make_visit(params["seed"], participant, number)
        whole = visit_session(params["seed"], participant, visit, params["trials"], params["world"])
        for place, clip in enumerate(whole.timeline.videos):
            session = clip_session(whole, place)
            taken = replace(session.person, participant=seed.stream_of(participant, visit, clip))
            moved = modulations(taken, session.driver, params["seed"], params["snr"],
                                lags_s=session.conditions.lags_s)
            trial = make_trial(session, 0, TRIAL_S, 100 * number + clip)
            readings = read(session, trial, moved, high_hz, visit.rest)
            lag_s = (session.conditions.trial_lags_s or (session.person.lags_s,))[0]["EEG"]
            said = evidence(session, trial, readings, params["snr"], "EEG", lag_s)
            drifts = latent.PRIORS[params["world"]].drifts
            root = square_root(prior_covariance(seed.level_covariance(params["world"]), drifts, trial.node_s))
            valence = decode(said, root, trial.rise).latent[0].mean()
            guess = int(nearness[np.argmin(np.abs(valence - np.tanh(seed.LABEL_LEVEL * nearness)))])
            found.append(Decoded(CLIP_LABELS[clip - 1], {(name, True): guess for name in sets}))
    return found


# data set -> (truth's parameters, participant, windows, highest frequency of the EEG, modality sets)
DECODERS: dict[str, Callable[[Mapping[str, Any], int, WindowParams, float, Sets], list[Decoded]]] = {
    "deap": _deap, "dreamer": _dreamer, "seed": _seed, "amigos": _amigos,
}
