"""Reading what the train and evaluate stages wrote, run by run, and choosing runs by what they are.

Everything that prints or draws numbers starts here: ``load_results`` once, then ``select``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from himoe.core.checksums import checked
from himoe.core.errors import bad_input
from himoe.core.files import read_json
from himoe.scoring.paper import METHOD_LABELS, is_floor

REQUIRED = ("run", "method", "set", "protocol", "task", "modalities", "modality_set", "variant", "shuffled_labels",
            "data", "simulated")
REQUIRED_INFO = ("data", "simulated", "dimensions", "length_s")
_PREDICTION_COLUMNS = ("run", "fold", "seed", "missing_rate", "subject", "trial", "window", "start_s", "dimension",
                       "y_true", "y_pred")
# A run's tables: file and columns, as the train stage writes them (predictions_missing: at the highest swept rate,
# where there is one above 0; action_units only with FACE), those of ``SCORED`` as the evaluate stage does.
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "history": ("history.csv", ("epoch", "train_loss", "validation_loss", "best", "fold", "seed")),
    "search": ("search.csv", ("fold", "seed", "trial", "learning_rate", "validation_loss", "chosen")),
    "predictions": ("predictions.parquet", _PREDICTION_COLUMNS),
    "predictions_missing": ("predictions_missing.parquet", _PREDICTION_COLUMNS),
    "sweep": ("sweep.csv", ("run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric", "value")),
    "combinations": ("combinations.csv", ("run", "seed", "fold", "combination", "dimension", "metric", "value")),
    "routing": ("routing.csv", ("run", "combination", "modality", "expert", "weight")),
    "action_units": ("action_units.parquet", ("run", "seed", "fold", "subject", "trial", "window", "action_unit",
                                              "activation")),
}
SCORED = ("sweep", "combinations")
# p: swap test over trials (Holm's correction: p_holm); p_person, p_corrected: sensitivity, not corrected;
# power: of the swap test, to see a difference of ``effect``.
COMPARISON_COLUMNS = ("family", "reference", "run", "metric", "missing_rate", "people", "trials", "seeds", "difference",
                      "low", "high", "p", "p_holm", "p_person", "p_corrected", "effect", "power", "verdict")
COST_COLUMNS = ("method", "modality_set", "set", "parameters", "multiply_adds", "variant", "eeg_encoder")
COUNTS = ("parameters", "multiply_adds")
# What seconds belong to: a network that has changed since they were measured has other counts.
NETWORK = ("method", "modality_set", "set", "variant", *COUNTS)
MEASURED = ("seconds_per_window", "seconds_per_step", "machine", "date")

# What the front ends are called in print (model.eeg_encoder, model.signal_encoder).
EEG_LABELS = {"eegnet": "EEGNet", "power": "log power of learned filters", "bands": "log band powers"}
SIGNAL_LABELS = {"cnn": "small CNNs", "features": "features of each window"}
# What a switch of the models does, for runs whose variant has its name.
VARIANT_LABELS = {
    "no_residual": "without residual experts", "no_code_norm": "without norm of codes",
    "default_codes": "with default codes of absent modalities", "unbounded": "with unbounded heads",
    "no_context": "without context in time", "person_map": "with a linear map for each known person",
    "eegnet": "with EEGNet", "training_scaled": "scaled by everybody's statistics",
}

# Text whose digits must not become numbers ("0110" is not 110).
_TEXT = {"run": str, "reference": str, "combination": str, "modality": str, "subject": str, "trial": str}
_EXPERTS = re.compile(r"experts(\d+)")


@dataclass(frozen=True, eq=False)
class RunResult:
    """One run: ``metrics`` (flat), ``info`` (run.json), the folders with its tables, its scores, its set's facts."""

    run: str
    metrics: Mapping[str, Any]
    info: Mapping[str, Any]
    folder: Path
    scores: Path
    counted: Path
    _parts: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for key in REQUIRED:
            if key not in self.metrics:
                raise bad_input(f"metrics of run {self.run!r}", f"no field {key!r}", "it to be there",
                                _evaluate(self.run))
        for key in REQUIRED_INFO:
            if key not in self.info:
                raise bad_input(f"run.json of run {self.run!r}", f"no field {key!r}", "it to be there",
                                _train(self.run))
        if self.metrics["run"] != self.run:
            raise bad_input(f"metrics of run {self.run!r}: run", repr(self.metrics["run"]), repr(self.run),
                            _evaluate(self.run))
        check_provenance(f"metrics of run {self.run!r}", self.metrics)
        check_provenance(f"run.json of run {self.run!r}", self.info)
        if self.info["data"] != self.metrics["data"]:
            raise bad_input(f"run.json of run {self.run!r}: data", repr(self.info["data"]),
                            f"{self.metrics['data']!r} as in its metrics", _evaluate(self.run))

    @property
    def label(self) -> str:
        """The method's printed name, with its variant; a leaky split and shuffled labels are named."""
        label = _variant_label(str(self.metrics["method"]), str(self.metrics["variant"]), self.info)
        label += " (leaky split)" if self.metrics["protocol"] == "leaky" else ""
        return label + (" (labels shuffled)" if self.metrics["shuffled_labels"] else "")

    @property
    def data(self) -> str:
        """Where the numbers come from, e.g. ``"DEAP (simulated)"``."""
        return str(self.metrics["data"])

    @property
    def floor(self) -> bool:
        """Whether the method is a floor to beat (ridge, trees, means)."""
        return is_floor(str(self.metrics["method"]))

    @property
    def named(self) -> str:
        """The label, with ``(floor)`` where the method is one."""
        return self.label + (" (floor)" if self.floor else "")

    @property
    def not_converged(self) -> str:
        """``"not converged (3 of 12 models)"``; empty where every model stood still or there is nothing to train."""
        if self.metrics.get("converged") is not False:
            return ""
        return f"not converged ({self.metrics.get('unconverged_models')} of {self.metrics.get('models')} models)"

    def attainable(self, metric: str) -> float | None:
        """What a decoder that knows the simulator's gains and lags reaches in *metric*; None where unknown."""
        value = self.metrics.get(f"attainable_{metric}")
        return None if value is None else float(value)

    def facts(self) -> dict[str, Any]:
        """What the files of the run's data set hold (:func:`himoe.prepare.facts.merge_facts`).

        Raises
        ------
        InputError
            If the preprocess stage has not counted them, or counted other data than the run's.
        """
        dataset = str(self.metrics["set"])
        path, todo = self.counted / f"{dataset}.json", f"make it with `dvc repro preprocess@{dataset}`"
        found = _read_object(path, f"facts of {dataset}", todo)
        if found.get("data") != self.data:
            raise bad_input(f"{path}: data", repr(found.get("data")), f"{self.data!r} as in run {self.run!r}", todo)
        return found

    def has(self, name: str) -> bool:
        """Whether the file of one of ``PARTS`` is there."""
        return self._path(name).is_file()

    def part(self, name: str) -> pd.DataFrame:
        """One of ``PARTS``, read once; the frame is shared, so change a copy.

        Raises
        ------
        InputError
            If the file is missing, unreadable or lacks a column; names run, file and remedy.
        """
        if name not in PARTS:
            raise bad_input(f"run {self.run!r}", f"no part {name!r}", "one of " + " ".join(PARTS), "correct the name")
        if name not in self._parts:
            todo = _evaluate(self.run) if name in SCORED else _train(self.run)
            self._parts[name] = _read_table(self._path(name), PARTS[name][1], todo, f"run {self.run!r}")
        return self._parts[name]

    def _path(self, name: str) -> Path:
        return Path(self.scores if name in SCORED else self.folder) / PARTS[name][0]


