"""The numbers behind figures and charts, as tidy frames: computed here once, drawn for the paper and for the page.

One row per mark. ``run`` is the run's name, ``label`` the method's printed one. A score is the mean over dimensions
unless a column ``dimension`` says otherwise; ``low`` and ``high`` are its 95 % interval unless a frame says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import ReportParams
from himoe.core.recordings import DIMENSIONS
from himoe.report import chosen
from himoe.report.chosen import OWN_METHOD, Results, family
from himoe.scoring.results import COST_COLUMNS, COUNTS, MEASURED, RunResult, plain_cost, sweep_curve

MEASURES = {"regression": {"CCC": "ccc", "within-trial CCC": "ccc_within"}, "classification": {"accuracy": "accuracy"}}
KINDS = {"validation loss": "validation_loss", "training loss": "train_loss"}
BINS = 10
NAMES = ["run", "method", "label"]


def score_frame(results: Results, task: str) -> pd.DataFrame:
    """Every plain run's pooled score: family, measure, names, score, low, high, ceiling, floor, order.

    ``order`` counts the runs of a family and measure: networks by falling score, then the floors likewise; runs
    without a score (NaN) are the last of their kind.
    """
    rows = [{"family": family(run), "measure": measure, **_names(run), "score": run.metrics.get(metric),
             "low": run.metrics.get(f"{metric}_low"), "high": run.metrics.get(f"{metric}_high"),
             "ceiling": run.attainable(metric), "floor": run.floor}
            for measure, metric in MEASURES[task].items() for run in chosen.scored_runs(results, task)]
    frame = pd.DataFrame(rows, columns=["family", "measure", *NAMES, "score", "low", "high", "ceiling", "floor"])
    frame = frame.astype(dict.fromkeys(("score", "low", "high", "ceiling"), float) | {"floor": bool})
    frame = frame.sort_values(["floor", "score"], ascending=[True, False], kind="stable")
    frame["order"] = frame.groupby(["family", "measure"]).cumcount()
    return frame.sort_index()


def overview_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """:func:`score_frame` of the main comparison, both measures in the order of the first."""
    frame = score_frame(results, "regression")
    frame = frame[frame["run"].isin([run.run for run in chosen.main_runs(results, settings).values()])]
    order = frame[frame["measure"] == "CCC"].set_index("run")["order"].rank().astype(int) - 1
    return frame.assign(order=frame["run"].map(order)).sort_values(["measure", "order"]).reset_index(drop=True)


def missing_frame(results: Results) -> pd.DataFrame:
    """Scores against missing rate: family, measure, names, rate, ccc, sd (over mask seeds), ceiling, low, high.

    ``low`` and ``high`` are an SD below and above; ``ceiling`` is what is attainable with nothing missing.
    """
    parts = []
    for run in chosen.swept_runs(results):
        sweep = run.part("sweep")
        for measure, metric in MEASURES["regression"].items():
            if (sweep["metric"] == metric).any():
                curve = sweep_curve(sweep, metric, "mean").dropna(subset=["mean"])
                curve = curve.rename(columns={"missing_rate": "rate", "mean": "ccc"})[["rate", "ccc", "sd"]]
                known = float(run.attainable(metric) or np.nan)
                parts.append(curve.assign(family=family(run), measure=measure, ceiling=known, **_names(run)))
    frame = _concat(parts, ["family", "measure", *NAMES, "rate", "ccc", "sd", "ceiling"])
    spread = frame["sd"].astype(float).fillna(0.0)
    return frame.assign(low=frame["ccc"] - spread, high=frame["ccc"] + spread, ceiling=frame["ceiling"].astype(float))


def trajectory_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """One row per method, window and dimension: names, subject, trial, time_s, dimension, truth, predicted, low, high.

    ``predicted`` is the mean over seeds, ``low`` and ``high`` its range over them; ``time_s`` is the window's middle.
    Trials stand in the order of :func:`himoe.report.chosen.trials_in_order`.

    Raises
    ------
    InputError
        If two runs have no trial in common, or other ratings or windows of one.
    """
    runs = list(chosen.trajectory_runs(results, settings).values())
    columns = [*NAMES, "subject", "trial", "time_s", "dimension", "truth", "predicted", "low", "high"]
    if not runs:
        return pd.DataFrame(columns=columns)
    trials = chosen.trials_in_order(in_common({run.run: run.part("predictions") for run in runs}))
    parts = [_over_time(run, trials) for run in runs]
    for (first, own), (run, part) in pairwise(zip(runs, parts, strict=True)):
        same = len(own) == len(part) and np.allclose(own["truth"], part["truth"], equal_nan=True)
        if not same or not (own[["window", "dimension"]] == part[["window", "dimension"]]).all(axis=None):
            raise bad_input(f"predictions of run {run.run!r}", f"other windows or ratings than in {first.run!r}",
                            "the same test trials in every run", "use runs of one data set with the same windows")
    truth = parts[0]["truth"]  # means over other seeds differ in the last digit
    return pd.concat([part.assign(truth=truth) for part in parts], ignore_index=True)[columns]


def in_common(predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The first frame's rows of trials that all of them hold; InputError if there is none."""
    pairs = [pd.MultiIndex.from_frame(frame[["subject", "trial"]]) for frame in predictions.values()]
    common = pairs[0].isin(set.intersection(*map(set, pairs)))
    if not common.any():
        raise bad_input(f"trajectories of {', '.join(predictions)}", "no test trial that all of them hold",
                        "at least one", "make these runs from one data set with the same folds")
    return next(iter(predictions.values()))[common]


