"""Who is tested when: fold tables, and the auditor that proves they do not leak.

A fold table has one row per fold and trial (for ``leaky``: a fold and window): ``fold``, ``role``
(train, validation, test), ``subject``, ``trial`` and, for ``leaky``, ``window``.

Example, protocol ``trial`` with 2 folds on one subject with trials a b c d (validation 1 of 2)::

    fold role       subject trial        fold role       subject trial
       0 test       s01     b               1 test       s01     a
       0 test       s01     d               1 test       s01     c
       0 train      s01     a               1 train      s01     d
       0 validation s01     c               1 validation s01     b
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from himoe.core.errors import InputError, bad_input
from himoe.core.params import PROTOCOLS, SplitParams

ROLES = ("train", "validation", "test")
TRIAL_KEYS = ["subject", "trial"]
# What stands on one side of a fold only, apart from trials.
HELD_OUT = {"session": "session", "loso": "subject", "stimulus": "stimulus"}


def make_folds(index: pd.DataFrame, protocol: str, params: SplitParams, seed: int) -> pd.DataFrame:
    """Make the fold table of a set of windows.

    Parameters
    ----------
    index : DataFrame
        One row per window: subject, session, trial, stimulus, window. Its order matters to ``sequential`` only.
    protocol : str
        ``trial``: each subject's trials are dealt evenly over the folds, whole trials move together.
        ``session``: everybody's visits of one name are held out, one name per fold (train on one day, test on
        another). ``loso``: people are held out (one per fold, or ``params.people`` groups).
        ``stimulus``: clips are held out. ``sequential``: one fold; of each person's trials of a session the first
        ``params.sequential`` train, the last of which validate, and the rest is tested, in the order of *index* (as
        Zheng & Lu 2015 do with SEED: clips 1-9, then 10-15). ``leaky``: windows are shuffled, whatever trial they are
        of.
    params : SplitParams
    seed : int

    Raises
    ------
    InputError
        If there are more folds than trials (people, clips) to deal, only one session, or too few trials in one.
    """
    if protocol not in PROTOCOLS:
        raise bad_input("protocol", repr(protocol), " or ".join(PROTOCOLS), "correct the name")
    if protocol == "leaky":
        return _leaky_folds(index, params, seed)
    if protocol == "sequential":
        return _sequential_fold(index, params)
    trials = index[[*TRIAL_KEYS, "session", "stimulus"]].drop_duplicates().sort_values(TRIAL_KEYS, ignore_index=True)
    unit = HELD_OUT.get(protocol, "trial")
    n_folds = params.folds
    if protocol == "loso":
        n_people = int(trials["subject"].nunique())
        n_folds = min(params.people or n_people, n_people)
    if protocol == "session":
        n_folds = _count_sessions(trials)
    if protocol == "trial":
        fold = _deal_trials(trials, n_folds, seed)
    else:
        fold = _deal_units(trials[unit].to_numpy(str), n_folds, seed, unit)
    parts = []
    for k in range(n_folds):
        role = np.where(fold == k, "test", "train").astype(object)
        # With two days one is left to train on: there whole trials validate.
        validating = "trial" if protocol == "session" else unit
        role[validation_rows(trials, fold != k, validating, params.validation, _rng(seed, "validation", k))] = (
            "validation")
        parts.append(pd.DataFrame({"fold": k, "role": role, **{c: trials[c] for c in TRIAL_KEYS}}))
    return _sorted(pd.concat(parts, ignore_index=True))


def _rng(*key: object) -> np.random.Generator:
    """A generator that depends on *key* alone, not on what was drawn before."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest[:16], dtype=np.uint32))


def _count_sessions(trials: pd.DataFrame) -> int:
    names = sorted(trials["session"].unique())
    if len(names) < 2:
        raise bad_input("protocol 'session'", f"the one session {names[0]!r}", "at least two sessions (days)",
                        "choose another protocol")
    return len(names)


def _deal_trials(trials: pd.DataFrame, n_folds: int, seed: int) -> np.ndarray:
    """Fold (n,) of each trial: a subject's trials, shuffled, go round the folds from a random first one."""
    fold = np.empty(len(trials), dtype=int)
    for subject, rows in trials.groupby("subject", sort=True).indices.items():
        if n_folds > len(rows):
            raise bad_input("split.folds", f"{n_folds} folds",
                            f"at most {len(rows)}, the number of trials of subject {subject}", "use fewer folds")
        rng = _rng(seed, "trial", subject)
        fold[rng.permutation(rows)] = (np.arange(len(rows)) + rng.integers(n_folds)) % n_folds
    return fold


