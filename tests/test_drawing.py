"""Lags drawn at training: what is drawn, what windows hold then, and that none is drawn unasked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from himoe.core.errors import InputError
from himoe.core.params import AsynchronyParams
from himoe.models.batches import Batch
from himoe.prepare.windowset import Windows
from himoe.training.drawing import drawn_lags_s, moved
from himoe.training.estimators import HiMoE, MulT

STEP_S, LENGTH_S, RATE_HZ, STEPS = 1.5, 4.0, 6.0, 11
LAGS_S = np.array([[1.5, -0.75], [2.5, 0.5], [-4.0, 100.0]])
IDS = pd.DataFrame({"subject": ["a", "a", "b"], "trial": ["1", "2", "1"]})


def clocks() -> Batch:
    """3 sequences: each sample of EEG is its own time in s, each feature of EDA the start of its window."""
    start = torch.arange(STEPS) * STEP_S
    inside = torch.arange(int(LENGTH_S * RATE_HZ)) / RATE_HZ
    eeg = (start[:, None] + inside).expand(3, 2, -1, -1).transpose(1, 2).clone()
    eda = start[:, None, None].expand(3, STEPS, 5, 1).clone()
    present = torch.ones(3, STEPS, 2, dtype=torch.bool)
    present[1, 4, 1] = False
    valid = torch.ones(3, STEPS, dtype=torch.bool)
    none = torch.zeros(3, dtype=torch.int64)
    return Batch({"EEG": eeg, "EDA": eda}, present, torch.zeros(3, STEPS, 1), valid, none, none)


def test_windows_hold_what_was_there_a_lag_before() -> None:
    batch = clocks()
    late = moved(batch, LAGS_S, STEP_S, LENGTH_S)
    start_s = np.arange(STEPS) * STEP_S
    last_s = start_s[-1]
    for b in range(3):
        for m, name in enumerate(("EEG", "EDA")):
            want_s = start_s - LAGS_S[b, m]
            there = (want_s >= -1e-9) & (want_s <= last_s + 1e-9)
            if (b, name) == (1, "EDA"):  # between two windows, of which one is absent
                there &= ~((want_s > start_s[3]) & (want_s < start_s[5]))
            np.testing.assert_array_equal(late.present[b, :, m], there)
            np.testing.assert_allclose(late.x[name][b, there, 0, 0], want_s[there], atol=1e-5)
            if name == "EEG":
                np.testing.assert_allclose(late.x[name][b, there, 1, -1], want_s[there] + LENGTH_S - 1 / RATE_HZ,
                                           atol=1e-5)
    same = moved(batch, np.zeros((3, 2)), STEP_S, LENGTH_S)
    assert all(torch.equal(same.x[m], batch.x[m]) for m in batch.x)
    assert torch.equal(same.present, batch.present)


def test_draws_hang_on_seed_epoch_person_trial_and_sensor_alone() -> None:
    def drawn(asked: dict, seed: int = 3, epoch: int = 0, ids: pd.DataFrame = IDS) -> np.ndarray:
        return drawn_lags_s(AsynchronyParams(**asked), ids, ("EEG", "EDA", "PPG", "ECG"), seed, epoch)

    everybody = drawn({"lag_s": 4.0})
    assert (everybody == everybody[0]).all()
    assert len(np.unique(everybody[0])) == 4
    assert np.abs(everybody).max() <= 4
    person = drawn({"person_sd_s": 1.0})
    assert (person[0] == person[1]).all()
    assert not (person[0] == person[2]).any()
    trial = drawn({"jitter_sd_s": 1.0})
    assert not (trial[0] == trial[1]).any()
    np.testing.assert_allclose(drawn({"lag_s": 2.0, "person_sd_s": 3.0}), everybody / 2 + 3 * person)
    order = [2, 0, 1]
    np.testing.assert_array_equal(drawn({"jitter_sd_s": 1.0}, ids=IDS.iloc[order]), trial[order])
    assert not (drawn({"lag_s": 4.0}, epoch=1) == everybody).any()
    assert not (drawn({"lag_s": 4.0}, seed=4) == everybody).any()
    with pytest.raises(InputError, match="person_sd_s"):
        AsynchronyParams(person_sd_s=-1.0)


@pytest.mark.parametrize("kind, model", [(MulT, {}), (HiMoE, {"eeg_encoder": "eegnet", "signal_encoder": "cnn"})])
def test_a_fit_draws_only_if_asked(kind: type, model: dict) -> None:
    rng = np.random.default_rng(1)
    parts = [Windows.from_arrays({"EEG": rng.normal(size=(3, 128 * 24)), "EDA": rng.normal(size=(1, 8 * 24))},
                                 {"EEG": 128.0, "EDA": 8.0}, subject="a", trial=str(trial),
                                 ratings={"valence": float(rng.uniform(1, 9))}) for trial in range(4)]
    first = parts[0]
    windows = Windows(pd.concat([one.index for one in parts], ignore_index=True),
                      {m: np.concatenate([one.arrays[m] for one in parts]) for m in first.arrays}, first.meta)

    def fitted(asynchrony: dict | None) -> np.ndarray:
        return kind(epochs=1, model=model, asynchrony=asynchrony).fit(windows).predict(windows)["predicted"].to_numpy()

    usual = fitted(None)
    assert fitted({"lag_s": 0.0}).tobytes() == usual.tobytes()
    drawn = fitted({"lag_s": 3.0, "jitter_sd_s": 1.0})
    assert drawn.tobytes() == fitted({"lag_s": 3.0, "jitter_sd_s": 1.0}).tobytes()
    assert not np.allclose(drawn, usual)
