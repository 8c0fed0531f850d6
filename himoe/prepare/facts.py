"""What a data set is, counted from its recordings as read: before any filter, rate or label is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from himoe.core.recordings import DIMENSIONS, Session


def session_facts(session: Session) -> dict[str, Any]:
    """One session: subject, visits, trials, modalities (channels, rate, unit), each trial's length and ratings."""
    ratings = {d: [float(trial.ratings.get(d, np.nan)) for trial in session.trials] for d in DIMENSIONS}
    return {
        "subject": session.subject, "trials": len(session.trials),
        "visits": sorted({trial.session for trial in session.trials}),
        "modalities": {m: {"channels": len(s.ch_names), "sfreq_hz": float(s.sfreq_hz), "unit": s.unit}
                       for m, s in session.signals.items()},
        "length_s": [float(trial.duration_s) for trial in session.trials], "ratings": ratings,
        "annotated": any(trial.annotations is not None for trial in session.trials),
    }


def merge_facts(sessions: Iterable[dict[str, Any]], scale: Sequence[float]) -> dict[str, Any]:
    """A whole set from its sessions' facts (any order).

    ``modalities`` gives for each the number of recordings (trials) that have it, and a range where channels or
    rates differ between recordings; ``sessions`` the most visits of one person; ``dimensions`` the lowest and
    highest rating seen.
    """
    found = list(sessions)
    trials: dict[str, int] = {}
    for part in found:
        trials[part["subject"]] = trials.get(part["subject"], 0) + part["trials"]
    lengths = [length for part in found for length in part["length_s"]]
    visits: dict[str, set[str]] = {}
    for part in found:
        visits.setdefault(part["subject"], set()).update(part["visits"])
    return {
        "subjects": len(trials), "trials_min": min(trials.values(), default=0),
        "trials_max": max(trials.values(), default=0), "recordings": sum(trials.values()),
        "sessions": max((len(names) for names in visits.values()), default=0),
        "modalities": {m: _modality(found, m) for m in sorted({m for part in found for m in part["modalities"]})},
        "dimensions": {d: _seen(found, d) for d in DIMENSIONS if _seen(found, d)},
        "scale": [float(value) for value in scale],
        "annotation": "continuous" if any(part["annotated"] for part in found) else "trial",
        "length_s": [min(lengths, default=0.0), max(lengths, default=0.0)],
    }


def _modality(sessions: Sequence[dict[str, Any]], modality: str) -> dict[str, Any]:
    having = [part for part in sessions if modality in part["modalities"]]
    entries = [part["modalities"][modality] for part in having]
    counts = [entry.get("trials", part["trials"]) for entry, part in zip(entries, having, strict=True)]
    merged = {key: _one_or_range([entry[key] for entry in entries]) for key in ("channels", "sfreq_hz", "unit")}
    return {**merged, "recordings": sum(counts)}


def _one_or_range(values: Sequence[Any]) -> Any:
    """The common value, or a text such as ``"120-128"`` (numbers) or ``"uV, V"``."""
    different = sorted(set(values))
    if len(different) == 1:
        return different[0]
    if all(isinstance(value, int | float) for value in different):
        return f"{different[0]:g}-{different[-1]:g}"
    return ", ".join(map(str, different))


def _seen(sessions: Sequence[dict[str, Any]], dimension: str) -> list[float]:
    values = [value for part in sessions for value in part["ratings"][dimension] if np.isfinite(value)]
    return [min(values), max(values)] if values else []


def attainable_of(provenance: Mapping[str, Any], modalities: Sequence[str], length_s: float, step_s: float,
                  labels: str) -> dict[str, Any] | None:
    """What can be reached at all with *modalities* on simulated data (``himoe.simulate.attainable``).

    None where it is not known: real data, another set of modalities, or windows or *labels* (``continuous`` or
    ``trial``) that it was not computed for.
    """
    known = provenance.get("attainable") or {}
    if tuple(map(known.get, ("length_s", "step_s", "labels"))) != (length_s, step_s, labels):
        return None
    return next((dict(scores) for scores in known["sets"].values() if set(scores["modalities"]) == set(modalities)),
                None)
