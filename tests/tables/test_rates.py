"""Tables 3, 8 and 9: CCC against missing rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_folders import ATTAINABLE, MASK_SEEDS, RATES, SETTINGS, finish_reports, plain_runs, write_run

from himoe.report.tables import Table, build_table

Build = Callable[..., Table]
HEADS = [f"r = {rate:.2f}" for rate in RATES]


@pytest.mark.parametrize("name, run", [("table3", "face-late_fusion"), ("table8", "deap-late_fusion"),
                                       ("table9", "deap4-late_fusion")])
def test_our_numbers_are_numpy(table: Build, frame: Callable[[Table], pd.DataFrame], report_root: Path, name: str,
                               run: str) -> None:
    made = frame(table(name))
    sweep = pd.read_csv(report_root / "scores" / run / "sweep.csv")
    sweep = sweep[(sweep["metric"] == "ccc") & (sweep["dimension"] == "mean")]
    row = made[made["Method"] == "Late Fusion (2017) †"].iloc[0]
    for rate in RATES:
        masks = [sweep[(sweep["missing_rate"] == rate) & (sweep["mask_seed"] == mask)]["value"].to_numpy().mean()
                 for mask in (MASK_SEEDS if rate else (0,))]
        assert row[f"r = {rate:.2f}"] == pytest.approx(np.mean(masks), rel=1e-12)
        if rate:
            assert row[f"r = {rate:.2f} sd"] == pytest.approx(np.std(masks, ddof=1), rel=1e-12)


def test_the_papers_lines_stand_beside_ours(table: Build, frame: Callable[[Table], pd.DataFrame]) -> None:
    made = frame(table("table3", list(plain_runs())))
    paper = made[made["Source"] == "paper"].set_index("Method")
    assert paper.loc["Hi-MoE", HEADS].tolist() == [0.9698, 0.945, 0.9273, 0.8991, 0.8735, 0.8657, 0.8545, 0.8371,
                                                   0.7422]
    assert list(paper.index) == ["Bi-LSTM (2021)", "IANet (2024)", "TACOFormer (2023)", "Hi-MoE"]
    ours = made[made["Source"] == "DEAP (simulated)"]
    assert len(ours) == 9 + 1  # and the ceiling
    assert set(ours["Modalities"]) == {"EEG+EOG+EMG+EDA+RSP+PPG+TEMP"}  # not what the paper calls ALL
    ours = frame(table("table3")).query("Source != 'paper'")
    assert set(ours["Modalities"]) == {"ALL"}  # with the face it is
    assert len(ours) == 5 + 1
    assert ours["Pooled CCC"].tolist()[-1] == ATTAINABLE["deap"]["ccc"]


def test_undefined_scores_are_counted(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    path = tmp_path / "scores" / "a" / "sweep.csv"
    sweep = pd.read_csv(path)
    chosen = (sweep["metric"] == "ccc") & (sweep["dimension"] == "mean") & (sweep["fold"] == 1)
    sweep.loc[chosen & (sweep["mask_seed"] == 2) & (sweep["missing_rate"] == 0.3), "value"] = np.nan
    sweep.to_csv(path, index=False)
    made = build_table("table3", *finish_reports(tmp_path, ["a"]), SETTINGS)
    assert made is not None
    assert "2 undefined scores are left out of the means." in made.notes[0]
