"""Figure and page draw the same numbers, and these are what the runs' files say, recomputed here by other means."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawing import Material, drawn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_folders import ATTAINABLE, SETTINGS, finish_reports, shared_reports, write_run
from sklearn.calibration import calibration_curve as reference_curve

from himoe.core.errors import InputError
from himoe.report import frames
from himoe.report.blocks import BLOCKS
from himoe.report.chosen import in_words, shown_combinations
from himoe.report.encodings import Material as Charted
from himoe.report.figures import FIGURES, draw
from himoe.scoring.metrics import ccc
from himoe.scoring.paper import METHOD_LABELS
from himoe.scoring.results import RunResult, load_results

Numbers = Iterator[tuple[tuple[Any, ...], float]]
MAIN = "DEAP (simulated), whole trials held out, EEG+PPS"


def charted(name: str, material: Material) -> pd.DataFrame:
    """The numbers that stand in a chart of the page."""
    block = BLOCKS[name](Charted(material[0], material[2], material[1]))
    assert block is not None
    waiting: list[Any] = list(block.specs)
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict) and part.get("name") == name and isinstance(part.get("values"), str):
            return pd.read_csv(io.StringIO(part["values"]))
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    raise AssertionError(f"no data in {name}")


def band_at(ax: Axes, index: int, x: float) -> tuple[float, float]:
    """Lower and upper edge of the axes' *index*-th band at *x*."""
    vertices = ax.collections[index].get_paths()[0].vertices
    at = vertices[np.isclose(vertices[:, 0], x)][:, 1]
    return float(at.min()), float(at.max())


# --- figure and page ----------------------------------------------------------------------------------------------

def overview_numbers(figure: Figure) -> Numbers:
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    for ax, measure in zip(figure.axes, ("CCC", "within-trial CCC"), strict=True):
        for k, name in enumerate(names):
            span, point = ax.lines[2 * k:2 * k + 2]
            yield from zip(((MAIN, measure, name, key) for key in ("low", "high", "score")),
                           (*span.get_xdata(), *point.get_xdata()), strict=True)


def missing_numbers(figure: Figure) -> Numbers:
    ax = figure.axes[0]
    curves = [found for found in ax.lines if found.get_label() in {*METHOD_NAMES, "Hi-MoE"}]
    for k, curve in enumerate(curves):
        for x, y in curve.get_xydata():
            for key, value in zip(("low", "high"), band_at(ax, k, x), strict=True):
                yield (MAIN, "CCC", curve.get_label(), round(float(x), 4), key), value
            yield (MAIN, "CCC", curve.get_label(), round(float(x), 4), "ccc"), y