def load_results(names: Iterable[str], runs_dir: Path, scores_dir: Path, metrics_dir: Path) -> dict[str, RunResult]:
    """The runs of *names*, in that order: ``<runs_dir>/<run>/``, ``<scores_dir>/<run>/``, and
    ``<metrics_dir>/runs/<run>.json``.

    Raises
    ------
    InputError
        If a run's file is missing, or is not what the stages write; names run, file and remedy.
    """
    results = {}
    for run in names:
        folder = Path(runs_dir) / run
        metrics = _read_object(Path(metrics_dir) / "runs" / f"{run}.json", f"metrics of run {run!r}", _evaluate(run))
        info = _read_object(folder / "run.json", f"run.json of run {run!r}", _train(run))
        results[run] = RunResult(run, metrics, info, folder, Path(scores_dir) / run, Path(metrics_dir) / "facts")
    return results


def load_comparisons(metrics_dir: Path) -> pd.DataFrame:
    """``comparisons.csv``: Hi-MoE against each other run at two missing rates, columns ``COMPARISON_COLUMNS``."""
    return _read_table(Path(metrics_dir) / "comparisons.csv", COMPARISON_COLUMNS, "make it with `dvc repro evaluate`",
                       "the comparisons")


def load_cost(metrics_dir: Path, seconds: Path) -> pd.DataFrame:
    """``cost.csv`` with what the file *seconds* (``bench/cost.csv``) says of the same networks.

    Columns ``COST_COLUMNS`` (counted) and ``MEASURED`` (NaN where no network with these counts was measured).
    ``variant`` is empty but for EEG front ends that are compared (``front_*``); seconds per step stand in their rows
    and in those of the runs they vary.

    Raises
    ------
    InputError
        If a file is missing or lacks a column, or measures a network twice.
    """
    path = Path(metrics_dir) / "cost.csv"
    counted = _networks(_read_table(path, COST_COLUMNS, "make it with `dvc repro cost`", "the cost"))
    return counted.merge(load_seconds(seconds)[[*NETWORK, *MEASURED]], how="left", on=list(NETWORK))


