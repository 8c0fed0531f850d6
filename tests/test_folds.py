"""Folds: properties that must hold for any set, and an auditor that finds every planted leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himoe.errors import InputError
from himoe.folds import audit_folds, content_digests, make_folds, require_honest, role_rows
from himoe.params import SplitParams


def windows(subjects: int = 5, trials: int = 7, per_trial: int = 3) -> pd.DataFrame:
    rows = [(f"s{s:02d}", "ab"[t % 2], f"v{t:02d}", f"v{t:02d}", w)
            for s in range(subjects) for t in range(trials) for w in range(per_trial)]
    return pd.DataFrame(rows, columns=["subject", "session", "trial", "stimulus", "window"])


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 7), st.integers(6, 9), st.integers(2, 4),
       st.sampled_from(["trial", "session", "loso", "stimulus"]), st.integers(2, 5), st.integers(0, 99))
def test_honest_protocols_pass_the_audit(subjects: int, trials: int, per_trial: int, protocol: str, folds: int,
                                         seed: int) -> None:
    index = windows(subjects, trials, per_trial)
    table = make_folds(index, protocol, SplitParams(folds, 0.2), seed)
    assert audit_folds(index, table, protocol) == []
    for fold in table["fold"].unique():
        sides = [role_rows(index, table, fold, role) for role in ("train", "validation", "test")]
        together = np.concatenate(sides)
        assert sorted(together) == list(range(len(index)))  # a partition of all windows


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["trial", "session", "loso", "stimulus", "leaky"]), st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(protocol: str, seed: int) -> None:
    index = windows()
    shuffled = index.sample(frac=1, random_state=seed)
    params = SplitParams(3, 0.2)
    tables = [make_folds(rows, protocol, params, seed) for rows in (index, shuffled)]
    pd.testing.assert_frame_equal(*tables)


def test_each_subjects_trials_are_spread_evenly() -> None:
    table = make_folds(windows(4, 11, 2), "trial", SplitParams(4, 0.2), 0)
    counts = table[table["role"] == "test"].groupby(["subject", "fold"]).size().unstack()
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_loso_groups_people() -> None:
    table = make_folds(windows(7, 6, 2), "loso", SplitParams(2, 0.2, people=3), 0)
    tested = table[table["role"] == "test"].groupby("fold")["subject"].nunique()
    assert sorted(tested) == [2, 2, 3]


def test_more_groups_than_people_are_one_person_each() -> None:
    index = windows(4, 6, 2)
    one_by_one = make_folds(index, "loso", SplitParams(2, 0.2), 0)
    pd.testing.assert_frame_equal(make_folds(index, "loso", SplitParams(2, 0.2, people=5), 0), one_by_one)
    assert one_by_one["fold"].nunique() == 4


def test_session_tests_one_day_after_training_on_the_others() -> None:
    index = windows(4, 9, 2)
    index["session"] = index["trial"].map(lambda name: f"d{int(name[1:]) % 3}")
    table = make_folds(index, "session", SplitParams(5, 0.2), 0)
    days = table.merge(index.drop_duplicates(["subject", "trial"]), on=["subject", "trial"])
    tested = days[days["role"] == "test"].groupby("fold")["session"].agg(set)
    assert sorted(map(tuple, tested)) == [("d0",), ("d1",), ("d2",)]  # one day a fold, whatever split.folds says
    for fold, rest in days[days["role"] != "test"].groupby("fold"):
        assert set(rest["session"]) == {"d0", "d1", "d2"} - tested[fold]
    assert set(days[days["role"] == "validation"]["subject"]) == set(index["subject"])


def test_one_day_cannot_be_split_by_days() -> None:
    with pytest.raises(InputError, match="found the one session '1', expected at least two sessions"):
        make_folds(windows().assign(session="1"), "session", SplitParams(2, 0.2), 0)


def test_the_auditor_sees_a_day_on_both_sides() -> None:
    index = windows()
    assert any("session in test and in training" in problem
               for problem in audit_folds(index, make_folds(index, "trial", SplitParams(3, 0.2), 0), "session"))


def test_seeds_change_folds_and_repeat_them() -> None:
    one, again, two = (make_folds(windows(), "trial", SplitParams(3, 0.2), seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(two)


@pytest.mark.parametrize(
    ("protocol", "folds", "message"),
    [("trial", 8, "found 8 folds, expected at most 7, the number of trials of subject s00"),
     ("stimulus", 8, "at most 7, the number of stimulus"), ("leaky", 500, "at most 105, the number of windows"),
     ("random", 2, "protocol: found 'random'")],
)
def test_too_many_folds_are_refused(protocol: str, folds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_folds(windows(), protocol, SplitParams(folds, 0.2), 0)


def test_leaky_leaks_and_only_its_name_lets_it_pass() -> None:
    index = windows()
    table = make_folds(index, "leaky", SplitParams(3, 0.2), 0)
    assert any("trial in test and in training" in p for p in audit_folds(index, table, "leaky"))
    require_honest(index, table, "leaky")
    with pytest.raises(InputError, match="not honest: fold 0: trial in test and in training"):
        require_honest(index, table, "trial")


def planted(change: str) -> tuple[pd.DataFrame, pd.DataFrame, list[bytes] | None]:
    index = windows()
    table = make_folds(index, "trial", SplitParams(3, 0.2), 0)
    content = None
    test_rows = table.index[(table["fold"] == 1) & (table["role"] == "test")]
    if change == "trial on both sides":
        table = pd.concat([table, table.loc[test_rows[:1]].assign(role="train")])
    elif change == "trial never tested":
        table = table.drop(test_rows[:1])
    elif change == "unknown trial":
        table = pd.concat([table, table.loc[test_rows[:1]].assign(trial="v99")])
    elif change == "no validation":
        table = table[~((table["fold"] == 2) & (table["role"] == "validation"))]
    elif change == "same samples":
        data = np.random.default_rng(0).standard_normal((len(index), 2, 5)).astype(np.float32)
        data[role_rows(index, table, 0, "test")[0]] = data[role_rows(index, table, 0, "train")[0]]
        content = content_digests(data, np.ones(len(index), bool))
    return index, table, content


@pytest.mark.parametrize(
    ("change", "message"),
    [("trial on both sides", "fold 1: trial in test and in training: 1, for example s0"),
     ("trial never tested", "3 windows are not tested exactly once"),
     ("unknown trial", "name trials that the windows do not have"),
     ("no validation", "fold 2: no windows for validation"),
     ("same samples", "fold 0: 1 windows with identical samples")],
)
def test_the_auditor_finds(change: str, message: str) -> None:
    index, table, content = planted(change)
    problems = audit_folds(index, table, "trial", content)
    assert any(message in problem for problem in problems), problems


def test_a_person_on_both_sides_is_found_under_loso() -> None:
    index = windows()
    table = make_folds(index, "trial", SplitParams(3, 0.2), 0)
    assert any("subject in test and in training" in p for p in audit_folds(index, table, "loso"))
    assert any("stimulus in test and in training" in p for p in audit_folds(index, table, "stimulus"))


def test_absent_windows_are_no_twins() -> None:
    digests = content_digests(np.zeros((3, 2, 4), np.float32), np.zeros(3, bool))
    assert len(set(digests)) == 3
