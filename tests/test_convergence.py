"""Was it still improving? Known courses of the loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from himoe.scoring.convergence import converged, ending, endings


def course(losses: list[float], fold: int = 0, seed: int = 0) -> pd.DataFrame:
    frame = pd.DataFrame({"epoch": range(len(losses)), "validation_loss": losses, "fold": fold, "seed": seed})
    return frame.assign(best=frame["validation_loss"].rank(method="first") == 1)


def test_the_gain_is_of_the_last_quarter_and_relative() -> None:
    end = ending(course([1.0, 0.8, 0.6, 0.7, 0.65, 0.62, 0.5, 0.45]))
    assert end.gain == pytest.approx((0.6 - 0.45) / 0.6)
    assert (end.best, end.epochs) == (8, 8)
    assert ending(course([1.0, 0.5, 0.6, 0.7])).gain == 0
    assert np.isnan(ending(course([1.0, 0.5, 0.4])).gain)


def test_a_run_has_converged_where_its_models_stand_still_in_the_mean() -> None:
    still, moving = [1.0, 0.5, 0.4, 0.399], [1.0, 0.9, 0.8, 0.7]
    some = pd.concat([course(still), course(moving, 1), course(still, 0, 3)])
    assert converged(some, True) == {"models": 3, "unconverged_models": 1, "converged": False}
    assert converged(course(still), True) == {"models": 1, "unconverged_models": 0, "converged": True}
    assert converged(course([0.7]), False) == {"models": 1, "unconverged_models": 0, "converged": None}
    assert len(endings(some.assign(rate=[0.0, 0.0, 0.0, 0.0] * 3))) == 3
