"""Contact that comes and goes: stretches, quality, what they do to raw signals, and the truth about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from himoe.core.files import read_json
from himoe.simulate import conditions, physiology
from himoe.simulate.conditions import KINDS, STEADY, Conditions, Disturbance, channel_quality, draw_disturbances
from himoe.simulate.effects import make_person
from himoe.simulate.generate import SimulationParams, simulate_dreamer
from himoe.simulate.montage import GENEVA, POSITIONS

DURATION_S = 90.0
PERSON = make_person(8, "deap", 24, "physiological")
CALM = np.zeros((4, round(DURATION_S * 4) + 1))


def event(modality: str, kind: str, start_s: float, stop_s: float, severity: float = 0.8, shape: str = "even",
          place: str = "") -> Disturbance:
    return Disturbance(modality, kind, start_s, stop_s, severity, shape, place)


def signals(*events: Disturbance) -> dict[str, np.ndarray]:
    return physiology.deap_signals(PERSON, CALM, DURATION_S, 128.0, 8, 1.0, ocular=False,
                                   conditions=Conditions(events=events))


@pytest.fixture(scope="module")
def steady() -> dict[str, np.ndarray]:
    return physiology.deap_signals(PERSON, CALM, DURATION_S, 128.0, 8, 1.0, ocular=False, conditions=STEADY)


@pytest.mark.parametrize(("shape", "at", "expected"), [
    ("even", [9.9, 10.0, 10.25, 13.0, 17.75, 18.0], [0, 0, 0.4, 0.8, 0.4, 0]),
    ("rising", [9.9, 12.0, 14.0, 17.0, 17.75, 18.1], [0, 0.2, 0.4, 0.7, 0.3875, 0]),
    ("full", [9.9, 10.0, 17.9, 18.0], [0, 0.8, 0.8, 0]),
])
def test_strength_over_time(shape: str, at: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(event("PPG", "motion", 10.0, 18.0, 0.8, shape).strength(np.array(at)), expected)


def test_qualities_multiply_and_noise_is_what_they_say() -> None:
    events = (event("PPG", "motion", 5.0, 25.0, 0.5), event("PPG", "motion", 15.0, 35.0, 0.6),
              event("EDA", "pressure", 0.0, 40.0, 0.9))
    left = conditions.quality(events, "PPG", np.array([1.0, 10.0, 20.0, 30.0]), GENEVA)
    np.testing.assert_allclose(left, [1.0, 0.5, 0.2, 0.4])
    factor = conditions.noise_factor(left)
    np.testing.assert_allclose(1 / np.sqrt(1 + factor**2), left)  # the signal's share of the reading's size
    railed = conditions.quality((event("EDA", "saturation", 0.0, 9.0, 1.0, "full"),), "EDA", np.array([3.0]), GENEVA)
    assert railed[0] == conditions.WORST


def test_a_loosening_cap_is_worst_near_its_centre_and_a_pop_is_one_electrode() -> None:
    time_s = np.array([15.0])
    loose = channel_quality((event("EEG", "loosening", 5.0, 25.0, 0.8, "rising", "F3"),), GENEVA, time_s)[:, 0]
    distance = [np.hypot(*np.subtract(POSITIONS[name], POSITIONS["F3"])) for name in GENEVA]
    order = np.argsort(distance)
    assert (np.diff(loose[order]) >= 0).all()
    assert loose[GENEVA.index("F3")] == pytest.approx(0.6)  # half way up to 0.8
    assert loose[GENEVA.index("PO4")] > 0.99
    popped = channel_quality((event("EEG", "pops", 5.0, 25.0, 0.7, "even", "Cz"),), GENEVA, time_s)[:, 0]
    assert {name for name, left in zip(GENEVA, popped) if left < 1} == {"Cz"}


@pytest.mark.parametrize(("modality", "kind", "key", "rows"), [
    ("EOG", "loosening", "EXG", slice(0, 4)), ("EMG", "contraction", "EXG", slice(4, 8)),
    ("EDA", "pressure", "EDA", slice(0, 1)), ("EDA", "saturation", "EDA", slice(0, 1)),
    ("RSP", "speech", "RSP", slice(0, 1)), ("PPG", "motion", "PPG", slice(0, 1)),
    ("TEMP", "detachment", "TEMP", slice(0, 1)), ("EEG", "motion", "EEG", slice(0, 32)),
])
def test_a_disturbance_changes_its_sensor_there_and_nothing_else(
    steady: dict[str, np.ndarray], modality: str, kind: str, key: str, rows: slice
) -> None:
    shape, severity = ("full", 1.0) if kind == "saturation" else ("even", 0.8)
    made = signals(event(modality, kind, 30.0, 42.0, severity, shape))
    inside = slice(31 * 128, 41 * 128)
    for name, before in steady.items():
        changed = np.atleast_2d(made[name]) != np.atleast_2d(before)
        if name != key:
            assert not changed.any()
            continue
        outside = np.ones(changed.shape[1], dtype=bool)
        outside[round(29.7 * 128):round(42.3 * 128)] = False
        assert not changed[:, outside].any()
        others = np.ones(len(changed), dtype=bool)
        others[rows] = False
        assert not changed[others].any()
        assert changed[rows, inside].mean() > 0.95
        assert np.isfinite(made[name]).all()


def test_how_large_disturbances_are(steady: dict[str, np.ndarray]) -> None:
    part = slice(31 * 128, 59 * 128)
    made = signals(event("PPG", "motion", 30.0, 60.0), event("EEG", "motion", 30.0, 60.0, 0.6),
                   event("TEMP", "detachment", 30.0, 60.0), event("EDA", "saturation", 30.0, 60.0, 1.0, "full"))
    added = made["PPG"][part] - steady["PPG"][part]
    assert added.std() == pytest.approx(650 * np.sqrt(1 / 0.2**2 - 1), rel=0.4)
    size = (made["EEG"] - steady["EEG"])[:, part].std(axis=1) / PERSON.levels["eeg_background_uv"]
    np.testing.assert_allclose(size, 1.6 * np.sqrt(1 / 0.4**2 - 1), rtol=0.35)
    np.testing.assert_allclose(steady["TEMP"][part] - made["TEMP"][part], 0.8 * 2.5, atol=1e-3)
    assert made["EDA"][part].min() > steady["EDA"].max()
    assert made["EDA"][part].std() < 0.001
    assert np.unique(made["EDA"][part]).size > 1000  # not a gap: a reader marks constant stretches


def test_disturbances_come_as_often_as_stated_and_fewer_sensors_change_nobody() -> None:
    everybody = [make_person(1, "deap", number, "physiological") for number in range(1, 33)]
    found = [one for person in everybody for one in draw_disturbances(person, tuple(KINDS), GENEVA, 2000.0, 1)]
    for modality, name in (("EEG", "loosening"), ("EEG", "pops"), ("EDA", "saturation")):  # never a movement's
        kind = next(kind for kind in KINDS[modality] if kind.name == name)
        own = [one.stop_s - one.start_s for one in found if (one.modality, one.kind) == (modality, name)]
        every_s = 60 / kind.per_min + np.mean(kind.length_s)  # the next one begins after the last one ends
        assert len(own) == pytest.approx(32 * 2000 / every_s, rel=0.1)
        assert kind.length_s[0] - 0.02 <= min(own) < max(own) <= kind.length_s[1] + 0.02
    moved = {one.start_s for one in found if one.modality == "TEMP"} & {
        one.start_s for one in found if one.modality == "PPG"}
    assert len(moved) == pytest.approx(32 * 2000 / 60 * 0.8 * 0.25, rel=0.15)
    person = make_person(1, "deap", 3, "physiological")
    some, every = (draw_disturbances(person, names, GENEVA, 600.0, 1) for names in (("EDA", "PPG"), tuple(KINDS)))
    assert some == tuple(one for one in every if one.modality in ("EDA", "PPG"))


def test_the_truth_tells_quality_and_lags(tmp_path: Path) -> None:
    simulate_dreamer(tmp_path / "x", SimulationParams(2, 3, 21))
    truth, table = read_json(tmp_path / "x/truth.json"), pd.read_parquet(tmp_path / "x/truth_quality.parquet")
    assert list(table) == ["participant", "video", "time_s", "EEG", "ECG"]
    assert len(table) == 2 * 3 * 241
    assert table[["EEG", "ECG"]].to_numpy().min() >= 0
    assert table[["EEG", "ECG"]].to_numpy().max() == 1
    assert (table["ECG"] < 0.5).mean() > 0.02
    for person in truth["people"]:
        assert person["response_system"] in person["system_gain"]
        assert [lags["video"] for lags in person["trial_lags_s"]] == [1, 2, 3]
        assert {one["modality"] for one in person["disturbances"]} == {"EEG", "ECG"}
        heart = [one for one in person["disturbances"] if one["modality"] == "ECG"]
        assert all(one["severity"] <= 0.9 and one["start_s"] < one["stop_s"] for one in heart)
