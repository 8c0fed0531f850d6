"""Methods that meet sensors out of step: conditions as windows, models trained and tested under them, lags looked for.

Windows here carry features alone (every method of this comparison reads features), so that thirty conditions fit into
memory. Legend: n windows, M modalities, P features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from annotated_types import Ge

from himoe.core.errors import bad_input
from himoe.core.params import AsynchronyParams, RunParams
from himoe.core.parsing import checked, parse
from himoe.core.recordings import Recording, expand_modalities
from himoe.models.methods.himoe import HiMoE
from himoe.prepare.asynchrony import Asynchrony, SensorTiming
from himoe.prepare.lags import BOOTSTRAPS, LagScan, scan_lags
from himoe.prepare.masks import drop, evaluation_draws
from himoe.prepare.windowset import Windows
from himoe.scoring.asynchrony import ON_TIME
from himoe.scoring.convergence import ending
from himoe.training.estimators import MODEL, Estimator
from himoe.training.fitted import Fitted
from himoe.training.rundata import read_as_features

LENGTH_S, STEP_S = 4.0, 2.0
MASK_SEED = 11
NOW = "|"  # between a trial's name and the last window that has been seen of it
KEPT = ["subject", "trial", "window", "start_s", "dimension", "predicted", "rating"]
Sensors = Mapping[str, SensorTiming]


@checked
@dataclass(frozen=True)
class CohortParams:
    """Simulated people: the simulator's seed, how many with how many trials, and its signal-to-noise ratio."""

    seed: int
    people: int
    trials: int
    snr: float


@checked
@dataclass(frozen=True)
class MethodParams:
    """A row of the tables: a method and what it changes; ``asynchrony``: lags drawn in its training."""

    method: str
    alignment: dict = field(default_factory=dict)
    model: dict = field(default_factory=dict)
    asynchrony: dict = field(default_factory=dict)


@checked
@dataclass(frozen=True)
class StudyParams:
    """What is measured; the keys are explained in reports/asynchrony/conditions.yaml."""

    simulate: CohortParams
    looked_at: tuple[int, ...]
    groups: Annotated[int, Ge(2)]
    max_lag_s: float
    methods: dict
    trained: dict
    tested: dict
    scanned_s: tuple[float, ...]
    missing: tuple[float, ...]
    late: tuple[str, ...]
    shown: str


@dataclass(frozen=True)
class Study:
    """A study that was read: its parameters, its methods, and its conditions by name, groups of sensors spelled out."""

    params: StudyParams
    methods: Mapping[str, MethodParams]
    trained: Mapping[str, Sensors]
    tested: Mapping[str, Sensors]


def read_study(values: Mapping[str, Any], where: str, modalities: Sequence[str]) -> Study:
    """Read and check all of it, before anything is simulated; PPS and ALL mean those of *modalities*."""
    study = parse(StudyParams, values, where)
    methods = {name: parse(MethodParams, entry, where, f"methods.{name}") for name, entry in study.methods.items()}
    trained, tested = ({name: _sensors(entry, modalities, where, f"{kind}.{name}") for name, entry in part.items()}
                       for kind, part in (("trained", study.trained), ("tested", study.tested)))
    asked_for = [("trained", ON_TIME, trained), ("shown", study.shown, trained)]
    for key, name, known in asked_for + [("late", one, {ON_TIME: {}, **tested}) for one in study.late]:
        if name not in known:
            raise bad_input(f"{where}: {key}", f"no condition {name!r}", f"one of {', '.join(known) or 'none'}",
                            "correct the name or add the condition")
    for key, values_asked in (("scanned_s", study.scanned_s), ("missing", study.missing)):
        if 0.0 not in values_asked:
            raise bad_input(f"{where}: {key}", values_asked, "0 among them: all else is compared with it", "add it")
    for name, asked in methods.items():
        parse(AsynchronyParams, asked.asynchrony, where, f"methods.{name}.asynchrony")
        run = RunParams("deap", "trial", asked.method, tuple(modalities))
        if set(read_as_features(run, replace(MODEL, **asked.model))) != set(modalities):
            raise bad_input(f"{where}: methods.{name}.model", asked.model, "front ends that read features of windows",
                            "leave eeg_encoder and signal_encoder as they are: this comparison keeps features alone")
    return Study(study, methods, trained, tested)


def _sensors(entry: Mapping[str, Any], modalities: Sequence[str], where: str, key: str) -> Sensors:
    return {m: parse(SensorTiming, timing, where, f"{key}.{name}") for name, timing in entry.items()
            for m in expand_modalities(name, modalities)}


