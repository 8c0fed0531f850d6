"""From videos to face tracks: sampled frames → detection → crop → features, one stream a video.

Legend: N sampled frames, E = 1280 features.
"""

from __future__ import annotations

import hashlib
import json
import re
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from himoe.core.errors import InputError, bad_input
from himoe.core.files import atomic_path, sha256, write_json
from himoe.core.params import FaceParams
from himoe.core.progress import progress
from himoe.core.workers import map_forked
from himoe.prepare.faces.detect import crop, make_detector
from himoe.prepare.faces.network import FrameNetwork
from himoe.prepare.faces.tracks import (
    ABOUT_FILE,
    FEATURES,
    FaceTrack,
    face_signal,
    read_track,
    track_path,
    write_track,
)
from himoe.prepare.faces.video import VideoInfo, probe, sampled_frames
from himoe.prepare.threads import one_thread

__all__ = ["FaceTrack", "VideoReport", "extract_folder", "extract_video", "face_signal", "read_track", "write_track"]

LIBRARIES = ("av", "opencv-python-headless", "torch", "torchvision")


@dataclass(frozen=True)
class VideoReport:
    """What became of one video. ``problem`` is None for a readable one; ``fps_hz`` and size are the file's own.

    ``peak_mib`` is the largest memory (resident) so far of the process that read it, ``reused`` whether a kept
    track was taken.
    """

    subject: str
    trial: str
    frames: int
    faces: int
    fps_hz: float
    width_px: int
    height_px: int
    problem: str | None
    seconds: float
    peak_mib: float
    reused: bool

    @property
    def name(self) -> str:
        """``subject/trial``."""
        return f"{self.subject}/{self.trial}"


@dataclass(frozen=True)
class _Shared:
    params: FaceParams
    detector: str
    network: FrameNetwork
    out: Path
    kept: Path


def extract_video(path: Path, params: FaceParams, network: FrameNetwork) -> FaceTrack:
    """The face track of one video; memory holds ``params.batch_frames`` crops, never the frames.

    Raises
    ------
    InputError
        If the video cannot be read to its end, or is too short for one sample.
    """
    detector = make_detector(params.detector, params.min_confidence)
    margin = params.margin if detector.finds else 0.0
    times: list[float] = []
    boxes: list[tuple[float, float, float, float]] = []
    features: list[np.ndarray] = []
    crops: list[np.ndarray] = []
    rows: list[int] = []
    for time_s, frame in sampled_frames(path, params.fps_hz):
        face = detector(frame)
        if face is None:
            boxes.append((np.nan,) * 4)
        else:
            boxes.append((face.x, face.y, face.size, face.confidence))
            rows.append(len(times))
            crops.append(crop(frame, face, params.size_px, margin))
        times.append(time_s)
        if len(crops) == params.batch_frames:
            features.append(network.features(np.stack(crops)))
            crops.clear()
    if not times:
        raise bad_input(path, "a video too short for one sample", f"at least {0.5 / params.fps_hz:g} s",
                        "raise face.fps_hz or leave the video out")
    if crops:
        features.append(network.features(np.stack(crops)))
    found = np.array(boxes)
    every = np.full((len(times), FEATURES), np.nan, dtype=np.float32)
    if rows:
        every[rows] = np.concatenate(features)
    return FaceTrack(np.array(times), found[:, 3].astype(np.float32), found[:, :3].astype(np.float32), every)


