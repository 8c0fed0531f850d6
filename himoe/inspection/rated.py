"""Which trials carry a label: rated ones, or annotated ones where a set is annotated over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from himoe.inspection.survey import SubjectFacts, TrialFacts


def rated_trials(facts: Sequence[SubjectFacts]) -> dict[str, list[TrialFacts]]:
    """By person, the trials with a label, as the window stage has them with ``windows.labels: auto``."""
    annotated = any(trial.annotated for one in facts for trial in one.trials)
    return {one.subject: [trial for trial in one.trials
                          if (trial.annotated if annotated else any(map(math.isfinite, trial.ratings.values())))]
            for one in facts if one.error is None}
