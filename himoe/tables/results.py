"""Reading what the evaluate stage wrote, run by run, and checking what each run says about its data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from himoe.errors import bad_input
from himoe.files import read_json
from himoe.paper import METHOD_LABELS

REQUIRED = ("run", "method", "set", "protocol", "task", "modalities", "data", "simulated")

# Which of a run's tables each entry of ``reports`` draws on, besides its metrics and run.json.
PARTS: dict[str, str] = {
    "table3": "sweep", "table8": "sweep", "table9": "sweep", "figure3": "sweep",
    "figure2": "trajectories", "figure4a": "routing",
}
PART_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sweep": ("sweep.csv", ("run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric", "value")),
    "routing": ("routing.csv", ("run", "combination", "modality", "expert", "weight")),
    "trajectories": ("trajectories.parquet", ("subject", "trial", "window", "time_s", "dimension", "y_true",
                                              "y_pred", "y_low", "y_high")),
}
# Text whose digits must not become numbers ("0110" is not 110).
_TEXT = {"run": str, "combination": str, "modality": str, "subject": str, "trial": str}


@dataclass(frozen=True)
class RunResult:
    """One run's results: metrics (flat), info (run.json) and the tables that were asked for."""

    run: str
    metrics: Mapping[str, Any]
    info: Mapping[str, Any]
    sweep: pd.DataFrame | None = None
    routing: pd.DataFrame | None = None
    trajectories: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        for key in REQUIRED:
            if key not in self.metrics:
                raise bad_input(f"metrics of run {self.run!r}", f"no field {key!r}", "it to be there", _todo(self.run))
        if self.metrics["run"] != self.run:
            raise bad_input(f"metrics of run {self.run!r}: run", repr(self.metrics["run"]), repr(self.run),
                            _todo(self.run))
        check_provenance(f"metrics of run {self.run!r}", self.metrics)
        check_provenance(f"run.json of run {self.run!r}", self.info)
        if self.info["data"] != self.metrics["data"]:
            raise bad_input(f"run.json of run {self.run!r}: data", repr(self.info["data"]),
                            f"{self.metrics['data']!r} as in its metrics", _todo(self.run))

    @property
    def label(self) -> str:
        """The method's printed name, with what its parameters switch off; a leaky run says so."""
        method = str(self.metrics["method"])
        label = "".join([METHOD_LABELS.get(method, method), *(self._ablations() if method == "himoe" else ())])
        return f"{label} (leaky split)" if self.metrics["protocol"] == "leaky" else label

    def _ablations(self) -> list[str]:
        """What the run's parameters leave out of Hi-MoE, as read from its run.json."""
        model, alignment = self.info.get("model", {}), self.info.get("alignment", {})
        switched_off = {
            " without Emotion Expert Bank": model.get("emotion_experts") == 0,
            " without Cross-Modal Alignment": alignment.get("weight") == 0,
            " without Soft Routing": model.get("soft_routing") is False,
        }
        return [text for text, off in switched_off.items() if off]

    @property
    def data(self) -> str:
        """Where the numbers come from, e.g. ``"DEAP (simulated)"``."""
        return str(self.metrics["data"])

    def part(self, name: str) -> pd.DataFrame:
        """``sweep``, ``routing`` or ``trajectories``; InputError if it was not loaded."""
        frame = getattr(self, name)
        if frame is None:
            raise bad_input(f"run {self.run!r}", f"no {PART_FILES[name][0]}", "it to be loaded",
                            "load the run for this table or figure")
        return frame


def load_results(reports: Mapping[str, Any], metrics_dir: Path, evaluations_dir: Path) -> dict[str, RunResult]:
    """Read every run that *reports* (or a part of it) names, with the files its entries draw on.

    Raises
    ------
    InputError
        If a run's file is missing, or is not what the evaluate stage writes; names run, file and remedy.
    """
    needs: dict[str, set[str]] = {}
    for entry, roles in reports.items():
        for run in runs_of(roles):
            needs.setdefault(run, set()).update({PARTS[entry]} if entry in PARTS else set())
    return {run: _load_run(run, parts, Path(metrics_dir), Path(evaluations_dir)) for run, parts in needs.items()}


