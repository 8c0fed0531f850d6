"""Conditions as windows, groups of trials, live predictions, and what being out of step costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from himoe.core.errors import InputError
from himoe.core.recordings import Annotations, Recording, Signal
from himoe.prepare.asynchrony import Asynchrony, SensorTiming
from himoe.prepare.windowset import Windows
from himoe.scoring.asynchrony import BY, ON_TIME, condition_rows, not_converged
from himoe.scoring.metrics import ccc_within
from himoe.training.asynchrony import (
    Conditions,
    Fit,
    Material,
    MethodParams,
    deal,
    fit_and_test,
    live_predictions,
    masked,
    person_rows,
    read_study,
    rows_of,
)
from himoe.training.estimators import FeaturesRidge, HiMoE

FORM = {"dimensions": ("valence",), "scale": (1.0, 9.0), "thresholds": (5.0,), "name": "mine"}
STUDY = {"simulate": {"seed": 1, "people": 2, "trials": 4, "snr": 1.0}, "looked_at": [777], "groups": 2,
         "max_lag_s": 4.0, "methods": {"himoe": {"method": "himoe"}}, "trained": {ON_TIME: {}},
         "tested": {"Late": {"PPS": {"lag_s": 2}}}, "scanned_s": [0.0], "missing": [0.0], "late": ["Late"],
         "shown": ON_TIME}


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    """2 people x 4 trials of 24 s: EDA and TEMP at 8 and 4 Hz, ratings by trial."""
    rng = np.random.default_rng(2)
    made = []
    for person in ("a", "b"):
        for trial in range(4):
            signals = {"EDA": Signal(rng.normal(size=(1, 192)).astype(np.float32), 8.0, ("EDA",), "uS", 0.0),
                       "TEMP": Signal(rng.normal(size=(1, 96)).astype(np.float32), 4.0, ("TEMP",), "degC", 0.0)}
            made.append(Recording(person, str(trial), str(trial), 24.0, signals, {"valence": float(rng.uniform(1, 9))}))
    return Conditions(made, FORM, 3)


def test_a_condition_is_what_cutting_with_it_gives(conditions: Conditions) -> None:
    sensors = {"EDA": SensorTiming(lag_s=3.0, jitter_sd_s=1.0)}
    made = conditions.windows(sensors)
    direct = Windows.from_recordings(conditions.recordings, 4.0, 2.0, **FORM, asynchrony=Asynchrony(sensors, 3))
    for m in ("EDA", "TEMP"):
        np.testing.assert_array_equal(made.features(m), direct.features(m))
        for name in (f"completeness_{m}", f"stamp_s_{m}"):
            np.testing.assert_array_equal(made.index[name], direct.index[name])
    plain = conditions.windows({})
    assert not np.array_equal(plain.features("EDA"), made.features("EDA"))
    np.testing.assert_array_equal(plain.features("TEMP"), made.features("TEMP"))


def test_groups_hold_whole_trials_of_everybody(conditions: Conditions) -> None:
    index = conditions.base.index
    group = deal(index, 2, 9)
    counts = index.assign(group=group).groupby(["subject", "group"])["trial"].nunique()
    assert counts.tolist() == [2, 2, 2, 2]
    assert (index.assign(group=group).groupby(["subject", "trial"])["group"].nunique().eq(1)).all()
    order = np.random.default_rng(0).permutation(len(index))
    np.testing.assert_array_equal(deal(index.iloc[order].reset_index(drop=True), 2, 9), group[order])


def test_live_predictions_see_nothing_of_the_future(conditions: Conditions) -> None:
    windows = conditions.windows({})
    model = HiMoE(epochs=1, random_state=1).fit(windows).model_
    live = live_predictions(model, windows)
    assert len(live) == len(windows)
    one = np.flatnonzero((windows.groups == "b") & (windows.index["trial"] == "2"))
    for k in (0, 4, len(one) - 1):
        prefix = model.predict(rows_of(windows, one[:k + 1])).iloc[-1]
        found = live[(live["subject"] == "b") & (live["trial"] == "2") & (live["window"] == k)]
        assert found["predicted"].item() == pytest.approx(prefix["predicted"], abs=1e-5)
    whole = model.predict(windows).set_index(["subject", "trial", "window"])["predicted"]
    now = live.set_index(["subject", "trial", "window"])["predicted"]
    last = int(windows.index["window"].max())
    assert now.xs(last, level="window").to_numpy() == pytest.approx(whole.xs(last, level="window").to_numpy(), abs=1e-5)
    assert not np.allclose(now.to_numpy(), whole.loc[now.index].to_numpy(), atol=1e-5)  # the future does say something


def test_masks_drop_their_share_and_leave_a_sensor(conditions: Conditions) -> None:
    windows = conditions.windows({})
    half = masked(windows, 0.5)
    there = np.stack([half.index[f"completeness_{m}"] > 0 for m in half.modalities], axis=1)
    assert there.any(1).all()
    assert 0.5 < there.mean() < 0.9  # half of them drawn, and one of each pair stays
    assert masked(windows, 0.0).index.equals(windows.index)


def test_every_method_is_asked_for_the_same(conditions: Conditions) -> None:
    windows = {ON_TIME: conditions.windows({}), "Late": conditions.windows({"EDA": SensorTiming(lag_s=2.0)})}
    shared = Material(windows, deal(conditions.base.index, 2, 0), {"ridge": MethodParams("features_ridge")},
                      ["Late"], (0.0, 0.4), (ON_TIME,))
    found, learned, ended = fit_and_test(shared, Fit("ridge", ON_TIME, 1))
    assert set(map(tuple, found[["tested", "missing", "live"]].drop_duplicates().to_numpy().tolist())) == {
        (ON_TIME, 0.0, False), (ON_TIME, 0.0, True), ("Late", 0.0, False), (ON_TIME, 0.4, False)}
    assert learned.empty
    assert ended.empty  # nothing that could still improve
    left = rows_of(windows["Late"], np.flatnonzero(shared.group == 1))
    seen = rows_of(windows[ON_TIME], np.flatnonzero(shared.group != 1))
    expected = FeaturesRidge().fit(seen).predict(left)
    np.testing.assert_allclose(found[found["tested"] == "Late"]["predicted"], expected["predicted"])
    late = fit_and_test(shared, Fit("ridge", "Late", 1))[0]
    assert set(late["tested"]) == {"Late"}


def test_lags_drawn_in_training_change_a_network_and_its_ending_is_told(conditions: Conditions) -> None:
    plain = conditions.windows({})
    methods = {"himoe": MethodParams("himoe"), "drawn": MethodParams("himoe", asynchrony={"lag_s": 3.0})}
    shared = Material({ON_TIME: plain}, deal(conditions.base.index, 2, 0), methods, [], (0.0,), ())
    made = {name: fit_and_test(shared, Fit(name, ON_TIME, 0)) for name in methods}
    same = made["himoe"].predictions["predicted"].to_numpy(), made["drawn"].predictions["predicted"].to_numpy()
    assert not np.allclose(*same, atol=1e-4)
    row = made["drawn"].ending.iloc[0]
    assert (row["method"], row["trained"], row["group"]) == ("drawn", ON_TIME, 0)
    assert 1 <= row["best"] <= row["epochs"] <= 12


def test_lags_by_person_are_of_those_people() -> None:
    """Skin conductance follows the rating 1 s late in a and 4 s in b; who is never met gets the other's lag."""
    rng, made = np.random.default_rng(6), []
    time_s = np.arange(0, 60, 1 / 8)
    for person, late_s in (("a", 1.0), ("b", 4.0)):
        for trial in range(5):
            waves = [(rng.uniform(0.02, 0.08), rng.uniform(0, 6)) for _ in range(3)]
            course = [sum(np.sin(2 * np.pi * hz * t + phase) for hz, phase in waves) for t in (time_s, time_s - late_s)]
            signal = (5 + course[1] + 0.1 * rng.normal(size=len(time_s))).astype(np.float32)
            eda = Signal(signal[None], 8.0, ("EDA",), "uS")
            made.append(Recording(person, str(trial), str(trial), 60.0, {"EDA": eda}, {},
                                  annotations=Annotations(time_s, {"valence": 5 + course[0]})))
    rows = person_rows(Conditions(made, FORM, 3), 8.0).set_index("person")
    assert rows["own_s"].tolist() == pytest.approx([1.0, 4.0], abs=0.7)
    assert rows["others_s"].tolist() == rows["own_s"].tolist()[::-1]
    assert (rows["everybody_s"] == rows["everybody_s"].iloc[0]).all()
    assert rows["own_s"].min() < rows["everybody_s"].iloc[0] < rows["own_s"].max()


