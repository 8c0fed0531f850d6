"""What ``make cohorts`` prints: scores by cohort with their spread, and Hi-MoE against the best other method."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from himoe.report.tables.render import to_markdown
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.cohorts import best_others, spread
from himoe.scoring.paper import METHOD_LABELS, SET_LABELS


def cohort_scores(rows: pd.DataFrame, metric: str, label: str) -> Table:
    """*metric* (called *label*) of every method in every cohort, mean ± SD over cohorts and the ceiling."""
    cohorts = list(dict.fromkeys(rows["cohort"]))
    lines: list[tuple[Cell, ...]] = []
    for _, found in spread(rows).iterrows():
        own = rows[(rows["set"] == found["set"]) & (rows["method"] == found["method"])].set_index("cohort")[metric]
        lines.append((SET_LABELS.get(found["set"], found["set"]), METHOD_LABELS.get(found["method"], found["method"]),
                      *(_ours(own.get(cohort)) for cohort in cohorts),
                      _ours(found[f"{metric}_mean"], found[f"{metric}_sd"])))
    for name in dict.fromkeys(rows["set"]):
        own = rows[rows["set"] == name].groupby("cohort")[f"attainable_{metric}"].first().astype("float64")
        if own.notna().any():
            lines.append((SET_LABELS.get(name, name), "Attainable (true gains and lags known)",
                          *(_ours(own.get(cohort)) for cohort in cohorts), _ours(own.mean(), own.std(ddof=1))))
    return Table(f"cohorts_{metric}", f"{label} by cohort: {_data(rows)}",
                 ("Set", "Method", *(f"Cohort {cohort}" for cohort in cohorts), "Mean ± SD"), tuple(lines))


def cohort_verdicts(rows: pd.DataFrame) -> Table:
    """Hi-MoE minus the best other method of each cohort at both missing rates, with that cohort's verdict."""
    lines: list[tuple[Cell, ...]] = [
        (SET_LABELS.get(found["set"], found["set"]), int(found["cohort"]), f"{found['missing_rate']:g}",
         METHOD_LABELS.get(found["best"], found["best"]),
         _ours(found["difference"], low=found["low"], high=found["high"]), float(found["p_holm"]), found["verdict"])
        for _, found in best_others(rows).iterrows()]
    return Table("cohorts_verdicts", f"Hi-MoE minus the best other method, CCC: {_data(rows)}",
                 ("Set", "Cohort", "Missing rate", "Best other method", "Difference", "p (Holm)", "Hi-MoE is"),
                 tuple(lines),
                 ("The best other method was chosen on the same predictions, which favours it.",
                  "Interval and p are within one cohort (people and trials resampled; swap test over trials); the SD "
                  "above is between cohorts."))


def readme(rows: pd.DataFrame) -> str:
    """The page beside ``cohorts.csv``."""
    cohorts = list(dict.fromkeys(rows["cohort"]))
    seeds = int(rows["seeds"].max())
    head = (f"# The main comparison on {len(cohorts)} cohorts\n\n"
            f"Made by `make cohorts` with [params.yaml](params.yaml). **Simulated: {_data(rows)}**. A cohort is a seed "
            f"of the simulator ({', '.join(map(str, cohorts))}): other people and recordings, the same generator. "
            f"Whole trials are held out; {seeds} training seed{'s' if seeds > 1 else ''} for every network. Each run: "
            "[cohorts.csv](cohorts.csv); mean and SD over cohorts: [spread.csv](spread.csv).\n\n")
    tables = (cohort_scores(rows, "ccc", "CCC"), cohort_scores(rows, "ccc_within", "Within-trial CCC"),
              cohort_verdicts(rows))
    return head + "\n".join(to_markdown(table) for table in tables)


def _data(rows: pd.DataFrame) -> str:
    return ", ".join(dict.fromkeys(rows["data"]))


def _ours(value: Any, sd: Any = None, low: Any = None, high: Any = None) -> Ours:
    return Ours(_number(value), _number(sd), _number(low), _number(high))


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
