"""What is drawn is what the runs' files say, recomputed here by other means."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_folders import ATTAINABLE, RATES

from himoe.core.errors import InputError
from himoe.core.params import ReportParams
from himoe.report.figures import draw
from himoe.report.figures.costs import cost_points
from himoe.report.figures.routing import shown_combinations
from himoe.report.figures.trajectories import common_trials
from himoe.scoring.paper import paper_value
from himoe.scoring.results import RunResult, load_results

Material = tuple[Mapping[str, RunResult], ReportParams, pd.DataFrame]


def drawn(name: str, material: Material) -> Figure:
    figure = draw(name, *material)
    assert figure is not None
    return figure


def line(ax: Axes, label: str) -> Any:
    found = [line for line in ax.lines if line.get_label() == label]
    assert len(found) == 1
    return found[0]


def band_at(ax: Axes, index: int, x: float) -> tuple[float, float]:
    """Lower and upper edge of the axes' *index*-th band at *x*."""
    vertices = ax.collections[index].get_paths()[0].vertices
    at = vertices[np.isclose(vertices[:, 0], x)][:, 1]
    return float(at.min()), float(at.max())


def with_metrics(material: Material, **changes: Any) -> Material:
    results, settings, cost = material
    changed = {name: RunResult(name, {**run.metrics, **changes}, run.info, run.folder, run.scores)
               for name, run in results.items()}
    return changed, settings, cost


# --- the overview -------------------------------------------------------------------------------------------------

def test_the_overview_has_every_method_its_interval_and_the_ceiling(deap: Material) -> None:
    figure = drawn("overview", deap)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    runs = {run.named: run for run in deap[0].values() if run.metrics["modality_set"] == "EEG+PPS"
            and run.run == f"deap-{run.metrics['method']}"}
    assert sorted(names) == sorted(runs)
    for ax, metric in zip(figure.axes, ("ccc", "ccc_within"), strict=True):
        spans, points = ax.lines[0:2 * len(names):2], ax.lines[1:2 * len(names):2]
        for k, name in enumerate(names):
            metrics = runs[name].metrics
            assert list(spans[k].get_xdata()) == [metrics[f"{metric}_low"], metrics[f"{metric}_high"]]
            assert (points[k].get_xdata()[0], points[k].get_ydata()[0]) == (metrics[metric], k)
        assert set(line(ax, "Attainable (true gains and lags known)").get_xdata()) == {ATTAINABLE["deap"][metric]}


# --- figures 2 and 5 ----------------------------------------------------------------------------------------------

def test_trajectories_are_mean_and_range_over_seeds(deap: Material) -> None:
    figure = drawn("figure2", deap)
    assert len(figure.axes) == 6
    ax = figure.axes[4]  # arousal, second trial
    subject, trial = figure.axes[1].get_title().removeprefix("subject ").split(", trial ")
    predictions = deap[0]["deap-late_fusion"].part("predictions")
    rows = predictions[(predictions["subject"] == subject) & (predictions["trial"] == trial)
                       & (predictions["dimension"] == "arousal")].sort_values(["seed", "window"])
    by_seed = rows["y_pred"].to_numpy().reshape(2, -1)
    found = line(ax, "Late Fusion (2017)")
    np.testing.assert_allclose(found.get_ydata(), by_seed.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.get_xdata(), rows["start_s"].unique() + 2.0)
    np.testing.assert_allclose(line(ax, "Rating (truth)").get_ydata(), rows["y_true"].to_numpy()[:by_seed.shape[1]])
    assert band_at(ax, 1, 6.0) == pytest.approx((by_seed[:, 2].min(), by_seed[:, 2].max()))
    assert len(ax.collections) == 2  # boosted trees have one seed, so no band
    assert "range over 2 seeds (Features + GBDT: one seed, no band)" in figure.get_suptitle().replace("\n", " ")


