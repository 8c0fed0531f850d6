"""Sensors out of step: what their windows hold, what their clocks say, what is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from himoe.core.errors import InputError
from himoe.core.params import WindowParams
from himoe.core.recordings import Annotations, Recording, Signal
from himoe.prepare.asynchrony import Asynchrony, SensorTiming, stretches, trial_timing
from himoe.prepare.windows import ShardMeta, read_shard, window_table, write_shard

LENGTH_S, STEP_S, DURATION_S = 4.0, 2.0, 61.0
PARAMS = WindowParams(LENGTH_S, STEP_S, "trial", 0.5)
RATES_HZ = {"EEG": 64.0, "EDA": 8.0, "TEMP": 4.0}
META = ShardMeta("mine", {"source": "simulated"}, {
    m: {"channels": list("abc"[:k + 1]), "samples": int(LENGTH_S * rate), "sfreq_hz": rate, "unit": "V"}
    for k, (m, rate) in enumerate(RATES_HZ.items())}, ("valence",), (1, 9), (5,), LENGTH_S, STEP_S, "trial")
STARTS_S = np.arange(0, DURATION_S - LENGTH_S + 1e-9, STEP_S)


def recordings(people: tuple[str, ...] = ("p1", "p2"), trials: tuple[str, ...] = ("1", "2", "3")) -> list[Recording]:
    """Every sample's value is its own time in seconds: a window tells what time it holds. p2 has no EDA in trial 2."""
    made = []
    for person in people:
        for trial in trials:
            signals = {}
            for k, (m, rate) in enumerate(RATES_HZ.items()):
                if (person, trial, m) == ("p2", "2", "EDA"):
                    continue
                clock = (np.arange(int(DURATION_S * rate)) / rate).astype(np.float32)
                signals[m] = Signal(np.tile(clock, (k + 1, 1)), rate, tuple("abc"[:k + 1]), "V", 0.0)
            made.append(Recording(person, trial, trial, DURATION_S, signals, {"valence": 5.0}))
    return made


def held_s(sensors: dict[str, SensorTiming], modality: str, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """The index, and (n,) the time that each window's first sample holds (NaN = nothing)."""
    index, arrays = window_table(recordings(), META, PARAMS, Asynchrony(sensors, seed))
    return index, arrays[modality][:, -1, 0]


def test_on_time_is_the_same_to_the_bit() -> None:
    index, arrays = window_table(recordings(), META, PARAMS)
    late, late_arrays = window_table(recordings(), META, PARAMS, Asynchrony({"EEG": SensorTiming()}))
    pd.testing.assert_frame_equal(late[index.columns], index)
    for m in RATES_HZ:
        assert late_arrays[m].tobytes() == arrays[m].tobytes()
        np.testing.assert_array_equal(late[f"stamp_s_{m}"], index["start_s"])


@pytest.mark.parametrize(("timing", "expected_s"), [
    (SensorTiming(lag_s=4.5), lambda t: t - 4.5),
    (SensorTiming(lag_s=-3.25), lambda t: t + 3.25),
    (SensorTiming(drift_ppm=20_000, lag_s=1.0), lambda t: t - 1 - 0.02 * t),
    (SensorTiming(arrives_s=3.0), lambda t: t - 3),
    (SensorTiming(every_s=1.5, phase_s=0.5), lambda t: 0.5 + 1.5 * np.floor((t - 0.5) / 1.5)),
    (SensorTiming(every_s=5.0, arrives_s=1.0, lag_s=0.5), lambda t: 5 * np.floor((t - 1) / 5) - 0.5),
    (SensorTiming(starts_s=21.0), lambda t: np.where(t < 21, np.nan, t)),
])
def test_a_window_holds_the_time_that_it_should(timing: SensorTiming, expected_s) -> None:
    index, found = held_s({"EDA": timing}, "EDA")
    t = index["start_s"].to_numpy()
    expected = expected_s(t)
    gone = ((index["subject"] == "p2") & (index["trial"] == "2")).to_numpy()
    inside = ~gone & (expected >= 0) & (expected < DURATION_S)
    assert inside.sum() > 80
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.5 / RATES_HZ["EDA"] + 1e-6)
    assert np.isnan(found[gone | ~np.isfinite(expected) | (expected < -0.1)]).all()
    own = expected if timing.lag_s == 0 and timing.drift_ppm == 0 else expected + timing.lag_s
    if timing.drift_ppm == 0 and timing.starts_s == 0:  # what the clock says is true but for the hidden lag
        np.testing.assert_allclose(index["stamp_s_EDA"][inside], own[inside], atol=1e-9)
    else:
        np.testing.assert_array_equal(index["stamp_s_EDA"], t)
    for m in ("EEG", "TEMP"):
        np.testing.assert_array_equal(index[f"stamp_s_{m}"], t)


