"""Every number that is printed is found again: recomputed from predictions with SciPy and scikit-learn.

Once on small synthetic runs (always), once on this repository's own reports (metrics are committed; predictions are
there after ``dvc repro`` or ``dvc pull``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pipeline_helpers import ROOT
from report_folders import SETTINGS, shared_reports
from scipy.stats import linregress, pearsonr, wilcoxon
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, mean_absolute_error
from textbook import ccc

from himoe.core.params import ReportParams, parse
from himoe.core.yaml_files import read_yaml
from himoe.report.outcome import BEGIN, readme_block, replace_block
from himoe.report.tables import TABLES, build_table, to_csv
from himoe.scoring.paper import METHOD_LABELS, SET_LABELS
from himoe.scoring.results import load_comparisons, load_cost, load_results

ATOL = 2e-6  # metrics files hold six decimals
SAMPLE = 15  # runs whose predictions are read
HEADS = {"regression": ("CCC", "PCC", "MAE"), "classification": ("ACC", "F1"),
         "classification, 3 classes": ("ACC", "F1 macro")}


def called(p: np.ndarray) -> np.ndarray:
    """The class that a prediction stands for: a class number as it is, a probability of high by its half."""
    return p if np.array_equal(p, np.floor(p)) else p > 0.5


INDEPENDENT: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "CCC": ccc, "PCC": lambda y, p: float(pearsonr(y, p).statistic), "MAE": mean_absolute_error,
    "ACC": lambda y, p: 100 * accuracy_score(y, called(p)), "F1": lambda y, p: 100 * f1_score(y, p > 0.5),
    "F1 macro": lambda y, p: 100 * f1_score(y, p, average="macro"),
}


@pytest.fixture(scope="module", params=["synthetic", "committed"])
def project(request: pytest.FixtureRequest) -> Path:
    """A folder with runs/ (perhaps), metrics/ and reports/tables/."""
    if request.param == "committed":
        files = sorted((ROOT / "metrics" / "runs").glob("*.json"))
        if not files or "n_people" not in json.loads(files[0].read_text(encoding="utf-8")):
            pytest.skip("no reports of this code yet: run make repro")
        return ROOT
    root, (results, comparisons, cost) = shared_reports()
    (root / "reports" / "tables").mkdir(parents=True)
    for name in TABLES:
        table = build_table(name, results, comparisons, cost, SETTINGS)
        if table is not None:
            (root / "reports" / "tables" / f"{name}.csv").write_text(to_csv(table), encoding="utf-8")
    return root


def method_of(label: str) -> str:
    """The method behind a printed name."""
    plain = re.sub(r", not converged.*| †| \(floor\)", "", label)
    return {name: method for method, name in METHOD_LABELS.items()}[plain]


def table(project: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(project / "reports" / "tables" / f"{name}.csv", float_precision="round_trip")


def predictions(project: Path, run: str) -> pd.DataFrame:
    """The run's predictions with known truth; skips where they are not on this machine."""
    path = project / "runs" / run / "predictions.parquet"
    if not path.is_file():
        pytest.skip(f"no {path.relative_to(project)} here: run make repro or dvc pull")
    frame = pd.read_parquet(path)
    return frame[frame["y_true"].notna()]


def scores_by(frame: pd.DataFrame, head: str, keys: list[str]) -> pd.DataFrame:
    """One row for each value of *keys*, one column a dimension."""
    scores = {key: INDEPENDENT[head](g["y_true"].to_numpy(float), g["y_pred"].to_numpy(float))
              for key, g in frame.groupby([*keys, "dimension"])}
    return pd.Series(scores).unstack()


