"""The paper's figures from our results, each as SVG and PNG with the same bytes every time.

Published and our own numbers never share axes, and every title carries the data's provenance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from himoe.errors import bad_input
from himoe.files import atomic_path
from himoe.paper import METHOD_LABELS, paper_rows
from himoe.tables import RunResult, provenance, sweep_curve
from himoe.tables.results import find_run

COLUMN_IN, PAGE_IN = 3.5, 7.0
DPI = 300

# Fixed fonts, and SVG identifiers that do not depend on chance.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": 7, "axes.titlesize": 7.5, "axes.labelsize": 7, "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5, "ytick.labelsize": 6.5, "axes.linewidth": 0.6, "lines.linewidth": 1.1,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "svg.hashsalt": "himoe",
    "svg.fonttype": "path", "figure.dpi": 100, "axes.unicode_minus": True, "path.simplify": False,
}

# Okabe & Ito's palette (Color Universal Design, 2008); a marker and a dash for every method as well.
_LOOKS: dict[str, tuple[str, str]] = {
    "himoe": ("#0072B2", "o"), "late_fusion": ("#E69F00", "s"), "bilstm": ("#009E73", "^"),
    "tacoformer": ("#CC79A7", "D"), "ianet": ("#D55E00", "v"), "husformer": ("#56B4E9", "P"),
    "mfst_rnn": ("#8C6D31", "X"), "cafnet": ("#666666", "*"), "features_gbdt": ("#7F3C8D", "<"),
    "mean": ("#999999", ">"),
}
_SPARE = (("#000000", "o"), ("#56B4E9", "s"), ("#8C6D31", "^"), ("#7F3C8D", "D"))


@contextmanager
def _style() -> Iterator[None]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc must not change the bytes
        matplotlib.rcParams.update(STYLE)
        yield


def draw(name: str, roles: Any, results: Mapping[str, RunResult]) -> Figure:
    """One figure of the report.

    Parameters
    ----------
    name : str
        A key of ``FIGURES``.
    roles : mapping, list or str
        The entry ``name`` of the parameter block ``reports`` (see ``himoe.tables``).
    results : {run: RunResult}
        From ``himoe.tables.load_results``.

    Raises
    ------
    InputError
        For an unknown figure, or a run without the results it needs.
    """
    if name not in FIGURES:
        raise bad_input("reports", repr(name), "one of " + " ".join(FIGURES), "correct the name")
    with _style():
        return FIGURES[name](roles, results)


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write ``stem.svg`` and ``stem.png`` (300 dpi); the same figure gives the same bytes."""
    svg, png = (Path(stem).with_name(f"{Path(stem).name}.{kind}") for kind in ("svg", "png"))
    with _style():
        with atomic_path(svg) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    return svg, png


def trajectories(roles: Mapping[str, str], results: Mapping[str, RunResult],
                 dimensions: Sequence[str] = ("valence", "arousal"), max_trials: int = 2) -> Figure:
    """Figure 2: predictions over time beside the truth, one column a test trial, one row a dimension.

    ``roles``: method -> run. Bands are ``y_low`` to ``y_high``. Trials are the first that all runs hold.
    """
    runs = {method: find_run(results, run) for method, run in roles.items()}
    frames = {method: result.part("trajectories").sort_values("time_s") for method, result in runs.items()}
    trials = _common_trials(frames, max_trials)
    figure = Figure(figsize=(COLUMN_IN if len(trials) == 1 else 2 * COLUMN_IN, 1.35 * len(dimensions) + 1.15),
                    layout="constrained")
    grid = figure.subplots(len(dimensions), len(trials), squeeze=False, sharex="col", sharey="row")
    constant = True
    for i, dimension in enumerate(dimensions):
        for j, trial in enumerate(trials):
            constant &= _trajectory(grid[i, j], runs, frames, trial, dimension)
        grid[i, 0].set_ylabel(dimension.capitalize())
    for j, (subject, trial_name) in enumerate(trials):
        grid[0, j].set_title(f"subject {subject}, trial {trial_name}")
        grid[-1, j].set_xlabel("Time in the trial (s)")
    remark = "one rating a trial, so the truth is a constant" if constant else "test trials"
    _title(figure, f"Predictions and ratings over time\n{provenance(runs.values())}; {remark}")
    _legend(figure, grid[0, 0], len(runs) + 1, wide=len(trials) > 1)
    return figure


def _common_trials(frames: Mapping[str, pd.DataFrame], max_trials: int) -> list[tuple[str, str]]:
    sets = [set(zip(frame["subject"], frame["trial"], strict=True)) for frame in frames.values()]
    common = sorted(set.intersection(*sets)) if sets else []
    if not common:
        raise bad_input("reports: figure2", "no test trial that all runs hold", "at least one",
                        "use runs of one data set with the same folds")
    return common[:max_trials]


