"""Charts that look inside: routing, modality combinations, calibration, training, cost, leaks."""

from __future__ import annotations

import altair as alt

from himoe.report import frames
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
from himoe.report.looks import LINE_WIDTH, scales
from himoe.scoring.results import measured_on, provenance

COSTS = {"multiply_adds": "multiply-adds per window", "parameters": "parameters",
         "seconds_per_window": "microseconds per window (one CPU thread)"}
_ORDER = alt.EncodingSortField(field="order", op="min", order="ascending")


def routing(material: Material) -> Block | None:
    """Routing weights by the modalities that are there, as a heat map."""
    frame = frames.routing_frame(material.results, material.settings)
    if frame.empty:
        return None
    frame = frame[["family", "view", "words", "order", "column", "weight"]].rename(columns={"words": "combination"})
    pickers = (Picker("family", "Data and modalities", families(frame, main_family(material))),
               Picker("view", "Weights", tuple(dict.fromkeys(frame["view"]))))
    base = picked(alt.Chart(inline(frame, "routing")), ["family", "view"])
    cells = base.mark_rect().encode(
        x=alt.X("column:N", title=None, sort=None, axis=alt.Axis(orient="top", labelAngle=-45)),
        y=alt.Y("combination:N", title=None, sort=_ORDER, axis=alt.Axis(labelLimit=150)),
        color=alt.Color("weight:Q", title="weight", scale=alt.Scale(scheme="viridis", type="sqrt", zero=False),
                        legend=alt.Legend(orient="bottom", gradientLength=180)),
        tooltip=tips("combination|modalities that are there", "column|to", "weight#|weight"))
    spec = finish(cells, "routing", "Routing weights by modality combination", pickers, height=alt.Step(20))
    caption = ("Rows: which modalities are there. Fusion weights (Eq. 4) go over modalities, absent ones included with "
               "their default code; a modality's gate (Eq. 2) goes over its experts. Means over test windows; "
               "colours by the root of the weight, as one modality alone has all of it. "
               f"Data: {material.figure_data}.")
    return Block("routing", "Hi-MoE's routing weights", caption, (spec,), frame.drop(columns="order"),
                 pickers, files=("runs/*/routing.csv",))


def combinations(material: Material) -> Block | None:
    """CCC when only some modalities are there."""
    frame = frames.combination_frame(material.results, material.settings).dropna(subset=["ccc"])
    if frame.empty:
        return None
    frame = frame[["family", "method", "label", "words", "order", "ccc", "sd"]].rename(columns={"words": "combination"})
    pickers = (Picker("family", "Data and modalities", families(frame, main_family(material))),)
    look = scales(list(methods(frame)))
    base = shown(picked(alt.Chart(inline(frame, "combinations")), ["family"]))
    points = base.mark_point(filled=True, size=80, opacity=0.95).encode(
        x=x_axis("ccc", "CCC, mean over dimensions"),
        y=alt.Y("combination:N", title=None, sort=_ORDER, axis=alt.Axis(labelLimit=150, grid=True)),
        color=alt.Color("method:N", scale=look["colour"], legend=None),
        shape=alt.Shape("method:N", scale=look["shape"], legend=None),
        tooltip=tips("label|method", "combination|modalities that are there", "ccc#|CCC", "sd#|SD"))
    spec = finish(points, "combinations", "CCC by modality combination", pickers, True, height=alt.Step(20))
    caption = ("CCC on the test windows when only these modalities are there; mean and SD over folds and seeds. All "
               "subsets for six modalities or fewer, else all, all but one, and single ones. "
               f"Data: {material.figure_data}.")
    return Block("combinations", "CCC by modality combination", caption, (spec,),
                 frame.drop(columns=["method", "order"]), pickers,
                 legend(frame, frame.groupby("method")["ccc"].first()), True, ("scores/*/combinations.csv",))


