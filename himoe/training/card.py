"""The model card: what a person should know before using a fitted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from himoe.scoring.paper import METHOD_LABELS
from himoe.scoring.tables import LABELS, score_text
from himoe.training.description import Description

LIMITS = (
    "It was fitted on the people and the recording conditions named above; for anybody and anything else its scores "
    "say little.",
    "Ratings of emotion are reports of single people in a laboratory. A prediction is no statement about what "
    "somebody feels, and no ground for a decision about them.",
)


def model_card(form: Description) -> str:
    """The card as Markdown."""
    about, name = form.data, METHOD_LABELS.get(form.method, form.method)
    label = about.get("label", "unknown data")
    lines = [f"# {name}: {' and '.join(form.dimensions)} from {', '.join(form.modalities)}", "",
             f"Fitted with himoe on **{label}**: {about.get('people', '?')} people, {about.get('trials', '?')} trials, "
             f"{about.get('windows', '?')} windows of {form.length_s:g} s every {form.step_s:g} s "
             f"(training data SHA-256 `{str(about.get('digest', ''))[:16]}`).", ""]
    if about.get("simulated"):
        lines += ["**The data is simulated**: the model knows the simulator's world, not people.", ""]
    lines += ["## Use", "", "```python", "import himoe", 'model = himoe.load_model("this-folder")',
              'windows = himoe.make_windows(himoe.load("my-recordings"), '
              f"length_s={form.length_s:g}, step_s={form.step_s:g}, filters=model.filters)",
              "print(model.predict(windows))", "```", "", "## Input", "",
              *_table(("modality", "channels", "rate", "unit", "read as"),
                      [(m, _channels(f.channels), f"{f.sfreq_hz:g} Hz", f.unit or "-",
                        "features" if f.features else "samples") for m, f in form.modalities.items()]), "",
              "Any of them may be missing, always or at times.", "",
              "People the model has never met are scaled "
              + ("by their own windows, for which no label is needed." if form.normalise == "person"
                 else "by the statistics of all training windows."), "",
              *_adapted(form), "## Output", "", *_output(form), "",
              "## Scores", "", *_scores(form.scores), "", "## Limits", "", *(f"- {text}" for text in LIMITS), ""]
    return "\n".join(lines)


def _adapted(form: Description) -> list[str]:
    lines = []
    for one in form.calibrations:
        about, how = (part.get("adapted", {}).get(one.person, {}) for part in (form.data, form.training))
        label = str(about.get("label") or "unknown data")
        label += ", simulated" * (bool(about.get("simulated")) and "simulated" not in label)
        lines.append(f"- **{one.person}** ({label}): {len(about.get('trials', []))} rated trials, "
                     f"chosen: {how.get('chosen', '?')}."
                     + (" **Weights were moved for this person; use the model from before for others.**"
                        if one.moved != "none" else ""))
    return ["## Adapted to", "", *lines, ""] if lines else []


def _output(form: Description) -> list[str]:
    if form.kind != "regression":
        limits = ", ".join(f"{limit:g}" for limit in form.thresholds)
        return [f"Of each dimension the most probable of {len(form.thresholds) + 1} classes, and every class's "
                f"probability. A rating's class is how many of these limits are below it: {limits}."]
    return [f"Ratings on the scale {form.scale[0]:g} to {form.scale[1]:g}, with intervals that aim at "
            f"{100 * form.level:.0f} % of windows of new trials of the same people. Half widths with all sensors, and "
            "with one more missing each:", "",
            *(f"- {name}: {', '.join('whole scale' if width == float('inf') else f'{width:.2f}' for width in widths)}"
              for name, widths in form.intervals.items())]


def _scores(scores: Mapping[str, Any]) -> list[str]:
    if not scores:
        return ["Not scored yet: no windows were held out when it was saved."]
    values = {name: value if isinstance(value, list | tuple) else [value] for name, value in scores.items()
              if isinstance(value, int | float | list | tuple)}
    rows = [(_score_name(name), score_text(*(np.nan if number is None else number for number in value)))
            for name, value in values.items()]
    return [*_table(("score", "value [95 % interval]"), rows),
            *(["", str(scores["protocol"])] if "protocol" in scores else [])]


def _score_name(name: str) -> str:
    metric, _, dimension = name.partition(" ")
    return f"{LABELS.get(metric, metric)} {dimension}".rstrip()


def _channels(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{len(names)}: {', '.join(names[:3])}, ..."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
