"""Sequences, normalisation and label handling against slow loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from toysets import make_index, make_store

from himoe.models.batches import (
    CLIP,
    Assembler,
    Batch,
    Normaliser,
    Task,
    codes,
    label_matrix,
    make_sequences,
    shuffle_between_trials,
)
from himoe.prepare.windows import WindowStore

TASK = Task("regression", ("valence", "arousal"), (1.0, 9.0), (5.0,))


@pytest.fixture
def store() -> WindowStore:
    return make_store()


def test_sequences_hold_consecutive_windows_of_one_trial() -> None:
    index = make_index(2, 3, 5)
    order = np.random.default_rng(0).permutation(len(index))
    index = index.iloc[order].reset_index(drop=True)
    sequences = make_sequences(index, np.arange(len(index)), 3)
    assert sequences.shape == (2 * 3 * 2, 3)
    assert sorted(sequences[sequences >= 0]) == list(range(len(index)))
    for sequence in sequences:
        part = index.iloc[sequence[sequence >= 0]]
        assert part[["subject", "trial"]].drop_duplicates().shape[0] == 1
        assert (np.diff(part["window"]) == 1).all()


@pytest.mark.parametrize("by_subject", [True, False])
def test_statistics_are_of_the_given_rows_only(store: WindowStore, by_subject: bool) -> None:
    present, subject = store.present(0.5), codes(store.index["subject"])
    present[4, 0] = False
    rows = np.flatnonzero(subject < 3)[::2]
    normaliser = Normaliser.fit(store, rows, present, subject, by_subject)
    for code in range(4):
        used = [r for r in rows if present[r, 0] and (subject[r] == code or not by_subject or code == 3)]
        for channel in range(3):
            values = store.arrays["EEG"][used, channel].astype(np.float64)
            assert normaliser.mean["EEG"][code, channel] == pytest.approx(values.mean(), abs=1e-5)
            assert normaliser.spread["EEG"][code, channel] == pytest.approx(values.std(), rel=1e-5)
    store.arrays["EEG"][np.setdiff1d(np.arange(len(subject)), rows)] = 1e6
    again = Normaliser.fit(store, rows, present, subject, by_subject)
    np.testing.assert_array_equal(again.mean["EEG"], normaliser.mean["EEG"])


@pytest.mark.parametrize("by_subject", [True, False])
def test_features_have_means_of_each_subject_and_one_spread(store: WindowStore, by_subject: bool) -> None:
    values = np.random.default_rng(2).normal(size=(len(store.index), 6, 1)).astype(np.float32)
    values[3:9, 1] = np.nan
    values[:, 4] = 2.5
    features = replace(store, arrays={"EEG": values})
    subject, rows = codes(store.index["subject"]), np.flatnonzero(codes(store.index["subject"]) < 3)[::2]
    values += subject[:, None, None].astype(np.float32)
    normaliser = Normaliser.fit(features, rows, np.ones((len(subject), 1), bool), subject, by_subject)
    table = pd.DataFrame(values[rows, :, 0].astype(np.float64)).groupby(subject[rows] if by_subject else 0 * rows)
    rest = table.transform(lambda column: column - column.mean())
    expected = np.where(np.arange(6) == 4, 0, np.sqrt((rest**2).mean()))
    if by_subject:
        expected[4] = 1  # it never varies within a subject
    else:
        expected[4] = np.std(values[rows, 4])
    for code in range(4):
        np.testing.assert_allclose(normaliser.spread["EEG"][code], expected, rtol=1e-5)
    if by_subject:
        np.testing.assert_allclose(normaliser.mean["EEG"][:3], table.mean(), rtol=1e-5, atol=1e-6)
    everybody = pd.DataFrame(values[rows, :, 0].astype(np.float64)).mean()
    np.testing.assert_allclose(normaliser.mean["EEG"][3], everybody, rtol=1e-5, atol=1e-6)  # not seen in training
    scaled = normaliser.apply("EEG", values[:12], subject[:12])
    assert (scaled[3:9, 1] == 0).all()
    assert np.isfinite(scaled).all()


def test_normalised_windows_are_finite_and_bounded(store: WindowStore) -> None:
    subject = codes(store.index["subject"])
    normaliser = Normaliser.fit(store, np.arange(70), store.present(0.5), subject, True)
    rows = np.array([0, 1, 35])
    windows = store.arrays["EEG"][rows].copy()
    windows[0, 1, :5], windows[1, 0, 3] = np.nan, 1e9
    scaled = normaliser.apply("EEG", windows, subject[rows])
    assert (scaled[0, 1, :5] == 0).all()
    assert scaled[1, 0, 3] == CLIP
    expected = (windows[2] - normaliser.mean["EEG"][1][:, None]) / normaliser.spread["EEG"][1][:, None]
    np.testing.assert_allclose(scaled[2], expected, rtol=1e-5)


def test_the_normaliser_survives_as_tensors(store: WindowStore) -> None:
    normaliser = Normaliser.fit(store, np.arange(30), store.present(0.5), codes(store.index["subject"]), True)
    again = Normaliser.from_tensors({**normaliser.tensors(), "weight": torch.ones(2)})
    np.testing.assert_array_equal(again.mean["EDA"], normaliser.mean["EDA"])
    np.testing.assert_array_equal(again.spread["EEG"], normaliser.spread["EEG"])


def test_a_batch_is_its_rows_and_padding_is_marked(store: WindowStore) -> None:
    present = store.present(0.5)
    labels = label_matrix(store.index, TASK)
    subject = codes(store.index["subject"])
    normaliser = Normaliser.fit(store, np.arange(30), present, subject, True)
    assembler = Assembler(store, normaliser, labels, present, subject, codes(store.index["stimulus"]))
    sequences = make_sequences(store.index, np.arange(25), 4)[[1, 2, 5]]
    batch = assembler.batch(sequences)
    assert batch.x["EEG"].shape == (3, 4, 3, 64)
    assert batch.valid.numpy().tolist() == (sequences >= 0).tolist()
    for b, t in np.ndindex(sequences.shape):
        row = sequences[b, t]
        if row >= 0:
            expected = normaliser.apply("EEG", store.arrays["EEG"][row:row + 1], subject[row:row + 1])[0]
            np.testing.assert_allclose(batch.x["EEG"][b, t].numpy(), expected, rtol=1e-6)
            np.testing.assert_allclose(batch.y[b, t].numpy(), labels[row], rtol=1e-6)
        else:
            assert torch.isnan(batch.y[b, t]).all()
            assert not batch.present[b, t].any()
            assert (batch.x["EDA"][b, t] == 0).all()


def test_a_batch_knows_when_each_sensors_windows_begin_by_its_own_clock(store: WindowStore) -> None:
    def batch(index: pd.DataFrame) -> Batch:
        own = replace(store, index=index)
        none = np.zeros(len(index), dtype=np.int64)
        normaliser = Normaliser({m: np.zeros((1, a.shape[1]), np.float32) for m, a in store.arrays.items()},
                                {m: np.ones((1, a.shape[1]), np.float32) for m, a in store.arrays.items()})
        return Assembler(own, normaliser, label_matrix(index, TASK), own.present(0.5), none, none).batch(sequences)

    sequences = make_sequences(store.index, np.arange(25), 4)[[1, 2, 5]]
    assert batch(store.index).times_s is None
    assert batch(store.index.assign(stamp_s_EDA=store.index["start_s"])).times_s is None  # all on time: as without
    late_s = np.arange(len(store.index)) / 8
    times_s = batch(store.index.assign(stamp_s_EDA=store.index["start_s"] - late_s)).times_s
    assert times_s is not None
    step_s, names = store.meta.step_s, list(store.arrays)
    for b, t in np.argwhere(sequences >= 0):
        assert times_s[b, t, names.index("EDA")] == t * step_s - late_s[sequences[b, t]]
        assert times_s[b, t, names.index("EEG")] == t * step_s


def test_high_means_above_the_threshold_and_missing_stays_missing() -> None:
    index = pd.DataFrame({"valence": [5.0, 5.1, np.nan], "arousal": [9.0, 1.0, 2.0]})
    labels = label_matrix(index, Task("classification", ("valence", "arousal"), (1, 9), (5.0,)))
    np.testing.assert_array_equal(labels, [[0, 1], [1, 0], [np.nan, 0]])


def test_a_class_counts_the_thresholds_below_the_rating() -> None:
    ratings = np.array([[-1, -0.5, -0.49, 0], [0.5, 0.51, 1, np.nan], [2, -2, 0.5, 0.2]])
    index = pd.DataFrame(ratings, columns=["valence", "arousal", "dominance", "liking"])
    task = Task("classification", tuple(index), (-1, 1), (-0.5, 0.5))
    np.testing.assert_array_equal(label_matrix(index, task), [[0, 0, 1, 1], [1, 2, 2, np.nan], [2, 0, 1, 1]])
    assert (task.classes, task.outputs) == (3, 3)
    assert (TASK.classes, TASK.outputs) == (None, 1)


def test_shuffling_moves_whole_trials() -> None:
    index = make_index(3, 4, 5)
    labels = label_matrix(index, TASK)
    shuffled = shuffle_between_trials(index, labels, 1)
    before = labels.reshape(12, 5, 2)
    after = shuffled.reshape(12, 5, 2)
    matches = (after[:, None] == before[None]).all((2, 3))
    assert (matches.sum(0) == 1).all()
    assert (matches.sum(1) == 1).all()
    assert np.trace(matches) < 5
    order = np.random.default_rng(0).permutation(len(index))
    moved = shuffle_between_trials(index.iloc[order].reset_index(drop=True), labels[order], 1)
    np.testing.assert_array_equal(moved, shuffled[order])
