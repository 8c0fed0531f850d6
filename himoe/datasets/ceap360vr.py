"""CEAP-360VR: 32 people, 8 clips of 360-degree video, continuous valence and arousal.

A session is one clip of 60 s. What is read:

- HEAD, 5 Hz, from ``4_BehaviorData/HM_ScanPath``: sample ``ID`` lies at 0.2 s * ID.
- GAZE, 5 Hz, from the fixation events in ``4_BehaviorData/EM_Fixation``: a sample stands for 0.2 s
  and holds the last fixation that is on in it; NaN where none is. Frames become seconds with the
  clip's ``FrameRate``; the end frame belongs to the fixation.
- LUM, 5 Hz, the mean of the clip's frame luminance over each 0.2 s. It identifies the clip, so it is
  read only when ``options["modalities"]`` names it.
- EDA, PPG, TEMP, ACC from ``5_PhysioData/Raw`` (Empatica E4) where that folder is there. Its layout is
  taken from the processing scripts in the public repository; **this part was not tried on the official
  physiological files**. The raw files are read because the transformed ones are filtered and scaled
  to 0..1 for each clip. Time-stamped samples are put on the E4's nominal grid; a gap above 1 s is NaN.

Yaw wraps at +-180 degrees, so HEAD and GAZE give it as sine and cosine.
Annotations keep their own, irregular time stamps; ratings are the SAM ratings after each clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from himoe.core.errors import bad_input
from himoe.core.files import read_json, require_folder
from himoe.core.recordings import Annotations, Session, Signal, Trial
from himoe.datasets.base import Channels, Dataset, Inventory, RemoteFile
from himoe.datasets.grid import check_times, on_grid
from himoe.datasets.texttable import read_text_table

NUMBERS = tuple(range(1, 33))
VIDEOS = tuple(f"V{number}" for number in range(1, 9))
DURATION_S = 60.0
SFREQ_HZ = 5
MAX_GAP_S = 1.0
ANGLES = Channels(("pitch_deg", "yaw_sin", "yaw_cos"), float(SFREQ_HZ), "deg, sine, cosine")
VIDEO_INFO = "1_Stimuli/VideoInfo.json"
LUMINANCE = "1_Stimuli/VideoLuminance.csv"
PHYSIO = "5_PhysioData/Raw"
RATINGS = "2_QuestionnaireData/P{}_Questionnaire_Data.json"
ANNOTATIONS = "3_AnnotationData/Transformed/P{}_Annotation_TransData.json"
HEAD = "4_BehaviorData/HM_ScanPath/P{}_Behavior_HeadScanPathData.json"
GAZE = "4_BehaviorData/EM_Fixation/P{}_Behavior_FixationData.json"
REPOSITORY = "https://raw.githubusercontent.com/cwi-dis/CEAP-360VR-Dataset/master/CEAP-360VR"
# modality -> (key of the samples, keys of the channels, form)
E4 = {
    "EDA": ("EDA_RawData", ("EDA",), Channels(("EDA",), 4.0, "uS")),
    "PPG": ("BVP_RawData", ("BVP",), Channels(("BVP",), 64.0, "a.u.")),
    "TEMP": ("SKT_RawData", ("SKT",), Channels(("SKT",), 4.0, "degC")),
    "ACC": ("ACC_RawData", ("ACC_X", "ACC_Y", "ACC_Z"), Channels(("x", "y", "z"), 32.0, "1/64 g")),
}


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    """Which people have ratings, annotations and at least one behaviour file."""
    del options
    require_folder(root)
    missing = [name for name in (VIDEO_INFO, LUMINANCE) if not (root / name).is_file()]
    subjects, problems = [], []
    for number in NUMBERS:
        absent = {form for form in (RATINGS, ANNOTATIONS, HEAD, GAZE)
                  if not (root / form.format(number)).is_file()}
        missing += sorted(form.format(number) for form in absent)
        if not absent & {RATINGS, ANNOTATIONS} and not absent >= {HEAD, GAZE}:
            subjects.append(f"P{number:02d}")
        elif len(absent) < 4:
            problems.append(f"P{number:02d} cannot be read: files of this person are missing.")
    if not subjects or VIDEO_INFO in missing:
        raise bad_input(root, "no complete person" if not subjects else f"no {VIDEO_INFO}",
                        f"files such as {VIDEO_INFO} and {ANNOTATIONS.format(1)}",
                        "give the folder that holds 1_Stimuli ... 5_PhysioData")
    if not (root / PHYSIO).is_dir():
        problems.append(f"{PHYSIO} is absent: EDA, PPG, TEMP and ACC are missing for everyone.")
    if "P15" in subjects:
        problems.append("P15, video V8: the authors corrected this annotation later; older copies differ.")
    return Inventory(tuple(subjects), tuple(missing), tuple(problems))


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    """Yield the eight sessions of one person, V1 to V8.

    ``options["modalities"]`` (names, separated by spaces or commas) limits what is read and is the
    only way to get LUM. Raises InputError for a missing key or a value that is not a number.
    """
    number = _number(subject)
    wanted = set(options.get("modalities", "").replace(",", " ").split()) or set(MODALITIES) - {"LUM"}
    ratings = _videos(root / RATINGS.format(number), "QuestionnaireData", "Video_SAMRating_VideoTime_Data")
    annotations = _videos(root / ANNOTATIONS.format(number), "ContinuousAnnotation_TransData",
                          "Video_Annotation_TransData")
    sources = _sources(root, number, wanted)
    rates = _frame_rates(root / VIDEO_INFO)
    luminance = _luminance(root / LUMINANCE, rates) if "LUM" in wanted else {}
    for video in VIDEOS:
        signals = {modality: _signal(modality, source, video, rates) for modality, source in sources.items()}
        if video in luminance:
            signals["LUM"] = luminance[video]
        yield Session(subject, signals, (_trial(video, ratings, annotations),))


class _Videos(dict[str, Any]):
    """Entries of one file by video; remembers the file for error messages."""

    path: Path

    def entry(self, video: str) -> Any:
        if video not in self:
            raise bad_input(f"{self.path}: VideoID", " ".join(self) or "none", video, "fetch the file again")
        return self[video]


def _number(subject: str) -> int:
    digits = subject.removeprefix("P")
    if not digits.isdigit() or int(digits) not in NUMBERS:
        raise bad_input("subject", repr(subject), "P01 ... P32", "correct the id")
    return int(digits)


def _get(where: object, value: Any, key: str) -> Any:
    if not isinstance(value, Mapping) or key not in value:
        found = " ".join(value) if isinstance(value, Mapping) else type(value).__name__
        raise bad_input(f"{where}: key {key!r}", found or "nothing", "that key", "fetch the file again")
    return value[key]


def _items(where: object, value: Any, key: str) -> list[Any]:
    items = _get(where, value, key)
    if not isinstance(items, list):
        raise bad_input(f"{where}: key {key!r}", type(items).__name__, "a list", "fetch the file again")
    return items


def _column(where: object, rows: list[Any], key: str) -> np.ndarray:
    """One key of all rows as float64; null is NaN."""
    values = [_get(where, row, key) for row in rows]
    for index, value in enumerate(values):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise bad_input(f"{where}: {key}[{index}]", repr(value), "a number", "fetch the file again")
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _videos(path: Path, outer: str, inner: str) -> _Videos:
    people = _items(path, read_json(path), outer)
    if len(people) != 1:
        raise bad_input(f"{path}: {outer}", f"{len(people)} people", "one", "fetch the file again")
    videos = _Videos((str(_get(path, entry, "VideoID")), entry) for entry in _items(path, people[0], inner))
    videos.path = path
    return videos


def _sources(root: Path, number: int, wanted: set[str]) -> dict[str, _Videos]:
    """The opened file of every modality that is wanted and there."""
    places = {"HEAD": (HEAD, "Behavior_HeadScanPath_Data", "Video_Behavior_ScanPath_Data"),
              "GAZE": (GAZE, "Behavior_FixationData", "Video_Behavior_FixationData")}
    sources = {modality: _videos(root / form.format(number), outer, inner)
               for modality, (form, outer, inner) in places.items()
               if modality in wanted and (root / form.format(number)).is_file()}
    physio = root / PHYSIO / f"P{number}_Physio_RawData.json"
    if physio.is_file() and wanted & set(E4):
        videos = _videos(physio, "Physio_RawData", "Video_Physio_RawData")
        sources |= {modality: videos for modality in E4 if modality in wanted}
    return sources


def _signal(modality: str, source: _Videos, video: str, rates: Mapping[str, int]) -> Signal:
    where, entry = f"{source.path}: {video}", source.entry(video)
    if modality == "HEAD":
        return _head(where, _items(where, entry, "ID_Pitch_Yaw"))
    if modality == "GAZE":
        return _gaze(where, _items(where, entry, "Fixation"), rates[video])
    return _physio(where, entry, modality)


def _head(where: str, rows: list[Any]) -> Signal:
    index = _whole(where, rows, "ID", 1)
    data = np.full((3, int(DURATION_S * SFREQ_HZ)), np.nan, dtype=np.float32)
    inside = index < data.shape[1]
    data[:, index[inside]] = _angles(where, rows)[:, inside]
    return Signal(data, ANGLES.sfreq_hz or 0.0, ANGLES.names, ANGLES.unit)


def _gaze(where: str, rows: list[Any], frame_rate: int) -> Signal:
    start, end = _whole(where, rows, "StartFrame", 0), _whole(where, rows, "EndFrame", 0)
    data = np.full((3, int(DURATION_S * SFREQ_HZ)), np.nan, dtype=np.float32)
    for first, last, angles in zip(start, end, _angles(where, rows).T, strict=True):
        # Samples that overlap frames first..last; -(-a // b) rounds up.
        low, high = first * SFREQ_HZ // frame_rate, -(-(last + 1) * SFREQ_HZ // frame_rate)
        data[:, low:high] = angles[:, None]
    return Signal(data, ANGLES.sfreq_hz or 0.0, ANGLES.names, ANGLES.unit)


def _whole(where: str, rows: list[Any], key: str, lowest: int) -> np.ndarray:
    values = _column(where, rows, key)
    if not np.all((values >= lowest) & (values == np.round(values))):
        raise bad_input(f"{where}: {key}", "a value that is missing, negative or broken",
                        f"whole numbers from {lowest}", "fetch the file again")
    return values.astype(int)


def _angles(where: str, rows: list[Any]) -> np.ndarray:
    """(3, K): pitch in degrees, sine and cosine of yaw."""
    yaw = np.radians(_column(where, rows, "Yaw"))
    return np.stack([_column(where, rows, "Pitch"), np.sin(yaw), np.cos(yaw)])


def _physio(where: str, entry: Any, modality: str) -> Signal:
    key, columns, form = E4[modality]
    rows, sfreq_hz = _items(where, entry, key), form.sfreq_hz or 0.0
    n_samples = round(DURATION_S * sfreq_hz)
    if not rows:
        data = np.full((len(columns), n_samples), np.nan, dtype=np.float32)
    else:
        time_s = _column(f"{where}: {key}", rows, "TimeStamp")
        check_times(f"{where}: {key}: TimeStamp", time_s)
        if time_s[0] < -MAX_GAP_S or time_s[-1] > 2 * DURATION_S:
            raise bad_input(f"{where}: {key}: TimeStamp", f"{time_s[0]:g} .. {time_s[-1]:g}",
                            "seconds from the clip's start", "check that the file is one of 5_PhysioData/Raw")
        values = np.stack([_column(f"{where}: {key}", rows, column) for column in columns])
        data = on_grid(time_s, values, sfreq_hz, n_samples, MAX_GAP_S)
    return Signal(data, sfreq_hz, form.names, form.unit)


def _trial(video: str, ratings: _Videos, annotations: _Videos) -> Trial:
    where = f"{annotations.path}: {video}"
    rows = _items(where, annotations.entry(video), "TimeStamp_Valence_Arousal")
    time_s = _column(where, rows, "TimeStamp")
    check_times(f"{where}: TimeStamp", time_s)
    values = {"valence": _column(where, rows, "Valence"), "arousal": _column(where, rows, "Arousal")}
    row, place = ratings.entry(video), f"{ratings.path}: {video}"
    rating = {"valence": float(_column(place, [row], "ValenceValue")[0]),
              "arousal": float(_column(place, [row], "ArousalValue")[0])}
    return Trial(video, video, 0.0, DURATION_S, rating, Annotations(time_s, values))


def _frame_rates(path: Path) -> dict[str, int]:
    rates: dict[str, int] = {}
    for entry in _items(path, read_json(path), "VideoInfo"):
        video = str(_get(path, entry, "VideoID"))
        rate = _get(f"{path}: {video}", entry, "FrameRate")
        if isinstance(rate, bool) or not isinstance(rate, int) or rate <= 0 or rate % SFREQ_HZ:
            raise bad_input(f"{path}: {video}: FrameRate", repr(rate), f"a multiple of {SFREQ_HZ} per second",
                            "fetch the file again")
        rates[video] = rate
    for video in VIDEOS:
        _get(f"{path}: VideoID", rates, video)
    return rates


def _luminance(path: Path, rates: Mapping[str, int]) -> dict[str, Signal]:
    """Frame luminance of each clip as 5 Hz block means; nothing if the file is absent."""
    if not path.is_file():
        return {}
    frames = read_text_table(path, (), VIDEOS).numbers
    return {video: _block_means(values, rates[video]) for video, values in frames.items()}


def _block_means(values: np.ndarray, frame_rate: int) -> Signal:
    n_frames = int(DURATION_S * frame_rate)
    padded = np.full(n_frames, np.nan)
    padded[:min(len(values), n_frames)] = values[:n_frames]
    blocks = padded.reshape(-1, frame_rate // SFREQ_HZ)
    return Signal(blocks.mean(axis=1, dtype=float).astype(np.float32)[None], float(SFREQ_HZ), ("luminance",), "0..255")


MODALITIES = {"HEAD": ANGLES, "GAZE": ANGLES, "LUM": Channels(("luminance",), float(SFREQ_HZ), "0..255"),
              **{modality: form for modality, (_, _, form) in E4.items()}}
DOWNLOADS = (VIDEO_INFO, LUMINANCE,
             *(form.format(number) for form in (RATINGS, ANNOTATIONS, HEAD, GAZE) for number in NUMBERS))

DATASET = Dataset(
    name="ceap360vr",
    title="CEAP-360VR",
    citation="T. Xue, A. El Ali, T. Zhang, G. Ding, P. Cesar: CEAP-360VR: A Continuous Physiological and Behavioral "
             "Emotion Annotation Dataset for 360 Degree Videos. IEEE Transactions on Multimedia, 2021.",
    doi="10.1109/TMM.2021.3124080",
    licence="CC BY-NC 4.0",
    access="Public repository https://github.com/cwi-dis/CEAP-360VR-Dataset; add its 5_PhysioData folder by hand "
           "for the wrist signals.",
    patterns=("1_Stimuli/*.json", "1_Stimuli/*.csv", "2_QuestionnaireData/*.json",
              "3_AnnotationData/Transformed/*.json", "4_BehaviorData/HM_ScanPath/*.json",
              "4_BehaviorData/EM_Fixation/*.json", "5_PhysioData/Raw/*.json"),
    redistributable=False,
    dimensions=("valence", "arousal"),
    scale=(1.0, 9.0),
    thresholds=(5.0,),
    modalities=MODALITIES,
    inspect=inspect,
    read=read,
    # The authors publish no checksums.
    files=tuple(RemoteFile(name, f"{REPOSITORY}/{name}") for name in DOWNLOADS),
    default_off=("LUM",),
    published={"subjects": "32", "trials": "256", "annotation": "continuous, irregular, about 8 Hz"},
)
