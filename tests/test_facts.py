"""Facts of a data set, counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from himoe.core.recordings import Annotations, Session, Signal, Trial
from himoe.prepare.facts import merge_facts, session_facts


def signal(channels: int, samples: int, sfreq_hz: float, unit: str = "uV") -> Signal:
    data = np.zeros((channels, samples), dtype=np.float32)
    return Signal(data, sfreq_hz, tuple(f"c{i}" for i in range(channels)), unit)


def trial(name: str, duration_s: float, valence: float, arousal: float = np.nan, annotated: bool = False) -> Trial:
    notes = Annotations(np.array([0.0, 1.0]), {"valence": np.array([2.0, 3.0])}) if annotated else None
    return Trial(name, name, 0.0, duration_s, {"valence": valence, "arousal": arousal}, notes)


def sessions() -> list[Session]:
    """Subject a: two sessions of 2 and 1 trials; subject b: one of 4, without EDA and at other rates."""
    eeg, eda = signal(5, 900, 128.0), signal(1, 70, 8.0, "uS")
    return [
        Session("a", {"EEG": eeg, "EDA": eda}, (trial("t1", 60.0, 3.0), trial("t2", 63.5, 7.5))),
        Session("a", {"EEG": eeg, "EDA": eda}, (trial("t3", 58.0, np.nan),)),
        Session("b", {"EEG": signal(3, 900, 120.0, "V")}, tuple(trial(f"t{k}", 61.0, 2.0 + k) for k in range(4))),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_set_is_counted_over_its_sessions_in_any_order(order: tuple[int, ...]) -> None:
    parts = [session_facts(sessions()[k]) for k in order]
    facts = merge_facts(iter(parts), (1, 9))
    assert facts == {
        "subjects": 2, "trials_min": 3, "trials_max": 4, "recordings": 7, "sessions": 1,
        "modalities": {"EDA": {"channels": 1, "sfreq_hz": 8.0, "unit": "uS", "recordings": 3},
                       "EEG": {"channels": "3-5", "sfreq_hz": "120-128", "unit": "V, uV", "recordings": 7}},
        "dimensions": {"valence": [2.0, 7.5]}, "scale": [1.0, 9.0], "annotation": "trial", "length_s": [58.0, 63.5],
    }
    assert list(facts["modalities"]) == ["EDA", "EEG"]
    json.dumps(facts, allow_nan=False)


def test_one_annotated_trial_makes_a_set_continuous() -> None:
    more = Session("c", {}, (trial("t1", 60.0, 5.0, 6.5), trial("t2", 60.0, 5.0, annotated=True)))
    facts = merge_facts(map(session_facts, [*sessions(), more]), (1, 9))
    assert facts["annotation"] == "continuous"
    assert facts["dimensions"]["arousal"] == [6.5, 6.5]
    assert (facts["subjects"], facts["trials_min"], facts["recordings"]) == (3, 2, 9)
    assert facts["modalities"]["EEG"]["recordings"] == 7


def test_a_set_of_nothing_has_no_numbers() -> None:
    facts = merge_facts([], (1, 5))
    assert (facts["subjects"], facts["recordings"], facts["trials_max"]) == (0, 0, 0)
    assert (facts["modalities"], facts["dimensions"], facts["length_s"]) == ({}, {}, [0.0, 0.0])


def test_visits_and_modalities_of_single_trials_are_counted() -> None:
    days = [replace(trial("t1", 60.0, 3.0), session="mon"), replace(trial("t2", 60.0, 3.0), session="tue")]
    parts = [session_facts(Session("a", {"EEG": signal(2, 90, 10.0)}, (day,))) for day in days]
    parts[1]["modalities"]["FACE"] = {"channels": 1, "sfreq_hz": 50.0, "unit": "720 x 576 px", "trials": 1}
    parts.append(session_facts(Session("b", {"EEG": signal(2, 90, 10.0)}, tuple(days[:1]))))
    facts = merge_facts(parts, (1, 9))
    assert facts["sessions"] == 2
    assert facts["modalities"]["EEG"]["recordings"] == 3
    assert facts["modalities"]["FACE"]["recordings"] == 1
