"""Models of classes, two and three: probabilities and classes, scores, saved and loaded, and by trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score
from toysets import make_store

import himoe
from himoe.prepare.windowset import Windows

LIMITS = {2: (5.0,), 3: (4.0, 6.5)}


def people(classes: int) -> tuple[Windows, Windows]:
    """Windows of three people to fit on, and of another one, whose ratings fall into so many classes."""
    store = make_store(4, 9, 5)
    windows = Windows(store.index, dict(store.arrays), replace(store.meta, thresholds=LIMITS[classes]))
    return windows.people("s00", "s01", "s02"), windows.people("s03")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["HiMoE", "FeaturesRidge", "FeaturesGBDT", "Mean"])
def test_a_model_of_classes_gives_probabilities_and_is_scored_as_such(method: str, classes: int,
                                                                      tmp_path: Path) -> None:
    train, test = people(classes)
    options = {"epochs": 2, "sequence_length": 4} if method == "HiMoE" else {}
    model = getattr(himoe, method)(task="classification", **options).fit(train)
    frame = model.predict(test)
    assert {"low", "high"}.isdisjoint(frame)
    shares = frame[[f"probability_{k}" for k in range(classes)]].to_numpy()
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-5)
    assert f"probability_{classes}" not in frame
    np.testing.assert_array_equal(frame["class"], shares.argmax(1))
    np.testing.assert_allclose(frame["predicted"], shares[:, 1] if classes == 2 else frame["class"], rtol=1e-5)
    assert len(frame) == 2 * len(test)
    limits = np.array(LIMITS[classes])
    np.testing.assert_array_equal(frame["rating"], (test.labels.reshape(-1, 1) > limits).sum(1))

    scores = himoe.score(frame, draws=20).set_index(["dimension", "metric"])["value"]
    for name, own in frame.groupby("dimension"):
        assert scores[name, "accuracy"] == pytest.approx(accuracy_score(own["rating"], own["class"]))
        if classes == 2:
            assert scores[name, "f1"] == pytest.approx(f1_score(own["rating"], own["class"], zero_division=0))
        else:
            both = f1_score(own["rating"], own["class"], average="macro", zero_division=0, labels=np.unique(
                own[["rating", "class"]]))
            assert scores[name, "f1_macro"] == pytest.approx(both)
    assert model.score(test) == pytest.approx(scores["mean", "accuracy"])
    if method.startswith("Features"):
        assert scores["arousal", "accuracy"] > 1.2 / classes  # the toys' effect is strong
    saved = himoe.load_model(model.save(tmp_path / "model"))
    pd.testing.assert_frame_equal(saved.predict(test), frame, check_exact=True)
    assert f"most probable of {classes} classes" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_a_trials_class_is_that_of_its_mean_probabilities() -> None:
    rows = [("a", 0, 0, 0.5, 0.1, 0.4), ("a", 1, 2, 0.1, 0.3, 0.6), ("a", 2, 2, 0.5, 0.1, 0.4),
            ("b", 0, 1, 0.2, 0.5, 0.3), ("b", 1, 1, 0.3, 0.4, 0.3)]
    frame = pd.DataFrame(rows, columns=["trial", "window", "rating", *(f"probability_{k}" for k in range(3))])
    shares = frame[[f"probability_{k}" for k in range(3)]].to_numpy()
    frame = frame.assign(subject="s", dimension="valence", predicted=shares.argmax(1))

    def accuracy(table: pd.DataFrame, **options: object) -> float:
        found = himoe.score(table, by="trial", draws=0, **options)  # type: ignore[arg-type]
        return float(found.set_index(["dimension", "metric"])["value"]["valence", "accuracy"])

    assert accuracy(frame) == 1.0  # trial a: most windows are called 0, but 2 has the highest mean
    bare = frame.drop(columns=[f"probability_{k}" for k in range(3)])
    assert accuracy(bare, task="classification", classes=3) == 0.5


def test_classes_without_a_threshold_are_refused() -> None:
    train, _ = people(2)
    bare = Windows(train.index, train.arrays, replace(train.meta, thresholds=()))
    with pytest.raises(himoe.InputError, match="windows: thresholds: found none, expected at least one rating"):
        himoe.FeaturesRidge(task="classification").fit(bare)
