"""Panels, titles and words of the figures: whose numbers they are, what is shown, and what is said to be left out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawing import Material, drawn
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from report_folders import ATTAINABLE, RATES, SETTINGS, finish_reports, write_run

from himoe.core.errors import InputError
from himoe.core.params import ReportParams
from himoe.report.figures import draw
from himoe.report.palette import LOOKS
from himoe.scoring.paper import paper_value
from himoe.scoring.results import load_results


def line(ax: Axes, label: str) -> Any:
    [found] = [line for line in ax.lines if line.get_label() == label]
    return found


def with_metrics(material: Material, **changes: Any) -> Material:
    results, settings, cost = material
    changed = {name: replace(run, metrics={**run.metrics, **changes}) for name, run in results.items()}
    return changed, settings, cost


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

@pytest.mark.parametrize(("name", "methods", "table", "modalities"), [
    ("figure3", 9, 3, "ALL"), ("figure6", 9, 8, "EEG+PPS"), ("figure7", 4, 9, "EEG+EOG+EMG+EDA")])
def test_missing_rates_draw_ours_and_published_apart(name: str, methods: int, table: int, modalities: str,
                                                     deap: Material) -> None:
    ours, published = drawn(name, deap).axes
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


def test_a_set_that_the_paper_lacks_has_no_published_panel(dreamer: Material) -> None:
    assert len(drawn("figure3", dreamer).axes) == 1


def test_methods_keep_their_colour_and_marker(deap: Material) -> None:
    ax = drawn("figure3", deap).axes[0]
    for run in deap[0].values():
        method = run.metrics["method"]
        if run.run == f"deap-{method}":
            found = line(ax, run.named)
            assert (to_hex(found.get_color()).upper(), found.get_marker()) == (LOOKS[method].colour,
                                                                               LOOKS[method].marker)

def test_routing_uses_all_of_its_colours(deap: Material) -> None:
    figure = drawn("figure4a", deap)
    fusion, experts = (ax.images[0].get_array() for ax in figure.axes[:2])
    columns = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert fusion.shape == (7, 15)
    assert experts.shape == (21, 15)
    assert columns[0] == "all 7"
    assert columns[-1] == "TEMP only"
    scale = figure.axes[1].images[0].norm
    assert scale(1 / 3) == pytest.approx(0.5)  # the equal share is the middle of the colours
    assert min(scale(experts.min()), 1 - scale(experts.max())) == pytest.approx(0.0, abs=1e-9)  # and they are used up


def test_emotion_experts_are_ordered_by_number(deap: Material) -> None:
    figure = drawn("figure4b", deap)
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "8", "16"]
    runs = [deap[0][name] for name in ("deap-experts1", "deap-himoe", "deap-experts16")]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [run.metrics["ccc"] for run in runs])
    ends = np.array([path.vertices[:, 1] for path in ax.collections[0].get_paths()])
    np.testing.assert_allclose(ends, [[run.metrics["ccc_low"], run.metrics["ccc_high"]] for run in runs])

def test_leak_audit_groups_runs_by_split_and_names_the_leaky_one(deap: Material) -> None:
    axes = drawn("leak_audit", deap).axes
    held_out, shuffled = ["Whole trials held out", "People held out", "Windows shuffled (leaky)"], "labels shuffled"
    assert [ax.get_title(loc="left") for ax in axes] == [*held_out, *(
        f"{held_out[k]}, {shuffled} between trials" for k in (0, 2))]
    assert [label.get_text() for label in axes[1].get_yticklabels()] == [
        "Hi-MoE", "Features + ridge (floor)", "Training mean of the clip (floor)"]
    assert [{bar.get_hatch() for bar in ax.patches} for ax in axes] == [{""}, {""}, {"////"}, {""}, {"////"}]
    ceilings = [[found for found in ax.lines if found.get_label().startswith("Attainable")] for ax in axes]
    assert [len(found) for found in ceilings] == [1, 0, 0, 0, 0]
    assert set(ceilings[0][0].get_xdata()) == {ATTAINABLE["deap"]["ccc"]}


def test_an_undefined_score_leaves_its_bar_out(deap: Material) -> None:
    figure = drawn("leak_audit", with_metrics(deap, ccc=None, ccc_low=None, ccc_high=None))
    assert all(np.isnan(bar.get_width()) for ax in figure.axes for bar in ax.patches)


def test_an_incomplete_set_says_how_many_combinations_it_shows(deap: Material) -> None:
    results, settings, cost = deap
    large = {name: run for name, run in results.items() if not name.startswith("deap4")}
    figure = drawn("combinations", (large, settings, cost))
    assert "15 of 127 combinations" in figure.get_suptitle()


def test_calibration_has_a_panel_per_method_and_a_line_per_dimension(deap: Material) -> None:
    axes = drawn("calibration", deap).axes
    assert len(axes) == 9  # none alone in a row
    assert {found.get_label() for found in axes[8].lines[1:]} == {"Valence", "Arousal", "Dominance", "Liking"}
    assert axes[0].lines[0].get_xydata().tolist() == [[1.0, 1.0], [9.0, 9.0]]
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


def test_more_than_two_classes_have_no_reliability_curve(tmp_path: Path) -> None:
    write_run(tmp_path, "three", set="seed", task="classification", modalities="EEG", classes=3)
    results, _, cost = finish_reports(tmp_path, ["three"])
    assert draw("calibration_classes", results, ReportParams("seed", SETTINGS.baselines), cost) is None


def test_training_curves_are_of_methods_with_epochs(deap: Material) -> None:
    figure = drawn("training_curves", deap)
    assert [ax.get_title() for ax in figure.axes if ax.get_visible()] == [
        "Hi-MoE", "Late Fusion (2017)", "Bi-LSTM (2021)", "TACOFormer (2023)", "IANet (2024)"]


def test_cost_shows_networks_by_multiply_adds_and_where_measured_by_seconds(deap: Material) -> None:
    results, settings, cost = deap
    [late] = cost.index[(cost["method"] == "late_fusion") & (cost["set"] == "deap")
                        & (cost["modality_set"] == "EEG+PPS")]
    figure = drawn("cost", (results, settings, cost.assign(
        seconds_per_window=cost["seconds_per_window"].drop(index=late))))
    left, right = figure.axes
    assert (len(left.lines), len(right.lines), len(right.texts)) == (5, 4, 4)  # each point is named where it stands
    assert left.get_xscale() == right.get_xscale() == "log"
    for ax in (left, right):
        low, high = ax.get_xlim()
        assert all(low < point.get_xdata()[0] < high for point in ax.lines)
    words = figure.get_suptitle().replace("\n", " ")
    for part in ("on the left only: 1", "not shown: 4", "measured on Abacus 9, 2031-02-03"):
        assert part in words


def test_cost_without_seconds_is_one_panel(deap: Material) -> None:
    results, settings, cost = deap
    figure = drawn("cost", (results, settings, cost.assign(seconds_per_window=np.nan)))
    [only] = figure.axes
    assert (len(only.lines), only.get_xlabel()) == (5, "Multiply-adds per window, one forward pass")
    assert "Seconds" not in figure.get_suptitle()
    assert "left only" not in figure.get_suptitle()


def test_cost_needs_its_columns_and_rows(deap: Material) -> None:
    results, settings, cost = deap
    with pytest.raises(InputError, match=r"cost\.csv: found no column parameters"):
        draw("cost", results, settings, cost.drop(columns="parameters"))
    assert draw("cost", results, settings, cost.iloc[:0]) is None


def test_a_missing_file_is_named(deap: Material, tmp_path: Path) -> None:
    _, settings, cost = deap
    source = deap[0]["deap-himoe"].folder
    shutil.copytree(source, tmp_path / "runs" / "deap-himoe")
    (tmp_path / "runs" / "deap-himoe" / "routing.csv").unlink()
    results = load_results(["deap-himoe"], tmp_path / "runs", source.parent.parent / "scores",
                           source.parent.parent / "metrics")
    with pytest.raises(InputError, match=r"deap-himoe.*routing\.csv"):
        draw("figure4a", results, settings, cost)


def test_days_held_out_are_a_panel_of_their_own(days: Material) -> None:
    figure = drawn("leak_audit", days)
    headings = [ax.get_title(loc="left") for ax in figure.axes]
    assert headings == ["Whole trials held out", "Days held out", "Windows shuffled (leaky)"]
    bars = [patch.get_width() for patch in figure.axes[1].patches]
    assert bars == [days[0][f"session-{method}"].metrics["ccc"] for method in ("himoe", "features_gbdt")]


def test_the_face_is_one_of_the_modalities_drawn(face: Material) -> None:
    shown = {text.get_text() for ax in drawn("figure4a", face).axes
             for text in (*ax.get_xticklabels(), *ax.get_yticklabels())}
    assert {"FACE", "EEG", "TEMP"} <= shown
