"""Numbers behind the figures, against scikit-learn and slow loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve as reference_curve

from himoe.core.errors import InputError
from himoe.report.figures.values import calibration_curve, combination_scores, loss_curves


def test_calibration_of_classes_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, 173)
    y = (rng.random(173) < p**2).astype(float)
    curve = calibration_curve(pd.DataFrame({"y_true": y, "y_pred": p}), bins=7)
    true, predicted = reference_curve(y, p, n_bins=7, strategy="quantile")
    np.testing.assert_allclose(curve["true"], true, rtol=1e-12)
    np.testing.assert_allclose(curve["predicted"], predicted, rtol=1e-12)
    assert curve["n"].sum() == 173
    assert curve["n"].between(23, 26).all()


def test_calibration_of_ratings_is_the_mean_of_sorted_slices() -> None:
    rng = np.random.default_rng(1)
    predicted = rng.permutation(np.arange(60.0)) / 7
    true = rng.normal(5, 2, 60)
    curve = calibration_curve(pd.DataFrame({"y_true": true, "y_pred": predicted}), bins=5)
    order = np.argsort(predicted)
    for k in range(5):
        part = order[12 * k:12 * (k + 1)]
        assert curve["true"][k] == pytest.approx(true[part].mean())
        assert curve["predicted"][k] == pytest.approx(predicted[part].mean())


def test_calibration_of_few_values_keeps_equals_together() -> None:
    frame = pd.DataFrame({"y_true": [1.0, 3.0, 5.0, 9.0, np.nan], "y_pred": [4.0, 4.0, 4.0, 6.0, 2.0]})
    curve = calibration_curve(frame)
    assert curve["predicted"].tolist() == [4.0, 6.0]
    assert curve["true"].tolist() == [3.0, 9.0]
    assert curve["n"].tolist() == [3, 1]
    assert len(calibration_curve(frame[frame["y_pred"] == 4.0])) == 1
    assert calibration_curve(frame.iloc[4:]).empty


def test_calibration_refuses_a_diverged_run() -> None:
    with pytest.raises(InputError, match=r"y_pred.*diverged"):
        calibration_curve(pd.DataFrame({"y_true": [1.0, 2.0], "y_pred": [1.0, np.inf]}))


def make_history() -> pd.DataFrame:
    """Three fits that stop after 4, 2 and 3 epochs."""
    rng = np.random.default_rng(2)
    return pd.DataFrame([{"epoch": epoch, "train_loss": rng.random(), "validation_loss": rng.random(), "best": False,
                          "fold": fold, "seed": 0} for fold, n in enumerate((4, 2, 3)) for epoch in range(n)])


def test_loss_curves_are_mean_and_range_of_the_fits_still_running() -> None:
    history = make_history()
    curves = loss_curves(history)
    assert curves["models"].tolist() == [3, 3, 2, 1]
    for epoch in range(4):
        for kind in ("train", "validation"):
            values = [row[f"{kind}_loss"] for _, row in history.iterrows() if row["epoch"] == epoch]
            found = curves.loc[epoch, [f"{kind}_mean", f"{kind}_low", f"{kind}_high"]].tolist()
            assert found == pytest.approx([sum(values) / len(values), min(values), max(values)])


def test_loss_curves_of_matched_rates_are_those_of_rate_zero() -> None:
    history = make_history()
    both = pd.concat([history.assign(rate=0.2, train_loss=9.0), history.assign(rate=0.0)], ignore_index=True)
    pd.testing.assert_frame_equal(loss_curves(both), loss_curves(history))


def test_combination_scores_average_folds_and_seeds() -> None:
    rows = [("10", seed, fold, dimension, metric, 10 * seed + fold + (0.5 if dimension == "valence" else 0))
            for seed in range(2) for fold in range(3) for dimension in ("valence", "mean") for metric in ("ccc", "mae")]
    rows.append(("01", 0, 0, "mean", "ccc", 0.25))
    frame = pd.DataFrame(rows, columns=["combination", "seed", "fold", "dimension", "metric", "value"])
    scores = combination_scores(frame).set_index("combination")
    values = [0, 1, 2, 10, 11, 12]
    assert scores.loc["10", "mean"] == pytest.approx(6)
    assert scores.loc["10", "sd"] == pytest.approx(np.std(values, ddof=1))
    assert scores.loc["01", "mean"] == 0.25
    assert np.isnan(scores.loc["01", "sd"])
