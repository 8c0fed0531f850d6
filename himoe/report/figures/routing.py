"""Figure 4: routing weights by modality combination (a), CCC against the number of emotion experts (b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Normalize
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import OWN_METHOD, ceiling, in_words, main_runs, shown_combinations
from himoe.report.figures.style import COLUMN_IN, PAGE_IN, draw_ceiling, legend_below, new_figure, title, value_grid
from himoe.report.palette import look
from himoe.scoring.results import RunResult, provenance

MOST_COLUMNS = 24


def figure4a(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 4a: mean routing weights by modality combination, fusion weights above, experts below."""
    result = main_runs(results, settings).get(OWN_METHOD)
    frame = frames.routing_frame(results, settings)
    frame = frame[frame["run"] == result.run] if result else frame.iloc[:0]
    if result is None or frame.empty:
        return None
    modalities = list(result.info["modalities"])
    shown, left_out = shown_combinations(frame["combination"], len(modalities), MOST_COLUMNS)
    n_experts = int(frame["expert"].max()) + 1
    rows = [max(len(modalities), 6), max(len(modalities) * n_experts, 8)]  # the colour bars' labels need room
    figure = new_figure(PAGE_IN, 2.0 + 0.13 * rows[0] + 0.075 * rows[1])
    fusion, experts = figure.subplots(2, 1, sharex=True, height_ratios=[1.7 * rows[0], rows[1]])
    weights = _weights(frame, modalities, shown, [-1])
    _heat(figure, fusion, weights, "Fusion weight", _fusion_scale(weights, shown))
    _numbers(fusion, weights, shown)
    _heat(figure, experts, _weights(frame, modalities, shown, list(range(n_experts))),
          f"Expert weight (white: 1/{n_experts})", _expert_scale(frame, n_experts))
    fusion.set_yticks(range(len(modalities)), modalities)
    experts.set_yticks([n_experts * (m + 0.5) - 0.5 for m in range(len(modalities))], modalities)
    for m in range(1, len(modalities)):
        experts.axhline(n_experts * m - 0.5, color="#555555", lw=0.8)
    fusion.set_title("Weight of each modality in the fusion (numbers: modalities that are there)")
    experts.set_title(f"Weight of each modality's {n_experts} experts (one row per expert), from their equal share")
    experts.set_xticks(range(len(shown)), [in_words(combination, modalities) for combination in shown], rotation=90)
    experts.set_xlabel("Modalities that are there" + (f" ({left_out} combinations not shown)" if left_out else ""))
    title(figure, "Mean routing weights by modality combination", f"{result.label}, {result.data}")
    return figure


def _fusion_scale(weights: np.ndarray, shown: Sequence[str]) -> Normalize:
    """From 0 to the largest weight among several: a modality alone has all of it, and would hide the rest."""
    several = weights[:, [combination.count("1") > 1 for combination in shown]]
    return Normalize(0.0, float(np.nanmax(several)) if np.isfinite(several).any() else 1.0)


def _expert_scale(frame: pd.DataFrame, n_experts: int) -> Normalize:
    """About the equal share, as wide as the means that are farthest from it."""
    weights = frame[frame["expert"] >= 0]["weight"]
    far = float((weights - 1 / n_experts).abs().max()) if len(weights) else 0.0
    return CenteredNorm(1 / n_experts, far or 0.01)


def _numbers(ax: Axes, weights: np.ndarray, shown: Sequence[str]) -> None:
    """The fusion weight of each modality that is there, in its cell."""
    high = _fusion_scale(weights, shown).vmax or 1.0
    for row, column in np.argwhere(np.isfinite(weights)):
        if shown[column][row] == "1":
            value = weights[row, column]
            ax.text(column, row, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=5.5,
                    color="black" if value > 0.6 * high else "white")


def _weights(frame: pd.DataFrame, modalities: Sequence[str], shown: Sequence[str],
             experts: Sequence[int]) -> np.ndarray:
    """(modalities x experts, combinations), NaN where there is no weight."""
    weights = frame.pivot(index=["modality", "expert"], columns="combination", values="weight")
    index = pd.MultiIndex.from_tuples([(m, e) for m in modalities for e in experts], names=["modality", "expert"])
    return weights.reindex(index=index, columns=list(shown)).to_numpy(float)


def _heat(figure: Figure, ax: Axes, weights: np.ndarray, label: str, scale: Normalize) -> None:
    diverging = isinstance(scale, CenteredNorm)
    image = ax.imshow(weights, aspect="auto", cmap="PuOr" if diverging else "cividis", norm=scale,
                      interpolation="nearest")
    bar = figure.colorbar(image, ax=ax, label=label, fraction=0.03, pad=0.01, extend="neither" if diverging else "max")
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]
    ax.tick_params(length=0)
    ax.tick_params(axis="x", labelbottom=ax.get_subplotspec().is_last_row())  # type: ignore[union-attr]
    for spine in ax.spines.values():
        spine.set_visible(False)


def figure4b(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 4b: CCC against the number of emotion experts, read from each run's own parameters."""
    scores = frames.experts_frame(results, settings)
    if scores.empty:
        return None
    runs = [results[name] for name in scores["run"]]
    figure = new_figure(COLUMN_IN, 2.6)
    ax = figure.subplots()
    found = look(OWN_METHOD)
    x = np.arange(len(runs))
    ax.plot(x, scores["ccc"], color=found.colour, marker=found.marker, ms=4)
    ax.vlines(x, scores["low"], scores["high"], color=found.colour, lw=0.9)
    draw_ceiling(ax, ceiling(runs))
    ax.set_xticks(x, [str(count) for count in scores["experts"]])
    ax.set_xlim(-0.4, len(runs) - 0.6)
    ax.set_xlabel("Emotion experts L")
    ax.set_ylabel("CCC, mean over dimensions")
    value_grid(ax)
    title(figure, "CCC by number of emotion experts",
          f"Hi-MoE, {provenance(runs)}; bars: 95 % interval, people and trials resampled")
    if ax.get_legend_handles_labels()[1]:
        legend_below(figure, ax, 1)
    return figure
