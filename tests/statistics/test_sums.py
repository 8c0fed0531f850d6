"""Scores from sums per trial, against the metrics on the windows themselves."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from predicted import DIMENSIONS, predictions, trial_ids

from himoe.core.errors import InputError
from himoe.scoring.metrics import METRICS
from himoe.scoring.statistics import TrialSums, arrange, sum_trials

KINDS = [("regression", "ccc"), ("regression", "pcc"), ("regression", "mae"), ("regression", "ccc_within"),
         ("two", "accuracy"), ("two", "f1"), ("two", "f1_macro"), ("four", "accuracy"), ("four", "f1_macro")]


def repeated(frame: pd.DataFrame, counts: np.ndarray) -> pd.DataFrame:
    """Every trial as often as *counts* says, each copy a trial of its own."""
    parts = dict(list(frame.groupby(["subject", "trial"])))
    copies = [parts[ids].assign(copy=f"{ids}{k}") for ids, count in zip(trial_ids(frame), counts, strict=True)
              for k in range(int(count))]
    return pd.concat(copies) if copies else frame.head(0).assign(copy="")


@pytest.mark.parametrize(("kind", "metric"), KINDS)
def test_scores_of_weightings_are_the_metric_of_repeated_trials(kind: str, metric: str) -> None:
    frame = predictions(kind)
    counts = np.random.default_rng(0).integers(0, 3, (7, 12)).astype(float)
    counts[0], counts[1] = 1, 0
    sums = sum_trials(arrange(frame), metric)
    found = sums.scores(counts)
    assert found.shape == (7, 3, 2)
    for b, row in enumerate(counts):
        expected = np.full((3, 2), np.nan)
        for (seed, dimension), part in repeated(frame, row).groupby(["seed", "dimension"]):
            expected[seed, sorted(DIMENSIONS).index(dimension)] = METRICS[metric](
                part["y_true"].to_numpy(), part["y_pred"].to_numpy(), part["copy"].to_numpy())
        np.testing.assert_allclose(found[b], expected, atol=1e-12)
        if np.isfinite(expected).any():
            assert sums.pooled(counts)[b] == pytest.approx(np.nanmean(expected), abs=1e-12)
            assert sums.of(1).pooled(counts)[b] == pytest.approx(np.nanmean(expected[:, 1]), abs=1e-12)
    assert sums.score() == pytest.approx(sums.pooled(counts)[0])


def test_constants_are_told_from_rounding() -> None:
    """The same cases that the metrics define (himoe.scoring.metrics), also in weightings of few trials."""
    frame = predictions()
    counts = np.eye(12)
    flat = arrange(frame.assign(y_pred=5.1))
    assert (sum_trials(flat, "ccc").scores(counts) == 0).all()
    assert np.isnan(sum_trials(flat, "pcc").scores(counts)).all()
    assert (sum_trials(flat, "ccc_within").scores(counts) == 0).all()
    rated = frame.assign(y_true=frame["trial"].str[1:].astype(float) + 0.1)  # one rating a trial
    assert np.isnan(sum_trials(arrange(rated), "ccc_within").scores(np.ones((1, 12)))).all()
    same = arrange(frame.assign(y_true=5.1, y_pred=5.1))
    assert math.isnan(sum_trials(same, "ccc").score())
    assert sum_trials(arrange(frame.assign(y_true=5.1, y_pred=5.4)), "ccc").score() == 0
    far = arrange(frame.assign(y_pred=frame["y_pred"] + 1e4))
    expected = sum_trials(arrange(frame), "pcc").score()
    assert sum_trials(far, "pcc").score() == pytest.approx(expected, abs=1e-6)


def test_a_dimension_without_labels_is_left_out() -> None:
    frame = predictions()
    some = frame.assign(y_true=frame["y_true"].mask(frame["dimension"] == "arousal"))
    assert sum_trials(arrange(some), "ccc").score() == pytest.approx(sum_trials(arrange(frame), "ccc").of(1).score())
    assert math.isnan(sum_trials(arrange(frame.assign(y_true=np.nan)), "ccc_within").score())


def test_arranged_windows() -> None:
    frame = predictions()
    windows = arrange(frame.assign(fold=frame["fold"].where(frame["trial"] != "t2", frame["window"] % 2 + 1)))
    assert (windows.dimensions, windows.keys) == (("arousal", "valence"), ((0,), (1,), (2,)))
    assert windows.person.tolist() == [0] * 5 + [1] * 3 + [2] * 4
    assert windows.fold.tolist() == [0, 1, -1, 1, 0, 0, 1, -1, 0, 1, -1, 1]
    row = frame.set_index(["subject", "trial", "window", "dimension", "seed"]).loc[("s1", "t2", 1, "arousal", 2)]
    at = windows.windows.get_loc(("s1", "t2", 1))
    assert (windows.p[2, at, 0], windows.trial[at]) == (row["y_pred"], 7)
    assert not windows.same_windows(arrange(frame[frame["window"] != 1]))
    assert not windows.same_windows(arrange(frame.assign(y_true=frame["y_true"] + 1)))
    assert windows.same_windows(arrange(predictions(seed=5, seeds=(4,))))
    with_masks = pd.concat([frame.assign(mask_seed=3), frame.assign(mask_seed=7)])
    assert arrange(with_masks).keys == ((0, 3), (0, 7), (1, 3), (1, 7), (2, 3), (2, 7))


def test_what_cannot_be_arranged_or_summed_is_refused() -> None:
    frame = predictions()
    with pytest.raises(InputError, match="two rows for one window"):
        arrange(pd.concat([frame, frame.head(1)]))
    with pytest.raises(InputError, match="labels that differ between seeds"):
        arrange(frame.assign(y_true=frame["y_true"] + (frame["seed"] == 1)))
    with pytest.raises(InputError, match="not finite"):
        sum_trials(arrange(frame.assign(y_pred=frame["y_pred"].where(frame["seed"] != 2))), "mae")
    with pytest.raises(InputError, match="metric: found 'rmse'"):
        sum_trials(arrange(frame), "rmse")
    assert arrange(frame.head(0)).p.shape == (0, 0, 0)
    assert math.isnan(sum_trials(arrange(frame.head(0)), "f1_macro").score())


def test_classes_that_one_run_lacks() -> None:
    """Sums that are mixed with another run's need as many classes; a class that nobody has counts for nothing."""
    windows = arrange(predictions("four"))
    wide = sum_trials(windows, "f1_macro", classes=6)
    assert wide.values.shape == (3, 2, 12, 13)
    assert isinstance(wide, TrialSums)
    assert wide.score() == pytest.approx(sum_trials(windows, "f1_macro").score())
