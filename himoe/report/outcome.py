"""The outcome in one sentence, and the block of README.md that is made, not typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import ReportParams
from himoe.report.chosen import (
    HELD_OUT,
    OWN_METHOD,
    Results,
    audited_runs,
    family,
    main_runs,
    scored_runs,
    split_label,
)
from himoe.report.tables.against import UNTESTABLE, at_rate
from himoe.report.tables.render import cell_text
from himoe.report.tables.rows import ATTAINABLE, attainable, method_name, ours, set_label
from himoe.report.tables.table import Table
from himoe.scoring.metrics import class_count
from himoe.scoring.results import RunResult

BEGIN, END = "<!-- results: begin (python -m pipeline.readme) -->", "<!-- results: end -->"
FEW = 3  # a column of README's table has more methods than this


def sentence(results: Results, comparisons: pd.DataFrame, settings: ReportParams) -> str:
    """Who wins on the runs that most charts show, by how much over (or before) Hi-MoE, and what is attainable."""
    runs = [run for run in main_runs(results, settings).values() if run.metrics.get("ccc") is not None]
    if not runs:
        return "No regression run to sum up."
    ranked = sorted(runs, key=lambda run: -run.metrics["ccc"])
    best, own = ranked[0], next((run for run in ranked if run.metrics["method"] == OWN_METHOD), None)
    text = f"{best.named} has the highest CCC on {family(best)}: {_score(best)}"
    if own is best and len(ranked) > 1:
        text += f", {_against(own, ranked[1], comparisons)} against {ranked[1].named}"
    elif own is not None and own is not best:
        text += f"; Hi-MoE has {_score(own)}, {_against(own, best, comparisons)} against it"
        network = next(run for run in ranked if not run.floor)
        if best.floor and network is not own:
            text += f", and {network.named}, the best network, {_score(network)}"
    ceiling = attainable(runs, "ccc")
    if ceiling is not None:
        text += f"; {cell_text(ceiling)} is attainable with the true gains and lags known"
    return f"{text}."


def readme_block(results: Results, comparisons: pd.DataFrame, claims: Table | None, settings: ReportParams) -> str:
    """README's results as Markdown between markers: sentence, picture, table, verdicts on the paper's claims."""
    simulated = all(run.metrics["simulated"] for run in results.values())
    parts = [BEGIN, sentence(results, comparisons, settings),
             "![CCC and within-trial CCC by method, with intervals, floors and ceiling](reports/figures/overview.png)",
             "CCC averaged over dimensions, classes: accuracy in percent [95 % interval, people and trials resampled]. "
             f"{'**All simulated**: methods compared under one generator, not on people. ' if simulated else ''}"
             "† our implementation. [How to read it](reports/tables/how_to_read.md); [all tables](reports/README.md).",
             results_table(results), claims_text(claims), leaks_text(results), END]
    return "\n\n".join(part for part in parts if part)


def replace_block(text: str, block: str, where: str = "README.md") -> str:
    """*text* with what stands between its markers replaced by *block*.

    Raises
    ------
    InputError
        If the two markers are not there exactly once, in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise bad_input(where, "no block of results", f"the lines {BEGIN!r} and {END!r}, once each",
                        "put them where the results belong")
    return text[:text.index(BEGIN)] + block + text[text.index(END) + len(END):]


