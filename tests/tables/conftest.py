"""One small set of runs for all table tests."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from report_folders import SETTINGS, Reports, shared_reports

from himoe.core.params import ReportParams
from himoe.report.tables import Table, build_table, to_csv


@pytest.fixture(scope="session")
def report_root() -> Path:
    return shared_reports()[0]


@pytest.fixture(scope="session")
def reports() -> Reports:
    return shared_reports()[1]


@pytest.fixture(scope="session")
def table(reports: Reports) -> Callable[..., Table]:
    """Build a table from the shared runs, or from those of them that are named; once where nothing differs."""

    @cache
    def whole(name: str) -> Table | None:
        return build_table(name, *reports, SETTINGS)

    def build(name: str, runs: list[str] | None = None, settings: ReportParams = SETTINGS) -> Table:
        results, comparisons, cost = reports
        chosen = results if runs is None else {run: results[run] for run in runs}
        same = runs is None and settings is SETTINGS
        made = whole(name) if same else build_table(name, chosen, comparisons, cost, settings)
        assert made is not None
        return made

    return build


@pytest.fixture(scope="session")
def frame() -> Callable[[Table], pd.DataFrame]:
    """A table as pandas reads its CSV."""
    return lambda made: pd.read_csv(io.StringIO(to_csv(made)), float_precision="round_trip")