def calibration(material: Material) -> Block | None:
    """Mean true against mean predicted rating, in bins of the prediction."""
    frame = frames.calibration_frame(material.results, material.settings).drop(columns="run")
    if frame.empty:
        return None
    pickers = (Picker("dimension", "Dimension", tuple(dict.fromkeys(frame["dimension"]))),)
    look = scales(list(methods(frame)))
    base = shown(picked(alt.Chart(inline(frame, "calibration")), ["dimension"]))
    x, y = x_axis("predicted", "mean predicted rating"), y_axis("true", "mean true rating")
    colour = alt.Color("method:N", scale=look["colour"], legend=None)
    line = base.mark_line(strokeWidth=LINE_WIDTH).encode(
        x=x, y=y, color=colour, strokeDash=alt.StrokeDash("method:N", scale=look["dash"], legend=None))
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, y=y, color=colour, shape=alt.Shape("method:N", scale=look["shape"], legend=None),
        tooltip=tips("label|method", "predicted#|mean predicted", "true#|mean true", "n#|windows"))
    ideal = base.mark_line(strokeDash=[2, 3], color="#808080").encode(
        x=x, y=y_axis("predicted", "mean true rating"))
    spec = finish(alt.layer(ideal, line, points), "calibration", "True against predicted rating", pickers, True)
    caption = (f"Test windows in at most {frames.BINS} bins of equal counts of the prediction; dotted: predicted = "
               "true. A line flatter than the dotted one exaggerates, a steeper one plays safe; a method that predicts "
               f"one constant is one point. Data: {material.figure_data}.")
    return Block("calibration", "Calibration", caption, (spec,), frame.drop(columns="method"), pickers,
                 legend(frame), True, ("runs/*/predictions.parquet",))


def training(material: Material) -> Block | None:
    """Loss by epoch."""
    frame = frames.training_frame(material.results, material.settings)
    if frame.empty:
        return None
    frame = frame[["part", "method", "label", "epoch", "loss", "fits"]]
    pickers = (Picker("part", "Loss", tuple(dict.fromkeys(frame["part"]))),)
    look = scales(list(methods(frame)))
    base = shown(picked(alt.Chart(inline(frame, "training")), ["part"]))
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"))
    colour = alt.Color("method:N", scale=look["colour"], legend=None)
    line = base.mark_line(strokeWidth=LINE_WIDTH).encode(
        x=x, y=y_axis("loss", "loss"), color=colour,
        strokeDash=alt.StrokeDash("method:N", scale=look["dash"], legend=None))
    points = base.mark_point(filled=True, size=45, opacity=1).encode(
        x=x, y=y_axis("loss", "loss"), color=colour, shape=alt.Shape("method:N", scale=look["shape"], legend=None),
        tooltip=tips("label|method", "epoch#|epoch", "loss#|loss", "fits#|fits still running"))
    spec = finish(alt.layer(line, points), "training", "Loss by epoch and method", pickers, True)
    caption = ("Mean over the fits (folds and seeds) that had not stopped early by that epoch; so late epochs are "
               f"means over fewer fits. Closed-form methods have no epochs. Data: {material.figure_data}.")
    ends = frame[frame["part"] == pickers[0].values[0]].sort_values("epoch").groupby("method")["loss"].last()
    return Block("training", "Training curves", caption, (spec,), frame.drop(columns="method"), pickers,
                 legend(frame, ends), True, ("runs/*/history.csv",))


