"""Tables: our numbers as pandas computes them, the paper's as printed, and the guards."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from himoe.errors import InputError
from himoe.paper import METHOD_LABELS, paper_rows
from himoe.tables import TABLES, RunResult, Table, build_table, load_results, runs_of, to_csv, to_markdown

PPS = "EEG+EOG+EMG+EDA+RSP+PPG+TEMP"
FOLDS = 3
RATES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


def write_run(root: Path, run: str, method: str, dataset: str = "deap", modalities: str = PPS, seed: int = 0,
              **changes: Any) -> None:
    """One run's files, as the evaluate stage writes them."""
    rng = np.random.default_rng(seed)
    data = {"deap": "DEAP (simulated)", "dreamer": "DREAMER (simulated)"}[dataset]
    metrics: dict[str, Any] = {
        "run": run, "method": method, "set": dataset, "protocol": "trial", "task": "regression",
        "modalities": modalities, "data": data, "simulated": True, "missing_rate": 0.0,
        "training_missing": "sampled", "folds": FOLDS, "seeds": 1, "n_windows": 580, "n_trials": 20}
    scores = rng.uniform(0.2, 0.6, 12).tolist()
    for i, metric in enumerate(("ccc", "pcc", "mae")):
        mean = scores[i]
        metrics |= {metric: mean, f"{metric}_sd": scores[3 + i] / 10, f"{metric}_low": mean - 0.1,
                    f"{metric}_high": mean + 0.1}
        metrics |= {f"{metric}_{d}": mean for d in ("valence", "arousal", "dominance", "liking")}
    info = {"run": run, "label": METHOD_LABELS[method], "modalities": modalities.split("+"), "set": dataset,
            "protocol": "trial", "model": {}, "alignment": {}, "data": data, "simulated": True}
    metrics |= changes
    info |= {key: changes[key] for key in ("data", "simulated") if key in changes}
    folder = root / "evaluations" / run
    folder.mkdir(parents=True)
    (root / "metrics").mkdir(exist_ok=True)
    (root / "metrics" / f"{run}.json").write_text(json.dumps(metrics))
    (folder / "run.json").write_text(json.dumps(info))
    rows = [(run, rate, mask, 0, fold, dimension, metric, rng.uniform(0, 1))
            for rate in RATES for mask in range(5) for fold in range(FOLDS)
            for dimension in ("mean", "valence") for metric in ("ccc", "mae")]
    columns = ["run", "missing_rate", "mask_seed", "seed", "fold", "dimension", "metric", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "sweep.csv", index=False)


REPORTS: dict[str, Any] = {
    "table2": [
        {"method": "late_fusion", "modalities": "EEG+PPS", "deap": "deap-late_fusion",
         "dreamer": "dreamer-late_fusion"},
        {"method": "himoe", "modalities": "EEG+PPS", "deap": "deap-himoe"},
        {"method": "features_gbdt", "modalities": "EEG+PPS", "deap": "deap-gbdt"},
    ],
    "table3": {"himoe": "deap-himoe", "late_fusion": "deap-late_fusion"},
    "table6": {"himoe-no_alignment": "deap-no_alignment", "himoe": "deap-himoe"},
    "leak_audit": [{"label": "whole trials held out", "run": "deap-himoe"},
                   {"label": "windows shuffled", "run": "deap-leaky"}],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_run(tmp_path, "deap-late_fusion", "late_fusion", seed=1)
    write_run(tmp_path, "dreamer-late_fusion", "late_fusion", "dreamer", "EEG+ECG", seed=2)
    write_run(tmp_path, "deap-himoe", "himoe", seed=3)
    write_run(tmp_path, "deap-gbdt", "features_gbdt", seed=4)
    write_run(tmp_path, "deap-no_alignment", "himoe-no_alignment", seed=5)
    write_run(tmp_path, "deap-leaky", "himoe", seed=6, protocol="leaky")
    return tmp_path


def table(root: Path, name: str, reports: dict[str, Any] | None = None) -> Table:
    reports = reports or REPORTS
    results = load_results({name: reports[name]}, root / "metrics", root / "evaluations")
    return build_table(name, reports[name], results)


def as_frame(made: Table) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(to_csv(made)), float_precision="round_trip")


