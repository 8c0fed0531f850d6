"""Files in the layouts of CEAP-360VR, HKU956 and WESAD: one writer a file, and a small simulated folder of each set.

In the folders ratings belong to the clip, song or condition, a little to the person, and show in the signals.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from himoe.datasets import ceap360vr, hku956, wesad

FRAME_RATES = {f"V{number}": 25 if number == 1 else 30 for number in range(1, 9)}
E4_START = 1502262571
SONG_HEADER = "participant_id,song_no,song_id,valence_rating,valence,arousal_rating,arousal,play_duration"
ORDER = ("Base", "TSST", "Medi 1", "Fun", "Medi 2")
CONDITION_S = 340  # 220 s of it are read


# --- CEAP-360VR -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Clip:
    """What one person did in one clip: rows as the files have them, the rating afterwards."""

    head: Sequence[Mapping[str, float]]        # ID, Pitch, Yaw
    fixations: Sequence[Mapping[str, float]]   # StartFrame, EndFrame, Pitch, Yaw
    annotations: Sequence[Mapping[str, float]]  # TimeStamp, Valence, Arousal
    valence: float
    arousal: float


def dump(path: Path, value: Any) -> None:
    """JSON with a byte-order mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8-sig")


def write_clips(root: Path) -> None:
    """The clips' frame rates and the luminance of every frame."""
    info = [{"VideoID": v, "VideoDuration": 59 if v == "V3" else 60, "FrameRate": r} for v, r in FRAME_RATES.items()]
    dump(root / ceap360vr.VIDEO_INFO, {"VideoInfo": [{"VideoID": "V0", "FrameRate": 30}, *info]})
    lines = ["Frame,V0," + ",".join(FRAME_RATES)]
    for frame in range(1801):
        cells = ["" if v == "V1" and frame > 1500 else str(frame % 100 + k) for k, v in enumerate(FRAME_RATES)]
        lines.append(f"{frame},0," + ",".join(cells))
    (root / ceap360vr.LUMINANCE).write_text("\n".join(lines))


def write_viewer(root: Path, number: int, clips: Mapping[str, Clip]) -> None:
    """One person's ratings, annotations, head and gaze."""
    def person(form: str, outer: str, inner: str, entries: Iterable[Mapping[str, Any]]) -> None:
        rows = [{"VideoID": video, **entry} for video, entry in zip(clips, entries, strict=True)]
        dump(root / form.format(number), {outer: [{"ParticipantID": f"P{number}", inner: rows}]})

    made = clips.values()
    person(ceap360vr.RATINGS, "QuestionnaireData", "Video_SAMRating_VideoTime_Data",
           ({"ValenceValue": clip.valence, "ArousalValue": clip.arousal} for clip in made))
    person(ceap360vr.ANNOTATIONS, "ContinuousAnnotation_TransData", "Video_Annotation_TransData",
           ({"TimeStamp_Valence_Arousal": clip.annotations} for clip in made))
    person(ceap360vr.HEAD, "Behavior_HeadScanPath_Data", "Video_Behavior_ScanPath_Data",
           ({"ID_Pitch_Yaw": clip.head} for clip in made))
    person(ceap360vr.GAZE, "Behavior_FixationData", "Video_Behavior_FixationData",
           ({"Fixation": clip.fixations} for clip in made))


def write_ceap360vr(root: Path, people: int) -> None:
    """Whole clips; the head moves more the higher the arousal."""
    write_clips(root)
    rng = np.random.default_rng(1)
    levels = rng.uniform(2, 8, (len(FRAME_RATES), 2))
    for number in range(1, people + 1):
        rated = np.clip(levels + rng.normal(0, 0.7, 2) + rng.normal(0, 0.4, levels.shape), 1, 9)
        write_viewer(root, number, {video: _clip(rating, FRAME_RATES[video], rng)
                                    for video, rating in zip(FRAME_RATES, rated, strict=True)})


def _clip(rating: np.ndarray, frame_rate_hz: int, rng: np.random.Generator) -> Clip:
    time_s = np.sort(rng.choice(60_000, 480, replace=False)) / 1000
    felt = np.clip(rating[:, None] + 0.5 * np.sin(time_s / 9), 1, 9).round(3)
    pitch, yaw = rng.normal(0, 3 * rating[1], (2, 299)).round(2)
    starts = np.arange(0, 60, 2) * frame_rate_hz
    return Clip([{"ID": k + 1, "Pitch": a, "Yaw": b} for k, (a, b) in enumerate(zip(pitch, yaw, strict=True))],
                [{"StartFrame": int(first), "EndFrame": int(first) + frame_rate_hz, "Pitch": a, "Yaw": b}
                 for first, (a, b) in zip(starts, rng.normal(rating, 3, (len(starts), 2)).round(2), strict=True)],
                [{"TimeStamp": t, "Valence": v, "Arousal": a}
                 for t, v, a in zip(time_s, *felt, strict=True)], *(int(value) for value in rating.round()))


# --- HKU956 ---------------------------------------------------------------------------------------------------------
def write_stream(root: Path, person: str, stream: str, record: str, values: Iterable[object]) -> Path:
    """One number a line; *stream*: BVP, EDA, TEMP, HR or IBI, *record*: <song_no>_<song_id>."""
    path = root / hku956.SIGNALS[0] / person / stream / f"{record}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{value}\n" for value in values))
    return path