def cost(material: Material) -> Block | None:
    """CCC against what a method costs."""
    wide = frames.cost_frame(material.results, material.cost, material.settings)
    wide = wide.assign(seconds_per_window=wide["seconds_per_window"] * 1e6).rename(columns=COSTS)
    frame = wide.melt(["method", "label", "ccc"], list(COSTS.values()), "measure", "cost").dropna()
    frame = frame[frame["cost"] > 0]  # the axis is a logarithm
    if frame.empty:
        return None
    pickers = (Picker("measure", "Cost", tuple(dict.fromkeys(frame["measure"]))),)
    look = scales(list(methods(frame)))
    margin = 0.06 * max(float(frame["ccc"].max() - frame["ccc"].min()), 0.05)
    span = (float(frame["ccc"].min()) - margin, float(frame["ccc"].max()) + margin)
    frame = frame.assign(place=frame.groupby("measure")["ccc"].transform(lambda part: name_places(list(part), *span)))
    base = shown(picked(alt.Chart(inline(frame, "cost")), ["measure"]))
    score = alt.Y("ccc:Q", title="CCC, mean over dimensions", scale=alt.Scale(domain=list(span), nice=False))
    points = base.mark_point(filled=True, size=130, opacity=0.95).encode(
        x=alt.X("cost:Q", title="cost as picked above (log scale)", scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~s", tickCount=5)),
        y=score, color=alt.Color("method:N", scale=look["colour"], legend=None),
        shape=alt.Shape("method:N", scale=look["shape"], legend=None),
        tooltip=tips("label|method", "cost##|cost", "measure|of", "ccc#|CCC"))
    right = "scale('x', datum.cost) > width / 2"  # a name stands where the panel has room for it
    names = base.mark_text(align=alt.expr(f"{right} ? 'right' : 'left'"), dx=alt.expr(f"{right} ? -13 : 13")).encode(
        x=alt.X("cost:Q"), y=alt.Y("place:Q"), text="label:N")
    ties = base.mark_rule(color="#808080", x2Offset=alt.expr(f"{right} ? -11 : 11")).encode(
        x=alt.X("cost:Q"), x2="cost", y=score, y2="place")
    spec = finish(alt.layer(ties, points, names), "cost", "CCC against cost by method", pickers, True)
    measured = measured_on(material.cost)
    caption = (f"Multiply-adds and parameters are counted{f', times {measured}' if measured else ''}. "
               f"Closed-form methods have no multiply-adds. Data: {material.figure_data}.")
    return Block("cost", "Cost against CCC", caption, (spec,), frame.drop(columns=["method", "place"]), pickers,
                 legend(frame, frame.groupby("method")["ccc"].first()), True,
                 ("metrics/cost.csv", *(["bench/cost.csv"] if measured else [])))


def leaks(material: Material) -> Block | None:
    """What a split that leaks adds to CCC."""
    frame = frames.leak_frame(material.results, material.settings)
    if frame.empty:
        return None
    runs = [material.results[name] for name in frame["run"]]
    frame = frame.assign(label=frame["label"] + ": " + frame["split"])[["label", "kind", "ccc", "low", "high"]]
    frame = frame.dropna(subset=["ccc"])
    kinds = ["honest split", "leaky split", "labels shuffled"]
    colour = alt.Color("kind:N", title=None, scale=alt.Scale(domain=kinds, range=["#0072B2", "#D55E00", "#8F8F8F"]),
                       legend=alt.Legend(orient="top", columns=1, symbolLimit=3, labelLimit=260))
    base = alt.Chart(inline(frame, "leaks"))
    below = "replace(replace(datum.label, ', ', ': '), ' (floor): ', ': (floor) ')"  # of the method's name
    lines = alt.Axis(labelExpr=f"split({below}, ': ')", labelBaseline="middle", labelLimit=200)
    rows = sorted_labels("label", "ccc", lines)
    bars = base.mark_bar(height=alt.RelativeBandSize(band=0.6)).encode(
        x=x_axis("ccc", "CCC, mean over dimensions", zero=True), y=rows, color=colour,
        tooltip=tips("label|run", "ccc#|CCC", "low#|95 % from", "high#|95 % to"))
    rules = base.mark_rule().encode(x=x_axis("low", "CCC, mean over dimensions", zero=True), x2="high:Q", y=rows)
    spec = finish(alt.layer(bars, rules), "leaks", "CCC by split", height=alt.Step(50))
    caption = ("An honest split keeps whole trials on one side. The leaky one shuffles windows, so that windows of one "
               "trial stand on both sides: its score measures the leak, not the model. With labels shuffled between "
               "trials, an honest split gives about 0. Bars: all test windows pooled; lines: 95 % intervals. "
               f"Data: {provenance(runs)}.")
    return Block("leaks", "Leak audit", caption, (spec,), frame, files=("metrics/runs/*.json",))