def test_the_second_pair_of_dimensions_is_figure_5(deap: Material, dreamer: Material) -> None:
    labels = [ax.get_ylabel() for ax in drawn("figure5", deap).axes if ax.get_ylabel()]
    assert labels == ["Dominance (rating 1 to 9)", "Liking (rating 1 to 9)"]
    labels = [ax.get_ylabel() for ax in drawn("figure5", dreamer).axes if ax.get_ylabel()]
    assert labels == ["Dominance (rating 1 to 5)"]


def test_one_seed_and_one_rating_a_trial_are_said(deap: Material, dreamer: Material) -> None:
    text = drawn("figure2", dreamer).get_suptitle()
    assert "one seed, so there is no band" in text
    assert "one rating per trial, so the truth is a constant" in text
    assert all(not ax.collections for ax in drawn("figure2", dreamer).axes)
    assert "constant" not in drawn("figure2", deap).get_suptitle()


def test_other_ratings_in_a_baseline_are_refused(dreamer: Material, tmp_path: Path) -> None:
    results, settings, cost = dreamer
    runs = dict(results)
    name = "dreamer-late_fusion"
    shutil.copytree(runs[name].folder, tmp_path / name)
    frame = runs[name].part("predictions")
    frame.assign(y_true=frame["y_true"] + 1).to_parquet(tmp_path / name / "predictions.parquet")
    runs[name] = RunResult(name, runs[name].metrics, runs[name].info, tmp_path / name, runs[name].scores)
    with pytest.raises(InputError, match=r"dreamer-late_fusion.*the same test trial in every run"):
        draw("figure2", runs, settings, cost)


def test_trials_must_be_common_to_all_methods() -> None:
    one = pd.DataFrame({"subject": ["s1", "s1", "s2", "s3"], "trial": ["1", "2", "1", "1"]})
    other = pd.DataFrame({"subject": ["s3", "s1"], "trial": ["1", "2"]})
    assert common_trials({"a": one, "b": other}) == [("s1", "2"), ("s3", "1")]
    assert common_trials({"a": one}, most=2) == [("s1", "1"), ("s1", "2")]
    with pytest.raises(InputError, match="a, b: found no test trial"):
        common_trials({"a": one.iloc[:1], "b": other})


# --- figures 3, 6, 7 ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "run", "methods", "table", "modalities"), [
    ("figure3", "deap-himoe", 9, 3, "ALL"), ("figure6", "deap-himoe", 9, 8, "EEG+PPS"),
    ("figure7", "deap4-himoe", 4, 9, "EEG+EOG+EMG+EDA")])
def test_missing_rates_draw_ours_and_published_apart(name: str, run: str, methods: int, table: int, modalities: str,
                                                     deap: Material) -> None:
    ours, published = drawn(name, deap).axes
    sweep = deap[0][run].part("sweep")
    scores = sweep[(sweep["metric"] == "ccc") & (sweep["dimension"] == "mean")]
    expected = [scores.loc[scores["missing_rate"] == rate, "value"].mean() for rate in RATES]
    np.testing.assert_allclose(line(ours, "Hi-MoE").get_ydata(), expected, rtol=1e-12)
    np.testing.assert_allclose(line(ours, "Hi-MoE").get_xdata(), RATES)
    assert len([drawn_line for drawn_line in ours.lines if drawn_line.get_label() != "_end"]) == methods + 1
    assert ours.get_ylim() == published.get_ylim()  # one scale, or the panels cannot be compared
    assert set(line(ours, "Attainable at r = 0, pooled").get_ydata()) == {ATTAINABLE["deap"]["ccc"]}
    values = [paper_value(table, "deap", "himoe", modalities, "ccc", "mean", rate) for rate in RATES]
    assert all(values)
    np.testing.assert_array_equal(line(published, "Hi-MoE (paper)").get_ydata(), [v.value for v in values if v])
    headings = [ax.get_title(loc="left").replace("\n", " ") for ax in (ours, published)]
    assert "simulated" in headings[0]
    assert "simulated" not in headings[1]
    assert "not our results" in headings[1]
    assert all(label.endswith("(paper)") for label in published.get_legend_handles_labels()[1])
    assert not any("paper" in label for label in ours.get_legend_handles_labels()[1])


