"""Charts of scores: by method, against missing rate, over time; Vega-Lite through Altair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from himoe.core.recordings import DIMENSIONS
from himoe.report import chosen, frames
from himoe.report.block import Block, Picker, finish, inline, picked, shown
from himoe.report.encodings import (
    Material,
    families,
    legend,
    main_family,
    methods,
    name_places,
    sorted_labels,
    tips,
    x_axis,
    y_axis,
)
from himoe.report.looks import LINE_WIDTH, looks_of, scales
from himoe.report.palette import TRUTH_COLOUR, Look
from himoe.scoring.results import provenance

# Labels in two lines where the chart is narrow: what stands in brackets goes below.
WIDE = "containerSize()[0] > 700"  # room for names beside lines
WRAPPED_LABEL = "containerSize()[0] < 560 ? split(replace(datum.label, ' (', '|('), '|') : datum.label"


def _label_axis() -> alt.Axis:
    """Whole names of methods down the side."""
    return alt.Axis(labelLimit=230, labelExpr=WRAPPED_LABEL, labelLineHeight=12, labelBaseline="middle")


def scores(material: Material, task: str, name: str, title: str) -> Block | None:
    """Scores with intervals by method, one family and measure at a time; floors below, the ceiling as a dashed line."""
    frame = frames.score_frame(material.results, task).dropna(subset=["score"])
    if frame.empty:
        return None
    measures = tuple(dict.fromkeys(frame["measure"]))
    pickers = (Picker("family", "Data and split", families(frame, main_family(material))),
               *([Picker("measure", "Score", measures)] if len(measures) > 1 else []))
    look = scales(list(methods(frame)))
    drawn = ["family", "measure", "method", "label", "score", "low", "high", "ceiling", "order"]
    base = picked(alt.Chart(inline(frame[drawn], name)), [picker.name for picker in pickers])
    place = alt.EncodingSortField(field="order", op="min", order="ascending")
    rows = alt.Y("label:N", title=None, sort=place, axis=_label_axis())
    colour = alt.Color("method:N", scale=look["colour"], legend=None)
    axis = "score, all test windows pooled"
    bars = base.mark_rule(strokeWidth=LINE_WIDTH).encode(x=x_axis("low", axis), x2="high:Q", y=rows, color=colour)
    hollow = alt.condition("indexof(datum.label, '(floor)') >= 0", alt.value("#FFFFFF"),
                           alt.Fill("method:N", scale=look["colour"], legend=None))  # floors, as in print
    points = base.mark_point(size=70, opacity=1, strokeWidth=2).encode(
        x=x_axis("score", axis), y=rows, color=colour, fill=hollow,
        shape=alt.Shape("method:N", scale=look["shape"], legend=None),
        tooltip=tips("label|method", "score#|score", "low#|95 % from", "high#|95 % to", "ceiling#|attainable"))
    text = base.mark_text(align="left", dx=8).encode(x=x_axis("high", axis), y=rows,
                                                     text=alt.Text("score:Q", format=".2f"))
    ceiling = base.transform_filter("isValid(datum.ceiling)").transform_aggregate(
        ceiling="max(ceiling)").mark_rule(strokeDash=[5, 3], strokeWidth=1.5, color="#808080").encode(
        x=x_axis("ceiling", axis))
    known = frame["ceiling"].notna().any()
    spec = finish(alt.layer(*([ceiling] if known else []), bars, points, text), name,
                  f"{title} with 95 % intervals", pickers, height=alt.Step(26), room=28)
    caption = ("Markers: all test windows pooled, averaged over dimensions and seeds; bars: 95 % intervals, people and "
               "their trials resampled. Floors are hollow and stand below the "
               "networks."
               + (" Dashed: attainable with the simulator's true gains and lags known." if known else "")
               + f" Data: {provenance(chosen.scored_runs(material.results, task))}.")
    shown_columns = [*(column for column in drawn if column not in ("method", "order")), "run"]
    return Block(name, title, caption, (spec,), frame[shown_columns], pickers,
                 files=("metrics/runs/*.json",))


def missing(material: Material) -> Block | None:
    """CCC against missing rate, and the ranking at the rate picked."""
    frame = frames.missing_frame(material.results)
    if frame.empty:
        return None
    pickers = (Picker("family", "Data and modalities", families(frame, main_family(material))),
               Picker("measure", "Score", tuple(dict.fromkeys(frame["measure"]))),
               Picker("rate", "Missing rate", tuple(sorted({float(r) for r in frame["rate"]})), "range"))
    look = scales(list(methods(frame)))
    frame = frame.drop(columns="run")
    base = shown(picked(alt.Chart(inline(frame, "missing")), ["family", "measure"]))
    rate = x_axis("rate", "missing rate (share of modalities dropped)", number=".2f")
    colour = alt.Color("method:N", scale=look["colour"], legend=None)
    band = base.mark_area(opacity=0.15).encode(x=rate, y=y_axis("low", "CCC"), y2="high:Q", color=colour)
    line = base.mark_line(strokeWidth=LINE_WIDTH).encode(
        x=rate, y=y_axis("ccc", "CCC"), color=colour, strokeDash=alt.StrokeDash("method:N", scale=look["dash"],
                                                                            legend=None))
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=rate, y=y_axis("ccc", "CCC"), color=colour, shape=alt.Shape("method:N", scale=look["shape"], legend=None),
        tooltip=tips("label|method", "rate#|missing rate", "ccc#|CCC", "sd#|SD over masks"))
    near = "abs(datum.rate - rate) < 0.0001"
    here = base.transform_filter(near).transform_aggregate(groupby=["rate"]).mark_rule(strokeDash=[4, 3]).encode(
        x=rate)
    ceiling = base.transform_filter("isValid(datum.ceiling)").transform_aggregate(
        ceiling="max(ceiling)").mark_rule(strokeDash=[5, 3], color="#808080").encode(y=y_axis("ceiling", "CCC"))
    layers = [*([ceiling] if frame["ceiling"].notna().any() else []), band, here, line, points,
              *_end_names(frame, colour)]
    curves = finish(alt.layer(*layers), "missing", "CCC against missing rate by method", pickers, toggles=True)
    at_rate = base.transform_filter(near)
    rows = sorted_labels("label", "ccc", _label_axis())
    bars = at_rate.mark_bar(height=alt.RelativeBandSize(band=0.7)).encode(
        x=x_axis("ccc", "CCC at the rate picked", zero=True), y=rows, color=colour,
        tooltip=tips("label|method", "ccc#|CCC", "sd#|SD over masks"))
    text = at_rate.transform_calculate(place="max(datum.ccc, 0)").mark_text(align="left", dx=4).encode(
        x=x_axis("place", "CCC at the rate picked", zero=True), y=rows, text=alt.Text("ccc:Q", format=".3f"))
    ranking = finish(alt.layer(bars, text), "missing-ranking", "Methods ranked by CCC at the missing rate picked",
                     pickers, toggles=True, height=alt.Step(26), room=48)
    first = frame[(frame["family"] == pickers[0].values[0]) & (frame["measure"] == pickers[1].values[0])]
    ends = first.sort_values("rate").groupby("method")["ccc"].last()
    caption = ("CCC, mean over dimensions, against the share of modalities dropped at random; the folds' own scores "
               "averaged. Bands are the SD over mask seeds alone: other people would move a score much more, see the "
               "intervals of the first chart. Every method sees the same masks. Below: the ranking at "
               "the rate picked. Dashed: attainable with nothing missing. Ours only; the paper's numbers are in Tables "
               f"3, 8 and 9. Data: {provenance(chosen.swept_runs(material.results))}.")
    return Block("missing", "CCC against missing rate", caption, (curves, ranking),
                 frame.drop(columns=["method", "low", "high"]), pickers, legend(frame, ends), True,
                 ("scores/*/sweep.csv",))


def _end_names(frame: pd.DataFrame, colour: alt.Color) -> list[alt.Chart]:
    """Each method's name right of its line, tied to the line's end; only where the chart is wide enough for names."""
    ends = frame.sort_values("rate").groupby(["family", "measure", "method"], sort=False).tail(1)
    parts = []
    for _, part in ends.groupby(["family", "measure"], sort=False):
        race = frame[(frame["family"] == part["family"].iloc[0]) & (frame["measure"] == part["measure"].iloc[0])]
        low, high = float(race[["low", "ccc"]].min().min()), float(race[["high", "ccc", "ceiling"]].max().max())
        spare = 0.12 * max(high - low, 0.05)  # the axis ends at round numbers beyond its data
        parts.append(part.assign(place=name_places(list(part["ccc"]), low - spare, high + spare)))
    rows = pd.concat(parts)[["family", "measure", "method", "label", "rate", "ccc", "place"]]
    base = shown(picked(alt.Chart(inline(rows, "missing-ends")), ["family", "measure"]).transform_filter(WIDE))
    y = y_axis("place", "CCC")
    ties = base.mark_rule(x2Offset=14).encode(x="rate:Q", x2=alt.X2Value("width"), y=y_axis("ccc", "CCC"), y2="place",
                                              color=colour)
    names = base.mark_text(align="left", dx=17).encode(x=alt.XValue("width"), y=y, text="label:N")
    return [ties, names]


def trajectories(material: Material) -> Block | None:
    """Truth and predictions over time in one trial and dimension."""
    frame = frames.trajectory_frame(material.results, material.settings)
    if frame.empty:
        return None
    frame = frame.assign(trial="person " + frame["subject"] + ", trial " + frame["trial"])
    labels = dict(zip(frame["method"], frame["label"], strict=True))
    wide = frame.pivot(index=["trial", "dimension", "time_s", "truth"], columns="method", values="predicted")
    wide = wide[list(labels)].reset_index()
    order = tuple(d for d in DIMENSIONS if d in set(frame["dimension"]))
    pickers = (Picker("trial", "Trial", tuple(dict.fromkeys(frame["trial"]))), Picker("dimension", "Dimension", order))
    looks = looks_of(list(labels))
    spec = finish(_over_time(wide, labels, looks), "trajectories", "Predicted and true rating over time", pickers, True)
    runs = [material.results[name] for name in dict.fromkeys(frame["run"])]
    once = ("" if all(run.info["label_source"] == "continuous" for run in runs)
            else " The truth is one rating per trial: it cannot move within it.")
    caption = (f"Rating over time: thick, the truth; the others, predictions for windows of the test fold, means over "
               "seeds. First the trials of Figures 2 and 5, whose ratings move most; then others, evenly spaced in "
               f"the order of person and trial.{once} Data: {provenance(runs)}.")
    entries = (("truth", "truth", Look(TRUTH_COLOUR, "o", ())), *zip(labels, labels.values(), looks, strict=True))
    return Block("trajectories", "Trajectories", caption, (spec,), frames.trajectory_errors(frame), pickers,
                 entries, True, ("runs/*/predictions.parquet",))


def _over_time(wide: pd.DataFrame, labels: Mapping[str, str], looks: Sequence[Look]) -> alt.LayerChart | alt.FacetChart:
    """Lines of the truth and each method; dots, and all values in a tooltip, at the time that is pointed at."""
    series = ["truth", *labels]
    base = picked(alt.Chart(inline(wide, "trajectories")), ["trial", "dimension"])
    time = alt.X("time_s:Q", title="time in the trial (s)", scale=alt.Scale(nice=False))
    colour = alt.Color("method:N", legend=None, scale=alt.Scale(domain=series, range=[
        TRUTH_COLOUR, *(item.colour for item in looks)]))
    dash = alt.StrokeDash("method:N", legend=None, scale=alt.Scale(domain=series, range=[
        [1, 0], *([LINE_WIDTH * n for n in item.dash] or [1, 0] for item in looks)]))
    width = alt.StrokeWidth("method:O", legend=None, scale=alt.Scale(domain=series,
                                                                     range=[3.0] + [2.0] * len(labels)))
    folded = shown(base.transform_fold([*series], as_=["method", "rating"]))
    lines = folded.mark_line().encode(x=time, y=y_axis("rating", "rating"), color=colour, strokeDash=dash,
                                      strokeWidth=width)
    hover = alt.selection_point(name="hover", fields=["time_s"], nearest=True, on="pointermove", clear="pointerout",
                                empty=False)
    dots = folded.transform_filter(hover).mark_point(filled=True, size=60).encode(
        x=time, y=y_axis("rating", "rating"), color=colour)
    rule = base.mark_rule(strokeWidth=1).encode(
        x=time, opacity=alt.condition(hover, alt.value(0.5), alt.value(0)),
        tooltip=tips("time_s#|time (s)", "truth#|truth", *(f"{method}#|{label}" for method, label in labels.items())),
    ).properties(name="hover_rule").add_params(hover)
    return alt.layer(lines, dots, rule)
