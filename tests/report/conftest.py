"""The page made from small folders, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from report_folders import SETTINGS, shared_reports

from himoe.report.page import build_page, build_readme
from himoe.report.tables import TABLES, Table, build_table
from himoe.scoring.results import RunResult


@dataclass(frozen=True)
class Made:
    """Everything the page is made from, and the page."""

    results: dict[str, RunResult]
    comparisons: pd.DataFrame
    cost: pd.DataFrame
    tables: dict[str, Table]
    page: str
    readme: str


@pytest.fixture(scope="session")
def made() -> Made:
    """Runs that cover every chart and table, their page and readme."""
    results, comparisons, cost = shared_reports()[1]
    built = {name: build_table(name, results, comparisons, cost, SETTINGS) for name in TABLES}
    tables = {name: table for name, table in built.items() if table is not None}
    digests = {f"runs/{run}/predictions.parquet": "0" * 64 for run in results}
    page = build_page(results, comparisons, tables, cost, SETTINGS, {"himoe": "0.1.0"}, digests)
    readme = build_readme(results, comparisons, tables, SETTINGS, ["figure2"])
    return Made(results, comparisons, cost, tables, page, readme)


@pytest.fixture(scope="session")
def page_file(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page on disk."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(made.page, encoding="utf-8", newline="\n")
    return path


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Callable[[int], Any]:
    """Open the page at a width in pixels; gives the browser when every chart is drawn."""

    def open_at(width: int) -> Any:
        browser.get_log("browser")
        browser.get_log("performance")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
        browser.get(page_file.as_uri())
        end = time.monotonic() + 30
        while not browser.execute_script("return document.documentElement.dataset.drawn"):
            assert time.monotonic() < end, f"charts not drawn: {browser.get_log('browser')}"
            time.sleep(0.1)
        return browser

    return open_at