def test_table2_numbers_are_the_files(root: Path) -> None:
    frame = as_frame(table(root, "table2"))
    metrics = json.loads((root / "metrics" / "deap-himoe.json").read_text())
    row = frame[(frame["Method"] == "Hi-MoE") & (frame["Modalities"] == "EEG+PPS") & (frame["Set"] == "DEAP")].iloc[0]
    for head, key in (("CCC", "ccc"), ("PCC", "pcc"), ("MAE", "mae")):
        assert row[head] == metrics[key]
        for part in ("sd", "low", "high"):
            assert row[f"{head} {part}"] == metrics[f"{key}_{part}"]
    assert list(row[["CCC (paper)", "PCC (paper)", "MAE (paper)"]]) == [0.9522, 0.9679, 0.655]


def test_table2_prints_mean_sd_and_interval(root: Path) -> None:
    values = json.loads((root / "metrics" / "dreamer-late_fusion.json").read_text())
    cell = (f"{values['ccc']:.3f} ± {values['ccc_sd']:.3f} [{values['ccc'] - 0.1:.3f}, {values['ccc'] + 0.1:.3f}]")
    line = next(line for line in to_markdown(table(root, "table2")).splitlines()
                if line.startswith("| DREAMER | Late Fusion"))
    assert line.split(" | ")[1:6] == ["Late Fusion (2017) †", "EEG+PPS", "DREAMER (simulated)", cell, "0.37"]


def test_table2_holds_every_published_number(root: Path) -> None:
    frame = as_frame(table(root, "table2"))
    for dataset, name in (("deap", "DEAP"), ("dreamer", "DREAMER")):
        for head, metric in (("CCC", "ccc"), ("PCC", "pcc"), ("MAE", "mae")):
            published = paper_rows(2, dataset)
            expected = list(published.loc[published["metric"] == metric, "value"])
            found = frame.loc[frame["Set"] == name, f"{head} (paper)"].dropna()
            assert list(found) == expected
    markdown = to_markdown(table(root, "table2"))
    assert "0.9144*" in markdown
    assert "0.9522*" not in markdown


def test_rows_without_runs_say_what_they_need(root: Path) -> None:
    lines = to_markdown(table(root, "table2")).splitlines()
    assert any(line.startswith("| DEAP | Bi-LSTM (2021) | EEG+PPS+FACE | needs FACE | — | 0.8712*") for line in lines)
    assert any(line.startswith("| DREAMER | IANet (2024) | EEG+EOG+EMG+EDA | needs EOG, EMG, EDA | —")
               for line in lines)
    assert any(line.startswith("| DEAP | IANet (2024) | EEG+EOG+EMG+EDA | — | — | 0.9002*") for line in lines)
    # Ours only, after the paper's rows, without a published number or the mark of a re-built method.
    assert any(line.startswith("| DEAP | Features + GBDT | EEG+PPS | DEAP (simulated)")
               and line.endswith("| — |") for line in lines)


def test_table3_numbers_are_pandas(root: Path) -> None:
    made = table(root, "table3")
    frame = as_frame(made)
    sweep = pd.read_csv(root / "evaluations" / "deap-late_fusion" / "sweep.csv")
    sweep = sweep[(sweep["metric"] == "ccc") & (sweep["dimension"] == "mean")]
    row = frame[frame["Method"] == "Late Fusion (2017) †"].iloc[0]
    for rate in RATES:
        seeds = [sweep[(sweep["missing_rate"] == rate) & (sweep["mask_seed"] == mask)]["value"].to_numpy().mean()
                 for mask in range(5)]
        assert row[f"r = {rate:.2f}"] == pytest.approx(np.mean(seeds), rel=1e-12)
        assert row[f"r = {rate:.2f} sd"] == pytest.approx(np.std(seeds, ddof=1), rel=1e-12)
    paper = frame[frame["Source"] == "paper"].set_index("Method")
    assert list(paper.loc["Hi-MoE", [f"r = {rate:.2f}" for rate in RATES]]) == [
        0.9698, 0.945, 0.9273, 0.8991, 0.8735, 0.8657, 0.8545, 0.8371, 0.7422]
    assert list(paper.index) == ["Bi-LSTM (2021)", "IANet (2024)", "TACOFormer (2023)", "Hi-MoE"]


