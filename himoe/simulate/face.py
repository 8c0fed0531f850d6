"""Simulated face videos in DEAP's layout: a drawn face that follows what the simulated person feels.

``face_video/sNN/sNN_trialMM.avi``, MM in presentation order, frame k shown k / fps after the music
starts. What happens in a video depends on neither frame rate nor picture size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from himoe.core.params import VideoParams
from himoe.core.progress import progress
from himoe.simulate.face_draw import Course, Painter
from himoe.simulate.face_look import make_look
from himoe.simulate.face_motion import Hidden, blink_at, draw_hidden, hidden_kinds, movements, session_blinks
from himoe.simulate.face_units import FaceResponse, columns, face_lag, intensities, make_response, unit_logits
from himoe.simulate.latent import LATENT_HZ, generator
from himoe.simulate.sessions import Session
from himoe.simulate.timeline import Timeline
from himoe.simulate.video import write_avi

FOLDER = "face_video"
FILMED = range(1, 23)  # the participants whose faces DEAP filmed (Koelstra et al. 2012, doi:10.1109/T-AFFC.2011.15)
# How many videos at the end of the session are missing. That these four people lack some is DEAP's; how many is chosen.
LOST_AT_END: dict[int, int] = {3: 1, 5: 1, 11: 3, 14: 1}
_NOISE = 3  # the stream of a person's random numbers


@dataclass(frozen=True)
class FaceSession:
    """What one person's face does in a session: response, action units and lids, and when it is hidden.

    ``logits`` (U, N) at ``LATENT_HZ``; ``closure`` (n,) of the lids at ``BLINK_HZ``; both on the session clock.
    """

    participant: int
    seed: int
    timeline: Timeline
    response: FaceResponse
    logits: np.ndarray
    closure: np.ndarray
    hidden: tuple[Hidden, ...]

    def course(self, order: int, time_s: np.ndarray) -> Course:
        """What is seen in the *order*-th trial (from 1) at *time_s* (N,) after its start."""
        start_s, length_s = self.timeline.start_s[order - 1], self.timeline.length_s[order - 1]
        return Course(intensities(self.logits, start_s + time_s), blink_at(self.closure, start_s + time_s),
                      hidden_kinds(self.hidden, self.timeline.videos[order - 1], time_s),
                      movements(self.seed, self.participant, order, length_s, time_s))


def filmed_trials(participant: int, trials: int) -> range:
    """Places in the presentation order (from 1) that have a video; the tape may end before the session."""
    if participant not in FILMED:
        return range(1, 1)
    return range(1, trials - LOST_AT_END.get(participant, 0) + 1)


def face_session(session: Session, seed: int, snr: float) -> FaceSession:
    """What a DEAP participant's face does; *snr*: factor on everything emotional."""
    person, timeline = session.person, session.timeline
    response = make_response(seed, person)
    return FaceSession(person.participant, seed, timeline, response,
                       unit_logits(response, session.driver, seed, snr, lag_s=face_lag(response, session)),
                       session_blinks(session, seed, snr),
                       draw_hidden(seed, person.participant, timeline.videos, timeline.length_s[0]))


def write_faces(root: Path, session: FaceSession, params: VideoParams) -> None:
    """Write the person's videos under *root*; nothing for people who were not filmed."""
    orders = filmed_trials(session.participant, len(session.timeline.videos))
    if not orders:
        return
    name = f"s{session.participant:02d}"
    painter = Painter(make_look(session.seed, session.participant), params.width_px, params.height_px,
                      generator(session.seed, "deap", "face", session.participant, _NOISE))
    with _one_thread():
        for order in progress(orders, f"simulate deap, face of {name}", "video", len(orders)):
            n_frames = round(session.timeline.length_s[order - 1] * params.fps_hz)
            course = session.course(order, np.arange(n_frames) / params.fps_hz)
            write_avi(Path(root) / FOLDER / name / f"{name}_trial{order:02d}.avi", painter.frames(course),
                      params.fps_hz, params.width_px, params.height_px)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV on one thread: people are simulated side by side already, and the pictures are small."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def face_truth(session: FaceSession) -> dict[str, Any] | None:
    """The person's ``face`` in ``truth.json``: lag, gains, what is filmed and hidden; None if not filmed."""
    orders = filmed_trials(session.participant, len(session.timeline.videos))
    if not orders:
        return None
    filmed = [session.timeline.videos[order - 1] for order in orders]
    return {**session.response.record(), "videos": filmed,
            "hidden": [stretch.record() for stretch in session.hidden if stretch.video in filmed]}


def unit_table(session: FaceSession) -> pd.DataFrame | None:
    """Rows of ``truth_action_units.parquet``: participant, video, time_s (4 Hz), intensities, face_visible.

    None for people who were not filmed.
    """
    tables = []
    for order in filmed_trials(session.participant, len(session.timeline.videos)):
        n_samples = round(session.timeline.length_s[order - 1] * LATENT_HZ) + 1
        time_s = np.arange(n_samples) / LATENT_HZ
        course = session.course(order, time_s)
        tables.append(pd.DataFrame({
            "participant": session.participant, "video": session.timeline.videos[order - 1], "time_s": time_s,
            **{unit: values.astype(np.float32) for unit, values in columns(course.units).items()},
            "face_visible": course.hidden == 0}))
    return pd.concat(tables, ignore_index=True) if tables else None