def load_seconds(path: Path) -> pd.DataFrame:
    """``bench/cost.csv``: what was measured of networks, where and when, columns ``NETWORK`` and ``MEASURED``.

    Raises
    ------
    InputError
        If the file is missing, lacks a column, or measures a network twice.
    """
    todo = "take the committed file (`git checkout`), or measure with `make cost`"
    frame = _networks(_read_table(Path(path), (*NETWORK, *MEASURED), todo, "measured seconds"))
    twice = frame[frame.duplicated(list(NETWORK))]
    if len(twice):
        raise bad_input(path, f"two lines of {', '.join(map(str, twice.iloc[0][list(NETWORK)]))}", "one per network",
                        "remove one")
    return frame


def measured_on(cost: pd.DataFrame) -> str:
    """Where and when the seconds in *cost* were measured; empty where it has none."""
    timed = cost.loc[cost["seconds_per_window"].notna(), ["machine", "date"]].drop_duplicates()
    return "; ".join(f"measured on {machine}, {date}" for machine, date in timed.itertuples(index=False))


def _networks(frame: pd.DataFrame) -> pd.DataFrame:
    """With the types that rows of one network are found by."""
    return frame.assign(variant=frame["variant"].fillna("").astype(str)).astype(dict.fromkeys(COUNTS, float))


def plain_cost(cost: pd.DataFrame) -> pd.DataFrame:
    """The rows of methods as they are, without compared front ends."""
    return cost[cost["variant"] == ""]


def select(results: Mapping[str, RunResult] | Iterable[RunResult], *, set: str | None = None,
           protocol: str | None = None, task: str | None = None, modality_set: str | None = None,
           method: str | None = None, variant: str | None = None, shuffled: bool | None = False) -> list[RunResult]:
    """The runs with these attributes, in the order of *results*.

    None = any; ``variant=""`` = the plain method; ``shuffled=None`` = with and without shuffled labels.
    """
    asked = {"set": set, "protocol": protocol, "task": task, "modality_set": modality_set, "method": method,
             "variant": variant, "shuffled_labels": shuffled}
    runs = results.values() if isinstance(results, Mapping) else results
    return [run for run in runs
            if all(value is None or run.metrics[key] == value for key, value in asked.items())]


def figure_protocol(results: Mapping[str, RunResult] | Iterable[RunResult], dataset: str) -> str:
    """What the figures of a data set show: whole trials held out, or its first other honest protocol."""
    found = [str(run.metrics["protocol"]) for run in select(results, set=dataset)]
    honest = [protocol for protocol in found if protocol != "leaky"]
    return "trial" if "trial" in honest or not honest else honest[0]


def main_modality_set(runs: Iterable[RunResult]) -> str | None:
    """The modality set of the main comparison among *runs* of one data set, split and task; None without runs.

    Hi-MoE's with the most methods; of equals that with the most modalities, then the first. Without Hi-MoE, of all.
    """
    methods: dict[str, dict[str, RunResult]] = {}
    for run in runs:
        methods.setdefault(str(run.metrics["modality_set"]), {}).setdefault(str(run.metrics["method"]), run)
    own = {name: found for name, found in methods.items() if "himoe" in found} or methods

    def size(name: str) -> tuple[int, int]:
        return len(own[name]), len(next(iter(own[name].values())).info["modalities"])

    return max(own, key=size) if own else None


