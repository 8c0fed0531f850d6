"""What an ideal measurement sees of a face: every action unit's intensity, once a second, unless the face is hidden."""

from __future__ import annotations

import numpy as np

from himoe.simulate import face_units
from himoe.simulate.decoder import Evidence
from himoe.simulate.face import filmed_trials
from himoe.simulate.face_motion import draw_hidden, hidden_kinds
from himoe.simulate.face_units import UNITS, FaceResponse, face_lag, make_response, unit_logits
from himoe.simulate.latent import generator
from himoe.simulate.observe import Trial, response, second_means, slow_and_fast, weigh
from himoe.simulate.sessions import Session

READING_SD = 0.5  # of one second's logit: chosen
_LOST = 1e8
_STREAM = 1000


def session_face(session: Session, snr: float) -> tuple[FaceResponse, np.ndarray] | None:
    """A person's facial response and the course of the units' logits, (U, N); None for people who were not filmed."""
    if not filmed_trials(session.person.participant, len(session.timeline.videos)):
        return None
    answer = make_response(session.seed, session.person)
    return answer, unit_logits(answer, session.driver, session.seed, snr, lag_s=face_lag(answer, session))


def read_face(session: Session, trial: Trial, logits: np.ndarray) -> np.ndarray | None:
    """Readings of the logits in one trial, (U, n), NaN where no face is seen; None where nothing was filmed."""
    timeline = session.timeline
    if trial.index + 1 not in filmed_trials(session.person.participant, len(timeline.videos)):
        return None
    rng = generator(session.seed, "deap", "decoder", session.person.participant, _STREAM + trial.stream)
    values = second_means(logits, trial) + READING_SD * rng.standard_normal((len(UNITS), trial.length_s))
    hidden = draw_hidden(session.seed, session.person.participant, timeline.videos, timeline.length_s[0])
    return np.where(hidden_kinds(hidden, trial.stream, np.arange(trial.length_s) + 0.5) > 0, np.nan, values)


def face_evidence(session: Session, trial: Trial, answer: FaceResponse, values: np.ndarray, snr: float,
                  lag_s: float) -> Evidence:
    """What the readings (U, n) of a face say of the terms at the nodes."""
    matrix, past = response(session, trial, "FACE", lag_s)
    distance = np.subtract.outer(np.arange(trial.length_s), np.arange(trial.length_s))
    covariance = face_units.BACKGROUND_SD**2 * slow_and_fast(answer.body, face_units.BACKGROUND_TAU_S, distance)
    weights = np.linalg.inv(covariance + np.diag(np.where(np.isnan(values[0]), _LOST, READING_SD**2)))
    return weigh(matrix, past, snr * answer.gains, list(np.nan_to_num(values - answer.rest[:, None])),
                 [weights] * len(UNITS))