def test_who_had_not_converged_is_named() -> None:
    rows = [("a", "x", 0.0), ("a", "x", 0.05), ("a", "y", 0.0), ("a", "y", 0.03), ("b", "x", 0.019)]
    endings = pd.DataFrame(rows, columns=["method", "trained", "gain"])
    assert not_converged(endings) == [("a", "x", 1, 2)]


def test_changes_are_to_the_same_windows_on_time() -> None:
    rng = np.random.default_rng(4)
    ids = pd.MultiIndex.from_product([["p", "q"], ["1", "2", "3"], range(7), ["valence"]],
                                     names=["subject", "trial", "window", "dimension"]).to_frame(index=False)
    ids["rating"] = rng.normal(size=len(ids))
    usual = ids.assign(predicted=ids["rating"] + rng.normal(size=len(ids)), trained=ON_TIME, tested=ON_TIME)
    late = ids.assign(predicted=rng.normal(size=len(ids)), trained=ON_TIME, tested="Late").drop(index=[0, 8])
    both = pd.concat([usual, late.sample(frac=1, random_state=0)]).assign(method="m", missing=0.0, live=False)
    rows = condition_rows(both, ON_TIME, draws=50).set_index("tested")
    assert list(condition_rows(both, ON_TIME, draws=50)[BY].columns) == BY
    trial = (late["subject"] + late["trial"]).to_numpy()
    value = ccc_within(late["rating"].to_numpy(), late["predicted"].to_numpy(), pd.factorize(trial)[0])
    same = usual.loc[late.index]
    before = ccc_within(same["rating"].to_numpy(), same["predicted"].to_numpy(), pd.factorize(trial)[0])
    assert rows.loc["Late", "ccc_within"] == pytest.approx(value)
    assert rows.loc["Late", "ccc_within_change"] == pytest.approx(value - before)
    assert rows.loc["Late", "ccc_within_change_low"] < value - before < rows.loc["Late", "ccc_within_change_high"]
    assert rows.loc[ON_TIME, "ccc_within_change"] == 0
    assert rows["windows"].to_dict() == {ON_TIME: 42, "Late": 40}


def test_a_study_is_read_or_refused() -> None:
    study = read_study(STUDY, "p", ("EEG", "EDA", "TEMP"))
    assert study.tested == {"Late": {"EDA": SensorTiming(lag_s=2), "TEMP": SensorTiming(lag_s=2)}}
    assert (study.params.groups, study.trained, study.methods["himoe"].method) == (2, {ON_TIME: {}}, "himoe")
    for change, message in (
            ({"late": ["Later"]}, "late: found no condition 'Later'"), ({"trained": {}}, "no condition 'On time'"),
            ({"shown": "Late"}, "shown.*no condition 'Late'"), ({"missing": [0.4]}, "missing.*0 among them"),
            ({"groups": 1}, "groups"), ({"tested": {"Late": {"EDA": {"lag": 2}}}}, "unknown key 'lag'"),
            ({"methods": {"m": {"method": "himoe", "asynchrony": {"lag": 2}}}}, "m.asynchrony.*unknown key 'lag'"),
            ({"methods": {"m": {"method": "himoe", "model": {"signal_encoder": "cnn"}}}}, "m.model.*features alone")):
        with pytest.raises(InputError, match=message):
            read_study({**STUDY, **change}, "p", ("EEG", "EDA"))