def test_table3_counts_undefined_scores(root: Path) -> None:
    path = root / "evaluations" / "deap-himoe" / "sweep.csv"
    sweep = pd.read_csv(path)
    chosen = (sweep["metric"] == "ccc") & (sweep["dimension"] == "mean") & (sweep["fold"] == 1)
    sweep.loc[chosen & (sweep["mask_seed"] == 2) & (sweep["missing_rate"] == 0.3), "value"] = np.nan
    sweep.to_csv(path, index=False)
    assert "deap-himoe: 1 undefined scores left out of the means." in table(root, "table3").notes


def test_table6_notes_that_modalities_differ(root: Path) -> None:
    made = table(root, "table6")
    assert [row[1] for row in made.rows] == [METHOD_LABELS[key] for key in (
        "himoe-no_emotion_experts", "himoe-no_alignment", "himoe-no_soft_routing", "himoe")]
    assert (f"Ours use {PPS} where the paper has EEG+PPS+FACE: Hi-MoE without Cross-Modal Alignment; Hi-MoE."
            in made.notes)
    assert not any(note.startswith("*") for note in made.notes)
    assert made.rows[1][2] == PPS
    assert made.rows[0][2:5] == ("EEG+PPS+FACE", "needs FACE", None)


def test_leak_audit_names_the_leaky_run(root: Path) -> None:
    made = table(root, "leak_audit")
    assert [row[:6] for row in made.rows] == [
        ("whole trials held out", "trial", "Hi-MoE", "DEAP (simulated)", 20, 580),
        ("windows shuffled", "leaky", "Hi-MoE (leaky split)", "DEAP (simulated)", 20, 580)]
    assert any("leaky" in note and "measures the leak" in note for note in made.notes)


@pytest.mark.parametrize("name", ["table2", "table3", "table6", "leak_audit"])
def test_titles_and_rows_say_simulated(root: Path, name: str) -> None:
    made = table(root, name)
    assert "DEAP (simulated)" in made.title
    for row in made.rows:
        if any(type(cell).__name__ == "Ours" for cell in row):
            assert any(isinstance(cell, str) and "simulated" in cell for cell in row)


def test_notes_carry_provenance_and_contradictions(root: Path) -> None:
    notes = "\n".join(table(root, "table2").notes)
    assert "† our implementation" in notes
    assert "training_missing: sampled" in notes
    assert "3 folds, 1 seed" in notes
    assert "* baseline re-run" in notes
    assert "IANet has 0.9014 in Table 3 and 0.9002" in notes
    assert "Check failed, paper, Hi-MoE EEG+PPS on DREAMER: CCC 0.9571" in notes
    assert "Check failed, ours" not in notes
    assert "† our implementation" not in "\n".join(table(root, "table6").notes)


def test_our_own_impossible_result_is_noted_first(root: Path) -> None:
    path = root / "metrics" / "dreamer-late_fusion.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ccc_arousal": 0.97, "mae_arousal": 0.7}))
    checks = [note for note in table(root, "table2").notes if note.startswith("Check failed")]
    assert checks[0].startswith("Check failed, ours, Late Fusion (2017) on DREAMER (simulated) arousal: CCC 0.97")
    assert checks[1].startswith("Check failed, paper")


@pytest.mark.parametrize("data, simulated", [
    ("DEAP", True), ("DEAP (simulated)", False), ("DEAP (simulated)", None), (None, True)])
def test_provenance_must_agree(root: Path, data: str | None, simulated: bool | None) -> None:
    write_run(root, "odd", "himoe", data=data, simulated=simulated)
    with pytest.raises(InputError, match=r"'odd': simulated and data: found .* the word simulated exactly where"):
        load_results({"table6": {"himoe": "odd"}}, root / "metrics", root / "evaluations")


def test_real_data_is_not_called_simulated(root: Path) -> None:
    write_run(root, "real", "himoe", data="DEAP", simulated=False)
    made = table(root, "table6", {"table6": {"himoe": "real"}})
    assert "simulated" not in to_markdown(made)
    assert ": DEAP, beside" in made.title


def test_metrics_and_run_json_must_agree(root: Path) -> None:
    path = root / "evaluations" / "deap-himoe" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "DEAP", "simulated": False}))
    with pytest.raises(InputError, match=r"run\.json of run 'deap-himoe': data"):
        table(root, "table6")


@pytest.mark.parametrize("file", ["metrics/deap-himoe.json", "evaluations/deap-himoe/run.json",
                                  "evaluations/deap-himoe/sweep.csv"])