def write_song_ratings(root: Path, rows: Iterable[str]) -> None:
    """``3. AV_ratings.csv``."""
    (root / hku956.RATINGS).write_text("\n".join([SONG_HEADER, *rows]) + "\n")


def write_hku956(root: Path, people: int, songs: int) -> None:
    """Everybody hears the same songs, each for 16 s or a little longer; skin and pulse follow arousal."""
    rng, rows = np.random.default_rng(2), []
    levels = rng.uniform(-8, 8, (songs, 2))
    for person in (f"hku{1903 + k}" for k in range(people)):
        rated = np.clip(levels + rng.normal(0, 1, 2) + rng.normal(0, 1, levels.shape), -10, 10).round(1)
        for song, (valence, arousal) in enumerate(rated):
            record, seconds = f"{song}_{81740 + song}", 16 + song % 3
            beat_hz = 1.2 + arousal / 40
            at_s, slow_s = np.arange(64 * seconds) / 64, np.arange(4 * seconds) / 4
            streams = {"BVP": 50 * np.sin(2 * np.pi * beat_hz * at_s), "TEMP": 33 + valence / 10 + 0 * slow_s,
                       "EDA": 3 + arousal / 5 + 0.1 * np.sin(slow_s), "HR": np.full(seconds, 60 * beat_hz)}
            for stream, values in streams.items():
                noisy = values + rng.normal(0, 0.05, len(values))
                write_stream(root, person, stream, record, (f"{value:.4f}" for value in noisy))
            write_stream(root, person, "IBI", record, [f"{1 / beat_hz:.4f}"] * 9)
            signs = ["positive" if value > 0 else "negative" for value in (valence, arousal)]
            rows.append(f"{person},{song},{81740 + song},{valence},{signs[0]},{arousal},{signs[1]},{seconds}")
    write_song_ratings(root, rows)


# --- WESAD ----------------------------------------------------------------------------------------------------------
def e4_text(values: np.ndarray, rate_hz: int) -> str:
    """A file of an E4's archive: *values* (N, C) below two lines of start and rate."""
    head = [", ".join([f"{number:.6f}"] * values.shape[1]) for number in (E4_START, rate_hz)]
    return "\n".join([*head, *(",".join(f"{v:g}" for v in row) for row in values)]) + "\n"


def write_wrist(root: Path, subject: str, quest: str, files: Mapping[str, str | bytes], offset_s: Any) -> None:
    """One person's archive, questionnaire and, unless it is None, offset."""
    root.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(root / f"{subject}_E4_Data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"info.txt": "E4", **files}.items():
            archive.writestr(name, text)
    (root / f"{subject}_quest.csv").write_text(quest)
    known = root / wesad.OFFSETS
    offsets = json.loads(known.read_text()) if known.is_file() else {}
    known.write_text(json.dumps(offsets if offset_s is None else {**offsets, subject: offset_s}))


def write_wesad(root: Path, people: int) -> None:
    """Five short conditions a person; skin, pulse and motion follow arousal."""
    rng = np.random.default_rng(3)
    levels = np.array([[5, 2], [3, 8], [6, 3], [8, 6], [7, 2]])
    for k in range(people):
        rated = np.clip(levels + rng.integers(-1, 2, levels.shape), 1, 9)
        offset_s = 20 + k
        clock = [f"{s // 60}.{s % 60:02d}" for s in range(0, len(ORDER) * CONDITION_S + 1, CONDITION_S)]
        after = f"{len(ORDER) * CONDITION_S // 60 + 1}"  # the reading at the end has no rating
        lines = [f"# Subj;S{k + 2};", f"# ORDER;{';'.join(ORDER)};sRead;", f"# START;{';'.join(clock[:-1])};{after};",
                 f"# END;{';'.join(clock[1:])};{after}.3;", "# PANAS;1;1;3;",
                 *(f"# DIM;{valence};{arousal};" for valence, arousal in rated)]
        write_wrist(root, f"S{k + 2}", "\n".join(lines) + "\n", _wrist_files(rated[:, 1], offset_s, rng), offset_s)


def _wrist_files(arousal: np.ndarray, offset_s: int, rng: np.random.Generator) -> dict[str, str]:
    files = {}
    for name, rate_hz in (("BVP", 64), ("EDA", 4), ("TEMP", 4), ("ACC", 32)):
        time_s = np.arange((offset_s + CONDITION_S * len(arousal)) * rate_hz) / rate_hz
        on = arousal[np.clip((time_s - offset_s) // CONDITION_S, 0, len(arousal) - 1).astype(int)]
        one = {"BVP": 50 * np.sin(np.cumsum(2 * np.pi * (1 + 0.1 * on) / rate_hz)), "EDA": 1 + 0.4 * on,
               "TEMP": 34 - 0.1 * on, "ACC": 20 + on * rng.normal(0, 1, len(time_s))}[name][:, None]
        values = np.repeat(one, 3 if name == "ACC" else 1, axis=1)
        noisy = values + rng.normal(0, 0.05, values.shape)
        files[f"{name}.csv"] = e4_text(noisy.round(0 if name == "ACC" else 3), rate_hz)
    return files
