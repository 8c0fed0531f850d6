"""``reports/index.html`` and ``reports/README.md`` from results, tables and charts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import pandas as pd
import vl_convert
from markupsafe import Markup

from himoe.core.errors import InputError
from himoe.core.params import ReportParams
from himoe.report import outcome, summary
from himoe.report.block import Block
from himoe.report.blocks import build_blocks
from himoe.report.chosen import Results
from himoe.report.encodings import Material, main_family
from himoe.report.looks import swatch
from himoe.report.markup import breakable, html_frame, html_table
from himoe.report.tables import Table
from himoe.report.tables.arrange import common_notes, reading_markdown, rewritten, said_once, without_notes
from himoe.report.tables.reading import READING, contradictions

VEGA_LITE = "6.4"
FIRST = "scores"  # the chart of the first screen
COMMON = "Notes of several tables, unless one says otherwise"
SNIPPET = "window.vegaEmbed = vegaEmbed;"  # what the bundle gives to the page
COMMANDS: tuple[tuple[str, str], ...] = (
    ("make repro", "everything, from raw files to this page"),
    ("dvc repro report", "this page and what it needs; only what changed runs again"),
    ("dvc repro train@<run>", "one run"),
    ("dvc exp run -S key=value", "an experiment with one parameter changed"),
    ("dvc plots show", "the charts of the run `main`"),
    ("sha256sum <file>", "a digest below; the same code, data, parameters and machine give the same"),
)


def build_page(results: Results, comparisons: pd.DataFrame, tables: Mapping[str, Table], cost: pd.DataFrame,
               settings: ReportParams, versions: Mapping[str, str], digests: Mapping[str, str] | None = None,
               commands: Sequence[tuple[str, str]] = COMMANDS) -> str:
    """The report as one HTML page that needs no network.

    Parameters
    ----------
    results : {run: RunResult}
        From ``himoe.scoring.results.load_results``.
    comparisons, cost : DataFrame
        From ``himoe.scoring.results.load_comparisons`` and ``load_cost``.
    tables : {name: Table}
        In the order to print them.
    settings : ReportParams
        Which data set the charts show, and the two baselines beside Hi-MoE.
    versions : {package: version}
        What made the numbers.
    digests : {file: SHA-256 in hex}
        Of each run's predictions and metrics.
    commands : sequence of (command, what it does)
        How to make it again.

    Returns
    -------
    str
        HTML; the same inputs give the same text.

    Raises
    ------
    InputError
        If there are no results.
    """
    if not results:
        raise InputError("params.yaml: runs: found no runs, expected at least one; name one.")
    material = Material(results, cost, settings)
    simulated = [bool(run.metrics["simulated"]) for run in results.values()]
    say = said_once if all(simulated) else str  # the badge says it for all
    blocks = [block.rewritten(say) for block in build_blocks(material)]
    first = next((block for block in blocks if block.name == FIRST), None)
    return _environment().get_template("page.html").render(
        css=_asset("page.css"), js=_asset("page.js"), vega=_bundle(), specs=_script_json(blocks),
        banner=summary.banner(results), simulated=any(simulated),
        sentence=say(outcome.sentence(results, comparisons, settings)), first=first,
        blocks=[block for block in blocks if block is not first],
        block_tables={block.name: html_frame(block.data, f"numbers-{block.name}", block.title) for block in blocks},
        contradictions=contradictions(), commands=commands, versions=dict(sorted(versions.items())),
        digests=digests or {}, **_tables_shown(material, comparisons, tables, say))


def _tables_shown(material: Material, comparisons: pd.DataFrame, tables: Mapping[str, Table],
                  say: Callable[[str], str]) -> dict[str, Any]:
    """The template's tables, each ready to print; a note of many of them is said once, among ``reading``."""
    headline = summary.headline(material.results, comparisons, main_family(material))
    texts = [say(text) for text, _ in headline]
    plain = {"data": summary.data_table(material.results), **tables, "differences": summary.difference_table(tables)}
    every = [rewritten(table, say) for table in [*(table for _, table in headline), *plain.values()]]
    common = common_notes(every)
    ready = [html_table(without_notes(table, common)) for table in every]
    named = dict(zip(plain, ready[len(texts):], strict=True))
    reading = [*READING, *([(COMMON, " ".join(common))] if common else [])]
    return {"headline": list(zip(texts, ready, strict=False)), "claims": named.get("claims"),
            "data": named["data"], "differences": named["differences"], "reading": reading,
            "tables": [table for name, table in named.items() if name not in ("claims", "data", "differences")]}


def build_readme(results: Results, comparisons: pd.DataFrame, tables: Mapping[str, Table], settings: ReportParams,
                 figures: Sequence[str] = ()) -> str:
    """The report as Markdown for a forge; *figures* are file stems in ``figures/``."""
    say = said_once if all(run.metrics["simulated"] for run in results.values()) else str
    headline = summary.headline(results, comparisons)
    shown = {"data": summary.data_table(results), **tables, "differences": summary.difference_table(tables)}
    every = [rewritten(table, say) for table in [*(table for _, table in headline), *shown.values()]]
    common = common_notes(every)
    texts = [Markup(reading_markdown(without_notes(table, common))) for table in every]
    reading = [*READING, *([(COMMON, " ".join(common))] if common else [])]
    return _environment().get_template("readme.md").render(
        banner=Markup(summary.banner(results)),
        contents=[(name, Markup(table.title.split(": ")[0])) for name, table in shown.items()],
        headline=list(zip([Markup(say(text)) for text, _ in headline], texts, strict=False)),
        tables=list(zip(shown, texts[len(headline):], strict=True)),
        sentence=Markup(say(outcome.sentence(results, comparisons, settings))),
        reading=[(Markup(term), Markup(text)) for term, text in reading],
        contradictions=[Markup(text) for text in contradictions()], figures=list(figures),
        commands=[(Markup(command), text) for command, text in COMMANDS])


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("himoe.report"), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["swatch"] = swatch
    environment.filters["breakable"] = breakable
    return environment


def _asset(name: str) -> Markup:
    """A style sheet or script of ours, to stand in the page as it is."""
    return Markup(resources.files("himoe.report").joinpath("templates", name).read_text(encoding="utf-8"))


@cache
def _bundle() -> Markup:
    """Vega, Vega-Lite and Vega-Embed; nothing in it may end the script element."""
    return Markup(vl_convert.javascript_bundle(SNIPPET, VEGA_LITE).replace("</script", r"<\/script"))


def _script_json(blocks: Sequence[Block]) -> Markup:
    """The charts' specifications as JSON that can stand inside a script element."""
    specs = {spec["id"]: {key: value for key, value in spec.items() if key != "id"}
             for block in blocks for spec in block.specs}
    text = json.dumps(specs, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", r"\u003c").replace("\u2028", r"\u2028").replace("\u2029", r"\u2029"))
