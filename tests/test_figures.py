"""Figures: the same bytes twice, honest titles, nothing overlapping, the numbers that were given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from himoe.errors import InputError
from himoe.figures import FIGURES, draw, save
from himoe.paper import METHOD_LABELS, paper_value
from himoe.tables import RunResult

MODALITIES = ("EEG", "EOG", "EMG", "EDA", "RSP", "PPG", "TEMP")
EXPERTS = 4
RATES = np.round(np.arange(0, 0.41, 0.05), 2)
METHODS = ("himoe", "late_fusion", "bilstm", "tacoformer", "ianet")


def make_run(run: str, method: str, seed: int = 0, protocol: str = "trial", constant: bool = False) -> RunResult:
    rng = np.random.default_rng(seed)
    ccc = 0.5 - 0.05 * seed
    metrics = {"run": run, "method": method, "set": "deap", "protocol": protocol, "task": "regression",
               "modalities": "+".join(MODALITIES), "data": "DEAP (simulated)", "simulated": True, "ccc": ccc,
               "ccc_sd": 0.04, "ccc_low": ccc - 0.06, "ccc_high": ccc + 0.05}
    info = {"run": run, "label": METHOD_LABELS[method], "modalities": list(MODALITIES), "data": "DEAP (simulated)",
            "simulated": True, "model": {"emotion_experts": int(run[6:]) if run[6:].isdigit() else 4}}
    return RunResult(run, metrics, info, make_sweep(run, rng, ccc), make_routing(run, rng),
                     make_trajectories(rng, constant))


def make_sweep(run: str, rng: np.random.Generator, ccc: float) -> pd.DataFrame:
    return pd.DataFrame([
        {"run": run, "missing_rate": rate, "mask_seed": mask, "seed": 0, "fold": fold, "dimension": "mean",
         "metric": "ccc", "value": ccc * (1 - rate) + rng.normal(0, 0.03 * (rate > 0))}
        for rate in RATES for mask in range(5) for fold in range(4)])


def make_routing(run: str, rng: np.random.Generator) -> pd.DataFrame:
    n = len(MODALITIES)
    full = "1" * n
    combinations = {full} | {full[:i] + "0" + full[i + 1:] for i in range(n)}
    combinations |= {"0" * i + "1" + "0" * (n - 1 - i) for i in range(n)}
    combinations |= {format(i, f"0{n}b") for i in (3, 7, 9, 21, 33, 77, 90, 101, 110, 29)}
    rows = []
    for combination in sorted(combinations):
        fusion = rng.dirichlet(np.array([3.0 if c == "1" else 0.4 for c in combination]))
        for m, modality in enumerate(MODALITIES):
            gates = rng.dirichlet(np.ones(EXPERTS))
            rows += [(run, combination, modality, e, w) for e, w in enumerate(gates)]
            rows.append((run, combination, modality, -1, fusion[m]))
    return pd.DataFrame(rows, columns=["run", "combination", "modality", "expert", "weight"])


def make_trajectories(rng: np.random.Generator, constant: bool) -> pd.DataFrame:
    frames = []
    for trial in ("3", "7", "9"):
        for d, dimension in enumerate(("valence", "arousal", "dominance")):
            time_s = 2.0 + 2.0 * np.arange(29)
            truth = 5 + (0 if constant else 2) * np.sin(time_s / (7 + d) + int(trial))
            predicted = truth + np.cumsum(rng.normal(0, 0.25, len(time_s)))
            frames.append(pd.DataFrame({
                "subject": "s01", "trial": trial, "window": np.arange(29), "time_s": time_s, "dimension": dimension,
                "y_true": truth, "y_pred": predicted, "y_low": predicted - 0.4, "y_high": predicted + 0.3}))
    return pd.concat(frames, ignore_index=True)


def roles_of(name: str) -> Any:
    if name in ("figure2", "figure3"):
        return {method: f"deap-{method}" for method in (METHODS[:3] if name == "figure2" else METHODS)}
    if name == "figure4a":
        return "deap-himoe"
    if name == "figure4b":
        return ["deap-l1", "deap-l2", "deap-himoe", "deap-l16"]
    return [{"label": "whole trials held out", "run": "deap-himoe"},
            {"label": "people held out", "run": "deap-loso"}, {"label": "windows shuffled", "run": "deap-leaky"}]


@pytest.fixture(scope="module")
def results() -> Mapping[str, RunResult]:
    runs = {f"deap-{method}": make_run(f"deap-{method}", method, k) for k, method in enumerate(METHODS)}
    runs |= {f"deap-l{n}": make_run(f"deap-l{n}", "himoe", k) for k, n in enumerate((1, 2, 16), start=1)}
    runs["deap-loso"] = make_run("deap-loso", "himoe", 7, "loso")
    runs["deap-leaky"] = make_run("deap-leaky", "himoe", 0, "leaky")
    return runs


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("name", list(FIGURES))
def test_same_bytes_twice(name: str, results: Mapping[str, RunResult], tmp_path: Path) -> None:
    first = save(draw(name, roles_of(name), results), tmp_path / "a" / name)
    second = save(draw(name, roles_of(name), results), tmp_path / "b" / name)
    for one, other in zip(first, second, strict=True):
        assert one.stat().st_size > 5_000
        assert one.read_bytes() == other.read_bytes()
    assert [path.suffix for path in first] == [".svg", ".png"]
    assert b"<dc:date>" not in first[0].read_bytes()


@pytest.mark.parametrize("name", list(FIGURES))
def test_title_says_simulated(name: str, results: Mapping[str, RunResult]) -> None:
    figure = draw(name, roles_of(name), results)
    assert any("DEAP (simulated)" in text.get_text() for text in texts(figure))


@pytest.mark.parametrize("name", list(FIGURES))
def test_no_text_overlaps_or_is_cut(name: str, results: Mapping[str, RunResult]) -> None:
    figure = draw(name, roles_of(name), results)
    figure.set_dpi(300)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Tick labels outside the limits are made but not drawn: only what carries ink counts.
    drawn = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts(figure)]
    inside = figure.bbox
    boxes = [(text, box) for text, box in drawn if box.width > 0 and _is_drawn(text, box, figure)]
    assert len(boxes) > 5
    for text, box in boxes:
        assert min(box.x0 - inside.x0, inside.x1 - box.x1, box.y0 - inside.y0, inside.y1 - box.y1) >= -1, text
    for i, (text, box) in enumerate(boxes):
        for other, other_box in boxes[i + 1:]:
            assert not box.padded(-1).overlaps(other_box.padded(-1)), (text, other)


def _is_drawn(text: str, box: Any, figure: Figure) -> bool:
    """False for tick labels whose tick lies outside its axis' limits."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            hidden = set(axis.get_majorticklabels()) - {tick.label1 for tick in axis._update_ticks()}
            if any(label.get_window_extent().bounds == box.bounds and label.get_text() == text for label in hidden):
                return False
    return True