def test_the_band_of_missing_rates_is_the_sd_over_mask_seeds(deap: Material) -> None:
    ax = drawn("figure3", deap).axes[0]
    sweep = deap[0]["deap-himoe"].part("sweep")
    rows = sweep[(sweep["metric"] == "ccc") & (sweep["dimension"] == "mean") & (sweep["missing_rate"] == 0.4)]
    means = [rows.loc[rows["mask_seed"] == mask, "value"].mean() for mask in range(3)]
    low, high = band_at(ax, 0, 0.4)
    assert low == pytest.approx(np.mean(means) - np.std(means, ddof=1))
    assert high == pytest.approx(np.mean(means) + np.std(means, ddof=1))


def test_names_stand_in_the_order_of_the_lines_ends(deap: Material) -> None:
    ax = drawn("figure6", deap).axes[0]
    named = {text.get_text(): text.get_position()[1] for text in ax.texts}
    ends = {str(found.get_label()): float(found.get_ydata()[-1]) for found in ax.lines if found.get_label() != "_end"}
    assert sorted(named, key=lambda name: -named[name]) == sorted(ends, key=lambda name: -ends[name])


def test_the_upright_bar_is_the_interval_over_people(deap: Material) -> None:
    figure = drawn("figure6", deap)
    metrics = deap[0]["deap-himoe"].metrics
    bar = figure.axes[0].collections[-1].get_segments()[0]
    assert bar[:, 1].tolist() == [metrics["ccc_low"], metrics["ccc_high"]]
    assert "upright bar: Hi-MoE at r = 0, pooled, 95 % interval" in figure.get_suptitle().replace("\n", " ")


# --- figure 4 -----------------------------------------------------------------------------------------------------

def test_routing_shows_weights_in_place(deap: Material) -> None:
    figure = drawn("figure4a", deap)
    frame = deap[0]["deap-himoe"].part("routing")
    fusion, experts = (ax.images[0].get_array() for ax in figure.axes[:2])
    columns = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert fusion.shape == (7, 15)
    assert experts.shape == (21, 15)
    assert columns[0] == "all 7"
    assert columns[-1] == "TEMP only"
    column = columns.index("no EMG")
    weights = frame[frame["combination"] == "1101111"].set_index(["modality", "expert"])["weight"]
    assert fusion[2, column] == weights["EMG", -1]
    assert experts[3 * 3 + 1, column] == weights["EDA", 1]
    scale = figure.axes[1].images[0].norm
    assert scale(1 / 3) == pytest.approx(0.5)  # the equal share is the middle of the colours
    assert min(scale(experts.min()), 1 - scale(experts.max())) == pytest.approx(0.0, abs=1e-9)  # and they are used up


def test_of_too_many_combinations_the_extremes_are_shown() -> None:
    every = [format(i, "04b") for i in range(1, 16)]
    assert shown_combinations(every, 4) == (sorted(every, key=lambda c: (c.count("0"), shown_order(c))), 0)
    shown, left_out = shown_combinations(every, 4, most=9)
    assert shown == ["1111", "0111", "1011", "1101", "1110", "1000", "0100", "0010", "0001"]
    assert left_out == 6
    with pytest.raises(InputError, match="'012'"):
        shown_combinations(["012"], 3)


def shown_order(combination: str) -> list[int]:
    """Positions of the modalities that are fewer: absent ones of full combinations, else present ones."""
    rare = "0" if combination.count("0") <= combination.count("1") else "1"
    digits = [digit != rare for digit in combination]
    return [int(digit) for digit in digits]


def test_emotion_experts_are_ordered_by_number(deap: Material) -> None:
    figure = drawn("figure4b", deap)
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "8", "16"]
    runs = [deap[0][name] for name in ("deap-experts1", "deap-himoe", "deap-experts16")]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [run.metrics["ccc"] for run in runs])
    ends = np.array([path.vertices[:, 1] for path in ax.collections[0].get_paths()])
    np.testing.assert_allclose(ends, [[run.metrics["ccc_low"], run.metrics["ccc_high"]] for run in runs])