def sampled_runs(project: Path) -> list[str]:
    runs = sorted(table(project, "scores")["Run"])
    return runs[::max(1, len(runs) // SAMPLE)]


def test_scores_are_those_of_the_predictions(project: Path) -> None:
    printed = table(project, "scores").set_index("Run")
    checked = 0
    for run in sampled_runs(project):
        frame = predictions(project, run)
        for head in HEADS[printed.loc[run, "Task"]]:
            if math.isnan(printed.loc[run, head]):
                assert (frame.groupby(["fold", "dimension"])["y_pred"].std().fillna(0) < 1e-6).any()  # a constant
                continue
            by_seed = scores_by(frame, head, ["seed"])
            assert printed.loc[run, head] == pytest.approx(by_seed.mean(axis=1).mean(), abs=100 * ATOL)
            if head in ("CCC", "ACC"):
                means = scores_by(frame, head, ["seed", "fold"]).mean(axis=1)
                assert printed.loc[run, "By fold"] == pytest.approx(means.mean(), abs=100 * ATOL)
                assert printed.loc[run, "By fold sd"] == pytest.approx(means.std(ddof=1), abs=100 * ATOL, nan_ok=True)
                assert printed.loc[run, "Valence"] == pytest.approx(by_seed["valence"].mean(), abs=100 * ATOL)
            checked += 1
        if printed.loc[run, "Task"] == "regression" and not math.isnan(printed.loc[run, "Within-trial CCC"]):
            keys = ["seed", "dimension", "subject", "trial"]
            inside = frame.assign(**{name: frame[name] - frame.groupby(keys)[name].transform("mean")
                                     for name in ("y_true", "y_pred")})
            within = [2 * (g["y_true"] * g["y_pred"]).sum() / (g["y_true"]**2 + g["y_pred"]**2).sum()
                      for _, g in inside.groupby(["seed", "dimension"])]
            assert printed.loc[run, "Within-trial CCC"] == pytest.approx(np.mean(within), abs=100 * ATOL)
        assert printed.loc[run, "Windows"] == len(frame.drop_duplicates(["subject", "trial", "window"]))
    assert checked > 10


def test_scores_stand_in_the_metrics_files(project: Path) -> None:
    printed = table(project, "scores").set_index("Run")
    assert set(printed.index) == {path.stem for path in (project / "metrics" / "runs").glob("*.json")}
    for run, row in printed.iterrows():
        metrics = json.loads((project / "metrics" / "runs" / f"{run}.json").read_text(encoding="utf-8"))
        assert row["Our data"] == metrics["data"]
        assert ("simulated" in row["Our data"]) == metrics["simulated"]
        for head, name in (("CCC", "ccc"), ("MAE", "mae"), ("CCC low", "ccc_low"), ("Valence", "ccc_valence")):
            if metrics["task"] == "regression" and metrics.get(name) is not None:
                assert row[head] == pytest.approx(metrics[name], abs=ATOL)


@pytest.mark.parametrize(("name", "held_out", "heads"), [
    ("table2", "whole trials held out", ("CCC", "Within-trial CCC", "PCC", "MAE")), ("table5", "people held out", ()),
    ("table6", "whole trials held out", ("CCC", "Within-trial CCC", "PCC", "MAE"))])
def test_tables_repeat_the_scores(project: Path, name: str, held_out: str, heads: tuple[str, ...]) -> None:
    scores = table(project, "scores")
    scores = scores[(scores["Held out"] == held_out) & (scores["Task"] == "regression")]
    printed = table(project, name)
    ours = printed[printed["Our data"].notna() & ~printed["Our data"].fillna("").str.startswith("needs")
                   & ~printed["Method"].str.startswith("Attainable")]
    assert len(ours) >= 4
    columns = heads or tuple(f"CCC {dimension}" for dimension in ("valence", "arousal"))
    for _, row in ours.iterrows():
        same = scores[(scores["Set"] == row["Set"]) & (scores["Method"] == row["Method"])
                      & (scores["Our data"] == row["Our data"])]
        values = same[[column if heads else column.split()[1].capitalize() for column in columns]].to_numpy(float)
        wanted = row[list(columns)].to_numpy(float)
        assert any(np.allclose(found, wanted, atol=ATOL, equal_nan=True) for found in values), row["Method"]


@pytest.mark.parametrize(("name", "label"), [("seed", "SEED"), ("amigos", "AMIGOS")])
def test_supplementary_tables_repeat_the_scores(project: Path, name: str, label: str) -> None:
    if not (project / "reports" / "tables" / f"{name}.csv").is_file():
        pytest.skip(f"no table {name} yet: run make repro")
    scores = table(project, "scores")
    scores = scores[(scores["Set"] == label) & ~scores["Held out"].str.contains("shuffled")]
    printed = table(project, name)
    printed = printed[~printed["Method"].str.startswith("Attainable")]
    assert len(printed) == len(scores)
    assert set(printed["Held out"]) == set(scores["Held out"])
    heads = [head for head in ("CCC", "PCC", "MAE", "ACC", "F1", "F1 macro") if head in printed]
    for _, row in printed.iterrows():
        same = scores[(scores["Held out"] == row["Held out"]) & (scores["Method"] == row["Method"])]
        found = [np.allclose(values, row[heads].to_numpy(float), atol=ATOL, equal_nan=True)
                 for values in same[heads].to_numpy(float)]
        assert sum(found) == 1, row["Method"]


@pytest.mark.parametrize("name", ["table8", "table9"])
def test_missing_rates_are_means_of_the_sweep(project: Path, name: str) -> None:
    modalities = {"table8": "EEG+PPS", "table9": "EEG+EOG+EMG+EDA"}[name]
    if not (project / "reports" / "tables" / f"{name}.csv").is_file():
        pytest.skip(f"no table {name} here")
    runs = {run: json.loads((project / "metrics" / "runs" / f"{run}.json").read_text(encoding="utf-8"))
            for run in table(project, "scores")["Run"]}
    checked, printed = 0, table(project, name)
    printed = printed[(printed["Source"] != "paper") & ~printed["Method"].str.startswith("Attainable")]
    for _, row in printed.iterrows():
        wanted = {"method": method_of(row["Method"]), "modality_set": modalities, "protocol": "trial",
                  "task": "regression", "variant": "", "shuffled_labels": False}
        (run,) = [run for run, m in runs.items() if SET_LABELS[m["set"]] == row["Set"]
                  and all(m[key] == value for key, value in wanted.items())]
        path = project / "scores" / run / "sweep.csv"
        if not path.is_file():
            pytest.skip(f"no {path.relative_to(project)} here: run make repro or dvc pull")
        sweep = pd.read_csv(path)
        sweep = sweep[(sweep["metric"] == "ccc") & (sweep["dimension"] == "mean")]
        for rate, part in sweep.groupby("missing_rate"):
            by_mask = [group["value"].mean() for _, group in part.groupby("mask_seed")]
            assert row[f"r = {rate:.2f}"] == pytest.approx(np.mean(by_mask), abs=ATOL)
            checked += 1
        means = scores_by(predictions(project, run), "CCC", ["seed", "fold"]).mean(axis=1)
        assert row["r = 0.00"] == pytest.approx(means.mean(), abs=ATOL)
    assert checked >= 18


def pooled_score(frame: pd.DataFrame) -> float:
    """CCC of all windows, averaged over seeds and dimensions."""
    return float(np.mean([ccc(g["y_true"].to_numpy(float), g["y_pred"].to_numpy(float))
                          for _, g in frame.groupby(["seed", "dimension"])]))


def test_comparisons_are_scipys(project: Path) -> None:
    comparisons = pd.read_csv(project / "metrics" / "comparisons.csv")
    assert len(comparisons) > 10
    plain = comparisons[(comparisons["metric"] == "ccc") & (comparisons["missing_rate"] == 0)]
    for _, rows in list(plain.groupby("family"))[:3]:
        for _, row in rows.iterrows():
            pair = [predictions(project, run) for run in (row["reference"], row["run"])]
            assert row["difference"] == pytest.approx(pooled_score(pair[0]) - pooled_score(pair[1]), abs=1e-5)
            assert row["low"] < row["high"]
            assert row["people"] == pair[0]["subject"].nunique()
            assert row["trials"] == len(pair[0].drop_duplicates(["subject", "trial"]))
            own = [[pooled_score(part) for _, part in frame.groupby("subject")] for frame in pair]
            people = np.subtract(*own)
            if len(people) < 6:
                assert math.isnan(row["p_person"])  # 2 / 2^5 > 0.05
            elif not np.isnan(people).any():
                assert row["p_person"] == pytest.approx(wilcoxon(np.round(people, 9)).pvalue, rel=1e-4)
        p = rows["p"].to_numpy()
        order = np.argsort(p, kind="stable")
        corrected = np.maximum.accumulate([min(1.0, (len(p) - k) * p[i]) for k, i in enumerate(order)])
        np.testing.assert_allclose(rows["p_holm"].to_numpy()[order], corrected, rtol=1e-4)
        sure = rows[rows["verdict"].isin(["better", "worse"])]
        assert (sure["p_holm"] <= 0.05).all()
        assert ((sure["difference"] > 0) == (sure["verdict"] == "better")).all()


def test_calibration_is_a_regression_of_truth_on_prediction(project: Path) -> None:
    printed = table(project, "calibration")
    scores = table(project, "scores")
    checked = 0
    for _, row in printed.iterrows():
        same = scores[(scores["Set"] == row["Set"]) & (scores["Method"] == row["Method"])
                      & (scores["Modalities"] == row["Modalities"]) & (scores["Task"] == row["Task"])
                      & (scores["Held out"] == "whole trials held out")]
        if len(same) != 1 or method_of(row["Method"]).startswith("mean"):
            continue
        frame = predictions(project, same["Run"].iloc[0])
        groups = [(g["y_true"].to_numpy(float), g["y_pred"].to_numpy(float))
                  for _, g in frame.groupby(["seed", "dimension"])]
        if row["Task"] == "regression":
            fits = [linregress(p, y) for y, p in groups]
            assert row["Slope"] == pytest.approx(np.mean([fit.slope for fit in fits]), rel=1e-5)
            assert row["Bias"] == pytest.approx(np.mean([p.mean() - y.mean() for y, p in groups]), abs=1e-6)
        else:
            assert row["Brier"] == pytest.approx(np.mean([brier_score_loss(y, p) for y, p in groups]), rel=1e-5)
        checked += 1
    assert checked >= 5


def test_readme_repeats_the_metrics() -> None:
    names = sorted(path.stem for path in (ROOT / "metrics" / "runs").glob("*.json"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if BEGIN not in text or not all((ROOT / "runs" / name / "run.json").is_file() for name in names):
        pytest.skip("no runs here: run make repro or dvc pull")
    results = load_results(names, ROOT / "runs", ROOT / "scores", ROOT / "metrics")
    comparisons, cost = load_comparisons(ROOT / "metrics"), load_cost(ROOT / "metrics", ROOT / "bench" / "cost.csv")
    settings = parse(ReportParams, read_yaml(ROOT / "params.yaml")["report"], "report")
    claims = build_table("claims", results, comparisons, cost, settings)
    assert replace_block(text, readme_block(results, comparisons, claims, settings)) == text, (
        "run python -m pipeline.readme")
