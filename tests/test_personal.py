"""What adapting gains: who is tested on what, what the model may see, and what the page says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from toysets import make_store, make_windows

import himoe
from himoe.report.tables.personal import readme
from himoe.scoring.frames import score
from himoe.scoring.personal import personal_rows
from pipeline.personal import SPLITS, adapted, dealt

ABOUT = {"label": "DEAP (simulated)", "seed": 5, "looked_at": (1, 2), "people": 3, "trials": 4, "groups": 2,
         "splits": 3, "normalise": "person"}


@pytest.fixture(scope="module")
def person() -> himoe.Windows:
    """One person, seven trials of three windows."""
    return make_windows(1, 7, 3)


def test_every_trial_is_tested_once_and_never_among_those_it_is_tested_by(person: himoe.Windows) -> None:
    parts = dealt(person, (3, 0))
    assert len(parts) == SPLITS
    assert sorted(np.concatenate([tested for tested, _ in parts])) == [f"v{t:02d}" for t in range(7)]
    for tested, others in parts:
        assert not set(tested) & set(others)
        assert len(tested) + len(others) == 7


@pytest.mark.parametrize("k", [0, 1, 4])
def test_the_model_sees_the_first_k_ratings_and_no_tested_window(person: himoe.Windows, k: int) -> None:
    seen: list[himoe.Windows] = []

    class Model:
        description = SimpleNamespace(training={"adapted": {"s00": {"chosen": "line"}}})

        def adapt(self, windows: himoe.Windows) -> Model:
            seen.append(windows)
            return self

        def predict(self, windows: himoe.Windows) -> pd.DataFrame:
            return windows.index[["trial"]]

    tested, others = dealt(person, (3, 0))[1]
    frame = adapted(Model(), person, tested, others, k)  # type: ignore[arg-type]
    assert set(frame["trial"]) == set(tested)
    (given,) = seen
    assert set(given.index["trial"]) == set(others)
    rated = given.index[given.index[list(given.dimensions)].notna().any(axis=1)]
    assert set(rated["trial"]) == set(others[:k])


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """3 people x 4 trials x 5 windows; with k the errors of one method shrink, those of the other grow."""
    index = make_store(3, 4, 5).index
    rng, parts = np.random.default_rng(0), []
    noise = rng.standard_normal(len(index))
    for method, sizes in (("himoe", {0: 2.0, 1: 2.0, 4: 0.5}), ("features_gbdt", {0: 0.5, 1: 0.5, 4: 3.0})):
        for k, size in sizes.items():
            for name in ("valence", "arousal"):
                parts.append(index.assign(method=method, normalise="person", k=k, dimension=name, rating=index[name],
                                          predicted=index[name] + size * noise,
                                          chosen=np.where(index["subject"] == "s00", "line", "as_fitted")))
    parts += [part.assign(normalise="training") for part in parts if part["k"].iloc[0] == 0]
    return pd.concat(parts, ignore_index=True)


def test_gains_are_differences_of_what_score_says(predictions: pd.DataFrame) -> None:
    rows = personal_rows(predictions, draws=200)
    assert len(rows) == 2 * 4
    for _, row in rows.iterrows():
        part = predictions[(predictions["method"] == row["method"]) & (predictions["k"] == row["k"])
                           & (predictions["normalise"] == row["normalise"])]
        said = score(part, draws=200)
        expected = said[(said["dimension"] == "mean") & (said["metric"] == "ccc")].iloc[0]
        assert [row["ccc"], row["low"], row["high"]] == pytest.approx([expected["value"], expected["low"],
                                                                       expected["high"]])
    usual = rows[rows["normalise"] == "person"].set_index(["method", "k"])
    assert usual.loc[("himoe", 4), "gain"] == pytest.approx(usual.loc[("himoe", 4), "ccc"]
                                                            - usual.loc[("himoe", 0), "ccc"])
    assert (usual.loc[[("himoe", 1), ("himoe", 0)], ["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    assert usual.loc[("himoe", 4), "line"] == pytest.approx(1 / 3)


def test_the_page_says_whether_labels_help_and_simulated_everywhere(predictions: pd.DataFrame) -> None:
    page = readme(personal_rows(predictions, draws=200), ABOUT)
    bullets = [line for line in page.splitlines() if line.startswith("- ")]
    assert "is above 0 at k = 4." in bullets[0]
    assert "not shown to help; it is below 0 at k = 4." in bullets[1]
    assert "seeds 1, 2;" in page
    titles = [line for line in page.splitlines() if line.startswith("### ")]
    assert len(titles) == 5
    assert all("simulated" in line for line in titles + bullets)