# --- beyond the paper ---------------------------------------------------------------------------------------------

def test_leak_audit_groups_runs_by_split_and_names_the_leaky_one(deap: Material) -> None:
    axes = drawn("leak_audit", deap).axes
    assert [ax.get_title(loc="left") for ax in axes] == [
        "Whole trials held out (trial)", "People held out (loso)", "Windows shuffled between folds (leaky)",
        "Whole trials held out (trial), ratings shuffled between trials",
        "Windows shuffled between folds (leaky), ratings shuffled between trials"]
    shown = [["himoe", "features_ridge", "features_gbdt", "mean", "mean_stimulus"],
             ["loso-himoe", "loso-features_ridge", "loso-mean_stimulus"], ["leaky"], ["shuffled"],
             ["leaky-shuffled"]]
    for ax, names in zip(axes, shown, strict=True):
        runs = [deap[0][f"deap-{name}"] for name in names]
        np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [run.metrics["ccc"] for run in runs])
        assert [label.get_text() for label in ax.get_yticklabels()] == [run.named for run in runs]
        spans = [path.vertices[:, 0].tolist() for path in ax.collections[0].get_paths()]
        np.testing.assert_allclose(spans, [[run.metrics["ccc_low"], run.metrics["ccc_high"]] for run in runs])
        assert [bar.get_hatch() for bar in ax.patches] == ["////" if run.metrics["protocol"] == "leaky" else ""
                                                           for run in runs]


def test_an_undefined_score_leaves_its_bar_out(deap: Material) -> None:
    figure = drawn("leak_audit", with_metrics(deap, ccc=None, ccc_low=None, ccc_high=None))
    assert all(np.isnan(bar.get_width()) for ax in figure.axes for bar in ax.patches)


def test_combinations_are_those_of_the_largest_complete_set(deap: Material) -> None:
    figure = drawn("combinations", deap)
    above, below = figure.axes
    assert "all 15 combinations" in figure.get_suptitle()
    assert [label.get_text() for label in below.get_yticklabels()] == ["EEG", "EOG", "EMG", "EDA"]
    present = {tuple(point) for point in below.collections[1].get_offsets().astype(int).tolist()}
    columns = ["".join("1" if (column, row) in present else "0" for row in range(4)) for column in range(15)]
    assert sorted(columns) == [format(i, "04b") for i in range(1, 16)]
    for method, container in zip(("himoe", "late_fusion", "features_gbdt"), above.containers, strict=True):
        frame = deap[0][f"deap4-{method}"].part("combinations")
        scores = frame[(frame["metric"] == "ccc") & (frame["dimension"] == "mean")]
        expected = [scores.loc[scores["combination"] == column, "value"].mean() for column in columns]
        np.testing.assert_allclose(container.lines[0].get_ydata(orig=False), expected, rtol=1e-12)
        assert np.abs(container.lines[0].get_xdata(orig=False) - np.arange(15)).max() < 0.5


def test_calibration_has_a_panel_a_method_and_a_line_a_dimension(deap: Material) -> None:
    axes = drawn("calibration", deap).axes
    assert len(axes) == 9  # none alone in a row
    ax = next(ax for ax in axes if ax.get_title() == "IANet (2024)")
    predictions = deap[0]["deap-ianet"].part("predictions")
    rows = predictions[predictions["dimension"] == "dominance"]
    slices = np.array_split(rows.sort_values("y_pred")[["y_pred", "y_true"]].to_numpy(), 10)
    expected = np.array([part.mean(0) for part in slices])
    np.testing.assert_allclose(line(ax, "Dominance").get_xydata(), expected, rtol=1e-9)
    assert ax.lines[0].get_xydata().tolist() == [[1.0, 1.0], [9.0, 9.0]]
    constant = next(ax for ax in axes if ax.get_title() == "Training mean\n(floor)")
    assert len(line(constant, "Valence").get_xdata()) == 1