def _trajectory(ax: Axes, runs: Mapping[str, RunResult], frames: Mapping[str, pd.DataFrame],
                trial: tuple[str, str], dimension: str) -> bool:
    """Draw one panel; returns whether the truth stands still."""
    truth: np.ndarray | None = None
    for k, (method, frame) in enumerate(frames.items()):
        rows = frame[(frame["subject"] == trial[0]) & (frame["trial"] == trial[1]) & (frame["dimension"] == dimension)]
        y_true = rows["y_true"].to_numpy(float)
        if len(rows) == 0 or (truth is not None and not np.allclose(truth, y_true, equal_nan=True)):
            raise bad_input(f"trajectories of run {runs[method].run!r}: {dimension} of trial {trial}",
                            "no rows, or other ratings than the first run's", "the same test trial in every run",
                            "use runs of one data set with the same windows")
        if truth is None:
            truth = y_true
            ax.plot(rows["time_s"], y_true, color="black", lw=1.8, label="Rating (truth)", zorder=3)
        colour, _ = _look(method, k)
        ax.fill_between(rows["time_s"], rows["y_low"], rows["y_high"], color=colour, alpha=0.2, lw=0)
        ax.plot(rows["time_s"], rows["y_pred"], color=colour, lw=1.6 if method == "himoe" else 1.0,
                ls="-" if method == "himoe" else (0, (4, 1.5 + 0.7 * k)), label=runs[method].label)
    assert truth is not None
    return bool(np.nanmax(truth) == np.nanmin(truth)) if np.isfinite(truth).any() else True


def missing_rates(roles: Mapping[str, str], results: Mapping[str, RunResult], table: int = 3) -> Figure:
    """Figures 3, 6, 7: CCC against missing rate; ours above (SD over mask seeds), the paper's below.

    ``roles``: method -> run; ``table``: the paper's table with the published curves (3, 8 or 9).
    """
    runs = {method: find_run(results, run) for method, run in roles.items()}
    sets = {result.metrics["set"] for result in runs.values()}
    rows = paper_rows(table)
    rows = rows[rows["dataset"].isin(sets)]
    panels = 1 if rows.empty else 2
    figure = Figure(figsize=(COLUMN_IN, 0.6 + 2.3 * panels), layout="constrained")
    grid = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
    _own_curves(grid[0], runs)
    if panels == 2:
        _published_curves(grid[1], rows)
        grid[1].set_title(f"Published, the paper's Table {table}: not our results")
    grid[0].set_title(f"Ours on {provenance(runs.values())}\n(band: SD over mask seeds)")
    grid[-1].set_xlabel("Missing rate r")
    for ax in grid:
        ax.set_ylabel("CCC, mean over dimensions")
        ax.grid(axis="y", lw=0.3, color="#cccccc")
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2 if ax is grid[-1] else -0.11), ncol=2,
                  columnspacing=0.8, handlelength=1.8)
        ax.tick_params(labelbottom=True)
    _title(figure, "CCC under missing modalities")
    return figure


def _own_curves(ax: Axes, runs: Mapping[str, RunResult]) -> None:
    for k, (method, result) in enumerate(runs.items()):
        curve = sweep_curve(result.part("sweep"))
        colour, marker = _look(method, k)
        sd = curve["sd"].fillna(0.0)
        ax.fill_between(curve["missing_rate"], curve["mean"] - sd, curve["mean"] + sd, color=colour, alpha=0.2, lw=0)
        ax.plot(curve["missing_rate"], curve["mean"], color=colour, marker=marker, ms=3.2, label=result.label)


def _published_curves(ax: Axes, rows: pd.DataFrame) -> None:
    for k, method in enumerate(rows["method"].unique()):
        curve = rows[rows["method"] == method]
        colour, marker = _look(method, k)
        ax.plot(curve["missing_rate"], curve["value"], color=colour, marker=marker, ms=3.2, ls=(0, (3, 2)),
                alpha=0.6, label=METHOD_LABELS[method])


def routing(role: str, results: Mapping[str, RunResult]) -> Figure:
    """Figure 4a: mean routing weights by modality combination, fusion weights above, experts below."""
    result = find_run(results, role)
    frame = result.part("routing")
    modalities = list(result.info["modalities"])
    shown, left_out = _combinations(frame, len(modalities))
    n_experts = int(frame["expert"].max()) + 1
    n_rows = len(modalities) * (1 + max(n_experts, 0))
    figure = Figure(figsize=(COLUMN_IN, 1.9 + 0.105 * n_rows), layout="constrained")
    heights = [len(modalities), max(len(modalities) * n_experts, 1)]
    fusion, experts = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    _heat(figure, fusion, _weights(frame, modalities, shown, [-1]), "Fusion weight")
    _heat(figure, experts, _weights(frame, modalities, shown, list(range(n_experts))), "Expert weight")
    fusion.set_yticks(range(len(modalities)), modalities)
    experts.set_yticks([n_experts * (m + 0.5) - 0.5 for m in range(len(modalities))], modalities)
    for m in range(1, len(modalities)):
        experts.axhline(n_experts * m - 0.5, color="white", lw=1.0)
    fusion.set_title("Weight of each modality in the fusion")
    experts.set_title(f"Weight of each modality's {n_experts} experts (one row an expert)")
    experts.set_xticks(range(len(shown)), shown, rotation=90, family="DejaVu Sans Mono", fontsize=6)
    order = " ".join(modalities)
    experts.set_xlabel(f"1 = present, 0 = absent, in the order\n{order}"
                       + (f"\n({left_out} combinations not shown)" if left_out else ""))
    _title(figure, f"Mean routing weights by modality combination\n{result.label}, {result.data}")
    return figure


