"""A video's face features on disk, and what the pipeline makes of them. Needs neither torch nor a video decoder.

Legend: N sampled frames, E = 1280 features a frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path, read_json, require_file
from himoe.core.recordings import Recording, Session, Signal

FEATURES = 1280
ABOUT_FILE = "faces.json"
_KEY = b"himoe.face"


@dataclass(frozen=True)
class FaceTrack:
    """One video's sampled frames.

    Parameters
    ----------
    time_s : ndarray, (N,) float64
        From the video's start, increasing.
    confidence : ndarray, (N,) float32
        The detector's; NaN where there is no face (or the detector has none to give).
    box : ndarray, (N, 3) float32
        Left, top and side of the face's square in pixels; NaN where there is no face.
    features : ndarray, (N, E) float32
        NaN where there is no face.
    """

    time_s: np.ndarray
    confidence: np.ndarray
    box: np.ndarray
    features: np.ndarray


def write_track(path: Path, track: FaceTrack, about: Mapping[str, Any]) -> None:
    """Write one Parquet file atomically: one row per frame; *about* (JSON) goes into the schema's metadata."""
    n_features = track.features.shape[1]
    values = pa.array(np.ascontiguousarray(track.features, dtype=np.float32).reshape(-1))
    columns = {
        "time_s": track.time_s.astype(np.float64), "confidence": track.confidence.astype(np.float32),
        **{name: track.box[:, k].astype(np.float32) for k, name in enumerate(("left_px", "top_px", "side_px"))},
        "features": pa.FixedSizeListArray.from_arrays(values, n_features),
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(dict(about), sort_keys=True).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="none", use_dictionary=False, write_statistics=False)


def read_track(path: Path) -> FaceTrack:
    """Undo :func:`write_track`.

    Raises
    ------
    InputError
        If the file is missing, or is no face track.
    """
    table, _ = _open(path)
    features = table.column("features").combine_chunks()
    flat = features.values.to_numpy(zero_copy_only=False)
    box = np.stack([table.column(name).to_numpy() for name in ("left_px", "top_px", "side_px")], axis=1)
    return FaceTrack(table.column("time_s").to_numpy(), table.column("confidence").to_numpy(), box,
                     flat.reshape(table.num_rows, -1))


def _open(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    require_file(path)
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise bad_input(path, f"no Parquet file ({reason})", "a face track", "run the face stage again") from error
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        raise bad_input(path, "no 'himoe.face' schema metadata", "a face track", "run the face stage again")
    return table, json.loads(metadata[_KEY])


def face_signal(track: FaceTrack, fps_hz: float, duration_s: float) -> Signal:
    """The modality FACE of one trial, (E, N) at *fps_hz*: frame k stands for (k, k + 1) / fps_hz; the rest is NaN."""
    n_frames = round(duration_s * fps_hz)
    place = np.floor(track.time_s * fps_hz + 1e-6).astype(int)
    inside = (place >= 0) & (place < n_frames)
    data = np.full((track.features.shape[1], n_frames), np.nan, dtype=np.float32)
    data[:, place[inside]] = track.features[inside].T
    names = tuple(f"f{k:04d}" for k in range(len(data)))
    return Signal(data, fps_hz, names, "a.u.")


@dataclass(frozen=True)
class FaceAbout:
    """How a set's faces were found and described: rate of the samples, and one sentence for reports.

    ``videos`` maps "subject/trial" to what the file was: fps_hz, width_px, height_px of the source.
    """

    fps_hz: float
    label: str
    videos: Mapping[str, Mapping[str, Any]]


def read_about(folder: Path) -> FaceAbout | None:
    """What ``faces.json`` says of the tracks in *folder*; None for a set without videos."""
    content = read_json(folder / ABOUT_FILE)
    readable = {name: entry for name, entry in content["videos"].items() if not entry.get("problem")}
    if not readable:
        return None
    fps_hz = float(content["params"]["fps_hz"])
    label = (f"{content['network']}, {fps_hz:g} frame{'' if fps_hz == 1 else 's'} per second at "
             f"{content['params']['size_px']} px; faces by {content['detector']}")
    return FaceAbout(fps_hz, label, readable)


def track_path(folder: Path, subject: str, trial: str) -> Path:
    """Where a video's track lies."""
    return folder / subject / f"{trial}.parquet"


def attach_face(recording: Recording, folder: Path, about: FaceAbout | None) -> Recording:
    """The recording with its FACE signal, if its video was read."""
    if about is None or f"{recording.subject}/{recording.trial}" not in about.videos:
        return recording
    track = read_track(track_path(folder, recording.subject, recording.trial))
    signal = face_signal(track, about.fps_hz, recording.duration_s)
    return replace(recording, signals={**recording.signals, "FACE": signal})


def face_facts(facts: dict[str, Any], session: Session, about: FaceAbout | None) -> dict[str, Any]:
    """A session's facts with its videos as read: pictures at the file's own rate, in how many trials."""
    names = [f"{session.subject}/{trial.trial}" for trial in session.trials]
    found = [about.videos[name] for name in names if name in about.videos] if about else []
    if not found:
        return facts
    entry = {"channels": 1, "sfreq_hz": float(found[0]["fps_hz"]),
             "unit": f"{found[0]['width_px']} x {found[0]['height_px']} px", "trials": len(found)}
    return {**facts, "modalities": {**facts["modalities"], "FACE": entry}}
