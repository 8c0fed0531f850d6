"""Attainable scores: their limits, more sensors, what lags and a filter cost, every data set, and how they travel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from himoe.core.files import write_json
from himoe.core.params import WindowParams
from himoe.prepare.facts import attainable_of
from himoe.scoring.metrics import ccc
from himoe.simulate import attainable as module
from himoe.simulate.attainable import WINDOWS, attainable, concordance
from himoe.simulate.decoding import window_means


def truth(dataset: str = "deap", snr: float = 1.5, subjects: int = 4, trials: int = 4, world: str = "physiological",
          video: Any = None) -> dict[str, Any]:
    params = {"seed": 17, "snr": snr, "subjects": subjects, "trials": trials, "world": world, "video": video}
    return {"dataset": dataset, "params": params}


@pytest.fixture(scope="module")
def usual() -> dict[str, dict[str, Any]]:
    return attainable(truth(video={"fps_hz": 2}))


def test_more_sensors_are_never_clearly_worse(usual: dict[str, dict[str, Any]]) -> None:
    assert set(usual) == {"EEG", "PPS", "EEG+PPS", "EEG+EOG+EMG+EDA", "EEG+FACE", "EEG+PPS+FACE"}
    for name, scores in usual.items():
        for other, more in usual.items():
            if set(scores["modalities"]) < set(more["modalities"]):
                for metric in ("ccc", "ccc_within"):
                    assert more[metric] > scores[metric] - 0.01, (name, other)
    assert 0.75 < usual["EEG+PPS"]["ccc"] < 0.95
    assert usual["EEG"]["modalities"] == ["EEG"]


def test_lags_cost_where_signals_are_late(usual: dict[str, dict[str, Any]]) -> None:
    lost = {name: scores["ccc_within"] - scores["uncompensated"]["ccc_within"] for name, scores in usual.items()}
    assert lost["PPS"] > 0.03
    assert lost["PPS"] > lost["EEG+PPS"] > lost["EEG"] - 0.01
    assert abs(lost["EEG"]) < 0.02  # 0.2 to 0.5 s, as late as the annotation


def test_without_emotion_in_the_body_nothing_can_be_told() -> None:
    for scores in attainable(truth(snr=0.0, subjects=2, trials=3)).values():
        assert abs(scores["ccc"]) < 1e-6
        assert abs(scores["ccc_within"]) < 1e-6


@pytest.mark.parametrize("world", ["additive", "physiological"])
def test_with_nothing_but_emotion_everything_can_be_told(world: str) -> None:
    """What is left is the slow noise of the annotations."""
    for scores in attainable(truth(snr=15.0, subjects=2, trials=3, world=world)).values():
        assert scores["ccc"] > 0.98
        assert scores["ccc_within"] > 0.95


def test_a_filter_that_cuts_gamma_off_costs() -> None:
    every, low = (attainable(truth(snr=1.0, subjects=2, trials=2), eeg_high_hz=edge)["EEG"]["ccc"]
                  for edge in (45.0, 30.0))
    assert low < every - 0.005


@pytest.mark.parametrize(("dataset", "dimensions", "members"), [
    ("dreamer", ["valence", "arousal", "dominance"], ["EEG", "ECG"]),
    ("amigos", ["valence", "arousal", "dominance", "liking"], ["EEG", "EDA", "ECG"]),
])
def test_other_sets(dataset: str, dimensions: list[str], members: list[str]) -> None:
    scores = attainable(truth(dataset, subjects=2, trials=4), jobs=2)
    assert [name for name in scores["EEG+PPS"] if name.startswith("ccc_") and "within" not in name] == [
        f"ccc_{dimension}" for dimension in dimensions]
    assert sorted(scores["EEG+PPS"]["modalities"]) == sorted(members)
    assert scores["EEG+PPS"]["ccc"] == pytest.approx(
        np.mean([scores["EEG+PPS"][f"ccc_{dimension}"] for dimension in dimensions]))
    assert scores["EEG"]["ccc"] > 0.4
    assert scores["EEG"]["accuracy"] > 0.65


def test_seeds_classes_can_be_told() -> None:
    scores = attainable(truth("seed", subjects=1, trials=4))
    assert set(scores["EEG"]) == {"modalities", "accuracy"}
    assert scores["EEG"]["accuracy"] > 0.9
    assert attainable(truth("seed", snr=0.0, subjects=1, trials=4))["EEG"]["accuracy"] < 0.7


def test_it_reads_a_folder_and_depends_on_nothing_but_parameters(tmp_path: Path) -> None:
    asked = truth("dreamer", subjects=1, trials=2)
    write_json(tmp_path / "truth.json", asked)
    assert attainable(tmp_path) == attainable(asked, WindowParams(4.0, 2.0, "auto", 0.5))
    longer = attainable(tmp_path, WindowParams(10.0, 5.0, "continuous", 0.5))
    assert longer["EEG"]["ccc_within"] != attainable(tmp_path)["EEG"]["ccc_within"]


def test_window_means_and_concordance() -> None:
    time_s, course = np.arange(0, 21, 0.25), np.stack([np.arange(0, 21, 0.25), np.ones(84)])
    np.testing.assert_allclose(window_means(time_s, course, np.array([0.0, 2.0, 16.0]), 4.0),
                               [[2, 1], [4, 1], [18, 1]])
    rng = np.random.default_rng(2)
    y, x = rng.normal(size=300), rng.normal(2, 3, size=300)
    assert concordance(y, y + 0.1 * x) == pytest.approx(ccc(y, y + 0.1 * x))
    assert concordance(np.ones(4), np.ones(4)) == 0.0


def test_what_is_known_of_a_run() -> None:
    sets = {"EEG+PPS": {"modalities": ["EEG", "ECG"], "ccc": 0.8}, "EEG": {"modalities": ["EEG"], "ccc": 0.6}}
    provenance = {"attainable": {"length_s": WINDOWS.length_s, "step_s": WINDOWS.step_s, "labels": "continuous",
                                 "sets": sets}}
    assert attainable_of(provenance, ["ECG", "EEG"], 4.0, 2.0, "continuous") == sets["EEG+PPS"]
    assert attainable_of(provenance, ["ECG"], 4.0, 2.0, "continuous") is None
    assert attainable_of(provenance, ["EEG"], 8.0, 2.0, "continuous") is None
    assert attainable_of(provenance, ["EEG"], 4.0, 2.0, "trial") is None
    for nothing in ({"attainable": None}, {}):
        assert attainable_of(nothing, ["EEG"], 4.0, 2.0, "continuous") is None
    assert set(module._SETS) == set(module._RECORDED)