def _over_time(run: RunResult, trials: pd.DataFrame) -> pd.DataFrame:
    """A run's rows of *trials*, in their order, then by dimension and window."""
    keys = ["place", "dimension", "window", "subject", "trial", "start_s"]
    rows = run.part("predictions").merge(trials.assign(place=range(len(trials))), on=["subject", "trial"])
    rows = rows.groupby(keys, as_index=False).agg(truth=("y_true", "mean"), low=("y_pred", "min"),
                                                  high=("y_pred", "max"), predicted=("y_pred", "mean"))
    return rows.assign(time_s=rows["start_s"] + float(run.info["length_s"]) / 2, **_names(run))


def trajectory_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """:func:`trajectory_frame` in short: mean true rating and mean absolute errors per trial and dimension."""
    keys = ["trial", "dimension"]
    error = frame.assign(error=(frame["predicted"] - frame["truth"]).abs(), label="MAE " + frame["label"])
    wide = error.pivot_table(index=keys, columns="label", values="error", sort=False)
    truth = frame.groupby(keys, sort=False)["truth"].mean().rename("mean true rating")
    return pd.concat([truth, wide], axis=1).reset_index()


def routing_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """Hi-MoE's routing weights: names, family, view, combination, words, order, modality, expert, column, weight.

    ``view`` is the fusion (expert -1) or a modality's experts, ``column`` where its weight goes; ``order`` counts a
    run's combinations, fullest first.
    """
    parts = []
    for run in chosen.plain_runs(results, settings, method=OWN_METHOD):
        weights = run.part("routing").groupby(["combination", "modality", "expert"], sort=False)["weight"].mean()
        table = weights.reset_index()
        fusion = table["expert"] == -1
        parts.append(table.assign(
            **_names(run), family=family(run), **_combinations(run, table["combination"]),
            view=np.where(fusion, "fusion weights", "experts of " + table["modality"].astype(str)),
            column=np.where(fusion, table["modality"], "expert " + table["expert"].astype(str))))
    return _concat(parts, [*NAMES, "family", "view", "combination", "words", "order", "modality", "expert", "column",
                           "weight"])


def combination_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """CCC when only some modalities are there: names, family, modality_set, combination, words, order, ccc, sd.

    Hi-MoE and the two baselines on each of Hi-MoE's modality sets; ``sd`` is over folds and seeds.
    """
    parts = []
    sets = [run.metrics["modality_set"] for run in chosen.plain_runs(results, settings, method=OWN_METHOD)]
    for modality_set in dict.fromkeys(sets):
        for run in chosen.with_baselines(results, settings, modality_set).values():
            scores = combination_scores(run).rename(columns={"mean": "ccc"})
            parts.append(scores.assign(**_names(run), family=family(run), modality_set=modality_set, **_combinations(
                run, scores["combination"])).sort_values("order"))
    return _concat(parts, [*NAMES, "family", "modality_set", "combination", "words", "order", "ccc", "sd"])


def combination_scores(run: RunResult, metric: str = "ccc") -> pd.DataFrame:
    """A run's score by modality combination: combination, mean, sd (over folds and seeds, NaN with one)."""
    table = run.part("combinations")
    rows = table[(table["metric"] == metric) & (table["dimension"] == "mean")]
    grouped = rows.groupby("combination")["value"]
    return pd.DataFrame({"mean": grouped.mean(), "sd": grouped.std(ddof=1)}).reset_index()


def _combinations(run: RunResult, combinations: pd.Series) -> dict[str, pd.Series]:
    """Words and order of a column of combinations."""
    modalities = list(run.info["modalities"])
    ordered, _ = chosen.shown_combinations(combinations, len(modalities), 2 ** len(modalities))
    words = {combination: chosen.in_words(combination, modalities) for combination in ordered}
    return {"words": combinations.map(words), "order": combinations.map(ordered.index)}


def calibration_frame(results: Results, settings: ReportParams, task: str = "regression") -> pd.DataFrame:
    """True against predicted rating, means in ``BINS`` bins: names, dimension, predicted, true, n (windows).

    Of the main comparison; ``dimension`` is ``all`` or one of the rated ones.
    """
    parts = []
    for run in chosen.main_runs(results, settings, task=task).values():
        rows = run.part("predictions")
        for dimension in ("all", *(d for d in DIMENSIONS if d in set(rows["dimension"]))):
            used = rows if dimension == "all" else rows[rows["dimension"] == dimension]
            parts.append(calibration_curve(used).assign(dimension=dimension, **_names(run)))
    return _concat(parts, [*NAMES, "dimension", "predicted", "true", "n"])


