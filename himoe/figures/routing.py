"""Figure 4: routing weights by modality combination (a), CCC against the number of emotion experts (b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.errors import bad_input
from himoe.figures.chosen import OWN_METHOD, all_methods, ceiling, expert_runs
from himoe.figures.style import COLUMN_IN, draw_ceiling, legend_below, new_figure, title, value_grid
from himoe.figures.values import float_of
from himoe.palette import look
from himoe.params import ReportParams
from himoe.results import RunResult, provenance

MOST_COLUMNS = 24


def figure4a(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 4a: mean routing weights by modality combination, fusion weights above, experts below."""
    result = all_methods(results, settings).get(OWN_METHOD)
    if result is None or result.part("routing").empty:
        return None
    frame = result.part("routing")
    modalities = list(result.info["modalities"])
    shown, left_out = shown_combinations(frame["combination"], len(modalities))
    n_experts = int(frame["expert"].max()) + 1
    rows = [max(len(modalities), 6), max(len(modalities) * n_experts, 8)]  # the colour bars' labels need room
    figure = new_figure(COLUMN_IN, 2.2 + 0.105 * sum(rows))
    fusion, experts = figure.subplots(2, 1, sharex=True, height_ratios=rows)
    _heat(figure, fusion, _weights(frame, modalities, shown, [-1]), "Fusion weight")
    _heat(figure, experts, _weights(frame, modalities, shown, list(range(n_experts))), "Expert weight")
    fusion.set_yticks(range(len(modalities)), modalities)
    experts.set_yticks([n_experts * (m + 0.5) - 0.5 for m in range(len(modalities))], modalities)
    for m in range(1, len(modalities)):
        experts.axhline(n_experts * m - 0.5, color="white", lw=1.0)
    fusion.set_title("Weight of each modality in the fusion")
    experts.set_title(f"Weight of each modality's {n_experts} experts (one row an expert)")
    experts.set_xticks(range(len(shown)), shown, rotation=90, family="DejaVu Sans Mono", fontsize=6)
    experts.set_xlabel(f"1 = present, 0 = absent, in the order\n{' '.join(modalities)}"
                       + (f"\n({left_out} combinations not shown)" if left_out else ""))
    title(figure, "Mean routing weights by modality combination", f"{result.label}, {result.data}")
    return figure


def shown_combinations(found: Sequence[str] | pd.Series, n_modalities: int,
                       most: int = MOST_COLUMNS) -> tuple[list[str], int]:
    """Combinations to show, fullest first, and how many are left out.

    Of more than *most* only those with at most one modality absent or just one present stay.

    Raises
    ------
    InputError
        If a combination is not *n_modalities* digits 0 or 1.
    """
    ordered = sorted(set(found), key=fullest_first)
    bad = [c for c in ordered if len(c) != n_modalities or set(c) - {"0", "1"}]
    if bad:
        raise bad_input("combination", repr(bad[0]), f"{n_modalities} digits 0 or 1", "train the run again")
    if len(ordered) <= most:
        return ordered, 0
    shown = [c for c in ordered if c.count("0") <= 1 or c.count("1") == 1]
    return shown, len(ordered) - len(shown)


def fullest_first(combination: str) -> tuple[int, str]:
    """Sort key: few absent first, then in the order of the modality that is absent (or alone present)."""
    absent, present = combination.count("0"), combination.count("1")
    swapped = combination.translate(str.maketrans("01", "10"))
    return absent, combination if absent <= present else swapped


def _weights(frame: pd.DataFrame, modalities: Sequence[str], shown: Sequence[str],
             experts: Sequence[int]) -> np.ndarray:
    """(modalities x experts, combinations), NaN where there is no weight."""
    mean = frame.pivot_table(index=["modality", "expert"], columns="combination", values="weight", aggfunc="mean")
    index = pd.MultiIndex.from_tuples([(m, e) for m in modalities for e in experts], names=["modality", "expert"])
    return mean.reindex(index=index, columns=list(shown)).to_numpy(float)


def _heat(figure: Figure, ax: Axes, weights: np.ndarray, label: str) -> None:
    high = np.nanmax(weights) if np.isfinite(weights).any() else 1.0
    image = ax.imshow(weights, aspect="auto", cmap="cividis", vmin=0.0, vmax=high, interpolation="nearest")
    bar = figure.colorbar(image, ax=ax, label=label, fraction=0.05, pad=0.02)
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]
    ax.tick_params(length=0)
    ax.tick_params(axis="x", labelbottom=ax.get_subplotspec().is_last_row())  # type: ignore[union-attr]
    for spine in ax.spines.values():
        spine.set_visible(False)


def figure4b(results: Mapping[str, RunResult], settings: ReportParams, cost: pd.DataFrame) -> Figure | None:
    """Figure 4b: CCC against the number of emotion experts, read from each run's own parameters."""
    runs = expert_runs(results, settings)
    if not runs:
        return None
    figure = new_figure(COLUMN_IN, 2.6)
    ax = figure.subplots()
    found = look(OWN_METHOD)
    x = np.arange(len(runs))
    scores, low, high = (np.array([float_of(run.metrics.get(f"ccc{part}")) for run in runs.values()])
                         for part in ("", "_low", "_high"))
    ax.plot(x, scores, color=found.colour, marker=found.marker, ms=4)
    ax.vlines(x, low, high, color=found.colour, lw=0.9)
    draw_ceiling(ax, ceiling(runs.values()))
    ax.set_xticks(x, [str(count) for count in runs])
    ax.set_xlim(-0.4, len(runs) - 0.6)
    ax.set_xlabel("Emotion experts L")
    ax.set_ylabel("CCC, mean over dimensions")
    value_grid(ax)
    title(figure, "CCC by number of emotion experts",
          f"Hi-MoE, {provenance(runs.values())}; bars: 95 % interval, people and trials resampled")
    if ax.get_legend_handles_labels()[1]:
        legend_below(figure, ax, 1)
    return figure