def provenance(runs: Iterable[RunResult]) -> str:
    """The data labels of some runs, each once: what a title must carry."""
    return ", ".join(dict.fromkeys(result.data for result in runs))


def check_provenance(where: str, values: Mapping[str, Any]) -> None:
    """Raise InputError unless the flag ``simulated`` and the word in the label ``data`` agree."""
    flag, label = values.get("simulated"), values.get("data")
    if not isinstance(flag, bool) or not isinstance(label, str) or ("simulated" in label.lower()) != flag:
        raise bad_input(f"{where}: simulated and data", f"{flag!r} and {label!r}",
                        "a label with the word simulated exactly where the flag is true",
                        "correct the run's provenance before printing its numbers")


def sweep_curve(sweep: pd.DataFrame, metric: str = "ccc", dimension: str = "mean") -> pd.DataFrame:
    """A run's score against missing rate: columns missing_rate, mean, sd, undefined; one row per rate.

    Folds and seeds are averaged first (NaN left out and counted); SD is over mask seeds, NaN with only one.
    """
    rows = sweep[(sweep["metric"] == metric) & (sweep["dimension"] == dimension)]
    if rows.empty:
        raise bad_input("sweep.csv", f"no rows for {metric} of {dimension}", "some", "run the evaluate stage again")
    rows = rows.assign(missing_rate=rows["missing_rate"].round(4))
    by_mask = rows.groupby(["missing_rate", "mask_seed"])["value"].mean().groupby("missing_rate")
    undefined = rows["value"].isna().groupby(rows["missing_rate"]).sum()
    return pd.DataFrame({"mean": by_mask.mean(), "sd": by_mask.std(ddof=1), "undefined": undefined}).reset_index()


def _variant_label(method: str, variant: str, info: Mapping[str, Any]) -> str:
    plain = METHOD_LABELS.get(method, method)
    if variant:
        experts = _EXPERTS.fullmatch(variant)
        count = f"{plain} with {experts[1]} emotion expert{'' if experts[1] == '1' else 's'}" if experts else ""
        if variant == "seeds":
            return f"{plain}, {len(info['training']['seeds'])} seeds"
        if variant.startswith("front_"):
            return f"{plain}, {EEG_LABELS.get(info['model'].get('eeg_encoder'), variant.removeprefix('front_'))}"
        switch = f"{plain} {VARIANT_LABELS[variant]}" if variant in VARIANT_LABELS else ""
        named = METHOD_LABELS.get(f"{method}-{variant}") or count or switch
        return named or f"{plain}, {variant.replace('_', ' ')}"
    return plain + ("".join(_switched_off(info)) if method == "himoe" else "")


def _switched_off(info: Mapping[str, Any]) -> list[str]:
    """What the run's parameters leave out of Hi-MoE, for a run whose variant is not named."""
    model, alignment = info.get("model", {}), info.get("alignment", {})
    parts = {
        " without Emotion Expert Bank": model.get("emotion_experts") == 0,
        " without Cross-Modal Alignment": alignment.get("weight") == 0,
        " without Soft Routing": model.get("soft_routing") is False,
    }
    return [text for text, off in parts.items() if off]


def _train(run: str) -> str:
    return f"make it with `dvc repro train@{run}`"


def _evaluate(run: str) -> str:
    return f"make run {run!r} with `dvc repro train@{run} evaluate`"


def _read_object(path: Path, what: str, todo: str) -> dict[str, Any]:
    if not path.is_file():
        raise bad_input(path, f"no file ({what})", "a stage's output", todo)
    value = read_json(checked(path, todo))
    if not isinstance(value, dict):
        raise bad_input(what, type(value).__name__, "a JSON object", todo)
    return value


def _read_table(path: Path, columns: tuple[str, ...], todo: str, what: str) -> pd.DataFrame:
    if not path.is_file():
        raise bad_input(path, f"no file ({what})", "a stage's output", todo)
    checked(path, todo)
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:  # the default float parser is off by one unit in the last place
            frame = pd.read_csv(path, dtype=_TEXT, float_precision="round_trip")
    except (ValueError, OSError) as error:
        raise bad_input(path, f"a file that cannot be read ({error})", f"the columns {', '.join(columns)}",
                        todo) from error
    absent = [column for column in columns if column not in frame]
    if absent:
        raise bad_input(path, f"no column {', '.join(absent)}", ", ".join(columns), todo)
    return frame.astype({column: str for column in ("subject", "trial") if column in frame})