def test_all_sensors_and_ratings_late_together_change_nothing() -> None:
    """What lies 4 s later on the grid is what lay there on time: windows, completeness and labels, to the bit."""
    time_s = np.arange(0.1, DURATION_S, 0.3)
    course = np.sin(time_s / 7) + 5
    meta = replace(META, label_source="continuous")
    usual, shifted = ([replace(one, annotations=Annotations(time_s + late_s, {"valence": course}))
                       for one in recordings()] for late_s in (0.0, 4.0))
    late = Asynchrony(dict.fromkeys(RATES_HZ, SensorTiming(lag_s=4.0)), 3)
    before, plain = window_table(usual, meta, PARAMS)
    after, moved = window_table(shifted, meta, PARAMS, late)
    early = before["start_s"].to_numpy() <= STARTS_S[-1] - 4
    later = after["start_s"].to_numpy() >= 4
    for m in RATES_HZ:
        assert moved[m][later].tobytes() == plain[m][early].tobytes()
        np.testing.assert_array_equal(after[f"completeness_{m}"][later], before[f"completeness_{m}"][early])
    np.testing.assert_allclose(after["valence"][later], before["valence"][early], rtol=1e-12)
    assert before["valence"].std() > 0.1


def test_a_window_that_runs_over_the_end_is_as_complete_as_it_is() -> None:
    index, _ = held_s({"EDA": SensorTiming(lag_s=-3.0)}, "EDA")
    last = index[(index["subject"] == "p1") & (index["trial"] == "1")].iloc[-1]
    assert last["completeness_EDA"] == pytest.approx((DURATION_S - (last["start_s"] + 3)) / LENGTH_S)


def test_draws_hang_on_seed_person_trial_and_sensor_alone() -> None:
    timing = SensorTiming(person_sd_s=1.0, jitter_sd_s=0.5, lost=0.3, burst_s=6.0)

    def drawn(modality: str, person: str, trial: str, seed: int = 0, by: SensorTiming = timing) -> np.ndarray:
        one = trial_timing(by, modality, person, trial, STARTS_S, STEP_S, seed)
        return np.concatenate([one.shift_s, one.lost])

    assert len({drawn(*key).tobytes() for key in
                [("EEG", "a", "1"), ("EDA", "a", "1"), ("EEG", "b", "1"), ("EEG", "a", "2"), ("EEG", "a", "1", 1),
                 ("EEG", "a|1", "")]}) == 6
    index, found = held_s({"EEG": timing}, "EEG")
    alone, arrays = window_table(recordings(("p2",), ("3", "1")), META, PARAMS, Asynchrony({"EEG": timing}))
    for trial in ("1", "3"):
        np.testing.assert_array_equal(found[(index["subject"] == "p2") & (index["trial"] == trial)],
                                      arrays["EEG"][alone["trial"] == trial, -1, 0])
    half = SensorTiming(person_sd_s=0.5, jitter_sd_s=0.25)  # a smaller SD: the same draws, shrunk
    np.testing.assert_allclose(drawn("EEG", "a", "1", by=half)[:len(STARTS_S)] * 2,
                               drawn("EEG", "a", "1")[:len(STARTS_S)])


@pytest.mark.parametrize(("share", "mean_steps"), [(0.3, 1.0), (0.2, 5.0), (0.4, 2.5)])
def test_stretches_have_their_share_and_their_mean_length(share: float, mean_steps: float) -> None:
    gone = stretches(200_000, share, mean_steps, np.random.default_rng(3))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gone.astype(int), [0]])))
    lengths = edges[1::2] - edges[::2]
    assert gone.mean() == pytest.approx(share, rel=0.03)
    assert lengths.mean() == pytest.approx(mean_steps, rel=0.03)
    # geometric: of the stretches that last k steps, a share 1 - 1/mean goes on
    assert (lengths > 1).mean() == pytest.approx(1 - 1 / mean_steps, abs=0.02)


def test_a_lag_of_a_sensor_that_is_not_there_changes_nothing(tmp_path) -> None:
    index, arrays = window_table(recordings(), META, PARAMS, Asynchrony({"ECG": SensorTiming(lag_s=3)}))
    plain, plain_arrays = window_table(recordings(), META, PARAMS)
    pd.testing.assert_frame_equal(index[plain.columns], plain)
    assert all(arrays[m].tobytes() == plain_arrays[m].tobytes() for m in RATES_HZ)
    write_shard(tmp_path / "p.parquet", index, arrays, META)  # the stamps are kept beside the windows
    assert read_shard(tmp_path / "p.parquet")[0]["stamp_s_EDA"].equals(index["stamp_s_EDA"])


@pytest.mark.parametrize(("values", "message"), [
    ({"lost": 0.9, "burst_s": 2.0}, r"asynchrony.lost.*0.9.*at most 0.5"), ({"lost": 0.2}, "burst_s"),
    ({"lost": 0.2, "burst_s": 1.0}, "burst_s.*at least one step"), ({"jitter_sd_s": -1.0}, "jitter_sd_s"),
    ({"lag_s": float("nan")}, "lag_s"), ({"drift_ppm": -2e6}, "drift_ppm")])
def test_what_cannot_be_is_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trial_timing(SensorTiming(**values), "EEG", "a", "1", STARTS_S, STEP_S, 0)
