"""Which of the training trials validate: enough of them for intervals, where there are enough at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from himoe.prepare.windowset import Windows
from himoe.training.conformal import LEVEL

SHARES = (0.15, 0.2, 0.25, 0.3, 0.35)  # of every person's trials
ENOUGH = round(LEVEL / (1 - LEVEL))  # trials: with fewer no interval of this level can be promised


def validation_share(windows: Windows) -> float:
    """The smallest share with which ``ENOUGH`` trials validate; the first where none is large enough."""
    trials = windows.trials["subject"].value_counts()
    held = {share: sum(max(1, round(share * count)) for count in trials if count > 1) for share in SHARES}
    return next((share for share, count in held.items() if count >= ENOUGH), SHARES[0])


def with_roles(windows: Windows, seed: int = 0) -> Windows:
    """Windows of which an estimator may choose trials for validation; whole people where everybody has one trial."""
    trials = windows.trials["subject"].value_counts()
    if trials.max() > 1:
        return replace(windows, role=None)
    people = np.random.default_rng(seed).permutation(np.unique(windows.groups))
    held = people[:max(1, round(SHARES[0] * len(people)))]
    return replace(windows, role=np.where(np.isin(windows.groups, held), "validation", "train"))