def results_table(results: Results) -> str:
    """Methods down, data and splits across; the best of a column is bold."""
    columns: dict[str, list[RunResult]] = {}
    for run in scored_runs(results):
        columns.setdefault(_column(run), []).append(run)
    columns = {name: runs for name, runs in columns.items()
               if len(runs) > FEW and any(run.metrics["method"] == OWN_METHOD for run in runs)}
    methods = dict.fromkeys(run.metrics["method"] for runs in columns.values() for run in runs)
    order = sorted(methods, key=lambda method: (method != OWN_METHOD, method_name(method).endswith("(floor)")))
    best = {name: max(runs, key=_value) for name, runs in columns.items()}
    lines = [["Held out", *columns], ["---"] * (1 + len(columns))]
    for method in order:
        cells = [next((run for run in runs if run.metrics["method"] == method), None) for runs in columns.values()]
        lines.append([method_name(method), *(_cell(run, best) for run in cells)])
    ceilings = [attainable(runs, "ccc") if runs[0].metrics["task"] == "regression" else None
                for runs in columns.values()]
    if any(ceilings):
        lines.append([ATTAINABLE, *(cell_text(value) for value in ceilings)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if columns else ""


def claims_text(claims: Table | None) -> str:
    """The verdicts on the paper's claims, claims down and data sets across, from the table ``claims``."""
    if claims is None:
        return ""
    claim, data, verdict = (claims.columns.index(name) for name in ("Claim", "Our data", "Verdict"))
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in claims.rows:
        name, _, rate = str(row[claim]).partition(", ")
        found.setdefault((name, str(row[data])), {})[rate] = str(row[verdict])
    names, sets = (list(dict.fromkeys(key[k] for key in found)) for k in (0, 1))
    lines = [["The paper's claim ([evidence](reports/tables/claims.md))", *sets], ["---"] * (1 + len(sets)),
             *([name, *(_verdict(found.get((name, one), {})) for one in sets)] for name in names)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdict(by_rate: Mapping[str, str]) -> str:
    """``"supported (r = 0.00), untestable here (r = 0.40)"``; once where all rates agree."""
    if len(set(by_rate.values())) < 2:
        return next(iter(by_rate.values()), cell_text(None))
    return ", ".join(f"{verdict} ({rate})" for rate, verdict in by_rate.items())


def leaks_text(results: Results) -> str:
    """Hi-MoE under honest and leaky splits, with true labels and with shuffled ones; empty without a leaky run."""
    runs = [run for run in audited_runs(results) if run.metrics["method"] == OWN_METHOD]
    leaky = [run for run in runs if run.metrics["protocol"] == "leaky"]
    if not leaky:
        return ""
    same = [run for run in runs if run.metrics["protocol"] in ("trial", "leaky")
            and all(run.metrics[key] == leaky[0].metrics[key] for key in ("set", "modality_set"))]
    lines = [[f"Leak audit, Hi-MoE on {leaky[0].data}, {leaky[0].metrics['modality_set']}", "CCC"], ["---", "---"],
             *([split_label(run), _score(run)] for run in same)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _column(run: RunResult) -> str:
    classes = class_count(run.metrics)
    what = f", {classes} classes, %" if classes else ""
    return (f"{set_label(run.metrics['set'])}{' (simulated)' if run.metrics['simulated'] else ''}, "
            f"{HELD_OUT[run.metrics['protocol']].removesuffix(' held out')}, {run.metrics['modality_set']}{what}")


def _cell(run: RunResult | None, best: Mapping[str, RunResult]) -> str:
    if run is None:
        return cell_text(None)
    text = cell_text(ours(run, _metric(run)))
    marked = f"**{text}**" if best[_column(run)] is run else text
    return marked + (f", {run.not_converged}" if run.not_converged else "")


def _metric(run: RunResult) -> str:
    return "ccc" if run.metrics["task"] == "regression" else "accuracy"


def _value(run: RunResult) -> float:
    value = run.metrics.get(_metric(run))
    return float("-inf") if value is None else float(value)


def _score(run: RunResult) -> str:
    return cell_text(ours(run, "ccc"))


def _against(own: RunResult, other: RunResult, comparisons: pd.DataFrame) -> str:
    """``"-0.06 [-0.10, -0.05] (p = 0.008, worse)"``: Hi-MoE minus *other*, and what their test says, if any."""
    rows = at_rate(comparisons, 0.0)
    rows = rows[(rows["reference"] == own.run) & (rows["run"] == other.run)]
    if rows.empty or pd.isna(rows["difference"].iloc[0]):
        return f"{own.metrics['ccc'] - other.metrics['ccc']:+.2f}"
    row: Mapping[Any, Any] = rows.iloc[0].to_dict()
    verdict = str(row["verdict"])
    p = "" if verdict.startswith(UNTESTABLE) else f"p = {row['p_holm']:.2g}, "
    return f"{row['difference']:+.2f} [{row['low']:.2f}, {row['high']:.2f}] ({p}{verdict})"
