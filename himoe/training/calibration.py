"""A person's own shift and slope of the predicted rating, fitted by ridge on few labelled trials.

``rating = centre + shift + slope (predicted - centre)``, one of each per dimension, kept on the rating scale. It works
on what a model says, whatever the model is.

Legend: n windows, k labelled trials, S sets of trials, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from himoe.core.parsing import checked

# How many trials the model's own answer counts for: with k labelled ones the shift is k / (k + SHIFT_TRIALS) of what
# least squares gives. A slope needs more than a mean does.
SHIFT_TRIALS = 4.0
SLOPE_TRIALS = 16.0


@dataclass(frozen=True)
class Lines:
    """S sets of lines: ``centre``, ``shift`` and ``slope``, each (S, D), in points of the rating scale."""

    centre: np.ndarray
    shift: np.ndarray
    slope: np.ndarray

    @classmethod
    def same(cls, sets: int, dimensions: int) -> Lines:
        """Lines that change nothing."""
        nothing = np.zeros((sets, dimensions))
        return cls(nothing, nothing, nothing + 1)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Predictions (..., D), or (S, n, D), on the lines; nothing is bounded."""
        centre, shift, slope = (part[:, None] for part in (self.centre, self.shift, self.slope))
        return values + shift + (slope - 1) * (values - centre)


def fit_lines(predicted: np.ndarray, rated: np.ndarray, weights: np.ndarray) -> Lines:
    """Ridge regression of ratings on predictions, every dimension and every set of trials for itself.

    ``min over a, b of sum_n w_n (r_n - a - b (p_n - c))^2 + SHIFT_TRIALS a^2 + SLOPE_TRIALS v b^2`` with
    ``r = rated - predicted``, c and v the weighted mean and variance of p; slope = 1 + b. Both are zero without labels.

    Parameters
    ----------
    predicted, rated : ndarray (n, D)
        NaN ratings have the weight 0.
    weights : ndarray (S, n, D)
        Those of a trial's windows sum to 1 where the trial counts, else to 0.
    """
    count = weights.sum(1)
    some = np.maximum(count, 1e-12)
    rest = np.nan_to_num(rated - predicted)
    centre = (weights * predicted).sum(1) / some
    aside = predicted - centre[:, None]
    residual = (weights * rest).sum(1)
    squares = (weights * aside**2).sum(1)
    # The mean of aside is 0, so the two are found one by one; v is squares / count.
    shift = residual / (count + SHIFT_TRIALS)
    slope = (weights * aside * rest).sum(1) / np.maximum(squares * (1 + SLOPE_TRIALS / some), 1e-12)
    return Lines(centre, shift, 1 + np.where(count > 0, slope, 0.0))


@checked
@dataclass(frozen=True)
class Calibration:
    """What adapting to a person added to the predictions for that person, D numbers of each.

    ``set`` is the data set that the person's windows name: a name counts only in its own. ``moved`` says which weights
    of the model were moved for the person: ``none``, ``heads`` or ``low_rank``.
    """

    person: str
    set: str
    centre: tuple[float, ...]
    shift: tuple[float, ...]
    slope: tuple[float, ...]
    moved: str = "none"

    @classmethod
    def of(cls, person: str, set_name: str, lines: Lines, moved: str) -> Calibration:
        """From one set of lines."""
        centre, shift, slope = (tuple(map(float, part[0])) for part in (lines.centre, lines.shift, lines.slope))
        return cls(person, set_name, centre, shift, slope, moved)

    def apply(self, values: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
        """Predictions (n, D) of this person, calibrated and kept on the scale; untouched where nothing was fitted."""
        if not any(self.shift) and all(slope == 1 for slope in self.slope):
            return values
        lines = Lines(*(np.array([part]) for part in (self.centre, self.shift, self.slope)))
        return np.clip(lines.apply(values[None])[0], *scale)