class Conditions:
    """Windows of the same trials under many conditions; a sensor's features are made once for each way it is timed."""

    def __init__(self, recordings: Sequence[Recording], form: Mapping[str, Any], seed: int) -> None:
        self.recordings, self.form, self.seed = list(recordings), dict(form), seed
        self.base = Windows.from_recordings(self.recordings, LENGTH_S, STEP_S, **self.form)
        self.made: dict[tuple[str, SensorTiming], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def windows(self, sensors: Sensors) -> Windows:
        """The windows under one condition, as features alone."""
        index, features = self.base.index.copy(), {}
        for m in self.base.modalities:
            complete, stamp_s, features[m] = self._sensor(m, sensors.get(m, SensorTiming()))
            index[f"completeness_{m}"], index[f"stamp_s_{m}"] = complete, stamp_s
        return light(self.base, index, features)

    def _sensor(self, modality: str, timing: SensorTiming) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if (modality, timing) not in self.made:
            own = [replace(one, signals={m: s for m, s in one.signals.items() if m == modality})
                   for one in self.recordings]
            part = Windows.from_recordings(own, LENGTH_S, STEP_S, **self.form,
                                           asynchrony=Asynchrony({modality: timing}, self.seed))
            self.made[modality, timing] = (part.index[f"completeness_{modality}"].to_numpy(),
                                           part.index[f"stamp_s_{modality}"].to_numpy(), part.features(modality))
        return self.made[modality, timing]


def light(base: Windows, index: pd.DataFrame, features: Mapping[str, np.ndarray]) -> Windows:
    """Windows (n) of *index* that hold *features* (n, P, 1) and, in place of signals, nothing."""
    arrays = {m: np.broadcast_to(np.float32(np.nan), (len(index), *base.arrays[m].shape[1:])) for m in features}
    return Windows(index.reset_index(drop=True), arrays, base.meta, None, dict(features))


def rows_of(windows: Windows, rows: np.ndarray, trial: np.ndarray | None = None) -> Windows:
    """Some *rows* of light windows; *trial*: other names of their trials."""
    index = windows.index.iloc[rows]
    return light(windows, index if trial is None else index.assign(trial=trial),
                 {m: windows.features(m)[rows] for m in windows.modalities})


def masked(windows: Windows, rate: float) -> Windows:
    """Each sensor of each window dropped with probability *rate*, the same ones for every method."""
    names = windows.modalities
    present = np.stack([windows.index[f"completeness_{m}"].to_numpy() > 0 for m in names], axis=1)
    kept = drop(present, evaluation_draws(windows.index, names, MASK_SEED), rate)
    index = windows.index.assign(**{f"completeness_{m}": np.where(kept[:, k], windows.index[f"completeness_{m}"], 0.0)
                                    for k, m in enumerate(names)})
    return light(windows, index, {m: windows.features(m) for m in names})


def live_predictions(model: Fitted, windows: Windows) -> pd.DataFrame:
    """Each window predicted from its trial up to itself, as a live system must: no future."""
    length = model.description.sequence_length
    rows, names = [], []
    trial, window = windows.index["trial"].to_numpy(str), windows.index["window"].to_numpy()
    for places in map(np.asarray, windows.index.groupby(["subject", "trial"], sort=False).indices.values()):
        for k in range(len(places)):
            rows.append(places[max(0, k + 1 - length):k + 1])
            names += [f"{trial[places[k]]}{NOW}{window[places[k]]}"] * len(rows[-1])
    frame = model.predict(rows_of(windows, np.concatenate(rows), np.array(names)))
    split = frame["trial"].str.rsplit(NOW, n=1)
    last = split.str[1].astype(int) == frame["window"]
    return frame.assign(trial=split.str[0])[last]


class Fit(NamedTuple):
    """One model: the row of the tables, the condition it is trained under, and the group of trials it never sees."""

    name: str
    condition: str
    group: int


@dataclass(frozen=True)
class Material:
    """What every fit shares: windows by condition, the group (n,) of each window's trial, and what is asked."""

    windows: Mapping[str, Windows]
    group: np.ndarray
    methods: Mapping[str, MethodParams]
    tested: Sequence[str]
    missing: Sequence[float]
    late: Sequence[str]


class Tested(NamedTuple):
    """What a model gave: predictions (``KEPT``, method, trained, tested, missing, live), learned lags, its ending."""

    predictions: pd.DataFrame
    lags: pd.DataFrame
    ending: pd.DataFrame


def fit_and_test(shared: Material, fit: Fit) -> Tested:
    """A model of all groups but one, and what it says of that one under everything that is asked."""
    asked = shared.methods[fit.name]
    estimator = type("Compared", (Estimator,), {"method": asked.method})(
        alignment=asked.alignment, model=asked.model, asynchrony=asked.asynchrony)
    seen, left = shared.group != fit.group, np.flatnonzero(shared.group == fit.group)
    model = estimator.fit(rows_of(shared.windows[fit.condition], np.flatnonzero(seen))).model_
    parts = []
    for tested, rate, live in asked_of(shared, fit.condition):
        windows = rows_of(shared.windows[tested], left)
        if rate:
            windows = masked(windows, rate)
        frame = live_predictions(model, windows) if live else model.predict(windows)
        parts.append(frame[KEPT].assign(tested=tested, missing=rate, live=live))
    found = pd.concat(parts, ignore_index=True).assign(method=fit.name, trained=fit.condition)
    return Tested(found, _learned(model, fit), _ended(model, fit))


def asked_of(shared: Material, condition: str) -> Iterator[tuple[str, float, bool]]:
    """(condition, missing rate, live) of every test of a model trained under *condition*."""
    yield condition, 0.0, False
    if condition == ON_TIME:
        yield condition, 0.0, True
        yield from ((name, 0.0, False) for name in shared.tested)
        yield from ((name, rate, False) for name in shared.late for rate in shared.missing if rate)


def _ended(model: Fitted, fit: Fit) -> pd.DataFrame:
    """How the training ended, one row; none for a method that is fitted in closed form."""
    if not model.method.gradient:
        return pd.DataFrame()
    return pd.DataFrame([{"method": fit.name, "trained": fit.condition, "group": fit.group,
                          **ending(model.history)._asdict()}])


def _learned(model: Fitted, fit: Fit) -> pd.DataFrame:
    method = model.method
    if not isinstance(method, HiMoE) or method.lags is None:
        return pd.DataFrame()
    lags_s = method.lags.lags_s().detach().numpy()
    return pd.DataFrame({"method": fit.name, "trained": fit.condition, "group": fit.group,
                         "modality": list(model.description.modalities), "lag_s": lags_s})


def deal(index: pd.DataFrame, groups: int, seed: int) -> np.ndarray:
    """(n,) the group of each window's trial: everybody's trials in random order, dealt out evenly."""
    group = np.zeros(len(index), dtype=int)
    for place, (_, rows) in enumerate(sorted(index.groupby("subject").indices.items())):
        trials = index["trial"].to_numpy(str)[rows]
        names = np.unique(trials)
        order = np.random.default_rng([seed, place]).permutation(len(names)) % groups
        group[rows] = order[np.searchsorted(names, trials)]
    return group


def lag_rows(conditions: Conditions, scanned_s: Sequence[float], max_lag_s: float) -> pd.DataFrame:
    """One row per sensor and lag put on all of them: what the scan finds, its interval, whether it is clear."""
    rows = []
    for injected_s in scanned_s:
        windows = conditions.windows(dict.fromkeys(conditions.base.modalities, SensorTiming(lag_s=injected_s)))
        for m, found in scanned(windows, np.arange(len(windows)), max_lag_s).items():
            rows.append({"modality": m, "injected_s": injected_s, "lag_s": found.lag_s, "low_s": found.low_s,
                         "high_s": found.high_s, "clear": found.clear, "gain": float(np.max(found.gain)),
                         "by": found.by})
    return pd.DataFrame(rows)


def person_rows(conditions: Conditions, max_lag_s: float) -> pd.DataFrame:
    """One row per person and sensor, all on time: the lag from everybody's trials, others' alone, and the person's own.

    Columns ``person``, ``modality``, ``everybody_s``, ``others_s`` (what somebody never met gets), ``own_s``.
    """
    windows = conditions.windows({})
    everybody = scanned(windows, np.arange(len(windows)), max_lag_s, 0)
    rows = []
    for person in np.unique(windows.groups):
        others = scanned(windows, np.flatnonzero(windows.groups != person), max_lag_s, 0)
        own = scanned(windows, np.flatnonzero(windows.groups == person), max_lag_s, 0)
        rows += [{"person": person, "modality": m, "everybody_s": found.lag_s, "others_s": others[m].lag_s,
                  "own_s": own[m].lag_s} for m, found in everybody.items()]
    return pd.DataFrame(rows)


def scanned(windows: Windows, rows: np.ndarray, max_lag_s: float, bootstraps: int = BOOTSTRAPS) -> dict[str, LagScan]:
    """The scan of some *rows* of light windows; a window of which less than half was recorded is absent."""
    index = windows.index.iloc[rows].reset_index(drop=True)
    features = {m: np.where(index[f"completeness_{m}"].to_numpy()[:, None] >= 0.5,
                            np.nan_to_num(windows.features(m)[rows, :, 0]), np.nan) for m in windows.modalities}
    return scan_lags(index, features, windows.labels[rows], max_lag_s, STEP_S, bootstraps=bootstraps)
