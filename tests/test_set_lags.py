"""Lags of a data set: behind ratings, behind a sensor, and what all trials have in common, which is no lag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from open_sets import write_ceap360vr, write_wesad

from himoe.core.errors import InputError
from himoe.prepare.set_lags import deviations, known_features, set_lags, swapped
from himoe.prepare.windows import ShardMeta
from himoe.prepare.windowset import Windows
from pipeline.lags import lags

LATE_S = {"EDA": 2.6, "PPG": -1.1}
FEATURES = {"EDA": 3, "PPG": 4, "RSP": 2, "TEMP": 5}  # TEMP is noise, RSP knows the time from the start
PEOPLE, TRIALS, STEPS, STEP_S = 3, 5, 40, 2.0


def made(source: str = "continuous") -> Windows:
    """A course of each trial, and one that all trials share, in the rating; EDA and PPG follow the first."""
    rng = np.random.default_rng(8)
    fine_s, start_s = np.arange(-40, 140, 0.1), np.arange(STEPS) * STEP_S
    kernel = np.exp(-0.5 * (np.arange(-12, 12, 0.1) / 3) ** 2)
    shared = 3 * np.exp(-((start_s - 30) / 8) ** 2)
    frames, values = [], {m: [] for m in FEATURES}
    for person in range(PEOPLE):
        weights = {m: rng.normal(size=n) for m, n in FEATURES.items()}
        for trial in range(TRIALS):
            course = np.convolve(rng.normal(size=len(fine_s)), kernel, "same")
            course /= course.std()
            frames.append(pd.DataFrame({
                "subject": str(person), "session": "1", "trial": str(trial), "stimulus": str(trial),
                "window": range(STEPS), "start_s": start_s, "valence": np.interp(start_s, fine_s, course) + shared}))
            for m in FEATURES:
                clean = np.interp(start_s - LATE_S[m], fine_s, course) if m in LATE_S else \
                    np.roll(shared, 2) if m == "RSP" else 0 * start_s
                values[m].append(clean[:, None] * weights[m] + 0.5 * rng.normal(size=(STEPS, FEATURES[m])))
    index = pd.concat(frames, ignore_index=True).assign(**{f"completeness_{m}": 1.0 for m in FEATURES})
    meta = ShardMeta("toys", {"label": "Toys (simulated)"}, {
        m: {"channels": [f"{m}{k}" for k in range(n)], "samples": 1, "sfreq_hz": 0.25, "unit": ""}
        for m, n in FEATURES.items()}, ("valence",), (1.0, 9.0), (5.0,), 4.0, STEP_S, source)
    arrays = {m: np.concatenate(parts)[..., None] for m, parts in values.items()}
    return Windows(index, arrays, meta, None, dict(arrays))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return set_lags(made(), 7.0, swaps=4).set_index(["behind", "modality"])


def test_lags_behind_ratings_and_behind_a_sensor_are_found(rows: pd.DataFrame) -> None:
    assert list(rows.index) == [*(("ratings", m) for m in FEATURES), ("PPG", "EDA"), ("PPG", "RSP"), ("PPG", "TEMP")]
    expected_s = {("ratings", "EDA"): 2.6, ("ratings", "PPG"): -1.1, ("PPG", "EDA"): 3.7}
    for key, late_s in expected_s.items():
        row = rows.loc[key]
        assert row["lag_s"] == pytest.approx(late_s, abs=0.4), key
        assert row["placed"]
        assert row["trials"] == PEOPLE * TRIALS
    assert not rows.loc[("PPG", "TEMP"), "placed"]


def test_what_all_trials_share_is_no_lag(rows: pd.DataFrame) -> None:
    """The rating's common course puts RSP 4 s late with a narrow interval, and does so with trials swapped, too."""
    row = rows.loc[("ratings", "RSP")]
    assert row["lag_s"] == pytest.approx(4.0, abs=1.0)
    assert row["high_s"] - row["low_s"] < 4
    assert row["gain"] > 0.1
    assert not row["placed"]


def test_one_rating_a_trial_leaves_the_sensors() -> None:
    rows = set_lags(made("trial"), 7.0, "EDA", swaps=0)
    assert not rows["placed"].any()
    assert rows[["behind", "modality"]].to_numpy().tolist() == [["EDA", "PPG"], ["EDA", "RSP"], ["EDA", "TEMP"]]
    assert rows["lag_s"].iloc[0] == pytest.approx(-3.7, abs=0.4)


def test_swapped_trials_keep_the_time_from_the_start() -> None:
    """Of a's three trials of 3, 2 and 2 windows each gets another's; b has only one."""
    index = pd.DataFrame({"subject": list("aaaaaaab"), "trial": list("11122331")})
    found = {tuple(np.nan_to_num(swapped(index, np.arange(8.0)[:, None], np.random.default_rng(seed))[:, 0], nan=-1))
             for seed in range(20)}
    assert found == {(3, 4, -1, 5, 6, 0, 1, -1), (5, 6, -1, 0, 1, 3, 4, -1)}


def test_a_feature_that_is_not_known_moves_nothing() -> None:
    windows = made()
    values = np.asarray(windows.arrays["EDA"]).copy()
    values[3, 1] = np.nan
    values[7] = np.nan
    found = known_features(replace(windows, _features={**windows.arrays, "EDA": values}), "EDA")
    assert np.isnan(found).any(1).tolist() == [row == 7 for row in range(len(windows))]
    assert found[3, 1] == pytest.approx(np.nanmean(values[:STEPS, 1]))
    apart = deviations(windows.index, found)
    assert apart[3, 1] == pytest.approx(0, abs=1e-9)
    assert np.nanmax(np.abs(apart)) <= 5


def test_what_cannot_be_placed_against_anything_is_refused() -> None:
    windows = made("trial")
    with pytest.raises(InputError, match="reference: found 'EEG', expected one of EDA PPG RSP TEMP"):
        set_lags(windows, 8.0, "EEG")
    alone = replace(windows, arrays={"EDA": windows.arrays["EDA"]})
    with pytest.raises(InputError, match="lags of toys: found EDA alone"):
        set_lags(alone, 8.0)


def test_the_command_writes_a_table_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.lags.SWAPS", 1)
    write_ceap360vr(tmp_path / "clips", people=2)
    write_wesad(tmp_path / "wrist", people=2)
    lags(str(tmp_path / "out"), f"ceap360vr={tmp_path / 'clips'}", f"wesad={tmp_path / 'wrist'}", "hku956=",
         "reference=")
    rows = pd.read_csv(tmp_path / "out" / "set_lags.csv")
    assert rows[["behind", "modality"]].to_numpy().tolist() == [
        ["ratings", "GAZE"], ["ratings", "HEAD"], ["HEAD", "GAZE"], ["PPG", "ACC"], ["PPG", "EDA"], ["PPG", "TEMP"]]
    assert set(rows["data"]) == {"CEAP-360VR (real, local files)", "WESAD (real, local files)"}
    text = (tmp_path / "out" / "set_lags.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    assert "doi 10.1145/3242969.3242985" in text
    assert "| WESAD (real, local files) | TEMP | PPG |" in text


@pytest.mark.parametrize(("asked", "message"), [
    ((), "lags: data sets: found none, expected name=folder"), (("wesad=",), "found none"),
    (("wasad=x",), "found 'wasad=x', expected name=folder"), (("wesad",), "found 'wesad'")])
def test_without_data_it_says_so(tmp_path: Path, asked: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lags(str(tmp_path), *asked)
    assert not list(tmp_path.iterdir())