def extract_folder(videos: Mapping[tuple[str, str], Path], params: FaceParams, out: Path, kept: Path,
                   jobs: int, device: str = "auto") -> list[VideoReport]:
    """Every video's track as ``out/<subject>/<trial>.parquet``, and last ``out/faces.json``, which says what they are.

    A finished track stays in *kept* under a digest of the video's bytes, the parameters, the weights and this code,
    and is taken from there the next time. A damaged video gets no track; its problem is in its report and the file.

    Parameters
    ----------
    videos : mapping of (subject, trial) to path
    jobs : int
        Worker processes, one thread each; on CUDA one process does all.

    Returns
    -------
    list of VideoReport
        In the order of subject and trial.

    Raises
    ------
    InputError
        If the weights cannot be had, or no video at all can be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / ABOUT_FILE).unlink(missing_ok=True)
    tasks = [(subject, trial, path) for (subject, trial), path in sorted(videos.items())]
    reports: list[VideoReport] = []
    with one_thread():  # small crops need no more, and forked workers none
        network = FrameNetwork(params, device)
        detector = make_detector(params.detector).label
        shared = _Shared(params, detector, network, out, kept)
        done = map_forked(_complete, shared, tasks, 1 if network.device.type == "cuda" else jobs)
        for report in progress(done, "faces", "video", len(tasks)):
            reports.append(report)
            if sys.stderr.isatty():
                tqdm.write(_line(report), file=sys.stderr)
    readable = [report for report in reports if report.problem is None]
    if reports and not readable:
        raise InputError(f"none of the {len(reports)} videos can be read; the first: {reports[0].problem}")
    write_json(out / ABOUT_FILE, _about(reports, shared))
    print(_summary(reports))
    return reports


def _complete(shared: _Shared, task: tuple[str, str, Path]) -> VideoReport:
    """Make or take over one track; a problem of the video ends in its report."""
    subject, trial, path = task
    start = time.perf_counter()
    info, frames, faces, problem, reused = VideoInfo(0, 0.0, 0, 0, 0.0), 0, 0, None, False
    try:
        info = probe(path)
        finished = shared.kept / f"{track_key(path, shared.params, shared.network.label)}.parquet"
        kept = _read_kept(finished)
        reused = kept is not None
        if kept is None:
            write_track(finished, extract_video(path, shared.params, shared.network), _source(info, shared))
        track = kept or read_track(finished)
        with atomic_path(track_path(shared.out, subject, trial)) as temporary:
            shutil.copyfile(finished, temporary)
        frames, faces = len(track.time_s), int(np.isfinite(track.box[:, 2]).sum())
    except InputError as error:
        problem = str(error).replace(str(path), path.name)  # the same words on every machine
    return VideoReport(subject, trial, frames, faces, info.fps_hz, info.width_px, info.height_px, problem,
                       time.perf_counter() - start, peak_mib(), reused)


def _read_kept(path: Path) -> FaceTrack | None:
    """A track that an earlier run finished; None if there is none, or the file was damaged since."""
    try:
        return read_track(path)
    except InputError:
        return None


def track_key(path: Path, params: FaceParams, weights: str) -> str:
    """Key of a finished track: all it depends on, the versions of the libraries included."""
    code = {file.name: sha256(file) for file in sorted(Path(__file__).parent.glob("*.py"))}
    parts = {"video": sha256(path), "params": asdict(params), "weights": weights, "code": code,
             "libraries": {name: version(name) for name in LIBRARIES}}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def peak_mib() -> float:
    """Largest resident memory of this process so far, MiB."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    if found:  # on Linux getrusage also counts the program that started this one
        return int(found[1]) / 2 ** 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2 ** 20 if sys.platform == "darwin" else 2 ** 10)  # bytes there, KiB elsewhere


def _source(info: VideoInfo, shared: _Shared) -> dict[str, Any]:
    """What a track's own file says of where it comes from."""
    return {"fps_hz": shared.params.fps_hz, "source_fps_hz": info.fps_hz, "source_width_px": info.width_px,
            "source_height_px": info.height_px, "detector": shared.detector, "network": shared.network.label}


def _about(reports: list[VideoReport], shared: _Shared) -> dict[str, Any]:
    videos = {}
    for report in reports:
        entry = asdict(report)
        videos[report.name] = {key: entry[key] for key in (
            "frames", "faces", "fps_hz", "width_px", "height_px", "problem")}
    return {"network": shared.network.label, "detector": shared.detector, "params": asdict(shared.params),
            "videos": videos}


def _line(report: VideoReport) -> str:
    if report.problem is not None:
        return f"{report.name}: damaged: {report.problem}"
    kept = ", kept from before" if report.reused else ""
    return (f"{report.name}: {report.faces} faces in {report.frames} frames, {report.seconds:.1f} s, "
            f"{report.peak_mib:.0f} MiB{kept}")


def _summary(reports: list[VideoReport]) -> str:
    if not reports:
        return "0 videos"
    seconds = [report.seconds for report in reports]
    damaged = sum(report.problem is not None for report in reports)
    reused = sum(report.reused for report in reports)
    return (f"{len(reports)} videos: median {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s and "
            f"{max(report.peak_mib for report in reports):.0f} MiB each; {damaged} damaged, {reused} kept from before")