def test_missing_rates_draw_ours_and_published_apart(results: Mapping[str, RunResult]) -> None:
    figure = draw("figure3", roles_of("figure3"), results)
    ours, published = figure.axes
    sweep = results["deap-himoe"].part("sweep")
    expected = [sweep.loc[sweep["missing_rate"] == rate, "value"].mean() for rate in RATES]
    line = next(line for line in ours.lines if line.get_label() == "Hi-MoE")
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    values = [paper_value(3, "deap", "himoe", "ALL", "ccc", "mean", rate) for rate in RATES]
    line = next(line for line in published.lines if line.get_label() == "Hi-MoE")
    np.testing.assert_array_equal(line.get_ydata(), [value.value for value in values if value])
    assert "simulated" in ours.get_title()
    assert "not our results" in published.get_title()
    assert len(published.lines) == 4


def test_missing_rates_band_is_sd_over_mask_seeds(results: Mapping[str, RunResult]) -> None:
    figure = draw("figure3", {"himoe": "deap-himoe"}, results)
    sweep = results["deap-himoe"].part("sweep")
    seeds = [sweep[(sweep["missing_rate"] == 0.4) & (sweep["mask_seed"] == mask)]["value"].mean() for mask in range(5)]
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    at = band[np.isclose(band[:, 0], 0.4)][:, 1]
    assert at.max() - at.min() == pytest.approx(2 * np.std(seeds, ddof=1))


def test_routing_shows_weights_in_place(results: Mapping[str, RunResult]) -> None:
    figure = draw("figure4a", "deap-himoe", results)
    frame = results["deap-himoe"].part("routing")
    fusion, experts = (ax.images[0].get_array() for ax in figure.axes[:2])
    columns = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert fusion.shape == (7, 15)  # of 25 combinations, those with at most one absent or one present
    assert experts.shape == (28, 15)
    assert columns[0] == "1111111"
    column = columns.index("1101111")
    rows = frame[frame["combination"] == "1101111"].set_index(["modality", "expert"])["weight"]
    assert fusion[2, column] == rows["EMG", -1]
    assert experts[4 * 3 + 1, column] == rows["EDA", 1]


def test_emotion_experts_are_ordered_by_number(results: Mapping[str, RunResult]) -> None:
    roles = ["deap-l16", "deap-l1", "deap-himoe"]
    ax = draw("figure4b", roles, results).axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "4", "16"]
    means = [results[run].metrics["ccc"] for run in ("deap-l1", "deap-himoe", "deap-l16")]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), means)


def test_leak_audit_names_the_leaky_protocol(results: Mapping[str, RunResult]) -> None:
    ax = draw("leak_audit", roles_of("leak_audit"), results).axes[0]
    assert ax.get_yticklabels()[2].get_text() == "windows shuffled\n(leaky, Hi-MoE)"
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.5, 0.15, 0.5])


def test_constant_truth_is_called_so() -> None:
    runs = {"r": make_run("r", "himoe", constant=True)}
    assert "the truth is a constant" in draw("figure2", {"himoe": "r"}, runs).get_suptitle()
    runs = {"r": make_run("r", "himoe")}
    assert "the truth is a constant" not in draw("figure2", {"himoe": "r"}, runs).get_suptitle()


def test_trajectories_of_other_ratings_are_refused(results: Mapping[str, RunResult]) -> None:
    runs = dict(results)
    frame = runs["deap-bilstm"].part("trajectories")
    runs["deap-bilstm"] = RunResult("deap-bilstm", runs["deap-bilstm"].metrics, runs["deap-bilstm"].info,
                                    trajectories=frame.assign(y_true=frame["y_true"] + 1))
    with pytest.raises(InputError, match=r"deap-bilstm.*the same test trial in every run"):
        draw("figure2", roles_of("figure2"), runs)


def test_bad_requests_are_named(results: Mapping[str, RunResult]) -> None:
    with pytest.raises(InputError, match="'figure9'"):
        draw("figure9", {}, results)
    with pytest.raises(InputError, match=r"'nowhere'.*dvc repro"):
        draw("figure4a", "nowhere", results)
    bare = RunResult("deap-himoe", results["deap-himoe"].metrics, results["deap-himoe"].info)
    with pytest.raises(InputError, match=r"deap-himoe.*routing\.csv"):
        draw("figure4a", "deap-himoe", {"deap-himoe": bare})
