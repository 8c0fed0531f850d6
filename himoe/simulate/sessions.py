"""One person's session as it happened: who, when which video ran, what was felt, and what the sensors went through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from himoe.simulate import artefacts, latent, physiology
from himoe.simulate.artefacts import Dropout
from himoe.simulate.conditions import Conditions, draw_conditions
from himoe.simulate.effects import Person, make_person
from himoe.simulate.montage import EPOC, GENEVA
from himoe.simulate.timeline import Timeline, make_timeline, session_driver

TRIAL_S = 60.0
DREAMER_BASELINE_S = 61.0
DREAMER_CLIP_S = (65, 95)  # the real clips last 65 to 393 s; only the last 60 s are used


@dataclass(frozen=True)
class Session:
    """A session before any signal is made: ``latents`` (4, n) of every trial over the whole video, ``driver`` (4, N).

    ``modalities`` are recorded, EEG at ``ch_names``.
    """

    seed: int
    person: Person
    timeline: Timeline
    latents: Sequence[np.ndarray]
    driver: np.ndarray
    conditions: Conditions
    dropouts: tuple[Dropout, ...]
    modalities: tuple[str, ...]
    ch_names: tuple[str, ...]


def deap_session(seed: int, participant: int, trials: int, world: str) -> Session:
    """A DEAP participant's session."""
    return make_session(seed, make_person(seed, "deap", participant, world), deap_timeline(seed, participant, trials),
                        tuple(physiology.DEAP_ROWS), GENEVA)


def dreamer_session(seed: int, participant: int, trials: int, world: str) -> Session:
    """A DREAMER participant's session."""
    return make_session(seed, make_person(seed, "dreamer", participant, world), dreamer_timeline(seed, trials),
                        tuple(physiology.DREAMER_ROWS), EPOC)


def make_session(seed: int, person: Person, timeline: Timeline, modalities: tuple[str, ...],
                 ch_names: tuple[str, ...]) -> Session:
    """Draw what a person feels in each video, and what the sensors go through; EEG is the first modality."""
    latents = [latent.trial_latent(seed, person.dataset, person.participant, video, length_s, person.world)
               for video, length_s in zip(timeline.videos, timeline.length_s)]
    dropouts = artefacts.draw_dropouts(person, ch_names, modalities[1:], timeline.duration_s, seed)
    return Session(seed, person, timeline, latents, session_driver(timeline, latents),
                   draw_conditions(person, timeline, modalities, ch_names, seed), dropouts, modalities, ch_names)


def deap_timeline(seed: int, participant: int, trials: int) -> Timeline:
    """A DEAP session: 30 s (20 s of it baseline), then the videos in a person's own order, 12 s apart.

    The 12 s hold 3 s of fixation after a video, 4 s for the rating and 5 s of fixation before the next.
    """
    videos = latent.generator(seed, "deap", "order", participant).permutation(trials) + 1
    return make_timeline([int(v) for v in videos], [TRIAL_S] * trials, 30.0, 12.0, 12.0)


def dreamer_timeline(seed: int, trials: int) -> Timeline:
    """A DREAMER session: the clips in order, 61 s of baseline before each and 10 s after."""
    lengths_s = [
        float(latent.generator(seed, "dreamer", "stimulus", 2, video).integers(*DREAMER_CLIP_S, endpoint=True))
        for video in range(1, trials + 1)
    ]
    return make_timeline(range(1, trials + 1), lengths_s, DREAMER_BASELINE_S, DREAMER_BASELINE_S + 10.0, 10.0)
