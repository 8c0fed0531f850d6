"""Figures 3, 6 and 7: CCC against missing rate; ours at the left, the paper's at the right, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.core.params import ReportParams
from himoe.report import frames
from himoe.report.chosen import ceiling, missing_runs
from himoe.report.figures.direct import LINE_IN, NAME_AT, POINTS, End, name_ends
from himoe.report.figures.style import CEILING, PAGE_IN, line_style, marker_style, title, value_grid, width_in, wrapped
from himoe.report.palette import look
from himoe.scoring.paper import METHOD_LABELS, paper_rows
from himoe.scoring.results import RunResult, provenance

LEFT_IN, BOTTOM_IN, TOP_IN = 0.5, 0.45, 0.85  # around the panels
ATTAINABLE = "Attainable at r = 0, pooled"


def figure3(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 3: the largest modality set, beside the paper's Table 3."""
    return _figure(results, missing_runs(results, settings), 3)


def figure6(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 6: EEG and peripheral signals, beside the paper's Table 8."""
    return _figure(results, missing_runs(results, settings, "EEG+PPS"), 8)


def figure7(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 7: EEG, EOG, EMG and EDA, beside the paper's Table 9."""
    return _figure(results, missing_runs(results, settings, "EEG+EOG+EMG+EDA"), 9)


def _figure(results: Mapping[str, RunResult], runs: Mapping[str, RunResult], table: int) -> Figure | None:
    """One line per method; ``table``: the paper's table with the published curves, at the right on the same scale."""
    if not runs:
        return None
    first = next(iter(runs.values())).metrics
    rows = paper_rows(table, str(first["set"]))
    panel_in = max(2.3, LINE_IN * 1.9 * len(runs))
    height = TOP_IN + panel_in + BOTTOM_IN
    figure = Figure(figsize=(PAGE_IN, height))
    names = [[*(run.named for run in runs.values()), ATTAINABLE],
             [METHOD_LABELS[str(method)] for method in rows["method"].unique()]]
    rooms = [NAME_AT + 0.1 + max(width_in(name, POINTS) for name in part) for part in names if part]
    free = PAGE_IN - LEFT_IN - sum(rooms) - 0.05
    widths = [free * 0.55, free * 0.45] if len(rooms) > 1 else [free]
    lefts = [LEFT_IN, LEFT_IN + widths[0] + rooms[0]]
    axes = [figure.add_axes((left / PAGE_IN, BOTTOM_IN / height, width / PAGE_IN, panel_in / height))
            for left, width in zip(lefts, widths, strict=False)]
    curves, pooled = (frame[frame["measure"] == "CCC"] for frame in (
        frames.missing_frame(results), frames.score_frame(results, "regression")))
    ends = [_own_curves(axes[0], runs, curves, pooled)]
    if not rows.empty:
        ends.append(_published_curves(axes[1], rows))
        used = _modalities(str(rows["modalities"].iloc[0]))
        _heading(axes[1], f"Published, not our results: the paper's Table {table},", used, widths[1] + rooms[1])
    source = provenance(runs.values())
    _heading(axes[0], f"Ours on {source},", _modalities(str(first["modality_set"])), widths[0] + rooms[0] - 0.2)
    _finish(axes, ends, widths, panel_in)
    title(figure, f"CCC under missing modalities, ours on {source}"
          + ("" if rows.empty else ", beside the paper's: one scale"), _remark(runs))
    return figure


def _finish(axes: Sequence[Axes], ends: Sequence[Sequence[End]], widths: Sequence[float], panel_in: float) -> None:
    """One scale for all panels, and the names at the ends of the lines."""
    values = [end.y for part in ends for end in part]
    low = min(0.0, *(float(ax.dataLim.y0) for ax in axes))
    high = max(values + [float(ax.dataLim.y1) for ax in axes])
    for ax, part, width in zip(axes, ends, widths, strict=True):
        ax.set_ylim(low - 0.03, high + 0.03)
        ax.set_xlim(-0.02, 0.41)
        ax.set_xticks([0.0, 0.1, 0.2, 0.3, 0.4])
        ax.set_xlabel("Missing rate r (chance that a modality is absent)" if width > 2.2 else "Missing rate r")
        value_grid(ax)
        name_ends(ax, part, (width, panel_in))
    axes[0].set_ylabel("CCC, mean over dimensions")
    for ax in axes[1:]:
        ax.tick_params(labelleft=False)


def _heading(ax: Axes, text: str, modalities: str, room_in: float) -> None:
    """Whose numbers, and below it the modalities: a wrapped line would part them anywhere."""
    ax.set_title(f"{wrapped(text, room_in)}\n{wrapped(modalities, room_in)}", loc="left")


def _remark(runs: Mapping[str, RunResult]) -> str:
    """What the bands are of, and how much wider the spread over people is."""
    text = "ours: mean over folds; band: SD over mask seeds alone"
    first = next(iter(runs.values()))
    if first.metrics.get("ccc_low") is None or first.metrics.get("ccc_high") is None:
        return text
    return f"{text}; upright bar: {first.named} at r = 0, pooled, 95 % interval over people"


def _modalities(text: str) -> str:
    return {"ALL": "all modalities", "EEG+PPS": "EEG and peripheral"}.get(text, text.replace("+", ", "))


def _own_curves(ax: Axes, runs: Mapping[str, RunResult], curves: pd.DataFrame, pooled: pd.DataFrame) -> list[End]:
    """A line with its band per run, and the first one's interval at r = 0 (*pooled*)."""
    ends = []
    for k, (method, result) in enumerate(runs.items()):
        curve = curves[curves["run"] == result.run]
        found = look(method, k)
        ax.fill_between(curve["rate"], curve["low"], curve["high"], color=found.colour, alpha=0.18, lw=0, zorder=1)
        ax.plot(curve["rate"], curve["ccc"], label=result.named, zorder=3.0 if k == 0 else 2.0,
                **line_style(found), **marker_style(found, 3.0))
        ends += [End(float(x), float(y), result.named, found) for x, y in curve[["rate", "ccc"]].to_numpy()[-1:]]
    method, first = next(iter(runs.items()))
    interval = pooled[pooled["run"] == first.run]
    ax.vlines([-0.01], interval["low"], interval["high"], color=look(method).colour, lw=1.2)
    attainable = ceiling(runs.values())
    if attainable is not None:
        ax.plot([-0.02, 0.4], [attainable, attainable], label=ATTAINABLE, **CEILING)
        ends.append(End(0.4, attainable, ATTAINABLE))
    return ends


def _published_curves(ax: Axes, rows: pd.DataFrame) -> list[End]:
    ends = []
    for k, method in enumerate(rows["method"].unique()):
        curve = rows[rows["method"] == method]
        found = look(str(method), k)
        ax.plot(curve["missing_rate"], curve["value"], marker=found.marker, ms=3.4, mfc="white",
                label=f"{METHOD_LABELS[str(method)]} (paper)", **line_style(found))
        last = curve.iloc[-1]
        ends.append(End(float(last["missing_rate"]), float(last["value"]), METHOD_LABELS[str(method)], found))
    return ends
