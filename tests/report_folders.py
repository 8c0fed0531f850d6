"""Small runs/ and metrics/ folders, as the train and evaluate stages write them, for tests of what prints and draws.

Every score in them is computed from the predictions in them. All numbers are seeded random ones.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from himoe.core.params import BootstrapParams, ReportParams
from himoe.scoring.metrics import METRICS, task_metrics
from himoe.scoring.results import (
    COST_COLUMNS,
    MEASURED,
    NETWORK,
    SCORED,
    RunResult,
    load_comparisons,
    load_cost,
    load_results,
)
from himoe.scoring.statistics import compare
from himoe.scoring.summary import run_metrics

BOOTSTRAP = BootstrapParams(draws=50, seed=0, level=0.95, swaps=999)
SETTINGS = ReportParams(figure_set="deap", baselines=("late_fusion", "features_gbdt"))
RATES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
MASK_SEEDS = (0, 1, 2)
CLOSED_FORM = ("features_ridge", "features_gbdt", "mean", "mean_subject", "mean_stimulus")
EPOCHS = 8
LEVELS = (0.9, 0.875, 0.8)  # that intervals of models of people held out aim at
SUBJECTS, FOLDS, WINDOWS, TRIALS = 3, 4, 5, 6
MODALITIES: dict[str, dict[str, tuple[str, ...]]] = {
    "deap": {"EEG+PPS": ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP"),
             "EEG+PPS+FACE": ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP", "FACE")},
    "dreamer": {"EEG+PPS": ("EEG", "ECG")},
    "amigos": {"EEG+PPS": ("EEG", "EDA", "ECG")},
}
DIMENSIONS = {"deap": ("valence", "arousal", "dominance", "liking"), "dreamer": ("valence", "arousal", "dominance"),
              "seed": ("valence",), "amigos": ("valence", "arousal", "dominance", "liking")}
SCALES = {"deap": (1.0, 9.0), "dreamer": (1.0, 5.0), "seed": (-1.0, 1.0), "hku956": (-10.0, 10.0)}
THRESHOLDS = {"dreamer": (3.0,), "seed": (-0.5, 0.5), "hku956": (0.0,)}
SESSIONS = {"seed": 3, "amigos": 2}
LABELS = {"deap": "DEAP", "dreamer": "DREAMER", "seed": "SEED", "amigos": "AMIGOS", "hku956": "HKU956"}
UNITS = ("AU1", "AU2", "AU4", "AU6", "AU9", "AU12", "AU25")
FACE_LABEL = "EfficientNet-B0, random weights (seed 0), 1 frame per second at 96 px; faces by Haar cascade"
NYQUIST = "because 64 Hz cannot hold what is above its Nyquist limit of 32 Hz."
BANDS = {"amigos": (f"ECG: 0.5-40 Hz asked, 0.5-28.8 Hz kept, {NYQUIST}",
                    f"EEG: 4-45 Hz asked, 4-28.8 Hz kept, {NYQUIST}")}
SFREQ_HZ = {"EEG": 512.0, "EOG": 512.0, "EMG": 512.0, "EDA": 64.0, "RSP": 64.0, "PPG": 128.0, "TEMP": 16.0,
            "ECG": 256.0, "FACE": 5.0}
# What a run reaches that knows the simulator's gains and lags, by data set (made up).
ATTAINABLE = {"deap": {"ccc": 0.912345, "ccc_within": 0.834567}, "dreamer": {"ccc": 0.876543, "ccc_within": 0.765432}}
MODEL = {"emotion_experts": 8, "modality_experts": 4, "soft_routing": True, "residual": True, "eeg_encoder": "bands",
         "signal_encoder": "cnn"}
DEFAULTS: dict[str, Any] = {"set": "deap", "protocol": "trial", "task": "regression", "method": "himoe",
                            "modalities": "EEG+PPS", "variant": "", "model": {}, "alignment": {},
                            "shuffle_labels": False, "classes": 2, "normalise": "person"}


def write_run(folder: Path, name: str, *, skill: float | None = None, seeds: tuple[int, ...] = (0, 1),
              simulated: bool = True, missing: str = "sampled", unconverged: int = 0,
              metrics: dict[str, Any] | None = None, **attributes: Any) -> None:
    """Write ``folder/runs/<name>/``, ``folder/scores/<name>/`` and ``folder/metrics/runs/<name>.json``.

    *attributes* are those of a run in params.yaml (``DEFAULTS`` holds the rest). *skill* in 0..1 is how close
    predictions come to the truth (default: by method); *metrics* overrides fields of the metrics file; *unconverged*
    models had not converged; closed-form methods get one seed.
    """
    unknown = set(attributes) - set(DEFAULTS)
    assert not unknown, f"unknown attributes {unknown}"
    run = DEFAULTS | attributes
    seeds = seeds[:1] if run["method"] in CLOSED_FORM else seeds
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    predictions = make_predictions(name, run, _skill(run, rng) if skill is None else skill, seeds, rng)
    sweep = make_sweep(name, run, predictions, rng)
    info = make_info(name, run, seeds, simulated, missing)
    target = folder / "runs" / name
    target.mkdir(parents=True)
    (folder / "metrics" / "runs").mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(target / "predictions.parquet", index=False)
    make_missing(predictions, rng).to_parquet(target / "predictions_missing.parquet", index=False)
    for place, seed in enumerate(seeds):  # what the tables read of its models
        (target / f"fold-00_seed-{seed}").mkdir()
        level = LEVELS[place] if run["protocol"] == "loso" else LEVELS[0]
        _write_json(target / f"fold-00_seed-{seed}" / "config.json", {"level": level})
    tables = {"sweep": with_intervals(sweep, run), "history": make_history(run, predictions, rng),
              "search": make_search(run, seeds, rng),
              "combinations": make_combinations(name, run, info["modalities"], sweep, rng),
              "routing": make_routing(name, run, info["modalities"], rng)}
    if "FACE" in info["modalities"] and run["method"] not in CLOSED_FORM:
        make_action_units(predictions, rng).to_parquet(target / "action_units.parquet", index=False)
    (folder / "scores" / name).mkdir(parents=True)
    for part, frame in tables.items():
        frame.to_csv((folder / "scores" / name if part in SCORED else target) / f"{part}.csv", index=False)
    _write_json(target / "run.json", info)
    write_facts(folder, info)
    closed = run["method"] in CLOSED_FORM
    ended = {"converged": None if closed else unconverged == 0, "unconverged_models": unconverged}
    _write_json(folder / "metrics" / "runs" / f"{name}.json", run_metrics(
        info, tables["history"], sweep, predictions, 0.0, BOOTSTRAP) | ended | (metrics or {}))


Reports = tuple[dict[str, RunResult], pd.DataFrame, pd.DataFrame]


@cache
def shared_reports() -> tuple[Path, Reports]:
    """A small set of runs that covers every table and figure: its folder, and what is read back. Change copies only.

    Written once for the tests of all processes: the first that asks writes, the others wait for it.
    """
    base = Path(tempfile.gettempdir()).parent  # pytest's own folder of this process, see conftest
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "reports"
    runs = report_runs()
    with FileLock(folder.with_suffix(".lock")):
        if (folder / "seconds.csv").is_file():  # what is written last
            return folder, (read_results(folder, list(runs)), load_comparisons(folder / "metrics"),
                            load_cost(folder / "metrics", folder / "seconds.csv"))
        for name, attributes in runs.items():
            write_run(folder, name, **attributes)
        return folder, finish_reports(folder, list(runs))


def finish_reports(folder: Path, names: list[str]) -> Reports:
    """Write comparisons.csv, cost.csv and seconds.csv of the runs that stand in *folder*, and read everything back."""
    results = read_results(folder, names)
    compare(results, BOOTSTRAP).to_csv(folder / "metrics" / "comparisons.csv", index=False)
    cost, seconds = make_cost(results), folder / "seconds.csv"
    cost.to_csv(folder / "metrics" / "cost.csv", index=False)
    make_seconds(cost).to_csv(seconds, index=False)
    return results, load_comparisons(folder / "metrics"), load_cost(folder / "metrics", seconds)


def read_results(folder: Path, names: list[str]) -> dict[str, RunResult]:
    """The runs that stand in *folder*."""
    return load_results(names, folder / "runs", folder / "scores", folder / "metrics")


def report_runs() -> dict[str, dict[str, Any]]:
    """Run name -> attributes: all below."""
    return {**plain_runs(), **face_runs(), **variant_runs(), **supplement_runs()}


def plain_runs() -> dict[str, dict[str, Any]]:
    """DEAP and DREAMER without faces: two modality sets, two protocols, both tasks, single modalities."""
    groups: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
        ("deap", {}, ("himoe", "late_fusion", "bilstm", "tacoformer", "ianet", "features_ridge", "features_gbdt",
                      "mean", "mean_stimulus")),
        ("deap4", {"modalities": "EEG+EOG+EMG+EDA"}, ("himoe", "late_fusion", "ianet", "features_gbdt")),
        ("dreamer", {"set": "dreamer"}, ("himoe", "late_fusion", "tacoformer", "features_ridge", "mean")),
        ("deap-loso", {"protocol": "loso"}, ("himoe", "late_fusion", "features_ridge", "mean_stimulus")),
        ("deap-class", {"task": "classification"}, ("himoe", "tacoformer", "mfst_rnn", "features_gbdt", "mean")),
        ("deap4-class", {"task": "classification", "modalities": "EEG+EOG+EMG+EDA"}, ("himoe", "husformer")),
        ("eeg", {"modalities": "EEG"}, ("himoe", "features_ridge", "features_gbdt")),
        ("eda", {"modalities": "EDA"}, ("himoe", "features_ridge")))
    return {f"{start}-{method}": {"method": method, **shared} for start, shared, methods in groups
            for method in methods}


def face_runs() -> dict[str, dict[str, Any]]:
    """DEAP with face video: every modality, and EEG with the face for high against low."""
    runs: dict[str, dict[str, Any]] = {}
    for method in ("himoe", "late_fusion", "cafnet", "features_gbdt", "mean"):
        runs[f"face-{method}"] = {"method": method, "modalities": "EEG+PPS+FACE"}
    for method in ("himoe", "cafnet"):
        runs[f"classface-{method}"] = {"method": method, "modalities": "EEG+FACE", "task": "classification"}
    return runs


def variant_runs() -> dict[str, dict[str, Any]]:
    """What is varied on DEAP, EEG+PPS: switches, numbers of experts, EEG front ends, leaks."""
    runs: dict[str, dict[str, Any]] = {}
    for variant, changes in (("no_emotion_experts", {"model": {"emotion_experts": 0}}),
                             ("no_alignment", {"alignment": {"weight": 0.0}}),
                             ("no_soft_routing", {"model": {"soft_routing": False}}),
                             ("no_residual", {"model": {"residual": False}}),
                             *((f"experts{n}", {"model": {"emotion_experts": n}}) for n in (1, 16))):
        runs[f"deap-{variant}"] = {"variant": variant, **changes}
    for method in ("himoe", "tacoformer"):
        runs[f"deap-front_eegnet-{method}"] = {"method": method, "variant": "front_eegnet",
                                               "model": {"eeg_encoder": "eegnet"}}
    runs["deap-leaky"] = {"protocol": "leaky", "skill": 0.97}
    runs["deap-shuffled"] = {"shuffle_labels": True, "skill": 0.0}
    runs["deap-leaky-shuffled"] = {"protocol": "leaky", "shuffle_labels": True, "skill": 0.9}
    return runs


def supplement_runs() -> dict[str, dict[str, Any]]:
    """SEED (three classes) and AMIGOS (ratings, and high against low), trials, days and people held out."""
    runs: dict[str, dict[str, Any]] = {}
    seed = {"set": "seed", "task": "classification", "classes": 3, "modalities": "EEG"}
    for protocol, method in (("loso", "himoe"), ("trial", "himoe"), ("trial", "tacoformer"), ("trial", "mean"),
                             ("session", "himoe"), ("session", "mean")):
        runs[f"seed-{protocol}-{method}"] = {**seed, "method": method, "protocol": protocol}
    for method in ("himoe", "features_gbdt"):
        runs[f"amigos-class-{method}"] = {"set": "amigos", "method": method, "task": "classification"}
        runs[f"amigos-session-{method}"] = {"set": "amigos", "method": method, "protocol": "session"}
    for method in ("himoe", "tacoformer", "mean"):
        runs[f"amigos-{method}"] = {"set": "amigos", "method": method}
    return runs


# --- the files, one function each ---------------------------------------------------------------------------------

def make_predictions(name: str, run: dict[str, Any], skill: float, seeds: tuple[int, ...],
                     rng: np.random.Generator) -> pd.DataFrame:
    """Truth moves within a trial and is the same in every run of a set and task; predictions follow it by *skill*."""
    dimensions = DIMENSIONS.get(run["set"], ("valence", "arousal"))
    low, high = SCALES.get(run["set"], (1.0, 9.0))
    index = pd.DataFrame([(f"s{s + 1:02d}", f"{t + 1:02d}", w, 2.0 * w, _fold(run, s, t, w), d)
                          for s, t, w, d in itertools.product(range(SUBJECTS), range(TRIALS), range(WINDOWS),
                                                              dimensions)],
                         columns=["subject", "trial", "window", "start_s", "fold", "dimension"])
    truth = np.random.default_rng(zlib.crc32(f"{run['set']}{run['shuffle_labels']}".encode()))
    middle, reach = (low + high) / 2, (high - low) / 2
    steps = truth.normal(0, 0.35, (SUBJECTS, TRIALS, WINDOWS, len(dimensions))).cumsum(axis=2)
    y = np.tanh(truth.normal(0, 0.6, (SUBJECTS, TRIALS, 1, len(dimensions))) + steps).ravel()
    frames = []
    for seed in seeds:
        guess = np.tanh(skill * y + (1 - skill) * rng.normal(0, 0.5, len(y)))
        if run["method"] == "mean":
            guess = np.full(len(y), y.mean())
        limits = np.linspace(-1, 1, run["classes"] + 1)[1:-1]
        classes = [np.searchsorted(limits, values).astype(float) for values in (y, guess)]
        if run["task"] == "regression":
            scores = [(middle + reach * values).round(6) for values in (y, guess)]
        else:
            scores = classes if run["classes"] > 2 else [(y > 0).astype(float), 1 / (1 + np.exp(-4 * guess))]
        frames.append(index.assign(run=name, seed=seed, missing_rate=0.0, y_true=scores[0], y_pred=scores[1]))
    columns = ["run", "fold", "seed", "missing_rate", "subject", "trial", "window", "start_s", "dimension", "y_true",
               "y_pred"]
    return pd.concat(frames, ignore_index=True)[columns]


def make_missing(predictions: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same windows at the highest missing rate: as many predictions are those of another window."""
    guess = predictions["y_pred"].to_numpy()
    wrong = rng.permutation(guess)
    mixed = np.where(rng.random(len(guess)) < RATES[-1], wrong, guess)
    return predictions.assign(missing_rate=RATES[-1], y_pred=mixed)


