"""What a data set's raw folder holds: subjects, trials, modalities, ratings, videos, what is missing or damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from himoe.core.errors import InputError
from himoe.datasets.base import Dataset, Inventory
from himoe.inspection.locate import Place
from himoe.inspection.survey import SubjectFacts, is_refusal, read_subjects

Report = dict[str, Any]


def describe_place(place: Place, everything: bool = False, jobs: int = 1, subject: str | None = None) -> list[Report]:
    """One report a layout of a raw folder.

    Reads the first subject that can be read, or *subject* alone, or *everything*; the rest is told from file names.
    """
    return [_describe(place, layout, everything, jobs, subject) for layout in place.layouts or (None,)]


def _describe(place: Place, layout: str | None, everything: bool, jobs: int, subject: str | None) -> Report:
    dataset, options = place.dataset, place.options(layout)
    report: Report = {"what": "raw folder of a data set", "data": place.label, "set": dataset.name,
                      "title": dataset.title, "folder": str(place.root)}
    if layout is not None:
        report["layout"] = layout
    try:
        inventory = dataset.inspect(place.root, options)
    except InputError as error:
        return {**report, "subjects": [], "errors": [str(error)]}
    facts = _survey(place, options, inventory, everything, jobs, subject)
    return {**report, **contents(dataset, inventory, facts)}


def _survey(place: Place, options: Mapping[str, str], inventory: Inventory, everything: bool, jobs: int,
            subject: str | None) -> list[SubjectFacts]:
    if subject in inventory.subjects:
        return list(read_subjects(place.dataset, place.root, options, [str(subject)]))
    if everything:
        return list(read_subjects(place.dataset, place.root, options, inventory.subjects, jobs))
    facts: list[SubjectFacts] = []
    for candidate in inventory.subjects:
        facts += read_subjects(place.dataset, place.root, options, [candidate])
        if facts[-1].error is None:
            break
    return facts


def contents(dataset: Dataset, inventory: Inventory, facts: Sequence[SubjectFacts]) -> Report:
    """The part of a report that is told by the files and by the subjects that were read."""
    read = [one for one in facts if one.error is None]
    trials = [trial for one in read for trial in one.trials]
    videos = [video for one in facts for video in one.videos]
    errors = [problem for problem in inventory.problems if is_refusal(problem)]
    errors += [one.error for one in facts if one.error is not None]
    errors += [doubt for one in facts for doubt in one.doubts]
    errors += [video.error for video in videos if video.error is not None]
    return {
        "subjects": list(inventory.subjects),
        "read whole": [one.subject for one in read],
        "trials": [_trial_row(one) for one in read],
        "modalities": modality_rows(read, dataset),
        "ratings": rating_rows(dataset, read),
        "annotated over time": f"{sum(trial.annotated for trial in trials)} of {len(trials)} trials",
        "face videos": video_rows(facts),
        "missing": list(inventory.missing),
        "problems": [problem for problem in inventory.problems if not is_refusal(problem)],
        "notes": [note for one in facts for note in one.notes],
        "errors": errors,
    }


def _trial_row(facts: SubjectFacts) -> Report:
    lengths_s = [trial.duration_s for trial in facts.trials]
    return {"subject": facts.subject, "trials": len(facts.trials),
            "sessions": len({trial.session for trial in facts.trials}),
            "shortest_s": min(lengths_s, default=None), "longest_s": max(lengths_s, default=None)}


def modality_rows(facts: Iterable[SubjectFacts], dataset: Dataset) -> list[Report]:
    """One row per modality and form (channels, rate, unit), and one for each modality that nobody has."""
    trials = [trial for one in facts for trial in one.trials]
    found = Counter((name, signal.form) for trial in trials for name, signal in trial.signals.items())
    rows: list[Report] = []
    for (name, form), count in found.items():
        signals = [trial.signals[name] for trial in trials if name in trial.signals]
        signals = [signal for signal in signals if signal.form == form]
        values, gaps = sum(signal.values for signal in signals), sum(signal.gaps for signal in signals)
        rows.append({"modality": name, "channels": len(form.channels), "sfreq_hz": form.sfreq_hz, "unit": form.unit,
                     "trials": f"{count - sum(signal.empty for signal in signals)} of {len(trials)}",
                     "gaps_percent": round(100 * gaps / values, 2) if values else None,
                     "names": list(form.channels)})
    for name in dataset.modalities:
        expected = name != "FACE" and name not in dataset.default_off
        if trials and expected and name not in {row["modality"] for row in rows}:
            rows.append({"modality": name, "channels": 0, "sfreq_hz": None, "unit": None,
                         "trials": f"0 of {len(trials)}", "gaps_percent": None, "names": []})
    return rows


def rating_rows(dataset: Dataset, facts: Iterable[SubjectFacts]) -> list[Report]:
    """One row a rated dimension: the scale, lowest, highest and mean rating, how many are missing."""
    ratings = [trial.ratings for one in facts for trial in one.trials]
    rows = []
    for dimension in dataset.dimensions:
        values = np.array([rating.get(dimension, np.nan) for rating in ratings], dtype=np.float64)
        known = values[~np.isnan(values)]
        rows.append({"dimension": dimension, "scale": f"{dataset.scale[0]:g} to {dataset.scale[1]:g}",
                     "lowest": float(known.min()) if known.size else None,
                     "highest": float(known.max()) if known.size else None,
                     "mean": round(float(known.mean()), 2) if known.size else None,
                     "missing": f"{values.size - known.size} of {values.size}"})
    return rows


def video_rows(facts: Iterable[SubjectFacts]) -> list[Report]:
    """One row per subject and kind of face video: how many, rate, size, lengths."""
    groups: dict[tuple[str, float, int, int], list[float]] = {}
    for one in facts:
        for video in one.videos:
            if video.error is None:
                key = (one.subject, round(video.fps_hz, 3), video.width_px, video.height_px)
                groups.setdefault(key, []).append(video.duration_s)
    return [{"subject": subject, "videos": len(lengths_s), "fps_hz": fps_hz, "width_px": width, "height_px": height,
             "shortest_s": round(min(lengths_s), 2), "longest_s": round(max(lengths_s), 2)}
            for (subject, fps_hz, width, height), lengths_s in groups.items()]
