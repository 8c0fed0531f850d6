"""Runs to draw, written once: every figure of DEAP, and a small second set that lacks much."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawing import Material
from report_folders import SETTINGS, finish_reports, shared_reports, write_run

from himoe.core.params import ReportParams


@pytest.fixture(scope="session")
def deap() -> Material:
    """Results, settings and cost of nine methods, without faces; methods in closed form have no multiply-adds."""
    results, _, cost = shared_reports()[1]
    chosen = {name: run for name, run in results.items() if run.metrics["set"] == "deap"
              and "FACE" not in run.info["modalities"]}
    return chosen, SETTINGS, cost


@pytest.fixture(scope="session")
def face() -> Material:
    """Eight modalities, the face among them, beside the same methods without it."""
    results, _, cost = shared_reports()[1]
    names = {f"{start}-{method}" for start in ("deap", "face") for method in ("himoe", "late_fusion", "features_gbdt")}
    return {name: run for name, run in results.items() if name in names}, SETTINGS, cost


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """AMIGOS with trials and days held out, and windows shuffled."""
    folder: Path = tmp_path_factory.mktemp("days")
    runs = {f"{protocol}-{method}": {"set": "amigos", "protocol": protocol, "method": method}
            for protocol in ("leaky", "session", "trial") for method in ("himoe", "features_gbdt", "late_fusion")}
    for name, run in runs.items():
        write_run(folder, name, **run)
    results, _, cost = finish_reports(folder, list(runs))
    return results, ReportParams("amigos", SETTINGS.baselines), cost


@pytest.fixture(scope="session")
def amigos(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Six modalities, hence 63 combinations and a long name; not simulated, three seeds, two methods."""
    folder: Path = tmp_path_factory.mktemp("amigos")
    names = ["amigos-himoe", "amigos-late_fusion"]
    for name in names:
        write_run(folder, name, set="amigos", method=name.partition("-")[2], seeds=(0, 1, 2), simulated=False,
                  modalities="EEG+ECG+EDA+EOG+RSP+TEMP")
    results, _, cost = finish_reports(folder, names)
    return results, ReportParams("amigos", SETTINGS.baselines), cost


@pytest.fixture(scope="session")
def dreamer(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Two modalities, three dimensions, one seed, one rating per trial, few methods."""
    folder: Path = tmp_path_factory.mktemp("dreamer")
    names = [f"dreamer-{method}" for method in ("late_fusion", "himoe", "features_gbdt")]
    for name in names:
        write_run(folder, name, set="dreamer", method=name.partition("-")[2], seeds=(0,),
                  metrics={"label_source": "trial"})
    results, _, cost = finish_reports(folder, names)
    return results, ReportParams("dreamer", SETTINGS.baselines), cost
