"""One registry entry per table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import ReportParams
from himoe.report.tables import (
    ablations,
    action_units,
    analysis,
    claims,
    convergence,
    datasets,
    fronts,
    intervals,
    rates,
    runs,
    scores,
    supplement,
)
from himoe.report.tables.rows import Inputs
from himoe.report.tables.table import Table
from himoe.scoring.results import RunResult

TABLES: dict[str, Callable[[Inputs], Table | None]] = {
    "claims": claims.claims,
    "table1": datasets.table1,
    "table2": scores.table2,
    "table3": rates.table3,
    "table4": scores.table4,
    "table5": scores.table5,
    "table6": scores.table6,
    "table7": datasets.table7,
    "table8": rates.table8,
    "table9": rates.table9,
    "table10": scores.table10,
    "seed": supplement.seed,
    "amigos": supplement.amigos,
    "ablations": ablations.ablations,
    "front_ends": fronts.front_ends,
    "encoders": fronts.encoders,
    "convergence": convergence.convergence,
    "leak_audit": runs.leak_audit,
    "whole_trials": runs.whole_trials,
    "experts": runs.experts,
    "combinations": analysis.combinations,
    "calibration": analysis.calibration,
    "intervals": intervals.intervals,
    "action_units": action_units.action_units,
    "search": analysis.search,
    "cost": analysis.cost,
    "scores": runs.scores,
}


def build_table(name: str, results: Mapping[str, RunResult], comparisons: pd.DataFrame, cost: pd.DataFrame,
                settings: ReportParams) -> Table | None:
    """One table of the report, None where no run belongs in it.

    Parameters
    ----------
    name : str
        A key of ``TABLES``.
    results : {run: RunResult}
        From ``himoe.scoring.results.load_results``; each table selects its runs by their attributes.
    comparisons, cost : DataFrame
        From ``himoe.scoring.results.load_comparisons`` and ``load_cost``.
    settings : ReportParams
        ``figure_set`` is the data set of Tables 3, 8, 9, ``experts`` and ``combinations``.

    Raises
    ------
    InputError
        For an unknown table, or files that are not what the stages write.
    """
    if name not in TABLES:
        raise bad_input("table", repr(name), "one of " + " ".join(TABLES), "correct the name")
    return TABLES[name](Inputs(results, comparisons, cost, settings))