def test_reliability_curves_are_of_classification_runs(deap: Material) -> None:
    figure = drawn("calibration_classes", deap)
    shown = [ax.get_title() for ax in figure.axes if ax.get_visible()]
    assert shown == ["Hi-MoE", "TACOFormer (2023)", "MFST-RNN (2023)", "Features + GBDT\n(floor)",
                     "Training mean\n(floor)"]
    predictions = deap[0]["deap-class-himoe"].part("predictions")
    rows = predictions[predictions["dimension"] == "liking"].sort_values("y_pred")
    found = line(figure.axes[0], "Liking")
    np.testing.assert_allclose(found.get_ydata()[0], rows["y_true"].iloc[:len(rows) // 10].mean())
    assert np.max(found.get_ydata()) <= 1


def test_training_curves_are_of_methods_with_epochs(deap: Material) -> None:
    figure = drawn("training_curves", deap)
    assert [ax.get_title() for ax in figure.axes if ax.get_visible()] == [
        "Hi-MoE", "Late Fusion (2017)", "Bi-LSTM (2021)", "TACOFormer (2023)", "IANet (2024)"]
    history = deap[0]["deap-bilstm"].part("history")
    ax = next(ax for ax in figure.axes if ax.get_title() == "Bi-LSTM (2021)")
    at = history[history["epoch"] == 4]
    assert line(ax, "Training").get_ydata()[4] == pytest.approx(at["train_loss"].mean())
    assert ax.lines[1].get_ydata()[4] == pytest.approx(at["validation_loss"].mean())
    assert band_at(ax, 1, 4) == pytest.approx((at["validation_loss"].min(), at["validation_loss"].max()))


def test_cost_shows_methods_without_multiply_adds_by_seconds_alone(deap: Material) -> None:
    results, _, cost = deap
    figure = drawn("cost", deap)
    left, right = figure.axes
    assert len(right.lines) == 9
    assert len(left.lines) == 5
    assert len(right.texts) == 9  # each point is named where it stands
    plain = cost[cost["variant"] == ""]
    rows = plain[(plain["modality_set"] == "EEG+PPS") & (plain["set"] == "deap")].set_index("method")
    label = f"Hi-MoE: {int(rows.loc['himoe', 'parameters']):,} parameters"
    ccc = results["deap-himoe"].metrics["ccc"]
    assert line(left, label).get_xydata().tolist() == [[rows.loc["himoe", "multiply_adds"], ccc]]
    assert line(right, label).get_xydata().tolist() == [[rows.loc["himoe", "seconds_per_window"] * 1e6, ccc]]
    assert left.get_xscale() == right.get_xscale() == "log"
    for ax in (left, right):
        low, high = ax.get_xlim()
        assert all(low < point.get_xdata()[0] < high for point in ax.lines)
    assert "on the right only: 4" in figure.get_suptitle()
    assert "not shown" not in figure.get_suptitle()


def test_cost_needs_its_columns_and_rows(deap: Material) -> None:
    results, settings, cost = deap
    with pytest.raises(InputError, match=r"cost\.csv: found no column parameters"):
        draw("cost", results, settings, cost.drop(columns="parameters"))
    assert draw("cost", results, settings, cost.iloc[:0]) is None
    assert len(cost_points({"himoe": results["deap4-himoe"]}, cost)) == 1


def test_a_missing_file_is_named(deap: Material, tmp_path: Path) -> None:
    _, settings, cost = deap
    source = deap[0]["deap-himoe"].folder
    shutil.copytree(source, tmp_path / "runs" / "deap-himoe")
    (tmp_path / "runs" / "deap-himoe" / "routing.csv").unlink()
    beside = [source.parents[1] / name for name in ("scores", "metrics")]
    results = load_results(["deap-himoe"], tmp_path / "runs", *beside)
    with pytest.raises(InputError, match=r"deap-himoe.*routing\.csv"):
        draw("figure4a", results, settings, cost)