def calibration_curve(predictions: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Mean prediction and mean truth in *bins* quantile bins of the prediction: predicted, true, n; rising.

    Unlabelled rows are left out. Equal predictions share a bin, so a constant prediction gives one bin.
    """
    rows = predictions[predictions["y_true"].notna()]
    predicted, true = rows["y_pred"].to_numpy(float), rows["y_true"].to_numpy(float)
    if not np.isfinite(predicted).all():
        raise bad_input("predictions.parquet: y_pred", "values that are not finite", "a number for every test window",
                        "look for a diverged run")
    if len(rows) == 0:
        return pd.DataFrame({"predicted": [], "true": [], "n": []})
    inner = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    grouped = pd.DataFrame({"predicted": predicted, "true": true}).groupby(np.searchsorted(inner, predicted))
    return grouped.mean().assign(n=grouped.size()).reset_index(drop=True)


def training_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """Loss by epoch of the main comparison, over folds and seeds: names, part, epoch, loss (mean), low, high, fits.

    ``part`` is a key of ``KINDS``, ``low`` and ``high`` the range, ``fits`` how many had not stopped by that epoch.
    Where a model was fitted for each missing rate, those of rate 0 count. Methods fitted in one step have no rows.
    """
    parts = []
    for run in chosen.main_runs(results, settings).values():
        history = run.part("history")
        rows = history[history["rate"] == 0] if "rate" in history else history
        if rows["epoch"].nunique() < 2:
            continue
        for part, column in KINDS.items():
            losses = rows.groupby("epoch")[column]
            parts.append(pd.DataFrame({"loss": losses.mean(), "low": losses.min(), "high": losses.max(),
                                       "fits": losses.size()}).reset_index().assign(part=part, **_names(run)))
    return _concat(parts, [*NAMES, "part", "epoch", "loss", "low", "high", "fits"])


def cost_frame(results: Results, cost: pd.DataFrame, settings: ReportParams) -> pd.DataFrame:
    """CCC and costs of the main comparison, one row per method that has a row in *cost*.

    Columns: names, ccc, parameters, multiply_adds, seconds_per_window (NaN = not a network, or not measured).

    Raises
    ------
    InputError
        If *cost* lacks a column.
    """
    numbers = [*COUNTS, "seconds_per_window"]
    absent = [column for column in (*COST_COLUMNS, *MEASURED) if column not in cost]
    if absent:
        raise bad_input("cost.csv", f"no column {', '.join(absent)}", ", ".join((*COST_COLUMNS, *MEASURED)),
                        "run the stage cost again")
    rows: list[dict[str, Any]] = []
    cost = plain_cost(cost)
    for run in chosen.main_runs(results, settings).values():
        same = [cost[key] == run.metrics[key] for key in ("method", "set", "modality_set")]
        found = cost[np.logical_and.reduce(same)]
        if len(found):
            rows.append({**_names(run), "ccc": run.metrics.get("ccc"), **found.iloc[0][numbers]})
    frame = pd.DataFrame(rows, columns=[*NAMES, "ccc", *numbers])
    return frame.astype(dict.fromkeys(["ccc", *numbers], float))


def leak_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """CCC under each split of the same data: run, method, label (the plain method's), split, kind, ccc, low, high."""
    rows = [{"run": run.run, "method": run.metrics["method"], "label": chosen.method_label(run.metrics["method"]),
             "split": chosen.split_label(run), "kind": _leak_kind(run),
             **{key: run.metrics.get(f"ccc{key and '_' + key}") for key in ("", "low", "high")}}
            for run in chosen.leak_runs(results, settings)]
    columns = [*NAMES, "split", "kind", "ccc", "low", "high"]
    frame = pd.DataFrame(rows, columns=[*NAMES, "split", "kind", "", "low", "high"]).set_axis(columns, axis=1)
    return frame.astype(dict.fromkeys(columns[-3:], float))


def _leak_kind(run: RunResult) -> str:
    if run.metrics["shuffled_labels"]:
        return "labels shuffled"
    return "leaky split" if run.metrics["protocol"] == "leaky" else "honest split"


def experts_frame(results: Results, settings: ReportParams) -> pd.DataFrame:
    """CCC by number of emotion experts on the largest modality set that has several: run, experts, ccc, low, high."""
    runs = chosen.expert_runs(results, settings)
    rows = [{"run": run.run, "experts": chosen.n_experts(run), "ccc": run.metrics.get("ccc"),
             "low": run.metrics.get("ccc_low"), "high": run.metrics.get("ccc_high")}
            for run in runs if run.metrics["modality_set"] == runs[0].metrics["modality_set"]]
    frame = pd.DataFrame(rows, columns=["run", "experts", "ccc", "low", "high"])
    return frame.astype(dict.fromkeys(("ccc", "low", "high"), float)).drop_duplicates("experts")


def _names(run: RunResult) -> dict[str, str]:
    return {"run": run.run, "method": str(run.metrics["method"]), "label": run.named}


def _concat(parts: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    kept = [part for part in parts if len(part)]
    return pd.concat(kept, ignore_index=True)[columns] if kept else pd.DataFrame(columns=columns)