def test_a_missing_file_names_run_file_and_remedy(root: Path, file: str) -> None:
    (root / file).unlink()
    with pytest.raises(InputError) as caught:
        table(root, "table3")
    message = str(caught.value)
    assert file in message
    assert "run 'deap-himoe'" in message
    assert "dvc repro evaluate@deap-himoe" in message


def test_bad_files_are_named(root: Path) -> None:
    path = root / "evaluations" / "deap-himoe" / "sweep.csv"
    pd.read_csv(path).drop(columns="mask_seed").to_csv(path, index=False)
    with pytest.raises(InputError, match=r"sweep\.csv: found no column mask_seed"):
        table(root, "table3")
    (root / "metrics" / "deap-himoe.json").write_text("[1]")
    with pytest.raises(InputError, match="metrics of run 'deap-himoe': found list"):
        table(root, "table6")


def test_bad_roles_are_named(root: Path) -> None:
    results = load_results(REPORTS, root / "metrics", root / "evaluations")
    with pytest.raises(InputError, match="'table11'"):
        build_table("table11", {}, results)
    with pytest.raises(InputError, match=r"reports\.table2: found dict"):
        build_table("table2", {"himoe": "deap-himoe"}, results)
    with pytest.raises(InputError, match="of set 'deap' under 'dreamer'"):
        build_table("table2", [{"method": "himoe", "modalities": "EEG+PPS", "dreamer": "deap-himoe"}], results)
    with pytest.raises(InputError, match="'elsewhere'"):
        build_table("table6", {"himoe": "elsewhere"}, results)
    with pytest.raises(InputError, match="no field 'accuracy_valence'"):
        build_table("table4", {"himoe": "deap-himoe"}, results)


def test_other_tables_build_from_the_same_parts(root: Path) -> None:
    write_run(root, "deap-class", "mfst_rnn", task="classification", accuracy_valence=0.616, f1_valence=0.5,
              accuracy_arousal=0.71, f1_arousal=None)
    made = table(root, "table4", {"table4": {"mfst_rnn": "deap-class"}})
    line = next(line for line in to_markdown(made).splitlines() if "MFST-RNN (2023) †" in line)
    assert "| 61.6 | 94.99 | 50.0 | 95.4 | 71.0 | 95.89 | undefined | 96.09 |" in line
    assert any("repeats Table 4's MFST-RNN row" in note for note in made.notes)
    made = table(root, "table5", {"table5": {"himoe": "deap-himoe"}})
    assert as_frame(made)["CCC liking (paper)"].tolist() == [0.603, 0.63, 0.662, 0.643, 0.689]
    results = load_results({"table9": {"himoe": "deap-himoe"}}, root / "metrics", root / "evaluations")
    assert build_table("table9", {"himoe": "deap-himoe"}, results).title.startswith("Table 9. CCC")
    assert {"table2", "table3", "table6", "leak_audit"} <= set(TABLES)


def test_runs_of_every_shape() -> None:
    assert runs_of(REPORTS["table2"]) == ["deap-late_fusion", "dreamer-late_fusion", "deap-himoe", "deap-gbdt"]
    assert runs_of(REPORTS["leak_audit"]) == ["deap-himoe", "deap-leaky"]
    assert runs_of({"1": "a", "2": "b", "4": "a"}) == ["a", "b"]
    assert runs_of("deap-himoe") == ["deap-himoe"]


def test_digits_of_combinations_and_trials_stay_text(root: Path) -> None:
    folder = root / "evaluations" / "deap-himoe"
    (folder / "routing.csv").write_text("run,combination,modality,expert,weight\ndeap-himoe,0110000,EEG,-1,0.5\n")
    results = load_results({"figure4a": "deap-himoe"}, root / "metrics", root / "evaluations")
    assert results["deap-himoe"].part("routing")["combination"].tolist() == ["0110000"]


def test_rendering_is_stable_and_square(root: Path) -> None:
    assert to_markdown(table(root, "table2")) == to_markdown(table(root, "table2"))
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Table("t", "t", ("a", "b"), (("x",),))
    escaped = to_markdown(Table("t", "t", ("a",), (("x|y",),)))
    assert "x\\|y" in escaped
    assert to_csv(Table("t", "t", ("a", "b"), (("x,y", None),))) == 'a,b\n"x,y",\n'


def test_result_without_a_field_is_refused() -> None:
    with pytest.raises(InputError, match="no field 'set'"):
        RunResult("r", {"run": "r", "method": "himoe"}, {})
