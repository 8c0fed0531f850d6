"""How late each sensor answers, found from rated trials."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from himoe.prepare.lags import scan_lags

STEP_S = 2.0
LATE_S = {"EEG": 0.0, "EDA": 2.7, "PPG": -4.3, "RSP": 1.6}
FEATURES = {"EEG": 7, "EDA": 3, "PPG": 2, "TEMP": 4, "RSP": 12}
FAINT = {"RSP": 5.0}  # SD of the noise where it is not 1: too much for one person's trials


@pytest.fixture(scope="module")
def made() -> tuple[pd.DataFrame, dict[str, np.ndarray], np.ndarray]:
    """3 people x 5 trials x 31 windows: features follow two smooth ratings late; TEMP is noise; EDA has a hole.

    RSP is faint and speaks in everybody's way, the others in each person's own.
    """
    rng = np.random.default_rng(5)
    frames, labels, parts = [], [], {m: [] for m in FEATURES}
    fine_s = np.arange(-40, 110, 0.1)
    kernel = np.exp(-0.5 * (np.arange(-15, 15, 0.1) / 3) ** 2)
    weights = {(p, m): rng.normal(size=(2, n)) for p in "abc" for m, n in FEATURES.items()}
    weights |= {(p, "RSP"): weights["a", "RSP"] for p in "bc"}
    for person in "abc":
        for trial in range(5):
            course = np.stack([np.convolve(rng.normal(size=len(fine_s)), kernel, "same") for _ in range(2)])
            course /= course.std(1, keepdims=True)
            start_s = np.arange(31) * STEP_S
            frames.append(pd.DataFrame({"subject": person, "trial": str(trial), "start_s": start_s}))
            labels.append(np.stack([np.interp(start_s, fine_s, one) for one in course], 1))
            for m, n in FEATURES.items():
                clean = np.zeros((31, n)) if m == "TEMP" else np.stack(
                    [np.interp(start_s - LATE_S[m], fine_s, one) for one in course], 1) @ weights[person, m]
                parts[m].append(clean + FAINT.get(m, 1.0) * rng.normal(size=(31, n)))
    features = {m: np.concatenate(part) for m, part in parts.items()}
    features["EDA"][40:48] = np.nan
    return pd.concat(frames, ignore_index=True), features, np.concatenate(labels)


def test_lags_are_found_also_between_the_windows(made) -> None:
    index, features, labels = made
    found = scan_lags(index, features, labels, 8.0, STEP_S)
    for m, late_s in LATE_S.items():
        assert found[m].lag_s == pytest.approx(late_s, abs=0.35), m
        assert found[m].low_s <= found[m].lag_s <= found[m].high_s
        assert found[m].clear
        assert found[m].trials == 15
    assert [found[m].by for m in ("EDA", "PPG", "RSP")] == ["own", "own", "everybody"]
    assert not found["TEMP"].clear
    assert found["EEG"].gain.max() > 0.5 > 0.1 > found["TEMP"].gain.max()


def test_order_of_people_and_shifts_of_everything_change_nothing(made) -> None:
    index, features, labels = made
    order = np.concatenate([rows for _, rows in sorted(index.groupby(["subject", "trial"]).indices.items(),
                                                       key=lambda pair: pair[0][1] + pair[0][0], reverse=True)])
    moved = scan_lags(index.iloc[order].assign(start_s=lambda t: t["start_s"] + 7).reset_index(drop=True),
                      {"EDA": features["EDA"][order]}, labels[order], 8.0, STEP_S)
    assert moved["EDA"].lag_s == pytest.approx(scan_lags(index, features, labels, 8.0, STEP_S)["EDA"].lag_s, abs=1e-6)


def test_what_the_sensors_clock_says_is_no_lag(made) -> None:
    index, features, labels = made
    known = scan_lags(index.assign(stamp_s_EDA=index["start_s"] - 2.7), features, labels, 8.0, STEP_S)
    plain = scan_lags(index, features, labels, 8.0, STEP_S)
    assert known["EDA"].lag_s == pytest.approx(0.0, abs=0.35)
    assert plain["EDA"].lag_s == pytest.approx(2.7, abs=0.35)
    assert known["PPG"].lag_s == plain["PPG"].lag_s
    same = scan_lags(index.assign(stamp_s_EDA=np.where(np.arange(len(index)) % 2, np.nan, index["start_s"])),
                     {"EDA": features["EDA"]}, labels, 8.0, STEP_S)["EDA"]
    assert same.gain.tobytes() == plain["EDA"].gain.tobytes()  # on the grid, or unknown: as without


def test_ratings_that_do_not_move_place_nothing(made) -> None:
    index, features, labels = made
    flat = np.repeat(labels[::31], 31, axis=0)
    found = scan_lags(index, {"EDA": features["EDA"]}, flat, 8.0, STEP_S)["EDA"]
    assert np.isnan(found.lag_s)
    assert not found.clear
    assert found.trials == 0