def _combinations(frame: pd.DataFrame, n_modalities: int, most: int = 24) -> tuple[list[str], int]:
    """Combinations to show, fullest first; of too many, those with at most one absent or one present."""
    found = sorted(set(frame["combination"]), key=_fullest_first)
    bad = [c for c in found if len(c) != n_modalities or set(c) - {"0", "1"}]
    if bad:
        raise bad_input("routing.csv: combination", repr(bad[0]), f"{n_modalities} digits 0 or 1",
                        "run the evaluate stage again")
    if len(found) <= most:
        return found, 0
    shown = [c for c in found if c.count("0") <= 1 or c.count("1") == 1]
    return shown, len(found) - len(shown)


def _fullest_first(combination: str) -> tuple[int, str]:
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


def emotion_experts(roles: Sequence[str], results: Mapping[str, RunResult]) -> Figure:
    """Figure 4b: CCC against the number of emotion experts, bars = SD over folds.

    ``roles``: the runs; the number of experts is read from each run's own parameters.
    """
    found = [find_run(results, run) for run in roles]
    runs = {int(run.info["model"]["emotion_experts"]): run for run in found}
    counts = sorted(runs)
    figure = Figure(figsize=(COLUMN_IN, 2.5), layout="constrained")
    ax = figure.subplots()
    means, sds = _scores([runs[count] for count in counts])
    colour, marker = _look("himoe", 0)
    x = np.arange(len(counts))
    ax.errorbar(x, means, yerr=sds, color=colour, marker=marker, ms=4, capsize=2.5, elinewidth=0.9)
    ax.set_xticks(x, [str(count) for count in counts])
    ax.set_xlim(-0.4, len(counts) - 0.6)
    ax.set_xlabel("Emotion experts L")
    ax.set_ylabel("CCC, mean over dimensions")
    ax.grid(axis="y", lw=0.3, color="#cccccc")
    _title(figure, f"CCC by number of emotion experts (bars: SD over folds)\n{provenance(runs.values())}")
    return figure


def leak_audit(roles: Sequence[Mapping[str, str]], results: Mapping[str, RunResult]) -> Figure:
    """CCC under each split of the same data, bars with the 95 % interval over trials.

    ``roles``: rows of label and run, as in the table of the same name.
    """
    runs = [find_run(results, role["run"]) for role in roles]
    figure = Figure(figsize=(PAGE_IN * 0.8, 1.1 + 0.34 * len(runs)), layout="constrained")
    ax = figure.subplots()
    means, _ = _scores(runs)
    bounds = np.array([[_float(run.metrics.get(key)) for key in ("ccc_low", "ccc_high")] for run in runs])
    errors = np.nan_to_num(np.abs(bounds - means[:, None]).T)
    y = np.arange(len(runs))
    leaky = [run.metrics["protocol"] == "leaky" for run in runs]
    bars = ax.barh(y, means, xerr=errors, height=0.62, color=["#D55E00" if bad else "#0072B2" for bad in leaky],
                   error_kw={"elinewidth": 0.9, "capsize": 2.5})
    for bar, bad in zip(bars, leaky, strict=True):
        bar.set_hatch("////" if bad else "")
        bar.set_edgecolor("white")
    ax.set_yticks(y, [f"{role['label']}\n({run.metrics['protocol']}, {run.label.split(' (')[0]})"
                      for role, run in zip(roles, runs, strict=True)])
    ax.invert_yaxis()
    ax.axvline(0, color="black", lw=0.6)
    ax.set_xlim(min(0.0, float(np.nanmin(np.append(bounds, 0.0))) * 1.05), 1.0)
    ax.set_xlabel("CCC, mean over dimensions (95 % interval over trials)")
    ax.grid(axis="x", lw=0.3, color="#cccccc")
    ax.set_axisbelow(True)
    _title(figure, f"What leaking windows between folds adds to CCC\n{provenance(runs)}")
    return figure


def _scores(runs: Sequence[RunResult]) -> tuple[np.ndarray, np.ndarray]:
    """CCC and its SD over folds (0 where there is none), each (runs,)."""
    means = np.array([_float(run.metrics.get("ccc")) for run in runs])
    return means, np.nan_to_num([_float(run.metrics.get("ccc_sd")) for run in runs])


def _float(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _look(method: str, k: int) -> tuple[str, str]:
    """Colour and marker: a method looks the same in every figure."""
    return _LOOKS.get(method, _SPARE[k % len(_SPARE)])


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, fontsize=8)


def _legend(figure: Figure, ax: Axes, entries: int, wide: bool) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=min(entries, 4 if wide else 2))


FIGURES: dict[str, Callable[[Any, Mapping[str, RunResult]], Figure]] = {
    "figure2": trajectories,
    "figure3": missing_rates,
    "figure4a": routing,
    "figure4b": emotion_experts,
    "leak_audit": leak_audit,
}
