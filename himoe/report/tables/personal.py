"""What ``make personal`` prints: CCC against the number of rated trials of a new person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from himoe.report.tables.render import to_markdown
from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.paper import METHOD_LABELS

CANDIDATES = ("as_fitted", "line", "heads", "low_rank")


def readme(rows: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """README.md of the folder; *about*: label of the data, seed, seeds looked at, sizes (:mod:`pipeline.personal`)."""
    usual, label = rows[rows["normalise"] == about["normalise"]], about["label"]
    tables = (_against_k(usual, "ccc", f"CCC against number of labelled trials of the new person: {label}", "low",
                         "high"),
              _against_k(usual, "gain", f"Gain in CCC over no label: {label}", "gain_low", "gain_high"),
              _against_k(usual, "mae", f"Mean absolute error, in rating points: {label}"),
              _policies(rows, label), _choices(usual, label))
    text = f"""# A model and one new person

Made by `make personal`. **{label}: simulated people and recordings**, seed {about["seed"]}. The method was developed on
simulated cohorts of the seeds {", ".join(map(str, about["looked_at"]))}; this one was run once, when all was settled.

{about["people"]} people with {about["trials"]} trials each, in {about["groups"]} groups; each group is met by models
fitted on the others. Each person's trials are dealt into {about["splits"]} parts. Each part is tested once, and the
other trials are what the person has recorded: their signals scale the person, and the ratings of the first k of them,
in random order, adapt the model (`Fitted.adapt`). So the tested trials are the same for every k and never among the k.
Intervals: 95 %, bootstrap over people and their trials. All numbers: [personal.csv](personal.csv).

"""
    said = "".join(f"- {_said(str(method), own)}\n" for method, own in usual.groupby("method", sort=False))
    return text + said + "\n" + "\n".join(to_markdown(table) for table in tables)


def _said(method: str, own: pd.DataFrame) -> str:
    """Whether labels help a method, as a sentence."""
    found = own[own["k"] > 0].reset_index(drop=True)
    place = int(found["gain"].to_numpy().argmax())
    parts = [f"largest gain {found['gain'][place]:+.3f} at k = {found['k'][place]}" if found["gain"][place] > 0
             else "no gain at any k"]
    helps, harms = (", ".join(str(k) for k in found["k"][flags]) for flags in (found["gain_low"] > 0,
                                                                            found["gain_high"] < 0))
    parts.append(f"the gain's interval is above 0 at k = {helps}" if helps
                 else "no gain's interval is above 0: labels were not shown to help")
    if harms:
        parts.append(f"it is below 0 at k = {harms}")
    return f"{METHOD_LABELS.get(method, method)} (simulated): {'; '.join(parts)}."


def _against_k(rows: pd.DataFrame, column: str, title: str, low: str | None = None, high: str | None = None) -> Table:
    ks = sorted(rows["k"].unique())
    lines: list[tuple[Cell, ...]] = []
    for method, own in rows.groupby("method", sort=False):
        by_k = own.set_index("k")
        lines.append((METHOD_LABELS.get(str(method), str(method)), *(
            Ours(float(by_k[column][k])) if low is None or high is None
            else Ours(float(by_k[column][k]), low=float(by_k[low][k]), high=float(by_k[high][k])) for k in ks)))
    return Table(f"personal_{column}", title, ("Method", *(f"k = {k}" for k in ks)), tuple(lines))


def _policies(rows: pd.DataFrame, label: str) -> Table:
    none = rows[rows["k"] == 0]
    names = list(dict.fromkeys(none["normalise"]))
    lines: list[tuple[Cell, ...]] = []
    for method, own in none.groupby("method", sort=False):
        found = own.set_index("normalise")
        lines.append((METHOD_LABELS.get(str(method), str(method)), *(
            Ours(float(found["ccc"][name]), low=float(found["low"][name]), high=float(found["high"][name]))
            for name in names)))
    return Table("personal_normalise", f"CCC without labels, by how people are scaled (`normalise`): {label}",
                 ("Method", *(f"`{name}`" for name in names)), tuple(lines))


def _choices(rows: pd.DataFrame, label: str) -> Table:
    there = [name for name in CANDIDATES if name in rows]
    lines: list[tuple[Cell, ...]] = [
        (METHOD_LABELS.get(str(row["method"]), str(row["method"])), int(row["k"]),
         *(f"{100 * row[name]:.0f} %" for name in there)) for _, row in rows[rows["k"] > 0].iterrows()]
    return Table("personal_chosen", f"How often each candidate was chosen: {label}", ("Method", "k", *there),
                 tuple(lines))
