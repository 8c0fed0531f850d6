"""The same comparison on several simulated cohorts: how much of it is the cohort.

A cohort is a simulator seed: other people, other trials, other sensors, the same generator. The spread between cohorts
answers what no interval over one cohort's people can: whether another draw of people would turn the order round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from himoe.core.errors import bad_input

REFERENCE = "himoe"
SCORES = ("ccc", "ccc_within")
CEILINGS = ("attainable_ccc", "attainable_ccc_within")
COPIED = ("set", "data", "run", "method", "seeds", "n_people", "n_trials", *SCORES, "ccc_low", "ccc_high", *CEILINGS,
          "converged")
# Hi-MoE minus the row's run, as that cohort's comparisons.csv has it.
COMPARED = ("difference", "low", "high", "p_holm", "verdict")
RATES = ("complete", "missing")  # rate 0 and the highest swept rate
COLUMNS = ("cohort", *COPIED, "missing_rate", *(f"{name}_{rate}" for rate in RATES for name in COMPARED))


def cohort_rows(cohort: int, metrics: Iterable[Mapping[str, Any]], comparisons: pd.DataFrame) -> pd.DataFrame:
    """One row per run of one cohort, columns ``COLUMNS``.

    Parameters
    ----------
    cohort : int
        The simulator's seed.
    metrics : iterable of mappings
        ``metrics/runs/<run>.json`` of each run: regression, no variants.
    comparisons : DataFrame
        ``metrics/comparisons.csv`` of the same runs.

    Raises
    ------
    InputError
        If a set has no run of Hi-MoE, or a run is not compared with it at two missing rates.
    """
    rows = []
    runs = list(metrics)
    reference = {values["set"]: values["run"] for values in runs if values["method"] == REFERENCE}
    for values in runs:
        if values["set"] not in reference:
            raise bad_input(f"cohort {cohort}", f"no run of {REFERENCE} on {values['set']}", "one to compare with",
                            "add it to the study's runs")
        row = {"cohort": cohort, **{key: values.get(key) for key in COPIED}}
        if values["method"] != REFERENCE:
            row |= _against(cohort, reference[values["set"]], str(values["run"]), comparisons)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _against(cohort: int, reference: str, run: str, comparisons: pd.DataFrame) -> dict[str, Any]:
    chosen = comparisons[(comparisons["reference"] == reference) & (comparisons["run"] == run)
                         & (comparisons["metric"] == "ccc")].sort_values("missing_rate")
    if len(chosen) != len(RATES) or chosen["missing_rate"].iloc[0] != 0:
        raise bad_input(f"comparisons of cohort {cohort}: {reference} and {run}",
                        f"missing rates {chosen['missing_rate'].tolist()}", "rate 0 and one above it",
                        "evaluate the study's runs again")
    found: dict[str, Any] = {"missing_rate": float(chosen["missing_rate"].iloc[1])}
    for rate, (_, line) in zip(RATES, chosen.iterrows(), strict=True):
        found |= {f"{name}_{rate}": line[name] for name in COMPARED}
    return found


def spread(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per set and method: mean and SD over cohorts of its scores, and of Hi-MoE's lead over it.

    Returns
    -------
    DataFrame
        set, data, method, cohorts, then ``<name>_mean`` and ``<name>_sd`` of the scores and differences, the ceilings'
        means, and ``better``, ``worse``: in how many cohorts Hi-MoE is, complete; ``..._missing``: at the highest
        rate. Best mean first within a set. SD (n − 1) is NaN with one cohort.
    """
    found = []
    for (name, data, method), group in rows.groupby(["set", "data", "method"], sort=False):
        row: dict[str, Any] = {"set": name, "data": data, "method": method, "cohorts": len(group)}
        for key in (*SCORES, *(f"difference_{rate}" for rate in RATES)):
            values = group[key].astype("float64")
            row |= {f"{key}_mean": values.mean(), f"{key}_sd": values.std(ddof=1)}
        row |= {key: group[key].astype("float64").mean() for key in CEILINGS}
        for word in ("better", "worse"):
            row |= {word: int((group["verdict_complete"] == word).sum()),
                    f"{word}_missing": int((group["verdict_missing"] == word).sum())}
        found.append(row)
    table = pd.DataFrame(found)
    order = {name: place for place, name in enumerate(dict.fromkeys(rows["set"]))}
    return table.sort_values(["set", "ccc_mean"], key=lambda column: column.map(order) if column.name == "set"
                             else -column, kind="stable").reset_index(drop=True)


def best_others(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per set, cohort and missing rate: the best other method and Hi-MoE's score minus its.

    The best one is chosen on the same predictions, which favours it.

    Returns
    -------
    DataFrame
        set, data, cohort, missing_rate, best, and ``COMPARED``.
    """
    found = []
    others = rows[rows["method"] != REFERENCE]
    for (name, data, cohort), group in others.groupby(["set", "data", "cohort"], sort=False):
        for rate in RATES:
            known = group[group[f"difference_{rate}"].notna()]
            if known.empty:
                continue
            best = known.sort_values(f"difference_{rate}", kind="stable").iloc[0]
            found.append({"set": name, "data": data, "cohort": cohort,
                          "missing_rate": 0.0 if rate == RATES[0] else best["missing_rate"], "best": best["method"],
                          **{key: best[f"{key}_{rate}"] for key in COMPARED}})
    return pd.DataFrame(found, columns=["set", "data", "cohort", "missing_rate", "best", *COMPARED])