def _deal_units(units: np.ndarray, n_folds: int, seed: int, unit: str) -> np.ndarray:
    """Fold (n,) of each row: whole units (people, clips), shuffled, dealt over the folds."""
    names = np.unique(units)
    if n_folds > len(names):
        raise bad_input("split.folds", f"{n_folds} folds", f"at most {len(names)}, the number of {unit}s",
                        "use fewer folds")
    order = _rng(seed, unit).permutation(len(names))
    fold_of = {names[i]: place % n_folds for place, i in enumerate(order)}
    return np.array([fold_of[name] for name in units])


def validation_rows(
    trials: pd.DataFrame, training: np.ndarray, unit: str, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Row numbers of the training trials that validate: the same unit as the test fold holds out."""
    rows = np.flatnonzero(training)
    if unit == "trial":
        chosen = [rng.permutation(group)[: max(1, round(share * len(group)))]
                  for _, group in pd.Series(rows).groupby(trials["subject"].to_numpy(str)[rows])
                  if len(group) > 1]
        return np.concatenate(chosen) if chosen else rows[:0]
    units = trials[unit].to_numpy(str)
    names = np.unique(units[rows])
    held = rng.permutation(names)[: max(1, round(share * len(names)))]
    return rows[np.isin(units[rows], held)]


def _sequential_fold(index: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """The one fold that tests what comes last in each person's session."""
    trials = _in_order(index)
    role = np.full(len(trials), "test", dtype=object)
    for names, part in trials.groupby(["subject", "session"], sort=True):
        rows = part.index.to_numpy()
        if len(rows) < len(ROLES):
            raise bad_input(f"protocol 'sequential': subject and session {names}", f"{len(rows)} trials",
                            "at least 3: to train, to validate, to test", "choose another protocol")
        before = min(max(2, round(params.sequential * len(rows))), len(rows) - 1)
        validating = min(max(1, round(params.validation * before)), before - 1)
        role[rows[:before]] = "train"
        role[rows[before - validating:before]] = "validation"
    return _sorted(trials[TRIAL_KEYS].assign(fold=0, role=role)[["fold", "role", *TRIAL_KEYS]])


def _leaky_folds(index: pd.DataFrame, params: SplitParams, seed: int) -> pd.DataFrame:
    rows = index[[*TRIAL_KEYS, "window"]].sort_values([*TRIAL_KEYS, "window"], ignore_index=True)
    if params.folds > len(rows):
        raise bad_input("split.folds", f"{params.folds} folds", f"at most {len(rows)}, the number of windows",
                        "use fewer folds")
    fold = _rng(seed, "leaky").permutation(len(rows)) % params.folds
    parts = []
    for k in range(params.folds):
        role = np.where(fold == k, "test", "train").astype(object)
        training = np.flatnonzero(fold != k)
        held = _rng(seed, "validation", k).permutation(training)[: max(1, round(params.validation * len(training)))]
        role[held] = "validation"
        parts.append(pd.DataFrame({"fold": k, "role": role, **{c: rows[c] for c in rows}}))
    return _sorted(pd.concat(parts, ignore_index=True))


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    keys = ["fold", "role", *[c for c in (*TRIAL_KEYS, "window") if c in table]]
    return table.sort_values(keys, ignore_index=True)


def trial_codes(index: pd.DataFrame) -> np.ndarray:
    """The trial of each row of *index* as a number, (n,): 0 for the first that comes."""
    return index.groupby(TRIAL_KEYS, sort=False).ngroup().to_numpy()


def role_rows(index: pd.DataFrame, folds: pd.DataFrame, fold: int, role: str) -> np.ndarray:
    """Row numbers of *index* (windows) that play *role* in *fold*, ascending."""
    part = folds[(folds["fold"] == fold) & (folds["role"] == role)]
    keys = [*TRIAL_KEYS, "window"] if "window" in folds else TRIAL_KEYS
    wanted = pd.MultiIndex.from_frame(part[keys])
    return np.flatnonzero(pd.MultiIndex.from_frame(index[keys]).isin(wanted))


def audit_folds(
    index: pd.DataFrame, folds: pd.DataFrame, protocol: str, content: Sequence[bytes] | None = None
) -> list[str]:
    """Every way in which a fold table leaks or is incomplete; an empty list is a proof that it does not.

    Checks: no trial stands in two roles of one fold; every trial of *index* has a role in each fold, and is tested
    exactly once (``sequential``: in its one fold no trial that is tested comes before one that trains or validates,
    within a person's session, in the order of *index*); no person (``loso``), session name (``session``) or clip
    (``stimulus``) stands on both sides; with *content* (one digest per window, see :func:`content_digests`) no two
    windows with the same samples stand on both sides.
    """
    problems = []
    for fold in sorted(folds["fold"].unique()):
        table = folds[folds["fold"] == fold]
        sides = {role: role_rows(index, folds, fold, role) for role in ROLES}
        test, rest = sides["test"], np.concatenate([sides["train"], sides["validation"]])
        problems += _shared(index, test, rest, TRIAL_KEYS, f"fold {fold}: trial in test and in training")
        problems += _shared(index, sides["validation"], sides["train"], TRIAL_KEYS,
                            f"fold {fold}: trial in validation and in training")
        unit = HELD_OUT.get(protocol)
        if unit:
            problems += _shared(index, test, rest, [unit], f"fold {fold}: {unit} in test and in training")
        if content is not None:
            twins = {content[i] for i in test} & {content[i] for i in rest}
            if twins:
                problems.append(f"fold {fold}: {len(twins)} windows with identical samples in test and in training")
        if any(len(rows) == 0 for rows in sides.values()):
            empty = [role for role, rows in sides.items() if len(rows) == 0]
            problems.append(f"fold {fold}: no windows for {' and '.join(empty)}")
        unknown = len(table) - len(table.merge(index[TRIAL_KEYS].drop_duplicates(), on=TRIAL_KEYS))
        if unknown:
            problems.append(f"fold {fold}: {unknown} rows name trials that the windows do not have")
        left_out = len(index) - sum(map(len, sides.values()))
        if left_out > 0:
            problems.append(f"fold {fold}: {left_out} windows have no role")
    if protocol == "sequential":
        return problems + _out_of_order(index, folds)
    tested = np.concatenate([role_rows(index, folds, int(k), "test") for k in folds["fold"].unique()])
    times = np.bincount(tested, minlength=len(index))
    if (times != 1).any():
        problems.append(f"{int((times != 1).sum())} windows are not tested exactly once")
    return problems


def _out_of_order(index: pd.DataFrame, folds: pd.DataFrame) -> list[str]:
    """Where a sequential table has more than one fold, or a person's session does not go train, validation, test."""
    n_folds = len(folds["fold"].unique())
    if n_folds != 1:
        return [f"{n_folds} folds instead of one"]
    problems = []
    trials = _in_order(index).merge(folds, on=TRIAL_KEYS)
    for (subject, session), part in trials.groupby(["subject", "session"], sort=True):
        places = part["role"].map(ROLES.index)
        if not places.is_monotonic_increasing:
            problems.append(f"subject {subject} session {session}: a later trial before an earlier one")
        if set(places) != {0, 1, 2}:
            problems.append(f"subject {subject} session {session}: no trial for one of {', '.join(ROLES)}")
    return problems


def _in_order(index: pd.DataFrame) -> pd.DataFrame:
    """One row for each trial, in the order in which the windows stand: that of the recording."""
    return index[[*TRIAL_KEYS, "session"]].drop_duplicates(TRIAL_KEYS, ignore_index=True)


def _shared(index: pd.DataFrame, left: np.ndarray, right: np.ndarray, keys: list[str], what: str) -> list[str]:
    a = pd.MultiIndex.from_frame(index.iloc[left][keys].drop_duplicates())
    b = pd.MultiIndex.from_frame(index.iloc[right][keys].drop_duplicates())
    both = a.intersection(b)
    return [f"{what}: {len(both)}, for example {' '.join(map(str, both[0]))}"] if len(both) else []


def content_digests(array: Iterable[np.ndarray], present: np.ndarray) -> list[bytes]:
    """A digest of each window's samples (n, C, W); absent windows get a digest of their own."""
    return [hashlib.blake2b(window.tobytes(), digest_size=16).digest() if there else row.to_bytes(8, "little")
            for row, (window, there) in enumerate(zip(array, present, strict=True))]


def require_honest(index: pd.DataFrame, folds: pd.DataFrame, protocol: str,
                   content: Sequence[bytes] | None = None) -> None:
    """Refuse a fold table the auditor finds fault with, unless the protocol is named ``leaky``."""
    if protocol == "leaky":
        return
    problems = audit_folds(index, folds, protocol, content)
    if problems:
        raise InputError(f"the fold table of protocol {protocol!r} is not honest: {'; '.join(problems)}; "
                         "make it again with the split stage.")