def runs_of(roles: Any) -> list[str]:
    """The run names in one entry of ``reports``, each once, in order."""
    if isinstance(roles, str):
        found: list[str] = [roles]
    elif isinstance(roles, Mapping):
        found = [run for run in roles.values() if run is not None]
    else:
        found = [run for row in roles for key, run in (row.items() if isinstance(row, Mapping) else [("run", row)])
                 if key not in ("method", "modalities", "label") and run is not None]
    return list(dict.fromkeys(found))


def find_run(results: Mapping[str, RunResult], run: str) -> RunResult:
    """The loaded result of *run*; InputError if there is none."""
    if run not in results:
        raise bad_input(f"run {run!r}", "no loaded result", "its metrics", _todo(run))
    return results[run]


def check_provenance(where: str, values: Mapping[str, Any]) -> None:
    """Raise InputError unless the flag ``simulated`` and the word in the label ``data`` agree."""
    flag, label = values.get("simulated"), values.get("data")
    if not isinstance(flag, bool) or not isinstance(label, str) or ("simulated" in label.lower()) != flag:
        raise bad_input(f"{where}: simulated and data", f"{flag!r} and {label!r}",
                        "a label with the word simulated exactly where the flag is true",
                        "correct the run's provenance before printing its numbers")


def provenance(results: Iterable[RunResult]) -> str:
    """The data labels of some runs, each once: what a title must carry."""
    return ", ".join(dict.fromkeys(result.data for result in results))


def sweep_curve(sweep: pd.DataFrame, metric: str = "ccc", dimension: str = "mean") -> pd.DataFrame:
    """A run's score against missing rate: columns missing_rate, mean, sd, undefined; one row a rate.

    Folds and seeds are averaged first (NaN left out and counted); SD is over mask seeds, NaN with only one.
    """
    rows = sweep[(sweep["metric"] == metric) & (sweep["dimension"] == dimension)]
    if rows.empty:
        raise bad_input("sweep.csv", f"no rows for {metric} of {dimension}", "some", "run the evaluate stage again")
    rows = rows.assign(missing_rate=rows["missing_rate"].round(4))
    by_mask = rows.groupby(["missing_rate", "mask_seed"])["value"].mean().groupby("missing_rate")
    undefined = rows["value"].isna().groupby(rows["missing_rate"]).sum()
    return pd.DataFrame({"mean": by_mask.mean(), "sd": by_mask.std(ddof=1), "undefined": undefined}).reset_index()


def _todo(run: str) -> str:
    return f"make it with `dvc repro evaluate@{run}`"


def _load_run(run: str, parts: set[str], metrics_dir: Path, evaluations_dir: Path) -> RunResult:
    metrics = read_json(_require(metrics_dir / f"{run}.json", run))
    info = read_json(_require(evaluations_dir / run / "run.json", run))
    for name, value in (("metrics", metrics), ("run.json", info)):
        if not isinstance(value, dict):
            raise bad_input(f"{name} of run {run!r}", type(value).__name__, "a JSON object", _todo(run))
    frames = {part: _read_part(evaluations_dir / run / PART_FILES[part][0], run, part) for part in sorted(parts)}
    return RunResult(run, metrics, info, **frames)


def _require(path: Path, run: str) -> Path:
    if not path.is_file():
        raise bad_input(path, f"no file for run {run!r}", "the evaluate stage's output", _todo(run))
    return path


def _read_part(path: Path, run: str, part: str) -> pd.DataFrame:
    _require(path, run)
    columns = PART_FILES[part][1]
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:  # the default float parser is off by one unit in the last place
            frame = pd.read_csv(path, dtype=_TEXT, float_precision="round_trip")
    except (ValueError, OSError) as error:
        raise bad_input(path, f"a file that cannot be read ({error})", f"the columns {', '.join(columns)}",
                        _todo(run)) from error
    absent = [column for column in columns if column not in frame]
    if absent:
        raise bad_input(path, f"no column {', '.join(absent)}", ", ".join(columns), _todo(run))
    return frame