def make_sweep(name: str, run: dict[str, Any], predictions: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Scores of the predictions at rate 0; at other rates these, worse by the rate and a random bit."""
    found: list[tuple[Any, ...]] = []
    for (seed, fold), part in predictions.groupby(["seed", "fold"]):
        groups = {str(d): (g["y_true"].to_numpy(), g["y_pred"].to_numpy(), (g["subject"] + g["trial"]).to_numpy())
                  for d, g in part.groupby("dimension", sort=False)}
        for metric in task_metrics(run["task"], run["classes"]):
            values = {dimension: METRICS[metric](*arrays) for dimension, arrays in groups.items()}
            defined = [value for value in values.values() if not np.isnan(value)]
            values["mean"] = float(np.mean(defined)) if defined else float("nan")
            found += [(seed, fold, dimension, metric, value) for dimension, value in values.items()]
    scores = pd.DataFrame(found, columns=["seed", "fold", "dimension", "metric", "value"])
    masks = pd.DataFrame([(rate, mask) for rate in RATES for mask in (MASK_SEEDS if rate else (0,))],
                         columns=["missing_rate", "mask_seed"])
    sweep = scores.merge(masks, how="cross")
    loss = sweep["missing_rate"] * rng.uniform(0.5, 1.0, len(sweep))
    sweep["value"] = (sweep["value"] * (1 + np.where(sweep["metric"] == "mae", loss, -loss))).round(6)
    return sweep.assign(run=name)[["run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric", "value"]]


def with_intervals(sweep: pd.DataFrame, run: dict[str, Any]) -> pd.DataFrame:
    """The sweep with the coverage and width of intervals, where ratings are predicted."""
    if run["task"] != "regression":
        return sweep
    base = sweep[sweep["metric"] == "ccc"]
    place = base["fold"] + base["mask_seed"] / 10
    parts = [base.assign(metric="coverage", value=(0.93 - base["missing_rate"] / 10 + place / 100).round(6)),
             base.assign(metric="width", value=(5 + base["missing_rate"] + place / 10).round(6))]
    return pd.concat([sweep, *parts], ignore_index=True)


def make_combinations(name: str, run: dict[str, Any], modalities: list[str], sweep: pd.DataFrame,
                      rng: np.random.Generator) -> pd.DataFrame:
    """Scores by modality combination: the full one as in the sweep, others worse by what they lack."""
    rows: list[tuple[Any, ...]] = []
    m = len(modalities)
    if not run["method"].startswith("mean"):
        full = sweep[sweep["missing_rate"] == 0]
        for bits in itertools.product("10", repeat=m):
            count = bits.count("1")
            if count == 0 or (m > 6 and count not in (1, m - 1, m)):
                continue
            factor = 1.0 if count == m else (0.3 + 0.6 * count / m) * rng.uniform(0.9, 1.0)
            rows += [(name, seed, fold, "".join(bits), dimension, metric, round(value * factor, 6))
                     for seed, fold, dimension, metric, value in zip(
                         full["seed"], full["fold"], full["dimension"], full["metric"], full["value"], strict=True)]
    return pd.DataFrame(rows, columns=["run", "seed", "fold", "combination", "dimension", "metric", "value"])


def make_routing(name: str, run: dict[str, Any], modalities: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Gate (experts 0..2) and fusion (-1) weights; a header alone for methods without routing."""
    rows: list[tuple[Any, ...]] = []
    if run["method"] == "himoe":
        m = len(modalities)
        for bits in itertools.product("10", repeat=m):
            if bits.count("1") not in ((1, m - 1, m) if m > 6 else range(1, m + 1)):
                continue
            fusion = rng.dirichlet([4.0 if bit == "1" else 1.0 for bit in bits])
            for modality, weight in zip(modalities, fusion, strict=True):
                rows.append((name, "".join(bits), modality, -1, round(float(weight), 6)))
                rows += [(name, "".join(bits), modality, k, round(float(w), 6))
                         for k, w in enumerate(rng.dirichlet(np.ones(3)))]
    return pd.DataFrame(rows, columns=["run", "combination", "modality", "expert", "weight"])


def make_history(run: dict[str, Any], predictions: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """``EPOCHS`` epochs a fold and seed; the lowest validation loss is marked. Closed-form methods: none."""
    columns = ["epoch", "train_loss", "train_alignment", "validation_loss", "best", "fold", "seed"]
    rows: list[tuple[Any, ...]] = []
    if run["method"] not in CLOSED_FORM:
        for fold, seed in predictions[["fold", "seed"]].drop_duplicates().itertuples(index=False):
            train = 2.0 * np.exp(-np.arange(EPOCHS) / 3) + 0.5 + rng.normal(0, 0.02, EPOCHS)
            validation = train + 0.2 + 0.03 * np.arange(EPOCHS) + rng.normal(0, 0.05, EPOCHS)
            rows += [(epoch, round(train[epoch], 6), round(1.5 - 0.1 * epoch, 6), round(validation[epoch], 6),
                      epoch == int(np.argmin(validation)), fold, seed) for epoch in range(EPOCHS)]
    frame = pd.DataFrame(rows, columns=columns)
    return frame if run["method"] == "himoe" else frame.drop(columns="train_alignment")


def make_search(run: dict[str, Any], seeds: tuple[int, ...], rng: np.random.Generator) -> pd.DataFrame:
    """Three learning rates a fold and seed, the best one chosen. Closed-form methods: a header alone."""
    rows: list[tuple[Any, ...]] = []
    if run["method"] not in CLOSED_FORM:
        for fold, seed in itertools.product(range(_folds(run)), seeds):
            losses = rng.uniform(0.5, 1.5, 3).round(6)
            rows += [(fold, seed, trial, rate, losses[trial], trial == int(np.argmin(losses)))
                     for trial, rate in enumerate((0.002, 0.006, 0.012))]
    return pd.DataFrame(rows, columns=["fold", "seed", "trial", "learning_rate", "validation_loss", "chosen"])


def make_action_units(predictions: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Activations in every window but those of the second person's last trial, which has no video.

    Each unit follows the first dimension in its own measure; one a seed, fold, window and unit.
    """
    ids = ["run", "seed", "fold", "subject", "trial", "window"]
    seen = predictions[(predictions["subject"] != "s02") | (predictions["trial"] != f"{TRIALS:02d}")]
    seen = seen[seen["dimension"] == seen["dimension"].iloc[0]]
    parts = []
    for _, rows in seen.groupby(["seed", "fold"]):
        rated = ((rows["y_true"] - rows["y_true"].mean()) / rows["y_true"].std()).to_numpy()
        drives = {unit: 0.3 * (k - 2) * rated + rng.normal(-0.2 * k, 0.6, len(rows)) for k, unit in enumerate(UNITS)}
        wide = rows[ids].assign(**{unit: (1 / (1 + np.exp(-drive))).round(6) for unit, drive in drives.items()})
        parts.append(wide.melt(ids, var_name="action_unit", value_name="activation"))
    return pd.concat(parts, ignore_index=True)


def make_info(name: str, run: dict[str, Any], seeds: tuple[int, ...], simulated: bool,
              missing: str) -> dict[str, Any]:
    """run.json."""
    label = LABELS.get(run["set"], run["set"])
    modalities = MODALITIES.get(run["set"], {}).get(run["modalities"], tuple(run["modalities"].split("+")))
    closed = run["method"] in CLOSED_FORM
    size = 1000 + zlib.crc32(run["method"].encode()) % 90000
    return {
        "run": name, "method": run["method"], "set": run["set"], "protocol": run["protocol"], "task": run["task"],
        "modalities": list(modalities), "modality_set": run["modalities"], "variant": run["variant"],
        "shuffle_labels": run["shuffle_labels"], "normalise": run["normalise"], "model": MODEL | run["model"],
        "alignment": {"weight": 0.1} | run["alignment"],
        "training": {"epochs": EPOCHS, "batch_sequences": 16, "missing": missing, "seeds": list(seeds),
                     "search": {"trials": 3}},
        "source": "simulate" if simulated else "local", "simulated": simulated,
        "data": f"{label} (simulated)" if simulated else label,
        "label_source": "trial" if run["set"] == "amigos" else "continuous",
        "dimensions": list(DIMENSIONS.get(run["set"], ("valence", "arousal"))),
        "scale": list(SCALES.get(run["set"], (1.0, 9.0))),
        "thresholds": list(THRESHOLDS.get(run["set"], (5.0,))),
        "classes": run["classes"] if run["task"] == "classification" else None, "length_s": 4.0, "step_s": 2.0,
        "parameters": None if closed else size,
        "attainable": ATTAINABLE.get(run["set"]) if simulated and run["task"] == "regression" else None,
        "face": FACE_LABEL if "FACE" in modalities else None, "bands": list(BANDS.get(run["set"], ())),
    }


def write_facts(folder: Path, info: dict[str, Any]) -> None:
    """``folder/metrics/facts/<set>.json``, as the preprocess stage writes it; FACE counts where any run has it."""
    path = folder / "metrics" / "facts" / f"{info['set']}.json"
    path.parent.mkdir(exist_ok=True)
    known = json.loads(path.read_text())["modalities"] if path.is_file() else {}
    _write_json(path, {key: info[key] for key in ("set", "data", "simulated")}
                | make_facts(info["set"], (*known, *info["modalities"])))


def make_facts(dataset: str, used: tuple[str, ...]) -> dict[str, Any]:
    """The data set as read: every modality it has, whatever the run uses."""
    recorded = dict.fromkeys((*MODALITIES.get(dataset, {}).get("EEG+PPS", ()), *used))
    low, high = SCALES.get(dataset, (1.0, 9.0))
    return {
        "subjects": SUBJECTS, "trials_min": TRIALS, "trials_max": TRIALS, "recordings": SUBJECTS * TRIALS,
        "sessions": SESSIONS.get(dataset, 1),
        "modalities": {name: {"channels": 32 if name == "EEG" else 2, "sfreq_hz": SFREQ_HZ[name], "unit": "uV",
                              "recordings": SUBJECTS * TRIALS} for name in recorded},
        "dimensions": {d: [low + 0.25, high - 0.5] for d in DIMENSIONS.get(dataset, ("valence", "arousal"))},
        "scale": [low, high], "annotation": "continuous", "length_s": [12.0, 14.0],
    }


def make_cost(results: dict[str, RunResult]) -> pd.DataFrame:
    """cost.csv: one row per method, modality set, data set and front end."""
    found: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for result in results.values():
        m, key = result.metrics, _cost_key(result)
        adds = None if m["parameters"] is None else 37 * m["parameters"]
        if m["variant"] == "" or m["variant"].startswith("front_"):
            found.setdefault(key, (*key[:3], m["parameters"], adds, key[3], m["eeg_encoder"]))
    return pd.DataFrame(list(found.values()), columns=list(COST_COLUMNS))


def make_seconds(cost: pd.DataFrame) -> pd.DataFrame:
    """bench/cost.csv: seconds of the networks in *cost*, made up; per step where front ends are compared."""
    networks = cost[cost["multiply_adds"].notna()]
    places = networks[["method", "modality_set", "set"]].apply(tuple, axis=1)
    compared = places.isin(places[networks["variant"] != ""])
    steps = pd.Series(0.01 * np.arange(1, 1 + len(networks)), networks.index)
    return networks.assign(seconds_per_window=1e-4 + networks["multiply_adds"] * 1e-10, date="2031-02-03",
                           seconds_per_step=steps.where(compared), machine="Abacus 9")[[*NETWORK, *MEASURED]]


def _cost_key(run: RunResult) -> tuple[str, ...]:
    return tuple(run.metrics[key] for key in ("method", "modality_set", "set", "variant"))


def _fold(run: dict[str, Any], subject: int, trial: int, window: int) -> int:
    by = {"loso": subject, "session": trial, "leaky": window}
    return by.get(run["protocol"], subject + trial) % _folds(run)


def _folds(run: dict[str, Any]) -> int:
    return {"loso": SUBJECTS, "sequential": 1, "session": SESSIONS.get(run["set"], 1)}.get(run["protocol"], FOLDS)


def _skill(run: dict[str, Any], rng: np.random.Generator) -> float:
    base = {"himoe": 0.7, "features_ridge": 0.75, "features_gbdt": 0.6, "mean": 0.0, "mean_subject": 0.1,
            "mean_stimulus": 0.3}
    return base.get(run["method"], 0.5) - (0.15 if run["protocol"] == "loso" else 0.0) + 0.05 * rng.random()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
