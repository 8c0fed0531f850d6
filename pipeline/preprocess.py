"""Stage ``preprocess``: filter, resample and cut one data set's trials, subject by subject."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from himoe.core.files import atomic_path, read_json, write_json
from himoe.core.params import FilterParams, SourceParams, parse
from himoe.core.progress import progress
from himoe.core.recordings import Recording
from himoe.core.workers import map_written
from himoe.datasets import get_dataset
from himoe.datasets.base import notes_of, require_no_doubt
from himoe.datasets.fetch import read_provenance
from himoe.datasets.links import FOLLOW
from himoe.prepare.faces.tracks import FaceAbout, attach_face, face_facts, read_about
from himoe.prepare.facts import merge_facts, session_facts
from himoe.prepare.quality import SubjectQuality, write_quality
from himoe.prepare.recording_files import merge_descriptions, write_description, write_recordings
from himoe.prepare.signals import band_notes, preprocess_session, reference_notes
from himoe.simulate.attainable import WINDOWS, attainable
from himoe.simulate.request import TRUTH_FILE
from pipeline.filters import filter_table
from pipeline.stage import PARAMS, jobs, main, stage_params

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What every subject's worker needs."""

    name: str
    root: Path
    options: Mapping[str, str]
    table: str
    filters: Mapping[str, FilterParams]
    faces: Path


def preprocess(name: str, raw: str, faces: str, filters: str, out: str, counted: str) -> None:
    """Clean every subject of data set *name* from *raw*, with the face tracks in *faces*, into *out*.

    *filters* is the file of rates and bands that the stage ``plan`` wrote for the set. What the files hold, as read,
    goes into the file *counted*, which the tables read: no run depends on it.
    """
    params = stage_params(f"preprocess@{name}")
    source = parse(SourceParams, params["sets"][name], PARAMS, f"sets.{name}")
    options = source.options | FOLLOW  # what the download stage has let in, some of it as links
    chosen = read_json(Path(filters))
    table = filter_table(chosen["filters"], chosen["table"])
    root = Path(raw)
    dataset = get_dataset(name, root)
    subjects = dataset.inspect(root, options).subjects
    about = read_about(Path(faces))
    with atomic_path(Path(out)) as folder:
        work = Work(name, root, options, chosen["table"], table, Path(faces))
        done = map_written(_subject, (work, about), folder, subjects, jobs(), f"preprocess {name}", [raw, faces])
        parts = list(progress(done, f"preprocess {name}", "subject", len(subjects)))
        parts.sort(key=lambda part: part.written["subject"])
        description = merge_descriptions(part.written for part in parts)
        facts = merge_facts([session for part in parts for session in part.facts], dataset.scale)
        write_quality(folder, [part.quality for part in parts])
        provenance = {**read_provenance(root), "face": about.label if about else None,
                      "bands": [*band_notes(facts["modalities"], table), *reference_notes(facts["modalities"])],
                      "attainable": ceiling(root, table),
                      "filters": {m: asdict(table.get(m, FilterParams())) for m in sorted(facts["modalities"])}}
        notes = [note.replace(f"{root}{os.sep}", "") for part in parts for note in part.notes]
        if notes:  # what reading found and did
            log.warning("%s: %d notes on reading, see set.json; the first: %s", name, len(notes), notes[0])
            provenance["reading"] = notes
        write_description(folder, {
            "set": name, "provenance": provenance, "dimensions": list(dataset.dimensions),
            "scale": list(dataset.scale), "thresholds": list(dataset.thresholds), **description,
        })
        write_json(Path(counted), {"set": name, "data": provenance["label"], "simulated": provenance["simulated"],
                                   **facts})


def ceiling(root: Path, filters: Mapping[str, FilterParams]) -> dict[str, Any] | None:
    """What can be reached on simulated data with the EEG's filter, for usual windows; None for real data."""
    if not (root / TRUTH_FILE).is_file():
        return None
    eeg = filters.get("EEG", FilterParams())
    edges_hz = [edge for edge in (eeg.band_hz[1], eeg.sfreq_hz and eeg.sfreq_hz / 2) if edge is not None]
    high_hz = min(edges_hz, default=None)
    sets = attainable(root, WINDOWS, jobs(), float("inf") if high_hz is None else high_hz)
    labels = "continuous" if all("ccc" in scores for scores in sets.values()) else "trial"
    return {"length_s": WINDOWS.length_s, "step_s": WINDOWS.step_s, "labels": labels, "eeg_high_hz": high_hz,
            "sets": sets}


@dataclass(frozen=True)
class Part:
    """One subject's share: what was written, the facts of each session as read, their quality, notes on reading."""

    written: dict[str, Any]
    facts: list[dict[str, Any]]
    quality: SubjectQuality
    notes: list[str]


def _subject(shared: tuple[Work, FaceAbout | None], folder: Path, subject: str) -> Part:
    """Clean one subject's recordings, into *folder*."""
    work, about = shared
    facts: list[dict[str, Any]] = []
    notes: list[str] = []
    quality = SubjectQuality(subject)

    def recordings() -> Iterator[Recording]:
        for session in get_dataset(work.name, work.root).read(work.root, subject, work.options):
            notes.extend(notes_of(require_no_doubt(session)))
            facts.append(face_facts(session_facts(session), session, about))
            quality.add(session)
            for recording in preprocess_session(session, work.filters, f"params.yaml: preprocess.{work.table}"):
                full = attach_face(recording, work.faces, about)
                quality.example(session, [full])
                yield full

    with threadpool_limits(1):
        return Part(write_recordings(folder, subject, recordings()), facts, quality, notes)


if __name__ == "__main__":
    main(preprocess)