def trajectory_numbers(figure: Figure) -> Numbers:
    for k, ax in enumerate(figure.axes):
        trial = "person " + figure.axes[k % 3].get_title().removeprefix("subject ")
        for curve in ax.lines:
            for x, y in curve.get_xydata():
                key = {"Rating (truth)": "truth"}.get(curve.get_label(), KEYS.get(curve.get_label()))
                yield (trial, ("valence", "arousal")[k // 3], float(x), key), y


def routing_numbers(figure: Figure) -> Numbers:
    fusion, experts = figure.axes[:2]
    modalities = [label.get_text() for label in fusion.get_yticklabels()]
    for column, words in enumerate(label.get_text() for label in experts.get_xticklabels()):
        for m, modality in enumerate(modalities):
            yield (MAIN, "fusion weights", words, modality, "weight"), fusion.images[0].get_array()[m, column]
            for expert in range(3):
                yield ((MAIN, f"experts of {modality}", words, f"expert {expert}", "weight"),
                       experts.images[0].get_array()[3 * m + expert, column])


def combination_numbers(figure: Figure) -> Numbers:
    above, below = figure.axes
    modalities = [label.get_text() for label in below.get_yticklabels()]
    present = {tuple(point) for point in below.collections[1].get_offsets().astype(int).tolist()}
    family = MAIN.replace("EEG+PPS", "+".join(modalities))
    for container in above.containers:
        values, spans = container.lines[0].get_ydata(orig=False), container.lines[2][0].get_segments()
        for column, value in enumerate(values):
            bits = "".join("1" if (column, row) in present else "0" for row in range(len(modalities)))
            yield (family, container.get_label(), in_words(bits, modalities), "ccc"), value
            yield (family, container.get_label(), in_words(bits, modalities), "sd"), np.ptp(spans[column][:, 1]) / 2


def calibration_numbers(figure: Figure) -> Numbers:
    for ax in figure.axes:
        for curve in ax.lines[1:]:
            name = ax.get_title().replace("\n", " ")
            for k, point in enumerate(curve.get_xydata()):
                for key, value in zip(("predicted", "true"), point, strict=True):
                    yield (name, curve.get_label().lower(), k, key), value


def training_numbers(figure: Figure) -> Numbers:
    for ax in figure.axes:
        for curve, part in zip(ax.lines, ("training loss", "validation loss"), strict=ax.get_visible()):
            yield from (((part, ax.get_title(), int(x), "loss"), y) for x, y in curve.get_xydata())


def cost_numbers(figure: Figure) -> Numbers:
    measures = ("multiply-adds per window", "microseconds per window (one CPU thread)")
    for ax, measure in zip(figure.axes, measures, strict=True):
        for point in ax.lines:
            name = point.get_label().partition(":")[0]
            yield from zip(((measure, name, key) for key in ("cost", "ccc")), point.get_xydata()[0], strict=True)


def leak_numbers(figure: Figure) -> Numbers:
    for ax in figure.axes:
        split = ax.get_title(loc="left")
        spans = [path.vertices[:, 0] for path in ax.collections[0].get_paths()]
        for label, bar, span in zip(ax.get_yticklabels(), ax.patches, spans, strict=True):
            name = f"{label.get_text()}: {split[0].lower()}{split[1:]}"
            yield from zip(((name, key) for key in ("ccc", "low", "high")), (bar.get_width(), *span), strict=True)


METHOD_NAMES = {f"{name}{floor}" for name in METHOD_LABELS.values() for floor in ("", " (floor)")}
KEYS = {name: key for key, label in METHOD_LABELS.items() for name in (label, f"{label} (floor)")}
BOTH: dict[str, tuple[Callable[[Figure], Numbers], str, tuple[str, ...]]] = {
    "overview": (overview_numbers, "scores", ("family", "measure", "label")),
    "figure2": (trajectory_numbers, "trajectories", ("trial", "dimension", "time_s")),
    "figure4a": (routing_numbers, "routing", ("family", "view", "combination", "column")),
    "figure6": (missing_numbers, "missing", ("family", "measure", "label", "rate")),
    "combinations": (combination_numbers, "combinations", ("family", "label", "combination")),
    "calibration": (calibration_numbers, "calibration", ("label", "dimension", "bin")),
    "training_curves": (training_numbers, "training", ("part", "label", "epoch")),
    "cost": (cost_numbers, "cost", ("measure", "label")),
    "leak_audit": (leak_numbers, "leaks", ("label",)),
}


@pytest.mark.parametrize("name", BOTH)
def test_figure_and_page_draw_the_same_numbers(name: str, deap: Material) -> None:
    """Every number of the figure stands in the chart, to the five digits that a page holds."""
    read, chart, keys = BOTH[name]
    frame = charted(chart, deap)
    if "bin" in keys:
        frame["bin"] = frame.groupby(["label", "dimension"]).cumcount()
    assert not frame.duplicated(list(keys)).any()
    rows = {tuple(row[key] for key in keys): row for row in frame.to_dict("records")}
    found = dict(read(drawn(name, deap)))
    assert len(found) > 10
    page = [rows[tuple(place)][column] for *place, column in found]
    np.testing.assert_allclose(np.array(list(found.values()), float), page, rtol=1e-4)


def test_every_figure_with_a_chart_is_compared() -> None:
    others = {"figure3", "figure5", "figure7"}  # as figures 6 and 2, of other runs and dimensions
    assert set(FIGURES) - set(BOTH) == others | {"figure4b", "calibration_classes"}  # these two have no chart
    assert set(BLOCKS) - {chart for _, chart, _ in BOTH.values()} == {"accuracies"}


def test_models_of_other_missing_rates_have_no_part_in_the_curves(tmp_path: Path) -> None:
    """A model for each rate and seed, as the profile `paper` fits them: figure and page show those of rate 0."""
    for name in ("himoe", "bilstm"):
        write_run(tmp_path, name, method=name)
        path = tmp_path / "runs" / name / "history.csv"
        history = pd.read_csv(path)
        pd.concat([history.assign(rate=0.2, train_loss=9.0, epoch=history["epoch"] + 3),
                   history.assign(rate=0.0)]).to_csv(path, index=False)
    results, _, cost = finish_reports(tmp_path, ["himoe", "bilstm"])
    material = (results, SETTINGS, cost)
    numbers = dict(training_numbers(drawn("training_curves", material)))
    rows = charted("training", material)
    assert len(numbers) == len(rows) == 2 * 2 * 8
    assert max(numbers.values()) == pytest.approx(rows["loss"].max(), rel=1e-4)
    assert rows["loss"].max() < 9


# --- frames against the files -------------------------------------------------------------------------------------

def test_scores_are_those_of_the_predictions(deap: Material) -> None:
    frame = frames.score_frame(deap[0], "regression").set_index(["measure", "run"])
    rows = deap[0]["deap-tacoformer"].part("predictions")
    pooled = [ccc(part["y_true"].to_numpy(), part["y_pred"].to_numpy())
              for _, part in rows.groupby(["dimension", "seed"])]
    found = frame.loc["CCC", "deap-tacoformer"]
    assert found["score"] == pytest.approx(float(np.mean(pooled)), abs=1e-5)
    assert found["low"] < found["score"] < found["high"]
    assert {"deap-leaky", "deap-shuffled", "deap-no_alignment"} & {run for _, run in frame.index} == set()
    same = frame.loc["CCC"].query("family == @MAIN").sort_values("order")
    assert list(same["order"]) == list(range(9))
    assert list(same["floor"]) == [False] * 5 + [True] * 4
    assert all(part["score"].is_monotonic_decreasing for part in (same[:5], same[5:]))


def test_families_say_what_is_held_out_and_how_many_classes() -> None:
    frame = frames.score_frame(shared_reports()[1][0], "classification").set_index("run")
    assert [frame.loc[f"seed-{protocol}-himoe", "family"] for protocol in ("trial", "session", "loso")] == [
        f"SEED (simulated), {held_out}, EEG, 3 classes"
        for held_out in ("whole trials held out", "days held out", "people held out")]
    assert frame.loc["deap-class-himoe", "family"] == MAIN


def test_missing_curves_are_means_and_sds_over_masks_of_means_over_folds_and_seeds(deap: Material) -> None:
    frame = frames.missing_frame(deap[0])
    sweep = deap[0]["deap-ianet"].part("sweep")
    for rate, metric, measure in ((0.0, "ccc", "CCC"), (0.2, "ccc_within", "within-trial CCC")):
        here = sweep[(sweep.missing_rate == rate) & (sweep.metric == metric) & (sweep.dimension == "mean")]
        by_mask = [part["value"].sum() / len(part) for _, part in here.groupby("mask_seed")]
        curve = frame[(frame.run == "deap-ianet") & (frame.measure == measure)]
        [row] = curve[curve.rate == rate].to_dict("records")
        assert row["ccc"] == pytest.approx(np.mean(by_mask), rel=1e-12)
        assert row["ceiling"] == ATTAINABLE["deap"][metric]
        sd = np.std(by_mask, ddof=1) if len(by_mask) > 1 else 0.0
        assert (row["low"], row["high"]) == pytest.approx((row["ccc"] - sd, row["ccc"] + sd), rel=1e-9)


def test_trajectories_are_mean_and_range_over_seeds_at_the_middle_of_each_window(deap: Material) -> None:
    frame = frames.trajectory_frame(deap[0], SETTINGS)
    rows = deap[0]["deap-late_fusion"].part("predictions")
    one = rows[(rows.subject == "s02") & (rows.trial == "03") & (rows.dimension == "arousal") & (rows.window == 4)]
    assert len(one) == 2  # seeds
    [row] = frame[(frame.run == "deap-late_fusion") & (frame.subject == "s02") & (frame.trial == "03")
                  & (frame.dimension == "arousal") & (frame.time_s == 8 + 2)].to_dict("records")
    assert row["predicted"] == pytest.approx(one["y_pred"].sum() / 2)
    assert (row["truth"], row["low"], row["high"]) == (one["y_true"].iloc[0], one["y_pred"].min(), one["y_pred"].max())
    errors = frames.trajectory_errors(frame.assign(trial=frame["subject"] + frame["trial"]))
    part = frame[(frame.run == "deap-himoe") & (frame.subject + frame.trial == "s0203") & (frame.dimension == "liking")]
    [short] = errors[(errors.trial == "s0203") & (errors.dimension == "liking")].to_dict("records")
    assert short["MAE Hi-MoE"] == pytest.approx(float(np.mean(np.abs(part["predicted"] - part["truth"]))))


def test_other_ratings_or_trials_in_a_baseline_are_refused(dreamer: Material, tmp_path: Path) -> None:
    results, settings, cost = dreamer
    name = "dreamer-late_fusion"
    run = results[name]
    shutil.copytree(run.folder, tmp_path / name)
    for change, message in (({"y_true": run.part("predictions")["y_true"] + 1}, "the same test trials in every run"),
                            ({"trial": "elsewhere"}, "no test trial that all of them hold")):
        run.part("predictions").assign(**change).to_parquet(tmp_path / name / "predictions.parquet")
        runs = {**results, name: replace(run, folder=tmp_path / name)}
        with pytest.raises(InputError, match=f"dreamer-late_fusion.*{message}"):
            draw("figure2", runs, settings, cost)


def test_combination_scores_average_folds_and_seeds(deap: Material) -> None:
    table = deap[0]["deap4-himoe"].part("combinations")
    here = table[(table.combination == "0101") & (table.metric == "ccc") & (table.dimension == "mean")]["value"]
    frame = frames.combination_frame(deap[0], SETTINGS)
    [row] = frame[(frame.run == "deap4-himoe") & (frame.words == "EOG+EDA")].to_dict("records")
    assert (row["ccc"], row["sd"]) == pytest.approx((sum(here) / len(here), np.std(here, ddof=1)))


def test_of_too_many_combinations_the_extremes_are_shown() -> None:
    every = [format(i, "04b") for i in range(1, 16)]
    shown, left_out = shown_combinations(every, 4, most=9)
    assert shown == ["1111", "0111", "1011", "1101", "1110", "1000", "0100", "0010", "0001"]
    assert left_out == 6
    assert shown_combinations(every, 4, most=15)[0][5:11] == ["0011", "0101", "0110", "1001", "1010", "1100"]
    with pytest.raises(InputError, match="'012'"):
        shown_combinations(["012"], 3, most=9)


def test_calibration_is_that_of_scikit_learn_and_keeps_equals_together() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 3, 173)
    y = (rng.random(173) < p**2).astype(float)
    curve = frames.calibration_curve(pd.DataFrame({"y_true": y, "y_pred": p}), bins=7)
    true, predicted = reference_curve(y, p, n_bins=7, strategy="quantile")
    np.testing.assert_allclose(curve[["predicted", "true"]], np.stack([predicted, true], 1), rtol=1e-12)
    assert curve["n"].sum() == 173
    few = pd.DataFrame({"y_true": [1.0, 3.0, 5.0, 9.0, np.nan], "y_pred": [4.0, 4.0, 4.0, 6.0, 2.0]})
    assert frames.calibration_curve(few).to_numpy().tolist() == [[4.0, 3.0, 3.0], [6.0, 9.0, 1.0]]
    assert frames.calibration_curve(few.iloc[4:]).empty
    with pytest.raises(InputError, match=r"y_pred.*diverged"):
        frames.calibration_curve(pd.DataFrame({"y_true": [1.0, 2.0], "y_pred": [1.0, np.inf]}))


def test_losses_are_mean_and_range_of_the_fits_still_running(deap: Material, tmp_path: Path) -> None:
    write_run(tmp_path, "bilstm", method="bilstm")
    path = tmp_path / "runs" / "bilstm" / "history.csv"
    history = pd.read_csv(path)
    history = history[(history["fold"] > 0) | (history["epoch"] < 3)]  # a fold that stops early
    history.to_csv(path, index=False)
    results = load_results(["bilstm"], tmp_path / "runs", tmp_path / "scores", tmp_path / "metrics")
    frame = frames.training_frame(results, SETTINGS)
    for epoch, fits in ((2, 8), (3, 6)):
        losses = [row["validation_loss"] for _, row in history.iterrows() if row["epoch"] == epoch]
        [row] = frame[(frame["part"] == "validation loss") & (frame["epoch"] == epoch)].to_dict("records")
        assert row["fits"] == len(losses) == fits
        assert (row["loss"], row["low"], row["high"]) == pytest.approx((np.mean(losses), min(losses), max(losses)))
    assert set(frames.training_frame(deap[0], SETTINGS)["method"]) & {"mean", "features_gbdt"} == set()


def test_no_runs_give_empty_frames() -> None:
    nothing: dict[str, RunResult] = {}
    _, _, cost = shared_reports()[1]
    for frame in (frames.score_frame(nothing, "regression"), frames.missing_frame(nothing),
                  frames.cost_frame(nothing, cost, SETTINGS), *(make(nothing, SETTINGS) for make in (
                      frames.overview_frame, frames.trajectory_frame, frames.routing_frame, frames.combination_frame,
                      frames.calibration_frame, frames.training_frame, frames.leak_frame, frames.experts_frame))):
        assert frame.empty
