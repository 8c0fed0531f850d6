"""Folds: properties that must hold for any set, and an auditor that finds every planted leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himoe.core.errors import InputError
from himoe.core.params import SplitParams
from himoe.prepare.folds import audit_folds, content_digests, make_folds, require_honest, role_rows


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


def test_a_person_a_clip_and_a_day_on_both_sides_are_found() -> None:
    index = windows()
    table = make_folds(index, "trial", SplitParams(3, 0.2), 0)
    assert any("subject in test and in training" in p for p in audit_folds(index, table, "loso"))
    assert any("stimulus in test and in training" in p for p in audit_folds(index, table, "stimulus"))
    assert any("session in test and in training" in p for p in audit_folds(index, table, "session"))


def test_absent_windows_are_no_twins() -> None:
    digests = content_digests(np.zeros((3, 2, 4), np.float32), np.zeros(3, bool))
    assert len(set(digests)) == 3


def in_sessions(sizes: dict[str, int]) -> pd.DataFrame:
    """Windows of two people; trials of each session whose names do not sort in their order."""
    rows = [(person, session, f"{session}t{(7 * t) % 16:02d}", f"v{t:02d}", w)
            for person in ("s02", "s01") for session, count in sizes.items() for t in range(count) for w in range(2)]
    return pd.DataFrame(rows, columns=["subject", "session", "trial", "stimulus", "window"])


def test_sequential_is_the_split_of_seeds_authors() -> None:
    index = in_sessions({"a": 15, "b": 15})
    table = make_folds(index, "sequential", SplitParams(4, 0.15, sequential=0.6), 0)
    assert set(table["fold"]) == {0}
    assert audit_folds(index, table, "sequential") == []
    clips = index.drop_duplicates(["subject", "trial"]).merge(table, on=["subject", "trial"])
    for _, part in clips.groupby(["subject", "session"]):
        shown = part.set_index("stimulus")["role"]
        assert sorted(shown.index[shown == "test"]) == [f"v{t:02d}" for t in range(9, 15)]
        assert list(shown.index[shown == "validation"]) == ["v08"]
        assert (shown == "train").sum() == 8


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(3, 16), min_size=1, max_size=3), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_sequential_goes_train_validation_test_in_every_session(sizes: list[int], share: float, held: float) -> None:
    index = in_sessions({"abc"[k]: size for k, size in enumerate(sizes)})
    table = make_folds(index, "sequential", SplitParams(2, held, sequential=share), 0)
    assert audit_folds(index, table, "sequential") == []
    role = index.merge(table, on=["subject", "trial"])["role"].to_numpy()
    for _, rows in index.groupby(["subject", "session"]).indices.items():
        assert [name for k, name in enumerate(role[rows]) if k == 0 or role[rows][k - 1] != name] == [
            "train", "validation", "test"]


@pytest.mark.parametrize(("change", "message"), [
    ("swapped", "subject s01 session a: a later trial before an earlier one"),
    ("no test", "subject s02 session a: no trial for one of train, validation, test"),
    ("left out", "fold 0: 2 windows have no role"),
    ("two folds", "2 folds instead of one")])
def test_the_auditor_sees_a_sequence_out_of_order(change: str, message: str) -> None:
    index = in_sessions({"a": 9})
    table = make_folds(index, "sequential", SplitParams(2, 0.2), 0)
    own = {person: table.index[table["subject"] == person] for person in ("s01", "s02")}
    role = table["role"].copy()
    if change == "swapped":
        first = own["s01"][(role[own["s01"]] == "train")][0]
        last = own["s01"][(role[own["s01"]] == "test")][0]
        role[first], role[last] = "test", "train"
    elif change == "no test":
        role[own["s02"]] = role[own["s02"]].replace("test", "validation")
    table = table.assign(role=role)
    if change == "left out":
        table = table.drop(own["s01"][:1])
    elif change == "two folds":
        table = pd.concat([table, table.assign(fold=1)])
    problems = audit_folds(index, table, "sequential")
    assert any(message in problem for problem in problems), problems
    with pytest.raises(InputError, match="not honest"):
        require_honest(index, table, "sequential")


def test_sequential_needs_three_trials_a_session() -> None:
    with pytest.raises(InputError, match=r"session \('s01', 'b'\): found 2 trials, expected at least 3"):
        make_folds(in_sessions({"a": 5, "b": 2}), "sequential", SplitParams(2, 0.2), 0)
